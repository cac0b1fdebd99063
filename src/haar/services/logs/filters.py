"""FilterLogEvents: the events of a group's streams, merged in order of time and filtered by a pattern."""

import asyncio
import base64
import binascii
import heapq
from typing import Any, NamedTuple

import orjson

from haar.services.logs import service
from haar.services.logs.access import group_name, on_anything, on_group
from haar.services.logs.errors import bad_token, invalid, no_group, no_stream
from haar.services.logs.patterns import compile_pattern
from haar.services.logs.records import (
    EVENT_OVERHEAD,
    EVENTS,
    LATEST,
    Event,
    Group,
    Stream,
    event_id,
    events_partition,
    find_group,
    find_stream,
    position,
    unpack,
)
from haar.services.logs.streams import streams_of
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader

MAX_PAGE_EVENTS = 10_000
MAX_PAGE_BYTES = 1_048_576
MAX_SCANNED = 20_000
"""Events that one call looks at before it answers with a token."""
READ_SLICE = 500
MIN_SLICE = 8
START_SLICE = 20
"""Streams that are begun to be read in one piece."""
DESCENDING_SINCE = 1_704_067_200_000
"""2024-01-01: descending order is not served from before it."""


class _Place(NamedTuple):
    """Where a page ended, and which way it went."""

    time: int
    stream: str
    sequence: int
    forward: bool

    def token(self) -> str:
        return base64.urlsafe_b64encode(orjson.dumps(tuple(self))).decode()

    @classmethod
    def read(cls, token: str) -> "_Place":
        try:
            time, stream, sequence, forward = orjson.loads(base64.urlsafe_b64decode(token))
            position(int(time) + 1, int(sequence) + 1)
            return cls(int(time), str(stream), int(sequence), bool(forward))
        except (ValueError, TypeError, OverflowError, binascii.Error):
            raise bad_token() from None

    def range(self, stream: str) -> tuple[bytes, bytes]:
        """The positions in `stream` that come after this place in the page order: (from, to)."""
        behind = position(self.time + (stream < self.stream), 0)
        if self.forward:
            return (position(self.time, self.sequence + 1) if stream == self.stream else behind), LATEST
        return b"", (position(self.time, self.sequence) if stream == self.stream else behind)


class Cursor:
    """Reads one stream's events in order of time, a slice at a time."""

    def __init__(self, reader: Reader, group: Group, stream: Stream, low: bytes, high: bytes, size: int, forward: bool) -> None:
        self.stream = stream
        self._reader, self._partition = reader, events_partition(group, stream)
        self._low, self._high, self._size, self._forward = low, high, size, forward
        self._rows: list[tuple[bytes, bytes]] = []
        self._at = 0
        self._more = True

    async def next(self) -> Event | None:
        if self._at == len(self._rows):
            if not self._more:
                return None
            self._rows = await self._reader.range(
                EVENTS, self._partition, self._low, self._high, reverse=not self._forward, limit=self._size
            )
            self._at, self._more = 0, len(self._rows) == self._size
            if not self._rows:
                return None
            if self._forward:
                self._low = self._rows[-1][0] + b"\x00"
            else:
                self._high = self._rows[-1][0]
        self._at += 1
        return unpack(*self._rows[self._at - 1])


class Merge:
    """The events of several cursors in one order: time, then the stream's name, then arrival."""

    def __init__(self, cursors: list[Cursor], forward: bool) -> None:
        self._sign = 1 if forward else -1
        self._cursors = sorted(cursors, key=lambda cursor: cursor.stream.name)
        self._heap: list[tuple[int, int, int, Event]] = []

    async def start(self) -> None:
        for rank in range(len(self._cursors)):
            await self._push(rank)
            if rank % START_SLICE == 0:
                await asyncio.sleep(0)

    async def _push(self, rank: int) -> None:
        event = await self._cursors[rank].next()
        if event:
            heapq.heappush(self._heap, (self._sign * event.time, self._sign * rank, self._sign * event.sequence, event))

    def __bool__(self) -> bool:
        return bool(self._heap)

    async def pop(self) -> tuple[Event, Stream]:
        _, rank, _, event = heapq.heappop(self._heap)
        await self._push(self._sign * rank)
        return event, self._cursors[self._sign * rank].stream


@service.operation("FilterLogEvents", on_group("logs:FilterLogEvents"))
async def filter_log_events(context: Context, input: Input) -> Output:
    matches = compile_pattern(input.get("filterPattern", "")).matches
    start, end = input.get("startTime", 0), input.get("endTime")
    if "logStreamNames" in input and "logStreamNamePrefix" in input:
        raise invalid("Cannot specify both logStreamNames and logStreamNamePrefix.")
    if end is not None and start > end:
        raise invalid("The specified startTime is after the specified endTime.")
    place = _Place.read(input["nextToken"]) if "nextToken" in input else None
    forward = place.forward if place else bool(input.get("startFromHead", True))
    if not forward and start < DESCENDING_SINCE:
        raise invalid("startFromHead can be false only when startTime is on or after Jan 1, 2024 00:00:00 UTC.")
    group = await find_group(context.store, context.region, group_name(input))
    if group is None:
        raise no_group()
    streams = await _searched(context, group, input)
    low, high = position(max(start, group.floor(context.now())), 0), LATEST if end is None else position(end + 1, 0)
    merge = Merge(cursors_of(context.store, group, streams, low, high, place, forward), forward)
    await merge.start()
    limit = input.get("limit", MAX_PAGE_EVENTS)
    events: list[dict[str, Any]] = []
    size = scanned = 0
    while merge and len(events) < limit and size < MAX_PAGE_BYTES and scanned < MAX_SCANNED:
        event, stream = await merge.pop()
        place = _Place(event.time, stream.name, event.sequence, forward)
        scanned += 1
        if matches(event.message):
            size += len(event.message) + EVENT_OVERHEAD
            events.append(_filtered(event, stream))
        if scanned % READ_SLICE == 0:
            await asyncio.sleep(0)
    output: dict[str, Any] = {"events": events, "searchedLogStreams": []}
    if merge and place:
        output["nextToken"] = place.token()
    return output


async def _searched(context: Context, group: Group, input: Input) -> list[Stream]:
    if "logStreamNames" not in input:
        return await streams_of(context.store, group, input.get("logStreamNamePrefix", ""))
    found = [await find_stream(context.store, group, name) for name in dict.fromkeys(input["logStreamNames"])]
    if None in found:
        raise no_stream()
    return [stream for stream in found if stream]


def cursors_of(
    reader: Reader, group: Group, streams: list[Stream], low: bytes, high: bytes, place: _Place | None, forward: bool
) -> list[Cursor]:
    """A cursor for each stream that can have events between the positions, behind what was answered before."""
    size = max(MIN_SLICE, READ_SLICE // max(1, len(streams)))
    cursors = []
    for stream in streams:
        if stream.first is None or stream.last is None:
            continue
        after, before = place.range(stream.name) if place else (b"", LATEST)
        start, end = max(low, after, position(stream.first, 0)), min(high, before, position(stream.last + 1, 0))
        if start < end:
            cursors.append(Cursor(reader, group, stream, start, end, size, forward))
    return cursors


def _filtered(event: Event, stream: Stream) -> dict[str, Any]:
    return {
        "logStreamName": stream.name,
        "timestamp": event.time,
        "message": event.message,
        "ingestionTime": event.ingested,
        "eventId": event_id(stream, event.time, event.sequence),
    }


@service.operation("TestMetricFilter", on_anything("logs:TestMetricFilter"))
async def test_metric_filter(context: Context, input: Input) -> Output:
    pattern = compile_pattern(input["filterPattern"])
    return {
        "matches": [
            {"eventNumber": number, "eventMessage": message, "extractedValues": pattern.extract(message)}
            for number, message in enumerate(input["logEventMessages"], 1)
            if pattern.matches(message)
        ]
    }
