"""`haar invoke`: runs a function once and shows what it answers."""

import base64
import sys
from pathlib import Path
from typing import Annotated

import typer

from haar.cli.clients import answering, client
from haar.cli.env import describe
from haar.cli.options import Data
from haar.cli.say import complain, say


def add_to(app: typer.Typer) -> None:
    app.command("invoke")(invoke)


def invoke(
    name: Annotated[str, typer.Argument(help="The function: a name, NAME:QUALIFIER or an ARN.")],
    event: Annotated[str, typer.Argument(help="The event as JSON, @FILE, or - for standard input.")] = "{}",
    data: Data = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the answer, or leave the event in the function's queue.")] = True,
    log: Annotated[bool, typer.Option("--log", help="Show the end of the invocation's log, on standard error.")] = False,
) -> None:
    """Runs a function and prints its answer. Ends with 1 when the function fails."""
    described = describe(data)
    payload = _read(event)
    with answering(described):
        more = {"LogType": "Tail"} if log and wait else {}
        kind = "RequestResponse" if wait else "Event"
        answer = client(described, "lambda").invoke(FunctionName=name, Payload=payload, InvocationType=kind, **more)
    if "LogResult" in answer:
        print(base64.b64decode(answer["LogResult"]).decode("utf-8", "replace"), end="", file=sys.stderr, flush=True)
    if not wait:
        say(f"queued: {answer['ResponseMetadata']['RequestId']}")
        return
    say(answer["Payload"].read().decode("utf-8", "replace"))
    if "FunctionError" in answer:
        raise complain(f"{name} failed ({answer['FunctionError']}); see: haar logs {name}")


def _read(event: str) -> bytes:
    if event == "-":
        return sys.stdin.buffer.read()
    if not event.startswith("@"):
        return event.encode()
    try:
        return Path(event[1:]).read_bytes()
    except OSError as error:
        raise complain(f"{event[1:]} cannot be read: {error.strerror}") from None
