"""The HTTP server, by raw sockets: framing, order, bounds and bad clients."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from haar.clock import SystemClock
from haar.eager import into_task
from haar.gateway import server as module
from haar.gateway.server import Server
from haar.wire.http import Request, Response

Ask = Callable[[bytes], Awaitable[bytes]]


async def echo(request: Request) -> Response:
    """What the tests' paths do."""
    if request.path == "/slow":
        await asyncio.sleep(0.05)
    if request.path == "/task":
        await into_task()
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
    if request.path == "/fail":
        raise RuntimeError("a bug")
    if request.path == "/fail-later":
        await asyncio.sleep(0)
        raise RuntimeError("a bug")
    if request.path == "/unsendable":
        return Response(200, [("X-Number", 5)])  # type: ignore[list-item]
    if request.path == "/none":
        return Response(204)
    if request.path == "/split":
        return Response(200, [("X-Bad", "a\r\nSet-Cookie: b"), ("X-Good", "1")], b"x")
    if request.path in ("/stream", "/broken-stream"):
        return Response(200, [], parts(request.path == "/broken-stream"))
    shown = f"{request.method} {request.path} {request.query} {len(request.body)} {request.headers.get('x-two', '')}"
    return Response(200, [("X-Path", request.path)], shown.encode())


async def parts(broken: bool) -> AsyncIterator[bytes]:
    for part in (b"one", b"", b"two"):
        yield part
        await asyncio.sleep(0)
    if broken:
        raise RuntimeError("the source broke")


@pytest.fixture
async def served() -> AsyncIterator[tuple[Server, int]]:
    server = Server(echo, SystemClock())
    port = await server.listen("127.0.0.1", 0)
    yield server, port
    await server.stop(1)


@pytest.fixture
def ask(served: tuple[Server, int]) -> Ask:
    """Sends bytes, then answers everything that comes until the server hangs up."""

    async def send(data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", served[1])
        writer.write(data)
        await writer.drain()
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        return answer

    return send


LAST = b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


async def test_a_request_and_its_answer(ask: Ask) -> None:
    answer = await ask(
        b"POST /p%20q?a=1&b HTTP/1.1\r\nHost: h\r\nX-Two: 1\r\nx-two: 2\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
    )
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n") and b"\r\nDate: " in head and b"\r\nConnection: close" in head
    assert body == b"POST /p%20q a=1&b 3 1,2"


async def test_pipelined_requests_are_answered_in_order(ask: Ask) -> None:
    many = b"".join(b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n" % path for path in (b"slow", b"a", b"task", b"b") * 10)
    answer = await ask(many + LAST)
    paths = [line[8:] for line in answer.decode().split("\r\n") if line.startswith("X-Path: ")]
    assert paths == ["/slow", "/a", "/task", "/b"] * 10 + ["/last"]


@pytest.mark.parametrize("path", [b"/fail", b"/fail-later"])
async def test_a_bug_is_a_500_and_the_connection_goes_on(ask: Ask, path: bytes) -> None:
    answer = await ask(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % path + LAST)
    assert answer.startswith(b"HTTP/1.1 500 ") and b"a bug" not in answer and answer.count(b"HTTP/1.1 200 OK") == 1


async def test_chunked_requests_and_answers(ask: Ask) -> None:
    answer = await ask(b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n" + LAST)
    assert b"POST /x  3 " in answer
    answer = await ask(b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n" + LAST)
    assert b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n" in answer and b"GET /last" in answer


async def test_a_stream_that_breaks_has_no_last_chunk(ask: Ask) -> None:
    answer = await ask(b"GET /broken-stream HTTP/1.1\r\nHost: h\r\n\r\n")
    assert not answer.endswith(b"0\r\n\r\n")


async def test_answers_without_a_body(ask: Ask) -> None:
    answer = await ask(b"GET /none HTTP/1.1\r\nHost: h\r\n\r\nHEAD /h HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    first, _, rest = answer.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 204") and b"Content-Length" not in first
    assert rest.endswith(b"Content-Length: 11\r\nConnection: close\r\n\r\n") or rest.endswith(b"\r\n\r\n")
    assert b"HEAD /h" not in rest


async def test_a_header_cannot_split_the_answer(ask: Ask) -> None:
    answer = await ask(b"GET /split HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert b"Set-Cookie" not in answer and b"X-Good: 1" in answer


async def test_absolute_form(ask: Ask) -> None:
    answer = await ask(b"GET http://elsewhere/a/b?c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert b"GET /a/b c 0 " in answer


async def test_continue_is_said_before_the_body(served: tuple[Server, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served[1])
    writer.write(b"PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"ok")
    assert b"PUT /x  2 " in await asyncio.wait_for(reader.read(), 20)
    writer.close()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"NONSENSE\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", b"431"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
    ],
    ids=["nonsense", "header", "path", "head", "body", "two lengths"],
)
async def test_bad_clients_get_a_clear_answer(ask: Ask, data: bytes, status: bytes) -> None:
    assert (await ask(data)).startswith(b"HTTP/1.1 " + status)


async def test_a_half_closed_client_gets_its_answer(served: tuple[Server, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served[1])
    writer.write(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
    writer.write_eof()
    assert b"GET /slow" in await asyncio.wait_for(reader.read(), 20)
    writer.close()


async def test_stopping_answers_what_is_under_way(served: tuple[Server, int]) -> None:
    server, port = served
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
    while not any(connection._busy for connection in server.connections):
        await asyncio.sleep(0.001)
    await server.stop(20)
    assert b"GET /slow" in await asyncio.wait_for(reader.read(), 20)
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)
    writer.close()


async def test_a_client_that_does_not_finish_is_hung_up_on(served: tuple[Server, int], monkeypatch: pytest.MonkeyPatch) -> None:
    server, port = served
    monkeypatch.setattr(module, "READ_SECONDS", 0.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
    while not any(connection._url for connection in server.connections):
        await asyncio.sleep(0.001)
    for connection in list(server.connections):
        connection.hang_up_if_late(asyncio.get_running_loop().time() + 1)
    assert await asyncio.wait_for(reader.read(), 20) == b""
    writer.close()


async def test_a_refused_client_may_finish_what_it_sends(served: tuple[Server, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served[1])
    writer.write(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 20)
    assert answer.startswith(b"HTTP/1.1 413 ") and b"x-amzn-ErrorType: RequestEntityTooLargeException" in answer
    for _ in range(20):  # a connection that had been hung up on would be reset by now
        writer.write(b"a" * 1_000_000)
        await writer.drain()
    (connection,) = served[0].connections
    connection.hang_up_if_late(asyncio.get_running_loop().time() + module.LINGER_SECONDS + 1)
    while served[0].connections:
        await asyncio.sleep(0.001)
    writer.close()


async def test_nonsense_after_a_request_does_not_overtake_its_answer(ask: Ask) -> None:
    answer = await ask(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\nNONSENSE\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK") and answer.count(b"HTTP/1.1") == 1


async def test_http_1_0_is_told_that_the_connection_stays(served: tuple[Server, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served[1])
    for _ in range(2):
        writer.write(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        assert b"\r\nConnection: keep-alive\r\n" in head
        assert await asyncio.wait_for(reader.readexactly(len("GET /a  0 ")), 20) == b"GET /a  0 "
    writer.close()


async def test_http_1_0_gets_streams_without_chunks(ask: Ask) -> None:
    answer = await ask(b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert answer.endswith(b"\r\n\r\nonetwo") and b"chunked" not in answer


async def test_an_idle_connection_outlives_the_time_to_send_a_request(served: tuple[Server, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served[1])
    writer.write(b"GET /none HTTP/1.1\r\nHost: h\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    (connection,) = served[0].connections
    connection.hang_up_if_late(asyncio.get_running_loop().time() + module.READ_SECONDS + 1)
    writer.write(LAST)
    assert b"GET /last" in await asyncio.wait_for(reader.read(), 20)
    writer.close()


async def test_large_bodies_are_bounded_together(served: tuple[Server, int], ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    server, port = served
    monkeypatch.setattr(module, "MAX_HELD", 3_000_000)
    head = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n"
    _, slow = await asyncio.open_connection("127.0.0.1", port)
    slow.write(head + b"a" * 1_900_000)
    while server.held < 1_600_000:
        await asyncio.sleep(0.001)
    assert (await ask(head + b"a" * 2_000_000)).startswith(b"HTTP/1.1 503 ")
    slow.close()
    while server.held:
        await asyncio.sleep(0.001)
    last = head.replace(b"Host: h", b"Host: h\r\nConnection: close")
    for _ in range(3):
        assert b"POST /x  2000000 " in await ask(last + b"a" * 2_000_000)
    while server.held:
        await asyncio.sleep(0.001)


async def test_what_a_client_sent_goes_when_it_goes(served: tuple[Server, int]) -> None:
    server, port = served
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n" + b"a" * 1_000_000)
    while server.held < 700_000:
        await asyncio.sleep(0.001)
    (connection,) = server.connections
    writer.close()
    while server.connections:
        await asyncio.sleep(0.001)
    assert connection._body == [] and server.held == 0


async def test_memory_is_given_back_after_much(monkeypatch: pytest.MonkeyPatch) -> None:
    given = asyncio.Event()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(module, "MUCH_HELD", 1_000_000)
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(module, "give_back_memory", lambda: loop.call_soon_threadsafe(given.set))
    server = Server(echo, SystemClock())
    port = await server.listen("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\nConnection: close\r\n\r\n" + b"a" * 2_000_000)
    assert b"POST /x" in await asyncio.wait_for(reader.read(), 20)
    await asyncio.wait_for(given.wait(), 20)
    assert not server.held_much
    writer.close()
    await server.stop(1)


async def test_an_answer_that_cannot_be_sent_hurts_nobody_else(served: tuple[Server, int]) -> None:
    pairs = [await asyncio.open_connection("127.0.0.1", served[1]) for _ in range(8)]
    for number, (_, writer) in enumerate(pairs):  # written without a pause: they arrive together
        path = b"/unsendable" if number == 0 else b"/last"
        writer.write(b"GET %b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % path)
    answers = [await asyncio.wait_for(reader.read(), 20) for reader, _ in pairs[1:]]
    assert all(b"GET /last" in answer for answer in answers)
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(pairs[0][0].read(), 20) == b""
    for _, writer in pairs:
        writer.close()
