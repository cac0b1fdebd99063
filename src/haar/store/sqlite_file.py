"""The files of a SQLite store: made, locked, opened, and refused when they are not what they should be.

DIR/lock         held (flock) by the one server of the directory; says that the directory holds a database
DIR/haar.db      rows; DIR/haar.db-wal and DIR/haar.db-shm belong to it
"""

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path

import apsw

from haar.store.errors import DataError, InUse, StoreBusy, StoreError, StoreFull

DATABASE = "haar.db"
LOCK = "lock"
APPLICATION = 0x68616172
"""`haar` in ASCII: the application id in the database's header."""
VERSION = 1
"""The version of the schema that this haar reads and writes."""
PAGE = 4096
"""Bytes. 8192 measured no better for items of 400 bytes, and costs more log for each."""
CACHE_KIB = 65536
"""Pages that a connection keeps. Reading through mmap measured the same, and an I/O error would be a SIGBUS."""
LOG_FILE_BYTES = 64 * 1024 * 1024
"""The log's file is cut to this when it starts over."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system calls a full disk, a full quota, and a file as large as it may be."""

SCHEMA = """
CREATE TABLE spaces(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE rows(
    space INTEGER NOT NULL, partition BLOB NOT NULL, sort BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY(space, partition, sort)
) WITHOUT ROWID;
"""


def translate(error: apsw.Error, file: Path, number: int = 0) -> StoreError:
    """The store's error for one of SQLite's; `number` is the system's error number behind it."""
    if isinstance(error, apsw.FullError) or (isinstance(error, apsw.IOError) and number in FULL):
        return StoreFull(f"{file}: no space left for the write")
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        return DataError(f"{file} is damaged ({error}); stop haar, keep the file, restore a backup: haar restore BACKUP --data DIRECTORY")
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return StoreBusy(f"{file}: another process is writing")
    return StoreError(f"{file}: {type(error).__name__}: {error}")


class Lock:
    """One server a directory. It is a file of its own: closing a descriptor of the database's would drop SQLite's locks."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / LOCK
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataError(f"{self.path}: {error.strerror}; haar needs a data directory that it can write to") from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = self._read()[1:2]
            os.close(self._descriptor)
            raise InUse(f"{directory} is in use by another haar{''.join(f' ({line})' for line in holder)}; stop it first") from None

    @property
    def marked(self) -> bool:
        """Whether the directory has held a complete database."""
        return self._read()[:1] == [DATABASE]

    def mark(self) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{DATABASE}\npid {os.getpid()}\n".encode(), 0)
        os.fsync(self._descriptor)

    def release(self) -> None:
        os.close(self._descriptor)

    def _read(self) -> list[str]:
        return os.pread(self._descriptor, 200, 0).decode(errors="replace").split("\n")


def prepare(directory: Path) -> None:
    """Makes the directory (0700) when it is not there."""
    try:
        if not directory.exists():
            directory.mkdir(parents=True, mode=0o700)
            sync_directory(directory.parent)
    except OSError as error:
        raise DataError(f"{directory}: {error.strerror}; haar needs a data directory that it can write to") from None
    if not directory.is_dir():
        raise DataError(f"{directory} is not a directory")


def open_server(directory: Path, lock: Lock) -> apsw.Connection:
    """The writing connection to the directory's database, which is made when the directory has never held one."""
    file = directory / DATABASE
    fresh = not file.exists()
    if fresh:
        _refuse_incomplete(directory, lock)
        try:
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise DataError(f"{file}: {error.strerror}") from None
    elif lock.marked and file.stat().st_size == 0:
        raise DataError(f"{file} is empty, and was not; restore a backup: haar restore BACKUP --data {directory}")
    _refuse_unwritable(file)
    connection: apsw.Connection | None = None
    try:
        connection = connect(file)
        if not _tables(connection) and not lock.marked and _number(connection, "application_id") in (0, APPLICATION):
            _create(connection)
        check_version(connection, file)
        connection.execute("PRAGMA journal_mode = WAL")
        settle(connection, file)
        connection.execute("PRAGMA synchronous = NORMAL")
        sync_directory(directory)
        lock.mark()
    except (apsw.Error, OSError, StoreError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, (apsw.Error, OSError)):
            raise _opening(error, file) from error
        raise
    return connection


def open_guest(directory: Path) -> apsw.Connection:
    """A connection beside the server's, for tools."""
    file = directory / DATABASE
    if not file.is_file():
        raise DataError(f"{file} does not exist: {directory} is not a haar data directory")
    connection: apsw.Connection | None = None
    try:
        connection = connect(file)
        check_version(connection, file)
        connection.execute("PRAGMA synchronous = NORMAL")
    except (apsw.Error, StoreError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, apsw.Error):
            raise _opening(error, file) from error
        raise
    return connection


def connect(file: Path) -> apsw.Connection:
    """A connection with haar's settings; checkpoints are never its own idea."""
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE, statementcachesize=100)
    try:
        connection.set_busy_timeout(0)
        for setting in (
            "wal_autocheckpoint = 0",
            "synchronous = FULL",
            f"cache_size = -{CACHE_KIB}",
            f"journal_size_limit = {LOG_FILE_BYTES}",
            "cell_size_check = ON",
            "trusted_schema = OFF",
        ):
            connection.execute(f"PRAGMA {setting}").fetchall()
    except apsw.Error:
        connection.close()
        raise
    return connection


def check_version(connection: apsw.Connection, file: Path) -> None:
    """Refuses a database that is not haar's, or of a haar that came later."""
    application, version = _number(connection, "application_id"), _number(connection, "user_version")
    if application != APPLICATION:
        raise DataError(f"{file} is a database, but not one of haar's; choose another data directory")
    if version > VERSION:
        raise DataError(f"{file} was written by a newer haar (schema {version}, this one knows {VERSION}); install that version")
    if version < VERSION:
        raise DataError(f"{file} has schema {version}, which this haar (schema {VERSION}) cannot read")


def sync_directory(directory: Path) -> None:
    """Makes the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def settle(connection: apsw.Connection, file: Path) -> None:
    """What is in the log may have been written, and not synced, by a process that was killed: it is on disk before anybody reads it."""
    log = file.with_name(f"{file.name}-wal")
    if log.exists():
        descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    with contextlib.suppress(apsw.FullError):  # the log stays as it is: haar starts on a full disk, too
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def _create(connection: apsw.Connection) -> None:
    connection.execute(f"PRAGMA page_size = {PAGE}")
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    with connection:
        connection.execute(SCHEMA)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _tables(connection: apsw.Connection) -> int:
    return len(connection.execute("SELECT name FROM sqlite_schema").fetchall())


def _number(connection: apsw.Connection, name: str) -> int:
    return int(connection.pragma(name))


def _refuse_incomplete(directory: Path, lock: Lock) -> None:
    left = [name for name in (f"{DATABASE}-wal", f"{DATABASE}-shm") if (directory / name).exists()]
    if lock.marked or left:
        why = f"{', '.join(left)} is there" if left else f"{lock.path.name} says that it was there"
        raise DataError(
            f"{directory / DATABASE} is missing, but {why}. haar does not start empty on data that it cannot find: "
            f"put the file back, restore a backup (haar restore BACKUP --data {directory}), or choose another directory"
        )


def _refuse_unwritable(file: Path) -> None:
    mode = file.stat().st_mode
    if not stat.S_ISREG(mode):
        raise DataError(f"{file} is not a file")
    if not os.access(file, os.R_OK | os.W_OK):
        raise DataError(f"{file} cannot be read and written by this user")


def _opening(error: apsw.Error | OSError, file: Path) -> StoreError:
    if isinstance(error, OSError):
        kind = StoreFull if error.errno in FULL else DataError
        return kind(f"{error.filename or file}: {error.strerror}")
    if isinstance(error, apsw.NotADBError):
        return DataError(f"{file} is not a database; put the right file back or restore a backup: haar restore BACKUP --data {file.parent}")
    if isinstance(error, (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError)):
        return DataError(f"{file} cannot be opened for writing ({error}); check the permissions of it and of {file.parent}")
    return translate(error, file)
