"""What the operators and functions of a condition mean, as closures over items."""

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

from haar.services.dynamodb.expressions import paths
from haar.services.dynamodb.limits import EXPRESSION_OPERATORS
from haar.services.dynamodb.values import Item, Value, binary_size, order_key

Values = Mapping[str, Value]
Test = Callable[[Item, Values], bool]
Operand = Callable[[Item, Values], Value | None]
ORDERED = ("S", "N", "B")


TOO_MANY = f"The expression contains too many operators; operator count: {EXPRESSION_OPERATORS + 1}"
"""Counting ends where there is one too many."""


def never(item: Item, values: Values) -> bool:
    return False


def test(node: Any) -> Test:
    """Compiles a checked condition."""
    operator = node.operator
    if operator in ("AND", "OR", "NOT"):
        tests = [test(each) for each in node.operands]
        if operator == "NOT":
            inner = tests[0]
            return lambda item, values: not inner(item, values)
        if operator == "AND":
            return lambda item, values: all(each(item, values) for each in tests)
        return lambda item, values: any(each(item, values) for each in tests)
    operands = [operand(each) for each in node.operands]
    if operator == "IN":
        return _membership(operands[0], operands[1:])
    compare = _TESTS.get(operator)
    if compare is None:
        return never
    if len(operands) == 1:
        only = operands[0]
        return lambda item, values: compare(only(item, values))
    if len(operands) == 2:
        left, right = operands
        return lambda item, values: compare(left(item, values), right(item, values))
    return lambda item, values: compare(*(each(item, values) for each in operands))


def operand(node: Any) -> Operand:
    name = getattr(node, "name", None)
    if name is not None:
        return lambda item, values: values[name]
    path = getattr(node, "path", None)
    if path is not None:
        get = paths.getter(path)
        return lambda item, values: get(item)
    inner = operand(node.operands[0])
    return lambda item, values: size(inner(item, values))


def _membership(left: Operand, members: list[Operand]) -> Test:
    def test(item: Item, values: Values) -> bool:
        value = left(item, values)
        return value is not None and any(value == member(item, values) for member in members)

    return test


def size(value: Value | None) -> Value | None:
    """What size() answers: characters, bytes or elements; None where a value has no size."""
    if value is None:
        return None
    kind, content = next(iter(value.items()))
    if kind == "S":
        return {"N": str(len(content) if content.isascii() else len(content.encode("utf-16-le")) // 2)}
    if kind == "B":
        return {"N": str(binary_size(content))}
    return None if kind in ("N", "BOOL", "NULL") else {"N": str(len(content))}


def equal(left: Value | None, right: Value | None) -> bool:
    return left is not None and left == right


def unequal(left: Value | None, right: Value | None) -> bool:
    return left is None or left != right


def order(left: Value | None, right: Value | None) -> int | None:
    """-1, 0 or 1; None for values that have no order between them."""
    if left is None or right is None:
        return None
    kind, content = next(iter(left.items()))
    other = right.get(kind)
    if other is None or kind not in ORDERED:
        return None
    if content == other:
        return 0
    return -1 if order_key(kind, content) < order_key(kind, other) else 1


def between(value: Value | None, low: Value | None, high: Value | None) -> bool:
    return order(low, value) in (-1, 0) and order(value, high) in (-1, 0)


def begins_with(value: Value | None, prefix: Value | None) -> bool:
    if value is None or prefix is None:
        return False
    kind, content = next(iter(value.items()))
    start = prefix.get(kind)
    if start is None or kind not in ("S", "B"):
        return False
    return bool(content.startswith(start)) if kind == "S" else b64decode(content).startswith(b64decode(start))


def contains(value: Value | None, part: Value | None) -> bool:
    if value is None or part is None:
        return False
    kind, content = next(iter(value.items()))
    if kind == "L":
        return part in content
    inner = part.get(kind[0])
    if type(inner) is not str:
        return False
    if kind in ("SS", "NS", "BS"):
        return inner in content
    if kind == "S":
        return inner in content
    return kind == "B" and b64decode(inner) in b64decode(content)


def has_type(value: Value | None, name: Value | None) -> bool:
    return value is not None and name is not None and name["S"] in value


_TESTS: dict[str, Callable[..., bool]] = {
    "=": equal,
    "<>": unequal,
    "<": lambda left, right: order(left, right) == -1,
    "<=": lambda left, right: order(left, right) in (-1, 0),
    ">": lambda left, right: order(left, right) == 1,
    ">=": lambda left, right: order(left, right) in (0, 1),
    "BETWEEN": between,
    "begins_with": begins_with,
    "contains": contains,
    "attribute_type": has_type,
    "attribute_exists": lambda value: value is not None,
    "attribute_not_exists": lambda value: value is None,
}
