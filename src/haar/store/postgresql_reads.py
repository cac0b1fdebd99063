"""Reads outside of the database's transactions: each is one statement, and gets that arrive together share one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import asyncpg

from haar.eager import Later
from haar.store import postgresql_rows as sql
from haar.store.contract import Key, Row
from haar.store.errors import StoreError, StoreFull
from haar.store.postgresql_connections import CONFLICTS, FAILURES, STATEMENT_SECONDS, Connection, Connections

T = TypeVar("T")

BATCH_KEYS = 64
"""Rows that one statement asks for; with the largest items their answer is 25 MB."""
BATCHES = 4
"""Such statements under way; what arrives meanwhile is gathered."""
TRIES = 10
"""How often a read is tried again that the database aborted (PostgreSQL does not; others may)."""
PAUSE_SECONDS = 0.005


class _Batch:
    """Gets that share a statement."""

    __slots__ = ("found", "keys", "read")

    def __init__(self) -> None:
        self.keys: dict[Key, None] = {}
        self.found: dict[Key, bytes] = {}
        self.read = Later()


class Reads:
    """All reads wait for connections of their own, so that none waits for a commit."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Batch] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._scheduled = False

    async def get(self, space: str, partition: bytes, sort: bytes) -> bytes | None:
        key = (space, partition, sort)
        batch = self._batch()
        batch.keys[key] = None
        await batch.read.wait()
        return batch.found.get(key)

    async def get_many(self, keys: Sequence[Key]) -> list[bytes | None]:
        batches = []
        for key in keys:
            batch = self._batch()
            batch.keys[key] = None
            batches.append(batch)
        for batch in dict.fromkeys(batches):
            await batch.read.wait()
        return [batch.found.get(key) for key, batch in zip(keys, batches, strict=True)]

    async def range(
        self, space: str, partition: bytes, start: bytes, end: bytes | None, reverse: bool, limit: int | None
    ) -> list[tuple[bytes, bytes]]:
        return await self._alone(lambda connection: read_range(connection, space, partition, start, end, reverse, limit))

    async def scan(self, space: str, start: bytes, end: bytes | None, after: tuple[bytes, bytes] | None, limit: int) -> list[Row]:
        return await self._alone(lambda connection: read_scan(connection, space, start, end, after, limit))

    async def close(self) -> None:
        """Ends what is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)
        await self._connections.close()

    def _batch(self) -> _Batch:
        if not self._waiting or len(self._waiting[-1].keys) >= BATCH_KEYS:
            self._waiting.append(_Batch())
            if not self._scheduled:
                self._scheduled = True
                self._loop.call_soon(self._start)
        return self._waiting[-1]

    def _start(self) -> None:
        """Sends what has gathered in this turn of the loop, or since the last answer."""
        self._scheduled = False
        while self._waiting and len(self._under_way) < BATCHES:
            task = self._loop.create_task(self._read_batch(self._waiting.pop(0)))
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        self._start()

    async def _read_batch(self, batch: _Batch) -> None:
        async def read(connection: Connection) -> None:
            keys = list(batch.keys)
            if len(keys) == 1:
                value = await read_one(connection, *keys[0])
                if value is not None:
                    batch.found[keys[0]] = value
                return
            places = [(space, *sql.place(partition, sort)[:3]) for space, partition, sort in keys]
            for number, value in await connection.fetch(sql.GETS, *map(list, zip(*places, strict=True))):
                batch.found[keys[number - 1]] = value

        error: Exception | None = None
        try:
            await self._alone(read)
        except Exception as failure:  # noqa: BLE001 - told to everybody in the batch
            error = failure
        batch.read.happen(error)

    async def _alone(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        left = TRIES
        while True:
            try:
                connection = await self._connections.take()
                try:
                    return await read(connection)
                finally:
                    self._connections.give(connection)
            except FAILURES as error:
                left -= 1
                if not conflicts(error) or not left:
                    raise translate(error) from error
            await asyncio.sleep(PAUSE_SECONDS)


async def read_one(connection: Connection, space: str, partition: bytes, sort: bytes) -> bytes | None:
    where = sql.place(partition, sort)
    rows = await connection.fetch(sql.GET, space, where.partition, where.sort, where.digest)
    return rows[0][0] if rows else None


async def read_range(
    connection: Connection, space: str, partition: bytes, start: bytes, end: bytes | None, reverse: bool, limit: int | None
) -> list[tuple[bytes, bytes]]:
    exact = len(start) > sql.SORT_BYTES or (end is not None and len(end) > sql.SORT_BYTES)
    statement, values = sql.range_query(space, partition, start, end, reverse, limit, exact)
    rows = await connection.fetch(statement, *values)
    if not exact and any(row[1] for row in rows):
        statement, values = sql.range_query(space, partition, start, end, reverse, limit, True)
        rows = await connection.fetch(statement, *values)
    return [(sort + rest, value) for sort, rest, value in rows]


async def read_scan(
    connection: Connection, space: str, start: bytes, end: bytes | None, after: tuple[bytes, bytes] | None, limit: int
) -> list[Row]:
    exact = after is not None and len(after[1]) > sql.SORT_BYTES
    statement, values = sql.scan_query(space, start, end, after, limit, exact)
    rows = await connection.fetch(statement, *values)
    if not exact and any(row[3] for row in rows):
        statement, values = sql.scan_query(space, start, end, after, limit, True)
        rows = await connection.fetch(statement, *values)
    return [Row(partition if whole is None else whole, sort + rest, value) for partition, whole, sort, rest, value in rows]


def conflicts(error: BaseException) -> bool:
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate in CONFLICTS


def translate(error: BaseException) -> StoreError:
    if isinstance(error, asyncpg.DiskFullError):
        return StoreFull(f"PostgreSQL: {error}")
    if isinstance(error, TimeoutError):
        return StoreError(f"PostgreSQL did not answer within {STATEMENT_SECONDS:g} seconds")
    return StoreError(f"PostgreSQL: {type(error).__name__}: {error}")


def values_of(rows: list[tuple[Any, ...]], columns: int) -> list[list[Any]]:
    """Rows as the columns that a statement takes."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(columns)]
