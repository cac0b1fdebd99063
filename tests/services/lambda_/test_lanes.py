"""Lanes in process: who has one, what is read at once, what is too old. The source, the function and the clock are the test's own."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from haar.clock import RandomIds
from haar.config import Config
from haar.execution.contract import FunctionSpec, InvocationResult
from haar.services.lambda_ import lanes
from haar.services.lambda_.lanes import Lane, Lost
from haar.services.lambda_.mappingrecords import LANES, Mapping, decode_checkpoint, lane_key, put_lanes, put_mapping
from haar.services.lambda_.names import FunctionName
from haar.services.lambda_.records import Function, Settings, Version, put_function
from haar.services.lambda_.sources import Read, Record, Trimmed
from haar.services.service import Host
from haar.store.contract import Transaction
from haar.store.sqlite import SQLiteStore

REGION, ACCOUNT = "us-east-1", "123456789012"
WAIT_SECONDS = 30.0


class Clock:
    seconds = 1_000_000.0

    def now(self) -> float:
        return self.seconds


class Numbers:
    """A source of one shard whose records are the numbers from `first` to `last`."""

    arn, actions, policy, shards = "arn:numbers", (), None, 1

    def __init__(self, last: int, first: int = 1, size: int = 20) -> None:
        self.first, self.last, self.size = first, last, size
        self.created = Clock.seconds
        self.apart = 0.0

    async def latest(self, shard: int) -> int:
        return self.last + 1

    async def read(self, shard: int, position: int | None, limit: int) -> Read:
        if position is not None and position < self.first:
            raise Trimmed
        start = self.first if position is None else position
        numbers = range(start, min(start + limit, self.last + 1))
        found: list[Record] = []
        for n in numbers:
            data = json.dumps({"n": n, "x": "x" * self.size}).encode()
            found.append(Record(n, str(n), b"%d" % (n % 5), self.created + n * self.apart, data))
        return Read(found, max(start, start + len(found)))

    def shard_id(self, shard: int) -> str:
        return f"shard-{shard}"

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


class Executor:
    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.events: list[dict[str, Any]] = []
        self.answer = b"null"
        self.gate: asyncio.Event | None = None
        self.came = asyncio.Event()

    async def invoke(self, spec: FunctionSpec, event: bytes, **more: Any) -> InvocationResult:
        self.batches.append([record["n"] for record in json.loads(event)["Records"]])
        self.came.set()
        self.events.append(json.loads(event) | {"Records": self.batches[-1]})
        if self.gate is not None:
            await self.gate.wait()
        return InvocationResult(self.answer)


@pytest.fixture
async def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    async def allowed(*_: Any) -> bool:
        return True

    monkeypatch.setattr(lanes, "may_read", allowed)
    store = await SQLiteStore.open(tmp_path)
    made = Host(Config(data=tmp_path, store="postgresql://several"), store, Clock(), RandomIds(), ACCOUNT, b"s" * 32)
    made.executor = Executor()  # type: ignore[assignment]
    settings = Settings(runtime="python3.12", handler="a.b", role="r", code_sha256="", code_size=0)
    function = Function(name="f", id="f", latest=Version(settings=settings, modified=0, revision="r", generation="g"))

    async def write(tx: Transaction) -> None:
        put_function(tx, FunctionName(REGION, ACCOUNT, "f"), function)

    await store.transact(write)
    yield made
    await store.close()


async def mapped(host: Host, **more: Any) -> Mapping:
    settings = {"uuid": "u", "function": "f", "source": "arn:numbers", "start": "TRIM_HORIZON", "modified": 0, "revision": "1"}
    mapping = Mapping(**settings | more)

    async def write(tx: Transaction) -> None:
        put_mapping(tx, REGION, mapping)
        await put_lanes(tx, mapping, [None])

    await host.store.transact(write)
    return mapping


async def until(good: Callable[[], Any]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not good():
            await asyncio.sleep(0.01)


async def run_until(lane: Lane, good: Callable[[], Any]) -> None:
    task = asyncio.ensure_future(lane.run())
    await until(lambda: good() or task.done())
    if task.done():
        task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def position(host: Host) -> int | None:
    row = await host.store.get(LANES, b"u", lane_key(0, 0))
    assert row is not None
    return decode_checkpoint(row).position


async def test_batches_are_as_large_as_they_may_be(host: Host) -> None:
    mapping, executor = await mapped(host, batch=30), host.executor
    await run_until(Lane(host, REGION, mapping, Numbers(70), 0, 0), lambda: len(executor.batches) == 3)
    assert executor.batches == [list(range(1, 31)), list(range(31, 61)), list(range(61, 71))]


async def test_a_batch_is_no_larger_than_an_invocation_takes(host: Host) -> None:
    mapping, executor = await mapped(host, batch=1000), host.executor
    await run_until(Lane(host, REGION, mapping, Numbers(10, size=1_000_000), 0, 0), lambda: len(executor.batches) == 2)
    assert executor.batches == [list(range(1, 6)), list(range(6, 11))]


async def test_a_lane_has_its_own_keys(host: Host) -> None:
    mapping, executor = await mapped(host, factor=2), host.executor
    await run_until(Lane(host, REGION, mapping, Numbers(20), 0, 0), lambda: executor.batches)
    first = executor.batches.pop()
    await run_until(Lane(host, REGION, mapping, Numbers(20), 0, 1), lambda: executor.batches)
    assert sorted(first + executor.batches[0]) == list(range(1, 21)) and not {n % 5 for n in first} & {n % 5 for n in executor.batches[0]}


async def test_what_is_passed_over_is_remembered(host: Host) -> None:
    mapping, executor = await mapped(host, filters=['{"n": [3000]}'], batch=10), host.executor
    await run_until(Lane(host, REGION, mapping, Numbers(3000), 0, 0), lambda: executor.batches)
    assert executor.batches == [[3000]]
    assert await position(host) is not None


async def test_records_that_are_too_old_are_not_handed_over(host: Host) -> None:
    mapping, executor, source = await mapped(host, age=60), host.executor, Numbers(5)
    source.created = Clock.seconds - 61
    task = asyncio.ensure_future(Lane(host, REGION, mapping, source, 0, 0).run())
    async with asyncio.timeout(WAIT_SECONDS):
        while await position(host) != 6:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert executor.batches == []


async def test_what_was_trimmed_is_passed_over(host: Host) -> None:
    mapping, executor = await mapped(host, batch=10), host.executor
    await run_until(Lane(host, REGION, mapping, Numbers(10), 0, 0), lambda: executor.batches)
    async with asyncio.timeout(WAIT_SECONDS):
        while await position(host) != 11:
            await run_until(Lane(alone_on(host), REGION, mapping, Numbers(10), 0, 0), lambda: True)
    await run_until(Lane(alone_on(host), REGION, mapping, Numbers(55, first=50), 0, 0), lambda: len(executor.batches) > 1)
    assert executor.batches[-1] == list(range(50, 56))


def alone_on(host: Host) -> Host:
    """The same host, alone on its store: it need not wait for a lease."""
    alone = Host(dataclasses.replace(host.config, store=""), host.store, host.clock, host.ids, host.account, host.secret)
    alone.executor = host.executor
    return alone


async def test_one_worker_has_a_lane_at_a_time(host: Host) -> None:
    """The second waits until the first one's lease is over, does its batch again, and the first can write no more."""
    mapping, executor, clock = await mapped(host, batch=5), host.executor, host.clock
    executor.gate = asyncio.Event()
    first = asyncio.ensure_future(Lane(host, REGION, mapping, Numbers(5), 0, 0).run())
    await executor.came.wait()
    second = asyncio.ensure_future(Lane(host, REGION, mapping, Numbers(5), 0, 0).run())
    await asyncio.sleep(0.2)
    assert executor.batches == [[1, 2, 3, 4, 5]]
    clock.seconds += lanes.LEASE_SECONDS + 1
    await until(lambda: len(executor.batches) == 2)
    executor.gate.set()
    with pytest.raises(Lost):
        await first
    async with asyncio.timeout(WAIT_SECONDS):
        while await position(host) != 6:
            await asyncio.sleep(0.01)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert executor.batches == [[1, 2, 3, 4, 5]] * 2


async def test_a_mapping_that_is_gone_ends_its_lane(host: Host) -> None:
    mapping = await mapped(host)
    await host.store.clear(LANES)
    with pytest.raises(Lost):
        await Lane(host, REGION, mapping, Numbers(1), 0, 0).run()


async def test_the_batches_of_a_window_share_a_state(host: Host) -> None:
    """Records 1 to 9 are 4 s apart, from 1,000,004 s on; windows have 20 s."""
    mapping, executor, source = await mapped(host, tumbling=20, batch=3), host.executor, Numbers(9)
    source.apart = 4.0
    executor.answer = b'{"state": {"kept": 1}}'
    host.clock.seconds += 36
    lane = Lane(host, REGION, mapping, source, 0, 0)
    await run_until(lane, lambda: len(executor.events) == 5)
    told = [(one["Records"], one["window"]["start"][-4:-1], one["state"], one["isFinalInvokeForWindow"]) for one in executor.events]
    assert told == [
        ([1, 2, 3], ":40", {}, False),
        ([4], ":40", {"kept": 1}, False),
        ([], ":40", {"kept": 1}, True),
        ([5, 6, 7], ":00", {}, False),
        ([8, 9], ":00", {"kept": 1}, False),
    ]
    assert executor.events[0]["shardId"] == "shard-0" and executor.events[0]["eventSourceARN"] == "arn:numbers"
    host.clock.seconds += 10
    await run_until(Lane(alone_on(host), REGION, mapping, source, 0, 0), lambda: len(executor.events) == 6)
    assert (executor.events[5]["Records"], executor.events[5]["isFinalInvokeForWindow"]) == ([], True)
