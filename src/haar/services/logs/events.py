"""Log events: put into a stream and read back from it."""

import asyncio
import re
from typing import Any

from haar.services.logs import service
from haar.services.logs.access import group_name, on_stream
from haar.services.logs.errors import bad_token, invalid, no_group, no_stream
from haar.services.logs.livetail import Tails
from haar.services.logs.metricfilters import measure
from haar.services.logs.records import (
    DAY_MS,
    EVENT_OVERHEAD,
    EVENTS,
    LATEST,
    Event,
    Group,
    events_partition,
    find_group,
    find_stream,
    position,
    unpack,
)
from haar.services.logs.streams import sequence_token, write
from haar.services.logs.subscriptions import Deliveries
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction

MAX_BATCH_BYTES = 1_048_576
MAX_EVENT_BYTES = 1_048_576
MAX_EVENT_AGE_MS = 14 * DAY_MS
MAX_EVENT_AHEAD_MS = 2 * 3_600_000
MAX_PAGE_EVENTS = 10_000
MAX_PAGE_BYTES = 1_048_576
READ_SLICE = 500
_TOKEN = re.compile(r"([fb])/(\d{56})/s")


@service.operation("PutLogEvents", on_stream("logs:PutLogEvents"))
async def put_log_events(context: Context, input: Input) -> Output:
    events = [(each["timestamp"], each["message"]) for each in input["logEvents"]]
    _check_batch(events)
    now = int(context.now() * 1000)

    async def put(tx: Transaction) -> tuple[dict[str, Any], Group, list[tuple[int, str]]]:
        group = await find_group(tx, context.region, input["logGroupName"])
        if group is None:
            raise no_group()
        stream = await find_stream(tx, group, input["logStreamName"])
        if stream is None:
            raise no_stream()
        rejected, good = _sort_out(events, now, group)
        if group.subscriptions:
            context.host.get(Deliveries).put(tx, context.region, group, stream, stream.sequence, good)
        await write(tx, group, stream, good, now)
        output = {"nextSequenceToken": sequence_token(stream)} | ({"rejectedLogEventsInfo": rejected} if rejected else {})
        return output, group, good

    output, group, good = await context.store.transact(put)
    context.host.get(Tails).tell(context.region, group.name, input["logStreamName"], good, now)
    await measure(context.host, context.region, group, good)
    return output


def _check_batch(events: list[tuple[int, str]]) -> None:
    total = 0
    for index, (time, message) in enumerate(events):
        size = len(message.encode("utf-8", "surrogatepass")) + EVENT_OVERHEAD
        if not message:
            raise invalid(
                f"1 validation error detected: Value '' at 'logEvents.{index + 1}.member.message' failed to satisfy constraint: "
                "Member must have length greater than or equal to 1"
            )
        if size > MAX_EVENT_BYTES:
            raise invalid(f"Log event too large: {size} bytes exceeds limit of {MAX_EVENT_BYTES}")
        if index and time < events[index - 1][0]:
            raise invalid("Log events in a single PutLogEvents request must be in chronological order.")
        total += size
    if total > MAX_BATCH_BYTES:
        raise invalid(f"Upload too large: {total} bytes exceeds limit of {MAX_BATCH_BYTES}")
    if events[-1][0] - events[0][0] > DAY_MS:
        raise invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")


def _sort_out(events: list[tuple[int, str]], now: int, group: Group) -> tuple[dict[str, int], list[tuple[int, str]]]:
    """The rejectedLogEventsInfo of events in order of time, and those that are taken."""
    rejected: dict[str, int] = {}
    too_old = sum(time < now - MAX_EVENT_AGE_MS for time, _ in events)
    expired = sum(time < group.floor(now / 1000) for time, _ in events)
    too_new = sum(time > now + MAX_EVENT_AHEAD_MS for time, _ in events)
    if too_old:
        rejected["tooOldLogEventEndIndex"] = too_old
    if expired > too_old:
        rejected["expiredLogEventEndIndex"] = expired
    if too_new:
        rejected["tooNewLogEventStartIndex"] = len(events) - too_new
    return rejected, events[max(too_old, expired) : len(events) - too_new]


def _token(direction: str, at: bytes) -> str:
    return f"{direction}/{int.from_bytes(at, 'big'):056d}/s"


def _moved(at: bytes, by: int) -> bytes:
    return min(max(int.from_bytes(at, "big") + by, 0), int.from_bytes(LATEST, "big")).to_bytes(16, "big")


@service.operation("GetLogEvents", on_stream("logs:GetLogEvents"))
async def get_log_events(context: Context, input: Input) -> Output:
    group = await find_group(context.store, context.region, group_name(input))
    if group is None:
        raise no_group()
    stream = await find_stream(context.store, group, input["logStreamName"])
    if stream is None:
        raise no_stream()
    low = position(max(input.get("startTime", 0), group.floor(context.now())), 0)
    high = position(input["endTime"], 0) if "endTime" in input else LATEST
    forward, token_at = bool(input.get("startFromHead", False)), None
    if token := input.get("nextToken"):
        forward, token_at = _read_token(token)
        if forward:
            low = max(low, _moved(token_at, 1))
        else:
            high = min(high, token_at)
    events = await _page(context.store, events_partition(group, stream), low, high, forward, input.get("limit", MAX_PAGE_EVENTS))
    if events:
        first, last = (position(event.time, event.sequence) for event in (events[0], events[-1]))
    elif token_at is not None:  # at an end: the same token again, and the way back from there
        first, last = (_moved(token_at, 1), token_at) if forward else (token_at, _moved(token_at, -1))
    else:
        first = last = b"\x00" * 16
    return {
        "events": [{"timestamp": event.time, "message": event.message, "ingestionTime": event.ingested} for event in events],
        "nextForwardToken": _token("f", last),
        "nextBackwardToken": _token("b", first),
    }


def _read_token(token: str) -> tuple[bool, bytes]:
    found = _TOKEN.fullmatch(token)
    if found is None or int(found[2]) >> 128:
        raise bad_token()
    return found[1] == "f", int(found[2]).to_bytes(16, "big")


async def _page(reader: Reader, partition: bytes, low: bytes, high: bytes, forward: bool, limit: int) -> list[Event]:
    """The first (or last) events between two positions, in order of time, as many as fit into a page."""
    events: list[Event] = []
    size = 0
    while len(events) < limit and low < high:
        rows = await reader.range(EVENTS, partition, low, high, reverse=not forward, limit=READ_SLICE)
        for sort, value in rows:
            size += len(value) - 8 + EVENT_OVERHEAD
            if len(events) == limit or (events and size > MAX_PAGE_BYTES):
                break
            events.append(unpack(sort, value))
        else:
            if len(rows) < READ_SLICE:
                break
            low, high = (_moved(rows[-1][0], 1), high) if forward else (low, rows[-1][0])
            await asyncio.sleep(0)
            continue
        break
    return events if forward else events[::-1]
