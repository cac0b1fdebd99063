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

from haar.store.postgresql_connections import FAILURES, Connection, Connections
from haar.store.telling import Seldom
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
CHANNEL = "haar_changes"
HINT_SECONDS = 0.02
"""How long a hint is waited with for further ones."""
LISTEN_PAUSE_SECONDS = 5.0
"""Between two tries to listen for hints."""

log = logging.getLogger(__name__)


class Changes:
    def __init__(self, connections: Connections, watchers: Watchers) -> None:
        self._connections = connections
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
        self._wake = asyncio.Event()
        self._hints = True
        """Whether the database can notify: a hint that others may look now, never more."""
        self._hinting: asyncio.Task[None] | None = None
        self._hinted = False
        self._listening: Connection = None
        self._listen_at = 0.0

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
            await self._execute("INSERT INTO haar_changes(token, space) VALUES($1, $2)", self.token(), space)
            self.hint()

    def hint(self) -> None:
        """Wakes up others' pollers, soon: something was told. Hints that come together are one."""
        self._hinted = True
        if self._hints and self._hinting is None:
            self._hinting = self._loop.create_task(self._hint())

    async def stop(self) -> None:
        self._hints = False
        tasks = [task for task in (self._poller, self._hinting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._listening is not None:
            self._listening.terminate()
            self._connections.give(self._listening)

    async def _hint(self) -> None:
        try:
            while self._hinted:
                self._hinted = False
                await self._execute("SELECT pg_notify($1, $2)", CHANNEL, self._node)
        except (asyncpg.UndefinedFunctionError, asyncpg.FeatureNotSupportedError) as error:
            self._hints = False
            log.info("this database does not notify (%s): other gateways look every %g seconds", error, POLL_SECONDS)
        except FAILURES:
            log.debug("a hint was lost", exc_info=True)
        finally:
            self._hinting = None

    async def _listen(self) -> None:
        """Sees to it that hints of others wake the poller."""
        if not self._hints or (self._listening is not None and not self._listening.is_closed()) or self._loop.time() < self._listen_at:
            return
        self._listen_at = self._loop.time() + LISTEN_PAUSE_SECONDS
        if self._listening is not None:
            gone, self._listening = self._listening, None
            self._connections.give(gone)  # to be counted out
        connection = await self._connections.take()
        try:
            await connection.add_listener(CHANNEL, self._heard)
        except FAILURES as error:
            log.info("no hints of other gateways' writes (%s)", error)
            self._connections.give(connection)
        else:
            self._listening = connection

    def _heard(self, _connection: object, _pid: int, _channel: str, node: object) -> None:
        if node != self._node:
            self._wake.set()

    async def _execute(self, statement: str, *values: object) -> str:
        connection = await self._connections.take()
        try:
            return str(await connection.execute(statement, *values))
        finally:
            self._connections.give(connection)

    async def _fetch(self, statement: str) -> list[Any]:
        connection = await self._connections.take()
        try:
            return list(await connection.fetch(statement))
        finally:
            self._connections.give(connection)

    async def _look_up(self) -> None:
        at = self._loop.time()
        rows = await self._fetch("SELECT space FROM haar_watched")
        self._watched = frozenset(row[0] for row in rows)
        self._watched_at = at

    async def _poll(self) -> None:
        turn = 0
        seldom = Seldom()
        while True:
            try:
                await self._listen()
                await self._register()
                await self._look_up()
                await self._tell()
                if turn % PRUNE_POLLS == 0:
                    await self._prune()
                turn += 1
            except FAILURES as error:
                if seldom.now():
                    log.error("other gateways' writes could not be looked for: %s", error)
                # What happened meanwhile is unknown.
                self._watchers.tell_all()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
                    # Many hints at once are worth one look.
                    await asyncio.sleep(HINT_SECONDS)
            self._wake.clear()

    async def _register(self) -> None:
        for space in self._followed - self._registered:
            done = await self._execute("INSERT INTO haar_watched VALUES($1) ON CONFLICT DO NOTHING", space)
            if done.endswith(" 1"):
                self._unsure[space] = self._loop.time() + KNOWN_SECONDS + LATE_SECONDS
            self._registered.add(space)
            # What was written between `follow` and now was perhaps not said.
            self._watchers.tell((space,))

    async def _tell(self) -> None:
        rows = await self._fetch(f"SELECT token, space FROM haar_changes WHERE at > now() - interval '{LATE_SECONDS} seconds'")
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
            await self._execute(f"DELETE FROM haar_changes WHERE at < now() - interval '{KEEP_SECONDS} seconds'")
