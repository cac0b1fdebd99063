"""How a statement finds its items: by their keys where WHERE says enough, by a query of partitions, or by a scan."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from haar.services.dynamodb import errors
from haar.services.dynamodb.expressions import operators
from haar.services.dynamodb.expressions.conditions import Call, Logic, Node, PathNode, ValueNode
from haar.services.dynamodb.expressions.keyconditions import FLIPPED, LEGACY, KeyCondition
from haar.services.dynamodb.keys import KeyPart
from haar.services.dynamodb.limits import STATEMENT_PARTITIONS
from haar.services.dynamodb.partiql.merge import resumed
from haar.services.dynamodb.partiql.statements import Bound, Statement
from haar.services.dynamodb.ranges import query_span, start_key
from haar.services.dynamodb.reads import Span
from haar.services.dynamodb.tables import Index, Table
from haar.services.dynamodb.values import Item, Value, kind_of, order_key

NO_KEY = "Where clause does not contain a mandatory equality on all key attributes"
NO_PARTITION = "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause."


@dataclass(slots=True)
class Plan:
    """What of WHERE leads to items, and what is left of it; by names of values, so that it serves whatever they are."""

    table: Table
    index: Index | None
    hashes: dict[str, tuple[str, ...]]
    """Partition key attributes and their values; empty for a scan."""
    ranges: dict[str, tuple[str, tuple[str, ...]]]
    """Conditions on sort key attributes: operator and values."""
    test: operators.Test | None
    """What is left of WHERE."""
    single: bool
    """Whether it is one item of the table by its whole primary key."""
    order: str | None = None
    """asc or desc, of the sort key; None where nothing is said."""
    hash_order: str | None = None
    merged: bool = False
    """Whether the sort key orders before the partition key: partitions are read together then."""

    @property
    def descending(self) -> bool:
        return self.order == "desc"

    def key(self, values: Mapping[str, Value]) -> Item:
        """The primary key of the one item. Raises ValidationException when WHERE does not say it."""
        if not self.single:
            raise errors.validation(NO_KEY)
        self._check_types(values)
        found = {name: values[names[0]] for name, names in self.hashes.items()}
        found.update((name, values[names[0]]) for name, (_, names) in self.ranges.items())
        return found

    def keep(self, values: Mapping[str, Value]) -> Callable[[Item], bool] | None:
        """The filter, or the condition, that is left of WHERE."""
        test = self.test
        return None if test is None else lambda item: test(item, values)

    def spans(self, values: Mapping[str, Value], start: Item | None) -> list[Span]:
        """What is to be read, in order, from behind the key `start`."""
        if not self.hashes:
            after = None if start is None else start_key(self.table, self.index, start)
            return [Span((self.index or self.table).space, after=after)]
        self._check_types(values)
        ranges = {name: KeyCondition(operator, [values[each] for each in names]) for name, (operator, names) in self.ranges.items()}
        spans: list[Span] = []
        begun: int | None = None
        for at, hashed in enumerate(self._partitions(values)):
            conditions = {name: KeyCondition("EQ", [value]) for name, value in hashed.items()} | ranges
            here = start is not None and all(start.get(name) == value for name, value in hashed.items())
            if here:
                begun = at
            spans.append(query_span(self.table, self.index, conditions, start if here else None, self.descending))
        if start is None or begun is None:
            return spans
        return resumed(spans, begun, self.sorts, start, self.index is not None) if self.merged else spans[begun:]

    def _check_types(self, values: Mapping[str, Value]) -> None:
        table, index = self.table, self.index
        for part in (table.hash, table.range) if index is None else (*index.hashes, *index.ranges):
            if part is not None:
                for name in (*self.hashes.get(part.name, ()), *self.ranges.get(part.name, ("", ()))[1]):
                    check_type(part, values[name])

    @property
    def sorts(self) -> tuple[KeyPart, ...]:
        """The sort key attributes of what is read."""
        if self.index is not None:
            return self.index.ranges
        return (self.table.range,) if self.table.range is not None else ()

    def _partitions(self, values: Mapping[str, Value]) -> Iterator[Item]:
        """The partition keys, each once."""
        if len(self.hashes) > 1:
            yield {name: values[names[0]] for name, names in self.hashes.items()}
            return
        ((name, names),) = self.hashes.items()
        found: list[Value] = []
        for each in names:
            if values[each] not in found:
                found.append(values[each])
        if len(found) > STATEMENT_PARTITIONS:
            raise errors.validation(
                f"Incorrect number of operands for operator or function; operator or function: IN, number of operands: {len(found) + 1}"
            )
        kinds = {kind_of(value) for value in found}
        if self.hash_order is not None and len(kinds) == 1 and kinds <= set(operators.ORDERED):
            kind = kinds.pop()
            found.sort(key=lambda value: order_key(kind, value[kind]), reverse=self.hash_order == "desc")
        for value in found:
            yield {name: value}


def check_type(part: KeyPart, value: Value) -> None:
    if kind_of(value) != part.kind:
        raise errors.validation(f"Key attribute's data type should match its data type in table's schema: Key {part.name}")


def plan(bound: Bound, table: Table, index: Index | None = None) -> Plan:
    """Of a statement on a table. Raises ValidationException for an ORDER BY that cannot be."""
    statement = bound.statement
    known: Plan | None = statement.plan
    if known is None or known.table is not table:
        known = statement.plan = _planned(statement, table, index)
    return known


def _planned(statement: Statement, table: Table, index: Index | None) -> Plan:
    hashes: tuple[KeyPart, ...] = (table.hash,) if index is None else index.hashes
    ranges: tuple[KeyPart, ...] = ((table.range,) if table.range else ()) if index is None else index.ranges
    left = list(statement.conjuncts)
    by_hash = _take_hashes(hashes, left)
    by_range = _take_ranges(ranges, left) if by_hash else {}
    rest = left[0] if len(left) == 1 else Logic("AND", tuple(left))
    single = (
        index is None
        and bool(by_hash)
        and all(len(names) == 1 for names in by_hash.values())
        and all(part.name in by_range and by_range[part.name][0] == "EQ" for part in ranges)
        and (statement.reads or all(any(_equal(node, part.name) for node in statement.conjuncts) for part in hashes))
    )
    made = Plan(table, index, by_hash, by_range, operators.test(rest) if left else None, single)
    if statement.order:
        _order(made, statement, hashes, ranges)
    return made


def _take_hashes(parts: tuple[KeyPart, ...], left: list[Node]) -> dict[str, tuple[str, ...]]:
    """The partition key attributes' values; conditions that say nothing more than them are taken off `left`."""
    found: dict[str, tuple[str, ...]] = {}
    taken: list[Node] = []
    for part in parts:
        known = [(values, node) for node in left if (values := _values(node, part.name)) is not None]
        chosen, node = min(known, key=lambda each: len(each[0]), default=(None, None))
        if chosen is None or node is None or (len(parts) > 1 and len(chosen) > 1):
            return {}
        found[part.name] = chosen
        if _only(node, part.name):
            taken.append(node)
    left[:] = [node for node in left if not any(node is each for each in taken)]
    return found


def _values(node: Node, name: str) -> tuple[str, ...] | None:
    """The values one of which the attribute must have where the condition holds; None where it may have any."""
    if isinstance(node, Call):
        first, *rest = node.operands
        if node.operator == "=" and isinstance(first, ValueNode):
            first, rest = rest[0], [first]
        if node.operator in ("=", "IN") and first == PathNode((name,)):
            values = tuple(each.name for each in rest if isinstance(each, ValueNode))
            return values if len(values) == len(rest) else None
        return None
    if isinstance(node, Logic) and node.operator == "OR":
        parts = [_values(each, name) for each in node.operands]
        if any(part is None for part in parts):
            return None
        return tuple(value for part in parts if part is not None for value in part)
    if isinstance(node, Logic) and node.operator == "AND":
        return next((found for each in node.operands if (found := _values(each, name)) is not None), None)
    return None


def _equal(node: Node, name: str) -> bool:
    return isinstance(node, Call) and node.operator == "=" and _values(node, name) is not None


def _only(node: Node, name: str) -> bool:
    """Whether the condition says nothing but which values the attribute may have."""
    if isinstance(node, Logic):
        return node.operator == "OR" and all(_only(each, name) for each in node.operands)
    return _values(node, name) is not None


def _take_ranges(parts: tuple[KeyPart, ...], left: list[Node]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """One condition for each sort key attribute, as far as a range goes; what is used is taken off `left`."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for part in parts:
        known = [(condition, node) for node in left if (condition := _range(node, part.name)) is not None]
        if not known:
            break
        condition, node = min(known, key=lambda each: each[0][0] != "EQ")
        found[part.name] = condition
        left[:] = [each for each in left if each is not node]
        if condition[0] != "EQ":
            break
    return found


def _range(node: Node, name: str) -> tuple[str, tuple[str, ...]] | None:
    if not isinstance(node, Call):
        return None
    operator, (first, *rest) = node.operator, node.operands
    if len(rest) == 1 and isinstance(first, ValueNode) and operator in FLIPPED:
        operator, first, rest = FLIPPED[operator], rest[0], [first]
    if first != PathNode((name,)) or operator not in LEGACY:
        return None
    values = tuple(each.name for each in rest if isinstance(each, ValueNode))
    return (LEGACY[operator], values) if len(values) == len(rest) else None


def _order(made: Plan, statement: Statement, hashes: tuple[KeyPart, ...], ranges: tuple[KeyPart, ...]) -> None:
    if not made.hashes:
        raise errors.validation(NO_PARTITION)
    for name, descending in statement.order:
        direction = "desc" if descending else "asc"
        if any(part.name == name for part in hashes):
            made.hash_order = direction
        elif any(part.name == name for part in ranges):
            made.order = made.order or direction
            made.merged = made.hash_order is None
        else:
            raise errors.validation(f"Variable reference {name} in ORDER BY clause must be part of the primary key")
