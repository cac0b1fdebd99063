"""Frames of `application/vnd.amazon.eventstream`: what a service sends in an event stream.

https://smithy.io/2.0/aws/amazon-eventstream.html
"""

import struct
from zlib import crc32

MAX_PAYLOAD = 16 * 1024 * 1024
"""Bytes of one event's payload; readers refuse more (botocore's own limit)."""
_STRING = 7
_OVERHEAD = 16
"""Two lengths, the prelude's checksum and the frame's."""


def event(kind: str, payload: bytes = b"", content_type: str | None = None) -> bytes:
    """One event (`PayloadChunk`) as a frame. Raises ValueError for a payload over MAX_PAYLOAD."""
    headers = {":message-type": "event", ":event-type": kind}
    if content_type is not None:
        headers[":content-type"] = content_type
    return frame(headers, payload)


def exception(kind: str, payload: bytes) -> bytes:
    """A modelled error in the middle of a stream, with its JSON."""
    return frame({":message-type": "exception", ":exception-type": kind, ":content-type": "application/json"}, payload)


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """A message of text headers and a payload."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"an event's payload has {len(payload)} bytes, more than {MAX_PAYLOAD}")
    head = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = struct.pack("!II", _OVERHEAD + len(head) + len(payload), len(head))
    message = prelude + struct.pack("!I", crc32(prelude)) + head + payload
    return message + struct.pack("!I", crc32(message))


def _header(name: bytes, value: bytes) -> bytes:
    return struct.pack("!B", len(name)) + name + struct.pack("!BH", _STRING, len(value)) + value
