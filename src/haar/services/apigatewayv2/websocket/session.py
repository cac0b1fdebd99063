"""One connection of a WebSocket API: its frames, its messages in flight, its limits, its end."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from haar.services.apigatewayv2.websocket.connections import MAX_MESSAGE, Full
from haar.wire.http import Channel

MAX_FRAME = 32 * 1024
"""Bytes of one frame that a client sends: a longer message comes in several."""
MAX_IN_FLIGHT = 32
"""Messages of one connection that are being answered; beyond it, reading stops."""
MAX_UNSENT = 1024 * 1024
"""Bytes that wait for a client that does not read."""
UNSAID = "Client-side close frame status not set"
"""Why a connection ended whose client did not say."""
GOING_AWAY, NOT_TEXT, NO_STATUS, ABNORMAL, TOO_BIG = 1001, 1003, 1005, 1006, 1009

log = logging.getLogger("haar.apigatewayv2")

OnMessage = Callable[["Session", str], Awaitable[None]]
OnEnd = Callable[["Session"], None]


class Session:
    """Made before the handshake is answered: `$connect` has its id already."""

    def __init__(self, id: str, source_ip: str, user_agent: str, now: Callable[[], float], limits: tuple[float, float]) -> None:
        """`limits` are the seconds that it may be silent, and open."""
        self.id, self.source_ip, self.user_agent = id, source_ip, user_agent
        self.authorizer: dict[str, Any] | None = None
        self.usage_key: str | None = None
        self.signer: dict[str, str] = {}
        """Who signed the handshake, as events tell it."""
        self.connected_at = self.last_active = now()
        self.code, self.reason = ABNORMAL, ""
        """How it ended, as the client or the API said."""
        self.on_message: OnMessage | None = None
        self.on_end: OnEnd | None = None
        self._now = now
        self._idle, self._longest = limits
        self._frames = Connection(ConnectionType.SERVER)
        self._channel: Channel | None = None
        self._parts: list[str] = []
        self._size = 0
        self._frame = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._waiting: deque[str] = deque()
        """What had been read already when there were enough in flight."""
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def open(self) -> bool:
        return self._channel is not None and not self._closed

    # what the server calls

    def connected(self, channel: Channel) -> None:
        self._channel = channel
        self.last_active = self._now()
        self._watch()

    def received(self, data: bytes) -> None:
        if self._closed:
            return
        self.last_active = self._now()
        try:
            self._frames.receive_data(data)
            for event in self._frames.events():
                self._on(event)
        except RemoteProtocolError as error:
            self.close(error.event_hint.code if isinstance(error.event_hint, CloseConnection) else CloseReason.PROTOCOL_ERROR, "")

    def lost(self) -> None:
        self._closed = True
        self._channel = None
        if self._timer is not None:
            self._timer.cancel()
        if self.on_end is not None:
            self.on_end(self)

    def shutdown(self) -> None:
        self.close(GOING_AWAY, "Going away")

    # frames

    def _on(self, event: object) -> None:
        if self._closed:
            return
        if isinstance(event, TextMessage):
            self._parts.append(event.data)
            size = len(event.data.encode())
            self._size += size
            self._frame += size
            if self._size > MAX_MESSAGE or self._frame > MAX_FRAME:
                self.close(TOO_BIG, "Message too big")
                return
            if event.frame_finished:
                self._frame = 0
            if not event.message_finished:
                return
            whole = "".join(self._parts)
            self._parts, self._size = [], 0
            self._begin(whole)
        elif isinstance(event, BytesMessage):
            self.close(NOT_TEXT, "Binary frames are not supported")
        elif isinstance(event, Ping):
            self._write(self._frames.send(event.response()))
        elif isinstance(event, CloseConnection):
            self.code, self.reason = int(event.code), event.reason or (UNSAID if event.code == NO_STATUS else "")
            answer = event.response() if event.code != NO_STATUS else CloseConnection(code=CloseReason.NORMAL_CLOSURE)
            self._write(self._frames.send(answer))
            self._hang_up()

    def _begin(self, message: str) -> None:
        if self.on_message is None:
            return
        if len(self._in_flight) >= MAX_IN_FLIGHT:
            self._waiting.append(message)
            if self._channel is not None:
                self._channel.pause_reading()
            return
        task = asyncio.ensure_future(self.on_message(self, message))
        self._in_flight.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._in_flight.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a message of connection %s failed", self.id, exc_info=error)
        if self._closed:
            self._waiting.clear()
        elif self._waiting:
            self._begin(self._waiting.popleft())
            if not self._waiting and self._channel is not None:
                self._channel.resume_reading()

    # what the API does

    def send(self, data: bytes) -> None:
        """A message to the client: a text one if it is text. Raises Full."""
        if self._channel is None or self._closed:
            return
        if self._channel.get_write_buffer_size() > MAX_UNSENT:
            raise Full
        self.last_active = self._now()
        try:
            message: TextMessage | BytesMessage = TextMessage(data=data.decode())
        except UnicodeDecodeError:
            message = BytesMessage(data=data)
        self._write(self._frames.send(message))

    def close(self, code: int, reason: str) -> None:
        if self._closed:
            return
        self.code, self.reason = code, reason
        try:
            self._write(self._frames.send(CloseConnection(code=code, reason=reason or None)))
        except LocalProtocolError:
            pass  # the client has closed it already
        self._hang_up()

    def _write(self, data: bytes) -> None:
        if self._channel is not None:
            self._channel.write(data)

    def _hang_up(self) -> None:
        self._closed = True
        if self._channel is not None:
            self._channel.close()

    def _watch(self) -> None:
        """Ends a connection that is idle or has been open too long; looks again when that could be."""
        now = self._now()
        idle, age = now - self.last_active, now - self.connected_at
        if idle >= self._idle or age >= self._longest:
            self.close(GOING_AWAY, "Going away")
            return
        wait = min(self._idle - idle, self._longest - age)
        self._timer = asyncio.get_running_loop().call_later(max(wait, 0.1), self._watch)
