"""How many events of one function run at once."""

import asyncio

from haar.services.lambda_.admission import (
    FEW_WAITING,
    FIRST_LIMIT,
    MAX_ALL,
    MAX_AWAY,
    MAX_CONCURRENT,
    MAX_WAITING,
    MIN_AWAY,
    SHORT_SECONDS,
    Slots,
    ceiling,
)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_it_starts_gently_and_grows() -> None:
    slots = Slots()
    waiting = [asyncio.create_task(slots.enter(1000)) for _ in range(FIRST_LIMIT + MAX_WAITING)]
    await settle()
    assert slots.running == FIRST_LIMIT
    assert not await slots.enter(1000), "enough of them wait"
    slots.leave(SHORT_SECONDS)
    await settle()
    assert slots.running == FIRST_LIMIT + 1, "one has left: two come in"
    while not all(task.done() for task in waiting):
        slots.leave(SHORT_SECONDS)
        await settle()
    while slots.running:
        slots.leave(SHORT_SECONDS)
    assert slots.idle


async def test_short_events_start_no_more_environments() -> None:
    slots = Slots()
    waiting = [asyncio.create_task(slots.enter(1000)) for _ in range(FIRST_LIMIT + 2)]
    await settle()
    slots.leave(SHORT_SECONDS / 2)
    await settle()
    assert slots.running == FIRST_LIMIT, "one has left: one comes in"
    while slots.running:
        slots.leave(SHORT_SECONDS / 2)
        await settle()
    assert all(task.done() for task in waiting)


async def test_a_ceiling_is_kept() -> None:
    slots = Slots()
    tasks = [asyncio.create_task(slots.enter(2)) for _ in range(6)]
    for done in range(2, 6):
        await settle()
        assert slots.running == 2 and sum(task.done() for task in tasks) == done
        slots.leave(0.01)
    await settle()
    assert all(task.done() for task in tasks)


async def test_being_throttled_cuts_it_back() -> None:
    slots = Slots()
    for _ in range(6):
        assert await slots.enter(1000)
    slots.leave(None)
    assert slots.limit == 5
    waiting = asyncio.create_task(slots.enter(1000))
    await settle()
    assert not waiting.done()
    slots.leave(0.01)
    await settle()
    assert waiting.done() and slots.limit == 6


async def test_slow_functions_get_more_and_more() -> None:
    slots = Slots()
    for _ in range(FIRST_LIMIT):
        await slots.enter(1000)
    assert await asyncio.wait_for(slots.enter(1000), 30), "though none of them has left"
    assert slots.limit <= MAX_CONCURRENT


async def test_one_that_stops_waiting_blocks_nobody() -> None:
    slots = Slots()
    for _ in range(2):
        await slots.enter(2)
    first, second = asyncio.create_task(slots.enter(2)), asyncio.create_task(slots.enter(2))
    await settle()
    first.cancel()
    await settle()
    slots.leave(0.01)
    await settle()
    assert second.done() and slots.running == 2


def test_how_long_one_stays_away() -> None:
    slots = Slots()
    assert slots.turned_away() == MIN_AWAY
    slots.away = 100_000
    assert slots.turned_away() == MAX_AWAY


def busy(running: int) -> Slots:
    slots = Slots()
    slots.running = running
    return slots


def test_events_of_several_functions_share_what_there_is() -> None:
    alone = busy(0)
    assert ceiling(alone, [alone]) == MAX_CONCURRENT
    first, second, new = busy(64), busy(MAX_ALL - 64), busy(0)
    assert ceiling(new, [first, second, new]) == MAX_ALL // 3  # there is no more, and it has less than its share
    assert ceiling(first, [first, second, new]) == first.running  # none is added
    new.running = MAX_ALL // 3
    assert ceiling(first, [first, second, new]) == MAX_ALL // 3  # none comes in the place of those that end
    new.running = 0
    first.running = 10
    assert ceiling(second, [first, second, new]) == MAX_CONCURRENT  # what nobody else wants
    many = [busy(1) for _ in range(200)]
    assert ceiling(many[0], many) == 1


async def test_the_places_to_wait_are_shared() -> None:
    slots = busy(8)
    waiting = [asyncio.ensure_future(slots.enter(8, 24)) for _ in range(FEW_WAITING + 1)]
    await asyncio.sleep(0)
    assert [task.done() and task.result() is False for task in waiting] == [False] * FEW_WAITING + [True]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
