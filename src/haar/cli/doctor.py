"""`haar doctor`: what this machine has, what is missing, and how to mend it."""

import errno
import os
import pwd
import shutil
import socket
from pathlib import Path
from typing import Annotated

import typer

from haar.cli.options import Data
from haar.cli.say import say
from haar.config import Config, load
from haar.execution.probe import Finding, findings
from haar.store.errors import InUse, StoreError
from haar.store.sqlite_file import LOCK, Lock, open_guest

LOW_DISK_BYTES = 1 << 30
SIGNS = {"ok": "ok     ", "warning": "warning", "error": "error  "}


def add_to(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(
    data: Data = None,
    port: Annotated[int | None, typer.Option(help="The port to look at. (default: 4566)")] = None,
) -> None:
    """Checks what haar needs of this machine, and says how to mend what is missing. Ends with 1 when haar or its functions cannot run."""
    config = load({"data": data, "port": port})
    found = [*findings(), _disk(config)]
    try:
        found += [_data(config), _port(config)]
        running = False
    except InUse:
        found.append(Finding("haar", "ok", f"is running on {config.data.resolve()}"))
        running = True
    for finding in found:
        say(f"{SIGNS[finding.state]}  {finding.name}: {finding.detail}")
        if finding.remedy:
            say(f"         mend: {finding.remedy}")
    if any(finding.state == "error" for finding in found):
        raise typer.Exit(1)
    say('haar runs here; next: eval "$(haar env)"' if running else "haar can run here; next: haar start")


def _port(config: Config) -> Finding:
    where = f"{config.host}:{config.port}"
    try:
        family, _, _, _, address = socket.getaddrinfo(config.host or None, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return Finding("port", "warning", f"{where} is in use by another program", "haar start --port 4567")
        return Finding("port", "error", f"{where}: {error.strerror}", "haar start --host 127.0.0.1, or another address of this machine")
    return Finding("port", "ok", f"{where} is free")


def _data(config: Config) -> Finding:
    """Whether the data directory can be used by this user and this version. Raises InUse when haar runs on it."""
    directory = config.data.resolve()
    place = _nearest(directory)
    if not place.is_dir():
        return Finding("data", "error", f"{place} is not a directory", "haar start --data DIR")
    if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        owner = _name(place.stat().st_uid)
        return Finding("data", "error", f"{place} is {owner}'s and cannot be written to", f"start haar as {owner}, or with --data DIR")
    if not (directory / LOCK).exists():
        return Finding("data", "ok", f"{directory} is new")
    try:
        Lock(directory).release()
        if not config.store:
            open_guest(directory).close()
    except InUse:
        raise
    except StoreError as error:  # says the way out
        return Finding("data", "error", str(error))
    return Finding("data", "ok", str(directory))


def _nearest(path: Path) -> Path:
    """The path, or what is there above it."""
    return next(each for each in (path, *path.parents) if os.path.lexists(each))


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def _disk(config: Config) -> Finding:
    wanted = config.data.resolve()
    free = shutil.disk_usage(_nearest(wanted)).free
    detail = f"{free / 1e9:.1f} GB free for {wanted}"
    return Finding("disk", "ok", detail) if free >= LOW_DISK_BYTES else Finding("disk", "warning", detail, "make room, or use --data DIR")
