"""How one gateway learns of another's writes: rows that say which watched spaces were written.

Only spaces that somebody watches are written down, so that items cost nothing more. Which these are is kept in the database;
a writer's knowledge of it is never older than a second, and a space that is watched for the first time ever is taken as written
for as long as older writers may be under way.
"""

import asyncio
import contextlib
import logging
import uuid
from typing import Any

import asyncpg

from haar.store.watching import Watchers

POLL_SECONDS = 0.5
"""How often other gateways' writes are looked for."""
KNOWN_SECONDS = 1.0
"""How old the knowledge of what is watched may be when a transaction writes."""
LATE_SECONDS = 90
"""How long after its begin a transaction may still commit: three statements at their limit."""
KEEP_SECONDS = 600
"""When rows about changes are deleted."""
PRUNE_POLLS = 120
"""Polls between two such deletions."""

FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""What asyncpg raises: of the database, of a connection's state (two classes), of the network."""

log = logging.getLogger(__name__)


class Changes:
    def __init__(self, pool: Any, watchers: Watchers) -> None:
        self._pool = pool
        self._watchers = watchers
        self._node = f"{uuid.uuid4().hex}/"
        self._loop = asyncio.get_running_loop()
        self._watched: frozenset[str] = frozenset()
        self._watched_at = float("-inf")
        self._followed: set[str] = set()
        self._registered: set[str] = set()
        self._unsure: dict[str, float] = {}
        """Spaces that nobody had watched before, and until when writes may go unsaid."""
        self._seen: set[tuple[str, str]] = set()
        self._poller: asyncio.Task[None] | None = None

    def follow(self, space: str) -> None:
        """Tells the watchers of this space of other gateways' writes, from now on."""
        self._followed.add(space)
        if self._poller is None:
            self._poller = self._loop.create_task(self._poll())

    async def watched(self) -> frozenset[str]:
        """The spaces whose writes are to be said."""
        if self._loop.time() - self._watched_at > KNOWN_SECONDS:
            await self._look_up()
        return self._watched

    def token(self) -> str:
        """What tells one writing from another, and ours from others'."""
        return self._node + uuid.uuid4().hex

    async def announce(self, space: str) -> None:
        """Says a write outside `transact`."""
        if space in await self.watched():
            async with self._pool.acquire() as connection:
                await connection.execute("INSERT INTO haar_changes(token, space) VALUES($1, $2)", self.token(), space)

    async def stop(self) -> None:
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)

    async def _look_up(self) -> None:
        at = self._loop.time()
        async with self._pool.acquire() as connection:
            rows = await connection.fetch("SELECT space FROM haar_watched")
        self._watched = frozenset(row[0] for row in rows)
        self._watched_at = at

    async def _poll(self) -> None:
        turn = 0
        while True:
            try:
                await self._register()
                await self._look_up()
                await self._tell()
                if turn % PRUNE_POLLS == 0:
                    await self._prune()
                turn += 1
            except FAILURES as error:
                log.error("other gateways' writes could not be looked for: %s", error)
                # What happened meanwhile is unknown.
                self._watchers.tell_all()
            await asyncio.sleep(POLL_SECONDS)

    async def _register(self) -> None:
        for space in self._followed - self._registered:
            async with self._pool.acquire() as connection:
                done = await connection.execute("INSERT INTO haar_watched VALUES($1) ON CONFLICT DO NOTHING", space)
            if done.endswith(" 1"):
                self._unsure[space] = self._loop.time() + KNOWN_SECONDS + LATE_SECONDS
            self._registered.add(space)
            # What was written between `follow` and now was perhaps not said.
            self._watchers.tell((space,))

    async def _tell(self) -> None:
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(f"SELECT token, space FROM haar_changes WHERE at > now() - interval '{LATE_SECONDS} seconds'")
        found = {(row[0], row[1]) for row in rows}
        written = {space for token, space in found - self._seen if not token.startswith(self._node)}
        self._seen = found
        now = self._loop.time()
        for space, until in list(self._unsure.items()):
            written.add(space)
            if until < now:
                del self._unsure[space]
        self._watchers.tell(written)

    async def _prune(self) -> None:
        with contextlib.suppress(asyncpg.SerializationError):
            async with self._pool.acquire() as connection:
                await connection.execute(f"DELETE FROM haar_changes WHERE at < now() - interval '{KEEP_SECONDS} seconds'")
