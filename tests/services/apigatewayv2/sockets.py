"""A WebSocket client of the tests: a plain socket, and wsproto for what goes over it."""

import json
import socket
import ssl
from collections import deque
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Message,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

TIMEOUT = 60.0
FRAME = 32 * 1024


class Refused(Exception):
    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {body!r}")
        self.status, self.body = status, body


class Client:
    """Connected when it is made. Raises Refused when the handshake is answered with anything but 101."""

    def __init__(
        self,
        url: str,
        headers: dict[str, str] | None = None,
        host: str | None = None,
        protocols: tuple[str, ...] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=TIMEOUT)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=host)
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.come: deque[Any] = deque()
        self.text = ""
        self.data = b""
        self.protocol: str | None = None
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        extra = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        request = Request(host=host or parts.netloc, target=target, extra_headers=extra, subprotocols=list(protocols))
        self.socket.sendall(self.ws.send(request))
        status, body = 0, b""
        while True:
            for event in self._events():
                if isinstance(event, AcceptConnection):
                    self.protocol = event.subprotocol
                    return
                if isinstance(event, RejectConnection):
                    status = event.status_code
                    if not event.has_body:
                        raise Refused(status, b"")
                if isinstance(event, RejectData):
                    body += bytes(event.data)
                    if event.body_finished:
                        raise Refused(status, body)

    def _events(self) -> Iterator[Any]:
        """What has come, one at a time: what is not taken is there the next time."""
        while True:
            while self.come:
                yield self.come.popleft()
            self.come.extend(self.ws.events())
            if not self.come:
                self.ws.receive_data(self.socket.recv(65536) or None)

    def send(self, message: Any, frame: int = FRAME) -> None:
        """A text, bytes, or anything else as JSON, in frames of at most so many characters."""
        data = message if isinstance(message, bytes | str) else json.dumps(message)
        for at in range(0, len(data) or 1, frame):
            last = at + frame >= len(data)
            part = data[at : at + frame]
            event: Message[Any] = (
                BytesMessage(data=part, message_finished=last) if isinstance(part, bytes) else TextMessage(data=part, message_finished=last)
            )
            self.socket.sendall(self.ws.send(event))

    def next(self) -> Any:
        """The next message whole, a Pong, or (code, reason) of the end."""
        while True:
            for event in self._events():
                if isinstance(event, TextMessage):
                    self.text += event.data
                    if event.message_finished:
                        whole, self.text = self.text, ""
                        return whole
                elif isinstance(event, BytesMessage):
                    self.data += bytes(event.data)
                    if event.message_finished:
                        data, self.data = self.data, b""
                        return data
                elif isinstance(event, CloseConnection):
                    return int(event.code), event.reason
                elif isinstance(event, Pong):
                    return event

    def json(self) -> Any:
        return json.loads(self.next())

    def ping(self) -> None:
        self.socket.sendall(self.ws.send(Ping(b"p")))

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.socket.sendall(self.ws.send(CloseConnection(code=code, reason=reason)))

    def __del__(self) -> None:
        self.socket.close()

    def vanish(self) -> None:
        """Goes without a word."""
        self.socket.close()
