"""An HTTP request and response as values: what the server hands to the gateway and gets back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What a client has shown of itself by mutual TLS."""

    der: bytes
    trusted: str
    """The certificates (PEM) of which one vouched for it."""


@dataclass(slots=True)
class Request:
    """One HTTP request, its body read whole."""

    method: str
    path: str
    """The path as sent, still percent-encoded, without the query."""
    query: str
    """The raw query string, without the question mark; empty when there is none."""
    pairs: list[tuple[str, str]]
    """The headers as received, in order and in their own case (latin-1)."""
    headers: dict[str, str]
    """The same by lower-case name; repeated ones joined with a comma."""
    body: bytes = b""
    """A bytearray when it is of more than the server's WHOLE_BODY."""
    client: str = "127.0.0.1"
    """The caller's IP address."""
    secure: bool = False
    """Whether it came over TLS."""
    environment: str | None = None
    """The execution environment whose socket it came in on; None from outside."""
    certificate: ClientCertificate | None = None
    hashed: str = ""
    """The body's SHA-256 in hexadecimal digits, where it has been computed already."""

    @classmethod
    def of(cls, method: str, path: str = "/", query: str = "", headers: dict[str, str] | None = None, body: bytes = b"") -> "Request":
        """A request from the parts that matter (tests, internal calls)."""
        pairs = list((headers or {}).items())
        return cls(method, path, query, pairs, {name.lower(): value for name, value in pairs}, body)


class Channel(Protocol):
    """What the server gives to whoever takes over a connection."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None:
        """Hangs up when what was written has gone out."""
        ...

    def get_write_buffer_size(self) -> int: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Takeover(Protocol):
    """What a connection becomes after an answer of status 101. All calls come from the event loop."""

    def connected(self, channel: Channel) -> None: ...

    def received(self, data: bytes) -> None: ...

    def lost(self) -> None:
        """The connection is gone: the last call."""
        ...

    def shutdown(self) -> None:
        """The platform stops: says so to the client and closes the channel."""
        ...


@dataclass(slots=True)
class Response:
    """One HTTP response. The server adds Date, Connection and Content-Length (or chunked for a stream)."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | AsyncIterator[bytes] = b""
    takeover: Takeover | None = None
    """With status 101: what speaks on the connection from then on."""
