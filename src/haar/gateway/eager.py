"""Running a coroutine without a task until it has to wait: most reads never do."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")

Done = Callable[[Any, BaseException | None], None]


def drive(work: Any, done: Done) -> None:
    """Runs `work` at once; calls `done(result, None)` or `done(None, error)`, before it returns when nothing was waited for.

    The first wait moves the rest into a task. Code before the first wait has no current task and may not use asyncio.timeout: what
    is not made for that waits for `into_task()` first.
    """
    try:
        waited_for = work.send(None)
    except StopIteration as ended:
        done(ended.value, None)
        return
    except Exception as error:  # noqa: BLE001 - handed on, whatever it is
        done(None, error)
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
            return ended.value  # type: ignore[no-any-return]
