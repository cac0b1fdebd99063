"""Methods of Java's strings, lists, maps and numbers that templates call."""

from collections.abc import Callable, Mapping
from typing import Any

from haar.services.apigateway.patterns import PatternError, compile_pattern
from haar.services.apigateway.vtl.errors import TemplateError
from haar.services.apigateway.vtl.values import MAX_TEXT, Entry, Tool, equal, is_number, text


def call(value: Any, name: str, arguments: list[Any]) -> Any:
    """`$value.name(arguments)`; null when there is no such method or the arguments do not fit it."""
    if isinstance(value, Tool):
        method = value.methods.get(name)
    elif isinstance(value, str):
        method = _bind(_TEXT, value, name)
    elif isinstance(value, bool):
        method = _bind(_BOOLEAN, value, name)
    elif is_number(value):
        method = _bind(_NUMBER, value, name)
    elif isinstance(value, list | tuple):
        method = _bind(_LIST, value, name)
    elif isinstance(value, dict):
        method = _bind(_MAP, value, name)
    elif isinstance(value, Entry):
        method = _bind(_ENTRY, value, name)
    else:
        method = None
    if method is None:
        method = _bind(_ANY, value, name)
    if method is None:
        return None
    try:
        return method(*arguments)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError):
        return None


def _bind(table: Mapping[str, Callable[..., Any]], value: Any, name: str) -> Callable[..., Any] | None:
    method = table.get(name)
    return None if method is None else lambda *arguments: method(value, *arguments)


def _pattern(expression: str) -> Any:
    try:
        return compile_pattern(expression)
    except PatternError as error:
        raise TemplateError(f"the regular expression {expression!r} cannot be read: {error}") from None


def _replacement(replacement: str) -> list[str | int]:
    """`$1` stands for a group; a backslash takes the next character as it is."""
    made: list[str | int] = []
    at = 0
    while at < len(replacement):
        one = replacement[at]
        if one == "\\" and at + 1 < len(replacement):
            at += 1
            made.append(replacement[at])
        elif one == "$" and at + 1 < len(replacement) and replacement[at + 1].isdigit():
            at += 1
            made.append(int(replacement[at]))
        else:
            made.append(one)
        at += 1
    return made


def _replace_all(value: str, expression: str, replacement: str, count: int = 0) -> str:
    parts = _replacement(replacement)

    def made(match: Any) -> str:
        return "".join(part if isinstance(part, str) else match[part] or "" for part in parts)

    return _limit(_pattern(expression).sub(made, value, count))


def _limit(made: str) -> str:
    if len(made) > MAX_TEXT:
        raise TemplateError("a value grew too large")
    return made


def _replace(value: str, old: str, new: str) -> str:
    old, new = text(old), text(new)
    if value.count(old) * len(new) + len(value) > MAX_TEXT:
        raise TemplateError("a value grew too large")
    return value.replace(old, new)


def _split(value: str, expression: str, limit: int = 0) -> list[str]:
    parts = [part or "" for part in _pattern(expression).split(value, max(limit - 1, 0))]
    if limit == 0:
        while len(parts) > 1 and parts[-1] == "":
            parts.pop()
    return parts


def _compare(left: Any, right: Any) -> int:
    """Java's compareTo: of texts, how far the first characters that differ, or else the lengths, are apart."""
    if isinstance(left, str) and isinstance(right, str):
        return next((ord(a) - ord(b) for a, b in zip(left, right, strict=False) if a != b), len(left) - len(right))
    return int(left > right) - int(left < right)


def _substring(value: str, begin: int, end: int | None = None) -> str | None:
    end = len(value) if end is None else end
    return value[begin:end] if 0 <= begin <= end <= len(value) else None


def _hash(value: str) -> int:
    total = 0
    for one in value:
        total = (31 * total + ord(one)) & 0xFFFFFFFF
    return total - (1 << 32) if total >= 1 << 31 else total


def _index_of(value: str, part: str, begin: int = 0) -> int:
    return value.find(text(part), begin)


def _last_index_of(value: str, part: str) -> int:
    return value.rfind(text(part))


_TEXT: Mapping[str, Callable[..., Any]] = {
    "length": len,
    "isEmpty": lambda value: not value,
    "isBlank": lambda value: not value.strip(),
    "substring": _substring,
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "contains": lambda value, part: text(part) in value,
    "startsWith": lambda value, part, at=0: value.startswith(part, at),
    "endsWith": lambda value, part: value.endswith(part),
    "replace": _replace,
    "replaceAll": _replace_all,
    "replaceFirst": lambda value, expression, new: _replace_all(value, expression, new, 1),
    "matches": lambda value, expression: _pattern(expression).fullmatch(value) is not None,
    "split": _split,
    "toLowerCase": lambda value: value.lower(),
    "toUpperCase": lambda value: value.upper(),
    "trim": lambda value: value.strip(" \t\n\r\x0b\x0c\x00"),
    "strip": lambda value: value.strip(),
    "equals": lambda value, other: isinstance(other, str) and value == other,
    "equalsIgnoreCase": lambda value, other: isinstance(other, str) and value.lower() == other.lower(),
    "compareTo": lambda value, other: _compare(value, other),
    "compareToIgnoreCase": lambda value, other: _compare(value.lower(), other.lower()),
    "charAt": lambda value, at: value[at] if at >= 0 else None,
    "concat": lambda value, other: _limit(value + other),
    "repeat": lambda value, times: _limit(value * min(times, MAX_TEXT // max(len(value), 1) + 1)),
    "hashCode": _hash,
    "toCharArray": list,
    "join": lambda value, parts: _limit(value.join(text(part) for part in parts)),
    "valueOf": lambda value, other: text(other),
}

_NUMBER: Mapping[str, Callable[..., Any]] = {
    "intValue": int,
    "longValue": int,
    "doubleValue": float,
    "floatValue": float,
    "compareTo": _compare,
    "parseInt": lambda value, other, base=10: int(other, base),
    "parseLong": lambda value, other, base=10: int(other, base),
    "parseDouble": lambda value, other: float(other),
    "parseFloat": lambda value, other: float(other),
    "valueOf": lambda value, other: int(other) if isinstance(value, int) else float(other),
    "toString": lambda value, other=None: text(value if other is None else other),
    "isNaN": lambda value: value != value,
}

_BOOLEAN: Mapping[str, Callable[..., Any]] = {
    "booleanValue": lambda value: value,
    "parseBoolean": lambda value, other: text(other).lower() == "true",
    "valueOf": lambda value, other: text(other).lower() == "true",
}

MAX_ITEMS = 100_000
"""Members of one list or map that a template makes."""


def _add(value: list[Any], *arguments: Any) -> bool:
    if len(value) >= MAX_ITEMS:
        raise TemplateError("a list grew too large")
    if len(arguments) == 2:
        value.insert(*arguments)
    else:
        (one,) = arguments
        value.append(one)
    return True


def _add_all(value: list[Any], more: list[Any]) -> bool:
    if len(value) + len(more) > MAX_ITEMS:
        raise TemplateError("a list grew too large")
    value.extend(more)
    return bool(more)


def _remove(value: list[Any], what: Any) -> Any:
    if isinstance(what, int) and not isinstance(what, bool):
        return value.pop(what) if 0 <= what < len(value) else None
    if what in value:
        value.remove(what)
        return True
    return False


def _set(value: list[Any], at: int, one: Any) -> Any:
    old = value[at]
    value[at] = one
    return old


def _has(value: list[Any], what: Any) -> bool:
    return any(equal(one, what) for one in value)


def _position(value: list[Any], what: Any) -> int:
    return next((at for at, one in enumerate(value) if equal(one, what)), -1)


_LIST: Mapping[str, Callable[..., Any]] = {
    "size": len,
    "length": len,
    "isEmpty": lambda value: not value,
    "get": lambda value, at: value[at] if 0 <= at < len(value) else None,
    "set": _set,
    "add": _add,
    "addAll": _add_all,
    "remove": _remove,
    "clear": lambda value: value.clear() or "",
    "contains": _has,
    "containsAll": lambda value, others: all(_has(value, one) for one in others),
    "indexOf": _position,
    "subList": lambda value, begin, end: value[begin:end],
    "toArray": list,
    "iterator": list,
}


def _put(value: dict[Any, Any], key: Any, one: Any) -> Any:
    if len(value) >= MAX_ITEMS:
        raise TemplateError("a map grew too large")
    old = value.get(key)
    value[key] = one
    return old


def _put_all(value: dict[Any, Any], more: Mapping[Any, Any]) -> None:
    if len(value) + len(more) > MAX_ITEMS:
        raise TemplateError("a map grew too large")
    value.update(more)


_MAP: Mapping[str, Callable[..., Any]] = {
    "get": lambda value, key: value.get(key),
    "getOrDefault": lambda value, key, other: value.get(key, other),
    "put": _put,
    "putAll": _put_all,
    "putIfAbsent": lambda value, key, one: value.setdefault(key, one),
    "remove": lambda value, key: value.pop(key, None),
    "clear": lambda value: value.clear(),
    "containsKey": lambda value, key: key in value,
    "containsValue": lambda value, one: any(equal(known, one) for known in value.values()),
    "keySet": list,
    "keys": list,
    "values": lambda value: list(value.values()),
    "entrySet": lambda value: [Entry(value, key) for key in value],
    "size": len,
    "isEmpty": lambda value: not value,
}

_ENTRY: Mapping[str, Callable[..., Any]] = {"getKey": lambda value: value.key, "getValue": lambda value: value.value}

_ANY: Mapping[str, Callable[..., Any]] = {"toString": text, "equals": equal}
