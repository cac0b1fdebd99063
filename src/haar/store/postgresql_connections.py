"""Connections that are kept: taking one costs nothing while one is free."""

import asyncio
import contextlib
from collections import deque
from typing import Any

import asyncpg

from haar.eager import into_task
from haar.store import postgresql_rows as sql

FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""What asyncpg raises: of the database, of a connection's state (two classes), of the network."""
CONFLICTS = frozenset(("40001", "40P01", "25P02"))
"""Serialisation failure, deadlock, and a statement after one of these was swallowed by a transaction's `fn`."""
STATEMENT_SECONDS = 30.0
CLOSE_SECONDS = 5.0

Connection = Any


class Connections:
    """At most `size` at once; whoever finds none free waits, in order. One that broke is replaced."""

    def __init__(self, url: str, size: int, isolation: str) -> None:
        self._url = url
        self._size = size
        self._isolation = isolation
        self._taken = 0
        """How many are open or about to be, also those that are free."""
        self._free: list[Connection] = []
        self._waiting: deque[asyncio.Future[Connection]] = deque()
        """What comes is a connection, or None for the leave to make one."""

    async def take(self) -> Connection:
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed():
                return connection
            self._leave()
        if self._taken < self._size:
            self._taken += 1
            return await self._new()
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            connection = await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # It came, and is not wanted any more.
                if turn.result() is None:
                    self._leave()
                else:
                    self.give(turn.result())
            raise
        return await self._new() if connection is None else connection

    def give(self, connection: Connection) -> None:
        """Hands it to whoever has waited longest."""
        if connection.is_closed():
            self._leave()
        elif not self._hand(connection):
            self._free.append(connection)

    async def close(self) -> None:
        """All have been given back."""
        while self._free:
            connection = self._free.pop()
            try:
                await connection.close(timeout=CLOSE_SECONDS)
            except FAILURES:
                connection.terminate()

    async def _new(self) -> Connection:
        """Whoever calls has counted it."""
        connection: Connection = None
        try:
            if asyncio.current_task() is None:
                await into_task()
            connection = await asyncpg.connect(
                self._url,
                command_timeout=STATEMENT_SECONDS,
                server_settings={"application_name": "haar", "default_transaction_isolation": self._isolation},
            )
            await _tune(connection)
        except BaseException:
            if connection is not None:
                connection.terminate()
            self._leave()
            raise
        return connection

    def _leave(self) -> None:
        """One less: somebody else may make a new one."""
        if not self._hand(None):
            self._taken -= 1

    def _hand(self, connection: Connection) -> bool:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False


async def _tune(connection: Connection) -> None:
    """Plans by the index alone, made once: another plan would read, and conflict over, rows that the transaction has nothing to do with."""
    settings = [f"{name} = off" for name in ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit")]
    for setting in (*settings, "plan_cache_mode = force_generic_plan"):
        with contextlib.suppress(asyncpg.PostgresError):  # databases that speak the protocol need not have them
            await connection.execute(f"SET {setting}")


async def prepare(connections: Connections) -> None:
    """Makes the tables where they are not there. ValueError when they are another version's."""
    connection = await connections.take()
    try:
        for statement in sql.SCHEMA:
            # Another node may make it at this moment: which of these errors it is depends on how far that one is.
            with contextlib.suppress(asyncpg.UniqueViolationError, asyncpg.DuplicateTableError, asyncpg.DuplicateObjectError):
                await connection.execute(statement)
        await connection.execute("INSERT INTO haar_meta VALUES('version', $1) ON CONFLICT DO NOTHING", str(sql.VERSION))
        version = int(await connection.fetchval("SELECT value FROM haar_meta WHERE name = 'version'"))
    finally:
        connections.give(connection)
    if version != sql.VERSION:
        newer = "a newer haar" if version > sql.VERSION else "an older haar"
        raise ValueError(f"it was written by {newer} (schema {version}, this one knows {sql.VERSION})")
