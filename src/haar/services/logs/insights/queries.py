"""StartQuery and what follows it: queries run beside everything else, and keep their results in memory for a while.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from haar.services.logs import service
from haar.services.logs.access import demand_on, group_name, name_of_arn, on_anything, on_group
from haar.services.logs.errors import invalid, no_group
from haar.services.logs.filters import Cursor, Merge, cursors_of
from haar.services.logs.insights.commands import MAX_ROWS, POINTER, Query
from haar.services.logs.insights.syntax import Malformed
from haar.services.logs.insights.values import Row, Time, pointer, read_pointer, text
from haar.services.logs.paging import offset, onward
from haar.services.logs.records import (
    EVENTS,
    Event,
    Group,
    Stream,
    events_partition,
    find_group,
    find_stream,
    position,
    unpack,
)
from haar.services.logs.streams import streams_of
from haar.services.service import Context, Demand, Host, Input, Output
from haar.wire.errors import ServiceError

log = logging.getLogger("haar.logs")

MAX_GROUPS = 50
MAX_RUNNING = 30
MAX_KEPT = 300
KEPT_BYTES = 64 * 1024 * 1024
"""Queries whose results are kept, and what all of them may take; the oldest go."""
QUERY_SECONDS = 3600.0
BATCH = 200
"""Events that go through a query at once, in a helper thread."""
TURN = 10
"""Events after which a helper thread lets the loop have the interpreter."""
COUNTED_AT_ONCE = 100
"""Events whose fields are counted in one piece."""
DESCRIBE_LIMIT = 100
FIELDS_SAMPLE = 1000
"""Events whose fields GetLogGroupFields counts, ..."""
FIELDS_MS = 15 * 60_000
"""... of so long."""
MILLISECONDS_SINCE = 100_000_000_000
"""Times above are in milliseconds, below in seconds."""


@dataclass
class Running:
    """A query, from its start until it is forgotten."""

    id: str
    region: str
    groups: list[str]
    query: str
    created: int
    user: str
    status: str = "Scheduled"
    rows: list[list[tuple[str, str]]] = field(default_factory=list)
    size: int = 0
    """Characters of them."""
    scanned: int = 0
    bytes: int = 0
    matched: int = 0
    ended: int | None = None
    task: "asyncio.Task[None] | None" = None


class Queries:
    """The queries of a host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.known: OrderedDict[str, Running] = OrderedDict()

    def start(self, running: Running, query: Query, groups: Sequence[Group], low: int, high: int) -> None:
        """Raises LimitExceededException."""
        if sum(one.task is not None for one in self.known.values()) >= MAX_RUNNING:
            raise ServiceError("LimitExceededException", f"Account maximum query concurrency of [{MAX_RUNNING}] reached.")
        while len(self.known) >= MAX_KEPT:
            oldest = next(id for id, one in self.known.items() if one.task is None)
            del self.known[oldest]
        self.known[running.id] = running
        running.task = asyncio.create_task(self._run(running, query, groups, low, high))

    def _forget(self, latest: Running) -> None:
        """The oldest results, when there are too many together."""
        left = sum(one.size for one in self.known.values())
        for id, one in list(self.known.items()):
            if left <= KEPT_BYTES:
                return
            if one.task is None and one is not latest:
                left -= one.size
                del self.known[id]

    async def _run(self, running: Running, query: Query, groups: Sequence[Group], low: int, high: int) -> None:
        running.status = "Running"
        try:
            async with asyncio.timeout(QUERY_SECONDS):
                await self._scan(running, query, groups, low, high)
                running.rows, running.size = await asyncio.to_thread(_finished, query)
            running.status = "Complete"
            self._forget(running)
        except TimeoutError:
            running.status = "Timeout"
        except asyncio.CancelledError:
            running.status = "Cancelled"
        except Exception:
            running.status = "Failed"
            log.exception("query %s", running.id)
        finally:
            running.matched, running.ended, running.task = query.counted.count, int(self._host.clock.now() * 1000), None

    async def _scan(self, running: Running, query: Query, groups: Sequence[Group], low: int, high: int) -> None:
        """Pushes the events of the groups, the latest first, until there are no more or no more are wanted."""
        store, now = self._host.store, self._host.clock.now()
        of: dict[str, Group] = {}
        cursors: list[Cursor] = []
        for group in groups:
            streams = await streams_of(store, group)
            of |= {stream.id: group for stream in streams}
            floor = position(max(low, group.floor(now)), 0)
            cursors += cursors_of(store, group, streams, floor, position(high, 0), None, forward=False)
        merge = Merge(cursors, forward=False)
        await merge.start()
        account, moment = self._host.account, Time(int(now * 1000))
        while merge and not query.first.full():
            batch: list[Row] = []
            while merge and len(batch) < BATCH:
                event, stream = await merge.pop()
                running.scanned += 1
                running.bytes += len(event.message.encode("utf-8", "surrogatepass"))
                batch.append(_row(account, of[stream.id], stream, event, moment))
            await asyncio.to_thread(_push, query, batch)


def _row(account: str, group: Group, stream: Stream, event: Event, moment: Time) -> Row:
    return Row(
        {
            "@timestamp": Time(event.time),
            "@ingestionTime": Time(event.ingested),
            "@message": event.message,
            "@logStream": stream.name,
            "@log": f"{account}:{group.name}",
            POINTER: pointer(group.name, stream.name, event.time, event.sequence),
            "@now": moment,
        },
        len(event.message),
    )


def _push(query: Query, batch: Sequence[Row]) -> None:
    for at, row in enumerate(batch, 1):
        query.first.push(row)
        if at % TURN == 0:
            time.sleep(0)  # the interpreter is the loop's for a turn


def _finished(query: Query) -> tuple[list[list[tuple[str, str]]], int]:
    """The rows, and how many characters they have."""
    query.first.end()
    rows = query.shown()
    return rows, sum(len(value) for row in rows for _, value in row)


def _named(input: Input) -> list[str]:
    """The groups that an input names, in one of three ways. Raises InvalidParameterException."""
    given = [input.get("logGroupNames"), input.get("logGroupIdentifiers"), [input["logGroupName"]] if "logGroupName" in input else None]
    named = [names for names in given if names is not None]
    if len(named) != 1 or not named[0]:
        raise invalid("Exactly one of logGroupName, logGroupNames, or logGroupIdentifiers must be specified.")
    if len(named[0]) > MAX_GROUPS:
        raise invalid(f"A query can include at most {MAX_GROUPS} log groups.")
    return list(dict.fromkeys(name_of_arn(name) for name in named[0]))


async def _on_groups(context: Context, input: Input) -> list[Demand]:
    return [await demand_on(context, "logs:StartQuery", name) for name in _named(input)]


def _milliseconds(given: int) -> int:
    return given if given >= MILLISECONDS_SINCE else given * 1000


@service.operation("StartQuery", _on_groups)
async def start_query(context: Context, input: Input) -> Output:
    if input.get("queryLanguage", "CWLI") != "CWLI":
        raise invalid(f"haar has no queries in {input['queryLanguage']}")
    low, high = _milliseconds(input["startTime"]), _milliseconds(input["endTime"])
    if low > high:
        raise invalid("Query's end date and time is before its start date and time.")
    groups = []
    for name in _named(input):
        group = await find_group(context.store, context.region, name)
        if group is None:
            raise ServiceError("ResourceNotFoundException", f"Log group '{name}' does not exist for account ID '{context.account}'")
        groups.append(group)
    written = input["queryString"]
    try:
        query = Query(written, min(input.get("limit", MAX_ROWS), MAX_ROWS))
    except Malformed as error:
        place = {"startCharOffset": error.start, "endCharOffset": error.end}
        raise ServiceError(
            "MalformedQueryException",
            f"{error.message} at line 1 and position {error.start}",
            400,
            queryCompileError={"location": place, "message": error.message},
        ) from None
    names = [group.name for group in groups]
    running = Running(context.host.ids.uuid(), context.region, names, written, int(context.now() * 1000), context.principal.arn)
    # The second of the end is in it.
    context.host.get(Queries).start(running, query, groups, low, high + (1 if input["endTime"] >= MILLISECONDS_SINCE else 1000))
    return {"queryId": running.id}


def _query(context: Context, input: Input) -> Running:
    found = context.host.get(Queries).known.get(input["queryId"])
    if found is None or found.region != context.region:
        raise ServiceError("ResourceNotFoundException", f"Query {input['queryId']} does not exist")
    return found


@service.operation("GetQueryResults", on_anything("logs:GetQueryResults"))
async def get_query_results(context: Context, input: Input) -> Output:
    running = _query(context, input)
    start, most = offset(input.get("nextToken")), input.get("maxItems") or MAX_ROWS
    rows = running.rows[start : start + most]
    output: dict[str, Any] = {
        "queryLanguage": "CWLI",
        "results": [[{"field": name, "value": value} for name, value in row] for row in rows],
        "statistics": {
            "recordsMatched": float(running.matched),
            "recordsScanned": float(running.scanned),
            "estimatedRecordsSkipped": 0.0,
            "bytesScanned": float(running.bytes),
            "estimatedBytesSkipped": 0.0,
            "logGroupsScanned": float(len(running.groups)),
        },
        "status": running.status,
    }
    return output | onward(start, most, len(running.rows))


@service.operation("StopQuery", on_anything("logs:StopQuery"))
async def stop_query(context: Context, input: Input) -> Output:
    running = _query(context, input)
    if running.task is None:
        raise invalid(f"Query {running.id} is not running: its status is {running.status}")
    running.task.cancel()
    running.status = "Cancelled"
    return {"success": True}


@service.operation("DescribeQueries", on_anything("logs:DescribeQueries"))
async def describe_queries(context: Context, input: Input) -> Output:
    wanted = [
        one
        for one in reversed(context.host.get(Queries).known.values())
        if one.region == context.region
        and input.get("logGroupName", one.groups[0]) in one.groups
        and input.get("status", one.status) == one.status
    ]
    start, most = offset(input.get("nextToken")), input.get("maxResults", DESCRIBE_LIMIT)
    return {"queries": [_described(one) for one in wanted[start : start + most]]} | onward(start, most, len(wanted))


def _described(one: Running) -> dict[str, Any]:
    described = {
        "queryLanguage": "CWLI",
        "queryId": one.id,
        "queryString": one.query,
        "status": one.status,
        "createTime": one.created,
        "logGroupName": one.groups[0],
        "bytesScanned": float(one.bytes),
        "userIdentity": one.user,
    }
    return described if one.ended is None else described | {"queryDuration": one.ended - one.created}


async def _on_record(context: Context, input: Input) -> list[Demand]:
    place = read_pointer(input["logRecordPointer"])
    return [Demand("logs:GetLogRecord") if place is None else await demand_on(context, "logs:GetLogRecord", place[0])]


@service.operation("GetLogRecord", _on_record)
async def get_log_record(context: Context, input: Input) -> Output:
    """All fields of the event that an @ptr points at."""
    place = read_pointer(input["logRecordPointer"])
    if place is None or not 0 <= place[2] < 1 << 63 or not 0 <= place[3] < 1 << 63:
        raise invalid("The specified log record pointer is invalid.")
    group = await find_group(context.store, context.region, place[0])
    stream = None if group is None else await find_stream(context.store, group, place[1])
    raw = None
    if group is not None and stream is not None:
        raw = await context.store.get(EVENTS, events_partition(group, stream), position(place[2], place[3]))
    if group is None or stream is None or raw is None:
        raise ServiceError("ResourceNotFoundException", "The specified log record does not exist.")
    row = _row(context.account, group, stream, unpack(position(place[2], place[3]), raw), Time(0))
    record = {name: value for name, value in row.all().items() if name != "@now"}
    for name in ("@timestamp", "@ingestionTime"):
        record[name] = str(int(record[name]))
    return {"logRecord": {name: text(value) for name, value in record.items()}}


@service.operation("GetLogGroupFields", on_group("logs:GetLogGroupFields"))
async def get_log_group_fields(context: Context, input: Input) -> Output:
    """The fields of the latest events of a quarter of an hour, with the share of the events that have each."""
    group = await find_group(context.store, context.region, group_name(input))
    if group is None:
        raise no_group()
    high = _milliseconds(input["time"]) + FIELDS_MS // 2 if "time" in input else int(context.now() * 1000)
    low = position(max(0, high - FIELDS_MS), 0)
    streams = await streams_of(context.store, group)
    cursors = cursors_of(context.store, group, streams, low, position(high + 1, 0), None, forward=False)
    merge = Merge(cursors, forward=False)
    await merge.start()
    counted: dict[str, int] = {}
    total = 0
    while merge and total < FIELDS_SAMPLE:
        event, stream = await merge.pop()
        total += 1
        for name in _row(context.account, group, stream, event, Time(0)).all():
            if name not in (POINTER, "@now"):
                counted[name] = counted.get(name, 0) + 1
        if total % COUNTED_AT_ONCE == 0:
            await asyncio.sleep(0)
    found = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
    return {"logGroupFields": [{"name": name, "percent": 100 * count // total} for name, count in found]}
