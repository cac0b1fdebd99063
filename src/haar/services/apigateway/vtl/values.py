"""Values of templates: how they are printed, compared, looked into and changed. Java's ways on Python's values.

Texts, whole numbers, floats, booleans, lists and maps stand for themselves; None is Java's null. What a template gets from outside with
methods of its own (`$input`, `$util`) is a `Tool`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from haar.services.apigateway.vtl.errors import TemplateError

MAX_TEXT = 10 * 1024 * 1024
"""Characters of one value that a template makes."""


class Tool:
    """An object with methods and properties, given to templates."""

    methods: Mapping[str, Callable[..., Any]]
    properties: Mapping[str, Any]

    def __init__(self, methods: Mapping[str, Callable[..., Any]], properties: Mapping[str, Any] | None = None) -> None:
        self.methods = methods
        self.properties = properties or {}


class Variables(dict[str, Any]):
    """A map in which what is not there is an empty text, not undefined, all the way down: `$context` and `$stageVariables`."""


class Missing(str):
    """What is not there of such a map: an empty text, of which nothing is there either."""

    __slots__ = ()


MISSING = Missing("")


class Nothing(str):
    """What `$input` has not: prints as an empty text, and is false."""

    __slots__ = ()


class JsonList(list[Any]):
    """A list that was read from JSON: it prints as JSON, with all that is in it. Maps that were read print as Java's do."""


def from_json(value: Any) -> Any:
    """What was read from JSON as templates have it; it is changed in place."""
    whole = [value]
    waiting: list[Any] = [whole]
    while waiting:
        holder = waiting.pop()
        for key, one in holder.items() if isinstance(holder, dict) else enumerate(holder):
            if type(one) is list:
                one = holder[key] = JsonList(one)
            if isinstance(one, dict | list):
                waiting.append(one)
    return whole[0]


def json_text(value: Any) -> str:
    """A value as JSON. Raises TemplateError for one that is nested too deeply."""
    try:
        return orjson.dumps(value, default=text, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError as error:
        raise TemplateError(f"a value cannot be written as JSON: {error}") from None


class Entry:
    """An entry of a map: `$entry.key`, `$entry.getValue()`."""

    __slots__ = ("holder", "key")

    def __init__(self, holder: dict[Any, Any], key: Any) -> None:
        self.holder = holder
        self.key = key

    @property
    def value(self) -> Any:
        return self.holder[self.key]


def text(value: Any) -> str:
    """As Java's `toString()` prints it."""
    if type(value) is str:
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, JsonList):
        return _bounded(json_text(value))
    if isinstance(value, list | tuple):
        return _bounded("[" + ", ".join(text(one) for one in value) + "]")
    if isinstance(value, dict):
        return _bounded("{" + ", ".join(f"{text(key)}={text(one)}" for key, one in value.items()) + "}")
    if isinstance(value, Entry):
        return f"{text(value.key)}={text(value.value)}"
    return str(value) if not isinstance(value, Tool) else ""


def _bounded(made: str) -> str:
    if len(made) > MAX_TEXT:
        raise TemplateError("a value grew too large")
    return made


def _float(value: float) -> str:
    """As Java's Double.toString: `1.0`, `1.0E10`, `1.0E-5`."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    size = abs(value)
    if size == 0 or 1e-3 <= size < 1e7:
        plain = repr(value)
        return plain if "e" not in plain else f"{value:.10f}".rstrip("0")
    mantissa, _, exponent = f"{value!r}".partition("e")
    if not exponent:
        mantissa, _, exponent = f"{value:.17e}".partition("e")
        mantissa = repr(float(mantissa))
    if "." not in mantissa:
        mantissa += ".0"
    return f"{mantissa}E{int(exponent)}"


def truth(value: Any) -> bool:
    """Null and false are false; all else is true, an empty text too."""
    return value is not None and value is not False and type(value) is not Nothing


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(left: Any, right: Any) -> bool:
    """Velocity's `==`: numbers by value, others by equals, different kinds by their text."""
    if left is None or right is None:
        return left is right
    if is_number(left) and is_number(right):
        return bool(left == right)
    if type(left) is type(right) or (isinstance(left, str) and isinstance(right, str)):
        return bool(left == right)
    if isinstance(left, dict | list) and isinstance(right, dict | list):
        return bool(left == right)
    return text(left) == text(right)


def add(left: Any, right: Any) -> Any:
    if isinstance(left, str) or isinstance(right, str):
        return _bounded(text(left) + text(right))
    return left + right if is_number(left) and is_number(right) else None


def arithmetic(operator: str, left: Any, right: Any) -> Any:
    """`-`, `*`, `/`, `%` on numbers; null when it makes no sense."""
    if not is_number(left) or not is_number(right):
        return None
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    if right == 0:
        return None
    if isinstance(left, float) or isinstance(right, float):
        return left / right if operator == "/" else left - right * int(left / right)
    quotient = abs(left) // abs(right)
    quotient = quotient if (left < 0) == (right < 0) else -quotient
    return quotient if operator == "/" else left - right * quotient


def compare(operator: str, left: Any, right: Any) -> bool:
    if not is_number(left) or not is_number(right):
        return False
    if operator == "<":
        return bool(left < right)
    if operator == ">":
        return bool(left > right)
    return bool(left <= right) if operator == "<=" else bool(left >= right)


def index(value: Any, key: Any) -> Any:
    """`$value[key]`"""
    if isinstance(value, list | tuple):
        if isinstance(key, bool) or not isinstance(key, int):
            return None
        return value[key] if -len(value) <= key < len(value) else None
    if isinstance(value, dict):
        return prop(value, key)
    if isinstance(value, str) and isinstance(key, int) and 0 <= key < len(value):
        return value[key]
    return None


def prop(value: Any, name: Any) -> Any:
    """`$value.name`"""
    if type(value) is Variables:
        found = value.get(name)
        if type(found) is dict:
            found = value[name] = Variables(found)
        return MISSING if found is None else found
    if type(value) is Missing:
        return value
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, Tool):
        return value.properties.get(name)
    if isinstance(value, Entry):
        return {"key": value.key, "value": value.value}.get(name)
    if name == "empty" and isinstance(value, str | list):
        return not value
    return None


def assign(holder: Any, key: Any, value: Any) -> None:
    """`#set($holder.key = value)` and `#set($holder[key] = value)`; nothing where that cannot be."""
    if isinstance(holder, dict) or (
        isinstance(holder, list) and isinstance(key, int) and not isinstance(key, bool) and -len(holder) <= key < len(holder)
    ):
        holder[key] = value


def items(value: Any) -> list[Any]:
    """What `#foreach` goes over."""
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, dict):
        return list(value.values())
    return []
