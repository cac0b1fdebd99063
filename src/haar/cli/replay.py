"""`haar replay`: runs a recorded invocation again and shows both results side by side."""

import base64
import json
import shutil
from datetime import datetime
from itertools import zip_longest
from typing import Annotated, Any

import typer

from haar.cli.clients import answering, ask, client
from haar.cli.env import describe
from haar.cli.options import Data
from haar.cli.say import complain, say

MIN_COLUMN = 30
MARK = 3


def add_to(app: typer.Typer) -> None:
    app.command("replay")(replay)


def replay(
    request_id: Annotated[str, typer.Argument(help="The request id, as the log has it. Without: the last invocations.")] = "",
    event: Annotated[bool, typer.Option("--event", help="Print the recorded event, and run nothing.")] = False,
    qualifier: Annotated[str, typer.Option(help="Run this version or alias instead of the recorded one.")] = "",
    data: Data = None,
) -> None:
    """Runs a recorded invocation again: the same event, the same version; the old result on the left, the new one on the right.

    The last 1,000 invocations with events of up to 256 KB are kept for 24 hours (the setting record_hours; 0 keeps none). Who asks needs
    haar:GetRecording, and lambda:InvokeFunction to run it. Ends with 1 when the results differ.
    """
    described = describe(data)
    if not request_id:
        _list(described)
        return
    recorded = ask(described, f"/_haar/lambda/recordings/{request_id}")
    written = base64.b64decode(recorded["Event"])
    if event:
        say(written.decode("utf-8", "replace"))
        return
    version = qualifier or recorded["Version"]
    with answering(described):
        functions = client(described, "lambda")
        now = functions.get_function_configuration(FunctionName=recorded["FunctionArn"], Qualifier=version)
        answer = functions.invoke(FunctionName=recorded["FunctionArn"], Qualifier=version, Payload=written)
    old = _lines(base64.b64decode(recorded["Payload"]), recorded["FunctionError"])
    new = _lines(answer["Payload"].read(), answer.get("FunctionError"))
    name = recorded["FunctionArn"].rpartition(":")[2]
    moment = datetime.fromtimestamp(recorded["Time"]).astimezone()
    changed = "" if now["CodeSha256"] == recorded["CodeSha256"] else ", its code has changed since"
    say(f"{name}:{version}{changed}; event: {_short(written)}\n")
    same = _side_by_side(f"then ({moment:%Y-%m-%d %H:%M:%S}, {recorded['DurationMilliseconds']:.0f} ms)", "now", old, new)
    say(f"\n{'the same result' if same else 'the results differ'}; the new request is {answer['ResponseMetadata']['RequestId']}")
    if not same:
        raise typer.Exit(1)


def _list(described: dict[str, Any]) -> None:
    found = ask(described, "/_haar/lambda/recordings")["Recordings"]
    if not found:
        raise complain("no invocation is recorded; run one: haar invoke NAME")
    for each in found:
        moment = datetime.fromtimestamp(each["Time"]).astimezone()
        name = f"{each['FunctionArn'].rpartition(':')[2]}:{each['Version']}"
        failed = f"  {each['FunctionError']}" if each["FunctionError"] else ""
        say(f"{each['RequestId']}  {moment:%H:%M:%S}  {name}  {each['DurationMilliseconds']:.0f} ms{failed}")
    say("\nRun one again: haar replay REQUEST_ID")


def _short(text: bytes) -> str:
    shown = text.decode("utf-8", "replace")
    return shown if len(shown) <= 100 else shown[:100] + "…"


def _lines(payload: bytes, error: str | None) -> list[str]:
    """A result as lines: JSON is laid out."""
    text = payload.decode("utf-8", "replace")
    try:
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        pass  # a streamed answer may be anything
    return [*([f"failed: {error}"] if error else []), *text.splitlines()]


def _side_by_side(left: str, right: str, old: list[str], new: list[str]) -> bool:
    """Prints two texts in columns, marks lines that differ; whether all are the same."""
    column = max(MIN_COLUMN, (shutil.get_terminal_size((120, 24)).columns - MARK) // 2)
    say(f"{left:<{column}} | {right}")
    for before, after in zip_longest(old, new, fillvalue=""):
        parts = max(1, -(-len(before) // column), -(-len(after) // column))
        for at in range(0, parts * column, column):
            mark = "|" if before == after else "≠"
            say(f"{before[at : at + column]:<{column}} {mark} {after[at : at + column]}".rstrip())
    return old == new
