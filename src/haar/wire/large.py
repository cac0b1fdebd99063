"""Large JSON bodies, read a slice at a time: long texts of base64 are taken out before the rest is parsed, decoded, and put back.

Parsing a package of 50 MB in one piece would hold the loop for a third of a second.
"""

import asyncio
import binascii
from collections.abc import Callable
from typing import Any

LARGE_BODY = 1 << 20
"""Bytes of a body from which on it is read this way."""
STEP = 1 << 17
"""A text without a quote for so many bytes is long. Everything is looked at in pieces of this size."""
SLICE = 1 << 18
"""Bytes of base64 that are decoded at once; a multiple of 4."""
MARKER_BYTES = 24

Parse = Callable[[bytes], dict[str, Any]]


async def parse_large(body: bytes, parse: Parse, random: Callable[[int], bytes]) -> dict[str, Any]:
    """What `parse` makes of the body. Long blobs are bytearrays; `random` gives so many bytes that nobody can foresee.

    Raises what `parse` does. A body with a long text that is not base64 is left to it whole.
    """
    blobs: dict[bytes, bytearray] = {}
    texts: dict[str, tuple[int, int]] = {}
    parts: list[bytes] = []
    at = 0
    for start, end in await long_texts(body):
        decoded, marker = await decode(body, start, end), random(MARKER_BYTES)
        if decoded is None:
            return parse(bytes(body))
        written = binascii.b2a_base64(marker, newline=False)
        blobs[marker], texts[written.decode()] = decoded, (start, end)
        parts += [body[at:start], written]
        at = end

    def put_back(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: put_back(item) for key, item in value.items()}
        if isinstance(value, list):
            return [put_back(item) for item in value]
        if isinstance(value, bytes):
            return blobs.get(value, value)
        if isinstance(value, str) and value in texts:
            start, end = texts[value]
            return body[start:end].decode()
        return value

    found: dict[str, Any] = put_back(parse(b"".join([*parts, body[at:]])))
    return found


async def long_texts(body: bytes) -> list[tuple[int, int]]:
    """Where texts are that have no quote and no escape for more than STEP bytes."""
    found: list[tuple[int, int]] = []
    at = 0
    while at + STEP <= len(body):
        quote = body.rfind(b'"', at, at + STEP)
        if quote >= 0 or at == 0:
            at += STEP
            await asyncio.sleep(0)
            continue
        start, end = body.rfind(b'"', 0, at) + 1, at
        while (quote := body.find(b'"', end, end + STEP)) < 0 and end < len(body):
            end += STEP
            await asyncio.sleep(0)
        if start > 1 and quote >= 0 and body[start - 2] != 0x5C:
            found.append((start, quote))
        at = end + STEP
    return found


async def decode(body: bytes, start: int, end: int) -> bytearray | None:
    """The bytes that this part of the body stands for; None when it is not base64."""
    out = bytearray()  # grown, not made whole: filling 45 MB with zeros would hold the loop, too
    with memoryview(body) as view:
        for at in range(start, end, SLICE):
            behind = min(at + SLICE, end)
            if behind < end and body[behind - 1] == 0x3D:
                return None  # padding is for the end
            try:
                out += binascii.a2b_base64(view[at:behind], strict_mode=True)
            except ValueError:
                return None
            await asyncio.sleep(0)
    return out
