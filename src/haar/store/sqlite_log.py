"""Making the write-ahead log durable and keeping it short; these run in helper threads."""

import os
from pathlib import Path

import apsw

from haar.store.sqlite_file import connect, sync_directory


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


class Checkpointer:
    """Copies the log's pages to the database on a connection of its own."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._connection: apsw.Connection | None = None

    def __call__(self) -> tuple[int, int]:
        """(pages in the log, pages of it copied)."""
        if self._connection is None:
            self._connection = connect(self._database)
        return self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
