"""Who comes next: turns go round, and memory is shared."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haar.execution.fairness import SPARE, Memory, Turns

pytestmark = pytest.mark.asyncio


async def test_turns_go_round_the_functions() -> None:
    turns, order = Turns(), []

    async def take(function: str) -> None:
        async with turns.of(function):
            order.append(function)
            await asyncio.sleep(0)

    await asyncio.gather(*(take(function) for function in "aaaaaabbc"))
    assert "".join(order) == "aabcabaaa"


async def test_who_does_not_wait_any_more_loses_no_turn_for_others() -> None:
    turns, order = Turns(), []

    async def take(function: str) -> None:
        async with turns.of(function):
            order.append(function)
            await asyncio.sleep(0)

    tasks = [asyncio.ensure_future(take(function)) for function in "abcd"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.sleep(0)
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["a", "d"]
    await take("e")
    assert order[-1] == "e"


async def test_memory_that_is_given_back_goes_to_who_has_less_than_a_share() -> None:
    memory = Memory(1000)
    for _ in range(9):
        memory.take("flooded", 100)
    assert not memory.fits("flooded", 100) and memory.fits("other", 100)  # the last tenth is for others
    memory.take("other", 100)
    assert not await memory.wait("flooded", 100)
    waiting = asyncio.ensure_future(memory.wait("third", 100))
    await asyncio.sleep(0)
    assert memory.wanted and memory.is_over("flooded", 100) and not memory.is_over("other", 100)
    memory.give("flooded", 100)
    assert await waiting and memory.used_mb == 1000 and not memory.wanted


async def test_all_that_is_given_back_is_handed_out() -> None:
    memory = Memory(1000)
    memory.take("large", 900)
    waiting = [asyncio.ensure_future(memory.wait(function, 150)) for function in "aaab"]
    await asyncio.sleep(0)
    memory.give("large", 900)
    assert all(await asyncio.gather(*waiting)) and memory.used_mb == 600


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("haar.execution.fairness.ROOM_SECONDS", 0.01)
    memory = Memory(100)
    memory.take("a", 100)
    assert not await memory.wait("b", 50) and not memory.wanted
    monkeypatch.undo()
    leaving = asyncio.ensure_future(memory.wait("b", 50))
    await asyncio.sleep(0)
    memory.give("a", 100)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert memory.used_mb == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from((64, 100, 128)), st.booleans()), max_size=60))
async def test_there_is_never_more_in_use_than_there_is(steps: list[tuple[str, int, bool]]) -> None:
    memory, taken, waiting = Memory(512), [], []
    for function, mb, gives in steps:
        if gives and taken:
            memory.give(*taken.pop(0))
        elif memory.fits(function, mb):
            memory.take(function, mb)
            taken.append((function, mb))
        else:
            waiting.append((asyncio.ensure_future(memory.wait(function, mb)), (function, mb)))
        await asyncio.sleep(0)
        for task, what in [entry for entry in waiting if entry[0].done()]:
            waiting.remove((task, what))
            if task.result():
                taken.append(what)
        assert memory.used_mb == sum(mb for _, mb in taken) <= 512
    while taken:
        memory.give(*taken.pop())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        taken += [what for task, what in waiting if task.done() and task.result()]
        waiting = [entry for entry in waiting if not entry[0].done()]
    assert not waiting and memory.used_mb == 0 and SPARE > 1
