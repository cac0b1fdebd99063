"""An HTTP/1.1 client for integrations: asyncio streams and httptools, a connection a request.

Our own because httptools, which parses responses in C, is here already, and all that is needed is one request with bounds on its time
and size; a client library would bring five packages.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httptools

MAX_RESPONSE = 10 * 1024 * 1024
MAX_HEADERS = 200
READ = 64 * 1024


class Unreachable(Exception):
    """No HTTP response came back; says why."""


class _Answer:
    """What httptools calls."""

    def __init__(self, bodyless: bool, bound: int | None = MAX_RESPONSE) -> None:
        self._bound = bound
        self.headed = False
        self.headers: list[tuple[str, str]] = []
        self.parts: list[bytes] = []
        self.size = 0
        self.done = False
        self.status = 0
        self._bodyless = bodyless
        self.parser: httptools.HttpResponseParser | None = None

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= MAX_HEADERS:
            raise Unreachable("the endpoint's response has too many headers")
        self.headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        assert self.parser is not None
        self.status = self.parser.get_status_code()
        if self.status < 200:
            self.headers.clear()
            return
        self.headed = True
        if self._bodyless or self.status in (204, 304):
            self.done = True

    def on_body(self, part: bytes) -> None:
        self.size += len(part)
        if self._bound is not None and self.size > self._bound:
            raise Unreachable("the endpoint's response is larger than 10485760 bytes")
        self.parts.append(part)

    def on_message_complete(self) -> None:
        if self.status >= 200:
            self.done = True


async def fetch(
    method: str,
    url: str,
    headers: list[tuple[str, str]],
    body: bytes,
    seconds: float,
    verify: bool = True,
    certificate: tuple[str, str] | None = None,
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of an endpoint's response. Raises Unreachable, and TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        reader, writer = await _send(method, url, headers, body, verify, certificate)
        try:
            return await _read(reader, method)
        except (OSError, httptools.HttpParserError) as error:
            raise Unreachable(f"Network error communicating with endpoint: {error}") from None
        finally:
            writer.close()


async def begin(
    method: str,
    url: str,
    headers: list[tuple[str, str]],
    body: bytes,
    seconds: float,
    verify: bool = True,
    certificate: tuple[str, str] | None = None,
) -> tuple[int, list[tuple[str, str]], AsyncIterator[bytes]]:
    """As `fetch`; the body comes as it is read, and is closed by who reads it. Its end before its time raises Unreachable."""
    async with asyncio.timeout(seconds):
        reader, writer = await _send(method, url, headers, body, verify, certificate)
        answer = _Answer(method == "HEAD", None)
        answer.parser = httptools.HttpResponseParser(answer)
        try:
            while not answer.headed:
                if not await _feed(reader, answer):
                    raise Unreachable("Network error communicating with endpoint: the connection ended early")
        except (OSError, httptools.HttpParserError) as error:
            writer.close()
            raise Unreachable(f"Network error communicating with endpoint: {error}") from None
        except BaseException:
            writer.close()
            raise
    return answer.status, answer.headers, _parts(reader, writer, answer)


async def _parts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: _Answer) -> AsyncIterator[bytes]:
    try:
        while True:
            gathered, answer.parts = b"".join(answer.parts), []
            if gathered:
                yield gathered
            if answer.done:
                return
            if not await _feed(reader, answer):
                if not _until_close(answer.headers):
                    raise Unreachable("Network error communicating with endpoint: the connection ended early")
                answer.done = True
    finally:
        writer.close()


async def _send(
    method: str, url: str, headers: list[tuple[str, str]], body: bytes, verify: bool, certificate: tuple[str, str] | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which the request has been sent. Raises Unreachable."""
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise Unreachable("Invalid endpoint address")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise Unreachable("Invalid endpoint address") from None
    context = _context(verify, certificate) if parts.scheme == "https" else None
    try:
        reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=context)
    except (OSError, ssl.SSLError) as error:
        raise Unreachable(f"Network error communicating with endpoint: {error}") from None
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        writer.write(_head(method, target, parts.netloc.rpartition("@")[2], headers, body))
        await writer.drain()
    except OSError as error:
        writer.close()
        raise Unreachable(f"Network error communicating with endpoint: {error}") from None
    except BaseException:
        writer.close()
        raise
    return reader, writer


def _context(verify: bool, certificate: tuple[str, str] | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        with _in_memory("".join(certificate)) as path:
            context.load_cert_chain(path)
    return context


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """The path of a file that is nowhere but in memory: OpenSSL takes certificates from files only."""
    number = os.memfd_create("certificate")
    try:
        os.write(number, text.encode())
        yield f"/proc/self/fd/{number}"
    finally:
        os.close(number)


def _head(method: str, target: str, host: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
    """A Host among the headers, which is a mapping's, stands in place of the address's."""
    host = next((value for name, value in headers if name.lower() == "host"), host)
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines.extend(f"{name}: {value}" for name, value in headers if name.lower() not in ("host", "connection", "content-length"))
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    text = "\r\n".join(lines) + "\r\n\r\n"
    return text.encode("latin-1", "replace") + body


async def _read(reader: asyncio.StreamReader, method: str) -> tuple[int, list[tuple[str, str]], bytes]:
    answer = _Answer(method == "HEAD")
    answer.parser = httptools.HttpResponseParser(answer)
    while not answer.done and await _feed(reader, answer):
        pass
    if not answer.done and not (answer.status and _until_close(answer.headers)):
        raise Unreachable("Network error communicating with endpoint: the connection ended early")
    return answer.status, answer.headers, b"".join(answer.parts)


async def _feed(reader: asyncio.StreamReader, answer: _Answer) -> bool:
    """Reads once; false at the end of the connection."""
    assert answer.parser is not None
    data = await reader.read(READ)
    if not data:
        return False
    try:
        answer.parser.feed_data(data)
    except httptools.HttpParserCallbackError as error:
        raise error.__context__ if isinstance(error.__context__, Unreachable) else Unreachable(str(error)) from None
    return True


def _until_close(headers: list[tuple[str, str]]) -> bool:
    """Whether the body's end is the connection's."""
    named = {name.lower() for name, _ in headers}
    return "content-length" not in named and "transfer-encoding" not in named
