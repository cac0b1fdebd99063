"""What is not as it should be on disk is refused, by name and with the way out; nothing is repaired silently or started empty."""

import asyncio
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from haar.store.contract import Transaction
from haar.store.errors import DataError, StoreError
from haar.store.sqlite import SQLiteStore
from haar.store.sqlite_backup import backup, restore

pytestmark = pytest.mark.faults


async def fill(store: SQLiteStore, count: int = 300) -> None:
    async def one(number: int) -> None:
        async def fn(tx: Transaction) -> None:
            tx.put("s", b"%05d" % number, b"a", b"%05d" % number * 60)
            tx.put("s", b"%05d" % number, b"b", b"")

        await store.transact(fn)

    for first in range(0, count, 10):
        await asyncio.gather(*(one(number) for number in range(first, min(first + 10, count))))


@pytest.fixture
async def filled(tmp_path: Path) -> Path:
    """A data directory that a server left."""
    store = await SQLiteStore.open(tmp_path / "data")
    await fill(store)
    await store.close()
    return tmp_path / "data"


def copy(source: Path, target: Path) -> None:
    """By another process: a descriptor of the database that this one closes would drop SQLite's locks."""
    subprocess.run(["cp", "-r", str(source), str(target)], check=True)


async def refused(directory: Path, *words: str) -> None:
    before = {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "lock"}
    with pytest.raises(DataError) as error:
        await SQLiteStore.open(directory)
    for word in words:
        assert word in str(error.value)
    assert {path.name: path.read_bytes() for path in directory.iterdir() if path.name in before} == before


async def test_a_torn_log_leaves_the_transactions_before_the_tear(tmp_path: Path) -> None:
    store = await SQLiteStore.open(tmp_path / "data")
    await fill(store)
    copy(tmp_path / "data", tmp_path / "copy")
    await store.close()
    log = (tmp_path / "copy" / "haar.db-wal").read_bytes()
    chance = random.Random(7)
    counts = []
    for turn in range(24):
        torn = tmp_path / f"torn{turn}"
        shutil.copytree(tmp_path / "copy", torn)
        at = chance.randrange(len(log))
        if turn % 2:
            (torn / "haar.db-wal").write_bytes(log[:at])
        else:
            (torn / "haar.db-wal").write_bytes(log[:at] + bytes([log[at] ^ 0x5A]) + log[at + 1 :])
        store = await SQLiteStore.open(torn)
        rows = await store.scan("s", limit=10_000)
        counts.append(len(rows))
        assert [row.partition for row in rows] == [b"%05d" % (number // 2) for number in range(len(rows))]
        assert len(rows) % 2 == 0
        await fill(store, 20)
        await store.close()
    assert max(counts) > min(counts)


async def test_a_damaged_page_is_reported_and_left(filled: Path) -> None:
    file = filled / "haar.db"
    content = bytearray(file.read_bytes())
    for page in range(4, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = os.urandom(64)
    file.write_bytes(content)
    store = await SQLiteStore.open(filled)
    with pytest.raises(DataError, match=r"haar\.db is damaged .*haar restore"):
        await store.scan("s", limit=10_000)
    with pytest.raises(StoreError):
        await fill(store)
    await store.close()


async def test_a_damaged_header_is_refused(filled: Path) -> None:
    content = bytearray((filled / "haar.db").read_bytes())
    content[:100] = os.urandom(100)
    (filled / "haar.db").write_bytes(content)
    await refused(filled, "haar.db is not a database", "haar restore")


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "haar.db").write_text("I am a shopping list. " * 100)
    await refused(tmp_path, "haar.db is not a database")


async def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "haar.db")
    connection.execute("CREATE TABLE songs(name TEXT)")
    connection.commit()
    connection.close()
    await refused(tmp_path, "haar.db", "not one of haar's")


async def test_a_newer_schema_is_refused(filled: Path) -> None:
    connection = sqlite3.connect(filled / "haar.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    await refused(filled, "haar.db", "newer haar", "99")


async def test_an_emptied_database_is_refused(filled: Path) -> None:
    (filled / "haar.db").write_bytes(b"")
    await refused(filled, "haar.db is empty", "haar restore")


async def test_a_missing_database_is_not_started_empty(filled: Path) -> None:
    (filled / "haar.db").unlink()
    await refused(filled, "haar.db is missing", "haar restore")
    (filled / "lock").unlink()
    (filled / "haar.db-wal").write_bytes(b"what is left")
    await refused(filled, "haar.db is missing", "haar.db-wal")


async def test_a_directory_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nothing/here")):
        with pytest.raises(DataError) as error:
            await SQLiteStore.open(directory)
        assert str(directory) in str(error.value)
    if os.geteuid():
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(DataError, match="write"):
            await SQLiteStore.open(tmp_path / "closed")


async def test_a_tool_does_not_make_a_directory_into_a_data_directory(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a haar data directory"):
        await SQLiteStore.open(tmp_path, server=False)
    assert list(tmp_path.iterdir()) == []


async def test_two_servers_do_not_share_a_directory(filled: Path) -> None:
    store = await SQLiteStore.open(filled)
    await refused_lock(filled, os.getpid())
    await store.close()
    holder = hold(filled / "lock")
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    await refused_lock(filled, os.getpid())
    holder.kill()
    holder.communicate()
    store = await SQLiteStore.open(filled)
    await store.close()


def hold(lock: Path) -> subprocess.Popen[bytes]:
    """A process that holds the lock, as another server would."""
    program = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.flock(f, 2); print('held', flush=True); sys.stdin.read()"
    return subprocess.Popen([sys.executable, "-c", program, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


async def refused_lock(directory: Path, pid: int) -> None:
    with pytest.raises(DataError, match=f"in use by another haar .pid {pid}"):
        await SQLiteStore.open(directory)


async def back_up(store: SQLiteStore, target: Path) -> None:
    """As `haar backup` does, while the store is at work."""
    await asyncio.to_thread(backup, store.file, target)


async def test_only_the_owner_can_read(filled: Path) -> None:
    store = await SQLiteStore.open(filled)
    await fill(store, 10)
    assert stat.S_IMODE(filled.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in filled.iterdir()}
    assert modes == dict.fromkeys(["haar.db", "haar.db-wal", "haar.db-shm", "lock"], 0o600)
    await back_up(store, filled.parent / "backup")
    assert stat.S_IMODE((filled.parent / "backup").stat().st_mode) == 0o600
    await store.close()


async def test_a_backup_made_under_load_is_one_moment(tmp_path: Path) -> None:
    store = await SQLiteStore.open(tmp_path / "data")
    await fill(store, 200)
    done = False

    async def write() -> int:
        turn = 0
        while not done:
            turn += 1

            async def fn(tx: Transaction, turn: int = turn) -> None:
                for number in range(0, 200, 7):
                    tx.put("turn", b"%03d" % number, b"", b"%d" % turn)

            await store.transact(fn)
        return turn

    writing = asyncio.create_task(write())
    await asyncio.sleep(0.05)
    await back_up(store, tmp_path / "backup")
    done = True
    assert await writing > 1
    await store.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "data"]
    restore(tmp_path / "backup", tmp_path / "restored")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "data", "restored"]
    store = await SQLiteStore.open(tmp_path / "restored")
    assert len(await store.scan("s")) == 400
    turns = [row.value for row in await store.scan("turn")]
    assert len(turns) == 29
    assert len(set(turns)) == 1
    await fill(store, 10)
    await store.close()


async def test_a_backup_is_made_beside_the_server(filled: Path) -> None:
    store = await SQLiteStore.open(filled)
    await fill(store, 310)
    await back_up(store, filled.parent / "backup")
    await fill(store, 320)
    await store.close()
    restore(filled.parent / "backup", filled.parent / "restored")
    store = await SQLiteStore.open(filled.parent / "restored")
    assert len(await store.scan("s")) == 620
    await store.close()


async def test_a_backup_is_not_written_over_a_file(filled: Path) -> None:
    store = await SQLiteStore.open(filled)
    with pytest.raises(StoreError, match="lock exists"):
        await back_up(store, filled / "lock")
    with pytest.raises(StoreError, match="nowhere"):
        await back_up(store, filled / "nowhere" / "backup")
    await store.close()


async def test_restore_checks_first_and_keeps_what_was_there(filled: Path, tmp_path: Path) -> None:
    store = await SQLiteStore.open(filled)
    await back_up(store, tmp_path / "backup")
    with pytest.raises(DataError, match="in use"):
        restore(tmp_path / "backup", filled)
    await fill(store, 301)
    await store.close()
    with pytest.raises(DataError, match="does not exist"):
        restore(tmp_path / "no backup", tmp_path / "new")
    content = bytearray((tmp_path / "backup").read_bytes())
    for page in range(4, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = os.urandom(64)
    (tmp_path / "damaged").write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        restore(tmp_path / "damaged", tmp_path / "new")
    assert not (tmp_path / "new" / "haar.db").exists()
    restore(tmp_path / "backup", filled)
    store = await SQLiteStore.open(filled)
    assert len(await store.scan("s")) == 600
    await store.close()
    (filled / "haar.db.before-restore").replace(filled / "haar.db")
    store = await SQLiteStore.open(filled)
    assert len(await store.scan("s")) == 602
    await store.close()
    (filled / "haar.db").unlink()
    (filled / "haar.db-wal").write_bytes(b"a log whose database is lost")
    restore(tmp_path / "backup", filled)
    store = await SQLiteStore.open(filled)
    assert len(await store.scan("s")) == 600
    await store.close()


async def test_a_transaction_that_waits_for_the_world_is_an_error(tmp_path: Path) -> None:
    store = await SQLiteStore.open(tmp_path / "data")
    ended = []

    async def fn(tx: Transaction) -> None:
        tx.put("s", b"x", b"", b"")
        try:
            await asyncio.sleep(0)
        finally:
            ended.append(True)

    with pytest.raises(RuntimeError, match=r"fn waited for something other than its transaction's reads"):
        await store.transact(fn)
    assert ended == [True]
    assert await store.get("s", b"x") is None
    await fill(store, 10)
    await store.close()
