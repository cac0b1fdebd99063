"""Log streams: made, described, deleted; and how events get into one."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from haar.services.logs import service
from haar.services.logs.access import group_name, on_group, on_stream
from haar.services.logs.errors import bad_token, invalid, no_group, no_stream, stream_exists
from haar.services.logs.records import (
    EVENT_OVERHEAD,
    EVENTS,
    GARBAGE,
    STREAMS,
    Group,
    Stream,
    add_usage,
    behind,
    decode_stream,
    events_partition,
    find_group,
    find_stream,
    group_arn,
    pack,
    position,
    put_stream,
)
from haar.services.service import Context, Host, Input, Output
from haar.store.contract import Reader, Transaction

DESCRIBE_LIMIT = 50
READ_SLICE = 1000


def new_stream(host: Host, name: str) -> Stream:
    return Stream(name, host.ids.text(16), int(host.clock.now() * 1000))


async def streams_of(reader: Reader, group: Group, prefix: str = "") -> list[Stream]:
    """All streams of a group by name, read in slices."""
    streams: list[Stream] = []
    start, end = prefix.encode(), behind(prefix.encode())
    while True:
        rows = await reader.range(STREAMS, group.id.encode(), start, end, limit=READ_SLICE)
        streams += [decode_stream(value) for _, value in rows]
        if len(rows) < READ_SLICE:
            return streams
        start = rows[-1][0] + b"\x00"
        await asyncio.sleep(0)


@service.operation("CreateLogStream", on_group("logs:CreateLogStream"))
async def create_log_stream(context: Context, input: Input) -> Output:
    stream = new_stream(context.host, input["logStreamName"])

    async def create(tx: Transaction) -> None:
        group = await find_group(tx, context.region, input["logGroupName"])
        if group is None:
            raise no_group()
        if await find_stream(tx, group, stream.name):
            raise stream_exists()
        put_stream(tx, group, stream)

    await context.store.transact(create)
    return {}


@service.operation("DeleteLogStream", on_stream("logs:DeleteLogStream"))
async def delete_log_stream(context: Context, input: Input) -> Output:
    async def delete(tx: Transaction) -> None:
        group = await find_group(tx, context.region, input["logGroupName"])
        if group is None:
            raise no_group()
        stream = await find_stream(tx, group, input["logStreamName"])
        if stream is None:
            raise no_stream()
        tx.delete(STREAMS, group.id.encode(), stream.name.encode())
        await add_usage(tx, group, -stream.bytes)
        tx.put(GARBAGE, stream.id.encode(), b"", events_partition(group, stream))

    await context.store.transact(delete)
    return {}


@service.operation("DescribeLogStreams", on_group("logs:DescribeLogStreams"))
async def describe_log_streams(context: Context, input: Input) -> Output:
    prefix, by_time = input.get("logStreamNamePrefix", ""), input.get("orderBy") == "LastEventTime"
    if prefix and by_time:
        raise invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
    group = await find_group(context.store, context.region, group_name(input))
    if group is None:
        raise no_group()

    def order(stream: Stream) -> tuple[int, str]:
        return (stream.last or 0 if by_time else 0, stream.name)

    descending, limit = bool(input.get("descending", False)), input.get("limit", DESCRIBE_LIMIT)
    found = sorted(await streams_of(context.store, group, prefix), key=order, reverse=descending)
    if token := input.get("nextToken"):
        after = _read_token(token)
        found = [stream for stream in found if (order(stream) < after if descending else order(stream) > after)]
    arn = group_arn(context.region, context.account, group.name)
    output: dict[str, Any] = {"logStreams": [_described(arn, stream) for stream in found[:limit]]}
    if len(found) > limit:
        output["nextToken"] = orjson.dumps(order(found[limit - 1])).hex()
    return output


def _read_token(token: str) -> tuple[int, str]:
    try:
        time, name = orjson.loads(bytes.fromhex(token))
        return int(time), str(name)
    except (ValueError, TypeError):
        raise bad_token() from None


def _described(arn: str, stream: Stream) -> dict[str, Any]:
    described: dict[str, Any] = {
        "logStreamName": stream.name,
        "creationTime": stream.created,
        "arn": f"{arn}:log-stream:{stream.name}",
        "storedBytes": 0,  # AWS reports a stream's bytes as 0 since 2019
    }
    if stream.last is not None:
        described |= {
            "firstEventTimestamp": stream.first,
            "lastEventTimestamp": stream.last,
            "lastIngestionTime": stream.ingested,
            "uploadSequenceToken": sequence_token(stream),
        }
    return described


def sequence_token(stream: Stream) -> str:
    """No longer asked for, still handed out."""
    return f"{int(stream.id, 36):032d}{stream.sequence:024d}"


async def write(tx: Transaction, group: Group, stream: Stream, events: Sequence[tuple[int, str]], ingested: int) -> None:
    """Puts (epoch ms, message) events and moves the stream's record on, in the caller's transaction."""
    if not events:
        return
    partition, size = events_partition(group, stream), 0
    for sequence, (time, message) in enumerate(events, stream.sequence):
        value = pack(ingested, message)
        size += len(value) - 8 + EVENT_OVERHEAD
        tx.put(EVENTS, partition, position(time, sequence), value)
    times = [time for time, _ in events]
    stream.sequence += len(events)
    stream.first = min(times) if stream.first is None else min(stream.first, *times)
    stream.last = max(times) if stream.last is None else max(stream.last, *times)
    stream.ingested = ingested
    stream.bytes += size
    put_stream(tx, group, stream)
    await add_usage(tx, group, size)
