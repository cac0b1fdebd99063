"""Jobs are done by one worker at a time, and are never lost."""

import asyncio
import itertools
from collections.abc import Callable

import pytest

from haar.clock import SystemClock
from haar.store.contract import Store, Transaction
from haar.store.queue import Job, LeaseLost, Queue

SECONDS = 30.0


class SetClock:
    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def now(self) -> float:
        return self.time


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def queue(store: Store, clock: SetClock) -> Queue:
    return Queue(store, "work", clock)


async def put(queue: Queue, job_id: str, body: bytes, due: float) -> None:
    async def fn(tx: Transaction) -> None:
        queue.put(tx, job_id, body, due)

    await queue.store.transact(fn)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def left(queue: Queue) -> int:
    return len(await queue.store.scan("queue/work/jobs")) + len(await queue.store.scan("queue/work/due"))


async def test_due_jobs_are_taken_in_the_order_of_time(queue: Queue, clock: SetClock) -> None:
    now = clock.time
    await put(queue, "late", b"3", now - 1)
    await put(queue, "first", b"1", now - 3.5)
    await put(queue, "second", b"2", now - 2)
    await put(queue, "not yet", b"4", now + 0.001)
    assert await queue.take(2, 60) == [Job("first", b"1", now - 3.5, 0), Job("second", b"2", now - 2, 0)]
    assert [job.id for job in await queue.take(10, 60)] == ["late"]
    assert await queue.take(10, 60) == []
    clock.time += 0.001
    assert [job.id for job in await queue.take(10, 60)] == ["not yet"]


async def test_a_job_is_due_again_when_its_lease_has_run_out(queue: Queue, clock: SetClock) -> None:
    await put(queue, "a", b"x", clock.time)
    (first,) = await queue.take(1, 60)
    clock.time += 59.9
    assert await queue.take(1, 60) == []
    clock.time += 0.1
    (second,) = await queue.take(1, 60)
    assert second == first._replace(attempts=1)
    with pytest.raises(LeaseLost):
        await queue.finish(first)
    with pytest.raises(LeaseLost):
        await queue.again(first, clock.time)
    await queue.finish(second)
    clock.time += 1000
    assert await queue.take(1, 60) == []
    assert await left(queue) == 0


async def test_what_finish_writes_is_written_with_it_or_not_at_all(queue: Queue, clock: SetClock) -> None:
    async def also(tx: Transaction) -> None:
        tx.put("results", b"a", b"", b"done")

    async def fails(tx: Transaction) -> None:
        await also(tx)
        raise ValueError

    await put(queue, "a", b"x", clock.time)
    (job,) = await queue.take(1, 60)
    with pytest.raises(ValueError):
        await queue.finish(job, fails)
    assert await queue.store.get("results", b"a") is None
    await queue.finish(job, also)
    assert await queue.store.get("results", b"a") == b"done"
    with pytest.raises(LeaseLost):
        await queue.finish(job, also)


async def test_a_job_given_back_comes_later_with_its_new_body(queue: Queue, clock: SetClock) -> None:
    await put(queue, "a", b"one", clock.time)
    (job,) = await queue.take(1, 60)
    await queue.again(job, clock.time + 10)
    assert await queue.take(1, 60) == []
    clock.time += 10
    (job,) = await queue.take(1, 60)
    assert (job.body, job.due, job.attempts) == (b"one", clock.time, 1)
    await queue.again(job, clock.time, b"two")
    (job,) = await queue.take(1, 60)
    assert (job.body, job.attempts) == (b"two", 2)


async def test_a_job_put_twice_is_one_job(queue: Queue, clock: SetClock) -> None:
    await put(queue, "a", b"old", clock.time)
    await put(queue, "a", b"new", clock.time + 5)
    assert await queue.take(10, 60) == []
    clock.time += 5
    assert [job.body for job in await queue.take(10, 60)] == [b"new"]
    clock.time += 3
    await put(queue, "a", b"newest", clock.time)
    (job,) = await queue.take(10, 60)
    assert (job.body, job.attempts) == (b"newest", 0)
    await queue.finish(job)
    clock.time += 1000
    assert await queue.take(10, 60) == []
    assert await left(queue) == 0


async def test_a_job_of_a_transaction_that_fails_is_not_there(queue: Queue, clock: SetClock) -> None:
    async def fn(tx: Transaction) -> None:
        queue.put(tx, "a", b"", clock.time)
        raise ValueError

    with pytest.raises(ValueError):
        await queue.store.transact(fn)
    assert await queue.take(10, 60) == []


async def test_two_takers_never_have_the_same_job(store: Store, other: Store, clock: SetClock) -> None:
    queues = [Queue(store, "work", clock), Queue(other, "work", clock)]
    for number in range(40):
        await put(queues[0], f"{number}", b"", clock.time)

    async def take_all(queue: Queue) -> list[str]:
        taken = []
        while jobs := await queue.take(3, 60):
            taken += [job.id for job in jobs]
        return taken

    taken = await asyncio.gather(*(take_all(queue) for queue in queues * 2))
    assert sorted(itertools.chain(*taken), key=int) == [f"{number}" for number in range(40)]


async def test_run_does_every_job_once_with_bounded_workers(store: Store) -> None:
    queue = Queue(store, "work", SystemClock())
    done: list[str] = []
    at_work = most = 0

    async def handle(job: Job) -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.001)
        at_work -= 1
        await queue.finish(job)
        done.append(job.id)

    running = asyncio.create_task(queue.run(handle, workers=4))
    for number in range(30):
        await put(queue, f"{number}", b"", SystemClock().now())
    await until(lambda: len(done) == 30)
    await put(queue, "one more", b"", SystemClock().now() + 0.05)
    await until(lambda: len(done) == 31)
    assert sorted(done) == sorted([*map(str, range(30)), "one more"])
    assert 1 < most <= 4
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await left(queue) == 0


async def test_run_survives_a_handler_that_fails_and_tries_again(store: Store) -> None:
    queue = Queue(store, "work", SystemClock())
    attempts: list[int] = []

    async def handle(job: Job) -> None:
        attempts.append(job.attempts)
        if len(attempts) < 3:
            raise ValueError("a bug in a handler")
        await queue.finish(job)

    running = asyncio.create_task(queue.run(handle, lease=0.3))
    await put(queue, "a", b"", SystemClock().now())
    await until(lambda: len(attempts) == 3)
    assert attempts == [0, 1, 2]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_run_renews_the_lease_of_a_long_job(store: Store) -> None:
    queue = Queue(store, "work", SystemClock())
    starts = ends = 0

    async def handle(job: Job) -> None:
        nonlocal starts, ends
        starts += 1
        await asyncio.sleep(2.0)
        await queue.finish(job)
        ends += 1

    running = asyncio.create_task(queue.run(handle, lease=1.0))
    await put(queue, "a", b"", SystemClock().now())
    await until(lambda: ends > 0)
    assert (starts, ends) == (1, 1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_run_holds_on_to_its_jobs_when_the_clock_leaps_over_their_leases(queue: Queue, clock: SetClock) -> None:
    """As when the process is halted, or a laptop sleeps: what is under way is not begun a second time."""
    begun: list[str] = []
    go_on = asyncio.Event()

    async def handle(job: Job) -> None:
        begun.append(job.id)
        if job.id == "long":
            await go_on.wait()
        await queue.finish(job)

    await put(queue, "long", b"", clock.time)
    running = asyncio.create_task(queue.run(handle, workers=3, lease=60))
    await until(lambda: begun == ["long"])
    clock.time += 3600
    await put(queue, "next", b"", clock.time)
    await until(lambda: "next" in begun)
    go_on.set()
    async with asyncio.timeout(SECONDS):
        while await left(queue):
            await asyncio.sleep(0.01)
    assert begun == ["long", "next"]
    running.cancel()


async def test_a_job_cut_off_by_shutdown_is_done_after_its_lease(store: Store, clock: SetClock) -> None:
    queue = Queue(store, "work", clock)
    started = asyncio.Event()

    async def handle(job: Job) -> None:
        started.set()
        await asyncio.sleep(SECONDS)

    running = asyncio.create_task(queue.run(handle, lease=60))
    await put(queue, "a", b"body", clock.time)
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await queue.take(1, 60) == []
    clock.time += 61
    assert await queue.take(1, 60) == [Job("a", b"body", clock.time - 61, 1)]


async def test_jobs_that_another_process_puts_are_done(store: Store, other: Store) -> None:
    here, there = Queue(store, "work", SystemClock()), Queue(other, "work", SystemClock())
    done: list[str] = []

    async def handle(job: Job) -> None:
        await here.finish(job)
        done.append(job.id)

    running = asyncio.create_task(here.run(handle))
    await asyncio.sleep(0)
    await put(there, "a", b"", SystemClock().now())
    await until(lambda: done == ["a"])
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
