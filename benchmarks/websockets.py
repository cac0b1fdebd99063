"""Open WebSocket connections that each get a message a second by `@connections`: what they weigh, and whether one is lost."""

import asyncio
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

from benchmarks.load import Signed, median, percentile, sign
from benchmarks.peers import Target

CONNECTIONS = 1000
SECONDS = 60
"""How long each connection gets a message a second."""
POSTERS = 16
"""Connections over which the messages are handed in."""
OPENING = 32
"""Handshakes at a time."""
LONGEST_SECONDS = SECONDS + 120.0
"""The whole measurement is given up after it."""
SETTLE_SECONDS = 3.0
MESSAGE = b'{"text":"a message of some length, as one would send it to a client"}'
HELLO = b'{"action":"hello"}'
HEADER = 2


class Client(asyncio.Protocol):
    """One open connection: its id, and when each message came."""

    def __init__(self, host: str, path: str) -> None:
        self.ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.came: list[float] = []
        self.ended = False
        self._head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        self._data = b""
        self._open = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write((self._head + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._open:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.ready.set_exception(RuntimeError(head.decode("latin-1")))
                return
            self._open, self._data = True, rest
            assert self.transport is not None
            self.transport.write(bytes([0x81, 0x80 | len(HELLO), 0, 0, 0, 0]) + HELLO)
        while len(self._data) >= HEADER:
            size = self._data[1] & 0x7F  # nothing here is longer than 125 bytes
            if len(self._data) < HEADER + size:
                return
            payload, self._data = self._data[HEADER : HEADER + size], self._data[HEADER + size :]
            if self.ready.done():
                self.came.append(time.perf_counter())
            else:
                self.ready.set_result(payload.decode())

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, request: Signed) -> None:
    lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in request.headers.items())]
    writer.write(("\r\n".join(lines) + f"\r\nContent-Length: {len(request.body)}\r\n\r\n").encode() + request.body)
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            length = int(value)
    body = await reader.readexactly(length)
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"a message was refused: {head[:40]!r} {body[:200]!r}")


async def _poster(host: str, port: int, requests: list[Signed], sent: list[list[float]], begin: float) -> None:
    """Hands in every request of its share once a second."""
    reader, writer = await asyncio.open_connection(host, port)
    for second in range(SECONDS):
        await asyncio.sleep(max(0.0, begin + second - time.perf_counter()))
        for request, times in zip(requests, sent, strict=True):
            times.append(time.perf_counter())
            await _post(reader, writer, f"{host}:{port}", request)
    writer.close()


def _make_api(target: Target) -> str:
    """An API whose one route tells a client its connection's id. Its id."""
    gateway = target.client("apigatewayv2")
    api: str = gateway.create_api(Name="bench", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action")["ApiId"]
    integration = gateway.create_integration(ApiId=api, IntegrationType="MOCK")["IntegrationId"]
    gateway.create_integration_response(
        ApiId=api,
        IntegrationId=integration,
        IntegrationResponseKey="$default",
        ResponseTemplates={"$default": "$context.connectionId"},
    )
    route = gateway.create_route(
        ApiId=api, RouteKey="$default", Target=f"integrations/{integration}", RouteResponseSelectionExpression="$default"
    )["RouteId"]
    gateway.create_route_response(ApiId=api, RouteId=route, RouteResponseKey="$default")
    gateway.create_stage(ApiId=api, StageName="v1")
    gateway.create_deployment(ApiId=api, StageName="v1")
    return api


async def _open(target: Target, path: str) -> tuple[list[Client], list[str]]:
    parts, loop, gate = urlsplit(target.endpoint), asyncio.get_running_loop(), asyncio.Semaphore(OPENING)

    async def one() -> tuple[Client, str]:
        async with gate:
            _, client = await loop.create_connection(lambda: Client(parts.netloc, path), parts.hostname, parts.port)
            return client, await client.ready

    found = await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return [client for client, _ in found], [connection for _, connection in found]


async def _measure(target: Target, api: str, say: Callable[[str], None]) -> list[dict[str, Any]]:
    parts, path = urlsplit(target.endpoint), f"/_aws/execute-api/{api}/v1"
    warm = Client(parts.netloc, path)
    await asyncio.get_running_loop().create_connection(lambda: warm, parts.hostname, parts.port)
    await warm.ready
    await asyncio.sleep(SETTLE_SECONDS)
    before = target.resident_mb()
    began = time.perf_counter()
    clients, ids = await _open(target, path)
    opened = time.perf_counter() - began
    await asyncio.sleep(SETTLE_SECONDS)
    weight = (target.resident_mb() - before) * 1024 / CONNECTIONS
    say(f"{target.name}: {CONNECTIONS} connections opened in {opened:.1f} s, {weight:.1f} KB each")
    where = [f"{path}/@connections/{quote(connection)}" for connection in ids]
    requests = [sign(target, "execute-api", MESSAGE, path=one) for one in where]
    sent: list[list[float]] = [[] for _ in requests]
    begin = time.perf_counter() + 0.5
    shares = [slice(start, None, POSTERS) for start in range(POSTERS)]
    await asyncio.gather(*(_poster(str(parts.hostname), parts.port or 80, requests[s], sent[s], begin) for s in shares))
    took = time.perf_counter() - begin
    await asyncio.sleep(SETTLE_SECONDS)
    lost = sum(SECONDS - len(client.came) for client in clients)
    waits = [
        (came - gone) * 1000
        for client, times in zip(clients, sent, strict=True)
        if len(client.came) == len(times)
        for came, gone in zip(client.came, times, strict=True)
    ]
    return [
        {"what": f"memory of an idle connection, of {CONNECTIONS}", "value": weight, "unit": "KB"},
        {"what": f"{CONNECTIONS} handshakes, each with a message and its answer", "value": CONNECTIONS / opened, "unit": "connections/s"},
        {"what": f"messages to {CONNECTIONS} connections for {SECONDS} s", "value": CONNECTIONS * SECONDS / took, "unit": "messages/s"},
        {"what": "messages lost", "value": lost, "unit": "messages"},
        {"what": "connections ended", "value": sum(client.ended for client in clients), "unit": "connections"},
        {"what": "from @connections to the client, median", "value": median(waits), "unit": "ms"},
        {"what": "from @connections to the client, p99", "value": percentile(waits, 0.99), "unit": "ms"},
    ]


def measure(target: Target, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Rows of (what, value, unit)."""
    api = _make_api(target)

    async def bounded() -> list[dict[str, Any]]:
        async with asyncio.timeout(LONGEST_SECONDS):
            return await _measure(target, api, say)

    rows = asyncio.run(bounded())
    for row in rows:
        say(f"{target.name}: {row['what']}: {row['value']:,.2f} {row['unit']}")
    return rows
