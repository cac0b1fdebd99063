"""Retries, ages and ends of asynchronous events: in process, with an executor and a clock of the test's own."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from haar.clock import SystemClock
from haar.execution.contract import FunctionSpec, InvocationResult, Throttled
from haar.services.lambda_.asynchronous import Events
from haar.services.lambda_.directory import Directory
from haar.services.lambda_.names import FunctionName
from haar.services.lambda_.records import EVENT_CONFIGS, EventConfig, Function, Settings, Version, encode, partition, put_function
from haar.services.service import Host
from haar.store.contract import Transaction

BAD = InvocationResult(b'{"errorMessage": "no"}', error="Unhandled")
GOOD = InvocationResult(b'{"ok": true}')
NAME = FunctionName("us-east-1", "123456789012", "f")
TO = NAME._replace(name="to")


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def now(self) -> float:
        return self.seconds


class Executor:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[InvocationResult | Exception] = []
        self.asked: list[tuple[str, Any, str]] = []

    async def invoke(self, spec: FunctionSpec, event: bytes, *, request_id: str, **more: Any) -> InvocationResult:
        self.asked.append((spec.name, json.loads(event), request_id))
        answer = self.answers.pop(0) if self.answers else GOOD
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def retire(self, arn: str) -> None: ...

    async def forget(self, arn: str, version: str = "") -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class World:
    """A host with two functions, and the queue's worker driven by hand."""

    def __init__(self, host: Host) -> None:
        self.host, self.clock, self.executor = host, Clock(), Executor()
        host.clock, host.executor = self.clock, self.executor
        self.events = host.get(Events)

    async def make(self, name: FunctionName, reserved: int | None = None) -> None:
        role = "arn:aws:iam::123456789012:role/r"
        settings = Settings(runtime="python3.12", handler="a.b", role=role, code_sha256="", code_size=0)
        latest = Version(settings=settings, modified=0, revision="r", generation="g")
        function = Function(name=name.name, id=name.name, latest=latest, reserved=reserved)

        async def write(tx: Transaction) -> None:
            put_function(tx, name, function)

        await self.host.store.transact(write)

    async def configure(self, **settings: Any) -> None:
        async def write(tx: Transaction) -> None:
            tx.put(EVENT_CONFIGS, partition(NAME), b"$LATEST", encode(EventConfig(modified=0, **settings)))

        await self.host.store.transact(write)

    async def send(self, payload: bytes = b'{"n": 1}', request_id: str = "r1") -> None:
        await self.events.accept(await self.host.get(Directory).find(NAME), payload, request_id)

    async def work(self) -> int:
        """Handles what is due now; how much that was."""
        jobs = await self.events.queue.take(10, 60)
        for job in jobs:
            await self.events.handle(job)
        return len(jobs)

    async def tries(self, seconds: int) -> list[float]:
        """When, within so many seconds, events were handled (looked at once a second)."""
        start, at = self.clock.seconds, []
        for second in range(seconds):
            self.clock.seconds = start + second
            at += [float(second)] * await self.work()
        return at


@pytest.fixture
async def world(host: Host) -> AsyncIterator[World]:
    world = World(host)
    await world.make(NAME)
    await world.make(TO)
    yield world


async def test_a_good_event_is_handled_once(world: World) -> None:
    await world.send()
    assert await world.tries(300) == [0]
    assert world.executor.asked == [("f", {"n": 1}, "r1")]


async def test_a_failing_event_is_tried_twice_more(world: World) -> None:
    world.executor.answers = [BAD, BAD, BAD, BAD]
    await world.send()
    assert await world.tries(600) == [0, 60, 180], "after one minute, then after two"
    assert [request_id for _, _, request_id in world.executor.asked] == ["r1"] * 3, "under the same request id"


async def test_it_stops_when_it_succeeds(world: World) -> None:
    world.executor.answers = [BAD, GOOD]
    await world.send()
    assert await world.tries(600) == [0, 60]


@pytest.mark.parametrize("retries, expected", [(0, [0]), (1, [0, 60])])
async def test_as_many_retries_as_configured(world: World, retries: int, expected: list[float]) -> None:
    await world.configure(retries=retries)
    world.executor.answers = [BAD, BAD, BAD]
    await world.send()
    assert await world.tries(600) == expected


async def test_no_retry_is_older_than_the_maximum_age(world: World) -> None:
    await world.configure(age=100)
    world.executor.answers = [BAD, BAD, BAD]
    await world.send()
    assert await world.tries(600) == [0, 60], "the second retry would come at 180 s"


async def test_throttled_events_wait_longer_and_longer(world: World) -> None:
    await world.configure(age=60)
    world.executor.answers = [Throttled("ConcurrentInvocationLimitExceeded")] * 20
    await world.send()
    assert await world.tries(200) == [0, 1, 3, 7, 15, 31], "and no longer than the event's age"
    world.executor.answers = [Throttled("ConcurrentInvocationLimitExceeded")] * 2 + [BAD, BAD, BAD]
    await world.configure()
    await world.send(request_id="r2")
    assert await world.tries(300) == [0, 1, 3, 63, 183], "being throttled is no retry"


async def test_a_restart_loses_nothing(world: World) -> None:
    world.executor.answers = [BAD, GOOD]
    await world.send()
    assert len(await world.events.queue.take(10, 60)) == 1  # taken, and the platform dies
    assert await world.tries(200) == [60, 120], "due again when the lease has run out, then its retry"


async def test_an_event_of_a_deleted_function_ends(world: World) -> None:
    await world.send()

    async def delete(tx: Transaction) -> None:
        tx.delete("lambda.functions", b"us-east-1", b"f")

    await world.host.store.transact(delete)
    assert await world.tries(100) == [0] and world.executor.asked == []


async def test_outcomes_go_to_destinations(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = True

    async def may_send(self: Events, target: Any, arn: str) -> bool:
        return allowed

    monkeypatch.setattr(Events, "_may_send", may_send)
    await world.configure(retries=1, on_success=TO.arn, on_failure=TO.arn)
    world.executor.answers = [GOOD, GOOD, BAD, BAD, GOOD]
    await world.send(b'{"n": 1}', "r1")
    await world.tries(10)
    await world.send(b'{"n": 2}', "r2")
    await world.tries(100)
    records = [event for name, event, _ in world.executor.asked if name == "to"]
    assert [record["requestContext"] for record in records] == [
        {"requestId": "r1", "functionArn": NAME.arn + ":$LATEST", "condition": "Success", "approximateInvokeCount": 1},
        {"requestId": "r2", "functionArn": NAME.arn + ":$LATEST", "condition": "RetriesExhausted", "approximateInvokeCount": 2},
    ]
    assert [record["requestPayload"] for record in records] == [{"n": 1}, {"n": 2}]
    assert [record["responsePayload"] for record in records] == [{"ok": True}, {"errorMessage": "no"}]
    assert "functionError" not in records[0]["responseContext"] and records[1]["responseContext"]["functionError"] == "Unhandled"
    allowed = False
    await world.send(b'{"n": 3}', "r3")
    await world.tries(10)
    assert len([name for name, _, _ in world.executor.asked if name == "to"]) == 2


async def test_without_concurrency_events_fail_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def may_send(self: Events, target: Any, arn: str) -> bool:
        return True

    monkeypatch.setattr(Events, "_may_send", may_send)
    await world.make(NAME, reserved=0)
    await world.configure(on_failure=TO.arn)
    await world.send()
    assert await world.tries(100) == [0, 0] or len(world.executor.asked) == 1
    ((name, record, _),) = world.executor.asked
    assert name == "to" and record["requestContext"]["condition"] == "ZeroReservedConcurrency" and "responsePayload" not in record


async def test_many_events_of_a_function_that_is_often_throttled(host: Host) -> None:
    world = World(host)
    host.clock = world.events.queue.clock = SystemClock()
    await world.make(NAME)
    running = most = throttled = 0
    done: set[int] = set()

    class Small(Executor):
        async def invoke(self, spec: FunctionSpec, event: bytes, **more: Any) -> InvocationResult:
            nonlocal running, most, throttled
            if running == 3:
                throttled += 1
                raise Throttled("ConcurrentInvocationLimitExceeded")
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            running -= 1
            done.add(json.loads(event)["n"])
            return GOOD

    host.executor = Small()
    for number in range(150):
        await world.send(json.dumps({"n": number}).encode(), f"r{number}")
    worker = asyncio.create_task(world.events.queue.run(world.events.handle, workers=200))
    async with asyncio.timeout(60):
        while len(done) < 150:
            await asyncio.sleep(0.05)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    assert most == 3 and throttled, "it was throttled, and none waited for long because of it"
