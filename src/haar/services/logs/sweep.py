"""Background work: what has expired is removed, and what deleted groups and streams have left is cleared away."""

import asyncio
from collections.abc import Awaitable, Callable

from haar.services.logs.records import (
    EVENT_OVERHEAD,
    EVENTS,
    GARBAGE,
    GROUPS,
    STREAMS,
    USAGE,
    Group,
    Stream,
    add_usage,
    behind,
    decode_group,
    events_partition,
    find_stream,
    position,
    put_stream,
)
from haar.services.logs.streams import streams_of
from haar.services.service import Host
from haar.store.contract import Transaction

SWEEP_SECONDS = 30.0
SCAN_SLICE = 500
EXPIRE_SLICE = 500


async def run(host: Host) -> None:
    """Sweeps every 30 s for as long as the platform stands."""
    while True:
        await collect_garbage(host)
        await expire(host)
        await asyncio.sleep(SWEEP_SECONDS)


async def collect_garbage(host: Host) -> None:
    """Clears what deleted groups and streams have left. Cut short, it goes on the next time."""
    while rows := await host.store.scan(GARBAGE, limit=SCAN_SLICE):
        for row in rows:
            await host.store.clear(EVENTS, row.value, behind(row.value))
            if row.value.endswith(b"/"):  # a whole group
                await host.store.clear(STREAMS, row.partition, row.partition + b"\x00")
            await host.store.transact(_collected(row.partition))


def _collected(partition: bytes) -> Callable[[Transaction], Awaitable[None]]:
    async def collected(tx: Transaction) -> None:
        tx.delete(GARBAGE, partition)
        tx.delete(USAGE, partition)

    return collected


async def expire(host: Host) -> None:
    """Removes the events that are older than their group's retention, in slices."""
    after: tuple[bytes, bytes] | None = None
    while rows := await host.store.scan(GROUPS, after=after, limit=SCAN_SLICE):
        for row in rows:
            group = decode_group(row.value)
            floor = group.floor(host.clock.now())
            for stream in await streams_of(host.store, group) if group.retention else ():
                while stream.first is not None and stream.first < floor and await _expire(host, group, stream, floor):
                    pass
        after = (rows[-1].partition, rows[-1].sort)


async def _expire(host: Host, group: Group, stream: Stream, floor: int) -> bool:
    """Removes a slice of a stream's events from before `floor`; whether there may be more."""

    async def remove(tx: Transaction) -> bool:
        current = await find_stream(tx, group, stream.name)
        if current is None or current.id != stream.id:
            return False
        partition = events_partition(group, current)
        rows = await tx.range(EVENTS, partition, b"", position(floor, 0), limit=EXPIRE_SLICE)
        size = 0
        for sort, value in rows:
            tx.delete(EVENTS, partition, sort)
            size += len(value) - 8 + EVENT_OVERHEAD
        rest = await tx.range(EVENTS, partition, limit=1)
        current.first = int.from_bytes(rest[0][0][:8], "big") if rest else None
        current.last = current.last if rest else None
        current.bytes = max(0, current.bytes - size)
        put_stream(tx, group, current)
        await add_usage(tx, group, -size)
        return len(rows) == EXPIRE_SLICE

    return await host.store.transact(remove)
