"""The durable queue: work is rows with a due time and a lease, so that it survives a crash and is done by one worker at a time."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, NoReturn

from haar.clock import Clock
from haar.store.contract import Store, Transaction


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

    def put(self, tx: Transaction, job_id: str, body: bytes, due: float) -> None:
        """Adds a job in the caller's transaction (the outbox)."""
        raise NotImplementedError

    async def take(self, limit: int, lease: float) -> list[Job]:
        """Up to `limit` due jobs, hidden from others for `lease` seconds; a job whose lease ran out is due again."""
        raise NotImplementedError

    async def finish(self, job: Job, also: Callable[[Transaction], Awaitable[None]] | None = None) -> None:
        """Removes the job, in one transaction with what `also` writes."""
        raise NotImplementedError

    async def again(self, job: Job, due: float, body: bytes | None = None) -> None:
        """Gives the job back, due later, with another body if one is given."""
        raise NotImplementedError

    async def run(self, handle: Callable[[Job], Awaitable[None]], *, workers: int = 8, lease: float = 60.0) -> NoReturn:
        """Hands due jobs to `handle` (which finishes them or gives them back), at most `workers` at once, renewing leases while it works.

        Wakes up at once for jobs put in this process, and at the latest a second after they are due for others.
        """
        raise NotImplementedError
