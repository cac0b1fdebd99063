"""The durable queue: work is rows with a due time and a lease, so that it survives a crash and is done by one worker at a time.

A queue is two spaces. `queue/NAME/jobs` has a job by its id: when it was put for, when it can be taken, how often it was taken,
and its body. `queue/NAME/due` has (time, id) in the order of time, so that what is due is a range. A job that is put again
or leased gets a new place there; a place that is not its job's any more is removed when it is come across.
"""

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple, NoReturn

from haar.clock import Clock
from haar.store.contract import Store, Transaction
from haar.store.errors import StoreBroken, StoreClosed, StoreError
from haar.store.telling import Seldom

HEAD = struct.Struct(">QQI")
"""When it was put for and when it can be taken (microseconds since the epoch), and how often it was taken."""
TIME = struct.Struct(">Q")
POLL_SECONDS = 1.0
"""How often jobs that others put are looked for."""
RENEWALS = 3
"""How often a lease is renewed within its time."""

log = logging.getLogger(__name__)


class LeaseLost(Exception):
    """The job is not this worker's any more: its lease ran out and another took it, or it was put anew. Nothing was written."""


class Job(NamedTuple):
    id: str
    body: bytes
    due: float
    attempts: int
    """How often it was taken before this time."""


class Queue:
    """One named queue in a store."""

    def __init__(self, store: Store, name: str, clock: Clock) -> None:
        self.store = store
        self.name = name
        self.clock = clock
        self._jobs = f"queue/{name}/jobs"
        self._due = f"queue/{name}/due"
        self._seldom = Seldom()

    def put(self, tx: Transaction, job_id: str, body: bytes, due: float) -> None:
        """Adds a job in the caller's transaction (the outbox). One with this id that is there already is replaced, attempts and all."""
        self._write(tx, job_id, body, _micros(due), _micros(due), 0)

    async def take(self, limit: int, lease: float, holding: Collection[Job] = ()) -> list[Job]:
        """Up to `limit` due jobs, hidden from others for `lease` seconds; a job whose lease ran out is due again.

        Jobs that the caller is still `holding` are held on to: the process was halted, or the clock was set, for longer than their lease.
        """
        held = {(job.id, _micros(job.due), job.attempts + 1) for job in holding}

        async def fn(tx: Transaction) -> list[Job]:
            now = _micros(self.clock.now())
            taken: list[Job] = []
            for place, _ in await tx.range(self._due, b"", b"", TIME.pack(now + 1), limit=limit):
                job_id = place[TIME.size :]
                tx.delete(self._due, b"", place)
                row = await tx.get(self._jobs, job_id)
                if row is None:
                    continue
                origin, visible, attempts = HEAD.unpack_from(row)
                if TIME.pack(visible) != place[: TIME.size]:
                    continue
                body = row[HEAD.size :]
                if (job_id.decode(), origin, attempts) in held:
                    self._write(tx, job_id.decode(), body, origin, now + _micros(lease), attempts)
                    continue
                self._write(tx, job_id.decode(), body, origin, now + _micros(lease), attempts + 1)
                taken.append(Job(job_id.decode(), body, origin / 1e6, attempts))
            return taken

        return await self.store.transact(fn)

    async def finish(self, job: Job, also: Callable[[Transaction], Awaitable[None]] | None = None) -> None:
        """Removes the job, in one transaction with what `also` writes. Raises LeaseLost."""

        async def fn(tx: Transaction) -> None:
            visible = await self._held(tx, job)
            tx.delete(self._jobs, job.id.encode())
            tx.delete(self._due, b"", TIME.pack(visible) + job.id.encode())
            if also is not None:
                await also(tx)

        await self.store.transact(fn)

    async def again(self, job: Job, due: float, body: bytes | None = None) -> None:
        """Gives the job back, due later, with another body if one is given. Raises LeaseLost."""

        async def fn(tx: Transaction) -> None:
            visible = await self._held(tx, job)
            tx.delete(self._due, b"", TIME.pack(visible) + job.id.encode())
            self._write(tx, job.id, job.body if body is None else body, _micros(due), _micros(due), job.attempts + 1)

        await self.store.transact(fn)

    async def run(self, handle: Callable[[Job], Awaitable[None]], *, workers: int = 8, lease: float = 60.0) -> NoReturn:
        """Hands due jobs to `handle` (which finishes them or gives them back), at most `workers` at once, renewing leases while it works.

        Wakes up at once for jobs put in this process, and at the latest a second after they are due for others. A job whose
        `handle` raises, or is cancelled with `run`, is due again after its lease.
        """
        wake = asyncio.Event()
        unwatch = self.store.watch(self._due, wake.set, local=True)
        working: dict[asyncio.Task[None], Job] = {}
        renewer = asyncio.create_task(self._renew(working, lease))

        def ended(task: asyncio.Task[None]) -> None:
            working.pop(task, None)
            wake.set()

        try:
            while True:
                wake.clear()
                free = workers - len(working)
                wait = await self._wait() if free else POLL_SECONDS
                if free and wait <= 0:
                    for job in await self._try_take(free, lease, list(working.values())):
                        task = asyncio.create_task(self._work(handle, job))
                        working[task] = job
                        task.add_done_callback(ended)
                    continue
                try:
                    async with asyncio.timeout(min(wait, POLL_SECONDS)):
                        await wake.wait()
                except TimeoutError:
                    pass
        finally:
            unwatch()
            tasks = [renewer, *working]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(self) -> float:
        """Seconds until the first job is due; not positive when one is."""
        try:
            first = await self.store.range(self._due, b"", limit=1)
        except (StoreClosed, StoreBroken):
            raise
        except StoreError as error:
            self._tell(error)
            return POLL_SECONDS
        return TIME.unpack_from(first[0][0])[0] / 1e6 - self.clock.now() if first else POLL_SECONDS

    async def _try_take(self, limit: int, lease: float, holding: Collection[Job]) -> list[Job]:
        """As `take`; when the store cannot do it now (a full disk), says so and waits a little."""
        try:
            return await self.take(limit, lease, holding)
        except (StoreClosed, StoreBroken):
            raise
        except StoreError as error:
            self._tell(error)
            await asyncio.sleep(POLL_SECONDS)
            return []

    def _tell(self, error: StoreError) -> None:
        if self._seldom.now():
            log.error("queue %s: %s", self.name, error)

    async def _work(self, handle: Callable[[Job], Awaitable[None]], job: Job) -> None:
        try:
            await handle(job)
        except LeaseLost as error:
            log.warning("%s", error)
        except Exception:
            log.exception("queue %s: job %s failed; it is due again when its lease has run out", self.name, job.id)

    async def _renew(self, working: dict[asyncio.Task[None], Job], lease: float) -> None:
        while True:
            await asyncio.sleep(lease / RENEWALS)
            jobs = list(working.values())
            if not jobs:
                continue

            async def fn(tx: Transaction, jobs: list[Job] = jobs) -> None:
                until = _micros(self.clock.now()) + _micros(lease)
                for job in jobs:
                    try:
                        visible = await self._held(tx, job)
                    except LeaseLost:
                        continue
                    tx.delete(self._due, b"", TIME.pack(visible) + job.id.encode())
                    self._write(tx, job.id, job.body, _micros(job.due), until, job.attempts + 1)

            try:
                await self.store.transact(fn)
            except StoreError as error:
                log.error("queue %s: leases could not be renewed: %s", self.name, error)

    async def _held(self, tx: Transaction, job: Job) -> int:
        """When the job's lease ends; raises LeaseLost when it is not the one that was taken."""
        row = await tx.get(self._jobs, job.id.encode())
        if row is not None:
            origin, visible, attempts = HEAD.unpack_from(row)
            if (origin, attempts) == (_micros(job.due), job.attempts + 1):
                return int(visible)
        raise LeaseLost(f"queue {self.name}: job {job.id} is not this worker's any more")

    def _write(self, tx: Transaction, job_id: str, body: bytes, origin: int, visible: int, attempts: int) -> None:
        key = job_id.encode()
        tx.put(self._jobs, key, b"", HEAD.pack(origin, visible, attempts) + body)
        tx.put(self._due, b"", TIME.pack(visible) + key, b"")


def _micros(seconds: float) -> int:
    return max(0, round(seconds * 1e6))
