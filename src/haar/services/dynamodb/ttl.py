"""UpdateTimeToLive, DescribeTimeToLive; switching it on and off; deleting what has expired.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
"""

import asyncio
import math
from functools import partial
from typing import Any, NoReturn

import msgspec

from haar.services.dynamodb import errors, expiries, records, writes
from haar.services.dynamodb.access import on_table
from haar.services.dynamodb.face import service
from haar.services.dynamodb.images import Image, Key
from haar.services.dynamodb.jobs import WORKERS, clearing
from haar.services.dynamodb.limits import BACKFILL_ROWS, EXPIRY_OLDEST, EXPIRY_ROWS, EXPIRY_SECONDS, READ_CHUNK_MOST, SETTLE_SECONDS
from haar.services.dynamodb.records import TableRecord, TimeToLive
from haar.services.dynamodb.shards import TTL_ORIGIN
from haar.services.dynamodb.tables import Table, Tables
from haar.services.service import Context, Host, Input, Output
from haar.store.contract import Transaction
from haar.store.queue import Job, Queue

SPACE_LETTERS = 12
SLICES = 20
"""Transactions between two notes of how far it is."""


class Switching(msgspec.Struct):
    """A time to live that is being switched on or off, and how far it is."""

    region: str
    table: str
    space: str
    after: tuple[bytes, bytes] | None = None


def _queue(host: Host) -> Queue:
    return Queue(host.store, records.EXPIRING, host.clock)


@service.operation("DescribeTimeToLive", on_table("DescribeTimeToLive"))
async def describe_time_to_live(ctx: Context, input: Input) -> Output:
    table = await ctx.host.get(Tables).find(ctx.region, input["TableName"])
    if table is None or table.record.status == "CREATING":
        raise errors.table_not_found(input["TableName"])
    ttl = table.record.ttl
    if ttl is None:
        return {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}
    return {"TimeToLiveDescription": {"TimeToLiveStatus": ttl.status, "AttributeName": ttl.attribute}}


@service.operation("UpdateTimeToLive", on_table("UpdateTimeToLive"))
async def update_time_to_live(ctx: Context, input: Input) -> Output:
    name, wanted = input["TableName"], input["TimeToLiveSpecification"]
    place = records.place(ctx.region, name)

    async def update(tx: Transaction) -> None:
        data = await tx.get(*place)
        record = None if data is None else records.decode(data)
        if record is None or record.status == "CREATING":
            raise errors.table_not_found(name)
        _switch(ctx, record, wanted)
        assert record.ttl is not None
        tx.put(*place, records.encode(record))
        work = Switching(ctx.region, name, record.ttl.space)
        _queue(ctx.host).put(tx, record.ttl.space, msgspec.msgpack.encode(work), ctx.now() + SETTLE_SECONDS)

    await ctx.store.transact(update)
    return {"TimeToLiveSpecification": {"Enabled": wanted["Enabled"], "AttributeName": wanted["AttributeName"]}}


def _switch(ctx: Context, record: TableRecord, wanted: dict[str, Any]) -> None:
    """A change takes until every item's expiry is noted, or forgotten; until then no other is taken, as on AWS."""
    ttl = record.ttl
    on = ttl is not None and ttl.status != "DISABLING"
    if ttl is not None and on and ttl.attribute != wanted["AttributeName"]:
        raise errors.validation(f"TimeToLive is active on a different AttributeName: current AttributeName is {ttl.attribute}")
    if on == wanted["Enabled"]:
        raise errors.validation(f"TimeToLive is already {'enabled' if on else 'disabled'}")
    if ttl is not None and ttl.status != "ENABLED":
        raise errors.validation("Time to live has been modified multiple times within a fixed interval")
    if ttl is None:
        record.ttl = TimeToLive(wanted["AttributeName"], "dx:" + ctx.host.ids.text(SPACE_LETTERS))
    else:
        ttl.status = "DISABLING"


async def run_switching(host: Host) -> None:
    queue = _queue(host)

    async def handle(job: Job) -> None:
        work = msgspec.msgpack.decode(job.body, type=Switching)
        for _ in range(SLICES):
            after = await host.store.transact(lambda tx: _fill(host, tx, work))
            if after is None:
                await queue.finish(job, lambda tx: _switched(host, tx, work))
                return
            work.after = after
        await queue.again(job, host.clock.now(), msgspec.msgpack.encode(work))

    await queue.run(handle, workers=WORKERS)


async def _record(tx: Transaction, work: Switching) -> TableRecord | None:
    data = await tx.get(*records.place(work.region, work.table))
    record = None if data is None else records.decode(data)
    return record if record is not None and record.ttl is not None and record.ttl.space == work.space else None


async def _fill(host: Host, tx: Transaction, work: Switching) -> tuple[bytes, bytes] | None:
    """Notes when the next items expire; the last of them, or None at the end or when there is nothing to note."""
    record = await _record(tx, work)
    if record is None or record.ttl is None or record.ttl.status != "ENABLING":
        return None
    rows = await tx.scan(record.space, after=work.after, limit=BACKFILL_ROWS)
    for row in rows:
        second = expiries.expiry(Image(row.value).item, record.ttl.attribute)
        if second is not None:
            tx.put(work.space, b"", expiries.place(second, Key(row.partition, row.sort)), b"")
    return (rows[-1].partition, rows[-1].sort) if len(rows) == BACKFILL_ROWS else None


async def _switched(host: Host, tx: Transaction, work: Switching) -> None:
    record = await _record(tx, work)
    if record is None or record.ttl is None:
        return
    if record.ttl.status == "DISABLING":
        record.ttl = None
        clearing(host).put(tx, work.space, work.space.encode(), host.clock.now() + SETTLE_SECONDS)
    else:
        record.ttl.status = "ENABLED"
    tx.put(*records.place(work.region, work.table), records.encode(record))


async def run_expiring(host: Host) -> NoReturn:
    """Deletes expired items, of all tables in turn."""
    found: list[tuple[str, str]] = []
    changed = asyncio.Event()
    changed.set()
    unwatch = host.store.watch(records.TABLES, changed.set)
    try:
        while True:
            if changed.is_set():
                changed.clear()
                found = await _expiring(host)
            for region, name in found:
                await expire(host, region, name)
            await asyncio.sleep(EXPIRY_SECONDS)
    finally:
        unwatch()


async def _expiring(host: Host) -> list[tuple[str, str]]:
    """(region, name) of the tables whose items expire."""
    found: list[tuple[str, str]] = []
    after: tuple[bytes, bytes] | None = None
    while True:
        rows = await host.store.scan(records.TABLES, after=after, limit=READ_CHUNK_MOST)
        for row in rows:
            record = records.decode(row.value)
            if record.ttl is not None and record.ttl.status == "ENABLED":
                found.append((record.region, record.name))
        if len(rows) < READ_CHUNK_MOST:
            return found
        after = (rows[-1].partition, rows[-1].sort)
        await asyncio.sleep(0)


async def expire(host: Host, region: str, name: str) -> None:
    """Deletes the items of a table that have expired, a few at a time."""
    while True:
        table = await host.get(Tables).find(region, name)
        if table is None or table.record.ttl is None or table.record.ttl.status != "ENABLED":
            return
        now = host.clock.now()
        start, end = expiries.TIME.pack(max(0, int(now) - EXPIRY_OLDEST)), expiries.TIME.pack(math.ceil(now))
        rows = await host.store.range(table.record.ttl.space, b"", start, end, limit=EXPIRY_ROWS)
        if rows:
            await host.store.transact(partial(_delete, table, [place for place, _ in rows]))
        if len(rows) < EXPIRY_ROWS:
            return


async def _delete(table: Table, places: list[bytes], tx: Transaction) -> None:
    """Deletes the items that still expire when they were noted to."""
    ttl = table.record.ttl
    assert ttl is not None
    for place in places:
        second, key = expiries.read_place(place)
        data = await tx.get(table.space, key.partition, key.sort)
        old = None if data is None else Image(data)
        if old is not None and expiries.expiry(old.item, ttl.attribute) == second:
            await writes.apply(tx, table, key, old, None, TTL_ORIGIN)
        else:
            tx.delete(ttl.space, b"", place)
