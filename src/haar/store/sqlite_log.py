"""The write-ahead log: making it durable, and keeping it short."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from haar.store.helper import Helper
from haar.store.sqlite_file import VERSION, connect, sync_directory

LOG_PAGES = 8000
"""A log of so many pages (32 MB) is copied to the database while writes go on, and then started over."""
REST_PAGES = 400
"""Writers are held when no more than so many pages are left to copy..."""
COPIES = 4
"""... or when it was tried so often to come that near."""
IDLE_SECONDS = 1.0
"""Without writes for so long, the log is copied to the database."""


log = logging.getLogger(__name__)


class LogFile:
    """A descriptor of our own on the -wal file (SQLite takes no locks on that file; never do this to the others)."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}-wal")
        self._descriptor = -1
        self._identity = (0, 0)

    def descriptor(self) -> int:
        """Of the file that has the name now, which is durable in its directory."""
        found = self._path.stat()
        if self._descriptor < 0 or (found.st_dev, found.st_ino) != self._identity:
            self.close()
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            opened = os.fstat(self._descriptor)
            self._identity = (opened.st_dev, opened.st_ino)
            sync_directory(self._path.parent)
        return self._descriptor

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class LogKeeper:
    """Copies the log to the database in a helper thread: when nothing is written, and when the log is long.

    A log starts over only when all of it is copied and the next writer finds it so. Under constant writes that moment never
    comes by itself: so once nearly all is copied, writers are held for the rest. The write that starts it over is made here,
    too, since SQLite syncs the log's new header within it.
    """

    def __init__(self, database: Path, connection: apsw.Connection, helper: Helper, quiet: Callable[[], bool]) -> None:
        """`quiet()`: whether no write is under way."""
        self._loop = asyncio.get_running_loop()
        self._database = database
        self._writer = connection
        self._helper = helper
        self._quiet = quiet
        self._connection: apsw.Connection | None = None
        self._held: list[asyncio.Future[None]] | None = None
        self._copying = False
        self._stopped = False
        self._pages = 0
        self._copied = 0
        self._next = LOG_PAGES
        self._copies = 0
        self._written_at = 0.0
        self._idle: asyncio.TimerHandle | None = None
        self._writer.set_wal_hook(self._committed)

    @property
    def holding(self) -> bool:
        """Whether writers are to wait (`released`) before they begin."""
        return self._held is not None

    async def released(self) -> None:
        if self._held is not None:
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._held.append(waiter)
            await waiter

    def wrote(self) -> None:
        """To be called after each group's sync."""
        if self._stopped:
            return
        self._written_at = time.monotonic()
        if self._idle is None:
            self._idle = self._loop.call_later(IDLE_SECONDS, self._when_idle)
        if self._pages >= self._next and not self._copying:
            self._copy()
        self._finish()

    def release(self) -> None:
        held, self._held = self._held, None
        for waiter in held or ():
            if not waiter.done():
                waiter.set_result(None)

    async def stop(self) -> None:
        self._stopped = True
        self.release()
        if self._idle is not None:
            self._idle.cancel()
        await self._helper.run(self._close)
        self._writer.set_wal_hook(None)

    def _committed(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        if pages < self._copied:
            self._copied, self._next = 0, LOG_PAGES
        self._pages = pages
        return apsw.SQLITE_OK

    def _copy(self) -> None:
        self._copying = True
        self._helper.submit(self._checkpoint, self._copied_some)

    def _copied_some(self, copied: int | None, error: BaseException | None) -> None:
        self._copying = False
        if copied is None:
            # Everything is still in the log; it is tried again further on.
            log.warning("%s: the log could not be copied to the database: %s", self._database, error)
        else:
            self._copied = copied
        rest = self._pages - self._copied
        if self._held is None and not self._stopped and copied is not None and self._pages >= LOG_PAGES and rest:
            self._copies += 1
            if rest > REST_PAGES and self._copies < COPIES:
                self._copy()
                return
            self._held = []
            self._finish()
            return
        self._copies = 0
        self._next = self._pages + LOG_PAGES
        self.release()

    def _finish(self) -> None:
        """The last copy, once the writers before those that are held are done."""
        if self._held is not None and not self._copying and self._quiet():
            self._copy()

    def _when_idle(self) -> None:
        self._idle = None
        rest = self._written_at + IDLE_SECONDS - time.monotonic()
        if rest > 0 or self._copying or not self._quiet():
            self._idle = self._loop.call_later(max(rest, IDLE_SECONDS / 10), self._when_idle)
        elif self._copied < self._pages:
            self._copy()

    def _checkpoint(self) -> int:
        """Pages of the log that are copied now."""
        if self._connection is None:
            self._connection = connect(self._database)
            self._connection.execute("PRAGMA synchronous = NORMAL")
        pages, copied = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        if self._held is not None and pages == copied:
            # Another process may be writing: then the log starts over with its write.
            with contextlib.suppress(apsw.BusyError), self._connection:
                self._connection.execute(f"PRAGMA user_version = {VERSION}")
        return copied

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
