"""Work that goes on behind requests and survives a crash: filling new indexes, taking away old ones, emptying what was deleted."""

from collections.abc import Awaitable, Callable

import msgspec

from haar.services.dynamodb import records
from haar.services.dynamodb.images import Image, Key
from haar.services.dynamodb.limits import BACKFILL_ROWS, SETTLE_SECONDS
from haar.services.dynamodb.records import IndexRecord, TableRecord
from haar.services.dynamodb.tables import Index, Table
from haar.services.service import Host
from haar.store.contract import Transaction
from haar.store.queue import Job, Queue

WORKERS = 2
SLICES = 20
"""Transactions of a backfill between two notes of how far it is."""


class Indexing(msgspec.Struct):
    """What is to be done with an index, and how far it is."""

    region: str
    table: str
    space: str
    """The index's space: an index of the same name made later is another one."""
    fill: bool
    """Fill it; otherwise take it away."""
    after: tuple[bytes, bytes] | None = None
    """The last item that has been looked at."""


def clearing(host: Host) -> Queue:
    """Spaces that nobody needs any more."""
    return Queue(host.store, records.CLEARING, host.clock)


def indexing(host: Host) -> Queue:
    """Indexes to be filled or taken away."""
    return Queue(host.store, records.INDEXING, host.clock)


def put_indexing(host: Host, tx: Transaction, work: Indexing) -> None:
    """Due once every writer is sure to know the table as it is now."""
    indexing(host).put(
        tx, f"{work.space}/{'fill' if work.fill else 'drop'}", msgspec.msgpack.encode(work), host.clock.now() + SETTLE_SECONDS
    )


def copied_space(space: str) -> bytes:
    """The space of items that a space (of items, or of their change log) belongs to: as copies name what they read."""
    return space.partition("@")[0].encode()


async def run_clearing(host: Host) -> None:
    queue = clearing(host)

    async def clear(job: Job) -> None:
        space = job.body.decode()
        if await host.store.range(records.COPIED, copied_space(space), limit=1):
            await queue.again(job, host.clock.now() + SETTLE_SECONDS)
            return
        await host.store.clear(space)
        await queue.finish(job)

    await queue.run(clear, workers=WORKERS)


async def run_indexing(host: Host) -> None:
    queue = indexing(host)

    async def handle(job: Job) -> None:
        work = msgspec.msgpack.decode(job.body, type=Indexing)
        await (_fill if work.fill else _drop)(host, queue, job, work)

    await queue.run(handle, workers=WORKERS)


async def change_index(tx: Transaction, work: Indexing, change: Callable[[TableRecord, IndexRecord], None]) -> bool:
    """Changes the index's record in the caller's transaction; False when it is gone."""
    place = records.place(work.region, work.table)
    data = await tx.get(*place)
    record = None if data is None else records.decode(data)
    index = None if record is None else next((each for each in record.indexes if each.space == work.space), None)
    if record is None or index is None:
        return False
    change(record, index)
    tx.put(*place, records.encode(record))
    return True


async def _drop(host: Host, queue: Queue, job: Job, work: Indexing) -> None:
    """Takes the index out of the table's record; its entries are cleared next."""

    def remove(record: TableRecord, index: IndexRecord) -> None:
        record.indexes.remove(index)
        used = {name for schema in (record.key_schema, *(each.key_schema for each in record.indexes)) for name, _ in schema}
        record.attributes = {name: kind for name, kind in record.attributes.items() if name in used}

    async def also(tx: Transaction) -> None:
        if await change_index(tx, work, remove):
            clearing(host).put(tx, work.space, work.space.encode(), host.clock.now() + SETTLE_SECONDS)

    await queue.finish(job, also)


async def _fill(host: Host, queue: Queue, job: Job, work: Indexing) -> None:
    """Writes the entries of items that were there before the index, slice by slice; whoever writes meanwhile keeps the index up too."""
    if work.after is None and not await host.store.transact(_begun(work)):
        await queue.finish(job)
        return
    for _ in range(SLICES):
        done = await host.store.transact(lambda tx: _slice(host, tx, work))
        if done is None:
            await queue.finish(job, _active(work))
            return
        work.after = done
    await queue.again(job, host.clock.now(), msgspec.msgpack.encode(work))


def _begun(work: Indexing) -> Callable[[Transaction], Awaitable[bool]]:
    def begin(record: TableRecord, index: IndexRecord) -> None:
        index.backfilling = True

    return lambda tx: change_index(tx, work, begin)


def _active(work: Indexing) -> Callable[[Transaction], Awaitable[None]]:
    def finish(record: TableRecord, index: IndexRecord) -> None:
        if index.status == "CREATING":
            index.status, index.backfilling = "ACTIVE", False

    async def also(tx: Transaction) -> None:
        await change_index(tx, work, finish)

    return also


async def _slice(host: Host, tx: Transaction, work: Indexing) -> tuple[bytes, bytes] | None:
    """Entries for the next items; the last of them, or None at the end (or when the index is gone)."""
    data = await tx.get(*records.place(work.region, work.table))
    table = None if data is None else Table(records.decode(data), host.account)
    index: Index | None = None if table is None else next((each for each in table.indexes if each.space == work.space), None)
    if table is None or index is None:
        return None
    rows = await tx.scan(table.space, after=work.after, limit=BACKFILL_ROWS)
    for row in rows:
        image, key = Image(row.value), Key(row.partition, row.sort)
        entry = index.entry(table, key, image.item)
        # What cannot be a key of the index stays out of it, as on AWS.
        if entry is not None and index.fits(image.item):
            tx.put(index.space, entry.partition, entry.sort, index.project(image).data)
    return (rows[-1].partition, rows[-1].sort) if len(rows) == BACKFILL_ROWS else None
