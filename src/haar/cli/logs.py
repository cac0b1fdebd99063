"""`haar logs`: what a function wrote, and what it writes."""

import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import typer

from haar.cli.clients import answering, client
from haar.cli.env import describe
from haar.cli.options import Data
from haar.cli.say import complain, hint, say

POLL_SECONDS = 1.0
LATE_MS = 30_000
"""How much later than its time an event may come and still be shown."""
REMEMBERED = 20_000
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def add_to(app: typer.Typer) -> None:
    app.command("logs")(logs)


def logs(
    name: Annotated[str, typer.Argument(help="The function, or a log group (with a slash).")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written from now on, until Ctrl-C.")] = False,
    since: Annotated[str, typer.Option(help="How far back: 30s, 10m, 2h, 7d.")] = "1h",
    data: Data = None,
) -> None:
    """Prints a function's log events in the order of their times."""
    described = describe(data)
    found = re.fullmatch(r"(\d+)([smhd])", since)
    if found is None:
        raise complain(f"--since {since}: a number and one of s, m, h, d (10m)")
    start = int((time.time() - int(found[1]) * UNITS[found[2]]) * 1000)
    with answering(described):
        follower = Follower(client(described, "logs"), _group(described, name), start)
        try:
            shown = follower.show()
            if not shown:
                hint(f"nothing was logged in the last {since}" + ("" if follow else f"; further back: haar logs {name} --since 7d"))
            while follow:
                time.sleep(POLL_SECONDS)
                follower.show()
        except KeyboardInterrupt:
            return


class Follower:
    """Prints the events of a log group, each once."""

    def __init__(self, source: Any, group: str, start: int) -> None:
        """`start` is the time from which on events are shown, in milliseconds since the epoch."""
        self._source, self._group, self._start = source, group, start
        self._seen: dict[str, None] = {}

    def show(self) -> int:
        """Prints what has come since the last time; how many events that are."""
        shown = 0
        for event in _events(self._source, self._group, self._start):
            if event["eventId"] not in self._seen:
                self._seen[event["eventId"]] = None
                shown += 1
                moment = datetime.fromtimestamp(event["timestamp"] / 1000).astimezone()
                say(f"{moment:%Y-%m-%d %H:%M:%S}.{event['timestamp'] % 1000:03d}  {event['message'].rstrip()}")
                self._start = max(self._start, event["timestamp"] - LATE_MS)
        while len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return shown


def _group(described: dict[str, Any], name: str) -> str:
    if "/" in name:
        return name
    shown = client(described, "lambda").get_function_configuration(FunctionName=name)
    return str(shown["LoggingConfig"]["LogGroup"])


def _events(source: Any, group: str, start: int) -> Iterator[dict[str, Any]]:
    """The group's events from a time on; none where the group has not been made yet: the function has not run."""
    pages = source.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=start)
    try:
        for page in pages:
            yield from page["events"]
    except source.exceptions.ResourceNotFoundException:
        return
