"""The parameters that came before expressions: Expected, AttributeUpdates, KeyConditions, QueryFilter, ScanFilter, AttributesToGet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from haar.services.dynamodb import errors, numbers, values
from haar.services.dynamodb.expressions import operators
from haar.services.dynamodb.expressions.keyconditions import KeyCondition
from haar.services.dynamodb.expressions.projections import Compiled as Projection
from haar.services.dynamodb.expressions.projections import projector
from haar.services.dynamodb.sets import difference, union
from haar.services.dynamodb.values import SETS, Item, Value, kind_of, order_key

Condition = Callable[[Item], bool]
Test = Callable[[Value | None, Sequence[Value]], bool]

_SCALARS = ("S", "N", "B")
_TYPES = {
    "EQ": ("S", "N", "B", "SS", "NS", "BS", "L", "M", "BOOL", "NULL"),
    "NE": ("S", "N", "B", "SS", "NS", "BS", "L", "M", "BOOL", "NULL"),
    "LE": _SCALARS,
    "LT": _SCALARS,
    "GE": _SCALARS,
    "GT": _SCALARS,
    "CONTAINS": _SCALARS,
    "NOT_CONTAINS": _SCALARS,
    "BEGINS_WITH": ("S", "B"),
    "IN": _SCALARS,
    "BETWEEN": _SCALARS,
}
_COUNTS = {"NULL": 0, "NOT_NULL": 0, "BETWEEN": 2}

_TESTS: dict[str, Test] = {
    "EQ": lambda value, given: operators.equal(value, given[0]),
    "NE": lambda value, given: operators.unequal(value, given[0]),
    "LE": lambda value, given: operators.order(value, given[0]) in (-1, 0),
    "LT": lambda value, given: operators.order(value, given[0]) == -1,
    "GE": lambda value, given: operators.order(value, given[0]) in (0, 1),
    "GT": lambda value, given: operators.order(value, given[0]) == 1,
    "NULL": lambda value, given: value is None,
    "NOT_NULL": lambda value, given: value is not None,
    "CONTAINS": lambda value, given: operators.contains(value, given[0]),
    "NOT_CONTAINS": lambda value, given: value is not None and not operators.contains(value, given[0]),
    "BEGINS_WITH": lambda value, given: operators.begins_with(value, given[0]),
    "IN": lambda value, given: value is not None and value in given,
    "BETWEEN": lambda value, given: operators.between(value, given[0], given[1]),
}


def check_operator(input: Mapping[str, Any], conditions: Mapping[str, Any] | None) -> None:
    """ConditionalOperator needs something to combine."""
    if input.get("ConditionalOperator") is None:
        return
    if not conditions:
        raise errors.validation("ConditionalOperator cannot be used without Filter or Expected")
    if len(conditions) == 1:
        raise errors.validation("ConditionalOperator can only be used when Filter or Expected has two or more elements")


def attributes_to_get(names: Sequence[str]) -> Projection:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise errors.invalid(f"Duplicate value in attribute name: {name}")
        seen.add(name)
    return Projection(tuple((name,) for name in names), projector([(name,) for name in names]), frozenset(), tuple(names))


def _combined(tests: list[tuple[str, Test, list[Value]]], either: bool) -> Condition:
    join = any if either else all
    return lambda item: join(test(item.get(name), given) for name, test, given in tests)


def filtered(conditions: Mapping[str, Any], either: bool) -> Condition:
    """QueryFilter or ScanFilter as a test of items."""
    checked = _checked(conditions)
    return _combined([(name, _TESTS[condition.operator], condition.values) for name, condition in checked.items()], either)


def key_conditions(conditions: Mapping[str, Any]) -> dict[str, KeyCondition]:
    return _checked(conditions)


def _checked(conditions: Mapping[str, Any]) -> dict[str, KeyCondition]:
    found = {}
    for name, condition in conditions.items():
        operator = condition["ComparisonOperator"]
        given = condition.get("AttributeValueList") or []
        for value in given:
            values.check(value)
        _check_count(operator, len(given))
        _check_kinds(operator, given)
        found[name] = KeyCondition(operator, given)
    return found


def _check_count(operator: str, count: int) -> None:
    wanted = _COUNTS.get(operator, 1)
    if (operator == "IN" and count < 1) or (operator != "IN" and count != wanted):
        raise errors.invalid(f"Invalid number of argument(s) for the {operator} ComparisonOperator")


def _check_kinds(operator: str, given: Sequence[Value]) -> None:
    kinds = [kind_of(value) for value in given]
    if len(set(kinds)) > 1:
        raise errors.invalid("AttributeValues inside AttributeValueList must be of same type")
    for kind in kinds:
        if kind not in _TYPES.get(operator, (kind,)):
            raise errors.invalid(f"ComparisonOperator {operator} is not valid for {kind} AttributeValue type")
    if operator == "BETWEEN" and order_key(kinds[0], given[0][kinds[0]]) > order_key(kinds[1], given[1][kinds[1]]):
        raise errors.validation("The BETWEEN condition was provided a range where the lower bound is greater than the upper bound")


def expected(conditions: Mapping[str, Any], either: bool) -> Condition:
    """Expected as a test of the item that is there."""
    tests: list[tuple[str, Test, list[Value]]] = []
    for name, condition in conditions.items():
        tests.append((name, *_expected(name, condition)))
    return _combined(tests, either)


def _expected(name: str, condition: Mapping[str, Any]) -> tuple[Test, list[Value]]:
    value, listed = condition.get("Value"), condition.get("AttributeValueList")
    operator, exists = condition.get("ComparisonOperator"), condition.get("Exists")
    if value is not None:
        values.check(value)
    for each in listed or ():
        values.check(each)
    if value is not None and listed is not None:
        raise errors.invalid(f"Value and AttributeValueList cannot be used together for Attribute: {name}")
    if operator is not None:
        if exists is not None:
            raise errors.invalid(f"Exists and ComparisonOperator cannot be used together for Attribute: {name}")
        if operator not in ("NULL", "NOT_NULL") and value is None and listed is None:
            raise errors.invalid(f"Value or AttributeValueList must be used with ComparisonOperator: {operator} for Attribute: {name}")
        given = list(listed) if listed is not None else [value] if value is not None else []
        _check_count(operator, len(given))
        _check_kinds(operator, given)
        return _TESTS[operator], given
    if listed is not None:
        raise errors.invalid(f"AttributeValueList can only be used with a ComparisonOperator for Attribute: {name}")
    if exists is False:
        if value is not None:
            raise errors.invalid(f"Value cannot be used when Exists is false for Attribute: {name}")
        return _TESTS["NULL"], []
    if value is None:
        raise errors.invalid(f"Value must be provided when Exists is {'null' if exists is None else 'true'} for Attribute: {name}")
    return _TESTS["EQ"], [value]


@dataclass(slots=True)
class LegacyUpdate:
    """AttributeUpdates, with the face of a compiled update expression."""

    changes: list[tuple[str, str, Value | None]]
    """(attribute, PUT, ADD or DELETE, value)"""

    @property
    def heads(self) -> tuple[str, ...]:
        return tuple(name for name, _, _ in self.changes)

    @property
    def accessed(self) -> tuple[str, ...]:
        return self.heads

    @property
    def paths(self) -> tuple[tuple[str | int, ...], ...]:
        return tuple((name,) for name, _, _ in self.changes)

    @property
    def only_removes(self) -> bool:
        return bool(self.changes) and all(action == "DELETE" for _, action, _ in self.changes)

    @property
    def written(self) -> tuple[tuple[str | int, ...], ...]:
        return self.paths

    def given(self, values: Mapping[str, Value]) -> Item:
        """What of the new item is known whatever the old one is."""
        return {name: value for name, action, value in self.changes if action != "DELETE" and value is not None}

    def apply(self, item: Item, given: Mapping[str, Value]) -> Item:
        """A new item. Raises ValidationException for types that do not go together."""
        changed = dict(item)
        for name, action, value in self.changes:
            new = _changed(changed.get(name), action, value)
            if new is None:
                changed.pop(name, None)
            else:
                changed[name] = new
        return changed


def _changed(old: Value | None, action: str, value: Value | None) -> Value | None:
    if action == "PUT" or value is None:
        return value
    kind, content = next(iter(value.items()))
    if old is None:
        return value if action == "ADD" else None
    have = old.get(kind)
    if have is None:
        raise errors.validation("Type mismatch for attribute to update")
    if action == "DELETE":
        left = difference(have, content)
        return {kind: left} if left else None
    if kind == "N":
        return {"N": numbers.add(have, content)}
    return {kind: have + content if kind == "L" else union(kind, have, content)}


def attribute_updates(changes: Mapping[str, Any]) -> LegacyUpdate:
    found: list[tuple[str, str, Value | None]] = []
    for name, change in changes.items():
        values.check_name(name)
        value, action = change.get("Value"), change.get("Action", "PUT")
        if value is not None:
            values.check(value)
        if value is None and action != "DELETE":
            raise errors.invalid("Only DELETE action is allowed when no attribute value is specified")
        if value is not None and action == "DELETE" and kind_of(value) not in SETS:
            raise errors.invalid(f"DELETE action with value is not supported for the type {kind_of(value)}")
        if value is not None and action == "ADD" and kind_of(value) not in (*SETS, "N", "L"):
            raise errors.invalid(f"ADD action is not supported for the type {kind_of(value)}")
        found.append((name, action, value))
    return LegacyUpdate(found)
