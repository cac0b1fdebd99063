"""Functions whose code is a directory of the host (`haar dev`): the next invocation runs what is in it then.

Who may write into the data directory says which: `dev/NAME.json` there is such a mount, which `haar dev` makes and takes away, and the
platform renames it to `dev/NAME.live` when it has taken it up. Environments get a copy that shares unchanged files with the last one, so
that a function sees one state of the directory and nothing else of the host.
"""

import asyncio
import base64
import hashlib
import logging
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from haar.execution.contract import FunctionSpec
from haar.execution.package import ENTRIES, UNPACKED_BYTES, into_place, link_or_copy
from haar.services.lambda_.debugging import FILES, HEADER, PATH, Door, add_files, debugged
from haar.services.lambda_.errors import invalid
from haar.services.lambda_.names import LATEST
from haar.services.service import Host
from haar.wire.http import Request, Response

log = logging.getLogger("haar.lambda")

LOOK_SECONDS = 0.3
KEPT_TREES = 5
"""Copies of a directory that stay: environments may still run on them."""
IGNORED = frozenset((".git", ".hg", ".svn", ".venv", "venv", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".aws-sam"))


class Mount(msgspec.Struct, frozen=True):
    """What is in a mount's file."""

    arn: str
    directory: str
    pid: int
    """Of `haar dev`: when that is gone, so is the mount."""
    debug: int = 0
    """The port for debuggers; 0 is none."""
    debugpy: str = ""
    """Where that package is, for Python."""


@dataclass(slots=True)
class Mounted:
    mount: Mount
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    digest: bytes = b""
    trees: list[Path] = field(default_factory=list)
    door: Door | None = None


class Development:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._directory = host.config.data.resolve() / "dev"
        self._cache = host.config.data.resolve() / "cache" / "code"
        self.mounted: dict[str, Mounted] = {}
        """By the function's ARN; empty where nobody develops."""

    async def look(self) -> None:
        """Takes up the mounts that are there, and drops those that are not."""
        found: dict[str, Mounted] = {}
        for path in self._directory.glob("*") if self._directory.is_dir() else ():
            mount = self._read(path)
            if mount is not None:
                known = self.mounted.get(mount.arn)
                found[mount.arn] = known if known is not None and known.mount == mount else await self._take_up(mount)
        gone = [each for arn, each in self.mounted.items() if found.get(arn) is not each]
        self.mounted = found
        for each in gone:
            await self._give_up(each)

    async def _give_up(self, mounted: Mounted) -> None:
        if mounted.door is not None:
            mounted.door.close()
        if self._host.executor is not None:
            await self._host.executor.retire(mounted.mount.arn)
        async with mounted.lock:
            for tree in mounted.trees:
                await asyncio.to_thread(shutil.rmtree, tree, ignore_errors=True)

    async def _take_up(self, mount: Mount) -> Mounted:
        mounted = Mounted(mount)
        if mount.debug:
            door = Door(mount.debug, self._host.ids.text(32))
            try:
                await door.open()
                mounted.door = door
            except OSError as error:
                log.warning("no debugger can attach: port %d: %s", mount.debug, error.strerror)
        return mounted

    def door(self, token: str) -> Door | None:
        """The door of the mount that has this token."""
        return next((each.door for each in self.mounted.values() if each.door is not None and each.door.admits(token)), None)

    def _read(self, path: Path) -> Mount | None:
        try:
            mount = msgspec.json.decode(path.read_bytes(), type=Mount) if path.suffix in (".json", ".live") else None
            if mount is None:
                return None
            if not Path(f"/proc/{mount.pid}").exists():
                path.unlink()
                return None
            if path.suffix == ".json":
                path.rename(path.with_suffix(".live"))
        except (OSError, msgspec.DecodeError) as error:
            log.warning("%s: no mount: %s", path, error)
            return None
        return mount

    async def current(self, spec: FunctionSpec) -> FunctionSpec:
        """The function as its directory is now. Raises InvalidParameterValueException when that cannot be run."""
        mounted = self.mounted.get(spec.arn) if spec.version == LATEST and not spec.image else None
        if mounted is None:
            return spec
        source = Path(mounted.mount.directory)
        async with mounted.lock:
            try:
                door = mounted.door
                digest = await asyncio.to_thread(fingerprint, source, door.token if door is not None else "")
                target = self._cache / digest.hex()
                if digest != mounted.digest:
                    if not target.is_dir():
                        await asyncio.to_thread(into_place, target, lambda partial: self._fill(mounted, partial))
                    await self._changed(mounted, digest, target)
            except OSError as error:
                raise invalid(f"{source}: {error.strerror}") from None
        spec = replace(spec, code_sha256=base64.b64encode(digest).decode(), revision=f"{spec.revision}/{digest.hex()}")
        return spec if door is None else debugged(spec, door)

    def _fill(self, mounted: Mounted, target: Path) -> None:
        last = mounted.trees[-1] if mounted.trees else None
        copy(Path(mounted.mount.directory), target, last)
        if mounted.door is not None:
            kept = last / FILES / "debugpy" if last is not None else Path()
            add_files(target, str(kept) if kept.is_dir() and last else mounted.mount.debugpy, link_or_copy if last else shutil.copyfile)

    async def _changed(self, mounted: Mounted, digest: bytes, target: Path) -> None:
        mounted.digest = digest
        mounted.trees = [tree for tree in mounted.trees if tree != target] + [target]
        for old in mounted.trees[:-KEPT_TREES]:
            await asyncio.to_thread(shutil.rmtree, old, ignore_errors=True)
        mounted.trees = mounted.trees[-KEPT_TREES:]
        if self._host.executor is not None:
            await self._host.executor.retire(mounted.mount.arn)


def files(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    """The files and links below a directory, by their path in it. Raises InvalidParameterValueException for too much."""
    left, count = UNPACKED_BYTES, 0
    waiting = [""]
    while waiting:
        within = waiting.pop()
        for entry in sorted(os.scandir(directory / within), key=lambda entry: entry.name):
            path = f"{within}{entry.name}"
            if entry.name in IGNORED:
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path + "/")
                continue
            found = entry.stat(follow_symlinks=False)
            left, count = left - found.st_size, count + 1
            if left < 0 or count > ENTRIES:
                raise invalid(f"{directory} holds more than {UNPACKED_BYTES} bytes or {ENTRIES} files: no function's code does")
            if stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode):
                yield path, found


def fingerprint(directory: Path, more: str = "") -> bytes:
    """32 bytes that move when a file is written, made or taken away, and with `more`."""
    digest = hashlib.sha256(os.fsencode(directory) + b"\0" + more.encode())
    for path, found in files(directory):
        digest.update(os.fsencode(path) + f"\0{found.st_mode}|{found.st_size}|{found.st_mtime_ns}|{found.st_ino}\n".encode())
    return digest.digest()


def copy(directory: Path, target: Path, last: Path | None) -> None:
    """Copies what is there, and shares with the last copy what has not changed since."""
    for path, found in files(directory):
        source, written = directory / path, target / path
        written.parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISLNK(found.st_mode):
            written.symlink_to(source.readlink())
            continue
        if last is not None and _same(last / path, found):
            os.link(last / path, written)
            continue
        shutil.copyfile(source, written)
        written.chmod((found.st_mode & 0o755) | 0o444)
        os.utime(written, ns=(found.st_atime_ns, found.st_mtime_ns))


def _same(path: Path, found: os.stat_result) -> bool:
    try:
        kept = path.lstat()
    except OSError:
        return False
    wanted = (found.st_size, found.st_mtime_ns, (found.st_mode & 0o755) | 0o444)
    return stat.S_ISREG(kept.st_mode) and (kept.st_size, kept.st_mtime_ns, stat.S_IMODE(kept.st_mode)) == wanted


class DebugRoute:
    """Takes connections from inside sandboxes to where their debuggers are."""

    def matches(self, request: Request) -> bool:
        return request.path == PATH

    async def serve(self, host: Host, request: Request, request_id: str) -> Response:
        door = host.get(Development).door(request.headers.get(HEADER, "")) if request.environment is not None else None
        return Response(403) if door is None else door.response()


async def run(host: Host) -> None:
    """Looks for mounts, for as long as the platform stands."""
    development = host.get(Development)
    while True:
        await development.look()
        await asyncio.sleep(LOOK_SECONDS)
