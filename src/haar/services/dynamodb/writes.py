"""The one way an item changes: its row, its index entries and its change records, in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass

from haar.services.dynamodb import collections, errors
from haar.services.dynamodb.images import Image, Key
from haar.services.dynamodb.tables import Index, Table
from haar.services.dynamodb.values import Item
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

Condition = Callable[[Item], bool]
"""Whether an item (empty when there is none) meets a condition."""
Change = Callable[["Image | None"], "Image | None"]
"""From the item that is there to the one that shall be there; None is no item."""


@dataclass(slots=True)
class Write:
    """One write of one item, ready to be done in any transaction."""

    table: Table
    key: Key
    change: Change
    condition: Condition | None = None
    needs_old: bool = False
    """Whether the outcome must know the old item although nothing else does."""
    return_old_on_failure: bool = False
    """ReturnValuesOnConditionCheckFailure = ALL_OLD."""
    duplicate: bool = False
    """PartiQL's INSERT: its condition fails because there is such an item already."""
    origin: str = ""
    """Which service writes, when it is not a user: `ttl`."""

    @property
    def reads_old(self) -> bool:
        return self.needs_old or self.condition is not None or self.table.needs_old

    @property
    def rows(self) -> list[tuple[str, bytes, bytes]]:
        """What doing it reads: the item, and the size of its collection."""
        space, collections, (partition, sort) = self.table.space, self.table.record.collections, self.key
        rows = [(space, partition, sort)] if self.reads_old else []
        return [*rows, (collections, partition, b"")] if collections else rows


@dataclass(slots=True)
class Outcome:
    old: Image | None
    """Only known where the write needed it."""
    new: Image | None

    @property
    def size(self) -> int:
        """What the write is charged by: the larger of the two."""
        return max(0 if self.old is None else self.old.size, 0 if self.new is None else self.new.size)


async def perform(tx: Transaction, write: Write) -> Outcome:
    """Does one write. Raises ConditionalCheckFailedException, and whatever `change` raises; then nothing is written."""
    table, key = write.table, write.key
    old = None
    known = write.reads_old
    if known:
        data = await tx.get(table.space, key.partition, key.sort)
        old = None if data is None else Image(data)
        if write.condition is not None and not write.condition({} if old is None else old.item):
            raise failed(write, old)
    new = write.change(old)
    if not known:
        if new is None:
            tx.delete(table.space, key.partition, key.sort)
        else:
            tx.put(table.space, key.partition, key.sort, new.data)
    else:
        await apply(tx, table, key, old, new, write.origin)
    return Outcome(old, new)


async def perform_ahead(tx: Transaction, write: Write) -> Outcome:
    """The same for a write that reads several rows, when it is alone in its transaction."""
    await tx.ahead(write.rows)
    return await perform(tx, write)


def failed(write: Write, old: Image | None) -> ServiceError:
    if write.duplicate:
        return errors.duplicate_item()
    return errors.condition_failed(old.fragment if old is not None and write.return_old_on_failure else None)


def same(old: Image | None, new: Image | None) -> bool:
    """Whether nothing changes: attributes have no order."""
    if old is None or new is None:
        return old is new
    return old is new or old.data == new.data or (len(old.data) == len(new.data) and old.item == new.item)


async def apply(tx: Transaction, table: Table, key: Key, old: Image | None, new: Image | None, origin: str = "") -> None:
    """Replaces `old` by `new`; both are what they are, None is no item. Nothing is written where nothing changes."""
    if same(old, new):
        return
    if new is not None:
        tx.put(table.space, key.partition, key.sort, new.data)
    else:
        tx.delete(table.space, key.partition, key.sort)
    grown = (0 if new is None else new.size) - (0 if old is None else old.size)
    for index in table.indexes:
        grown += _reindex(tx, table, index, key, old, new)
    if table.record.collections:
        await collections.grow(tx, table.record.collections, key.partition, grown)
    if table.on_change is not None:
        await table.on_change(tx, table, key, old, new, origin)


def _reindex(tx: Transaction, table: Table, index: Index, key: Key, old: Image | None, new: Image | None) -> int:
    """Puts the index right; by how many bytes a local one grows, with which the item's collection does."""
    before = None if old is None else index.entry(table, key, old.item)
    after = None if new is None else index.entry(table, key, new.item)
    grown = 0
    if before is not None and old is not None and before != after:
        tx.delete(index.space, before.partition, before.sort)
        grown -= index.project(old).size if index.local else 0
    if after is not None and new is not None:
        entry = index.project(new)
        if before != after or old is None:
            tx.put(index.space, after.partition, after.sort, entry.data)
            grown += entry.size
        elif (kept := index.project(old)).data != entry.data:
            tx.put(index.space, after.partition, after.sort, entry.data)
            grown += entry.size - kept.size
    return grown if index.local else 0
