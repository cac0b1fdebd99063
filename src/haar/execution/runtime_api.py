"""The Runtime API (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), served to one environment on its own socket."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Protocol

import httptools

from haar.execution.contract import Sink

PREFIX = "/2018-06-01/runtime/"
RESPONSE_BYTES = 6_291_556
"""6 MB and what AWS adds for the envelope."""
STREAMED_BYTES = 20 << 20
"""Of a streamed response that is gathered for a caller who wants it whole."""
SINK_BYTES = 200 << 20
"""Of one that is handed on while it comes."""
HEADER_BYTES = 1_300_000
"""The X-Ray cause of an error may have one megabyte."""
CONNECTIONS = 40
"""A runtime's and those of ten extensions."""
SMALL_BYTES = 16_384
"""Of a body that every connection may have."""
OURS = (b"lambda-runtime-function-", b"lambda-extension-")
"""The headers that are looked at."""
STATUS = {200: "OK", 202: "Accepted", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 413: "Request Entity Too Large"}
ACCEPTED = b'{"status":"OK"}\n'


@dataclass(slots=True)
class Event:
    """An invocation on its way to a runtime."""

    request_id: str
    payload: bytes
    deadline_ms: int
    invoked_arn: str
    trace_id: str | None = None
    client_context: str | None = None
    sink: Sink | None = None
    """Where a streamed response goes; None when it is gathered."""


@dataclass(slots=True)
class Posted:
    """What a runtime posts."""

    path: str = ""
    method: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    size: int = 0
    content_type: str = ""
    sink: Sink | None = None

    @property
    def streamed(self) -> bool:
        return self.headers.get("lambda-runtime-function-response-mode", "").lower() == "streaming"

    @property
    def limit(self) -> int:
        return SINK_BYTES if self.sink is not None else STREAMED_BYTES if self.streamed else RESPONSE_BYTES

    @property
    def too_large(self) -> bool:
        return self.size > self.limit


class Receiver(Protocol):
    """An environment, as its Runtime API sees it."""

    def next(self, connection: "Connection") -> None:
        """The runtime waits; `connection.deliver` gives it an event, now or later."""
        ...

    def stream(self, connection: "Connection", path: str, content_type: str) -> Sink | None:
        """Where the streamed response that begins goes; None when it is gathered."""
        ...

    def responded(self, request_id: str, posted: Posted) -> bool:
        """False when that is not the invocation that runs."""
        ...

    def failed(self, request_id: str, posted: Posted) -> bool: ...

    def init_failed(self, posted: Posted) -> bool:
        """False when it is initialised already."""
        ...

    def other(self, connection: "Connection", posted: Posted) -> bool:
        """A request of another API; False when it is of none."""
        ...

    def gone(self, connection: "Connection") -> None: ...

    connections: int
    posting: "Connection | None"
    """The one connection whose large body is kept, the latest: an environment cannot make haar hold several."""


class Connection(asyncio.Protocol):
    """One connection from inside an environment."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._posted = Posted()
        self._header_bytes = 0
        self._waiting = False
        self._owed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is none by class
        self._receiver.connections += 1
        if self._receiver.connections > CONNECTIONS:
            transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._receiver.connections -= 1
        self._release()
        self._receiver.gone(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self._transport is not None:
                self._transport.close()

    def on_message_begin(self) -> None:
        self._posted = Posted()
        self._header_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._posted.path += url.decode("latin-1")
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        if (lower := name.lower()).startswith(OURS):
            self._posted.headers[lower.decode("latin-1")] = value.decode("utf-8", "replace")
        elif lower == b"content-type":
            self._posted.content_type = value.decode("latin-1")

    def _count(self, length: int) -> None:
        self._header_bytes += length
        if self._header_bytes > HEADER_BYTES and self._transport is not None:
            self._transport.close()

    def on_headers_complete(self) -> None:
        posted = self._posted
        posted.method = self._parser.get_method().decode()
        if posted.method == "POST" and posted.streamed:
            posted.sink = self._receiver.stream(self, posted.path, posted.content_type)

    def on_body(self, data: bytes) -> None:
        posted = self._posted
        if posted.sink is not None:
            posted.size += len(data)
            if not posted.too_large:
                posted.sink.write(data)
            return
        small = posted.size <= SMALL_BYTES
        posted.size += len(data)
        if small and posted.size > SMALL_BYTES:
            self._receiver.posting = self
        if posted.size > SMALL_BYTES and self._receiver.posting is not self:
            posted.body.clear()
        elif not posted.too_large:
            posted.body += data

    def on_message_complete(self) -> None:
        posted = self._posted
        if posted.size > SMALL_BYTES and posted.sink is None and self._receiver.posting is not self:
            return self.refuse(403, "State transition is not allowed", "InvalidStateTransition")
        self._release()
        path = posted.path.removeprefix(PREFIX)
        if path == posted.path:
            return None if self._receiver.other(self, posted) else self.refuse(404, "Not found", "")
        if posted.method == "GET" and path == "invocation/next":
            self._waiting = True
            return self._receiver.next(self)
        if posted.method == "GET" and path == "restore/next":
            return self.answer(200, b"")  # where there is no snapshot, nothing is restored
        if posted.method == "POST" and path in ("init/error", "restore/error"):
            return self.answer(202, ACCEPTED) if self._receiver.init_failed(posted) else self.refuse_transition("InitError")
        what, _, rest = path.partition("/")
        request_id, _, verb = rest.partition("/")
        if posted.method != "POST" or what != "invocation" or verb not in ("response", "error"):
            return self.refuse(404, "Not found", "")
        known = (self._receiver.responded if verb == "response" else self._receiver.failed)(request_id, posted)
        if not known:
            return self.refuse(400, "Invalid request ID", "InvalidRequestID")
        if posted.too_large:
            message = f"Exceeded maximum allowed payload size ({posted.limit} bytes)."
            return self.refuse(413, message, "RequestEntityTooLarge")
        # The caller comes first: its task, woken by now, runs before this.
        self._owed = True
        asyncio.get_running_loop().call_soon(self._pay)
        return None

    def pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def _release(self) -> None:
        if self._receiver.posting is self:
            self._receiver.posting = None

    def _pay(self) -> None:
        """Sends the answer that was put off; before any other on this connection."""
        if self._owed:
            self._owed = False
            self.answer(202, ACCEPTED)

    def deliver(self, event: Event) -> bool:
        """Gives the waiting runtime its next event; False when it is gone."""
        if self._transport is None or not self._waiting:
            return False
        self._waiting = False
        self._pay()
        lines = [
            "HTTP/1.1 200 OK",
            "Content-Type: application/json",
            f"Lambda-Runtime-Aws-Request-Id: {_clean(event.request_id)}",
            f"Lambda-Runtime-Deadline-Ms: {event.deadline_ms}",
            f"Lambda-Runtime-Invoked-Function-Arn: {_clean(event.invoked_arn)}",
        ]
        if event.trace_id:
            lines.append(f"Lambda-Runtime-Trace-Id: {_clean(event.trace_id)}")
        if event.client_context:
            lines.append(f"Lambda-Runtime-Client-Context: {_clean(event.client_context)}")
        lines.append(f"Content-Length: {len(event.payload)}\r\n\r\n")
        self._transport.write("\r\n".join(lines).encode() + event.payload)
        return True

    def answer(self, status: int, body: bytes, headers: str = "") -> None:
        if self._transport is not None:
            head = f"HTTP/1.1 {status} {STATUS[status]}\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
            self._transport.write(head.encode() + body)

    def accept(self) -> None:
        self.answer(202, ACCEPTED)

    def suspend(self) -> None:
        """The answer comes later: `hand_out`."""
        self._waiting = True

    def hand_out(self, data: bytes, headers: str) -> bool:
        """Gives a waiting extension its next event; False when it is gone."""
        if self._transport is None or not self._waiting:
            return False
        self._waiting = False
        self.answer(200, data, headers)
        return True

    def too_early(self) -> None:
        """The runtime asks for work while it has some."""
        self._waiting = False
        self.refuse_transition("Ready")

    def refuse_transition(self, state: str) -> None:
        """What a runtime that has an invocation may not become."""
        message = f"State transition from Running to {state} failed for runtime. Error: State transition is not allowed"
        self.refuse(403, message, "InvalidStateTransition")

    def refuse(self, status: int, message: str, kind: str) -> None:
        self._pay()
        self.answer(status, json.dumps({"errorMessage": message, "errorType": kind}, separators=(",", ":")).encode() + b"\n")


def _clean(value: str) -> str:
    """A header's value: what a caller sent must not end the line."""
    return value.replace("\r", " ").replace("\n", " ")
