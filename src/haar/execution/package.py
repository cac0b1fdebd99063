"""A function's code on disk: unpacked once per content, shared read-only by all its environments."""

import asyncio
import base64
import hashlib
import io
import os
import shutil
import stat
import zipfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

UNPACKED_BYTES = 262_144_000
"""250 MB, layers included."""
ENTRIES = 200_000
CHUNK = 1 << 20
REMEMBERED = 2000
KEPT_BYTES = 8 << 30
"""What the unpacked code may take on disk; the longest unused goes when haar starts."""


class BadPackage(Exception):
    """An archive that is not unpacked; the message says why."""


@dataclass(frozen=True, slots=True)
class Tree:
    """An unpacked package."""

    path: Path
    entries: int
    """Files and directories in it."""


class Packages:
    """Unpacked code below `directory`; `fetch` gets an archive by its hash (base64 of SHA-256)."""

    def __init__(self, directory: Path, fetch: Callable[[str], Awaitable[bytes]]) -> None:
        self._directory = directory
        self._fetch = fetch
        self._trees: dict[str, Tree] = {}
        self._making: dict[str, asyncio.Task[Tree]] = {}

    async def code(self, code_sha256: str) -> Tree:
        """The unpacked package. Raises BadPackage, and what `fetch` raises."""
        return await self._once(code_sha256, lambda: self._unpack(code_sha256))

    async def layers(self, hashes: Sequence[str]) -> Tree | None:
        """Layers merged in order (a later one's files win), or None where there are none."""
        if not hashes:
            return None
        name = "layers-" + hashlib.sha256("\n".join(hashes).encode()).hexdigest()
        return await self._once(name, lambda: self._merge(name, hashes))

    def trim(self) -> None:
        """Removes what is half made, and the longest unused beyond the bound. Only while no environment is there."""
        trees = []
        for path in self._directory.glob("*"):
            if path.name.endswith(".partial"):
                shutil.rmtree(path, ignore_errors=True)
            elif path.is_dir() and not path.is_symlink():
                trees.append((path.stat().st_mtime, path))
        left = KEPT_BYTES
        for _, path in sorted(trees, reverse=True):
            left -= sum(entry.lstat().st_size for entry in path.rglob("*"))
            if left < 0:
                shutil.rmtree(path, ignore_errors=True)

    async def _once(self, key: str, make: Callable[[], Awaitable[Tree]]) -> Tree:
        if (tree := self._trees.get(key)) is not None:
            return tree
        if (task := self._making.get(key)) is None:
            task = self._making[key] = asyncio.ensure_future(make())
            task.add_done_callback(lambda _: self._making.pop(key, None))
        tree = await asyncio.shield(task)
        if len(self._trees) >= REMEMBERED:
            del self._trees[next(iter(self._trees))]
        self._trees[key] = tree
        return tree

    async def _unpack(self, code_sha256: str) -> Tree:
        target = self._directory / base64.b64decode(code_sha256).hex()
        if not target.is_dir():
            archive = await self._fetch(code_sha256)
            await asyncio.to_thread(into_place, target, lambda partial: unpack(archive, partial))
        os.utime(target)
        return await asyncio.to_thread(_count, target)

    async def _merge(self, name: str, hashes: Sequence[str]) -> Tree:
        trees = [await self.code(code_sha256) for code_sha256 in hashes]
        target = self._directory / name
        if not target.is_dir():

            def merge(partial: Path) -> None:
                for tree in trees:
                    link_tree(tree.path, partial)

            await asyncio.to_thread(into_place, target, merge)
        os.utime(target)
        return await asyncio.to_thread(_count, target)


def unpack(archive: bytes, target: Path) -> None:
    """Unpacks a zip into the empty directory `target`. Nothing is written outside it, nor more than 250 MB."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            entries = opened.infolist()
            if len(entries) > ENTRIES:
                raise BadPackage(f"the package has more than {ENTRIES} entries")
            left = UNPACKED_BYTES
            for entry in entries:
                left = _entry(opened, entry, target, left)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BadPackage(f"Could not unzip uploaded file. Please check your file, then try to upload again. ({error})") from None
    except (NotADirectoryError, FileExistsError, IsADirectoryError) as error:
        raise BadPackage(f"the package holds two entries of one name: {Path(str(error.filename)).name}") from None


def _entry(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, left: int) -> int:
    parts = [part for part in entry.filename.replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts:
        return left
    if ".." in parts:
        raise BadPackage(f"the package holds an entry outside itself: {entry.filename!r}")
    path = target.joinpath(*parts)
    for parent in path.relative_to(target).parents:
        if (target / parent).is_symlink():
            raise BadPackage(f"the package writes through a link: {entry.filename!r}")
    mode = entry.external_attr >> 16
    if entry.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return left
    path.parent.mkdir(parents=True, exist_ok=True)
    if stat.S_ISLNK(mode):
        destination = os.fsdecode(opened.read(entry))
        inside = Path(os.path.normpath("/" + "/".join(parts[:-1]) + "/" + destination))
        if destination.startswith("/") or len(destination) > 4096 or _climbs(parts[:-1], destination):
            raise BadPackage(f"the package holds a link that leaves it: {entry.filename!r} to {str(inside)!r}")
        path.unlink(missing_ok=True)
        path.symlink_to(destination)
        return left
    if path.is_symlink():
        path.unlink()
    with opened.open(entry) as source, path.open("wb") as written:
        while chunk := source.read(CHUNK):
            left -= len(chunk)
            if left < 0:
                raise BadPackage(f"Unzipped size must be smaller than {UNPACKED_BYTES} bytes")
            written.write(chunk)
    path.chmod((mode & 0o755) | 0o444)  # AWS's sandbox user reads what anyone may read; a zip without modes must run, too
    return left


def _climbs(directory: Sequence[str], destination: str) -> bool:
    depth = len(directory)
    for part in destination.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            return True
    return False


def into_place(target: Path, fill: Callable[[Path], None]) -> None:
    """Fills a new directory and gives it its name at once, so that a name means a whole tree."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        fill(partial)
        for directory, _, _ in os.walk(partial):
            os.chmod(directory, 0o755)  # noqa: PTH101, S103 - the environment's user reads it
        try:
            partial.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was first with the same content
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _count(path: Path) -> Tree:
    return Tree(path, sum(len(directories) + len(files) for _, directories, files in os.walk(path)))


def link_tree(source: Path, target: Path) -> None:
    """Makes `target` hold what `source` holds: the same files under a second name, new directories. What was there under a name goes."""
    with os.scandir(source) as entries:
        for entry in entries:
            name = target / entry.name
            if entry.is_dir(follow_symlinks=False):
                if name.is_symlink() or name.is_file():
                    name.unlink()
                name.mkdir(exist_ok=True)
                link_tree(Path(entry.path), name)
                continue
            if name.is_dir() and not name.is_symlink():
                shutil.rmtree(name)
            else:
                name.unlink(missing_ok=True)
            link_or_copy(entry.path, str(name))


def link_or_copy(source: str, target: str) -> None:
    """A second name for a file, or a copy where there cannot be one (another file system, another user's file)."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
