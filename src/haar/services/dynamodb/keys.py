"""Keys as bytes: their order is DynamoDB's order, and equal keys have equal bytes.

A partition is four bytes of hash and the encoded partition key, so that a whole space is read in hash order and a parallel scan's
segments are ranges that never move. Components that others follow end themselves: numbers by their own encoding, text and binary with an
escaped zero byte.
"""

from base64 import b64decode, b64encode
from typing import Literal, NamedTuple
from zlib import crc32

from haar.services.dynamodb import numbers
from haar.services.dynamodb.values import Item

KeyType = Literal["S", "N", "B"]
HASH_BYTES = 4
HASHES = 1 << (8 * HASH_BYTES)
END = b"\x00\x00"
"""Ends text and binary inside a composite; a zero byte within is written as 00 FF."""


class KeyPart(NamedTuple):
    """One key attribute."""

    name: str
    kind: KeyType


def scalar(kind: str, content: str) -> bytes:
    """A key value's own bytes, as the last component of a key."""
    if kind == "S":
        return content.encode()
    if kind == "N":
        return numbers.encode(content)
    return b64decode(content)


def ended(kind: str, content: str) -> bytes:
    """The same as a component that others follow."""
    if kind == "N":
        return numbers.encode(content)
    data = content.encode() if kind == "S" else b64decode(content)
    return data.replace(b"\x00", b"\x00\xff") + END


def begun(kind: str, content: str) -> bytes:
    """What every `ended` text or binary that begins with this one begins with."""
    return (content.encode() if kind == "S" else b64decode(content)).replace(b"\x00", b"\x00\xff")


def read_ended(kind: str, data: bytes, at: int) -> tuple[str, int]:
    """The content that `ended` wrote at `at`, and where what follows begins."""
    if kind == "N":
        return numbers.decode(data, at)
    end = at
    while True:
        end = data.index(b"\x00", end)
        if data[end + 1] == 0:
            break
        end += 2
    raw = data[at:end].replace(b"\x00\xff", b"\x00")
    return _text(kind, raw), end + 2


def read_scalar(kind: str, data: bytes) -> str:
    return numbers.decode(data)[0] if kind == "N" else _text(kind, data)


def _text(kind: str, raw: bytes) -> str:
    return raw.decode() if kind == "S" else b64encode(raw).decode()


def hashed(data: bytes) -> bytes:
    """A partition's bytes: its hash before it."""
    return crc32(data).to_bytes(HASH_BYTES) + data


def partition(parts: tuple[KeyPart, ...], item: Item) -> bytes:
    """The partition that an item's key attributes put it into."""
    if len(parts) == 1:
        name, kind = parts[0]
        return hashed(scalar(kind, item[name][kind]))
    return hashed(b"".join(ended(kind, item[name][kind]) for name, kind in parts))


def successor(prefix: bytes) -> bytes | None:
    """The least bytes beyond everything that begins with `prefix`; None when there are none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


def segment(number: int, total: int) -> tuple[bytes, bytes | None]:
    """Where a parallel scan's segment begins and ends."""
    start = (HASHES * number // total).to_bytes(HASH_BYTES) if number else b""
    end = (HASHES * (number + 1) // total).to_bytes(HASH_BYTES) if number + 1 < total else None
    return start, end
