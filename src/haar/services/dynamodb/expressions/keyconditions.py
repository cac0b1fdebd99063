"""What a key condition asks for: one comparison per key attribute."""

from typing import NamedTuple

from haar.services.dynamodb import errors
from haar.services.dynamodb.expressions.conditions import Call, Compiled, Logic, Node, PathNode, ValueNode, Values
from haar.services.dynamodb.values import Value

FLIPPED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
LEGACY = {"=": "EQ", "<": "LT", "<=": "LE", ">": "GT", ">=": "GE", "BETWEEN": "BETWEEN", "begins_with": "BEGINS_WITH"}
Shape = dict[str, tuple[str, list[str]]]
"""By attribute the operator and the names of its values: what does not depend on a request."""


class KeyCondition(NamedTuple):
    """`operator` is that of the legacy parameters: EQ, LT, LE, GT, GE, BETWEEN, BEGINS_WITH."""

    operator: str
    values: list[Value]


def key_conditions(compiled: Compiled, values: Values) -> dict[str, KeyCondition]:
    """The conditions of a KeyConditionExpression by attribute. Raises ValidationException for what a key condition cannot have."""
    shape: Shape | None = compiled.shape
    if shape is None:
        shape = {}
        _collect(compiled.root, shape)
        compiled.shape = shape
    return {name: KeyCondition(operator, [values[each] for each in operands]) for name, (operator, operands) in shape.items()}


def _collect(node: Node, found: Shape) -> None:
    if isinstance(node, Logic):
        if node.operator != "AND":
            raise errors.validation(f"Invalid operator used in KeyConditionExpression: {node.operator}")
        for operand in node.operands:
            _collect(operand, found)
        return
    assert isinstance(node, Call)
    _check_operator(node)
    name, at = _attribute(node)
    operator = node.operator
    rest = node.operands[1:]
    if at:
        operator = FLIPPED.get(operator, operator)
        rest = (node.operands[0], *node.operands[2:])
    if name in found:
        raise errors.validation("KeyConditionExpressions must only contain one condition per key")
    found[name] = (LEGACY[operator], [each.name for each in rest if isinstance(each, ValueNode)])


def _check_operator(call: Call) -> None:
    operator = call.operator
    if operator in ("IN", "<>", "attribute_exists", "attribute_not_exists", "attribute_type", "contains"):
        raise errors.validation(f"Invalid operator used in KeyConditionExpression: {operator}")
    if operator == "size":
        raise errors.validation("KeyConditionExpressions cannot contain nested operations")
    if operator in ("BETWEEN", "begins_with") and not isinstance(call.operands[0], PathNode):
        raise errors.validation(
            f"Invalid condition in KeyConditionExpression: {operator} operator must have the key attribute as its first operand"
        )


def _attribute(call: Call) -> tuple[str, int]:
    """The key attribute of a comparison, and which operand it is."""
    found: tuple[str, int] | None = None
    for at, operand in enumerate(call.operands):
        if isinstance(operand, PathNode):
            if found is not None:
                raise errors.validation("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")
            if len(operand.path) > 1:
                raise errors.validation("KeyConditionExpressions cannot have conditions on nested attributes")
            found = (str(operand.path[0]), at)
        elif isinstance(operand, Call):
            _check_operator(operand)
    if found is None:
        raise errors.validation("Invalid condition in KeyConditionExpression: No key attribute specified")
    return found
