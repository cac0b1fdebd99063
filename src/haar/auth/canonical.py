"""The canonical request of Signature Version 4.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote, unquote_to_bytes

UNRESERVED = "-_.~"

_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?").fullmatch
"""Paths that are their own canonical form in every service."""

S3_LIKE = frozenset(("s3", "s3express", "s3-object-lambda", "s3-outposts"))
"""Signing names whose paths are encoded once and not normalised."""


def canonical_path(path: str, service: str) -> str:
    """The canonical URI of a path as sent. All services but S3 remove dot segments and encode what is already encoded once more."""
    if path in ("/", "") or _PLAIN_PATH(path):
        return path or "/"
    if service in S3_LIKE:
        # Segment by segment: an encoded slash is not one that divides.
        return "/".join([quote(unquote_to_bytes(part.encode("latin-1", "replace")), safe=UNRESERVED) for part in path.split("/")])
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if kept:
                kept.pop()
        elif segment not in ("", "."):
            kept.append(segment)
    normal = "/" + "/".join(kept)
    if kept and path.endswith("/"):
        normal += "/"
    return quote(normal.encode("latin-1", "replace"), safe="/" + UNRESERVED)


def split_query(query: str) -> list[tuple[bytes, bytes]]:
    """Names and values of a raw query, decoded."""
    pairs = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((_decoded(name), _decoded(value)))
    return pairs


def _decoded(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " ").encode("latin-1", "replace"))


def canonical_query(pairs: Sequence[tuple[bytes, bytes]]) -> str:
    """The canonical query string of decoded pairs."""
    encoded = sorted((quote(name, safe=UNRESERVED), quote(value, safe=UNRESERVED)) for name, value in pairs)
    return "&".join([f"{name}={value}" for name, value in encoded])


def canonical_headers(headers: Mapping[str, str], signed: Sequence[str]) -> str:
    """The lines of the signed headers, each ended by a newline; one that was not sent counts as empty."""
    lines = ""
    for name in signed:
        value = headers.get(name, "")
        if "  " in value or value[:1].isspace() or value[-1:].isspace():
            value = " ".join(value.split())
        lines += f"{name}:{value}\n"
    return lines
