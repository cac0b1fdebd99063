"""The write-ahead log: making it durable, and keeping it short."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from haar.store.helper import Helper
from haar.store.sqlite_file import connect, sync_directory

LOG_PAGES = 4000
"""A log of so many pages (16 MB) is copied to the database while writes go on, and then started over."""
IDLE_SECONDS = 1.0
"""Without writes for so long, the log is copied to the database."""


log = logging.getLogger(__name__)


class LogSync:
    """`fdatasync` of the -wal file through a descriptor of our own (SQLite takes no locks on that file; never do this to the others)."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}-wal")
        self._descriptor = -1
        self._identity = (0, 0)

    def __call__(self) -> None:
        found = self._path.stat()
        if self._descriptor < 0 or (found.st_dev, found.st_ino) != self._identity:
            self.close()
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            opened = os.fstat(self._descriptor)
            self._identity = (opened.st_dev, opened.st_ino)
            sync_directory(self._path.parent)
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class LogKeeper:
    """Copies the log to the database in a helper thread: when nothing is written, and when the log is long.

    A log starts over only when all of it is copied and the next writer finds it so. Under constant writes that moment never
    comes by itself: so once nearly all is copied, writers are held for the rest (a few milliseconds each LOG_PAGES).
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

    def _copied_some(self, result: tuple[int, int] | None, error: BaseException | None) -> None:
        if error is not None:
            # Everything is still in the log; it is tried again further on.
            log.warning("%s: the log could not be copied to the database: %s", self._database, error)
        self._copying = False
        held = self._held
        if result is not None:
            self._copied = result[1]
        self._next = self._pages + LOG_PAGES
        if held is not None or self._stopped:
            self.release()
        elif result is not None and self._pages >= LOG_PAGES and self._copied < self._pages:
            self._held = []
            self._finish()

    def _finish(self) -> None:
        if self._held is not None and not self._copying and self._quiet():
            self._copy()

    def _when_idle(self) -> None:
        self._idle = None
        rest = self._written_at + IDLE_SECONDS - time.monotonic()
        if rest > 0 or self._copying or not self._quiet():
            self._idle = self._loop.call_later(max(rest, IDLE_SECONDS / 10), self._when_idle)
        elif self._copied < self._pages:
            self._copy()

    def _checkpoint(self) -> tuple[int, int]:
        """(pages in the log, pages of it copied)."""
        if self._connection is None:
            self._connection = connect(self._database)
        return self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
