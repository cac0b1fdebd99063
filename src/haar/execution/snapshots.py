"""SnapStart: the images of initialised versions (`runtimes/haar_snapshot.py` says what an image is), kept as files.

An image is written by a function and read by the same version of it: haar looks at none of it, and bounds its size.
"""

import asyncio
import contextlib
import hashlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from haar.execution.contract import FunctionSpec

EXTRA_MB = 64
"""What an image may have beyond the function's memory and its /tmp: the interpreter's own files that are changed in memory."""
KEPT_BYTES = 8 << 30
"""All images together; the longest unused one goes first, and is made anew when it is asked for."""
HEAD = struct.Struct("<QQ")
REFUSED = 0xFFFFFFFFFFFFFFFF
PIECE_BYTES = 8 << 20
REASON_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Restored:
    """An environment is to be made of this image."""

    descriptor: int


class Taken:
    """An image that is being written: `receive` once the function has been told to start."""

    def __init__(self, path: Path, limit_mb: int) -> None:
        self._path = path
        self._limit = limit_mb << 20
        self.refusal = ""
        """Why there is none."""

    def refuse(self, reason: str) -> None:
        self.refusal = reason

    async def receive(self, hand: socket.socket) -> None:
        """Returns when the image is whole, or will not be."""
        await asyncio.to_thread(self._receive, hand)

    def _receive(self, hand: socket.socket) -> None:
        partial = self._path.with_name(f"{self._path.name}.{os.getpid()}.partial")
        try:
            with partial.open("wb") as written:
                os.chmod(partial, 0o600)  # noqa: PTH101 - it holds what the function holds
                self._pieces(hand, written.fileno())
            if not self.refusal:
                partial.rename(self._path)
        except OSError as error:
            self.refusal = f"it cannot be written: {error}"
        finally:
            partial.unlink(missing_ok=True)

    def _pieces(self, hand: socket.socket, written: int) -> None:
        left = self._limit
        while True:
            offset, length = HEAD.unpack(exactly(hand, HEAD.size))
            if not length:
                return
            if offset == REFUSED:
                self.refusal = exactly(hand, min(length, REASON_BYTES)).decode("utf-8", "replace")
                return
            left -= length
            if left < 0 or length > PIECE_BYTES or offset + length > 4 * self._limit:
                self.refusal = "it is larger than the function's memory"
                return
            os.pwrite(written, exactly(hand, length), offset)


def exactly(hand: socket.socket, length: int) -> bytes:
    """Raises ConnectionError when the process has gone."""
    data = bytearray()
    while len(data) < length:
        more = hand.recv(length - len(data))
        if not more:
            raise ConnectionError("the process ended")
        data += more
    return bytes(data)


class Snapshots:
    """Images below `directory`; `make` initialises a version and has its image written, and raises NotInitialised."""

    def __init__(self, directory: Path, make: Callable[[FunctionSpec, Taken], Awaitable[None]]) -> None:
        self._directory = directory
        self._make = make
        self._making: dict[Path, asyncio.Task[str]] = {}

    def _path(self, spec: FunctionSpec) -> Path:
        told = (spec.revision, spec.code_sha256, spec.layers, spec.memory_mb, spec.ephemeral_mb)
        return self._of(spec.arn) / f"{spec.version}-{hashlib.sha256(repr(told).encode()).hexdigest()[:32]}.image"

    def _of(self, arn: str) -> Path:
        return self._directory / hashlib.sha256(arn.encode()).hexdigest()[:32]

    def forget(self, arn: str, version: str = "") -> None:
        """Removes what is kept of a function that is deleted, or of one version of it."""
        for path in self._of(arn).glob(f"{version}-*" if version else "*"):
            path.unlink(missing_ok=True)

    async def take(self, spec: FunctionSpec) -> str:
        """Sees to it that the version has an image; why it can have none, or nothing. Raises NotInitialised, Throttled, Unavailable."""
        path = self._path(spec)
        if path.is_file():
            return ""
        if (none := path.with_suffix(".none")).is_file():
            return none.read_text()
        if (task := self._making.get(path)) is None:
            task = self._making[path] = asyncio.ensure_future(self._take(spec, path))
            task.add_done_callback(lambda _: self._making.pop(path, None))
        return await asyncio.shield(task)

    async def _take(self, spec: FunctionSpec, path: Path) -> str:
        taken = Taken(path, spec.memory_mb + spec.ephemeral_mb + EXTRA_MB)
        path.parent.mkdir(parents=True, exist_ok=True)
        await self._make(spec, taken)
        if taken.refusal:
            path.with_suffix(".none").write_text(taken.refusal)
        await asyncio.to_thread(self.trim, path)
        return taken.refusal

    async def open(self, spec: FunctionSpec) -> Restored | None:
        """The version's image, made when it is not there (the caller closes it); None where there can be none."""
        for _ in range(2):
            try:
                descriptor = os.open(self._path(spec), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                if await self.take(spec):
                    return None
            else:
                os.utime(descriptor)
                return Restored(descriptor)
        return None

    def drop(self, spec: FunctionSpec) -> None:
        """The image does not fit any more."""
        self._path(spec).unlink(missing_ok=True)

    def trim(self, newest: Path | None = None) -> None:
        """Removes the longest unused images beyond the bound, and what is half made."""
        found = []
        for path in self._directory.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                if path.name.endswith(".partial") and newest is None:
                    path.unlink()
                elif path != newest:
                    known = path.stat()
                    found.append((known.st_mtime, known.st_blocks * 512, path))
        left = KEPT_BYTES
        for _, size, path in sorted(found, reverse=True):
            left -= size
            if left < 0:
                path.unlink(missing_ok=True)
