"""The store on SQL that PostgreSQL, CockroachDB, YugabyteDB and Citus share: for several gateways on one state.

Everything is in one table. Transactions are gathered to groups (`postgresql_groups`); what cannot be part of one, because it scans or
reads a lot, is a SERIALIZABLE transaction of the database's, run again when that says that it conflicts (40001, 40P01).
A commit is visible to others when it is on disk, not before.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from haar.eager import into_task
from haar.store import postgresql_rows as sql
from haar.store.contract import Key, Row, Transaction
from haar.store.errors import DataError, StoreBusy, StoreClosed
from haar.store.overlay import Missing, Overlay, merge_range, merge_scan
from haar.store.postgresql_changes import Changes
from haar.store.postgresql_connections import FAILURES, Connection, Connections, prepare
from haar.store.postgresql_groups import Again, Alone, Groups, write_values
from haar.store.postgresql_reads import Reads, conflicts, read_one, read_range, read_scan, translate
from haar.store.watching import Watchers

T = TypeVar("T")

READERS = 8
"""Connections for reads outside transactions."""
WRITERS = 8
"""Connections for transactions; further ones wait."""
CONFLICT_SECONDS = 5.0
"""How long a transaction is run again after conflicts."""
CLEAR_PAUSE_SECONDS = 0.1
PATIENT_RUNS = 3
"""How often a transaction may be overtaken before all others of this process wait for it."""
CLEAR_ROWS = 500


class _Tx:
    """One run of one `fn` in a transaction of the database's; begins with its first read."""

    def __init__(self, writers: Connections) -> None:
        self._writers = writers
        self.connection: Connection = None
        self.overlay = Overlay()
        self.failed: BaseException | None = None

    async def get(self, space: str, partition: bytes, sort: bytes = b"") -> bytes | None:
        written = self.overlay.look(space, partition, sort)
        if not isinstance(written, Missing):
            return written
        return await self._read(lambda connection: read_one(connection, space, partition, sort))

    async def get_many(self, keys: Sequence[Key]) -> list[bytes | None]:
        return [await self.get(*key) for key in keys]

    async def ahead(self, keys: Sequence[Key]) -> None:
        """What comes here reads too much to be fetched at once."""

    async def range(
        self, space: str, partition: bytes, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False, limit: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        written = self.overlay.in_range(space, partition, start, end)
        more = None if limit is None else limit + len(written)
        rows = await self._read(lambda connection: read_range(connection, space, partition, start, end, reverse, more))
        return merge_range(rows, written, reverse, limit) if written else rows

    async def scan(
        self, space: str, start: bytes = b"", end: bytes | None = None, *, after: tuple[bytes, bytes] | None = None, limit: int = 1000
    ) -> list[Row]:
        written = self.overlay.in_scan(space, start, end, after)
        rows = await self._read(lambda connection: read_scan(connection, space, start, end, after, limit + len(written)))
        return merge_scan(rows, written, limit) if written else rows

    def put(self, space: str, partition: bytes, sort: bytes, value: bytes) -> None:
        self.overlay.write(space, partition, sort, value)

    def delete(self, space: str, partition: bytes, sort: bytes = b"") -> None:
        self.overlay.write(space, partition, sort, None)

    async def end(self) -> None:
        """Ends what was begun and not committed, and gives the connection back."""
        connection, self.connection = self.connection, None
        if connection is None:
            return
        try:
            if connection.is_in_transaction():
                await connection.execute("ROLLBACK")
        except FAILURES:
            # It broke, and why is being told already. What is gone rolls back by itself.
            with contextlib.suppress(*FAILURES):
                connection.terminate()
        finally:
            self._writers.give(connection)

    async def _read(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            if self.connection is None:
                self.connection = await self._writers.take()
                await self.connection.execute("BEGIN")
            return await read(self.connection)
        except FAILURES as error:
            self.failed = error
            raise


class _Use:
    """`with` it, the store stays open; once `closed`, nobody may any more."""

    def __init__(self) -> None:
        self.closed = False
        self._active = 0
        self._ended = asyncio.Event()

    def __enter__(self) -> None:
        if self.closed:
            raise StoreClosed("the store is closed")
        self._active += 1

    def __exit__(self, *_error: object) -> None:
        self._active -= 1
        if self.closed:
            self._ended.set()

    async def over(self) -> None:
        while self._active:
            self._ended.clear()
            await self._ended.wait()


class PostgreSQLStore:
    """Made by `await PostgreSQLStore.open(url)`."""

    def __init__(self, readers: Connections, writers: Connections) -> None:
        self._writers = writers
        self._watchers = Watchers()
        self._changes = Changes(readers, self._watchers)
        self._reads = Reads(readers)
        self._groups = Groups(self._reads, writers, self._changes, self._watchers)
        self._use = _Use()

    @classmethod
    async def open(cls, url: str) -> "PostgreSQLStore":
        """Connects to `postgresql://…` and makes the tables where they are not there. DataError says what is wrong."""
        readers = Connections(url, READERS, "read committed")
        try:
            await prepare(readers)
        except (*FAILURES, ValueError) as error:
            await readers.close()
            raise DataError(f"the store {_shown(url)} cannot be used: {error or type(error).__name__}") from error
        return cls(readers, Connections(url, WRITERS, "serializable"))

    async def get(self, space: str, partition: bytes, sort: bytes = b"") -> bytes | None:
        with self._use:
            return await self._reads.get(space, partition, sort)

    async def get_many(self, keys: Sequence[Key]) -> list[bytes | None]:
        with self._use:
            return await self._reads.get_many(keys)

    async def range(
        self, space: str, partition: bytes, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False, limit: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        with self._use:
            return await self._reads.range(space, partition, start, end, reverse, limit)

    async def scan(
        self, space: str, start: bytes = b"", end: bytes | None = None, *, after: tuple[bytes, bytes] | None = None, limit: int = 1000
    ) -> list[Row]:
        with self._use:
            return await self._reads.scan(space, start, end, after, limit)

    async def transact(self, fn: Callable[[Transaction], Awaitable[T]]) -> T:
        """As the contract says; StoreBusy when conflicts do not end."""
        with self._use:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + CONFLICT_SECONDS
            overtaken, alone = 0, False
            while True:
                try:
                    if not alone:
                        return await self._groups.run(fn)
                    return await self._alone(fn, exclusive=overtaken >= PATIENT_RUNS)
                except Alone:
                    alone = True
                    continue
                except Again as again:
                    if loop.time() >= deadline:
                        raise StoreBusy(f"transactions kept conflicting for {CONFLICT_SECONDS:g} seconds: {again}") from again
                    overtaken += alone or again.overtaken
                    alone = alone or overtaken >= PATIENT_RUNS
                    if again.pause is not None:
                        await again.pause.wait()

    async def clear(self, space: str, start: bytes = b"", end: bytes | None = None) -> int:
        statement, values = sql.clear_query(space, start, end, CLEAR_ROWS)
        deleted = 0
        with self._use:
            while rows := await self._clear_slice(statement, values):
                deleted += rows
                await self._changes.announce(space)
                self._watchers.tell((space,))
        return deleted

    def watch(self, space: str, callback: Callable[[], None], *, local: bool = False) -> Callable[[], None]:
        remove = self._watchers.add(space, callback)
        if not local:
            self._changes.follow(space)
        return remove

    async def close(self) -> None:
        if self._use.closed:
            return
        self._use.closed = True
        await self._changes.stop()
        await self._use.over()
        await self._writers.close()
        await self._reads.close()

    async def _alone(self, fn: Callable[[Transaction], Awaitable[T]], exclusive: bool) -> T:
        """A transaction of the database's; when `exclusive`, nobody else in this process commits meanwhile. Raises Again."""
        if asyncio.current_task() is None:
            await into_task()
        if not exclusive:
            return await self._by_itself(fn)
        async with self._groups.turn:
            return await self._by_itself(fn)

    async def _by_itself(self, fn: Callable[[Transaction], Awaitable[T]]) -> T:
        tx = _Tx(self._writers)
        refusal: Exception | None = None
        result: Any = None
        told: list[str] = []
        try:
            try:
                result = await fn(tx)
            except Exception as error:  # noqa: BLE001 - passed on when what it read is known to be true
                refusal = error
            if tx.failed is None:
                told = await self._commit(tx, refusal is None)
        except FAILURES as error:
            tx.failed = error
        finally:
            await tx.end()
        if tx.failed is not None:
            if conflicts(tx.failed):
                raise Again(str(tx.failed), pause=self._groups.pause())
            raise translate(tx.failed) from tx.failed
        if refusal is not None:
            raise refusal
        self._groups.wrote(tx.overlay)
        self._watchers.tell(tx.overlay.spaces)
        if told:
            self._changes.hint()
        answer: T = result
        return answer

    async def _commit(self, tx: _Tx, writes: bool) -> list[str]:
        """Which spaces others were told of."""
        told: list[str] = []
        if writes and tx.overlay:
            watched = await self._changes.watched()
            told = [space for space in tx.overlay.spaces if space in watched]
            statement, values = write_values(tx.overlay, self._changes.token(), told)
            if tx.connection is None:
                tx.connection = await self._writers.take()
            await tx.connection.execute(statement, *values)
        if tx.connection is not None and tx.connection.is_in_transaction():
            await tx.connection.execute("COMMIT")
        return told

    async def _clear_slice(self, statement: str, values: list[Any]) -> int:
        deadline = asyncio.get_running_loop().time() + CONFLICT_SECONDS
        while True:
            try:
                connection = await self._writers.take()
                try:
                    return int((await connection.execute(statement, *values)).split()[-1])
                finally:
                    self._writers.give(connection)
            except FAILURES as error:
                if not conflicts(error):
                    raise translate(error) from error
                if asyncio.get_running_loop().time() >= deadline:
                    raise StoreBusy(f"transactions kept conflicting for {CONFLICT_SECONDS:g} seconds: {error}") from error
            await asyncio.sleep(random.uniform(0, CLEAR_PAUSE_SECONDS))  # noqa: S311 - spreads those that conflict


def _shown(url: str) -> str:
    """The URL without its password."""
    scheme, _, rest = url.partition("://")
    user, at, place = rest.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}{at}{place}"
