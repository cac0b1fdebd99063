"""An answer leaves after the data is on disk, and never after a sync that failed."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from haar.store import sqlite_log, sync
from haar.store.contract import Transaction
from haar.store.errors import StoreBroken, StoreError
from haar.store.sqlite import SQLiteStore
from haar.store.sync import KernelSyncer, Synced, ThreadSyncer

pytestmark = pytest.mark.faults

PUTS = 40
WRITER = f"""
import asyncio, os, sys
from pathlib import Path
from haar.store.sqlite import SQLiteStore

async def main():
    store = await SQLiteStore.open(Path(sys.argv[1]))
    os.write(1, b"opened")
    for number in range({PUTS}):
        async def fn(tx):
            tx.put("s", b"%d" % number, b"", b"v" * 500)
        await store.transact(fn)
        os.write(1, b"ack")
    os._exit(0)

asyncio.run(main())
"""
CALL = re.compile(r"^(\d+) +(?:(?P<name>\w+)\((?P<start>.*)|<\.\.\. (?P<resumed>\w+) resumed>)")
BY_A_THREAD = "from haar.store import sync; sync.CALLS = {}"


class Held:
    """A syncer that does what the test says between the end of a sync and its telling."""

    def __init__(self, store: SQLiteStore, before: Callable[[Callable[[], None]], None]) -> None:
        self.store, self.inner, self.before = store, store._syncer, before
        store._syncer = self

    def submit(self, opened: Callable[[], int], done: Synced) -> None:
        self.inner.submit(opened, lambda error: self.before(lambda: done(error)))

    def close(self) -> None:
        self.inner.close()


@pytest.fixture(params=["kernel", "thread"], autouse=True)
def syncer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "thread":
        monkeypatch.setattr(sync, "CALLS", {})
    return str(request.param)


async def put(store: SQLiteStore, key: bytes, value: bytes = b"v") -> None:
    async def fn(tx: Transaction) -> None:
        tx.put("s", key, b"", value)

    await store.transact(fn)


async def get_in_transaction(store: SQLiteStore, key: bytes) -> bytes | None:
    async def fn(tx: Transaction) -> bytes | None:
        return await tx.get("s", key)

    return await store.transact(fn)


def test_the_answer_leaves_after_the_sync(tmp_path: Path, syncer: str) -> None:
    """Seen from the kernel: between the last write to the log and the answer there is a sync of the log that succeeded."""
    if shutil.which("strace") is None and "CI" not in os.environ:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    calls = "pwrite64,pwritev,write,fdatasync,fsync,ftruncate,io_submit,io_getevents"
    command = [
        "strace",
        "-f",
        "-y",
        "-s",
        "8",
        "-e",
        f"trace={calls}",
        "-o",
        str(trace),
        sys.executable,
        "-c",
        (BY_A_THREAD if syncer == "thread" else "") + WRITER,
        str(tmp_path / "data"),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=100)
    unsynced, syncing, acks, syncs = False, False, 0, 0
    opened = False
    for line in trace.read_text().splitlines():
        call = CALL.match(line)
        if call is None:
            continue
        text = call["start"] or ""
        if call["name"] == "write" and text.startswith("1<"):
            opened = opened or '"opened"' in text
            if '"ack"' in text:
                assert not unsynced, line
                acks += 1
        elif call["name"] in ("pwrite64", "pwritev") and "haar.db-wal>" in text:
            unsynced = True
            assert not syncing, line
        elif (call["name"] == "fdatasync" and "haar.db-wal>" in text) or call["resumed"] == "fdatasync":
            syncing = line.endswith("<unfinished ...>")
            if not syncing:
                assert line.endswith("= 0"), line
                unsynced = False
                syncs += opened
        elif call["name"] == "io_submit":
            assert "IOCB_CMD_FDSYNC" in text, line
            assert "haar.db-wal" in text, line
            assert line.endswith("= 1"), line
            syncing = True
        elif call["name"] == "io_getevents":
            assert re.search(r"res=0\b", line), line
            syncing = unsynced = False
            syncs += opened
    assert acks == PUTS
    assert syncs >= PUTS


async def test_what_was_synced_holds_what_was_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Power loss: the database of the start with the log as it was when the answer's sync ended has the answer's rows."""
    monkeypatch.setattr(sqlite_log, "LOG_PAGES", 1 << 30)
    monkeypatch.setattr(sqlite_log, "IDLE_SECONDS", 1000.0)
    store = await SQLiteStore.open(tmp_path / "data")
    await put(store, b"first")
    await store.close()
    shutil.copy(tmp_path / "data" / "haar.db", tmp_path / "start.db")
    store = await SQLiteStore.open(tmp_path / "data")
    logs: list[bytes] = []

    def keep(tell: Callable[[], None]) -> None:
        logs.append((tmp_path / "data" / "haar.db-wal").read_bytes())
        tell()

    Held(store, keep)
    answered: list[tuple[int, bytes]] = []

    async def worker(number: int) -> None:
        for turn in range(8):
            key = b"%d/%d" % (number, turn)
            await put(store, key, key * 50)
            answered.append((len(logs), key))

    await asyncio.gather(*(worker(number) for number in range(6)))
    await store.close()
    assert len(answered) == 48
    for number in range(1, len(logs) + 1):
        again = tmp_path / f"again{number}"
        again.mkdir()
        shutil.copy(tmp_path / "start.db", again / "haar.db")
        (again / "haar.db-wal").write_bytes(logs[number - 1])
        lost = await SQLiteStore.open(again)
        assert await lost.get("s", b"first") == b"v"
        for known, key in answered:
            if known <= number:
                assert await lost.get("s", key) == key * 50
        await lost.close()


async def test_nobody_sees_a_write_that_is_not_on_disk(tmp_path: Path) -> None:
    store = await SQLiteStore.open(tmp_path / "data")
    await put(store, b"a", b"old")
    await put(store, b"b", b"other")
    let_go = asyncio.Event()

    def hold(tell: Callable[[], None]) -> None:
        asyncio.create_task(let_go.wait()).add_done_callback(lambda _: tell())

    Held(store, hold)
    writing = asyncio.create_task(put(store, b"a", b"new"))
    while store._syncing is None:
        await asyncio.sleep(0)
    later = asyncio.create_task(put(store, b"c", b"later"))
    await asyncio.sleep(0)
    assert await store.get("s", b"b") == b"other"
    assert await store.range("s", b"b") == [(b"", b"other")]

    async def fails(tx: Transaction) -> None:
        raise ValueError(await tx.get("s", b"a"))

    reads = [
        asyncio.create_task(read)
        for read in (
            store.get("s", b"a"),
            store.get("s", b"c"),
            store.range("s", b"a"),
            store.scan("s"),
            get_in_transaction(store, b"a"),
            store.transact(fails),
        )
    ]
    await asyncio.sleep(0.05)
    assert not writing.done()
    assert not later.done()
    assert not [read for read in reads if read.done()]
    let_go.set()
    await writing
    await later
    answers = await asyncio.gather(*reads, return_exceptions=True)
    assert answers[0] == b"new"
    assert answers[1] == b"later"
    assert answers[2] == [(b"", b"new")]
    assert [row.value for row in answers[3]] == [b"new", b"other", b"later"]  # type: ignore[union-attr]
    assert answers[4] == b"new"
    assert isinstance(answers[5], ValueError)
    await store.close()


async def test_after_a_sync_that_failed_nothing_is_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await SQLiteStore.open(tmp_path / "data")
    await put(store, b"a", b"old")
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(store._syncer, "submit", lambda _, done: loop.call_soon(done, OSError(5, "Input/output error")))
    first = asyncio.create_task(put(store, b"a", b"new"))
    while store._syncing is None:
        await asyncio.sleep(0)
    second = asyncio.create_task(put(store, b"b", b"in the next group"))
    for outcome in await asyncio.gather(first, second, return_exceptions=True):
        assert isinstance(outcome, StoreBroken)
        assert "haar.db-wal could not be synced" in str(outcome)
    monkeypatch.undo()
    with pytest.raises(StoreBroken):
        await put(store, b"c")
    with pytest.raises(StoreError):
        await store.get("s", b"a")  # nobody knows which of the two it is
    assert await store.get("s", b"b") is None
    await store.close()
    store = await SQLiteStore.open(tmp_path / "data")
    assert await store.get("s", b"a") in (b"old", b"new")
    await put(store, b"c")
    await store.close()


async def test_the_log_is_synced_through_the_file_that_is_there(tmp_path: Path) -> None:
    store = await SQLiteStore.open(tmp_path / "data")
    await put(store, b"a")
    sync = store._log_file
    sync._identity = (0, 0)
    await put(store, b"b")
    found = (tmp_path / "data" / "haar.db-wal").stat()
    assert sync._identity == (found.st_dev, found.st_ino)
    assert os.fstat(sync._descriptor).st_ino == found.st_ino
    await store.close()


async def test_the_log_stays_short_under_constant_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_log, "LOG_PAGES", 100)
    store = await SQLiteStore.open(tmp_path / "data")

    async def worker(number: int) -> None:
        for turn in range(150):
            await put(store, b"%d/%d" % (number, turn), os.urandom(1500))

    await asyncio.gather(*(worker(number) for number in range(8)))
    size = (tmp_path / "data" / "haar.db-wal").stat().st_size
    assert store._log._pages < 2000
    assert size < 8_000_000
    await store.close()
    assert not (tmp_path / "data" / "haar.db-wal").exists()


async def test_where_the_kernel_lets_us_it_syncs(tmp_path: Path, syncer: str) -> None:
    store = await SQLiteStore.open(tmp_path / "data")
    assert type(store._syncer) is {"kernel": KernelSyncer, "thread": ThreadSyncer}[syncer]
    await store.close()


async def test_a_sync_that_the_kernel_refuses_is_told(tmp_path: Path, syncer: str) -> None:
    reader, writer = os.pipe()  # has no data to sync
    store = await SQLiteStore.open(tmp_path / "data")
    told = asyncio.get_running_loop().create_future()
    store._syncer.submit(lambda: writer, told.set_result)
    assert isinstance(await told, OSError)
    again = asyncio.get_running_loop().create_future()
    store._syncer.submit(lambda: 1 << 20, again.set_result)
    assert isinstance(await again, OSError)
    await store.close()
    os.close(reader)
    os.close(writer)
