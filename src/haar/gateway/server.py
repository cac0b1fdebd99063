"""HTTP/1.1 over httptools: reads requests, hands them to a handler one at a time a connection, writes what comes back.

Bounds: a head of MAX_HEAD bytes, a body of MAX_BODY, READ_SECONDS for a request to arrive whole, IDLE_SECONDS between requests.
Our own instead of an ASGI server because a request on the hot paths costs less than the layers of one (ARCHITECTURE.md has the figures).
"""

import asyncio
import contextlib
import ctypes
import logging
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol, cast

import httptools

from haar.clock import Clock
from haar.eager import drive
from haar.wire.http import Request, Response, Takeover

MAX_HEAD = 64 * 1024
MAX_BODY = 70_167_211
"""What Lambda takes in one request: a package of 50 MB in base64."""
MAX_HELD = 512 * 1024 * 1024
"""Bytes of large bodies on all connections together; whoever sends more is told to come back. Nobody has signed for them yet."""
MUCH_HELD = 32 * 1024 * 1024
LARGE_BODY = 256 * 1024
WHOLE_BODY = 4 * 1024 * 1024
"""A body of more is gathered in a bytearray and stays in it: copying 60 MB takes as long as a hundred requests."""
MAX_WAITING = 16
"""Pipelined requests of one connection that wait for the one under way; beyond it, reading stops."""
MAX_OF_ENVIRONMENT = 300
"""Connections of one execution environment, by plain HTTP and again by TLS; more are hung up on."""
READ_SECONDS = 60.0
IDLE_SECONDS = 120.0
SWEEP_SECONDS = 5.0
LINGER_SECONDS = 10.0
"""How long what a refused client is still sending is read and dropped: hanging up at once would take the refusal from it."""
WRITE_HIGH = 1024 * 1024

Handler = Callable[[Request], Awaitable[Response]]

log = logging.getLogger("haar.server")

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_NO_BODY = frozenset({101, 204, 304})


class Peer(Protocol):
    """A connection, of whatever version of HTTP."""

    def finish(self) -> None:
        """Takes no more requests; closes when nothing is under way."""
        ...

    def abort(self) -> None: ...

    def hang_up_if_late(self, now: float) -> None:
        """Called every SWEEP_SECONDS."""
        ...


class Listener(Protocol):
    """Something that makes connections of its own (HTTPS)."""

    def close(self) -> None: ...


class Server:
    """All listeners and connections of a platform."""

    def __init__(self, handler: Handler, clock: Clock, purpose: Callable[[Request], str] = lambda _: "") -> None:
        """`purpose` says what a request is for that is refused by its head: ` for the X operation`, or nothing."""
        self.handler = handler
        self.purpose = purpose
        self.clock = clock
        self.connections: set[Peer] = set()
        self._listeners: set[Listener] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self.held = 0
        """Bytes of large bodies that are arriving or being answered."""
        self.held_much = False
        """Whether there have been so many that their memory is worth giving back."""
        self._date = ("", 0)
        self._arrived: list[tuple[Connection, Request, bool, bool]] = []
        self._unsent: list[Connection] = []
        self._empty: asyncio.Event | None = None
        self.closing = False

    async def listen(self, host: str, port: int) -> int:
        """Listens on an address; the port (of use when 0 was asked for). Raises OSError when it is taken."""
        loop = asyncio.get_running_loop()
        self._sweeper = self._sweeper or loop.create_task(self._sweep())
        server = await loop.create_server(lambda: Connection(self, None), host, port, backlog=1024, reuse_address=True)
        self._listeners.add(Listening(self, server))
        return int(server.sockets[0].getsockname()[1])

    def attach(self, listening: socket.socket, environment: str) -> "Listening":
        """Serves an execution environment on its own listening socket; its requests carry the environment's id."""
        listener = Listening(self, None)
        self._listeners.add(listener)

        async def begin() -> None:
            loop = asyncio.get_running_loop()
            listener.server = await loop.create_server(few(self, lambda: Connection(self, environment)), sock=listening)
            if listener.closed:
                listener.server.close()

        listener.starting = asyncio.get_running_loop().create_task(begin())
        return listener

    async def stop(self, grace: float) -> None:
        """Takes no more requests, gives those under way `grace` seconds, then hangs up."""
        self.closing = True
        for listener in list(self._listeners):
            listener.close()
        for connection in list(self.connections):
            connection.finish()
        if self.connections:
            self._empty = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), grace)
        for connection in list(self.connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def answer_soon(self, connection: "Connection", request: Request, keep: bool, old: bool) -> None:
        """Has the request answered once all that have arrived in this turn of the loop are read.

        Reading all, then answering all, then sending all keeps the kernel's code out from among ours: a third more GetItem a second and up.
        """
        if not self._arrived:
            asyncio.get_running_loop().call_soon(self._answer_all)
        self._arrived.append((connection, request, keep, old))

    def _answer_all(self) -> None:
        arrived, self._arrived = self._arrived, []
        for connection, request, keep, old in arrived:
            try:
                connection.answer(request, keep, old)
            except Exception:  # the others that have arrived with it are answered all the same
                log.exception("answering %s %s", request.method, request.path)
                connection.abort()
        self._send_all()

    def send_soon(self, connection: "Connection") -> None:
        """Has the connection's answers sent at the end of this turn of the loop, with those of the others that are ready."""
        if not self._unsent and not self._arrived:
            asyncio.get_running_loop().call_soon(self._send_all)
        self._unsent.append(connection)

    def _send_all(self) -> None:
        unsent, self._unsent = self._unsent, []
        for connection in unsent:
            connection.push()

    def date_header(self) -> str:
        second = int(self.clock.now())
        if self._date[1] != second:
            self._date = (f"Date: {formatdate(second, usegmt=True)}\r\n", second)
        return self._date[0]

    def watch(self, listener: Listener) -> None:
        """Has a listener closed when the platform stops."""
        self._listeners.add(listener)

    def forget(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    def gone(self, connection: Peer) -> None:
        self.connections.discard(connection)
        if self._empty is not None and not self.connections:
            self._empty.set()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = asyncio.get_running_loop().time()
            for connection in list(self.connections):
                connection.hang_up_if_late(now)
            if self.held_much and not self.held:
                self.held_much = False
                await asyncio.to_thread(give_back_memory)


def give_back_memory() -> None:
    """Gives what was freed back to the system, where the C library does not by itself (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def few(server: Server, make: "Callable[[], Connection]") -> Callable[[], asyncio.Protocol]:
    """Makes connections, of which no more than MAX_OF_ENVIRONMENT are there at once."""
    made: set[Connection] = set()

    def one() -> asyncio.Protocol:
        if len(made) >= MAX_OF_ENVIRONMENT:
            made.intersection_update(server.connections)
            if len(made) >= MAX_OF_ENVIRONMENT:
                return HungUp()
        connection = make()
        made.add(connection)
        return connection

    return one


class HungUp(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()


class Listening:
    """One listening socket."""

    def __init__(self, owner: Server, server: asyncio.Server | None) -> None:
        self.owner = owner
        self.server = server
        self.starting: asyncio.Task[None] | None = None
        self.closed = False

    def close(self) -> None:
        self.closed = True
        self.owner.forget(self)
        if self.server is not None:
            self.server.close()


class Connection(asyncio.Protocol):
    """One client. Callbacks of the parser gather a request; complete ones are answered in order."""

    __slots__ = (
        "_arriving", "_body", "_busy", "_early", "_gathered", "_head_size", "_held", "_lingering", "_pairs", "_resume", "_server", "_since",
        "_size", "_taken", "_transport", "_unsent", "_url", "_waiting", "client", "closing", "environment", "parser", "secure",
    )  # fmt: skip

    def __init__(self, server: Server, environment: str | None) -> None:
        self._server = server
        self.environment = environment
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[Request, bool, bool]] = deque()
        self._unsent: list[bytes] = []
        self._busy = False
        self._resume: asyncio.Event | None = None
        self._since = 0.0
        self._arriving = False
        self._lingering = False
        self._early = b""
        self._taken: Takeover | None = None
        self._held = 0
        self.closing = False
        self.client = ""
        self.secure = False
        self._begin()

    # the transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self._transport = transport
        self.parser = httptools.HttpRequestParser(self)
        peer = transport.get_extra_info("peername")
        self.client = peer[0] if isinstance(peer, tuple) else "127.0.0.1"
        self.secure = transport.get_extra_info("ssl_object") is not None
        self._since = asyncio.get_running_loop().time()
        transport.set_write_buffer_limits(WRITE_HIGH)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.gone(self)
        self._transport = None
        self.closing = True
        self._waiting.clear()
        self._let_go()
        self._begin()  # this and the parser are a cycle, which would keep what had arrived until it is found
        if self._resume is not None:
            self._resume.set()
        if self._taken is not None:
            self._taken.lost()

    def data_received(self, data: bytes) -> None:
        if self._taken is not None:
            self._taken.received(data)
            return
        if self._lingering:
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # The request is being answered. What follows it waits for whoever takes over, or is dropped.
            self._early = data[upgrade.args[0] :]
            if self._transport is not None and not self._transport.is_closing() and self._taken is None:
                self._transport.pause_reading()
        except _TooLarge as error:
            self._refuse(error.status, str(error))
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, _TooLarge):
                self._refuse(cause.status, str(cause))
            else:
                self._refuse(400, "Bad Request")

    def eof_received(self) -> bool:
        """A half-closed client still gets its answers: the connection goes when they are written."""
        self.closing = True
        self.push()
        return self._taken is None and (self._busy or bool(self._waiting))

    def pause_writing(self) -> None:
        self._resume = asyncio.Event()

    def resume_writing(self) -> None:
        if self._resume is not None:
            self._resume.set()
            self._resume = None

    # the parser's callbacks

    def _begin(self) -> None:
        self._url = b""
        self._pairs: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._gathered: bytearray | None = None
        self._size = 0
        self._head_size = 0

    def on_message_begin(self) -> None:
        self._begin()
        self._arriving = True
        if not self._busy:
            self._since = asyncio.get_running_loop().time()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._pairs.append((name, value))
        self._count_head(len(name) + len(value) + 4)

    def _count_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > MAX_HEAD:
            raise _TooLarge(431, "Request header fields are too large")

    def on_headers_complete(self) -> None:
        for name, value in self._pairs:
            if len(name) == 6 and name.lower() == b"expect" and value.lower() == b"100-continue" and self._transport is not None:
                self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif len(name) == 14 and name.lower() == b"content-length" and value.isdigit() and int(value) > MAX_BODY:
                raise _TooLarge(413, f"Request must be smaller than {MAX_BODY} bytes{self._server.purpose(self._request(b''))}")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > LARGE_BODY:
            self._hold(len(body))
        if self._size > WHOLE_BODY:
            if self._gathered is None:
                self._gathered = bytearray().join(self._body)
                self._body.clear()
            self._gathered += body
        else:
            self._body.append(body)

    def _hold(self, size: int) -> None:
        if self._size > MAX_BODY:
            raise _TooLarge(413, f"Request must be smaller than {MAX_BODY} bytes{self._server.purpose(self._request(b''))}")
        self._held += size
        self._server.held += size
        if self._server.held > MUCH_HELD:
            self._server.held_much = True
        if self._server.held > MAX_HELD:
            raise _TooLarge(503, "Too much is being sent at once")

    def _let_go(self) -> None:
        self._server.held -= self._held
        self._held = 0

    def on_message_complete(self) -> None:
        self._arriving = False
        if self.closing:
            return
        body: bytes = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        if self._gathered is not None:
            body, self._gathered = cast(bytes, self._gathered), None
        request = self._request(body)
        keep = self.parser.should_keep_alive() and not self.parser.should_upgrade()
        old = self.parser.get_http_version() == "1.0"
        if self._busy:
            self._waiting.append((request, keep, old))
            if len(self._waiting) >= MAX_WAITING and self._transport is not None:
                self._transport.pause_reading()
        else:
            self._busy = True
            self._server.answer_soon(self, request, keep, old)

    def _request(self, body: bytes) -> Request:
        path, _, query = self._url.decode("latin-1").partition("?")
        if path.startswith(("http://", "https://")):  # absolute form, as a proxy's client sends it
            path = "/" + path.split("://", 1)[1].partition("/")[2]
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._pairs]
        headers: dict[str, str] = {}
        for name, value in pairs:
            lower = name.lower()
            headers[lower] = f"{headers[lower]},{value}" if lower in headers else value
        return Request(self.parser.get_method().decode(), path, query, pairs, headers, body, self.client, self.secure, self.environment)

    # answering

    def answer(self, request: Request, keep: bool, old: bool) -> None:
        """`old` is HTTP/1.0: it must be told that the connection stays, and knows no chunks."""
        self._busy = True
        drive(self._server.handler(request), lambda response, error: self._answered(request, keep, old, response, error))

    def _answered(self, request: Request, keep: bool, old: bool, response: Response | None, error: BaseException | None) -> None:
        if response is None:
            log.error("unhandled error answering %s %s", request.method, request.path, exc_info=error)
            response = Response(500, [("Content-Type", "application/json")], b'{"message":"Internal Server Error"}')
        keep = keep and not self.closing and not self._server.closing
        if self._transport is None:
            self._busy = False
            if response.takeover is not None:
                response.takeover.lost()
            return
        if response.takeover is not None:
            self._hand_over(response, response.takeover)
        elif isinstance(response.body, bytes):
            if old and keep:
                response.headers.append(("Connection", "keep-alive"))
            self._write(request, response, response.body, keep)
            self._next(keep)
        else:
            asyncio.get_running_loop().create_task(self._stream(response, response.body, keep and not old, chunked=not old))

    def _hand_over(self, response: Response, taken: Takeover) -> None:
        """The connection speaks another protocol from now on; it counts as busy until it is gone."""
        assert self._transport is not None
        self._taken = taken
        self._send(("".join(self._head(response, True)) + "\r\n").encode("latin-1", "replace"))
        taken.connected(self._transport)
        if self._early:
            early, self._early = self._early, b""
            taken.received(early)
        if not self._transport.is_closing():
            self._transport.resume_reading()
        if self._server.closing:
            taken.shutdown()

    def _write(self, request: Request | None, response: Response, body: bytes, keep: bool) -> None:
        head = self._head(response, keep)
        if response.status not in _NO_BODY:
            head.append(f"Content-Length: {len(body)}\r\n\r\n")
        else:
            head.append("\r\n")
            body = b""
        if request is not None and request.method == "HEAD":
            body = b""
        data = "".join(head).encode("latin-1", "replace") + body
        if keep:
            self._unsent.append(data)
            self._server.send_soon(self)
        else:
            self._send(data)

    def _head(self, response: Response, keep: bool) -> list[str]:
        status = response.status
        head = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n", self._server.date_header()]
        for name, value in response.headers:
            if "\n" in value or "\r" in value or "\n" in name or "\r" in name or ":" in name:
                continue  # a header that would split the response is not sent
            head.append(f"{name}: {value}\r\n")
        if not keep:
            head.append("Connection: close\r\n")
        return head

    async def _stream(self, response: Response, body: AsyncIterator[bytes], keep: bool, *, chunked: bool) -> None:
        """In chunks (or up to the end of the connection), at the client's speed.

        A source that fails ends the connection without the last chunk, so that the client knows.
        """
        head = self._head(response, keep)
        head.append("Transfer-Encoding: chunked\r\n\r\n" if chunked else "\r\n")
        try:
            self._send("".join(head).encode("latin-1", "replace"))
            async for part in body:
                if self._transport is None:
                    break
                if part:
                    self._send(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
                if self._resume is not None:
                    await self._resume.wait()
            if chunked:
                self._send(b"0\r\n\r\n")
            self._next(keep)
        except Exception:
            log.exception("a streamed response broke off")
            self.abort()
        finally:
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self.push()
            self._transport.write(data)

    def push(self) -> None:
        """Writes the answers that wait for the end of the turn."""
        if self._unsent:
            data, self._unsent = self._unsent, []
            if self._transport is not None and not self._transport.is_closing():
                self._transport.write(data[0] if len(data) == 1 else b"".join(data))

    def _next(self, keep: bool) -> None:
        self._busy = False
        self._since = asyncio.get_running_loop().time()
        if self._held and not self._waiting and not self._arriving:
            self._let_go()
        if self._waiting:
            request, keep_next, old = self._waiting.popleft()
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()
            asyncio.get_running_loop().call_soon(self.answer, request, keep_next, old)
            self._busy = True
        elif not keep and self._transport is not None:
            self.push()
            self._transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """Answers what is no request, says that no more is answered, and drops what still comes; the sweeper hangs up in the end.

        When earlier requests are under way, theirs are the last answers.
        """
        if self._transport is None or self.closing:
            return
        self.closing = self._lingering = True
        self._begin()
        self._let_go()
        self._arriving = False
        if self._busy:
            return
        headers = [("Content-Type", "application/json")]
        if status == 413:
            headers.append(("x-amzn-ErrorType", "RequestEntityTooLargeException"))
        self._since = asyncio.get_running_loop().time()
        self._write(None, Response(status, headers), b'{"message":"%b"}' % message.encode(), False)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    # ending

    def finish(self) -> None:
        """Closes when nothing is under way."""
        self.closing = True
        if self._taken is not None:
            self._taken.shutdown()
        elif not self._busy and self._transport is not None:
            self.push()
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def hang_up_if_late(self, now: float) -> None:
        if self._busy or self._transport is None:
            return
        bound = LINGER_SECONDS if self._lingering else READ_SECONDS if self._arriving else IDLE_SECONDS
        if now - self._since > bound:
            self._transport.close()


class _TooLarge(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
