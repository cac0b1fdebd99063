"""The store on SQLite: one file, one writer, and one `fdatasync` for all the writes that arrive together.

Statements run in the loop's thread. The first `transact` of a turn begins a transaction of SQLite's, in which every further one
joins; at the end of the turn (or of the sync under way) it is committed, a helper thread syncs the log, and then all are answered.
What was written and is not yet on disk is remembered by key, so that no answer shows it before.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from haar.store import sqlite_backup, sqlite_file
from haar.store.contract import Row, Transaction
from haar.store.errors import StoreBroken, StoreBusy, StoreClosed, StoreError
from haar.store.helper import Helper
from haar.store.overlay import Missing, Overlay, merge_range, merge_scan
from haar.store.sqlite_log import Checkpointer, LogSync
from haar.store.watching import Watchers

T = TypeVar("T")

GET = "SELECT value FROM rows WHERE space = ? AND partition = ? AND sort = ?"
PUT = "INSERT INTO rows VALUES(?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
DELETE = "DELETE FROM rows WHERE space = ? AND partition = ? AND sort = ?"
RANGE = "SELECT sort, value FROM rows WHERE space = ? AND partition = ? AND sort >= ?"
SCAN = "SELECT partition, sort, value FROM rows WHERE space = ?"
CLEAR_TO = "SELECT partition, sort FROM rows WHERE space = ? AND partition >= ?"

LOG_PAGES = 4000
"""A log of so many pages (16 MB) is copied to the database while writes go on, and then started over."""
IDLE_SECONDS = 1.0
"""Without writes for so long, the log is copied to the database."""
CLEAR_ROWS = 500
"""Rows that `clear` deletes in one transaction."""
BUSY_SECONDS = 10.0
"""How long a write waits for another process's."""
BUSY_PAUSE = 0.005
POLL_SECONDS = 0.5
"""How often another process's commits are looked for while somebody watches."""


class _Group:
    """The transactions that share one commit and one sync."""

    __slots__ = ("cleared", "error", "keys", "partitions", "spaces", "waiters")

    def __init__(self) -> None:
        self.keys: set[tuple[str, bytes, bytes]] = set()
        self.partitions: set[tuple[str, bytes]] = set()
        self.spaces: set[str] = set()
        self.cleared: set[str] = set()
        self.waiters: list[asyncio.Future[None]] = []
        self.error: StoreError | None = None

    def has(self, space: str, partition: bytes, sort: bytes) -> bool:
        return (space, partition, sort) in self.keys or space in self.cleared

    def has_partition(self, space: str, partition: bytes) -> bool:
        return (space, partition) in self.partitions or space in self.cleared


class _Tx:
    """One run of one `fn`: reads see its own writes, which are kept aside until it ends."""

    __slots__ = ("_store", "behind", "overlay")

    def __init__(self, store: "SQLiteStore") -> None:
        self._store = store
        self.overlay = Overlay()
        self.behind: _Group | None = None
        """The newest group that this transaction's answer depends on."""

    async def get(self, space: str, partition: bytes, sort: bytes = b"") -> bytes | None:
        if self.overlay.spaces:
            written = self.overlay.look(space, partition, sort)
            if not isinstance(written, Missing):
                return written
        for group in self._store._dirty:
            if group.has(space, partition, sort):
                self.behind = group
        return self._store._select(space, partition, sort)

    async def range(
        self, space: str, partition: bytes, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False, limit: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        written = self.overlay.in_range(space, partition, start, end)
        for group in self._store._dirty:
            if group.has_partition(space, partition):
                self.behind = group
        if not written:
            return self._store._select_range(space, partition, start, end, reverse, limit)
        more = None if limit is None else limit + len(written)
        return merge_range(self._store._select_range(space, partition, start, end, reverse, more), written, reverse, limit)

    async def scan(
        self, space: str, start: bytes = b"", end: bytes | None = None, *, after: tuple[bytes, bytes] | None = None, limit: int = 1000
    ) -> list[Row]:
        written = self.overlay.in_scan(space, start, end, after)
        for group in self._store._dirty:
            if space in group.spaces:
                self.behind = group
        if not written:
            return self._store._select_scan(space, start, end, after, limit)
        return merge_scan(self._store._select_scan(space, start, end, after, limit + len(written)), written, limit)

    def put(self, space: str, partition: bytes, sort: bytes, value: bytes) -> None:
        self.overlay.write(space, partition, sort, value)

    def delete(self, space: str, partition: bytes, sort: bytes = b"") -> None:
        self.overlay.write(space, partition, sort, None)


class SQLiteStore:
    """Made by `await SQLiteStore.open(directory)`."""

    def __init__(self, directory: Path, connection: apsw.Connection, lock: sqlite_file.Lock | None) -> None:
        self.directory = directory
        self.file = directory / sqlite_file.DATABASE
        self._connection = connection
        self._lock = lock
        self._loop = asyncio.get_running_loop()
        self._execute: Final = connection.cursor().execute
        self._spaces: dict[str, int] = dict(self._rows("SELECT name, id FROM spaces", []))
        self._open: _Group | None = None
        self._syncing: _Group | None = None
        self._dirty: list[_Group] = []
        """The groups that are not on disk, older first: the one being synced and the one being filled."""
        self._scheduled = False
        self._broken: StoreError | None = None
        self._closing = False
        self._held: list[asyncio.Future[None]] | None = None
        """While not None, transactions wait: the log is about to start over."""
        self._sync = LogSync(self.file)
        self._syncer = Helper(self._loop, "haar-sync")
        self._keeper = Helper(self._loop, "haar-checkpoint")
        self._checkpoint = Checkpointer(self.file)
        self._checkpointing = False
        self._log_pages = 0
        self._log_copied = 0
        self._checkpoint_at = LOG_PAGES
        self._written_at = 0.0
        self._idle: asyncio.TimerHandle | None = None
        self._watchers = Watchers()
        self._poll: asyncio.TimerHandle | None = None
        self._data_version = 0
        connection.set_wal_hook(self._committed)

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
            return cls(directory, sqlite_file.open_server(directory, lock), lock)
        except BaseException:
            lock.release()
            raise

    # Reads

    async def get(self, space: str, partition: bytes, sort: bytes = b"") -> bytes | None:
        value = self._select(space, partition, sort)
        if self._dirty:
            for group in reversed(self._dirty):
                if group.has(space, partition, sort):
                    await self._durable(group)
                    break
        return value

    async def range(
        self, space: str, partition: bytes, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False, limit: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        rows = self._select_range(space, partition, start, end, reverse, limit)
        for group in reversed(self._dirty):
            if group.has_partition(space, partition):
                await self._durable(group)
                break
        return rows

    async def scan(
        self, space: str, start: bytes = b"", end: bytes | None = None, *, after: tuple[bytes, bytes] | None = None, limit: int = 1000
    ) -> list[Row]:
        rows = self._select_scan(space, start, end, after, limit)
        for group in reversed(self._dirty):
            if space in group.spaces:
                await self._durable(group)
                break
        return rows

    # Writes

    async def transact(self, fn: Callable[[Transaction], Awaitable[T]]) -> T:
        group = self._open if self._held is None else None
        if group is None:
            group = await self._join()
        tx = _Tx(self)
        try:
            result = _run(fn, tx)
        except BaseException:
            if tx.behind is not None:
                await self._durable(tx.behind)
            raise
        if tx.overlay.spaces:
            try:
                self._apply(group, tx.overlay)
            except apsw.Error as error:
                raise self._undo(group, error) from error
            await self._durable(group)
        elif tx.behind is not None:
            await self._durable(tx.behind)
        return result

    async def clear(self, space: str, start: bytes = b"", end: bytes | None = None) -> int:
        deleted = 0
        while True:
            group = await self._join()
            try:
                rows = self._delete_slice(space, start, end)
                if rows:
                    group.cleared.add(space)
                    group.spaces.add(space)
            except apsw.Error as error:
                raise self._undo(group, error) from error
            deleted += rows
            if rows:
                await self._durable(group)
            if rows < CLEAR_ROWS:
                return deleted

    def watch(self, space: str, callback: Callable[[], None]) -> Callable[[], None]:
        remove = self._watchers.add(space, callback)
        if self._poll is None and not self._closing:
            self._data_version = self._connection.data_version()
            self._poll = self._loop.call_later(POLL_SECONDS, self._look_for_others)
        return remove

    async def backup(self, path: Path) -> None:
        self._refuse()
        await self._keeper.run(lambda: sqlite_backup.backup(self.file, path))

    async def close(self) -> None:
        if self._closing:
            return
        while self._open is not None or (self._syncing is not None and self._broken is None):
            waiter = self._loop.create_future()
            (self._syncing or self._open).waiters.append(waiter)  # type: ignore[union-attr]
            with contextlib.suppress(StoreError):
                await waiter
        self._closing = True
        for timer in (self._idle, self._poll):
            if timer is not None:
                timer.cancel()
        await self._keeper.run(self._checkpoint.close)
        self._syncer.stop()
        self._keeper.stop()
        self._connection.set_wal_hook(None)
        if self._broken is None and self._lock is not None:
            with contextlib.suppress(apsw.BusyError):
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._connection.close()
        self._sync.close()
        if self._lock is not None:
            self._lock.release()

    # Statements

    def _select(self, space: str, partition: bytes, sort: bytes) -> bytes | None:
        number = self._spaces.get(space)
        if number is None and (number := self._find_space(space)) is None:
            return None
        try:
            rows = self._execute(GET, (number, partition, sort)).fetchall()
        except apsw.Error as error:
            raise self._failure(error) from error
        return rows[0][0] if rows else None  # type: ignore[return-value]

    def _select_range(
        self, space: str, partition: bytes, start: bytes, end: bytes | None, reverse: bool, limit: int | None
    ) -> list[tuple[bytes, bytes]]:
        number = self._spaces.get(space)
        if number is None and (number := self._find_space(space)) is None:
            return []
        statement = RANGE
        values: list[Any] = [number, partition, start]
        if end is not None:
            statement += " AND sort < ?"
            values.append(end)
        statement += " ORDER BY sort DESC" if reverse else " ORDER BY sort"
        if limit is not None:
            statement += " LIMIT ?"
            values.append(limit)
        return self._rows(statement, values)

    def _select_scan(self, space: str, start: bytes, end: bytes | None, after: tuple[bytes, bytes] | None, limit: int) -> list[Row]:
        number = self._spaces.get(space)
        if number is None and (number := self._find_space(space)) is None:
            return []
        statement = SCAN
        values: list[Any] = [number]
        if after is not None and after[0] >= start:
            statement += " AND (partition, sort) > (?, ?)"
            values += after
        elif start:
            statement += " AND partition >= ?"
            values.append(start)
        if end is not None:
            statement += " AND partition < ?"
            values.append(end)
        values.append(limit)
        return [Row._make(row) for row in self._rows(statement + " ORDER BY partition, sort LIMIT ?", values)]

    def _rows(self, statement: str, values: list[Any]) -> list[Any]:
        try:
            return self._execute(statement, values).fetchall()
        except apsw.Error as error:
            raise self._failure(error) from error

    def _find_space(self, space: str) -> int | None:
        """The number of a space that another process may have made."""
        rows = self._rows("SELECT id FROM spaces WHERE name = ?", [space])
        if not rows:
            return None
        number: int = rows[0][0]
        self._spaces[space] = number
        return number

    def _apply(self, group: _Group, overlay: Overlay) -> None:
        execute = self._execute
        for space, rows in overlay.spaces.items():
            number = self._spaces.get(space)
            if number is None and (number := self._find_space(space)) is None:
                execute("INSERT INTO spaces(name) VALUES(?)", (space,))
                number = self._spaces[space] = self._connection.last_insert_rowid()
            group.spaces.add(space)
            for (partition, sort), value in rows.items():
                group.keys.add((space, partition, sort))
                group.partitions.add((space, partition))
                if value is None:
                    execute(DELETE, (number, partition, sort))
                else:
                    execute(PUT, (number, partition, sort, value))

    def _delete_slice(self, space: str, start: bytes, end: bytes | None) -> int:
        number = self._find_space(space)
        if number is None:
            return 0
        statement, values = CLEAR_TO, [number, start]
        if end is not None:
            statement += " AND partition < ?"
            values.append(end)
        keys = self._execute(statement + " ORDER BY partition, sort LIMIT ?", [*values, CLEAR_ROWS]).fetchall()
        if keys:
            sql = "DELETE FROM rows WHERE space = ? AND partition >= ? AND (partition, sort) <= (?, ?)"
            self._execute(sql, (number, start, *keys[-1]))
        return len(keys)

    # Groups

    def _refuse(self) -> None:
        if self._closing:
            raise StoreClosed(f"{self.file}: the store is closed")
        if self._broken is not None:
            raise self._broken

    async def _join(self) -> _Group:
        """The group that is open now, begun if none is."""
        deadline = self._loop.time() + BUSY_SECONDS
        while True:
            self._refuse()
            if self._held is not None:
                waiter: asyncio.Future[None] = self._loop.create_future()
                self._held.append(waiter)
                await waiter
                continue
            if self._open is not None:
                return self._open
            try:
                self._execute("BEGIN IMMEDIATE")
            except apsw.BusyError as error:
                if self._loop.time() >= deadline:
                    raise StoreBusy(f"{self.file}: another process has been writing for {BUSY_SECONDS:g} seconds") from error
                await asyncio.sleep(BUSY_PAUSE)
                continue
            except apsw.Error as error:
                raise self._failure(error) from error
            group = self._open = _Group()
            self._dirty.append(group)
            if self._syncing is None and not self._scheduled:
                self._scheduled = True
                self._loop.call_soon(self._flush)
            return group

    async def _durable(self, group: _Group) -> None:
        """Waits until the group is on disk; raises what kept it from that."""
        if group.error is not None:
            raise group.error
        waiter: asyncio.Future[None] = self._loop.create_future()
        group.waiters.append(waiter)
        await waiter

    def _flush(self) -> None:
        """Commits the open group and has it synced; not while another is (its end comes here)."""
        self._scheduled = False
        group = self._open
        if group is None or self._syncing is not None:
            return
        try:
            self._execute("COMMIT")
        except apsw.Error as error:
            self._undo(group, error)
            return
        self._open = None
        if not group.spaces:
            self._dirty.remove(group)
            _answer(group, None)
            return
        self._syncing = group
        self._syncer.submit(self._sync, self._synced)
        self._written_at = time.monotonic()
        if self._idle is None:
            self._idle = self._loop.call_later(IDLE_SECONDS, self._idle_checkpoint)
        self._watchers.tell(group.spaces)

    def _synced(self, _result: None, error: BaseException | None) -> None:
        group = self._syncing
        assert group is not None
        if error is not None:
            # The kernel may have dropped the pages: a later sync that succeeds would prove nothing.
            self._broken = StoreBroken(f"{self.file}-wal could not be synced ({error}); writes are refused until haar is started again")
            _answer(group, self._broken)
            if self._open is not None:
                self._undo(self._open, self._broken)
            return
        self._syncing = None
        self._dirty.remove(group)
        if self._open is not None:
            self._flush()
        _answer(group, None)
        if self._log_pages >= self._checkpoint_at and not self._checkpointing:
            self._start_checkpoint()
        self._start_over()

    def _undo(self, group: _Group, error: apsw.Error | StoreError) -> StoreError:
        """Rolls the open group back: none of its transactions happened."""
        failure = (
            self._failure(error)
            if isinstance(error, apsw.Error)
            else StoreError(str(error))
            if not isinstance(error, StoreError)
            else error
        )
        try:
            if self._connection.in_transaction:
                self._execute("ROLLBACK")
        except apsw.Error as second:
            self._broken = StoreBroken(
                f"{self.file}: {error} could not be undone ({second}); writes are refused until haar is started again"
            )
        # Numbers given to spaces in this transaction are gone with it.
        self._spaces.clear()
        self._open = None
        self._dirty.remove(group)
        _answer(group, failure)
        return failure

    def _failure(self, error: apsw.Error) -> StoreError:
        if self._closing:
            return StoreClosed(f"{self.file}: the store is closed")
        return sqlite_file.translate(error, self.file)

    # The log

    def _committed(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._log_pages = pages
        if pages < self._log_copied:
            self._log_copied, self._checkpoint_at = 0, LOG_PAGES
        return apsw.SQLITE_OK

    def _start_checkpoint(self) -> None:
        self._checkpointing = True
        self._keeper.submit(self._checkpoint, self._checkpointed)

    def _checkpointed(self, result: tuple[int, int] | None, error: BaseException | None) -> None:
        self._checkpointing = False
        held, again = self._held, False
        if result is not None:
            log, self._log_copied = result
            self._checkpoint_at = max(log, self._log_copied) + LOG_PAGES
            # Nearly all of the log is copied, but it starts over only when all of it is: let nobody write for the rest.
            again = held is None and self._log_pages >= LOG_PAGES and self._log_copied < self._log_pages
        elif error is not None:
            self._checkpoint_at = self._log_pages + LOG_PAGES
        if again and not self._closing:
            self._held = []
            self._start_over()
        elif held is not None:
            self._held = None
            for waiter in held:
                if not waiter.done():
                    waiter.set_result(None)

    def _start_over(self) -> None:
        """Copies the rest of the log once the writers that are being held have nothing under way."""
        if self._held is not None and self._open is None and self._syncing is None and not self._checkpointing:
            self._start_checkpoint()

    def _idle_checkpoint(self) -> None:
        self._idle = None
        rest = self._written_at + IDLE_SECONDS - time.monotonic()
        if rest > 0 or self._checkpointing or self._syncing is not None:
            self._idle = self._loop.call_later(max(rest, IDLE_SECONDS / 10), self._idle_checkpoint)
        elif self._log_copied < self._log_pages:
            self._start_checkpoint()

    # Watching

    def _look_for_others(self) -> None:
        self._poll = None
        if not self._watchers or self._closing:
            return
        self._poll = self._loop.call_later(POLL_SECONDS, self._look_for_others)
        try:
            version = self._connection.data_version()
        except apsw.Error:
            # It may be damaged or busy: whoever watches looks for himself, and is told by what he reads.
            version = -1
        if version != self._data_version:
            self._data_version = version
            self._watchers.tell_all()


def _run(fn: Callable[[Transaction], Awaitable[T]], tx: _Tx) -> T:
    steps = fn(tx).__await__()
    try:
        next(steps)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    with contextlib.suppress(RuntimeError):
        steps.close()
    raise RuntimeError(f"{getattr(fn, '__qualname__', fn)} waited for something other than its transaction's reads, inside a transaction")


def _answer(group: _Group, error: StoreError | None) -> None:
    group.error = error
    waiters: Iterable[asyncio.Future[None]] = group.waiters
    group.waiters = []
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
