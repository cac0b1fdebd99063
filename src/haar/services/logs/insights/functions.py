"""The functions of queries: of one row (`strlen`), and over many (`avg`). Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax-operations-functions.html
"""

import ipaddress
import math
from collections.abc import Callable, Sequence

import orjson

from haar.services.logs.insights.values import DECIMALS, Time, Value, compared, number, text, truth

MAX_KEPT = 50_000
"""Values that a percentile or a count of distinct ones keeps: of more, every second, fourth, … one; counts stop there."""

UNITS = {
    "ms": 1,
    "s": 1000,
    "sec": 1000,
    "second": 1000,
    "m": 60_000,
    "min": 60_000,
    "minute": 60_000,
    "h": 3_600_000,
    "hr": 3_600_000,
    "hour": 3_600_000,
    "d": 86_400_000,
    "day": 86_400_000,
    "w": 604_800_000,
    "week": 604_800_000,
    "mo": 2_629_800_000,
    "month": 2_629_800_000,
    "q": 7_889_400_000,
    "quarter": 7_889_400_000,
    "y": 31_557_600_000,
    "year": 31_557_600_000,
}
"""Milliseconds."""


def _numeric(function: Callable[..., float]) -> Callable[..., Value]:
    """None where an argument is no number, or there is no answer."""

    def apply(*values: Value) -> Value:
        numbers = [number(value) for value in values]
        if any(one is None for one in numbers):
            return None
        try:
            return function(*numbers)
        except (ValueError, ZeroDivisionError, OverflowError):
            return None

    return apply


def _textual(function: Callable[..., Value]) -> Callable[..., Value]:
    return lambda first, *rest: None if first is None else function(text(first), *(text(one) for one in rest))


def _substr(of: str, start: str, length: str = "") -> Value:
    first, size = number(start), number(length)
    if first is None:
        return None
    at = max(0, int(first))
    return of[at:] if size is None else of[at : at + max(0, int(size))]


def _address(value: Value, version: int | None = None) -> bool:
    try:
        found = ipaddress.ip_address(text(value))
    except ValueError:
        return False
    return version in (None, found.version)


def _in_subnet(value: Value, subnet: Value, version: int | None = None) -> bool:
    try:
        return _address(value, version) and ipaddress.ip_address(text(value)) in ipaddress.ip_network(text(subnet), strict=False)
    except ValueError:
        return False


def _parsed(value: Value) -> Value:
    try:
        return orjson.loads(text(value))
    except orjson.JSONDecodeError:
        return None


def _rounded(times: Callable[[float], int]) -> Callable[..., Value]:
    def apply(value: Value, period: Value) -> Value:
        time, size = number(value), number(period)
        return None if time is None or not size else Time(times(time / size) * int(size))

    return apply


PER_ROW: dict[str, tuple[int, int, Callable[..., Value]]] = {
    "abs": (1, 1, _numeric(abs)),
    "ceil": (1, 1, _numeric(math.ceil)),
    "floor": (1, 1, _numeric(math.floor)),
    "greatest": (1, 99, _numeric(max)),
    "least": (1, 99, _numeric(min)),
    "log": (1, 1, _numeric(math.log)),
    "sqrt": (1, 1, _numeric(math.sqrt)),
    "isempty": (1, 1, lambda value: value is None or text(value) == ""),
    "isblank": (1, 1, lambda value: value is None or not text(value).strip()),
    "ispresent": (1, 1, lambda value: value is not None),
    "coalesce": (1, 99, lambda *values: next((value for value in values if value is not None), None)),
    "if": (3, 3, lambda test, then, other: then if truth(test) else other),
    "concat": (1, 99, lambda *values: "".join(text(value) for value in values)),
    "ltrim": (1, 2, _textual(lambda of, which=None: of.lstrip(which))),
    "rtrim": (1, 2, _textual(lambda of, which=None: of.rstrip(which))),
    "trim": (1, 2, _textual(lambda of, which=None: of.strip(which))),
    "strlen": (1, 1, _textual(len)),
    "toupper": (1, 1, _textual(str.upper)),
    "tolower": (1, 1, _textual(str.lower)),
    "substr": (2, 3, _textual(_substr)),
    "replace": (3, 3, _textual(lambda of, old, new: of.replace(old, new) if old else of)),
    "strcontains": (2, 2, _textual(lambda of, part: int(part in of))),
    "frommillis": (1, 1, lambda value: None if (time := number(value)) is None else Time(int(time))),
    "tomillis": (1, 1, lambda value: None if (time := number(value)) is None else int(time)),
    "datefloor": (2, 2, _rounded(math.floor)),
    "dateceil": (2, 2, _rounded(math.ceil)),
    "jsonparse": (1, 1, _parsed),
    "jsonstringify": (1, 1, text),
    "isvalidip": (1, 1, _address),
    "isvalidipv4": (1, 1, lambda value: _address(value, 4)),
    "isvalidipv6": (1, 1, lambda value: _address(value, 6)),
    "isipinsubnet": (2, 2, _in_subnet),
    "isipv4insubnet": (2, 2, lambda value, subnet: _in_subnet(value, subnet, 4)),
    "isipv6insubnet": (2, 2, lambda value, subnet: _in_subnet(value, subnet, 6)),
}
"""By lower-case name: the least and the most arguments, and what it does."""


class Over:
    """What a function comes to over the rows of a group."""

    def add(self, value: Value, time: int) -> None:
        raise NotImplementedError

    def result(self) -> Value:
        raise NotImplementedError


class Count(Over):
    def __init__(self) -> None:
        self._count = 0

    def add(self, value: Value, time: int) -> None:
        self._count += value is not None

    def result(self) -> Value:
        return self._count


class Moments(Over):
    """sum, avg, stddev: of numbers only."""

    def __init__(self, which: str) -> None:
        self._which = which
        self._count, self._sum, self._mean, self._squares = 0, 0.0, 0.0, 0.0

    def add(self, value: Value, time: int) -> None:
        found = number(value)
        if found is None:
            return
        self._count += 1
        self._sum += found
        before = found - self._mean
        self._mean += before / self._count
        self._squares += before * (found - self._mean)

    def result(self) -> Value:
        if not self._count:
            return None
        if self._which == "sum":
            return round(self._sum, DECIMALS)
        return round(self._sum / self._count if self._which == "avg" else math.sqrt(self._squares / self._count), DECIMALS)


class Best(Over):
    """min, max, sortsFirst, sortsLast: of numbers, or as texts are sorted."""

    def __init__(self, sign: int, texts: bool = False) -> None:
        self._sign, self._texts = sign, texts
        self._best: Value = None

    def add(self, value: Value, time: int) -> None:
        if value is None:
            return
        if self._texts:
            value = text(value)
        if self._best is None or (compared(value, self._best) or 0) * self._sign > 0:
            self._best = value

    def result(self) -> Value:
        return self._best


class AtTime(Over):
    """earliest, latest: the value of the row of that time."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._time: int | None = None
        self._value: Value = None

    def add(self, value: Value, time: int) -> None:
        if value is not None and (self._time is None or time * self._sign > self._time * self._sign):
            self._time, self._value = time, value

    def result(self) -> Value:
        return self._value


class Distinct(Over):
    def __init__(self) -> None:
        self._seen: set[int] = set()
        """Hashes: values may be long."""

    def add(self, value: Value, time: int) -> None:
        if value is not None and len(self._seen) < MAX_KEPT:
            self._seen.add(hash(text(value)))

    def result(self) -> Value:
        return len(self._seen)


class Percentile(Over):
    def __init__(self, share: float) -> None:
        self._share = share
        self._kept: list[float] = []
        self._step, self._skipped = 1, 0

    def add(self, value: Value, time: int) -> None:
        found = number(value)
        if found is None:
            return
        self._skipped += 1
        if self._skipped >= self._step:
            self._skipped = 0
            self._kept.append(float(found))
            if len(self._kept) >= MAX_KEPT:
                del self._kept[::2]
                self._step *= 2

    def result(self) -> Value:
        if not self._kept:
            return None
        at = max(0, math.ceil(self._share / 100 * len(self._kept)) - 1)
        return round(sorted(self._kept)[at], DECIMALS)


def over(name: str, constants: Sequence[Value]) -> Callable[[], Over] | None:
    """Makes the named function over rows; None when there is none of these arguments. `constants` follow the first argument."""
    if name in ("pct", "percentile"):
        share = number(constants[0]) if len(constants) == 1 else None
        return None if share is None or not 0 <= share <= 100 else lambda: Percentile(float(share))
    plain: dict[str, Callable[[], Over]] = {
        "count": Count,
        "count_distinct": Distinct,
        "sum": lambda: Moments("sum"),
        "avg": lambda: Moments("avg"),
        "stddev": lambda: Moments("stddev"),
        "median": lambda: Percentile(50.0),
        "min": lambda: Best(-1),
        "max": lambda: Best(1),
        "sortsfirst": lambda: Best(-1, texts=True),
        "sortslast": lambda: Best(1, texts=True),
        "earliest": lambda: AtTime(-1),
        "latest": lambda: AtTime(1),
    }
    return None if constants else plain.get(name)


OVER_ROWS = frozenset(
    ("count", "count_distinct", "sum", "avg", "stddev", "median", "min", "max", "sortsfirst", "sortslast", "earliest", "latest", "pct")
) | {"percentile"}
