"""Copying items as they were at one moment: backups are copies of tables, and restored tables are copies of tables or of backups.

A copy is a job that goes on after a crash. First it copies what is there, slice by slice, while others write; then, from the change log of
each day since the moment, the last day first, it puts right what has changed since then. So the copy is the table at that moment, to the
transaction.
"""

from collections.abc import Awaitable, Callable

import msgspec

from haar.services.dynamodb import collections, history, records
from haar.services.dynamodb.images import Image, Key, size_of
from haar.services.dynamodb.jobs import WORKERS, clearing, copied_space
from haar.services.dynamodb.limits import COPY_BYTES, COPY_LEASE_SECONDS, COPY_ROWS, READ_CHUNK_MOST, SETTLE_SECONDS
from haar.services.dynamodb.records import TableRecord
from haar.services.dynamodb.tables import Table
from haar.services.service import Host
from haar.store.contract import Transaction
from haar.store.queue import Job, Queue

SLICES = 20
"""Transactions between two notes of how far it is."""
ITEMS, DAYS, COUNTING = "items", "days", "counting"


class Copying(msgspec.Struct):
    """A copy under way."""

    region: str
    source: str
    """The space that is copied."""
    target: str
    """The space that it is copied to; names the copy."""
    moment: int | None = None
    """Microseconds since the epoch; None when the source never changes."""
    table: str = ""
    """The table that is restored; empty when it is a backup that is made."""
    backup: str = ""
    """The backup that is made, or restored from."""
    source_table: str = ""
    """The table that is copied from; empty when it is a backup."""
    phase: str = ITEMS
    day: int = 0
    after: tuple[bytes, bytes] | None = None
    rows: int = 10
    """Items of the next slice."""
    items: int = 0
    bytes: int = 0


Finish = Callable[[Host, Transaction, Copying], Awaitable[None]]


def begin(host: Host, tx: Transaction, work: Copying) -> None:
    """Starts a copy, in the caller's transaction."""
    if work.moment is not None:
        tx.put(records.COPIED, copied_space(work.source), work.target.encode(), b"")
    # Elsewhere a writer may have been at work at the moment, or not yet know that changes are logged.
    due = host.clock.now() if work.moment is None or not host.config.store else work.moment / 1e6 + SETTLE_SECONDS
    _queue(host).put(tx, work.target, msgspec.msgpack.encode(work), due)


def _queue(host: Host) -> Queue:
    return Queue(host.store, records.COPYING, host.clock)


async def run_copying(host: Host, finish: Finish) -> None:
    queue = _queue(host)

    async def handle(job: Job) -> None:
        work = msgspec.msgpack.decode(job.body, type=Copying)
        for _ in range(SLICES):
            if await _slice(host, work):
                await queue.finish(job, lambda tx: _finished(host, tx, work, finish))
                return
        await queue.again(job, host.clock.now(), msgspec.msgpack.encode(work))

    await queue.run(handle, workers=WORKERS, lease=COPY_LEASE_SECONDS)


async def _slice(host: Host, work: Copying) -> bool:
    """Does the next part; whether that was the last."""
    now = host.clock.now()
    if work.phase == ITEMS:
        work.after, work.rows = await host.store.transact(lambda tx: _copy(host, tx, work))
        if work.after is None:
            work.phase, work.day = DAYS, 0 if work.moment is None else next(history.days_back(work.moment, now))
        return False
    if work.phase == DAYS and work.moment is not None and work.day >= history.day_of(work.moment):
        work.after, work.rows = await host.store.transact(lambda tx: _correct(host, tx, work))
        if work.after is None:
            work.day -= 1
        return False
    if work.table:
        return True
    work.phase = COUNTING
    rows = await host.store.scan(work.target, after=work.after, limit=READ_CHUNK_MOST)
    work.items += len(rows)
    work.bytes += sum(size_of(row.value) for row in rows)
    work.after = (rows[-1].partition, rows[-1].sort) if rows else None
    return len(rows) < READ_CHUNK_MOST


Step = tuple[tuple[bytes, bytes] | None, int]
"""Where to go on (None: at the end), and how many rows to do then."""


async def _copy(host: Host, tx: Transaction, work: Copying) -> Step:
    rows = await tx.scan(work.source, after=work.after, limit=work.rows)
    target = await _target(host, tx, work)
    for row in rows:
        await _put(tx, work, target, Key(row.partition, row.sort), row.value)
    after = (rows[-1].partition, rows[-1].sort) if len(rows) == work.rows else None
    return after, _fitting([row.value for row in rows])


async def _correct(host: Host, tx: Transaction, work: Copying) -> Step:
    assert work.moment is not None
    found, after = await history.before(tx, work.source, work.day, work.moment, work.after, work.rows)
    target = await _target(host, tx, work)
    for key, data in found:
        await _put(tx, work, target, key, data)
    return after, _fitting([data for _, data in found])


def _fitting(values: list[bytes]) -> int:
    """How many rows of such sizes make a slice."""
    return max(1, min(COPY_ROWS, COPY_BYTES * len(values) // max(1, sum(map(len, values))))) if values else COPY_ROWS


async def _target(host: Host, tx: Transaction, work: Copying) -> Table | None:
    """The table that is restored, None when it is a backup that is made."""
    data = await tx.get(*records.place(work.region, work.table)) if work.table else None
    return None if data is None else Table(records.decode(data), host.account)


async def _put(tx: Transaction, work: Copying, target: Table | None, key: Key, data: bytes) -> None:
    """Makes the copy of an item what is given (empty: not there), and its index entries with it."""
    if target is not None and target.indexes:
        kept = await tx.get(work.target, key.partition, key.sort)
        before, after = (Image(each) if each else None for each in (kept, data))
        grown = (after.size if after else 0) - (before.size if before else 0)
        for index in target.indexes:
            if before is not None and (entry := index.entry(target, key, before.item)) is not None:
                tx.delete(index.space, entry.partition, entry.sort)
                grown -= index.project(before).size if index.local else 0
            # What cannot be a key of the index stays out of it, as in a backfill.
            if after is not None and (entry := index.entry(target, key, after.item)) is not None and index.fits(after.item):
                projected = index.project(after)
                tx.put(index.space, entry.partition, entry.sort, projected.data)
                grown += projected.size if index.local else 0
        if target.record.collections:
            await collections.count(tx, target.record.collections, key.partition, grown)
    if data:
        tx.put(work.target, key.partition, key.sort, data)
    else:
        tx.delete(work.target, key.partition, key.sort)


async def _finished(host: Host, tx: Transaction, work: Copying, finish: Finish) -> None:
    if work.moment is not None:
        tx.delete(records.COPIED, copied_space(work.source), work.target.encode())
        await release(host, tx, work)
    await finish(host, tx, work)


async def release(host: Host, tx: Transaction, work: Copying) -> None:
    """Ends the source's change log when this was the last copy, and nobody else needs it."""
    place = records.place(work.region, work.source_table)
    data = await tx.get(*place)
    record = None if data is None else records.decode(data)
    if record is None or record.space != work.source or record.history is None or record.history.days is not None:
        return
    if not await tx.range(records.COPIED, copied_space(work.source), limit=1):
        end_history(host, tx, record)
        tx.put(*place, records.encode(record))


def end_history(host: Host, tx: Transaction, record: TableRecord) -> None:
    """Takes the change log out of the record, which the caller writes."""
    now = host.clock.now()
    for space in history.log_spaces(record.space, record.history, now):
        clearing(host).put(tx, space, space.encode(), now + SETTLE_SECONDS)
    record.history = None
