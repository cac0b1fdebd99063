"""The store on SQLite: one file, one writer, and one `fdatasync` for all the writes that arrive together.

Statements run in the loop's thread. The first `transact` of a turn begins a transaction of SQLite's, in which every further one
joins; at the end of the turn (or of the sync under way) it is committed, the log is synced beside the loop, and then all are answered.
What was written and is not yet on disk is remembered by key, so that no answer shows it before.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import apsw

from haar.eager import Later
from haar.store import sqlite_backup, sqlite_file
from haar.store.contract import Key, Row, Transaction
from haar.store.errors import StoreBroken, StoreBusy, StoreClosed, StoreError
from haar.store.helper import Helper
from haar.store.overlay import Missing, Overlay, merge_range, merge_scan
from haar.store.sqlite_log import LogFile, LogKeeper
from haar.store.sqlite_rows import Rows
from haar.store.sync import Syncer, best_syncer
from haar.store.watching import Watchers

T = TypeVar("T")

BUSY_SECONDS = 10.0
"""How long a write waits for another process's."""
BUSY_PAUSE = 0.005
"""Seconds between two tries of that."""
POLL_SECONDS = 0.5
"""How often another process's commits are looked for while somebody watches."""


class _Group:
    """The transactions that share one commit and one sync."""

    __slots__ = ("cleared", "durable", "keys", "partitions", "spaces")

    def __init__(self) -> None:
        self.keys: set[tuple[str, bytes, bytes]] = set()
        self.partitions: set[tuple[str, bytes]] = set()
        self.spaces: set[str] = set()
        self.cleared: set[str] = set()
        self.durable = Later()
        """That the group is on disk, or what kept it from that."""

    def add(self, overlay: Overlay) -> None:
        for space, rows in overlay.spaces.items():
            self.spaces.add(space)
            for partition, sort in rows:
                self.keys.add((space, partition, sort))
                self.partitions.add((space, partition))

    def has(self, space: str, partition: bytes, sort: bytes) -> bool:
        return (space, partition, sort) in self.keys or space in self.cleared

    def has_partition(self, space: str, partition: bytes) -> bool:
        return (space, partition) in self.partitions or space in self.cleared

    def has_space(self, space: str) -> bool:
        return space in self.spaces


class _Tx:
    """One run of one `fn`: reads see its own writes, which are kept aside until it ends."""

    __slots__ = ("__weakref__", "_dirty", "_rows", "behind", "overlay")

    def __init__(self, rows: Rows, dirty: list[_Group]) -> None:
        self._rows = rows
        self._dirty = dirty
        self.overlay = Overlay()
        self.behind: _Group | None = None
        """The newest group that what was read depends on."""

    async def get(self, space: str, partition: bytes, sort: bytes = b"") -> bytes | None:
        if self.overlay.spaces:
            written = self.overlay.look(space, partition, sort)
            if not isinstance(written, Missing):
                return written
        for group in self._dirty:
            if group.has(space, partition, sort):
                self.behind = group
        return self._rows.get(space, partition, sort)

    async def get_many(self, keys: Sequence[Key]) -> list[bytes | None]:
        return [await self.get(*key) for key in keys]

    async def ahead(self, keys: Sequence[Key]) -> None:
        """Nothing is far away."""

    async def range(
        self, space: str, partition: bytes, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False, limit: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        for group in self._dirty:
            if group.has_partition(space, partition):
                self.behind = group
        written = self.overlay.in_range(space, partition, start, end)
        if not written:
            return self._rows.range(space, partition, start, end, reverse, limit)
        more = None if limit is None else limit + len(written)
        return merge_range(self._rows.range(space, partition, start, end, reverse, more), written, reverse, limit)

    async def scan(
        self, space: str, start: bytes = b"", end: bytes | None = None, *, after: tuple[bytes, bytes] | None = None, limit: int = 1000
    ) -> list[Row]:
        for group in self._dirty:
            if group.has_space(space):
                self.behind = group
        written = self.overlay.in_scan(space, start, end, after)
        if not written:
            return self._rows.scan(space, start, end, after, limit)
        return merge_scan(self._rows.scan(space, start, end, after, limit + len(written)), written, limit)

    def put(self, space: str, partition: bytes, sort: bytes, value: bytes) -> None:
        self.overlay.write(space, partition, sort, value)

    def delete(self, space: str, partition: bytes, sort: bytes = b"") -> None:
        self.overlay.write(space, partition, sort, None)


class SQLiteStore:
    """Made by `await SQLiteStore.open(directory)`."""

    def __init__(self, directory: Path, connection: apsw.Connection, lock: sqlite_file.Lock | None) -> None:
        self.directory = directory
        self.file = directory / sqlite_file.DATABASE
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._rows = Rows(connection, self.file)
        self._lock = lock
        self._open: _Group | None = None
        self._syncing: _Group | None = None
        self._dirty: list[_Group] = []
        """The groups that are not on disk, older first: the one being synced and the one being filled."""
        self._scheduled = False
        self._broken: StoreError | None = None
        self._closing = False
        self._log_file = LogFile(self.file)
        self._syncer: Syncer = best_syncer(self._loop)
        self._aside = Helper(self._loop, "haar-checkpoint")
        self._log = LogKeeper(self.file, connection, self._aside, lambda: self._open is None and self._syncing is None)
        self._watchers = Watchers()
        self._poll: asyncio.TimerHandle | None = None
        self._data_version = 0

    @classmethod
    async def open(cls, directory: Path, *, server: bool = True) -> "SQLiteStore":
        """Opens the store in `directory`; a directory that never held one gets it. DataError says what is wrong and the way out.

        `server=False` is for tools beside a running server: no lock, nothing is made.
        """
        if not server:
            return cls(directory, sqlite_file.open_guest(directory), None)
        sqlite_file.prepare(directory)
        lock = sqlite_file.Lock(directory)
        try:
            sqlite_backup.take_over(directory, lock)
            return cls(directory, sqlite_file.open_server(directory, lock), lock)
        except BaseException:
            lock.release()
            raise

    async def get(self, space: str, partition: bytes, sort: bytes = b"") -> bytes | None:
        value = self._rows.get(space, partition, sort)
        if self._dirty:
            for group in reversed(self._dirty):
                if group.has(space, partition, sort):
                    await group.durable.wait()
                    break
        return value

    async def get_many(self, keys: Sequence[Key]) -> list[bytes | None]:
        return [await self.get(*key) for key in keys]

    async def range(
        self, space: str, partition: bytes, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False, limit: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        rows = self._rows.range(space, partition, start, end, reverse, limit)
        for group in reversed(self._dirty):
            if group.has_partition(space, partition):
                await group.durable.wait()
                break
        return rows

    async def scan(
        self, space: str, start: bytes = b"", end: bytes | None = None, *, after: tuple[bytes, bytes] | None = None, limit: int = 1000
    ) -> list[Row]:
        rows = self._rows.scan(space, start, end, after, limit)
        for group in reversed(self._dirty):
            if group.has_space(space):
                await group.durable.wait()
                break
        return rows

    async def transact(self, fn: Callable[[Transaction], Awaitable[T]]) -> T:
        group = await self._join()
        tx = _Tx(self._rows, self._dirty)
        try:
            result = _run(fn, tx)
        except BaseException:
            # An error tells of what was read, too.
            if tx.behind is not None:
                await tx.behind.durable.wait()
            raise
        if tx.overlay.spaces:
            try:
                self._rows.write(tx.overlay)
            except BaseException as error:
                self._undo(group, error)
                raise
            group.add(tx.overlay)
            await group.durable.wait()
        elif tx.behind is not None:
            await tx.behind.durable.wait()
        return result

    async def clear(self, space: str, start: bytes = b"", end: bytes | None = None) -> int:
        deleted, more = 0, True
        while more:
            group = await self._join()
            try:
                rows, more = self._rows.delete_slice(space, start, end)
            except BaseException as error:
                self._undo(group, error)
                raise
            if rows:
                group.cleared.add(space)
                group.spaces.add(space)
                await group.durable.wait()
            deleted += rows
        return deleted

    def watch(self, space: str, callback: Callable[[], None], *, local: bool = False) -> Callable[[], None]:
        if not local and self._poll is None and not self._closing:
            self._data_version = self._rows.version()
            self._poll = self._loop.call_later(POLL_SECONDS, self._look_for_others)
        return self._watchers.add(space, callback)

    async def close(self) -> None:
        """Answers what is under way, refuses what comes, leaves all in one file."""
        if self._closing:
            return
        self._closing = True
        while self._dirty and self._broken is None:
            with contextlib.suppress(StoreError):
                await self._dirty[-1].durable.wait()
        if self._poll is not None:
            self._poll.cancel()
        await self._log.stop()
        self._syncer.close()
        self._aside.stop()
        if self._broken is None and self._lock is not None:
            with contextlib.suppress(apsw.Error):  # what is left in the log is found there by the next start
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._connection.close()
        self._log_file.close()
        if self._lock is not None:
            self._lock.release()

    def _refuse(self) -> None:
        if self._closing:
            raise StoreClosed(f"{self.file}: the store is closed")
        if self._broken is not None:
            raise self._broken

    async def _join(self) -> _Group:
        """The group that is open now, begun if none is."""
        deadline = self._loop.time() + BUSY_SECONDS
        while True:
            if self._open is not None:
                return self._open
            self._refuse()
            if self._log.holding:
                await self._log.released()
                continue
            try:
                self._rows.begin()
            except StoreBusy:
                # Another process may write, and must be done before `fn` reads: so a transaction begins with the right to write.
                if self._loop.time() >= deadline:
                    raise
                await asyncio.sleep(BUSY_PAUSE)
                continue
            group = self._open = _Group()
            self._dirty.append(group)
            if self._syncing is None and not self._scheduled:
                self._scheduled = True
                self._loop.call_soon(self._flush)
            return group

    def _flush(self) -> None:
        """Commits the open group and has it synced; not while another is being synced (the end of that comes here)."""
        self._scheduled = False
        group = self._open
        if group is None or self._syncing is not None:
            return
        try:
            self._rows.commit()
        except Exception as error:  # noqa: BLE001 - answered to everybody in the group
            self._undo(group, error)
            return
        self._open = None
        if not group.spaces:
            self._dirty.remove(group)
            group.durable.happen()
            return
        self._syncing = group
        self._syncer.submit(self._log_file.descriptor, self._synced)
        self._watchers.tell(group.spaces)

    def _synced(self, error: BaseException | None) -> None:
        group = self._syncing
        assert group is not None
        if error is not None:
            # The kernel may have dropped the pages: a later sync that succeeds would prove nothing. The group stays where it
            # is, so that nobody reads what may be lost.
            self._broken = StoreBroken(f"{self.file}-wal could not be synced ({error}); writes are refused until haar starts again")
            group.durable.happen(self._broken)
            if self._open is not None:
                self._undo(self._open, self._broken)
            self._log.release()
            return
        self._syncing = None
        self._dirty.remove(group)
        if self._open is not None:
            self._flush()  # first, so that the disk works while we answer
        group.durable.happen()
        self._log.wrote()

    def _undo(self, group: _Group, error: BaseException) -> None:
        """Rolls the open group back: none of its transactions happened, and what was read of it was never there."""
        failure = error if isinstance(error, StoreError) else StoreError(f"{self.file}: {error!r}")
        self._open = None
        try:
            self._rows.rollback()
            self._dirty.remove(group)
        except StoreError as second:
            # The group stays, so that nobody reads it.
            self._broken = StoreBroken(f"{self.file}: {failure} could not be undone ({second}); writes are refused until haar starts again")
        group.durable.happen(failure)

    def _look_for_others(self) -> None:
        self._poll = None
        if not self._watchers or self._closing:
            return
        self._poll = self._loop.call_later(POLL_SECONDS, self._look_for_others)
        try:
            version = self._rows.version()
        except StoreError:
            # Busy or damaged: whoever watches looks, and is told by what he reads.
            version = -1
        if version != self._data_version:
            self._data_version = version
            self._watchers.tell_all()


def _run(fn: Callable[[Transaction], Awaitable[T]], tx: _Tx) -> T:
    steps = fn(tx).__await__()
    try:
        next(steps)
    except StopIteration as stop:
        answer: T = stop.value
        return answer
    with contextlib.suppress(RuntimeError):
        steps.close()
    raise RuntimeError(f"{getattr(fn, '__qualname__', fn)} waited for something other than its transaction's reads, inside a transaction")
