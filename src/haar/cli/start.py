"""`haar start`: serves in the foreground until Ctrl-C or SIGTERM."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from haar.cli.say import complain, say
from haar.config import Config, load

GC_THRESHOLDS = (20_000, 20, 50)
"""Requests make few cycles: the defaults look for them ten times as often as there are any."""


def add_to(app: typer.Typer) -> None:
    app.command("start")(start)


def start(
    host: Annotated[str | None, typer.Option(help="The address to listen on. (default: 127.0.0.1)")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes a free one. (default: 4566)")] = None,
    https_port: Annotated[int | None, typer.Option(help="Serve HTTPS, too, on this port; 0 takes a free one (see haar cert).")] = None,
    tls_certificate: Annotated[str | None, typer.Option(help="A certificate (PEM) for HTTPS, besides the local authority's.")] = None,
    tls_key: Annotated[str | None, typer.Option(help="Its key, when that is not in the same file.")] = None,
    data: Annotated[Path | None, typer.Option(readable=False, help="Where everything is kept. (default: data)")] = None,
    store: Annotated[str | None, typer.Option(help="postgresql://… instead of SQLite in the data directory.")] = None,
    account: Annotated[str | None, typer.Option(help="The account id, 12 digits; chosen at first start.")] = None,
    region: Annotated[str | None, typer.Option(help="The region that `haar env` names. (default: us-east-1)")] = None,
    sandbox: Annotated[str | None, typer.Option(help="How functions are isolated: bubblewrap or none. (default: bubblewrap)")] = None,
    egress: Annotated[str | None, typer.Option(help="Whether functions reach the internet: on or off. (default: off)")] = None,
) -> None:
    """Starts the platform and serves until Ctrl-C or SIGTERM, or until its terminal is closed (`nohup haar start &` goes on)."""
    flags: dict[str, Any] = {"host": host, "port": port, "data": data, "store": store, "account": account, "region": region}
    flags |= {"sandbox": sandbox, "egress": egress}
    flags |= {"https_port": https_port, "tls_certificate": tls_certificate, "tls_key": tls_key}
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config = load(flags)
    lasting = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # nohup
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        again = runner.run(_serve(config, lasting))
    if again:
        if lasting:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.execv(sys.executable, [sys.executable, "-m", "haar", *sys.argv[1:]])  # noqa: S606 - ourselves, with our own arguments


async def _serve(config: Config, lasting: bool) -> bool:
    """Serves until a signal; whether to start again. The end of its terminal is a signal, unless `lasting`."""
    from haar.platform import CannotListen, Platform
    from haar.store.errors import StoreError
    from haar.store.sqlite_backup import STAGED

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    again = asyncio.Event()

    def hung_up() -> None:
        """By `haar restore`, which has put a backup beside the database, or by the terminal."""
        if (config.data / STAGED).exists():
            again.set()
            stop.set()
        elif not lasting:
            stop.set()

    loop.add_signal_handler(signal.SIGHUP, hung_up)
    try:
        platform = await Platform.start(config)
    except CannotListen as error:
        raise complain(f"{error}{' (another port: haar start --port 4567)' if error.taken else ''}") from None
    except StoreError as error:
        raise complain(str(error)) from None
    except OSError as error:
        raise complain(f"{error.filename or config.data}: {error.strerror or error}") from None
    gc.freeze()  # what start-up made stays: collecting need not look at it again
    gc.set_threshold(*GC_THRESHOLDS)
    where = "" if str(config.data) == "data" else f" --data {config.data}"
    say(f"haar is running at {platform.endpoint}, account {platform.host.account}, data in {config.data.resolve()}")
    if platform.https_endpoint:
        say(f"HTTPS is at {platform.https_endpoint} (haar cert says how to trust it)")
    if platform.manager.refused:
        say(platform.manager.refused)
    say(f'Next, in another terminal:\n  eval "$(.venv/bin/haar env{where})"\n  aws sts get-caller-identity')
    await stop.wait()
    with contextlib.suppress(OSError):  # nobody may be at the terminal any more
        say("starting again" if again.is_set() else "stopping")
    await platform.stop()
    if not again.is_set():
        with contextlib.suppress(OSError):
            say("stopped")
    return again.is_set()
