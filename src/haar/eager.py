"""Running a coroutine without a task until it has to wait for something of the world: most requests never do.

A task costs more than a GetItem's own work. What haar waits for most, the disk, is a `Later`: who waits for it without a task is
called when it is there, and goes on without one.
"""

import asyncio
from asyncio import current_task
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")

Done = Callable[[Any, BaseException | None], None]


class Later:
    """Something that happens once, well or badly; coroutines wait for it in tasks and in `drive`."""

    __slots__ = ("_happened", "_waiting", "error")

    def __init__(self) -> None:
        self._waiting: list[Callable[[BaseException | None], None]] = []
        self._happened = False
        self.error: BaseException | None = None

    @coroutine
    def wait(self) -> Generator[Any, Any, None]:
        """Waits until it has happened; raises what went wrong."""
        if self._happened:
            if self.error is not None:
                raise self.error
        elif current_task() is None:
            yield self
        else:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def settle(error: BaseException | None) -> None:
                if future.done():
                    return  # whoever waited was cancelled
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)

            self._waiting.append(settle)
            yield from future

    def call(self, waiting: Callable[[BaseException | None], None]) -> None:
        """Calls `waiting` when it happens; it has not yet."""
        self._waiting.append(waiting)

    def happen(self, error: BaseException | None = None) -> None:
        """It is there (or `error` came in its place): everybody goes on, in the order of their waiting."""
        self._happened, self.error = True, error
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each(error)


def drive(work: Any, done: Done) -> None:
    """Runs `work` at once; calls `done(result, None)` or `done(None, error)`, before it returns when nothing was waited for.

    A wait for a `Later` goes on without a task; any other moves the rest into one. Code before that has no current task and may
    not use asyncio.timeout: what is not made for that waits for `into_task()` first.
    """
    _step(work, done, None)


def _step(work: Any, done: Done, error: BaseException | None) -> None:
    try:
        waited_for = work.send(None) if error is None else work.throw(error)
    except StopIteration as ended:
        done(ended.value, None)
        return
    except Exception as failure:  # noqa: BLE001 - handed on, whatever it is
        done(None, failure)
        return
    if type(waited_for) is Later:
        waited_for.call(lambda error: _step(work, done, error))
        return
    task = asyncio.get_running_loop().create_task(_rest(work, waited_for))
    task.add_done_callback(lambda ended: _report(ended, done))


@coroutine
def into_task() -> Generator[None, None, None]:
    """Waits for nothing, which moves a driven coroutine into a task of its own."""
    yield


def _report(task: "asyncio.Task[Any]", done: Done) -> None:
    if task.cancelled():
        done(None, asyncio.CancelledError())
    elif (error := task.exception()) is not None:
        done(None, error)
    else:
        done(task.result(), None)


async def _rest(work: Coroutine[Any, Any, T], waited_for: Any) -> T:
    return await _resumed(work, waited_for)


@coroutine
def _resumed(work: Coroutine[Any, Any, T], waited_for: Any) -> Generator[Any, Any, T]:
    """Goes on with a coroutine that has already been started: yields what it waits for, as `await` would have."""
    while True:
        thrown: BaseException | None = None
        try:
            yield waited_for
        except BaseException as error:  # noqa: BLE001 - a cancellation belongs to the coroutine
            thrown = error
        try:
            waited_for = work.send(None) if thrown is None else work.throw(thrown)
        except StopIteration as ended:
            answer: T = ended.value
            return answer
