"""Streams as tables have them: opened, closed, found, trimmed."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn
from zlib import crc32

import msgspec

from haar.services.dynamodb import errors, records, shards
from haar.services.dynamodb.limits import SETTLE_SECONDS, STREAM_SECONDS, STREAM_SHARDS, TRIM_ROWS, TRIM_SECONDS
from haar.services.dynamodb.records import StreamInfo, StreamRecord, TableRecord
from haar.services.service import Host
from haar.store.cache import Cached
from haar.store.contract import Transaction

SPACE_LETTERS = 12
PAGE = 100
"""Streams that are read at once."""


def check_created(given: Mapping[str, Any] | None) -> None:
    """StreamSpecification of CreateTable. Raises ValidationException."""
    if given is None:
        return
    if given["StreamEnabled"] and not given.get("StreamViewType"):
        raise errors.invalid("Table is being created with a stream enabled, UpdateViewType is required")
    if not given["StreamEnabled"] and given.get("StreamViewType"):
        raise errors.invalid("Table is being created with a stream disabled, UpdateViewType should not be specified")


def check_updated(given: Mapping[str, Any] | None) -> None:
    """The same of UpdateTable."""
    if given is None:
        return
    if given["StreamEnabled"] and not given.get("StreamViewType"):
        raise errors.invalid("If stream is being enabled then UpdateViewType is required")
    if not given["StreamEnabled"] and given.get("StreamViewType"):
        raise errors.invalid("If stream is being disabled, then UpdateViewType must not be specified")


async def change(host: Host, tx: Transaction, record: TableRecord, given: Mapping[str, Any] | None) -> None:
    """Opens or closes the stream as UpdateTable says; the caller writes the record. Raises ValidationException."""
    if given is None:
        return
    open_now = record.stream is not None and record.stream.enabled
    if given["StreamEnabled"]:
        if open_now:
            raise errors.validation(f"Table already has an enabled stream: TableName: {record.name}")
        await open_stream(host, tx, record, given["StreamViewType"], host.clock.now() + SETTLE_SECONDS)
    elif not open_now:
        raise errors.validation(f"Table has no stream to disable: TableName: {record.name}")
    else:
        await close_stream(host, tx, record)


async def open_stream(host: Host, tx: Transaction, record: TableRecord, view: str, settled: float) -> None:
    """A new stream for the table; the caller writes the record."""
    now = host.clock.now()
    milliseconds = round(now * 1000)
    while await tx.get(*records.stream_place(record.region, record.name, label_of(milliseconds))) is not None:
        milliseconds += 1
    label = label_of(milliseconds)
    count = STREAM_SHARDS["distributed" if host.config.store else "embedded"]
    space = "ds:" + host.ids.text(SPACE_LETTERS)
    info = StreamInfo(record.name, label, view, space, count, record.key_schema, now, settled)
    tx.put(*records.stream_place(record.region, record.name, label), msgspec.msgpack.encode(info))
    record.stream = StreamRecord(view, label, True, space, count)


async def close_stream(host: Host, tx: Transaction, record: TableRecord) -> None:
    """Ends the table's stream, if it has one; the caller writes the record, or deletes it."""
    if record.stream is None or not record.stream.enabled:
        return
    record.stream.enabled = False
    place = records.stream_place(record.region, record.name, record.stream.label)
    data = await tx.get(*place)
    if data is not None:
        info = decode(data)
        info.closed = host.clock.now()
        tx.put(*place, msgspec.msgpack.encode(info))


def label_of(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}"


def decode(data: bytes) -> StreamInfo:
    return msgspec.msgpack.decode(data, type=StreamInfo)


def status(info: StreamInfo, now: float) -> str:
    if info.closed is None:
        return "ENABLED" if now >= info.settled else "ENABLING"
    return "DISABLED" if ended(info, now) else "DISABLING"


def ended(info: StreamInfo, now: float) -> bool:
    """Whether no writer knows the stream as open any more: nothing is added to it."""
    return info.closed is not None and now >= info.closed + SETTLE_SECONDS


def readable(info: StreamInfo, now: float) -> bool:
    return info.closed is None or now < info.closed + STREAM_SECONDS


class Streams:
    """The streams of a platform: `host.get(Streams)`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._cached: Cached[StreamInfo | None] = Cached(host.store, [records.STREAMS], self._load)

    async def _load(self, key: str) -> StreamInfo | None:
        region, table, label = key.split("/", 2)
        data = await self._host.store.get(*records.stream_place(region, table, label))
        return None if data is None else decode(data)

    async def find(self, region: str, table: str, label: str) -> StreamInfo | None:
        """The stream as long as it can be read."""
        info = await self._cached.get(f"{region}/{table}/{label}")
        return info if info is not None and readable(info, self._host.clock.now()) else None

    async def list(self, region: str, table: str | None, after: tuple[str, str] | None, limit: int) -> list[StreamInfo]:
        """Streams in the order of (table, label), those behind `after` when given."""
        found: list[StreamInfo] = []
        start = b"" if table is None else f"{table}\0".encode()
        end = None if table is None else f"{table}\1".encode()
        if after is not None:
            start = max(start, f"{after[0]}\0{after[1]}\0".encode())
        now = self._host.clock.now()
        while len(found) < limit:
            rows = await self._host.store.range(records.STREAMS, region.encode(), start, end, limit=PAGE)
            found += [info for _, value in rows if readable(info := decode(value), now)]
            if len(rows) < PAGE:
                break
            start = rows[-1][0] + b"\0"
        return found[:limit]


async def run_trimming(host: Host) -> NoReturn:
    """Deletes stream records that are older than a day, and streams that have been closed for one."""
    while True:
        await trim_all(host)
        await asyncio.sleep(TRIM_SECONDS)


async def trim_all(host: Host) -> None:
    after: tuple[bytes, bytes] | None = None
    while True:
        rows = await host.store.scan(records.STREAMS, after=after, limit=PAGE)
        for row in rows:
            info = decode(row.value)
            before = host.clock.now() - STREAM_SECONDS
            if info.closed is not None and info.closed <= before:
                await _forget(host, row.partition, row.sort, info)
                continue
            for shard in range(info.shards):
                await _trim(host, info, shard, before)
        if len(rows) < PAGE:
            return
        after = (rows[-1].partition, rows[-1].sort)


async def _trim(host: Host, info: StreamInfo, shard: int, before: float) -> None:
    trimmed = TRIM_ROWS
    while trimmed == TRIM_ROWS:
        trimmed = await host.store.transact(lambda tx: shards.trim(tx, info, shard, before, TRIM_ROWS))


async def _forget(host: Host, region: bytes, sort: bytes, info: StreamInfo) -> None:
    await host.store.clear(info.space)

    async def delete(tx: Transaction) -> None:
        tx.delete(records.STREAMS, region, sort)

    await host.store.transact(delete)


def mark(info: StreamInfo, shard: int) -> str:
    """Eight hex digits that tell a stream's shards apart."""
    return f"{crc32(f'{info.space}/{shard}'.encode()):08x}"
