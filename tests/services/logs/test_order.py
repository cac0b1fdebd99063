"""Whatever the events, the streams and the size of a page: every event is read once, in order, in both directions."""

import random
from typing import Any

import pytest

from haar.auth.principal import Principal
from haar.services.logs import service
from haar.services.logs.public import append
from haar.services.service import Context, Host

BASE = 1_750_000_000_000


async def call(host: Host, operation: str, **input: Any) -> Any:
    root = Principal("root", host.account, f"arn:aws:iam::{host.account}:root", host.account)
    return await service.operations[operation].handler(Context(host, root, "us-east-1", "r"), input)


async def filled(host: Host, chance: random.Random) -> list[tuple[int, str, int, str]]:
    """Random streams of random events: (time, stream, order of arrival, message) of each."""
    events: list[tuple[int, str, int, str]] = []
    arrived: dict[str, int] = {}
    for _ in range(chance.randint(1, 25)):
        stream = chance.choice(["a", "b", "a/b", "z"])
        batch = [(BASE + chance.randint(0, 12), f"{stream} {chance.random()}") for _ in range(chance.randint(1, 60))]
        await append(host, "us-east-1", "/g", stream, batch)
        for time, message in batch:
            arrived[stream] = arrived.get(stream, 0) + 1
            events.append((time, stream, arrived[stream], message))
    return sorted(events)


@pytest.mark.parametrize("seed", range(8))
async def test_filter(host: Host, seed: int) -> None:
    chance = random.Random(seed)
    events = await filled(host, chance)
    start, end = BASE + chance.randint(0, 6), BASE + chance.randint(6, 12)
    for forward in (True, False):
        found, token, limit = [], {}, chance.choice([1, 7, 100, 10_000])
        while True:
            page = await call(
                host, "FilterLogEvents", logGroupName="/g", startTime=start, endTime=end, startFromHead=forward, limit=limit, **token
            )
            found += [(event["timestamp"], event["logStreamName"], event["message"]) for event in page["events"]]
            if "nextToken" not in page:
                break
            token = {"nextToken": page["nextToken"]}
        wanted = [(time, stream, message) for time, stream, _, message in events if start <= time <= end]
        assert found == (wanted if forward else wanted[::-1])


@pytest.mark.parametrize("seed", range(8))
async def test_get(host: Host, seed: int) -> None:
    chance = random.Random(seed)
    events = await filled(host, chance)
    stream = events[0][1]
    wanted = [message for _, of, _, message in events if of == stream]
    limit = chance.choice([1, 3, 50, 10_000])

    async def read(forward: bool) -> list[str]:
        found: list[str] = []
        key, token = ("nextForwardToken" if forward else "nextBackwardToken"), {}
        while True:
            page = await call(host, "GetLogEvents", logGroupName="/g", logStreamName=stream, startFromHead=forward, limit=limit, **token)
            messages = [event["message"] for event in page["events"]]
            found = found + messages if forward else messages + found
            if token.get("nextToken") == page[key]:
                return found
            token = {"nextToken": page[key]}

    assert await read(True) == wanted
    assert await read(False) == wanted
