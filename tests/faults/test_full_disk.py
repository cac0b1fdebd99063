"""A full disk: who could not be served is told, nothing is half done, and with space the store goes on."""

import asyncio
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from haar.store.contract import Transaction
from haar.store.errors import StoreError, StoreFull
from haar.store.sqlite import SQLiteStore

pytestmark = pytest.mark.faults


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB, or a skip where mounting is refused (the other test limits the size of files instead)."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mount is refused here")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


async def put_pair(store: SQLiteStore, number: int) -> None:
    async def fn(tx: Transaction) -> None:
        tx.put("pairs", b"%06d" % number, b"a", os.urandom(3000))
        tx.put("pairs", b"%06d" % number, b"b", os.urandom(3000))
        await tx.get("pairs", b"0")

    await store.transact(fn)


async def write_until_full(store: SQLiteStore) -> set[int]:
    """The pairs that were acknowledged; ends when every worker met a full disk."""
    done: set[int] = set()

    async def worker(first: int) -> None:
        for number in range(first, 100_000, 8):
            await put_pair(store, number)
            done.add(number)

    outcomes = await asyncio.gather(*(worker(first) for first in range(8)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreFull] * 8
    return done


async def check(store: SQLiteStore, done: set[int]) -> None:
    rows = [(int(row.partition), row.sort) for row in await store.scan("pairs", limit=1_000_000)]
    assert rows == [(number, sort) for number in sorted(done) for sort in (b"a", b"b")]


async def test_a_full_disk(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    store = await SQLiteStore.open(small_disk / "data")
    done = await write_until_full(store)
    assert done
    await check(store, done)
    with pytest.raises(StoreFull, match="no space left"):
        await put_pair(store, 200_000)
    ballast.unlink()
    await put_pair(store, 200_001)
    done.add(200_001)
    await check(store, done)
    await store.close()
    store = await SQLiteStore.open(small_disk / "data")
    await check(store, done)
    assert store._connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    await store.close()


async def test_files_that_may_not_grow(tmp_path: Path) -> None:
    store = await SQLiteStore.open(tmp_path / "data")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, before[1]))
    try:
        done = await write_until_full(store)
        assert done
        await check(store, done)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    await put_pair(store, 200_001)
    await check(store, done | {200_001})
    await store.close()
    store = await SQLiteStore.open(tmp_path / "data")
    await check(store, done | {200_001})
    await store.close()


async def test_a_full_disk_while_the_first_database_is_made(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(4096))
    with pytest.raises(StoreError, match=r"[Nn]o space left"):
        await SQLiteStore.open(small_disk / "data")
    ballast.unlink()
    store = await SQLiteStore.open(small_disk / "data")
    await put_pair(store, 1)
    await store.close()
