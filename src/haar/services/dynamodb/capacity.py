"""Consumed capacity: what reads and writes cost, as DynamoDB counts it.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from haar.services.dynamodb.images import Image, Key
from haar.services.dynamodb.limits import KB
from haar.services.dynamodb.tables import FLOAT_BYTES, Index, Table, VectorIndex
from haar.services.dynamodb.writes import Outcome

READ_UNIT = 4 * KB
WRITE_UNIT = KB


def read_units(size: int, consistent: bool) -> float:
    """Of one read of `size` bytes; at least one unit's worth."""
    return max(1, -(-size // READ_UNIT)) * (1.0 if consistent else 0.5)


def write_units(size: int) -> float:
    return float(max(1, -(-size // WRITE_UNIT)))


@dataclass(slots=True)
class Consumed:
    """What one table's part of a request cost."""

    table: Table
    own: float = 0.0
    indexes: dict[str, float] = field(default_factory=dict)
    vectors: dict[str, float] = field(default_factory=dict)
    """Bytes written to vector indexes, which cost no units."""
    reads: bool = True
    transaction: bool = False

    def add_index(self, name: str, units: float) -> None:
        if units:
            self.indexes[name] = self.indexes.get(name, 0.0) + units

    def add_write(self, key: Key, outcome: Outcome, times: float = 1.0) -> None:
        """A write costs by the larger of the item before and after, and what it changes in each index.

        `times` is for the table alone: indexes cost no more in a transaction.
        """
        self.reads = False
        self.own += times * write_units(outcome.size)
        for index in self.table.indexes:
            units = _index_units(self.table, index, key, outcome.old, outcome.new)
            if not isinstance(index, VectorIndex):
                self.add_index(index.name, units)
            elif units:
                self.vectors[index.name] = self.vectors.get(index.name, 0.0) + max(KB, FLOAT_BYTES * index.vector.dimensions)

    def shown(self, detail: str, called: str | None = None) -> dict[str, Any]:
        """As ReturnConsumedCapacity (TOTAL or INDEXES) wants it; `called` is how the request calls the table, unless by its name."""
        total = self.own + sum(self.indexes.values())
        kind = "ReadCapacityUnits" if self.reads else "WriteCapacityUnits"

        def units(value: float) -> dict[str, float]:
            return {"CapacityUnits": value, kind: value} if self.transaction else {"CapacityUnits": value}

        out: dict[str, Any] = {"TableName": called or self.table.name, **units(total)}
        if detail == "INDEXES":
            out["Table"] = units(self.own)
            for name, member in ((True, "LocalSecondaryIndexes"), (False, "GlobalSecondaryIndexes")):
                found = {each: units(cost) for each, cost in self.indexes.items() if self.table.index[each].local is name}
                if found:
                    out[member] = found
            if self.vectors:
                out["VectorIndexes"] = {each: {"VectorWriteRequestBytes": size} for each, size in self.vectors.items()}
        return out


def _index_units(table: Table, index: Index, key: Key, old: Image | None, new: Image | None) -> float:
    before = None if old is None else index.entry(table, key, old.item)
    after = None if new is None else index.entry(table, key, new.item)
    old_entry = index.project(old) if old is not None and before is not None else None
    new_entry = index.project(new) if new is not None and after is not None else None
    if old_entry is not None and new_entry is not None and before == after:
        return 0.0 if old_entry.data == new_entry.data else write_units(max(old_entry.size, new_entry.size))
    return sum(write_units(entry.size) for entry in (old_entry, new_entry) if entry is not None)


def wanted(input: dict[str, Any]) -> str | None:
    """TOTAL or INDEXES when consumed capacity was asked for."""
    detail = input.get("ReturnConsumedCapacity")
    return detail if detail in ("TOTAL", "INDEXES") else None


def shown_all(consumed: Mapping[str, Consumed], detail: str) -> list[dict[str, Any]]:
    """What several tables' parts cost, by how the request calls each table."""
    return [each.shown(detail, called) for called, each in consumed.items()]
