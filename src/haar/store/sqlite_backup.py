"""Copies of a SQLite store, made while it runs, and the way back."""

import errno
import os
from pathlib import Path

import apsw

from haar.store import sqlite_file
from haar.store.errors import DataError, StoreError
from haar.store.sqlite_file import DATABASE, Lock, connect, sync_directory, translate

SLICE_PAGES = 1000
"""Pages copied in one step; the database is free for others between steps."""
STAGED = f"{DATABASE}.restore"
"""A checked backup that the next start takes over."""


def backup(database: Path, target: Path) -> None:
    """Copies the database as it is at this moment to `target`, which must not exist; it appears complete and durable or not at all."""
    if target.exists():
        raise StoreError(f"{target} exists; a backup is never written over a file")
    partial = target.with_name(target.name + ".partial")
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"{target.parent if error.errno == errno.ENOENT else partial}: {error.strerror}") from None
    try:
        _copy(database, partial)
        _sync(partial)
        partial.rename(target)
        sync_directory(target.parent)
    except apsw.Error as error:
        raise translate(error, target) from error
    finally:
        partial.unlink(missing_ok=True)


def stage(source: Path, directory: Path) -> None:
    """Checks a backup and puts a durable copy of it beside the database, where the next start takes it over."""
    if not source.is_file():
        raise DataError(f"{source} does not exist")
    sqlite_file.prepare(directory)
    _check(source)
    partial = directory / f"{STAGED}.new"
    partial.unlink(missing_ok=True)
    backup(source, partial)
    partial.replace(directory / STAGED)
    sync_directory(directory)


def take_over(directory: Path, lock: Lock) -> None:
    """Makes a staged copy the database; the one before it is kept as `haar.db.before-restore`. Safe to do again after a crash."""
    staged, target = directory / STAGED, directory / DATABASE
    if not staged.exists():
        return
    # The log belongs to the database that goes: it must not be played into this one.
    for name in (f"{DATABASE}-shm", f"{DATABASE}-wal", DATABASE):
        if (directory / name).exists():
            (directory / name).replace(directory / name.replace(DATABASE, f"{DATABASE}.before-restore"))
    sync_directory(directory)
    staged.replace(target)
    sync_directory(directory)
    lock.mark()


def restore(source: Path, directory: Path) -> None:
    """Makes `directory` hold what the backup holds; no server may be running on it (it would `stage` and start again)."""
    if not source.is_file():
        raise DataError(f"{source} does not exist")
    sqlite_file.prepare(directory)
    lock = Lock(directory)
    try:
        stage(source, directory)
        take_over(directory, lock)
    finally:
        lock.release()


def _check(source: Path) -> None:
    connection: apsw.Connection | None = None
    try:
        connection = connect(source)
        sqlite_file.check_version(connection, source)
        found = [row[0] for row in connection.execute("PRAGMA integrity_check").fetchall()]
    except apsw.Error as error:
        raise DataError(f"{source} is not a usable backup ({error})") from error
    finally:
        if connection is not None:
            connection.close()
    if found != ["ok"]:
        raise DataError(f"{source} is damaged ({'; '.join(map(str, found[:3]))}); use another backup")


def _copy(database: Path, target: Path) -> None:
    source = connect(database)
    copy = connect(target)
    try:
        # One read transaction for the whole copy: without it, every write of the server's would make it start again.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM spaces").fetchall()
        with copy.backup("main", source, "main") as work:
            while not work.done:
                work.step(SLICE_PAGES)
        source.execute("COMMIT")
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()
    finally:
        copy.close()
        source.close()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
