"""How many items a table and its indexes hold, and how large they are.

Nothing is counted when items are written: a counter would cost every write a row more, and on PostgreSQL make all writers of a table wait
for each other. The rows are counted when a table is described, and only if something was written since the last time; large tables are
counted in the background, as AWS does about every six hours. So the numbers are those of rows that are there, whatever happened in between.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from haar.services.dynamodb.images import Key, size_of
from haar.services.dynamodb.limits import COUNT_ROWS, COUNT_SECONDS, READ_CHUNK_MOST
from haar.services.dynamodb.records import TableRecord

if TYPE_CHECKING:
    from haar.services.service import Host

KEPT = 10_000
"""Tables and indexes whose counts are remembered."""


@dataclass(slots=True)
class Count:
    items: int = 0
    bytes: int = 0
    indexes: dict[str, "Count"] = field(default_factory=dict)
    """By the index's space."""


@dataclass(slots=True)
class _Known:
    count: Count
    at: float
    changed: bool = False
    unwatch: Callable[[], None] | None = None
    sweep: "asyncio.Task[None] | None" = None
    counting: asyncio.Lock = field(default_factory=asyncio.Lock)

    def touch(self) -> None:
        self.changed = True


class Counts:
    """The counts of a platform's tables: `host.get(Counts)`."""

    def __init__(self, host: "Host") -> None:
        self._host = host
        self._known: dict[str, _Known] = {}

    async def of(self, record: TableRecord) -> Count:
        """The table's count with those of its indexes."""
        table = await self._space(record.space)
        indexes = {index.space: await self._space(index.space) for index in record.indexes if index.status != "DELETING"}
        return Count(table.items, table.bytes, indexes)

    def forget(self, space: str) -> None:
        known = self._known.pop(space, None)
        if known is not None and known.unwatch is not None:
            known.unwatch()

    async def _space(self, space: str) -> Count:
        known = self._known.get(space)
        if known is None:
            if len(self._known) >= KEPT:
                self.forget(next(iter(self._known)))
            known = self._known[space] = _Known(Count(), 0.0, changed=True)
            known.unwatch = self._host.store.watch(space, known.touch)
        async with known.counting:
            await self._refresh(space, known)
        return known.count

    async def _refresh(self, space: str, known: _Known) -> None:
        if not known.changed or known.sweep is not None:
            return
        if known.count.items <= COUNT_ROWS:
            known.changed = False
            found, whole = await self._count(space, COUNT_ROWS)
            if whole:
                known.count, known.at = found, self._host.clock.now()
                return
            known.changed = True
            known.count = found if found.items > known.count.items else known.count
        if self._host.clock.now() - known.at >= COUNT_SECONDS:
            known.sweep = asyncio.get_running_loop().create_task(self._sweep(space, known))

    async def _sweep(self, space: str, known: _Known) -> None:
        try:
            known.changed = False
            known.count, _ = await self._count(space, None)
            known.at = self._host.clock.now()
        finally:
            known.sweep = None

    async def _count(self, space: str, most: int | None) -> tuple[Count, bool]:
        """Counts in slices that let others in; whether it came to the end."""
        count = Count()
        after: Key | None = None
        while most is None or count.items < most:
            rows = await self._host.store.scan(space, after=after, limit=READ_CHUNK_MOST)
            count.items += len(rows)
            count.bytes += sum(size_of(row.value) for row in rows)
            if len(rows) < READ_CHUNK_MOST:
                return count, True
            after = Key(rows[-1].partition, rows[-1].sort)
            await asyncio.sleep(0)
        return count, False
