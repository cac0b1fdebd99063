"""What a function prints: from its pipe to its log stream, in order, in batches, and the tail of it to the caller."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime

from haar.clock import Clock
from haar.execution.contract import FunctionSpec, Surroundings

READ_BYTES = 1 << 16
PIPE_BYTES = 1 << 16
FRAME_MAGIC = b"\xa5\x5a\x00"
"""awslambdaric marks a message that may have several lines: A5 5A 00 and one byte of format, length (4), microseconds (8), the message."""
FRAME_HEADER = 16
EVENT_BYTES = 262_118
"""256 KB less what CloudWatch Logs adds to each event; a longer line becomes several events."""
TAIL_BYTES = 4096
BATCH_EVENTS = 1000
PENDING_BYTES = 4 << 20
"""Beyond this a function that prints waits until its log has been written."""
LINGER_SECONDS = 0.05
"""Between two batches."""
FIRST_SECONDS = 0.004
"""How long the first event after a pause waits for others: what has not been handed on is lost when haar is killed."""


class LogWriter:
    """Collects an environment's log events and hands them on in batches; one batch at a time, so that order stays."""

    def __init__(self, spec: FunctionSpec, stream: str, surroundings: Surroundings, clock: Clock) -> None:
        self.spec = spec
        self.stream = stream
        self._surroundings = surroundings
        self._clock = clock
        self._pending: list[tuple[int, str]] = []
        self._bytes = 0
        self._last = 0
        self._next = 0.0
        """When the next batch may go, in the loop's time."""
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._tail: bytearray | None = None
        self.resume: list[Callable[[], None]] = []
        """Called when a full writer has room again."""

    @property
    def full(self) -> bool:
        return self._bytes > PENDING_BYTES

    def begin(self) -> None:
        """The tail of an invocation starts here."""
        self._tail = bytearray()

    def tail(self) -> bytes:
        """The last 4 KB since `begin`."""
        tail, self._tail = self._tail, None
        return bytes(tail or b"")[-TAIL_BYTES:]

    def add(self, message: str) -> None:
        self._last = max(self._last, int(self._clock.now() * 1000))
        self._pending.append((self._last, message))
        self._bytes += len(message)
        if self._tail is not None:
            self._tail += message.encode()
            if len(self._tail) > 4 * TAIL_BYTES:
                del self._tail[:-TAIL_BYTES]
        if self._timer is None and self._flushing is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time() + FIRST_SECONDS, self._next), self._start)

    async def close(self) -> None:
        """Hands on what is left."""
        self._start()
        if self._flushing is not None:
            await self._flushing

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flushing is None and self._pending:
            self._next = asyncio.get_running_loop().time() + LINGER_SECONDS
            self._flushing = asyncio.ensure_future(self._flush())
            self._flushing.add_done_callback(self._flushed)

    async def _flush(self) -> None:
        while self._pending:
            batch = self._pending[:BATCH_EVENTS]
            await self._surroundings.log(self.spec, self.stream, batch)
            del self._pending[: len(batch)]
            self._bytes -= sum(len(message) for _, message in batch)
            if not self.full:
                for resume in self.resume:
                    resume()

    def _flushed(self, task: asyncio.Task[None]) -> None:
        self._flushing = None
        if not task.cancelled() and task.exception() is None and self._pending:
            self._start()


class Pump:
    """Reads the pipe that is a function's (or an extension's) standard output and error, and turns it into log events."""

    def __init__(self, fd: int, writer: LogWriter) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._writer = writer
        self.emit: Callable[[str], None] = writer.add
        """Takes each event."""
        self._buffer = bytearray()
        self._reading = False
        self._ended = False
        writer.resume.append(self.read)
        self.read()

    def read(self) -> None:
        """Goes on reading in the background."""
        if not self._reading and not self._ended:
            self._reading = True
            asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def drain(self, limit: int = PIPE_BYTES) -> None:
        """Takes what is in the pipe now (a function that has answered has written all before)."""
        taken = 0
        while taken < limit and not self._ended:
            try:
                data = os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self._end()
                return
            taken += len(data)
            self._buffer += data
            self._parse()
            if len(data) < READ_BYTES:
                return

    def settle(self) -> None:
        """Takes what is in the pipe now, and a last line without its end: an invocation is over."""
        self.drain()
        if self._buffer and not self._buffer.startswith(FRAME_MAGIC):
            self._event(self._buffer)
            self._buffer = bytearray()

    def close(self) -> None:
        """Takes what is left, with or without its end of line, and closes the pipe."""
        self.drain(4 * PIPE_BYTES)
        self._end()

    def _readable(self) -> None:
        self.drain(READ_BYTES)
        if self._writer.full and not self._ended:
            self._pause()

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            asyncio.get_running_loop().remove_reader(self._fd)

    def _end(self) -> None:
        if not self._ended:
            self._pause()
            self._ended = True
            self._writer.resume.remove(self.read)
            os.close(self._fd)
            if self._buffer:
                self._event(self._buffer)
                self._buffer = bytearray()

    def _parse(self) -> None:
        buffer = self._buffer
        start = 0
        while start < len(buffer):
            frame = buffer.find(FRAME_MAGIC, start)
            if frame == start:
                end = self._frame(start)
                if end == start:
                    break
                start = end
                continue
            newline = buffer.find(b"\n", start, frame if frame > 0 else len(buffer))
            end = newline + 1 if newline >= 0 else frame
            if end <= start:
                if len(buffer) - start < EVENT_BYTES:
                    break
                end = start + EVENT_BYTES
            self._event(buffer[start:end])
            start = end
        del buffer[:start]

    def _frame(self, start: int) -> int:
        """Emits the framed message at `start`; where it ends, or `start` when it is not all there."""
        if len(self._buffer) < start + FRAME_HEADER:
            return start
        length = int.from_bytes(self._buffer[start + 4 : start + 8], "big")
        if length > EVENT_BYTES * 4:  # not a frame of the runtime's
            self._event(self._buffer[start : start + FRAME_HEADER])
            return start + FRAME_HEADER
        end = start + FRAME_HEADER + length
        if len(self._buffer) < end:
            return start
        self._event(self._buffer[start + FRAME_HEADER : end])
        return end

    def _event(self, data: bytes | bytearray) -> None:
        for offset in range(0, len(data), EVENT_BYTES):
            text = data[offset : offset + EVENT_BYTES].decode("utf-8", "replace").replace("\r", "\n")
            self.emit(text if text.endswith("\n") else text + "\n")


def timestamp(seconds: float) -> str:
    """`2026-01-31T12:00:00.123Z`"""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def stream_name(seconds: float, version: str, random: str) -> str:
    """`2026/01/31/[$LATEST]` and 32 hexadecimal digits."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y/%m/%d}/[{version}]{random}"
