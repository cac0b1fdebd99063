"""StartLiveTail: events as they come in, for as long as somebody listens.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartLiveTail.html
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson

from haar.services.logs import service
from haar.services.logs.access import demand_on, name_of_arn
from haar.services.logs.errors import invalid, no_group
from haar.services.logs.patterns import Pattern, compile_pattern
from haar.services.logs.records import find_group
from haar.services.service import Context, Demand, Host, Input, Output
from haar.wire.errors import ServiceError
from haar.wire.eventstream import event, exception

MAX_SESSIONS = 15
MAX_EVENTS = 500
"""In one update; of more, the first are shown, and that it is so."""
UPDATE_SECONDS = 1.0
SESSION_SECONDS = 3 * 3600.0
JSON = "application/json"


class Tail:
    """One session: what it listens to, and what it has heard since its last update."""

    def __init__(self, region: str, groups: Sequence[str], streams: Sequence[str], prefixes: Sequence[str], pattern: Pattern) -> None:
        self._region, self._groups = region, frozenset(groups)
        self._streams, self._prefixes, self._pattern = frozenset(streams), tuple(prefixes), pattern
        self._heard: list[dict[str, Any]] = []
        self._sampled = False

    def hear(self, account: str, region: str, group: str, stream: str, events: Sequence[tuple[int, str]], ingested: int) -> None:
        if region != self._region or group not in self._groups:
            return
        if (self._streams and stream not in self._streams) or (self._prefixes and not stream.startswith(self._prefixes)):
            return
        for time, message in events:
            if not self._pattern.matches(message):
                continue
            if len(self._heard) >= MAX_EVENTS:
                self._sampled = True
                return
            self._heard.append(
                {
                    "logStreamName": stream,
                    "logGroupIdentifier": f"{account}:{group}",
                    "message": message,
                    "timestamp": time,
                    "ingestionTime": ingested,
                }
            )

    def update(self) -> dict[str, Any]:
        heard, self._heard = self._heard, []
        sampled, self._sampled = self._sampled, False
        return {"sessionMetadata": {"sampled": sampled}, "sessionResults": heard}


class Tails:
    """The sessions of a host: they hear what this process writes."""

    def __init__(self, host: Host) -> None:
        self._account = host.account
        self.listening: set[Tail] = set()

    def tell(self, region: str, group: str, stream: str, events: Sequence[tuple[int, str]], ingested: int) -> None:
        for tail in self.listening:
            tail.hear(self._account, region, group, stream, events, ingested)


async def _on_groups(context: Context, input: Input) -> list[Demand]:
    return [await demand_on(context, "logs:StartLiveTail", name_of_arn(each)) for each in input["logGroupIdentifiers"]]


@service.operation("StartLiveTail", _on_groups)
async def start_live_tail(context: Context, input: Input) -> Output:
    names = [name_of_arn(each) for each in input["logGroupIdentifiers"]]
    streams, prefixes = input.get("logStreamNames", []), input.get("logStreamNamePrefixes", [])
    if streams and prefixes:
        raise invalid("logStreamNames and logStreamNamePrefixes are mutually exclusive.")
    if (streams or prefixes) and len(names) > 1:
        raise invalid("Log streams can be named for one log group only.")
    written = input.get("logEventFilterPattern", "")
    pattern = compile_pattern(written)
    for name in names:
        if await find_group(context.store, context.region, name) is None:
            raise no_group()
    tails = context.host.get(Tails)
    if len(tails.listening) >= MAX_SESSIONS:
        raise ServiceError("LimitExceededException", f"Account maximum of {MAX_SESSIONS} concurrent Live Tail sessions reached.")
    head = {
        "requestId": context.request_id,
        "sessionId": context.host.ids.uuid(),
        "logGroupIdentifiers": input["logGroupIdentifiers"],
        "logStreamNames": streams,
        "logStreamNamePrefixes": prefixes,
        "logEventFilterPattern": written,
    }
    return {"responseStream": _events(tails, Tail(context.region, names, streams, prefixes, pattern), head)}


async def _events(tails: Tails, tail: Tail, head: dict[str, Any]) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    end = loop.time() + SESSION_SECONDS
    tails.listening.add(tail)
    try:
        yield event("initial-response", b"{}", JSON) + event("sessionStart", orjson.dumps(head), JSON)
        while loop.time() < end:
            await asyncio.sleep(UPDATE_SECONDS)
            yield event("sessionUpdate", orjson.dumps(tail.update()), JSON)
        yield exception("SessionTimeoutException", b'{"message":"Session timed out."}')
    finally:
        tails.listening.discard(tail)
