"""Scalar values as they look on the wire: timestamps, floats, blobs, booleans."""

import base64
import binascii
import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from haar.wire.errors import CommonError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def serialization(message: str | None) -> CommonError:
    """The error of a request that is not of the operation's shape."""
    return CommonError("Serialization", message)


def parse_timestamp(value: Any) -> datetime:
    """Epoch seconds (number or digits), ISO 8601 or an HTTP date, as an aware datetime in UTC."""
    try:
        if type(value) is int or type(value) is float:
            return _EPOCH + timedelta(seconds=value)
        if type(value) is str:
            return _from_text(value)
    except (ValueError, OverflowError, TypeError) as error:
        raise serialization(f"Unable to parse date as timestamp: {value}") from error
    raise serialization(f"{token(value)} cannot be converted to Date")


def _from_text(text: str) -> datetime:
    if text and (text[0].isdigit() or text[0] == "-"):
        if text.count("-") >= 2 or "T" in text:
            moment = datetime.fromisoformat(text)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return _EPOCH + timedelta(seconds=float(text))
    moment = parsedate_to_datetime(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return _EPOCH + timedelta(seconds=value)


def epoch(value: Any) -> int | float:
    """A datetime or epoch seconds, as epoch seconds in milliseconds' precision."""
    seconds = (_moment(value) - _EPOCH).total_seconds() if isinstance(value, datetime) else value
    rounded = round(seconds, 3)
    return int(rounded) if rounded == int(rounded) else rounded


def seconds(value: Any) -> Any:
    """The same moment without its fraction; a text as it is."""
    return value if isinstance(value, str) else _moment(value).replace(microsecond=0)


def iso8601(value: Any) -> str:
    """`2015-01-25T08:00:12Z`, with milliseconds when there are any."""
    if isinstance(value, str):
        return value
    moment = _moment(value).astimezone(UTC)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S") if moment.year >= 1000 else moment.replace(tzinfo=None, microsecond=0).isoformat()
    milliseconds = moment.microsecond // 1000
    return f"{text}.{milliseconds:03d}Z" if milliseconds else f"{text}Z"


def rfc822(value: Any) -> str:
    """`Sun, 25 Jan 2015 08:00:00 GMT`"""
    return value if isinstance(value, str) else format_datetime(_moment(value).astimezone(UTC).replace(microsecond=0), usegmt=True)


def timestamp(value: Any, format: str) -> Any:
    """A timestamp in one of the model's formats: `unixTimestamp` (a number), `iso8601`, `rfc822` (texts)."""
    if format == "unixTimestamp":
        return value if isinstance(value, str) else epoch(value)
    return rfc822(value) if format == "rfc822" else iso8601(value)


def number(value: float) -> float | str:
    """A float as JSON can carry it: what is not finite becomes its name."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def number_text(value: float) -> str:
    """A number as text: `1.5`, `1`, `NaN`, `-Infinity`."""
    found = number(value)
    return found if isinstance(found, str) else repr(found) if isinstance(found, float) else str(found)


def parse_float(text: str) -> float:
    if text in _SPECIAL:
        return _SPECIAL[text]
    try:
        # float() would take underscores, and names that are not the wire's.
        if "_" in text or text.lower().lstrip("+-").startswith(("i", "n")):
            raise ValueError(text)
        return float(text)
    except ValueError as error:
        raise serialization("STRING_VALUE cannot be converted to Double") from error


def parse_int(text: str) -> int:
    try:
        # int() would take underscores and blanks, and needs quadratic time for very long texts.
        if len(text) > 20 or not text.lstrip("+-").isascii() or not text.lstrip("+-").isdigit():
            raise ValueError(text)
        return int(text)
    except ValueError as error:
        raise serialization("STRING_VALUE cannot be converted to Integer") from error


def parse_bool(text: str) -> bool:
    lowered = text.lower()
    if lowered == "true":
        return True
    if lowered == "false":
        return False
    raise serialization("STRING_VALUE cannot be converted to Boolean")


def parse_blob(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError as error:
        if len(text) % 4:
            message = f"Base64 encoded length is expected a multiple of 4 bytes but found: {len(text)}"
        else:
            # AWS spells it so.
            message = "Invalid last non-pad Base64 character dectected"
        raise serialization(message) from error


def blob(value: bytes | bytearray | memoryview | str) -> str:
    """Base64 of bytes; a text is taken as UTF-8."""
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode("ascii")


def token(value: Any) -> str:
    """The name that AWS's JSON reader has for what was sent."""
    if value is True:
        return "TRUE_VALUE"
    if value is False:
        return "FALSE_VALUE"
    if isinstance(value, str):
        return "STRING_VALUE"
    if isinstance(value, float):
        return "DECIMAL_VALUE"
    return "NUMBER_VALUE" if isinstance(value, int) else "NULL_VALUE"
