"""`haar`: the commands, each in a module of its own."""

import sys
from typing import Annotated

import typer

from haar import __version__
from haar.cli import backup, cert, demo, dev, doctor, env, invoke, logs, replay, runtimes, start, usage
from haar.cli.say import complain, say
from haar.config import ConfigError

app = typer.Typer(
    name="haar",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
start.add_to(app)
env.add_to(app)
demo.add_to(app)
doctor.add_to(app)
backup.add_to(app)
cert.add_to(app)
dev.add_to(app)
invoke.add_to(app)
logs.add_to(app)
replay.add_to(app)
usage.add_to(app)
runtimes.add_to(app)


def _show_version(asked: bool) -> None:
    if asked:
        say(f"haar {__version__}")
        raise typer.Exit


@app.callback()
def common(version: Annotated[bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version)] = False) -> None:
    """A serverless cloud that you own: Lambda, API Gateway, DynamoDB and IAM on your own machine."""


def main() -> None:
    """What every command may meet is said here: settings that cannot be, and files that cannot be had."""
    try:
        app()
    except ConfigError as error:
        sys.exit(complain(str(error)).exit_code)
    except OSError as error:
        if error.filename is None:
            raise
        sys.exit(complain(f"{error.filename}: {error.strerror}").exit_code)
