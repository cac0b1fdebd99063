"""HTTP/2 over h2: the streams of a connection are answered side by side, each as its client's windows let it.

Bounds: MAX_STREAMS open and MAX_RUNNING being answered, heads of MAX_HEAD bytes, bodies as in HTTP/1.1, MAX_RESETS and MAX_CONTROL within a
sweep, and the times of HTTP/1.1. Who goes beyond what only an attack needs is hung up on.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, cast

import h2.events as events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame

from haar.eager import drive
from haar.gateway.server import IDLE_SECONDS, MAX_BODY, MAX_HEAD, MAX_HELD, MUCH_HELD, READ_SECONDS, Server
from haar.wire.http import ClientCertificate, Request, Response

MAX_STREAMS = 128
"""Streams that a client may have open at once."""
MAX_RUNNING = 256
"""Requests of a connection that are being answered, those whose client has already reset them among them."""
MAX_RESETS = 500
"""Streams that a client may reset between two sweeps."""
MAX_CONTROL = 5000
"""Frames that carry nothing (PING, SETTINGS, PRIORITY, empty DATA) between two sweeps."""
STREAM_WINDOW = 1024 * 1024
CONNECTION_WINDOW = 8 * 1024 * 1024
MAX_UNREAD = 8 * 1024 * 1024
"""Bytes that wait for a client that does not read, beyond which it is hung up on."""
WRITE_HIGH = 1024 * 1024
WRITE_SECONDS = 60.0
"""How long an answer may wait for a client that takes nothing of it."""

_OF_THE_CONNECTION = frozenset(("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"))
_NO_BODY = frozenset((204, 304))
_FAILED = b'{"message":"Internal Server Error"}'

log = logging.getLogger("haar.server")

Headers = list[tuple[str, str]]


class _Protocol(H2Connection):
    """h2's, that goes on with what a client had asked for before it said that it will ask no more."""

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[events.Event]]:
        if frame.error_code != ErrorCodes.NO_ERROR:
            return super()._receive_goaway_frame(frame)
        said = events.ConnectionTerminated()
        said.error_code, said.last_stream_id = ErrorCodes.NO_ERROR, frame.last_stream_id
        return [], [said]


class _Stream:
    """One request and its answer."""

    __slots__ = ("answering", "body", "head", "held", "id", "last", "out", "pairs", "since", "size", "taken", "task")

    def __init__(self, id: int, head: dict[str, str], pairs: Headers, now: float) -> None:
        self.id = id
        self.head = head
        """The pseudo-headers."""
        self.pairs = pairs
        self.since = now
        """When it began, or when something of its answer was last sent."""
        self.body: list[bytes] = []
        self.size = 0
        self.held = 0
        self.answering = False
        self.out: memoryview = memoryview(b"")
        """What of its answer waits for the windows."""
        self.last = False
        """Whether `out` is the end of the answer."""
        self.taken: asyncio.Event | None = None
        """Set when `out` has gone, for a source that waits to give more."""
        self.task: asyncio.Task[None] | None = None


class Http2Connection(asyncio.Protocol):
    """One client that speaks HTTP/2."""

    def __init__(self, server: Server, certificate: ClientCertificate | None) -> None:
        self._server = server
        self._certificate = certificate
        self._transport: asyncio.Transport | None = None
        self._streams: dict[int, _Stream] = {}
        self._running = 0
        self._resets = self._control = 0
        self._paused = self._flushing = self._closing = self._hung_up = False
        self._last_id = 0
        self._since = 0.0
        self.client = ""
        self._conn = _Protocol(
            H2Configuration(client_side=False, header_encoding="latin-1", validate_outbound_headers=False, normalize_outbound_headers=False)
        )
        bounds = {
            SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
            SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEAD,
        }
        self._conn.local_settings = Settings(client=False, initial_values=bounds)
        self._conn.decoder.max_header_list_size = MAX_HEAD
        self._on: dict[type, Callable[[Any], None]] = {
            events.RequestReceived: self._request,
            events.DataReceived: self._data,
            events.StreamEnded: self._ended,
            events.StreamReset: self._was_reset,
            events.WindowUpdated: self._nothing,
            events.RemoteSettingsChanged: self._controlled,
            events.PingReceived: self._controlled,
            events.PriorityUpdated: self._controlled,
            events.UnknownFrameReceived: self._controlled,
            events.ConnectionTerminated: self._terminated,
        }

    # the transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.client = peer[0] if isinstance(peer, tuple) else "127.0.0.1"
        transport.set_write_buffer_limits(WRITE_HIGH)
        self._since = asyncio.get_running_loop().time()
        self._server.connections.add(self)
        self._conn.initiate_connection()
        self._conn.increment_flow_control_window(CONNECTION_WINDOW - 65_535)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._closing = True
        for stream in list(self._streams.values()):
            self._drop(stream)
        self._on.clear()  # this and its methods are a cycle
        self._server.gone(self)

    def data_received(self, data: bytes) -> None:
        self._flushing = True  # once, at the end
        try:
            received = self._conn.receive_data(data)
        except ProtocolError as error:
            log.debug("a client broke HTTP/2: %s", error)
            self._hang_up()
            return
        for event in received:
            handle = self._on.get(type(event))
            if handle is not None and not self._hung_up:
                handle(event)
        self._pump()
        self._flushing = False
        self._flush()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._pump()
        self._flush()

    # what a client sends

    def _nothing(self, event: Any) -> None:
        """Windows are looked at when all that has arrived is read."""

    def _controlled(self, event: Any) -> None:
        self._control += 1
        if self._control > MAX_CONTROL:
            self._attacked()

    def _terminated(self, event: Any) -> None:
        self._closing = True
        if not self._streams:
            self._end()

    def _request(self, event: events.RequestReceived) -> None:
        now = asyncio.get_running_loop().time()
        self._last_id = event.stream_id
        if self._closing or self._server.closing or self._running >= MAX_RUNNING:
            self._reset(event.stream_id, ErrorCodes.REFUSED_STREAM)
            return
        head, pairs = _read(cast("list[tuple[str, str]]", event.headers))
        stream = self._streams[event.stream_id] = _Stream(event.stream_id, head, pairs, now)
        path = head.get(":path", "")
        if not path.startswith(("/", "*")) or head[":method"] == "CONNECT" or any(one <= " " or one == "\x7f" for one in path):
            self._refuse(stream, 400, b'{"message":"Bad Request"}')
            return
        for name, value in pairs:
            if name == "content-length" and value.isdigit() and int(value) > MAX_BODY:
                self._refuse_size(stream)
            elif name == "expect" and value.lower() == "100-continue" and event.stream_ended is None and not stream.answering:
                self._send_head(stream, [(":status", "100")], end=False)

    def _data(self, event: events.DataReceived) -> None:
        if event.flow_controlled_length:
            self._conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if not event.data:
            self._controlled(event)
        stream = self._streams.get(event.stream_id)
        if stream is None or stream.answering or not event.data:
            return
        stream.size += len(event.data)
        stream.body.append(event.data)
        if stream.size > MAX_BODY:
            self._refuse_size(stream)
        else:
            self._hold(stream, len(event.data))

    def _hold(self, stream: _Stream, size: int) -> None:
        """Small bodies are counted, too: a connection may have many."""
        server = self._server
        stream.held += size
        server.held += size
        if server.held > MUCH_HELD:
            server.held_much = True
        if server.held > MAX_HELD:
            self._refuse(stream, 503, b'{"message":"Too much is being sent at once"}')

    def _ended(self, event: events.StreamEnded) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None or stream.answering:
            return
        stream.answering = True
        request = self._made(stream)
        stream.body.clear()
        self._running += 1
        drive(self._server.handler(request), partial(self._answered, stream, request))

    def _made(self, stream: _Stream) -> Request:
        """The request, as far as it has come."""
        path, _, query = stream.head[":path"].partition("?")
        headers: dict[str, str] = {}
        for name, value in stream.pairs:
            lower = name.lower()
            headers[lower] = f"{headers[lower]},{value}" if lower in headers else value
        body = b"".join(stream.body)
        return Request(stream.head[":method"], path, query, stream.pairs, headers, body, self.client, True, None, self._certificate)

    def _was_reset(self, event: events.StreamReset) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            self._drop(stream)
        self._resets += 1
        if self._resets > MAX_RESETS:
            self._attacked()

    # answering

    def _answered(self, stream: _Stream, request: Request, response: Response | None, error: BaseException | None) -> None:
        self._running -= 1
        if response is None:
            log.error("unhandled error answering %s %s", request.method, request.path, exc_info=error)
            response = Response(500, [("Content-Type", "application/json")], _FAILED)
        if response.takeover is not None:
            response.takeover.lost()  # what takes over a connection cannot have one that others share
        if stream.id not in self._streams or self._transport is None:
            if not isinstance(response.body, bytes):
                asyncio.get_running_loop().create_task(_close(response.body))
            return
        if response.takeover is not None:
            self._reset(stream.id, ErrorCodes.HTTP_1_1_REQUIRED)
        elif isinstance(response.body, bytes):
            self._answer(stream, request.method, response, response.body)
        else:
            stream.task = asyncio.get_running_loop().create_task(self._feed(stream, request.method, response, response.body))
        self._flush_soon()

    def _answer(self, stream: _Stream, method: str, response: Response, body: bytes) -> None:
        head = self._head(response)
        if response.status not in _NO_BODY:
            head.append(("content-length", str(len(body))))
        if not body or method == "HEAD" or response.status in _NO_BODY:
            if self._send_head(stream, head, end=True):
                self._finished(stream)
        elif self._send_head(stream, head, end=False):
            stream.out, stream.last = memoryview(body), True
            self._send(stream)

    def _head(self, response: Response) -> Headers:
        head = [(":status", str(response.status)), ("date", self._server.date_header()[6:-2])]
        for name, value in response.headers:
            lower = name.lower()
            if lower in _OF_THE_CONNECTION or lower == "content-length" or "\n" in value or "\r" in value or not lower.isascii():
                continue
            head.append((lower, value.strip()))
        return head

    def _send_head(self, stream: _Stream, head: Headers, *, end: bool) -> bool:
        # h2 writes text as UTF-8: bytes keep what is latin-1 as it is
        lines = [(name.encode(), value.encode("latin-1", "replace")) for name, value in head]
        try:
            self._conn.send_headers(stream.id, lines, end_stream=end)
        except ProtocolError:  # what has arrived with the request is the stream's reset
            self._drop(stream)
            return False
        return True

    def _send(self, stream: _Stream) -> bool:
        """One frame of the answer, if the windows let it through; whether there was one."""
        if self._paused:
            return False
        try:
            size = min(len(stream.out), self._conn.local_flow_control_window(stream.id), self._conn.max_outbound_frame_size)
            if size <= 0:
                return False
            end = stream.last and size == len(stream.out)
            self._conn.send_data(stream.id, bytes(stream.out[:size]), end_stream=end)
        except ProtocolError:
            self._drop(stream)
            return False
        stream.out = stream.out[size:]
        stream.since = asyncio.get_running_loop().time()
        if not stream.out and stream.taken is not None:
            stream.taken.set()
        if end:
            self._finished(stream)
        return True

    def _pump(self) -> None:
        """A frame of every answer that has something left, in turns, for as long as that goes."""
        waiting = [stream for stream in self._streams.values() if stream.out]
        while waiting and not self._paused:
            waiting = [stream for stream in waiting if self._send(stream) and stream.out]
            self._flush()

    async def _feed(self, stream: _Stream, method: str, response: Response, body: AsyncIterator[bytes]) -> None:
        """A streamed answer, at the client's speed. A source that fails resets the stream, so that the client knows."""
        stream.taken = taken = asyncio.Event()
        try:
            if not self._send_head(stream, self._head(response), end=False):
                return
            self._flush_soon()
            async for part in body:
                if not part or method == "HEAD":
                    continue
                taken.clear()
                stream.out = memoryview(part)
                self._pump()
                self._flush_soon()
                await taken.wait()
            self._conn.send_data(stream.id, b"", end_stream=True)
            self._finished(stream)
        except Exception:
            log.exception("a streamed response broke off")
            self._reset(stream.id, ErrorCodes.INTERNAL_ERROR)
        finally:
            stream.task = None
            self._flush_soon()
            await _close(body)

    def _refuse(self, stream: _Stream, status: int, message: bytes, *more: tuple[str, str]) -> None:
        """Answers a request before it has arrived whole; what still comes of it is dropped."""
        if not stream.answering:
            stream.answering = True
            stream.body.clear()
            self._answer(stream, "", Response(status, [("Content-Type", "application/json"), *more]), message)

    def _refuse_size(self, stream: _Stream) -> None:
        stream.body.clear()
        said = f"Request must be smaller than {MAX_BODY} bytes{self._server.purpose(self._made(stream))}"
        self._refuse(stream, 413, b'{"message":"%b"}' % said.encode(), ("x-amzn-ErrorType", "RequestEntityTooLargeException"))

    def _finished(self, stream: _Stream) -> None:
        self._forget(stream)
        self._since = asyncio.get_running_loop().time()
        if self._closing and not self._streams:
            asyncio.get_running_loop().call_soon(self._end)

    def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._forget(stream)
        try:
            self._conn.reset_stream(stream_id, code)
        except ProtocolError as error:
            log.debug("a stream was closed already: %s", error)

    def _drop(self, stream: _Stream) -> None:
        """The client is no longer there for this stream."""
        self._forget(stream)
        stream.out = memoryview(b"")
        if stream.task is not None:
            stream.task.cancel()

    def _forget(self, stream: _Stream) -> None:
        self._streams.pop(stream.id, None)
        self._server.held -= stream.held
        stream.held = 0

    # sending and ending

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush_now)

    def _flush_now(self) -> None:
        self._flushing = False
        self._pump()
        self._flush()

    def _flush(self) -> None:
        if self._transport is None:
            return
        data = self._conn.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)
            if self._transport.get_write_buffer_size() > MAX_UNREAD:
                self._transport.abort()

    def _attacked(self) -> None:
        log.warning("hung up on %s, which resets streams or sends empty frames faster than any client has to", self.client)
        try:
            self._conn.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
        except ProtocolError as error:
            log.debug("the connection is closed already: %s", error)
        self._hang_up()

    def _hang_up(self) -> None:
        self._closing = self._hung_up = True
        for stream in list(self._streams.values()):
            self._drop(stream)
        self._end()

    def _end(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._flush()
            self._transport.close()

    def finish(self) -> None:
        """Takes no more requests, says so, and closes when those under way are answered."""
        if self._transport is None or self._closing:
            return
        self._closing = True
        self._flush()
        self._transport.write(GoAwayFrame(0, last_stream_id=self._last_id, error_code=ErrorCodes.NO_ERROR).serialize())
        if not self._streams:
            self._end()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def hang_up_if_late(self, now: float) -> None:
        """Called by every sweep."""
        self._resets = self._control = 0
        if self._transport is None:
            return
        for stream in list(self._streams.values()):
            if not stream.answering and now - stream.since > READ_SECONDS:
                self._reset(stream.id, ErrorCodes.CANCEL)
            elif stream.out and now - stream.since > WRITE_SECONDS:
                self._drop(stream)
                self._reset(stream.id, ErrorCodes.CANCEL)
        if not self._streams and not self._running and now - self._since > IDLE_SECONDS:
            self.finish()
        self._flush()


def _read(headers: Headers) -> tuple[dict[str, str], Headers]:
    """The pseudo-headers, and the others as HTTP/1.1 has them: with Host, and with cookies in one."""
    head = {name: value for name, value in headers if name.startswith(":")}
    pairs = [(name, value) for name, value in headers if not name.startswith(":") and name != "cookie"]
    if authority := head.get(":authority"):
        pairs = [("Host", authority), *((name, value) for name, value in pairs if name != "host")]
    cookies = [value for name, value in headers if name == "cookie"]
    if cookies:
        pairs.append(("cookie", "; ".join(cookies)))
    return head, pairs


async def _close(body: AsyncIterator[bytes]) -> None:
    close = getattr(body, "aclose", None)
    if close is not None:
        await close()
