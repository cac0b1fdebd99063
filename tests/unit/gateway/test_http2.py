"""HTTPS and HTTP/2: streams side by side, flow control, bounds and bad clients, the certificate for a name."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame, PingFrame
from tests.support.http2 import Answer, Http2Client

from haar.clock import SystemClock
from haar.config import ConfigError
from haar.gateway import http2 as module
from haar.gateway.hello import NotTls, server_name
from haar.gateway.secure import Contexts, SecureListener
from haar.gateway.server import MAX_BODY, Server
from haar.tls import Authority
from haar.wire.http import Request, Response

T = TypeVar("T")


class Served:
    """A server with an HTTPS port, whose handler does what a path asks for."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority.ensure(directory)
        self.server = Server(self.handle, SystemClock())
        self.port = 0
        self.seen: list[Request] = []
        self.go = asyncio.Event()
        self.closed = 0
        self.trusted: dict[str, str] = {}

    async def listen(self, **given: str) -> None:
        async def truststore(name: str) -> str | None:
            return self.trusted.get(name)

        contexts = Contexts(self.authority, SystemClock(), truststore, **given)
        self.port = await SecureListener(self.server, contexts).listen("127.0.0.1", 0)

    async def handle(self, request: Request) -> Response:
        self.seen.append(request)
        if request.path == "/wait":
            await self.go.wait()
        if request.path == "/big":
            return Response(200, [], b"x" * 3_000_000)
        if request.path == "/fail":
            raise RuntimeError("a bug")
        if request.path in ("/stream", "/broken"):
            return Response(200, [("Content-Type", "text/plain")], self.parts(request.path == "/broken"))
        headers = [("X-Split", "a\r\nb: c"), ("Connection", "close"), ("X-Latin", "caf\xe9"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
        return Response(200, headers, f"{request.method} {request.path} {request.query} {len(request.body)} {request.secure}".encode())

    async def parts(self, broken: bool) -> AsyncIterator[bytes]:
        try:
            for _ in range(40):
                yield b"y" * 50_000
                await asyncio.sleep(0)
            if broken:
                raise RuntimeError("the source broke")
        finally:
            self.closed += 1

    async def run(self, work: Callable[[Http2Client], T], **client: Any) -> T:
        """Runs a client's work in a thread, on a connection of its own."""

        def whole() -> T:
            with Http2Client(self.port, self.authority.path, **client) as connected:
                return work(connected)

        return await asyncio.to_thread(whole)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    made = Served(tmp_path)
    await made.listen()
    yield made
    made.go.set()
    await made.server.stop(1)


async def test_a_request_and_its_answer(served: Served) -> None:
    answer = await served.run(lambda client: client.ask("/a?b=c", method="POST", headers={"cookie": "x=1", "x-y": "z"}, body=b"12345"))
    assert (answer.status, answer.body) == (200, b"POST /a b=c 5 True")
    assert answer.headers["x-latin"] == "caf\xe9" and answer.headers["content-length"] == "18" and "date" in answer.headers
    assert not {"x-split", "connection"} & set(answer.headers)
    seen = served.seen[0]
    assert seen.pairs[0] == ("Host", "localhost") and seen.headers["x-y"] == "z" and seen.headers["cookie"] == "x=1"
    assert seen.client == "127.0.0.1" and seen.certificate is None


async def test_streams_are_answered_side_by_side(served: Served) -> None:
    def work(client: Http2Client) -> list[bytes]:
        slow = client.begin("/wait")
        quick = [client.begin(f"/{number}") for number in range(50)]
        bodies = [answer.body for answer in client.finish(*quick)]
        assert not client.answers[slow].ended
        loop.call_soon_threadsafe(served.go.set)
        return [*bodies, client.finish(slow)[0].body]

    loop = asyncio.get_running_loop()
    found = await served.run(work)
    assert found == [*(f"GET /{number}  0 True".encode() for number in range(50)), b"GET /wait  0 True"]


async def test_large_bodies_both_ways_keep_to_the_windows(served: Served) -> None:
    def work(client: Http2Client) -> tuple[bytes, int, int]:
        sent = client.ask("/up", method="PUT", body=b"z" * 5_000_000)
        return sent.body, len(client.ask("/big").body), len(client.ask("/stream").body)

    assert await served.run(work) == (b"PUT /up  5000000 True", 3_000_000, 2_000_000)
    assert served.server.held == 0 and served.closed == 1


async def test_a_client_that_opens_no_window_waits_alone(served: Served) -> None:
    def work(client: Http2Client) -> int:
        big = client.begin("/big")
        while len(client.answers[big].body) < 65_535:
            client.read()
        assert not client.answers[big].ended
        client.conn.increment_flow_control_window(10_000_000)
        client.conn.increment_flow_control_window(10_000_000, big)
        client.flush()
        return len(client.finish(big)[0].body)

    assert await served.run(work, reading=False) == 3_000_000


async def test_what_fails_is_said_on_its_stream_only(served: Served) -> None:
    def work(client: Http2Client) -> list[Any]:
        broken, failed, head = client.ask("/broken"), client.ask("/fail"), client.ask("/big", method="HEAD")
        return [broken.reset, failed.status, failed.body, head.headers["content-length"], head.body, client.ask("/ok").status]

    found = await served.run(work)
    assert found == [ErrorCodes.INTERNAL_ERROR, 500, b'{"message":"Internal Server Error"}', "3000000", b"", 200]


async def test_a_body_larger_than_may_be_is_refused_at_its_head(served: Served) -> None:
    def work(client: Http2Client) -> tuple[int, str, bytes, int]:
        stream = client.begin("/", method="POST", headers={"content-length": str(MAX_BODY + 1)}, end=False)
        answer = client.finish(stream)[0]
        return answer.status, answer.headers["x-amzn-errortype"], answer.body, client.ask("/ok").status

    said = b'{"message":"Request must be smaller than %d bytes"}' % MAX_BODY
    assert await served.run(work) == (413, "RequestEntityTooLargeException", said, 200)
    assert [seen.path for seen in served.seen] == ["/ok"]


async def test_a_tunnel_is_refused_whatever_else_its_head_says(served: Served) -> None:
    def work(client: Http2Client) -> tuple[int, int]:
        stream_id = client.conn.get_next_available_stream_id()
        client.conn.config.validate_outbound_headers = False
        client.answers[stream_id] = Answer()
        head = [(":method", "CONNECT"), (":authority", client.name), ("content-length", "99999999999")]
        client.conn.send_headers(stream_id, head)
        client.flush()
        return client.finish(stream_id)[0].status, client.ask("/echo", method="POST", body=b"x").status

    assert await served.run(work) == (400, 200)


async def test_expect_100_continue(served: Served) -> None:
    def work(client: Http2Client) -> bytes:
        stream = client.begin("/", method="POST", headers={"expect": "100-continue"}, end=False)
        while not client.informed:
            client.read()
        client.send_body(stream, b"abc")
        return client.finish(stream)[0].body

    assert await served.run(work) == b"POST /  3 True"


async def test_a_reset_stops_the_source_of_an_answer(served: Served) -> None:
    def work(client: Http2Client) -> int:
        stream = client.begin("/stream")
        while not client.answers[stream].body:
            client.read()
        client.reset(stream)
        return client.ask("/ok").status

    assert await served.run(work, reading=False) == 200
    for _ in range(200):
        if served.closed:
            break
        await asyncio.sleep(0.01)
    assert served.closed == 1


async def test_resets_without_end_are_an_attack(served: Served) -> None:
    def work(client: Http2Client) -> int | None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            for _ in range(module.MAX_RESETS + 200):
                stream = client.conn.get_next_available_stream_id()
                client.conn.send_headers(
                    stream, [(":method", "GET"), (":path", "/wait"), (":scheme", "https"), (":authority", "a")], end_stream=True
                )
                client.reset(stream)
                client.flush()
        while client.read():
            pass
        return client.terminated

    # Or none: the client was still sending when the server hung up, and its network threw away what it had not read yet.
    assert await served.run(work) in (ErrorCodes.ENHANCE_YOUR_CALM, None)
    assert len(served.seen) <= module.MAX_RUNNING
    assert (await served.run(lambda client: client.ask("/ok"))).status == 200


async def test_frames_that_carry_nothing_are_an_attack(served: Served) -> None:
    def work(client: Http2Client) -> bool:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            for _ in range(module.MAX_CONTROL // 500 + 2):
                client.socket.sendall(PingFrame(0, opaque_data=b"12345678").serialize() * 500)
        while client.read():
            pass
        return True

    assert await served.run(work)
    assert (await served.run(lambda client: client.ask("/ok"))).status == 200


async def test_a_head_beyond_the_bound_ends_the_connection(served: Served) -> None:
    def work(client: Http2Client) -> bool:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            client.begin("/", headers={f"x-{number}": "v" * 8000 for number in range(12)})
        while client.read():
            pass
        return client.terminated is not None or True

    await served.run(work)
    assert served.seen == []


async def test_stopping_answers_what_is_under_way_and_takes_no_more(served: Served) -> None:
    def work(client: Http2Client) -> tuple[list[int], int | None]:
        client.begin("/wait")
        asyncio.run_coroutine_threadsafe(wait_for(lambda: bool(served.seen)), loop).result(20)
        stopping.append(asyncio.run_coroutine_threadsafe(served.server.stop(20), loop))
        while client.terminated is None:
            assert client.read()
        loop.call_soon_threadsafe(served.go.set)
        rest = b""  # h2's client takes nothing after GOAWAY: its frames are read by hand
        while data := client.socket.recv(65536):
            rest += data
        kinds = []
        while rest:
            kinds.append(rest[3])
            rest = rest[9 + int.from_bytes(rest[:3]) :]
        return kinds, client.terminated

    async def wait_for(done: Callable[[], bool]) -> None:
        while not done():
            await asyncio.sleep(0.01)

    loop, stopping = asyncio.get_running_loop(), []  # type: ignore[var-annotated]
    headers, data = 1, 0
    assert await served.run(work) == ([headers, data], ErrorCodes.NO_ERROR)
    await asyncio.wrap_future(stopping[0])


async def test_a_client_that_says_goodbye_gets_its_answers(served: Served) -> None:
    def work(client: Http2Client) -> tuple[list[int], bool]:
        under_way = [client.begin("/wait"), client.begin("/big")]
        client.socket.sendall(GoAwayFrame(0, last_stream_id=0).serialize())
        loop.call_soon_threadsafe(served.go.set)
        sizes = [len(answer.body) for answer in client.finish(*under_way)]
        return sizes, client.read()

    loop = asyncio.get_running_loop()
    assert await served.run(work) == ([17, 3_000_000], False)


async def test_late_requests_and_idle_connections_go(served: Served) -> None:
    def work(client: Http2Client) -> tuple[int | None, int | None]:
        stream = client.begin("/", method="POST", end=False)
        client.ask("/")  # answered after the first stream's headers were read: frames are taken in order
        loop.call_soon_threadsafe(sweep, module.READ_SECONDS + 1)
        reset = client.finish(stream)[0].reset
        loop.call_soon_threadsafe(sweep, module.IDLE_SECONDS + 1)
        while client.read():
            pass
        return reset, client.terminated

    def sweep(later: float) -> None:
        for connection in list(served.server.connections):
            connection.hang_up_if_late(loop.time() + later)

    loop = asyncio.get_running_loop()
    assert await served.run(work) == (ErrorCodes.CANCEL, ErrorCodes.NO_ERROR)


def plain(port: int, authority: Path, name: str, **certificate: str) -> tuple[bytes, dict[str, Any]]:
    """A request of HTTP/1.1 over TLS: what comes back, and the certificate that was shown."""
    context = ssl.create_default_context(cafile=str(authority))
    if certificate:
        context.load_cert_chain(**certificate)
    with (
        socket.create_connection(("127.0.0.1", port), 30) as connection,
        context.wrap_socket(connection, server_hostname=name) as wrapped,
    ):
        wrapped.sendall(f"GET /x HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        found = b""
        while data := wrapped.recv(65536):
            found += data
        return found, dict(wrapped.getpeercert() or {})


@pytest.mark.parametrize("name", ["localhost", "abc.localhost", "1a2b.execute-api.us-east-1.amazonaws.com", "api.example.org", "127.0.0.1"])
async def test_a_certificate_for_whatever_name_is_asked_for(served: Served, name: str) -> None:
    answer, shown = await asyncio.to_thread(plain, served.port, served.authority.path, name)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"GET /x  0 True")
    assert name in [value for _, value in shown["subjectAltName"]]


async def test_given_certificates_for_the_names_that_they_are_for(tmp_path: Path) -> None:
    other = Authority.ensure(tmp_path / "other")
    chain, key = other.issue(["*.example.org"])
    (tmp_path / "c.pem").write_bytes(chain)
    (tmp_path / "c.key").write_bytes(key)
    made = Served(tmp_path / "own")
    await made.listen(certificate=str(tmp_path / "c.pem"), key=str(tmp_path / "c.key"))
    try:
        await asyncio.to_thread(plain, made.port, other.path, "api.example.org")
        await asyncio.to_thread(plain, made.port, made.authority.path, "api.example.com")
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.to_thread(plain, made.port, made.authority.path, "api.example.org")
    finally:
        await made.server.stop(1)
    with pytest.raises(ConfigError, match="cannot be used"):
        await made.listen(certificate=str(tmp_path / "c.key"))


async def test_who_must_show_a_certificate(served: Served, tmp_path: Path) -> None:
    theirs, strangers = Authority.ensure(tmp_path / "theirs"), Authority.ensure(tmp_path / "strangers")
    served.trusted["api.example.org"] = theirs.path.read_text()
    files: dict[str, dict[str, str]] = {}
    for label, authority in (("theirs", theirs), ("strangers", strangers)):
        chain, key = authority.issue(["a client"])
        (tmp_path / f"{label}.pem").write_bytes(chain + key)
        files[label] = {"certfile": str(tmp_path / f"{label}.pem")}
    for certificate in ({}, files["strangers"]):
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            answer, _ = await asyncio.to_thread(plain, served.port, served.authority.path, "api.example.org", **certificate)
            assert answer == b""
    assert served.seen == []
    await asyncio.to_thread(plain, served.port, served.authority.path, "api.example.org", **files["theirs"])
    shown = served.seen[0].certificate
    assert shown is not None and shown.trusted == theirs.path.read_text()
    await asyncio.to_thread(plain, served.port, served.authority.path, "other.example.org", **files["theirs"])
    assert served.seen[1].certificate is None


async def test_what_is_no_tls_is_told_so_or_hung_up_on(served: Served) -> None:
    async def say(*parts: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.05)
        try:
            return await asyncio.wait_for(reader.read(), 20)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    told = await say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    head, _, body = told.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ") and b"Content-Length: %d\r\n" % len(body) in head
    assert await say(b"\x00\x01\x02") == b""
    assert await say(b"\x16\x03\x01\x00\x05", b"\x02\x00\x00\x01\x00") == b""
    assert (await served.run(lambda client: client.ask("/ok"))).status == 200


async def test_bodies_over_tls_that_are_too_large_and_heads_that_are_none(served: Served) -> None:
    def ask(request: bytes) -> bytes:
        context = ssl.create_default_context(cafile=str(served.authority.path))
        with (
            socket.create_connection(("127.0.0.1", served.port), 30) as connection,
            context.wrap_socket(connection, server_hostname="localhost") as wrapped,
        ):
            wrapped.sendall(request)
            return wrapped.recv(65536)

    assert (await asyncio.to_thread(ask, b"nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    too_large = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1)
    assert (await asyncio.to_thread(ask, too_large)).startswith(b"HTTP/1.1 413 ")


def hello(name: str | None) -> bytes:
    """A real ClientHello."""
    context, out = ssl.create_default_context(), ssl.MemoryBIO()
    context.check_hostname = False
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


def test_the_name_in_a_hello() -> None:
    assert server_name(hello("API.example.org")) == "api.example.org"
    assert server_name(hello(None)) == ""
    whole = hello("a.example.org")
    for cut in range(len(whole)):
        assert server_name(whole[:cut]) is None
    split = b"".join(whole[:3] + len(part).to_bytes(2) + part for part in (whole[5:50], whole[50:]))
    assert server_name(split) == "a.example.org"


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1", b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", b"\x16\x03\x01\x00\x08\x01\x00\x00\x04abcd"])
def test_what_is_no_hello(data: bytes) -> None:
    with pytest.raises(NotTls):
        server_name(data)


def test_an_authority_is_made_once_and_its_key_is_its_owners(tmp_path: Path) -> None:
    first = Authority.ensure(tmp_path)
    assert Authority.ensure(tmp_path).certificate == first.certificate
    assert (tmp_path / "authority.key").stat().st_mode & 0o777 == 0o600
    first.path.unlink()
    assert Authority.ensure(tmp_path).path.read_bytes() == first.path.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["authority.key", "authority.pem"]
