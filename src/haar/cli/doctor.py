"""`haar doctor`: what this machine has, what is missing, and how to mend it."""

import errno
import shutil
import socket
from pathlib import Path
from typing import Annotated

import typer

from haar.cli.say import complain, say
from haar.config import Config, ConfigError, load
from haar.execution.probe import Finding, findings

LOW_DISK_BYTES = 1 << 30
SIGNS = {"ok": "ok     ", "warning": "warning", "error": "error  "}


def add_to(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(
    data: Annotated[Path | None, typer.Option(readable=False, help="The platform's data directory.  [default: data]")] = None,
    port: Annotated[int | None, typer.Option(help="The port to look at.  [default: 4566]")] = None,
) -> None:
    """Checks what haar needs of this machine, and says how to mend what is missing. Ends with 1 when functions cannot run."""
    try:
        config = load({"data": data, "port": port})
    except ConfigError as error:
        raise complain(str(error)) from None

    errors = 0
    for finding in [*findings(), _disk(config), _port(config)]:
        errors += finding.state == "error"
        say(f"{SIGNS[finding.state]}  {finding.name}: {finding.detail}")
        if finding.remedy:
            say(f"         mend: {finding.remedy}")
    if errors:
        raise typer.Exit(1)
    say("haar can run here; next: haar start")


def _port(config: Config) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, config.port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            detail = f"{config.host}:{config.port} is {'in use (by haar, if it is running)' if taken else error.strerror}"
            return Finding("port", "warning", detail, "haar start --port 4567")
    return Finding("port", "ok", f"{config.host}:{config.port} is free")


def _disk(config: Config) -> Finding:
    wanted = config.data.resolve()
    free = shutil.disk_usage(next(place for place in (wanted, *wanted.parents) if place.exists())).free
    detail = f"{free / 1e9:.1f} GB free for {wanted}"
    return Finding("disk", "ok", detail) if free >= LOW_DISK_BYTES else Finding("disk", "warning", detail, "make room, or use --data DIR")
