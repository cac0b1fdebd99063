"""One connection's frames, without a server: what it makes of bytes, and how it ends."""

import asyncio
from collections.abc import Callable

import pytest

from haar.services.apigatewayv2.websocket.session import Session

LIMITS = (600.0, 7200.0)


class Channel:
    """What a server would give; keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def frame(first: int, payload: bytes) -> bytes:
    """A client's frame, masked with zeros."""
    size = len(payload)
    head = bytes([first, 0x80 | size]) if size < 126 else bytes([first, 0x80 | 126]) + size.to_bytes(2)
    return head + bytes(4) + payload


@pytest.fixture
def make() -> Callable[[], tuple[Session, Channel, list[str]]]:
    """make() -> an open session, its channel, and the messages that came."""

    def run() -> tuple[Session, Channel, list[str]]:
        session, channel, came = Session("id", "127.0.0.1", "", lambda: 0.0, LIMITS), Channel(), []

        async def take(session: Session, message: str) -> None:
            came.append(message)

        session.on_message = take
        session.connected(channel)
        return session, channel, came

    return run


Make = Callable[[], tuple[Session, Channel, list[str]]]


@pytest.mark.parametrize(
    ("payload", "code", "reason"),
    [
        (b"", 1005, "Client-side close frame status not set"),
        (b"\x03\xe8", 1000, ""),
        (b"\x0f\xa1bye", 4001, "bye"),
    ],
)
async def test_how_a_client_ends_it(make: Make, payload: bytes, code: int, reason: str) -> None:
    session, channel, _ = make()
    session.received(frame(0x88, payload))
    assert (session.code, session.reason, channel.closed) == (code, reason, True)
    session.lost()


async def test_messages_in_pieces(make: Make) -> None:
    """Of several frames, and of bytes that come one by one; each frame may be as long as one may be."""
    session, _, came = make()
    long = b"x" * 32 * 1024
    session.received(frame(0x01, long) + frame(0x00, long) + frame(0x80, b"!"))
    for byte in frame(0x81, "é".encode()):
        session.received(bytes([byte]))
    await asyncio.sleep(0)
    assert came == [(long + long + b"!").decode(), "é"]
    session.lost()


@pytest.mark.parametrize("frames", [[(0x81, 32 * 1024 + 1)], [(0x01, 32 * 1024)] * 1 + [(0x00, 32 * 1024)] * 3 + [(0x80, 1)]])
async def test_what_is_too_long_ends_it(make: Make, frames: list[tuple[int, int]]) -> None:
    session, channel, came = make()
    for first, size in frames:
        session.received(frame(first, b"x" * size))
    await asyncio.sleep(0)
    assert (session.code, channel.closed, came) == (1009, True, [])
    session.lost()


@pytest.mark.parametrize("first", [0x82, 0x02])
async def test_what_is_no_text_ends_it(make: Make, first: int) -> None:
    session, channel, came = make()
    session.received(frame(first, b"x"))
    await asyncio.sleep(0)
    assert (session.code, channel.closed, came) == (1003, True, [])
    session.lost()
