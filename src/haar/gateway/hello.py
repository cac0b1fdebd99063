"""What a client says before TLS begins: the host name in its ClientHello (RFC 8446, 4.1.2; RFC 6066, 3). Pure."""

import struct

HANDSHAKE, CLIENT_HELLO, SERVER_NAME, HOST_NAME = 22, 1, 0, 0
MAX_HELLO = 32 * 1024
"""Bytes of a ClientHello; what is larger is none."""


class NotTls(ValueError):
    """What came is no ClientHello."""


def server_name(data: bytes) -> str | None:
    """The host name that a client asks for, lower case; empty when it names none, None when more has to come. Raises NotTls."""
    hello = _message(data)
    if hello is None:
        return None
    try:
        return _name(hello)
    except (IndexError, struct.error):
        raise NotTls from None


def _message(data: bytes) -> bytes | None:
    """The handshake message, put together from its records."""
    message, at = b"", 0
    while True:
        if len(data) > at and data[at] != HANDSHAKE:
            raise NotTls
        if len(data) < at + 5:
            return None
        size = int.from_bytes(data[at + 3 : at + 5])
        message += data[at + 5 : at + 5 + size]
        if message and message[0] != CLIENT_HELLO:
            raise NotTls
        if len(message) >= 4:
            whole = 4 + int.from_bytes(message[1:4])
            if whole > MAX_HELLO:
                raise NotTls
            if len(message) >= whole:
                return message[4:whole]
        if len(data) < at + 5 + size:
            return None
        if size == 0:
            raise NotTls
        at += 5 + size


def _name(hello: bytes) -> str:
    at = 34  # version and random
    at += 1 + hello[at]  # session
    at += 2 + int.from_bytes(hello[at : at + 2])  # cipher suites
    at += 1 + hello[at]  # compression
    if at >= len(hello):
        return ""
    end = at + 2 + int.from_bytes(hello[at : at + 2])
    at += 2
    while at + 4 <= min(end, len(hello)):
        kind, size = struct.unpack_from("!HH", hello, at)
        if kind == SERVER_NAME:
            given, name_size = struct.unpack_from("!BH", hello, at + 6)
            if given != HOST_NAME or name_size + 5 > size:
                return ""
            return hello[at + 9 : at + 9 + name_size].decode("ascii", "replace").lower().rstrip(".")
        at += 4 + size
    return ""
