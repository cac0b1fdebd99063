"""Statements ready to be planned: conditions compiled, values apart from the text, parameters counted. Kept by their text."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from haar.services.dynamodb import errors, values
from haar.services.dynamodb.expressions import paths, projections, updates
from haar.services.dynamodb.expressions.conditions import COMPARATORS, FUNCTIONS, Call, Logic, Node, PathNode, ValueNode, check_call
from haar.services.dynamodb.expressions.paths import Path
from haar.services.dynamodb.limits import CACHED_STATEMENT_CHARS, CACHED_STATEMENTS, STATEMENT_CHARS_AT_ONCE
from haar.services.dynamodb.partiql import parse
from haar.services.dynamodb.partiql.syntax import Collection, Literal, Parameter, Written
from haar.services.dynamodb.values import Item, Value

CONDITIONS = frozenset(("begins_with", "contains", "attribute_type", "attribute_exists", "attribute_not_exists"))
SET_FUNCTIONS = {"set_add": "ADD", "set_delete": "DELETE"}
UNCHECKED = frozenset(("=", "<>", "IN", "attribute_exists", "attribute_not_exists"))
"""Operators that take values of every type."""
COUNT_MISMATCH = "Number of parameters in request and statement don't match."
WRITES = frozenset(("INSERT", "UPDATE", "DELETE"))


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
    """Conditions whose operators do not take every type."""
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
        return parse.assembled(self.statement.inserted, dict(zip(self.statement.places, self.parameters, strict=True)))


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
            found[name] = by_place[node.at] if type(node) is Parameter else parse.canonical(parse.assembled(node, by_place))
    for call in statement.checked:
        if (wrong := check_call(call, found)) is not None:
            raise errors.validation(wrong)
    if statement.update is not None:
        statement.update.check(found)
    return Bound(statement, given, found)


async def read(text: str) -> Statement:
    """The statement that a text is; long ones, and the first, are parsed in a helper thread. Raises ValidationException."""
    if len(text) <= STATEMENT_CHARS_AT_ONCE and parse.ready():
        return kept(text)
    return await asyncio.to_thread(kept if len(text) <= CACHED_STATEMENT_CHARS else compiled, text)


def compiled(text: str) -> Statement:
    """Raises ValidationException for what is no statement, or wrong whatever its parameters will be."""
    return _Compiler(parse.parse(text)).statement()


kept = lru_cache(maxsize=CACHED_STATEMENTS)(compiled)


class _Compiler:
    def __init__(self, written: Written) -> None:
        self.written = written
        self.constants: dict[str, Value] = {}
        self.made: list[tuple[str, Any]] = []
        self.calls: list[Call] = []
        self.paths: list[Path] = []

    def statement(self) -> Statement:
        written = self.written
        if written.index is not None and written.kind in WRITES:
            raise parse.malformed("Expected identifier for simple path")
        where = () if written.where is None else tuple(self.conjuncts(written.where))
        looked_at = list(self.paths)
        projection = _projection(written.columns)
        update = self.update() if written.kind == "UPDATE" else None
        nested = [path for path in looked_at if len(path) > 1]
        if written.kind == "DELETE" and written.returning not in (None, "ALL_OLD"):
            raise errors.validation("Only ALL OLD * is supported in the RETURNING clause of a DELETE statement")
        return Statement(
            written.kind,
            written.table,
            written.index,
            written.parameters,
            where,
            self.constants,
            tuple(self.made),
            tuple(call for call in self.calls if call.operator not in UNCHECKED),
            projections.heads_of(looked_at),
            (*projections.heads_of(nested), *(() if projection is None else projection.nested)),
            projection,
            _order(written),
            written.value,
            update,
            written.returning,
        )

    def conjuncts(self, node: Any) -> Iterator[Node]:
        if isinstance(node, Logic) and node.operator == "AND":
            for operand in node.operands:
                yield from self.conjuncts(operand)
        else:
            yield self.condition(node)

    def condition(self, node: Any) -> Node:
        """A condition; whatever can be true or false."""
        if isinstance(node, Logic):
            return Logic(node.operator, tuple(self.condition(operand) for operand in node.operands))
        if not isinstance(node, Call) or (node.operator not in (*COMPARATORS, "BETWEEN", "IN") and node.operator not in CONDITIONS):
            if isinstance(node, Call) and node.operator not in ("size", "+", "-"):
                raise _unknown(node.operator)
            raise parse.malformed("Expected a condition in the WHERE clause")
        self._check_count(node)
        made = Call(node.operator, tuple(self.operand(operand) for operand in node.operands))
        if made.operator in ("attribute_exists", "attribute_not_exists") and not isinstance(made.operands[0], PathNode):
            raise errors.validation(f"Operator or function requires a document path; operator or function: {made.operator}")
        self.calls.append(made)
        return made

    def operand(self, node: Any) -> Node:
        if isinstance(node, PathNode):
            self.paths.append(node.path)
            return node
        if isinstance(node, Call) and node.operator == "size":
            self._check_count(node)
            made = Call("size", (self.operand(node.operands[0]),))
            self.calls.append(made)
            return made
        if isinstance(node, Literal | Parameter | Collection):
            return ValueNode(self.value(node))
        if isinstance(node, Call) and node.operator not in CONDITIONS and node.operator not in (*COMPARATORS, "BETWEEN", "IN", "+", "-"):
            raise _unknown(node.operator)
        raise parse.malformed("Unexpected term")

    @staticmethod
    def _check_count(call: Call) -> None:
        expected = FUNCTIONS.get(call.operator)
        if expected is not None and expected != len(call.operands):
            raise errors.validation(
                "Incorrect number of operands for operator or function; "
                f"operator or function: {call.operator}, number of operands: {len(call.operands)}"
            )

    def value(self, node: Any) -> str:
        """The name under which the value is known."""
        name = f":{len(self.constants) + len(self.made)}"
        if isinstance(node, Literal):
            self.constants[name] = node.value
        else:
            self.made.append((name, node))
        return name

    def update(self) -> updates.Compiled:
        actions = [self.assignment(path, node) for path, node in self.written.sets]
        actions += [updates.Action("REMOVE", path) for path in self.written.removals]
        return updates.compile_actions(tuple(actions))

    def assignment(self, path: Path, node: Any) -> updates.Action:
        section = SET_FUNCTIONS.get(node.operator) if isinstance(node, Call) else None
        if section is None:
            return updates.Action("SET", path, self.assigned(node))
        if len(node.operands) != 2 or not isinstance(node.operands[1], Literal | Parameter | Collection):
            raise errors.validation(
                "Incorrect number of operands for operator or function; "
                f"operator or function: {node.operator}, number of operands: {len(node.operands)}"
            )
        if node.operands[0] != PathNode(path):
            raise errors.validation(f"The first operand of {node.operator} must be the attribute that is set: {paths.show(path)}")
        return updates.Action(section, path, self.value(node.operands[1]))

    def assigned(self, node: Any) -> Any:
        """What is set, as updates have it."""
        if isinstance(node, PathNode):
            return node.path
        if isinstance(node, Literal | Parameter | Collection):
            return self.value(node)
        if isinstance(node, Call) and node.operator in updates.FUNCTIONS:
            return updates.Call(node.operator, tuple(self.assigned(operand) for operand in node.operands))
        if isinstance(node, Call) and node.operator not in (*COMPARATORS, "BETWEEN", "IN"):
            raise _unknown(node.operator)
        raise parse.malformed("Unexpected term")


def _unknown(function: str) -> Exception:
    return errors.validation(f"Invalid function name; function: {function}")


def _order(written: Written) -> tuple[tuple[str, bool], ...]:
    if written.order and written.where is None:
        raise errors.validation("Must have WHERE clause in the statement when using ORDER BY clause.")
    return tuple((".".join(map(str, path)), descending) for path, descending in written.order)


def _projection(columns: list[Path] | None) -> projections.Compiled | None:
    """Each column under its last name, and the positions behind it."""
    if columns is None:
        return None
    chosen = tuple((_column_name(path), paths.getter(path)) for path in columns)

    def project(item: Item) -> Item:
        return {name: value for name, get in chosen if (value := get(item)) is not None}

    nested = projections.heads_of([path for path in columns if len(path) > 1])
    return projections.Compiled(tuple(columns), project, frozenset(), projections.heads_of(columns), nested)


def _column_name(path: Path) -> str:
    at = max(at for at, part in enumerate(path) if isinstance(part, str))
    return str(path[at]) + "".join(f"[{part}]" for part in path[at + 1 :])
