"""Whoever watches a space is told of every write to it, by anyone."""

import asyncio
from collections.abc import Callable

from haar.store.cache import Cached
from haar.store.contract import Store, Transaction

SECONDS = 20.0
"""Patience; other processes' writes are told of within one second on a machine that has nothing else to do."""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def put(store: Store, space: str, key: bytes, value: bytes) -> None:
    async def fn(tx: Transaction) -> None:
        tx.put(space, key, b"", value)

    await store.transact(fn)


async def test_a_write_is_told_before_it_is_answered(store: Store) -> None:
    told: list[str] = []
    end = store.watch("s", lambda: told.append("s"))
    store.watch("t", lambda: told.append("t"), local=True)

    async def tells_of(space: str) -> bool:
        told.clear()
        await put(store, space, b"k", b"v")
        return space in told

    assert await tells_of("s")
    assert await tells_of("t")
    assert not await tells_of("u")
    told.clear()
    await store.clear("t")
    assert told.count("t") == 1
    end()
    end()
    assert not await tells_of("s")


async def test_a_local_watcher_hears_of_nobody_elses_writes_or_of_all(store: Store, other: Store) -> None:
    """It is only told sooner: at once, of this process's."""
    told: list[int] = []
    end = store.watch("s", lambda: told.append(1), local=True)
    await put(other, "s", b"k", b"v")
    told.clear()
    await put(store, "s", b"k", b"v")
    assert told == [1]
    end()


async def test_one_watcher_that_fails_keeps_nobody_from_knowing(store: Store) -> None:
    told: list[int] = []

    def fails() -> None:
        raise ValueError("a bad watcher")

    store.watch("s", fails)
    store.watch("s", lambda: told.append(1))
    await put(store, "s", b"k", b"v")
    assert told


async def test_another_process_is_told(store: Store, other: Store) -> None:
    told: list[int] = []
    store.watch("s", lambda: told.append(1))
    await put(other, "s", b"k", b"v")
    await until(lambda: bool(told))


async def test_a_cached_value_is_loaded_once_until_it_is_written(store: Store) -> None:
    loads: list[str] = []

    async def load(key: str) -> bytes | None:
        loads.append(key)
        return await store.get("s", key.encode())

    cached = Cached(store, ["s"], load)
    assert cached.peek("k") is None
    assert await cached.get("k") is None
    await put(store, "s", b"k", b"1")
    for _ in range(300):
        assert await cached.get("k") == b"1"
        assert cached.peek("k") == b"1"
    # More than two when others may have written: PostgreSQL cannot know at first.
    assert 2 <= len(loads) < 100
    await put(store, "s", b"k", b"2")
    assert cached.peek("k") is None
    assert await cached.get("k") == b"2"


async def test_a_value_of_an_older_time_is_not_kept(store: Store) -> None:
    await put(store, "s", b"k", b"old")
    loading, go_on = asyncio.Event(), asyncio.Event()

    async def load(key: str) -> bytes | None:
        value = await store.get("s", key.encode())
        loading.set()
        await go_on.wait()
        return value

    cached = Cached(store, ["s"], load)
    reading = asyncio.create_task(cached.get("k"))
    await loading.wait()
    await put(store, "s", b"k", b"new")
    go_on.set()
    assert await reading == b"new"
    assert await cached.get("k") == b"new"


async def test_a_load_that_fails_is_not_kept(store: Store) -> None:
    fail = True

    async def load(key: str) -> str:
        if fail:
            raise LookupError(key)
        return key

    cached = Cached(store, ["s"], load)
    try:
        await cached.get("k")
        raise AssertionError("passed on")
    except LookupError:
        fail = False
    assert await cached.get("k") == "k"


async def test_a_cache_is_bounded(store: Store) -> None:
    async def load(key: str) -> str:
        return key

    cached = Cached(store, ["s"], load, bound=3)
    for turn in range(10):
        await cached.get(str(turn))
    assert [key for key in map(str, range(10)) if cached.peek(key)] == ["7", "8", "9"]


async def test_a_cached_value_that_another_process_changes_goes(store: Store, other: Store) -> None:
    await put(store, "s", b"k", b"allowed")

    async def load(key: str) -> bytes | None:
        return await store.get("s", key.encode())

    cached = Cached(store, ["s"], load)
    assert await cached.get("k") == b"allowed"
    await put(other, "s", b"k", b"revoked")
    await until(lambda: cached.peek("k") is None)
    assert await cached.get("k") == b"revoked"
