"""HTTPS: chooses a certificate by the name that a client asks for, and HTTP/2 or HTTP/1.1 by what it speaks.

The ClientHello is looked at before TLS begins (without taking it from the socket), so that a custom domain's truststore can be read first:
OpenSSL cannot ask for a client's certificate once its handshake is under way.
"""

import asyncio
import errno
import ipaddress
import logging
import os
import re
import socket
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from cryptography import x509

from haar.clock import Clock
from haar.config import ConfigError
from haar.gateway.hello import MAX_HELLO, NotTls, server_name
from haar.gateway.server import MAX_OF_ENVIRONMENT, Connection, Peer, Server
from haar.tls import Authority
from haar.wire.http import ClientCertificate, Request

HANDSHAKE_SECONDS = 10.0
MAX_GREETED = 1000
"""Connections whose handshake is under way; more wait to be accepted."""
MAX_NAMES = 500
"""Host names whose certificate is kept."""
RENEW_SECONDS = 86_400 * 30.0
"""How long an issued certificate is shown before another is made."""
AGAIN_SECONDS = 0.02
"""The wait for the rest of a ClientHello that came in pieces; twice as long every time."""
MAX_AGAIN_SECONDS = 1.0
ACCEPT_SECONDS = 0.2
"""The wait when no connection can be accepted: no more files may be open."""
PLAIN = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 62\r\nConnection: close\r\n\r\n"
    b'{"message":"This is the HTTPS port: begin the URL with https"}'
)
LOCAL = ("localhost", "*.localhost", "127.0.0.1", "::1")
"""Names of the certificate that is shown to who asks for none."""
HOST = re.compile(r"([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")

Truststores = Callable[[str], Awaitable[str | None]]
"""The certificates (PEM) of which a host name's clients must have one; None for a name that asks for none."""

log = logging.getLogger("haar.server")


class Contexts:
    """TLS settings by host name: given certificates for the names that they are for, the local authority's for all others."""

    def __init__(self, authority: Authority, clock: Clock, truststores: Truststores, certificate: str = "", key: str = "") -> None:
        """Raises ConfigError when the given files cannot be used."""
        self._authority = authority
        self._clock = clock
        self._truststores = truststores
        self._kept: OrderedDict[tuple[str, str], tuple[float, ssl.SSLContext]] = OrderedDict()
        self._given = _read_given(certificate, key) if certificate else None
        self._covered = _covered(self._given[0]) if self._given else frozenset()

    async def of(self, name: str) -> tuple[ssl.SSLContext, str]:
        """The settings for a client that asks for this name (empty for none), and the certificates that must vouch for it, if any."""
        if len(name) > 253 or not HOST.fullmatch(name):
            name = ""
        trusted = (await self._truststores(name) if name else None) or ""
        return self._context(name, trusted), trusted

    def _context(self, name: str, trusted: str) -> ssl.SSLContext:
        now = self._clock.now()
        found = self._kept.get((name, trusted))
        if found is None or found[0] <= now:
            made = make_context(*self._certificate(name), trusted)
            found = self._kept[name, trusted] = now + RENEW_SECONDS, made
            while len(self._kept) > MAX_NAMES:
                self._kept.popitem(last=False)
        self._kept.move_to_end((name, trusted))
        return found[1]

    def _certificate(self, name: str) -> tuple[bytes, bytes]:
        given = self._given
        if given is not None and (not name or name in self._covered or "*." + name.partition(".")[2] in self._covered):
            return given
        return self._authority.issue([name] if name and name not in LOCAL else LOCAL)


def _read_given(certificate: str, key: str) -> tuple[bytes, bytes]:
    try:
        pair = Path(certificate).read_bytes(), Path(key or certificate).read_bytes()
        make_context(*pair, "")
        return pair
    except (OSError, ValueError) as error:
        raise ConfigError(f"tls_certificate: {certificate} (with the key in {key or certificate}) cannot be used: {error}") from None


def _covered(chain: bytes) -> frozenset[str]:
    certificate = x509.load_pem_x509_certificate(chain)
    try:
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(name.lower() for name in named.get_values_for_type(x509.DNSName))


def make_context(chain: bytes, key: bytes, trusted: str) -> ssl.SSLContext:
    """A server's settings: TLS 1.2 and up, HTTP/2 offered. With `trusted`, a client must show a certificate that those vouch for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["h2", "http/1.1"])
    with in_memory(chain + b"\n" + key) as path:
        context.load_cert_chain(path)
    if trusted:
        context.load_verify_locations(cadata=trusted)
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = 0  # every connection shows its certificate
        context.options |= ssl.OP_NO_TICKET
    return context


@contextmanager
def in_memory(content: bytes) -> Iterator[str]:
    """The path of a file that is nowhere but in memory: OpenSSL takes certificates from files only."""
    number = os.memfd_create("certificate")
    try:
        os.write(number, content)
        yield f"/proc/self/fd/{number}"
    finally:
        os.close(number)


class SecureListener:
    """The HTTPS port."""

    def __init__(self, server: Server, contexts: Contexts) -> None:
        self._server = server
        self._contexts = contexts
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(MAX_GREETED)
        self._few = False
        self._made: set[Peer] = set()

    async def listen(self, host: str, port: int) -> int:
        """Listens on an address; the port (of use when 0 was asked for). Raises OSError when it is taken."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            listening = socket.create_server(address[:2], family=family, backlog=1024, reuse_port=False)
            listening.setblocking(False)
            self._sockets.append(listening)
            self._keep(loop.create_task(self._accept(listening)))
            if port == 0:
                break  # one free port, of the first address
        self._server.watch(self)
        return int(self._sockets[0].getsockname()[1])

    def attach(self, listening: socket.socket) -> None:
        """Listens on a socket that an execution environment has made, for MAX_OF_ENVIRONMENT connections at once."""
        listening.setblocking(False)
        self._few = True
        self._sockets.append(listening)
        self._keep(asyncio.get_running_loop().create_task(self._accept(listening)))
        self._server.watch(self)

    def close(self) -> None:
        """Takes no more connections; those whose handshake is under way are dropped."""
        self._server.forget(self)
        for task in list(self._tasks):
            task.cancel()
        for listening in self._sockets:
            listening.close()

    def _keep(self, task: "asyncio.Task[None]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a connection to the HTTPS port could not be served", exc_info=error)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._room.acquire()
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as error:
                self._room.release()
                if listening.fileno() < 0:
                    return
                wait = 0.0  # one that gave up before it was accepted
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    log.error("no connection can be accepted: %s", error)
                    wait = ACCEPT_SECONDS
                await asyncio.sleep(wait)
                continue
            if self._few and self._crowded():
                self._room.release()
                connection.close()
                continue
            self._keep(loop.create_task(self._greet(connection)))

    def _crowded(self) -> bool:
        """Whether there are as many connections as one environment may have; those whose handshake is under way count."""
        if len(self._made) + len(self._tasks) > MAX_OF_ENVIRONMENT:
            self._made.intersection_update(self._server.connections)
        return len(self._made) + len(self._tasks) > MAX_OF_ENVIRONMENT  # one task is that which accepts

    async def _greet(self, connection: socket.socket) -> None:
        """From a connection to one that speaks HTTP. A client that does it wrong is hung up on."""
        loop = asyncio.get_running_loop()
        try:
            connection.setblocking(False)
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                context, trusted = await self._contexts.of(await _asked_name(connection))
            await loop.connect_accepted_socket(
                lambda: Chooser(self._server, trusted, self._made if self._few else None),
                connection,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )
        except NotTls:
            with connection:
                _say_plainly(connection)
        except (OSError, TimeoutError) as error:  # TLS's errors are OSErrors
            log.debug("a TLS handshake failed: %s", error)
            connection.close()
        except BaseException:
            connection.close()
            raise
        finally:
            self._room.release()


def _say_plainly(connection: socket.socket) -> None:
    """For who speaks plain HTTP to this port."""
    try:
        if connection.recv(MAX_HELLO)[:1].isalpha():
            connection.send(PLAIN)
            connection.shutdown(socket.SHUT_WR)
    except OSError as error:
        log.debug("a client that did not speak TLS is gone: %s", error)


async def _asked_name(connection: socket.socket) -> str:
    """Looks at a ClientHello and leaves it where it is. Raises NotTls, ConnectionError."""
    seen, wait = 0, AGAIN_SECONDS
    while True:
        await _readable(connection)
        data = connection.recv(MAX_HELLO, socket.MSG_PEEK)
        if not data or len(data) >= MAX_HELLO:
            raise ConnectionAbortedError("no ClientHello came")
        name = server_name(data)
        if name is not None:
            return name
        if len(data) == seen:  # it stays readable for as long as nothing is taken
            await asyncio.sleep(wait)
            wait = min(2 * wait, MAX_AGAIN_SECONDS)
        seen = len(data)


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def is_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(connection, is_ready)
    try:
        await ready
    finally:
        loop.remove_reader(connection)


class Chooser(asyncio.Protocol):
    """The first moment after the handshake: makes the connection one of HTTP/2 or HTTP/1.1."""

    def __init__(self, server: Server, trusted: str, made: "set[Peer] | None" = None) -> None:
        self._server = server
        self._trusted = trusted
        self._made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)
        tls = transport.get_extra_info("ssl_object")
        shown = tls.getpeercert(True) if self._trusted else None
        certificate = ClientCertificate(shown, self._trusted) if shown else None
        chosen: Peer
        if tls.selected_alpn_protocol() == "h2":
            from haar.gateway.http2 import Http2Connection  # with the first client that speaks it: start-up does without

            chosen = Http2Connection(self._server, certificate)
        else:
            chosen = SecureConnection(self._server, certificate)
        if self._made is not None:
            self._made.add(chosen)
        transport.set_protocol(chosen)
        chosen.connection_made(transport)


class SecureConnection(Connection):
    """HTTP/1.1 over TLS."""

    __slots__ = ("_certificate",)

    def __init__(self, server: Server, certificate: ClientCertificate | None) -> None:
        super().__init__(server, None)
        self._certificate = certificate

    def answer(self, request: Request, keep: bool, old: bool) -> None:
        request.certificate = self._certificate
        super().answer(request, keep, old)

    def eof_received(self) -> bool:
        super().eof_received()
        return False  # TLS has no half-closed connections


def host_name(name: str) -> bool:
    """Whether a certificate can be issued for this: a host name, a wildcard or an address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return len(name) <= 253 and HOST.fullmatch(name.removeprefix("*.").lower()) is not None
    return True
