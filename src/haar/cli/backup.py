"""`haar backup` and `haar restore`: copies of everything that haar keeps, made and put back while it runs."""

import os
import signal
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from haar.cli.env import describe
from haar.cli.options import Data
from haar.cli.say import complain, say
from haar.config import Config, load

RESTART_SECONDS = 30.0
PAUSE_SECONDS = 0.1


def add_to(app: typer.Typer) -> None:
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
    data: Data = None,
) -> None:
    """Writes a consistent copy of everything to FILE, while the platform runs or not."""
    from haar.store.errors import StoreError
    from haar.store.sqlite_backup import backup as copy
    from haar.store.sqlite_file import DATABASE

    config = _on_sqlite(data, "pg_dump")
    database = config.data / DATABASE
    if not database.is_file():
        raise complain(f"{database} does not exist: {config.data.resolve()} is not the data directory of a platform (name it: --data DIR)")
    try:
        copy(database, file)
    except StoreError as error:
        raise complain(str(error)) from None
    say(f"wrote {file} ({file.stat().st_size / 1e6:.1f} MB); put it back with: haar restore {file}")


def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    data: Data = None,
) -> None:
    """Puts a backup back. A running platform starts again on it; what was there before is kept as haar.db.before-restore."""
    from haar.store.errors import InUse, StoreError
    from haar.store.sqlite_backup import restore as put_back
    from haar.store.sqlite_backup import stage

    config = _on_sqlite(data, "pg_restore")
    try:
        try:
            put_back(file, config.data)
        except InUse:
            stage(file, config.data)
            _start_again(config.data)
            return
    except StoreError as error:
        raise complain(str(error)) from None
    say(f"{config.data.resolve()} holds what {file} holds; next: haar start")


def _on_sqlite(data: Path | None, instead: str) -> Config:
    config = load({"data": data})
    if config.store:
        raise complain(f"the store is PostgreSQL: use {instead}")
    return config


def _start_again(data: Path) -> None:
    """Tells the running platform to start again, and waits until it has."""
    before = describe(data)
    os.kill(before["pid"], signal.SIGHUP)
    end = time.monotonic() + RESTART_SECONDS
    while time.monotonic() < end:
        time.sleep(PAUSE_SECONDS)
        now: dict[str, Any] = describe(data)
        if now["started"] != before["started"]:
            keys = "" if now["access_key_id"] == before["access_key_id"] else "; its root keys are the backup's: haar env"
            say(f"the platform runs on the backup, account {now['account']}{keys}")
            return
    raise complain(f"the platform (pid {before['pid']}) has not started again within {RESTART_SECONDS:.0f} s; its log says why")
