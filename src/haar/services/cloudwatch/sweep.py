"""Background work: points are merged into longer ones as they get older, and at last removed.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#metrics-retention
"""

import asyncio
from collections.abc import Awaitable, Callable

from haar.services.cloudwatch import points, records
from haar.services.cloudwatch.points import Point
from haar.services.cloudwatch.records import DAY, HOUR, MINUTE, POINTS, SERIES, Series
from haar.services.service import Host
from haar.store.contract import Transaction

SWEEP_SECONDS = 3600.0
SLICE = 500
TIERS = ((3 * HOUR, MINUTE), (15 * DAY, 5 * MINUTE), (63 * DAY, HOUR))
"""From an age on (seconds), points are of so many seconds."""
KEPT = 455 * DAY


async def run(host: Host) -> None:
    """Sweeps every hour for as long as the platform stands."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        await sweep(host)


async def sweep(host: Host) -> None:
    after: tuple[bytes, bytes] | None = None
    while rows := await host.store.scan(SERIES, after=after, limit=SLICE):
        for row in rows:
            await _sweep(host, row.partition, row.sort, records.decode(row.value))
        after = rows[-1].partition, rows[-1].sort


async def _sweep(host: Host, region: bytes, key: bytes, series: Series) -> None:
    now, partition = int(host.clock.now()), series.id.encode()
    oldest = now - KEPT
    for age, length in TIERS:
        start = records.at(0)
        while rows := await host.store.range(POINTS, partition, start, records.at((now - age) // length * length), limit=SLICE):
            longer = [sort for sort, _ in rows if records.read_at(sort)[0] % length or records.read_at(sort)[0] < oldest]
            if longer:
                await host.store.transact(_merged(partition, longer, length, oldest))
            start = rows[-1][0] + b"\x00"
    if series.last < oldest:

        async def remove(tx: Transaction) -> None:
            tx.delete(SERIES, region, key)

        await host.store.transact(remove)


def _merged(partition: bytes, sorts: list[bytes], length: int, oldest: int) -> Callable[[Transaction], Awaitable[None]]:
    async def merge(tx: Transaction) -> None:
        into: dict[bytes, list[Point]] = {}
        for sort in sorts:
            data = await tx.get(POINTS, partition, sort)
            if data is None:
                continue
            tx.delete(POINTS, partition, sort)
            time, unit = records.read_at(sort)
            if time >= oldest:
                into.setdefault(records.at(time // length * length, unit), []).append(points.decode(data))
        for sort, found in into.items():
            before = await tx.get(POINTS, partition, sort)
            if before is not None:
                found.append(points.decode(before))
            tx.put(POINTS, partition, sort, points.encode(points.merged(found)))

    return merge
