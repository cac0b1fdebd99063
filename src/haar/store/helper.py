"""A thread for what would hold the loop: jobs in order, answers given in the loop."""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

Job = Callable[[], Any]
Done = Callable[[Any, BaseException | None], None]


class Helper:
    """One thread that does its jobs one after the other. Leaner than an executor: a commit waits for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._jobs: SimpleQueue[tuple[Job, Done] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job, done: Done) -> None:
        """Runs `job()` in the thread, then `done(result, error)` in the loop."""
        self._jobs.put((job, done))

    async def run(self, job: Job) -> Any:
        """The result of `job()`, run in the thread."""
        future = self._loop.create_future()

        def done(result: Any, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self.submit(job, done)
        return await future

    def stop(self) -> None:
        """Ends the thread after the jobs that it has."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (task := self._jobs.get()) is not None:
            job, done = task
            result: Any = None
            failure: BaseException | None = None
            try:
                result = job()
            except Exception as error:  # noqa: BLE001 - handed to whoever waits for the job
                failure = error
            try:
                self._loop.call_soon_threadsafe(done, result, failure)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more
