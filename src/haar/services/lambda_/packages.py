"""Deployment packages: checked, kept in chunks under their SHA-256, and cleared away when no version holds them."""

import asyncio
import base64
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import IO, Any, NamedTuple, cast

from haar.services.lambda_.errors import invalid
from haar.services.service import Host
from haar.store.contract import Reader, Transaction
from haar.wire.errors import ServiceError

CODE = "lambda.code"
REFERENCES = "lambda.coderefs"
GARBAGE = "lambda.codegarbage"

MAX_ZIPPED = 52_428_800
MAX_UNZIPPED = 262_144_000
CHUNK = 262_144
CHUNKS_A_TRANSACTION = 2
GRACE_SECONDS = 900.0
"""How long a package stays after its last holder: environments may be starting with it, and a download URL is valid for 600 s."""
SWEEP_SECONDS = 60.0
SWEEP_SLICE = 100


class Package(NamedTuple):
    sha256: str
    """Base64."""
    size: int
    unpacked: int


def key_of(sha256: str) -> bytes:
    return base64.b64decode(sha256)


class MissingPackage(LookupError):
    """Nobody holds it any more."""


class _Reading(io.RawIOBase):
    """A package as a file, without a copy of it."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        start = (0, self._at, len(self._data))[whence]
        if start + offset < 0:
            raise OSError("before the beginning")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        piece = self._data[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def check_zip(data: bytes) -> int:
    """Its size when unpacked. Raises what AWS answers for a package that it would not take."""
    if not data:
        raise invalid("Uploaded file must be a non-empty zip")
    if len(data) > MAX_ZIPPED:
        raise ServiceError("RequestEntityTooLargeException", f"Zipped size must be smaller than {MAX_ZIPPED} bytes", 413)
    try:
        with zipfile.ZipFile(cast(IO[bytes], _Reading(data))) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError):
        raise invalid("Could not unzip uploaded file. Please check your file, then try to upload again.") from None
    if not any(not entry.is_dir() for entry in entries):
        raise invalid("Uploaded file must be a non-empty zip")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked >= MAX_UNZIPPED:
        raise invalid(f"Unzipped size must be smaller than {MAX_UNZIPPED} bytes")
    return unpacked


async def examine(data: bytes) -> Package:
    """What a package is. Raises what AWS answers for one that it would not take."""
    unpacked = await asyncio.to_thread(check_zip, data)
    digest = await asyncio.to_thread(lambda: hashlib.sha256(data).digest())
    return Package(base64.b64encode(digest).decode(), len(data), unpacked)


async def keep(host: Host, data: bytes) -> Package:
    """Checks a package and stores it; it stays for a while, and for as long as a version holds it (`hold`)."""
    package = await examine(data)
    digest = key_of(package.sha256)
    count = -(-len(data) // CHUNK)

    async def claim(tx: Transaction) -> bool:
        _condemn(tx, digest, host.clock.now())
        return await tx.get(CODE, digest, b"end") is not None

    if not await host.store.transact(claim):
        for at in range(0, count, CHUNKS_A_TRANSACTION):
            await host.store.transact(_write(digest, data, range(at, min(at + CHUNKS_A_TRANSACTION, count)), count))
    return package


def _write(digest: bytes, data: bytes, chunks: Sequence[int], count: int) -> Callable[[Transaction], Awaitable[None]]:
    async def write(tx: Transaction) -> None:
        for chunk in chunks:
            tx.put(CODE, digest, b"c" + chunk.to_bytes(4, "big"), bytes(data[chunk * CHUNK : (chunk + 1) * CHUNK]))
        if chunks[-1] == count - 1:
            tx.put(CODE, digest, b"end", count.to_bytes(4, "big"))

    return write


async def pieces(reader: Reader, sha256: str) -> AsyncIterator[bytes]:
    """The package in slices that let others in. Raises MissingPackage, at the first or at a later one."""
    digest = key_of(sha256)
    end = await reader.get(CODE, digest, b"end")
    if end is None:
        raise MissingPackage
    for at in range(int.from_bytes(end, "big")):
        piece = await reader.get(CODE, digest, b"c" + at.to_bytes(4, "big"))
        if piece is None:
            raise MissingPackage
        yield piece
        await asyncio.sleep(0)


async def fetch(reader: Reader, sha256: str) -> bytes | None:
    """The package (a bytearray), or None when it is not there."""
    package = bytearray()
    try:
        async for piece in pieces(reader, sha256):
            package += piece
    except MissingPackage:
        return None
    return cast(bytes, package)


def hold(tx: Transaction, sha256: str, holder: str) -> None:
    """Notes that `holder` (a function's id and a version) needs the package."""
    tx.put(REFERENCES, key_of(sha256), holder.encode(), b"")


def release(tx: Transaction, sha256: str, holder: str, now: float) -> None:
    tx.delete(REFERENCES, key_of(sha256), holder.encode())
    _condemn(tx, key_of(sha256), now)


def hold_all(tx: Transaction, hashes: Iterable[str], holder: str) -> None:
    for sha256 in hashes:
        hold(tx, sha256, holder)


def release_all(tx: Transaction, hashes: Iterable[str], holder: str, now: float) -> None:
    for sha256 in hashes:
        release(tx, sha256, holder, now)


def _condemn(tx: Transaction, digest: bytes, now: float) -> None:
    """Has the package looked at after the grace: gone then, unless somebody holds it."""
    tx.put(GARBAGE, digest, b"", str(now + GRACE_SECONDS).encode())


async def sweep(host: Host) -> None:
    """Clears away what nobody holds, for as long as the platform stands."""
    while True:
        await collect(host)
        await asyncio.sleep(SWEEP_SECONDS)


async def collect(host: Host) -> None:
    after: tuple[bytes, bytes] | None = None
    while rows := await host.store.scan(GARBAGE, after=after, limit=SWEEP_SLICE):
        for row in rows:
            if float(row.value) <= host.clock.now():
                while not await host.store.transact(_clear(row.partition, host.clock.now())):
                    pass
        after = (rows[-1].partition, rows[-1].sort)


def _clear(digest: bytes, now: float) -> Callable[[Transaction], Awaitable[bool]]:
    async def clear(tx: Transaction) -> bool:
        """Deletes a slice of the package; whether nothing is left to be done."""
        due = await tx.get(GARBAGE, digest)
        if due is None or float(due) > now:
            return True
        if await tx.range(REFERENCES, digest, limit=1):
            tx.delete(GARBAGE, digest)
            return True
        tx.delete(CODE, digest, b"end")
        chunks = await tx.range(CODE, digest, b"c", b"d", limit=CHUNKS_A_TRANSACTION)
        for sort, _ in chunks:
            tx.delete(CODE, digest, sort)
        if chunks:
            return False
        tx.delete(GARBAGE, digest)
        return True

    return clear
