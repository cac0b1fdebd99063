"""An HTTP request and response as values: what the server hands to the gateway and gets back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field


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
    client: str = "127.0.0.1"
    """The caller's IP address."""
    secure: bool = False
    """Whether it came over TLS."""
    environment: str | None = None
    """The execution environment whose socket it came in on; None from outside."""

    @classmethod
    def of(cls, method: str, path: str = "/", query: str = "", headers: dict[str, str] | None = None, body: bytes = b"") -> "Request":
        """A request from the parts that matter (tests, internal calls)."""
        pairs = list((headers or {}).items())
        return cls(method, path, query, pairs, {name.lower(): value for name, value in pairs}, body)


@dataclass(slots=True)
class Response:
    """One HTTP response. The server adds Date, Connection and Content-Length (or chunked for a stream)."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | AsyncIterator[bytes] = b""
