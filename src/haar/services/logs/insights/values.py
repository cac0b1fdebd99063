"""Values of queries: texts, numbers, times, what JSON has, and None for what is not there. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html
"""

import base64
import binascii
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import orjson

Value = Any
MAX_FIELDS = 200
"""That are found in one JSON message."""
DECIMALS = 4
"""Of what is shown of a number that was worked out."""

_REPORT = re.compile(
    r"(?P<type>START|END|REPORT) RequestId: (?P<requestId>\S+)"
    r"(?:.*?\tDuration: (?P<duration>[\d.]+) ms)?(?:.*?\tBilled Duration: (?P<billedDuration>\d+) ms)?"
    r"(?:.*?\tMemory Size: (?P<memorySize>\d+) MB)?(?:.*?\tMax Memory Used: (?P<maxMemoryUsed>\d+) MB)?"
    r"(?:.*?\tInit Duration: (?P<initDuration>[\d.]+) ms)?",
    re.DOTALL,
)
_LINE = re.compile(r"(?:\[\w+\]\t)?\S+\t(?P<requestId>[0-9a-f]{8}-[0-9a-f-]{27})\t")
MEGABYTE = 1_000_000
_EPOCH_END = 253_402_300_800_000
"""Milliseconds of the year 10,000."""


class Time(int):
    """Milliseconds since the epoch, shown as a date."""


class Row:
    """One event, or one group of a `stats`: fields by name, found when they are asked for."""

    __slots__ = ("_found", "_looked", "results", "size", "values")

    def __init__(self, values: dict[str, Value], size: int = 0) -> None:
        self.values = values
        self.size = size
        """Bytes of its message."""
        self.results: list[Value] = []
        """Of a group: what its functions came to."""
        self._found: Mapping[str, Value] = {}
        self._looked = False

    def get(self, name: str) -> Value:
        if name in self.values:
            return self.values[name]
        if not self._looked:
            self._looked = True
            self._found = discovered(self.values.get("@message"))
        return self._found.get(name)

    def all(self) -> dict[str, Value]:
        return {**discovered(self.values.get("@message")), **self.values}


def discovered(message: Value) -> dict[str, Value]:
    """The fields of a message: those of its JSON by their paths (`a.b.0`), and Lambda's of its lines."""
    if not isinstance(message, str):
        return {}
    line = _LINE.match(message)
    own: dict[str, Value] = {} if line is None else {"@requestId": line["requestId"]}
    start = message.find("{")
    if start >= 0 and message.rstrip().endswith("}"):
        try:
            return own | dict(islice(_flat("", orjson.loads(message[start:])), MAX_FIELDS))
        except orjson.JSONDecodeError:
            pass
    found = _REPORT.match(message)
    if found is None:
        return own
    fields: dict[str, Value] = {"@type": found["type"], "@requestId": found["requestId"]}
    for name in ("duration", "billedDuration", "initDuration"):
        if found[name] is not None:
            fields["@" + name] = number(found[name])
    for name in ("memorySize", "maxMemoryUsed"):
        if found[name] is not None:
            fields["@" + name] = int(found[name]) * MEGABYTE
    return fields


def _flat(path: str, value: Any) -> Iterator[tuple[str, Value]]:
    if isinstance(value, dict | list):
        for name, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(f"{path}.{name}" if path else str(name), one)
    elif path and value is not None:
        yield path, int(value) if isinstance(value, bool) else value


def number(value: Value) -> int | float | None:
    """A number or a text that is one; None for anything else."""
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str) or not value or len(value) > 400:
        return None
    try:
        return int(value)
    except ValueError:
        pass
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def text(value: Value) -> str:
    """A value as results show it."""
    if isinstance(value, str):
        return value
    if isinstance(value, Time):
        return date(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)
    if isinstance(value, bool):
        return str(int(value))
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else orjson.dumps(value).decode()


def date(time: int) -> str:
    if not 0 <= time < _EPOCH_END:
        return str(int(time))
    return datetime.fromtimestamp(time // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.") + f"{time % 1000:03d}"


def truth(value: Value) -> bool:
    return bool(value) and value != "false"


def equal(left: Value, right: Value) -> bool:
    if left is None or right is None:
        return left is right
    first, second = number(left), number(right)
    return first == second if first is not None and second is not None else text(left) == text(right)


def compared(left: Value, right: Value) -> int | None:
    """Below, at or above zero; None when one of them is not there."""
    if left is None or right is None:
        return None
    first, second = number(left), number(right)
    if first is not None and second is not None:
        return (first > second) - (first < second)
    return (text(left) > text(right)) - (text(left) < text(right))


def order(value: Value) -> tuple[int, float, str]:
    """A key to sort by: what is not there, numbers, texts."""
    if value is None:
        return 0, 0.0, ""
    found = number(value)
    return (2, 0.0, text(value)) if found is None else (1, float(found), "")


def pointer(group: str, stream: str, time: int, sequence: int) -> str:
    """@ptr: where an event is."""
    return base64.urlsafe_b64encode(orjson.dumps((group, stream, time, sequence))).decode()


def read_pointer(given: str) -> tuple[str, str, int, int] | None:
    try:
        group, stream, time, sequence = orjson.loads(base64.urlsafe_b64decode(given))
        return str(group), str(stream), int(time), int(sequence)
    except (ValueError, TypeError, binascii.Error):
        return None
