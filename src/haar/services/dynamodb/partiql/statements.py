"""Statements ready to be planned: conditions compiled, values apart from the text, parameters counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from haar.services.dynamodb import errors, values
from haar.services.dynamodb.expressions import projections, updates
from haar.services.dynamodb.expressions.conditions import Call, Node, check_call
from haar.services.dynamodb.values import Value

COUNT_MISMATCH = "Number of parameters in request and statement don't match."
WRITES = frozenset(("INSERT", "UPDATE", "DELETE"))


@dataclass(frozen=True, slots=True)
class Parameter:
    """A `?`, by its place in the text."""

    at: int


@dataclass(frozen=True, slots=True)
class Collection:
    """A list, set or map; its members are values (of one attribute each), parameters and collections."""

    kind: str
    """L, SET or M."""
    members: tuple[Any, ...]
    names: tuple[str, ...] = ()
    """The names of a map's members."""


@dataclass(slots=True)
class Statement:
    """One statement, whatever the values of its parameters will be."""

    kind: str
    table: str
    index: str | None
    places: tuple[int, ...]
    """Where its parameters are in the text, in order."""
    conjuncts: tuple[Node, ...] = ()
    """What must all hold: the parts of WHERE."""
    constants: dict[str, Value] = field(default_factory=dict)
    made: tuple[tuple[str, Any], ...] = ()
    """Values with parameters in them, by name."""
    checked: tuple[Call, ...] = ()
    """The conditions in WHERE, whose operators do not take every operand."""
    heads: tuple[str, ...] = ()
    """The attributes that WHERE looks at."""
    nested: tuple[str, ...] = ()
    """Those of them that are looked into, there or in the projection."""
    projection: projections.Compiled | None = None
    order: tuple[tuple[str, bool], ...] = ()
    inserted: Any = None
    update: updates.Compiled | None = None
    returning: str | None = None
    plan: Any = None
    """The last plan that was made for it (`plan.py`)."""

    @property
    def reads(self) -> bool:
        return self.kind == "SELECT"


@dataclass(slots=True)
class Bound:
    """A statement with its parameters."""

    statement: Statement
    parameters: Sequence[Value]
    values: Mapping[str, Value]

    def inserted(self) -> Value:
        """What INSERT inserts; of its own, so that it may be changed."""
        return assembled(self.statement.inserted, dict(zip(self.statement.places, self.parameters, strict=True)))


def bind(statement: Statement, parameters: Sequence[Value] | None) -> Bound:
    """Raises ValidationException when the statement cannot be with these parameters."""
    given = parameters or ()
    if len(given) != len(statement.places):
        raise errors.validation(COUNT_MISMATCH)
    for value in given:
        values.check(value)
    if not statement.made:
        found: Mapping[str, Value] = statement.constants
    else:
        by_place = dict(zip(statement.places, given, strict=True))
        found = dict(statement.constants)
        for name, node in statement.made:
            found[name] = by_place[node.at] if type(node) is Parameter else canonical(assembled(node, by_place))
    for call in statement.checked:
        if (wrong := check_call(call, found)) is not None:
            raise errors.validation(wrong)
    if statement.update is not None and (wrong := statement.update.problem(found)) is not None:
        raise errors.validation(wrong)
    return Bound(statement, given, found)


def canonical(value: Value) -> Value:
    """The value checked and made canonical."""
    values.check(value)
    return value


def assembled(node: Any, parameters: dict[int, Value]) -> Value:
    """The value of a constant, a parameter or a collection of them; `parameters` by place. Not yet checked as a whole."""
    if isinstance(node, Parameter):
        return parameters[node.at]
    if not isinstance(node, Collection):
        return node  # type: ignore[no-any-return]  # a value
    members = [assembled(member, parameters) for member in node.members]
    if node.kind == "L":
        return {"L": members}
    if node.kind == "M":
        return {"M": dict(zip(node.names, members, strict=True))}
    kinds = {values.kind_of(member) for member in members}
    if len(kinds) > 1 or not kinds <= {"S", "N", "B"}:
        raise errors.validation("Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags")
    kind = kinds.pop()
    return {kind + "S": [member[kind] for member in members]}
