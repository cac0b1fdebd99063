"""The store on SQL that PostgreSQL, CockroachDB, YugabyteDB and Citus share: for several gateways on one state.

Everything is in one table. `transact` is a SERIALIZABLE transaction, run again when the database says that it conflicts
(40001, 40P01); one that only writes is a single statement. A commit is visible to others when it is on disk, not before.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from haar.store import postgresql_rows as sql
from haar.store.contract import Row, Transaction
from haar.store.errors import DataError, StoreBusy, StoreClosed, StoreError, StoreFull
from haar.store.overlay import Missing, Overlay, merge_range, merge_scan
from haar.store.postgresql_changes import FAILURES, Changes
from haar.store.watching import Watchers

T = TypeVar("T")

READERS = 8
"""Connections for reads outside transactions."""
WRITERS = 16
"""Connections for transactions; further ones wait."""
STATEMENT_SECONDS = 30.0
CONFLICT_SECONDS = 15.0
"""How long a transaction is run again after conflicts."""
PAUSE_SECONDS = 0.001
LONGEST_PAUSE_SECONDS = 0.1
CLEAR_ROWS = 500

CONFLICTS = frozenset(("40001", "40P01", "25P02"))
"""Serialisation failure, deadlock, and a statement after one of these was swallowed by `fn`."""

Connection = Any


class _Tx:
    """One run of one `fn`; begins with its first read."""

    def __init__(self, store: "PostgreSQLStore") -> None:
        self._store = store
        self.connection: Connection = None
        self.overlay = Overlay()
        self.failed: BaseException | None = None

    async def get(self, space: str, partition: bytes, sort: bytes = b"") -> bytes | None:
        written = self.overlay.look(space, partition, sort)
        if not isinstance(written, Missing):
            return written
        return await self._read(lambda connection: _get(connection, space, partition, sort))

    async def range(
        self, space: str, partition: bytes, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False, limit: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        written = self.overlay.in_range(space, partition, start, end)
        more = None if limit is None else limit + len(written)
        rows = await self._read(lambda connection: _range(connection, space, partition, start, end, reverse, more))
        return merge_range(rows, written, reverse, limit) if written else rows

    async def scan(
        self, space: str, start: bytes = b"", end: bytes | None = None, *, after: tuple[bytes, bytes] | None = None, limit: int = 1000
    ) -> list[Row]:
        written = self.overlay.in_scan(space, start, end, after)
        rows = await self._read(lambda connection: _scan(connection, space, start, end, after, limit + len(written)))
        return merge_scan(rows, written, limit) if written else rows

    def put(self, space: str, partition: bytes, sort: bytes, value: bytes) -> None:
        self.overlay.write(space, partition, sort, value)

    def delete(self, space: str, partition: bytes, sort: bytes = b"") -> None:
        self.overlay.write(space, partition, sort, None)

    async def _read(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            if self.connection is None:
                self.connection = await self._store._writers.acquire()
                await self.connection.execute("BEGIN")
            return await read(self.connection)
        except FAILURES as error:
            self.failed = error
            raise


class PostgreSQLStore:
    """Made by `await PostgreSQLStore.open(url)`."""

    def __init__(self, readers: Any, writers: Any) -> None:
        self._readers = readers
        self._writers = writers
        self._watchers = Watchers()
        self._changes = Changes(readers, self._watchers)
        self._closed = False
        self._active = 0
        self._ended = asyncio.Event()

    @classmethod
    async def open(cls, url: str) -> "PostgreSQLStore":
        """Connects to `postgresql://…` and makes the tables where they are not there. DataError says what is wrong."""
        pools: list[Any] = []
        try:
            for size, isolation in ((READERS, "read committed"), (WRITERS, "serializable")):
                pools.append(await _pool(url, size, isolation))
            await _prepare(pools[0])
        except (*FAILURES, ValueError) as error:
            for pool in pools:
                pool.terminate()
            raise DataError(f"the store {_shown(url)} cannot be used: {error or type(error).__name__}") from error
        return cls(*pools)

    async def get(self, space: str, partition: bytes, sort: bytes = b"") -> bytes | None:
        return await self._read(lambda connection: _get(connection, space, partition, sort))

    async def range(
        self, space: str, partition: bytes, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False, limit: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        return await self._read(lambda connection: _range(connection, space, partition, start, end, reverse, limit))

    async def scan(
        self, space: str, start: bytes = b"", end: bytes | None = None, *, after: tuple[bytes, bytes] | None = None, limit: int = 1000
    ) -> list[Row]:
        return await self._read(lambda connection: _scan(connection, space, start, end, after, limit))

    async def transact(self, fn: Callable[[Transaction], Awaitable[T]]) -> T:
        """As the contract says; StoreBusy when conflicts do not end."""

        async def once() -> T:
            tx = _Tx(self)
            try:
                return await self._once(fn, tx)
            finally:
                if tx.connection is not None:
                    await self._give_back(tx.connection)

        return await self._again_after_conflicts(once)

    async def clear(self, space: str, start: bytes = b"", end: bytes | None = None) -> int:
        statement, values = sql.clear_query(space, start, end, CLEAR_ROWS)
        deleted = 0

        async def once() -> int:
            async with self._writers.acquire() as connection:
                return int((await connection.execute(statement, *values)).split()[-1])

        while rows := await self._again_after_conflicts(once):
            deleted += rows
            await self._changes.announce(space)
            self._watchers.tell((space,))
        return deleted

    def watch(self, space: str, callback: Callable[[], None], *, local: bool = False) -> Callable[[], None]:
        remove = self._watchers.add(space, callback)
        if not local:
            self._changes.follow(space)
        return remove

    async def backup(self, path: Path) -> None:
        raise StoreError(f"{path}: the state is in PostgreSQL; back it up with pg_dump")

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._changes.stop()
        while self._active:
            self._ended.clear()
            await self._ended.wait()
        await self._writers.close()
        await self._readers.close()

    async def _once(self, fn: Callable[[Transaction], Awaitable[T]], tx: _Tx) -> T:
        try:
            result = await fn(tx)
        except Exception:
            # What was read is the reason: it must have been true. A transaction that cannot commit is run again.
            if tx.failed is None and tx.connection is not None:
                await tx.connection.execute("COMMIT")
            if tx.failed is not None:
                raise tx.failed from None
            raise
        if tx.failed is not None:
            raise tx.failed
        if tx.overlay:
            statement, values = self._statement(tx.overlay, await self._changes.watched())
            if tx.connection is None:
                async with self._writers.acquire() as connection:
                    await connection.execute(statement, *values)
            else:
                await tx.connection.execute(statement, *values)
        if tx.connection is not None:
            await tx.connection.execute("COMMIT")
        self._watchers.tell(tx.overlay.spaces)
        return result

    def _statement(self, overlay: Overlay, watched: frozenset[str]) -> tuple[str, list[Any]]:
        """One statement that does all of it."""
        told = [space for space in overlay.spaces if space in watched]
        rows = list(overlay.rows())
        if len(rows) == 1 and not told:
            space, partition, sort, value = rows[0]
            where = sql.place(partition, sort)
            if value is None:
                return sql.DELETE, [space, *where[:3]]
            return sql.PUT, [space, *where, value]
        put = [(space, *sql.place(partition, sort), value) for space, partition, sort, value in rows if value is not None]
        gone = [(space, *sql.place(partition, sort)[:3]) for space, partition, sort, value in rows if value is None]
        columns = [list(column) for column in zip(*put, strict=True)] or [[] for _ in range(7)]
        columns += [list(column) for column in zip(*gone, strict=True)] or [[] for _ in range(4)]
        return sql.APPLY, [*columns, self._changes.token(), told]

    async def _read(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        async def once() -> T:
            async with self._readers.acquire() as connection:
                return await read(connection)

        return await self._again_after_conflicts(once)

    async def _again_after_conflicts(self, once: Callable[[], Awaitable[T]]) -> T:
        if self._closed:
            raise StoreClosed("the store is closed")
        self._active += 1
        try:
            return await self._until_it_is_done(once)
        finally:
            self._active -= 1
            self._ended.set()

    async def _until_it_is_done(self, once: Callable[[], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONFLICT_SECONDS
        pause = PAUSE_SECONDS
        while True:
            try:
                return await once()
            except asyncpg.PostgresError as error:
                if error.sqlstate not in CONFLICTS:
                    raise _translate(error) from error
                if loop.time() >= deadline:
                    raise StoreBusy(f"transactions kept conflicting for {CONFLICT_SECONDS:g} seconds: {error}") from error
            except FAILURES as error:
                raise _translate(error) from error
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - spreads those that conflict
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _give_back(self, connection: Connection) -> None:
        """Ends what was begun and not committed."""
        try:
            if connection.is_in_transaction():
                await connection.execute("ROLLBACK")
        except FAILURES:
            # It broke, and why is being told already. What is gone rolls back by itself.
            with contextlib.suppress(asyncpg.InterfaceError):
                connection.terminate()
        finally:
            await self._writers.release(connection)


async def _get(connection: Connection, space: str, partition: bytes, sort: bytes) -> bytes | None:
    where = sql.place(partition, sort)
    found: bytes | None = await connection.fetchval(sql.GET, space, where.partition, where.sort, where.digest)
    return found


async def _range(
    connection: Connection, space: str, partition: bytes, start: bytes, end: bytes | None, reverse: bool, limit: int | None
) -> list[tuple[bytes, bytes]]:
    exact = len(start) > sql.SORT_BYTES or (end is not None and len(end) > sql.SORT_BYTES)
    statement, values = sql.range_query(space, partition, start, end, reverse, limit, exact)
    rows = await connection.fetch(statement, *values)
    if not exact and any(row[1] for row in rows):
        statement, values = sql.range_query(space, partition, start, end, reverse, limit, True)
        rows = await connection.fetch(statement, *values)
    return [(sort + rest, value) for sort, rest, value in rows]


async def _scan(
    connection: Connection, space: str, start: bytes, end: bytes | None, after: tuple[bytes, bytes] | None, limit: int
) -> list[Row]:
    exact = after is not None and len(after[1]) > sql.SORT_BYTES
    statement, values = sql.scan_query(space, start, end, after, limit, exact)
    rows = await connection.fetch(statement, *values)
    if not exact and any(row[3] for row in rows):
        statement, values = sql.scan_query(space, start, end, after, limit, True)
        rows = await connection.fetch(statement, *values)
    return [Row(partition if whole is None else whole, sort + rest, value) for partition, whole, sort, rest, value in rows]


async def _pool(url: str, size: int, isolation: str) -> Any:
    async def keep(_connection: Connection) -> None:
        """A connection is given back as it was taken: the pool's own reset would be a round trip each time."""

    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        command_timeout=STATEMENT_SECONDS,
        max_inactive_connection_lifetime=0,
        init=_tune,
        reset=keep,
        server_settings={"application_name": "haar", "default_transaction_isolation": isolation},
    )


async def _tune(connection: Connection) -> None:
    """Plans by the index alone: another plan would read, and conflict over, rows that the transaction has nothing to do with."""
    for setting in ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit"):
        with contextlib.suppress(asyncpg.PostgresError):  # databases that speak the protocol need not have them
            await connection.execute(f"SET {setting} = off")


async def _prepare(pool: Any) -> None:
    async with pool.acquire() as connection:
        for statement in sql.SCHEMA:
            # Another node may make it at this moment: which of these errors it is depends on how far that one is.
            with contextlib.suppress(asyncpg.UniqueViolationError, asyncpg.DuplicateTableError, asyncpg.DuplicateObjectError):
                await connection.execute(statement)
        await connection.execute("INSERT INTO haar_meta VALUES('version', $1) ON CONFLICT DO NOTHING", str(sql.VERSION))
        version = int(await connection.fetchval("SELECT value FROM haar_meta WHERE name = 'version'"))
    if version != sql.VERSION:
        newer = "a newer haar" if version > sql.VERSION else "an older haar"
        raise ValueError(f"it was written by {newer} (schema {version}, this one knows {sql.VERSION})")


def _translate(error: Exception) -> StoreError:
    if isinstance(error, asyncpg.DiskFullError):
        return StoreFull(f"PostgreSQL: {error}")
    if isinstance(error, TimeoutError):
        return StoreError(f"PostgreSQL did not answer within {STATEMENT_SECONDS:g} seconds")
    return StoreError(f"PostgreSQL: {type(error).__name__}: {error}")


def _shown(url: str) -> str:
    """The URL without its password."""
    scheme, _, rest = url.partition("://")
    user, at, place = rest.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}{at}{place}"
