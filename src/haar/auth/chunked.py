"""Bodies in `aws-chunked` encoding: what they carry, each chunk's signature checked.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
"""

import hmac
from dataclasses import dataclass, field
from hashlib import sha256

from haar.auth import errors
from haar.wire.errors import CommonError, ServiceError

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

MAX_CHUNK_HEAD = 256
"""Bytes of the longest chunk header: a size and a signature."""
MAX_TRAILER = 16 * 1024
EMPTY_SHA256 = sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Seed:
    """What the chain of chunk signatures starts from."""

    key: bytes
    date: str
    scope: str
    signature: str


@dataclass(frozen=True, slots=True)
class Decoded:
    body: bytes
    trailers: dict[str, str] = field(default_factory=dict)


def decode_chunks(body: bytes, mode: str, seed: Seed) -> Decoded:
    """What a chunked body carries. `mode` is the value of `x-amz-content-sha256`.

    Raises SignatureDoesNotMatch for a chunk that is not as it was signed, IncompleteBody for one that is cut short.
    """
    if mode not in (SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER):
        if "ECDSA" in mode:
            raise errors.unsupported_algorithm("AWS4-ECDSA-P256-SHA256")
        raise ServiceError("InvalidRequest", f"The value of x-amz-content-sha256 header is invalid: {mode}", 400)
    signed = mode != UNSIGNED_TRAILER
    parts: list[bytes] = []
    previous, at = seed.signature, 0
    while True:
        end = body.find(b"\r\n", at, at + MAX_CHUNK_HEAD)
        if end < 0:
            raise _cut_short()
        size, signature = _chunk_head(body[at:end])
        data = body[end + 2 : end + 2 + size]
        at = end + 2 + size
        if len(data) != size:
            raise _cut_short()
        if signed:
            previous = _check(seed, "AWS4-HMAC-SHA256-PAYLOAD", f"{previous}\n{EMPTY_SHA256}", data, signature)
        if size == 0:
            break
        if body[at : at + 2] != b"\r\n":
            raise _cut_short()
        at += 2
        parts.append(data)
    trailers = _trailers(body[at:], seed, previous, signed) if mode != SIGNED else {}
    return Decoded(b"".join(parts), trailers)


def _chunk_head(head: bytes) -> tuple[int, str]:
    size, _, extension = head.partition(b";")
    signature = extension.removeprefix(b"chunk-signature=").decode("latin-1")
    text = size.strip()
    if not 0 < len(text) <= 16 or any(digit not in b"0123456789abcdefABCDEF" for digit in text):
        raise _cut_short()
    return int(text, 16), signature


def _check(seed: Seed, algorithm: str, before: str, data: bytes, signature: str) -> str:
    to_sign = f"{algorithm}\n{seed.date}\n{seed.scope}\n{before}\n{sha256(data).hexdigest()}"
    expected = hmac.digest(seed.key, to_sign.encode(), "sha256").hex()
    if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
        raise errors.mismatch()
    return expected


def _trailers(text: bytes, seed: Seed, previous: str, signed: bool) -> dict[str, str]:
    if len(text) > MAX_TRAILER:
        raise ServiceError("MalformedTrailerError", "The request contained trailing data that was not well-formed", 400)
    trailers: dict[str, str] = {}
    signature = ""
    for line in text.replace(b"\r\n", b"\n").split(b"\n"):
        if not line:
            continue
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise ServiceError("MalformedTrailerError", "The request contained trailing data that was not well-formed", 400)
        if name.lower() == "x-amz-trailer-signature":
            signature = value.strip()
        else:
            trailers[name.lower().strip()] = value.strip()
    if signed:
        canonical = "".join(f"{name}:{value}\n" for name, value in sorted(trailers.items()))
        _check(seed, "AWS4-HMAC-SHA256-TRAILER", previous, canonical.encode("latin-1"), signature)
    return trailers


def _cut_short() -> CommonError | ServiceError:
    return ServiceError("IncompleteBody", "The request body terminated unexpectedly", 400)
