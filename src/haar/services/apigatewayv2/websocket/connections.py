"""The open connections of this process. Frames (`session.py`) are imported with the first of them: start-up does without."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from haar.services.service import Host
from haar.wire.http import Request

if TYPE_CHECKING:
    from haar.services.apigatewayv2.websocket.session import Session

MAX_MESSAGE = 128 * 1024
"""Bytes of a message."""


class Full(Exception):
    """The client does not take what it is sent."""


@dataclass(slots=True)
class Live:
    """A connection, and where it is to."""

    session: "Session"
    api_id: str
    stage: str
    region: str
    domain: str
    request: Request
    """The handshake."""


class Connections:
    """By id. A connection is of the process that holds its socket."""

    def __init__(self, host: Host) -> None:
        self._live: dict[str, Live] = {}
        self._endings: set[asyncio.Task[None]] = set()

    def add(self, live: Live) -> None:
        self._live[live.session.id] = live

    def end(self, live: Live, ending: Coroutine[Any, Any, None]) -> None:
        """Forgets a connection and runs what its end sets off."""
        self._live.pop(live.session.id, None)
        task = asyncio.get_running_loop().create_task(ending)
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    def find(self, connection_id: str) -> Live | None:
        """An open connection: one whose `$connect` is still being answered does not count, nor does one that is being closed."""
        live = self._live.get(connection_id)
        return live if live is not None and live.session.open else None
