"""Transactions are serialisable, all or nothing, and see their own writes."""

import asyncio
import contextlib
import itertools
import random
import weakref

import pytest

from haar.store.contract import Row, Store, Transaction
from haar.store.errors import StoreClosed, StoreError


class Refused(Exception):
    pass


async def fill(store: Store, **values: bytes) -> None:
    async def fn(tx: Transaction) -> None:
        for name, value in values.items():
            tx.put("s", b"p", name.encode(), value)

    await store.transact(fn)


def number(value: bytes | None) -> int:
    return int(value or b"0")


async def add_one(tx: Transaction) -> int:
    found = number(await tx.get("counter", b"c")) + 1
    tx.put("counter", b"c", b"", str(found).encode())
    return found


async def test_the_result_is_answered(store: Store) -> None:
    assert await store.transact(add_one) == 1
    assert await store.transact(add_one) == 2


async def test_reads_see_the_writes_before_them(store: Store) -> None:
    await fill(store, a=b"1", b=b"2", c=b"3", d=b"4")

    async def fn(tx: Transaction) -> None:
        tx.delete("s", b"p", b"b")
        tx.put("s", b"p", b"c", b"new")
        tx.put("s", b"p", b"bb", b"added")
        tx.put("s", b"o", b"z", b"before")
        tx.put("t", b"p", b"a", b"another space")
        assert await tx.get("s", b"p", b"b") is None
        assert await tx.get("s", b"p", b"c") == b"new"
        assert await tx.get("s", b"p", b"a") == b"1"
        assert await tx.range("s", b"p") == [(b"a", b"1"), (b"bb", b"added"), (b"c", b"new"), (b"d", b"4")]
        assert await tx.range("s", b"p", b"b", b"d") == [(b"bb", b"added"), (b"c", b"new")]
        assert await tx.range("s", b"p", limit=2) == [(b"a", b"1"), (b"bb", b"added")]
        assert await tx.range("s", b"p", reverse=True, limit=3) == [(b"d", b"4"), (b"c", b"new"), (b"bb", b"added")]
        assert await tx.scan("s", limit=2) == [Row(b"o", b"z", b"before"), Row(b"p", b"a", b"1")]
        assert await tx.scan("s", after=(b"p", b"a"), limit=1) == [Row(b"p", b"bb", b"added")]
        assert await tx.scan("s", b"p", b"q") == [Row(b"p", key, value) for key, value in await tx.range("s", b"p")]
        assert await tx.range("t", b"p") == [(b"a", b"another space")]

    await store.transact(fn)
    assert await store.range("s", b"p") == [(b"a", b"1"), (b"bb", b"added"), (b"c", b"new"), (b"d", b"4")]


async def test_an_exception_undoes_and_is_passed_on(store: Store) -> None:
    await fill(store, a=b"1")

    async def fn(tx: Transaction) -> None:
        tx.put("s", b"p", b"a", b"2")
        tx.put("never seen", b"p", b"", b"x")
        raise Refused("no")

    with pytest.raises(Refused, match="no"):
        await store.transact(fn)
    assert await store.get("s", b"p", b"a") == b"1"
    assert await store.scan("never seen") == []


async def test_one_that_fails_takes_nothing_of_its_neighbours_along(store: Store) -> None:
    async def one(turn: int) -> None:
        async def fn(tx: Transaction) -> None:
            tx.put("s", b"p", b"%02d" % turn, b"x")
            if turn % 3 == 0:
                raise Refused

        await store.transact(fn)

    answers = await asyncio.gather(*(one(turn) for turn in range(20)), return_exceptions=True)
    assert [isinstance(answer, Refused) for answer in answers] == [turn % 3 == 0 for turn in range(20)]
    assert [sort for sort, _ in await store.range("s", b"p")] == [b"%02d" % turn for turn in range(20) if turn % 3]


async def test_no_update_is_lost_between_many(store: Store) -> None:
    seen = await asyncio.gather(*(store.transact(add_one) for _ in range(200)))
    assert sorted(seen) == list(range(1, 201))
    assert await store.get("counter", b"c") == b"200"


async def test_no_update_is_lost_between_two_processes(store: Store, other: Store) -> None:
    async def many(one: Store) -> list[int]:
        return [await one.transact(add_one) for _ in range(100)]

    answers = await asyncio.gather(many(store), many(other), many(store), many(other))
    assert sorted(itertools.chain(*answers)) == list(range(1, 401))


async def test_many_rows_are_read_as_one_by_one(store: Store) -> None:
    await fill(store, a=b"1", b=b"2", c=b"3")
    keys = [("s", b"p", b"b"), ("s", b"p", b"x"), ("s", b"p", b"a"), ("none", b"p", b"a"), ("s", b"p", b"b")]
    assert await store.get_many(keys) == [b"2", None, b"1", None, b"2"]
    assert await store.get_many([]) == []
    many = [("s", b"p", b"%d" % turn) for turn in range(150)]
    assert await store.get_many(many) == [None] * 150

    async def fn(tx: Transaction) -> list[bytes | None]:
        tx.put("s", b"p", b"x", b"new")
        tx.delete("s", b"p", b"a")
        await tx.ahead(keys)
        tx.put("s", b"p", b"b", b"newer")
        return await tx.get_many(keys)

    assert await store.transact(fn) == [b"newer", b"new", None, None, b"newer"]
    assert await store.get_many(keys) == [b"newer", b"new", None, None, b"newer"]


@pytest.mark.parametrize("writers", [1, 2])
async def test_a_log_has_no_gaps_whoever_writes(store: Store, other: Store, writers: int) -> None:
    """Each reads the last number of a partition, and writes the next one; some take the oldest away."""

    async def append(tx: Transaction) -> int:
        last = await tx.range("log", b"p", reverse=True, limit=1)
        following = int.from_bytes(last[0][0]) + 1 if last else 1
        tx.put("log", b"p", following.to_bytes(4), b"x")
        return following

    async def trim(tx: Transaction) -> int | None:
        rows = await tx.range("log", b"p", limit=2)
        if len(rows) < 2:
            return None
        tx.delete("log", b"p", rows[0][0])
        return int.from_bytes(rows[0][0])

    async def work(one: Store, seed: int) -> tuple[list[int], list[int]]:
        dice = random.Random(seed)
        added, gone = [], []
        for _ in range(25):
            if dice.random() < 0.7:
                added.append(await one.transact(append))
            elif (taken := await one.transact(trim)) is not None:
                gone.append(taken)
        return added, gone

    done = await asyncio.gather(*(work([store, other][turn % writers], turn) for turn in range(8)))
    added = sorted(itertools.chain(*(each[0] for each in done)))
    gone = sorted(itertools.chain(*(each[1] for each in done)))
    assert added == list(range(1, len(added) + 1))
    assert gone == list(range(1, len(gone) + 1))
    assert [int.from_bytes(sort) for sort, _ in await store.range("log", b"p")] == added[len(gone) :]


async def test_what_is_answered_elsewhere_is_seen(store: Store, other: Store) -> None:
    """A transaction that only reads sees what another process has answered before it began, however busy the row is here."""

    async def touch(tx: Transaction) -> None:
        await tx.get("counter", b"c")
        tx.put("touched", b"t", b"", b"x")

    async def read(tx: Transaction) -> int:
        return number(await tx.get("counter", b"c"))

    over = False

    async def keep_busy() -> None:
        while not over:
            await other.transact(touch)

    busy = [asyncio.create_task(keep_busy()) for _ in range(3)]
    for _ in range(60):
        written = await store.transact(add_one)
        assert await other.transact(read) == written
    over = True
    await asyncio.gather(*busy)


async def test_sums_hold_while_many_move_amounts_and_look(store: Store, other: Store) -> None:
    """Whoever reads several rows in a transaction sees them as of one moment, also when it fails because of them."""
    accounts = [b"%d" % number for number in range(6)]

    async def start(tx: Transaction) -> None:
        for account in accounts:
            tx.put("bank", account, b"", b"10")

    await store.transact(start)

    async def move(one: Store, dice: random.Random) -> None:
        source, target = dice.sample(accounts, 2)

        async def fn(tx: Transaction) -> None:
            have, there = number(await tx.get("bank", source)), number(await tx.get("bank", target))
            if not have:
                raise Refused(str(have))
            tx.put("bank", source, b"", b"%d" % (have - 1))
            tx.put("bank", target, b"", b"%d" % (there + 1))

        with contextlib.suppress(Refused):
            await one.transact(fn)

    async def look(one: Store) -> None:
        async def fn(tx: Transaction) -> None:
            found = [number(await tx.get("bank", account)) for account in accounts]
            if sum(found) != 60:
                raise AssertionError(found)

        await one.transact(fn)

    async def work(one: Store, seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(20):
            await (move(one, dice) if dice.random() < 0.8 else look(one))

    await asyncio.gather(*(work([store, other][turn % 2], turn) for turn in range(10)))
    await look(store)


async def test_two_that_read_what_the_other_writes_do_not_both_pass(store: Store, other: Store) -> None:
    """Write skew: each takes the last but one off duty, having seen two on duty."""

    async def leave(one: Store, who: bytes) -> bool:
        async def fn(tx: Transaction) -> bool:
            on_duty = await tx.range("duty", b"d")
            if len(on_duty) < 2:
                return False
            tx.delete("duty", b"d", who)
            return True

        return await one.transact(fn)

    async def start(tx: Transaction) -> None:
        tx.put("duty", b"d", b"a", b"")
        tx.put("duty", b"d", b"b", b"")

    for _ in range(20):
        await store.transact(start)
        left = await asyncio.gather(leave(store, b"a"), leave(other, b"b"))
        assert sorted(left) == [False, True]
        assert len(await store.range("duty", b"d")) == 1


async def test_readers_never_see_half_a_transaction(store: Store, other: Store) -> None:
    async def set_both(value: bytes) -> None:
        async def fn(tx: Transaction) -> None:
            tx.put("pair", b"p", b"1", value)
            tx.put("pair", b"p", b"2", value)

        await store.transact(fn)

    await set_both(b"0")
    done = False
    seen = set()

    async def look(reader: Store) -> None:
        while not done:
            first, second = await reader.range("pair", b"p")
            assert first[1] == second[1]
            seen.add(first[1])
            await asyncio.sleep(0)

    lookers = [asyncio.create_task(look(reader)) for reader in (store, other)]
    for turn in range(1, 50):
        await set_both(b"%d" % turn)
    done = True
    await asyncio.gather(*lookers)
    assert len(seen) > 1


async def test_a_run_can_be_known_weakly(store: Store) -> None:
    known: weakref.WeakKeyDictionary[Transaction, int] = weakref.WeakKeyDictionary()

    async def fn(tx: Transaction) -> int:
        assert tx not in known
        known[tx] = 1
        await tx.scan("s")
        return known[tx]

    assert await store.transact(fn) == 1


async def test_reading_in_a_transaction_needs_no_writes(store: Store) -> None:
    await fill(store, a=b"1")

    async def fn(tx: Transaction) -> bytes | None:
        return await tx.get("s", b"p", b"a")

    assert await store.transact(fn) == b"1"


async def test_a_cancelled_caller_leaves_the_store_working(store: Store) -> None:
    tasks = [asyncio.create_task(store.transact(add_one)) for _ in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, int) for answer in answers[1::2])
    before = number(await store.get("counter", b"c"))
    assert 10 <= before <= 20
    assert await store.transact(add_one) == before + 1


async def test_a_closed_store_says_so(store: Store) -> None:
    writing = [asyncio.create_task(store.transact(add_one)) for _ in range(5)]
    await asyncio.sleep(0)
    await store.close()
    assert sorted(await asyncio.gather(*writing)) == [1, 2, 3, 4, 5]
    with pytest.raises(StoreClosed):
        await store.transact(add_one)
    with pytest.raises(StoreError):
        await store.get("counter", b"c")
    await store.close()
