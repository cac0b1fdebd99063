"""Filter criteria of event source mappings: EventBridge's pattern language as far as Lambda takes it. Pure.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html

A pattern is compiled once into a predicate on a decoded record. Where the record has an array, any of its elements may match.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

MAX_PATTERN = 4096
MAX_FILTERS = 5

Predicate = Callable[[Any], bool]
_MISSING = object()


class BadPattern(ValueError):
    """What is no filter pattern; the message says why."""


def compile_filters(patterns: Sequence[str]) -> Predicate | None:
    """Whether any of the patterns matches a record; None where there are no patterns. Raises BadPattern."""
    compiled = [compile_pattern(pattern) for pattern in patterns]
    if not compiled:
        return None
    return lambda record: any(matches(record) for matches in compiled)


def compile_pattern(text: str) -> Predicate:
    """Raises BadPattern."""
    if len(text) > MAX_PATTERN:
        raise BadPattern(f"a pattern has more than {MAX_PATTERN} characters")
    try:
        pattern = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadPattern(f"a pattern is not JSON: {error}") from None
    if not isinstance(pattern, dict) or not pattern:
        raise BadPattern("a pattern is not an object with members")
    return _object(pattern)


def _object(pattern: Mapping[str, Any]) -> Predicate:
    """All members match."""
    parts: list[Predicate] = []
    for name, inner in pattern.items():
        if name == "$or" and isinstance(inner, list):
            parts.append(_alternatives(inner))
        elif isinstance(inner, dict):
            if not inner:
                raise BadPattern(f"{name} is an empty object")
            parts.append(_member(name, _object(inner)))
        elif isinstance(inner, list):
            if not inner:
                raise BadPattern(f"{name} is an empty list")
            parts.append(_leaf(name, inner))
        else:
            raise BadPattern(f"{name} is neither an object nor a list of values")
    return lambda value: isinstance(value, dict) and all(part(value) for part in parts)


def _alternatives(patterns: Sequence[Any]) -> Predicate:
    if len(patterns) < 2 or not all(isinstance(pattern, dict) and pattern for pattern in patterns):
        raise BadPattern("$or is not a list of two or more objects")
    compiled = [_object(pattern) for pattern in patterns]
    return lambda value: any(matches(value) for matches in compiled)


def _member(name: str, matches: Predicate) -> Predicate:
    """A member that is an object itself; where it is not there, its own members are missing."""

    def check(value: Mapping[str, Any]) -> bool:
        found = value.get(name)
        if isinstance(found, list):
            return any(matches(one) for one in found)
        return matches(found if isinstance(found, dict) else {})

    return check


def _leaf(name: str, wanted: Sequence[Any]) -> Predicate:
    """A member's value matches any of what is listed."""
    checks = [_value(one) for one in wanted]

    def check(value: Mapping[str, Any]) -> bool:
        found = value.get(name, _MISSING)
        if isinstance(found, dict):
            found = _MISSING  # only values are compared, and it has none itself
        if isinstance(found, list):
            scalars = [one for one in found if not isinstance(one, dict | list)] or [_MISSING]
            return any(matches(one) for one in scalars for matches in checks)
        return any(matches(found) for matches in checks)

    return check


def _value(wanted: Any) -> Predicate:
    if isinstance(wanted, dict):
        if len(wanted) != 1:
            raise BadPattern("a comparison is not an object with one member")
        ((kind, operand),) = wanted.items()
        if kind not in _COMPARISONS:
            raise BadPattern(f"there is no comparison {kind!r}")
        return _COMPARISONS[kind](operand)
    if isinstance(wanted, list):
        raise BadPattern("a list of values holds a list")
    return _equal(wanted)


def _equal(wanted: Any) -> Predicate:
    if isinstance(wanted, bool) or wanted is None:
        return lambda value: value is wanted
    if isinstance(wanted, str):
        return lambda value: isinstance(value, str) and value == wanted
    return lambda value: _is_number(value) and value == wanted


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _exists(operand: Any) -> Predicate:
    if operand is True:
        return lambda value: value is not _MISSING
    if operand is False:
        return lambda value: value is _MISSING
    raise BadPattern("exists is neither true nor false")


def _text(kind: str, compare: Callable[[str, str], bool]) -> Callable[[Any], Predicate]:
    """A comparison of texts, with the variant that ignores case."""

    def make(operand: Any) -> Predicate:
        if isinstance(operand, dict) and list(operand) == ["equals-ignore-case"] and isinstance(operand["equals-ignore-case"], str):
            folded = operand["equals-ignore-case"].casefold()
            return lambda value: isinstance(value, str) and compare(value.casefold(), folded)
        if not isinstance(operand, str):
            raise BadPattern(f"{kind} is not a text")
        return lambda value: isinstance(value, str) and compare(value, operand)

    return make


def _ignoring_case(operand: Any) -> Predicate:
    if not isinstance(operand, str):
        raise BadPattern("equals-ignore-case is not a text")
    folded = operand.casefold()
    return lambda value: isinstance(value, str) and value.casefold() == folded


def _anything_but(operand: Any) -> Predicate:
    """A value that is there and none of these."""
    if isinstance(operand, dict):
        if len(operand) != 1 or (kind := next(iter(operand))) not in ("prefix", "suffix", "equals-ignore-case"):
            raise BadPattern("anything-but takes values, prefix, suffix or equals-ignore-case")
        texts = operand[kind] if isinstance(operand[kind], list) else [operand[kind]]
        refused = [_COMPARISONS[kind](text) for text in texts]
    else:
        values = operand if isinstance(operand, list) else [operand]
        if any(isinstance(value, dict | list | bool) or value is None for value in values):
            raise BadPattern("anything-but holds what is neither a text nor a number")
        refused = [_equal(value) for value in values]
    if not refused:
        raise BadPattern("anything-but is an empty list")
    return lambda value: value is not _MISSING and not any(matches(value) for matches in refused)


_NUMERIC: Mapping[str, Callable[[float, float], bool]] = {
    "=": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}


def _numeric(operand: Any) -> Predicate:
    """`["=", 5]` or `[">", 0, "<=", 10]`."""
    if not isinstance(operand, list) or len(operand) not in (2, 4):
        raise BadPattern("numeric is not a list of one or two comparisons")
    bounds: list[tuple[Callable[[float, float], bool], float]] = []
    for sign, bound in zip(operand[::2], operand[1::2], strict=True):
        if not isinstance(sign, str) or sign not in _NUMERIC or not _is_number(bound):
            raise BadPattern("numeric holds what is no comparison with a number")
        bounds.append((_NUMERIC[sign], bound))
    if len(bounds) == 2 and (operand[0][0] != ">" or operand[2][0] != "<" or operand[1] >= operand[3]):
        raise BadPattern("numeric is no range: its lower bound comes first")
    return lambda value: _is_number(value) and all(compare(value, bound) for compare, bound in bounds)


_COMPARISONS: Mapping[str, Callable[[Any], Predicate]] = {
    "exists": _exists,
    "prefix": _text("prefix", str.startswith),
    "suffix": _text("suffix", str.endswith),
    "equals-ignore-case": _ignoring_case,
    "anything-but": _anything_but,
    "numeric": _numeric,
}
