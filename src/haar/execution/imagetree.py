"""The files of an unpacked image, made safe to keep and ready to be a sandbox's root. Blocking: run it in a thread."""

import contextlib
import os
import shutil
import stat
from pathlib import Path

MAX_BYTES = 10 << 30
"""10 GB, as AWS's limit for an uncompressed image."""
MAX_ENTRIES = 2_000_000
SET_IDS = stat.S_ISUID | stat.S_ISGID
HOST = ".haar"
"""Where an image's sandbox has what its first program is made of."""
DEVICES = ("null", "zero", "full", "random", "urandom")


class TooLarge(Exception):
    def __init__(self, message: str = f"is larger than {MAX_BYTES} bytes or holds more than {MAX_ENTRIES} files") -> None:
        super().__init__(message)


def disk(directory: Path) -> int:
    """Free bytes of its file system."""
    told = os.statvfs(directory)
    return told.f_bavail * told.f_frsize


def entries_left(directory: Path) -> int:
    """How many files its file system can still take; 0 where it does not say."""
    return os.statvfs(directory).f_ffree


def tidy(root: Path) -> None:
    """Takes away what must not lie about on the host (set-user-id programs, capabilities, pipes), and makes the mount points.

    Never follows a link: the tree is a stranger's. Raises TooLarge.
    """
    if not _is_directory(root):
        raise TooLarge("holds no directory")
    root.chmod(root.stat().st_mode & ~SET_IDS & 0o7777 | 0o755)
    size = entries = 0
    for _, _, _, directory in os.fwalk(root, follow_symlinks=False):
        with os.scandir(directory) as found:
            for entry in found:
                entries += 1
                size += _entry(entry, directory)
        if size > MAX_BYTES or entries > MAX_ENTRIES:
            raise TooLarge
    mount_points(root)


def _entry(entry: "os.DirEntry[str]", directory: int) -> int:
    """Tidies an entry of a directory; its size."""
    told = entry.stat(follow_symlinks=False)
    if stat.S_ISLNK(told.st_mode):
        return 0
    if not (stat.S_ISREG(told.st_mode) or stat.S_ISDIR(told.st_mode)):
        os.unlink(entry.name, dir_fd=directory)
        return 0
    mode = told.st_mode & ~SET_IDS & 0o7777 | (0o700 if stat.S_ISDIR(told.st_mode) else 0o400)  # haar reads and removes it
    file = os.open(entry.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        path = f"/proc/self/fd/{file}"
        if mode != told.st_mode & 0o7777:
            os.chmod(path, mode)  # noqa: PTH101 - a descriptor, not a name
        if stat.S_ISREG(told.st_mode):
            with contextlib.suppress(OSError):  # mostly there is none
                os.removexattr(path, "security.capability")
    finally:
        os.close(file)
    return 0 if stat.S_ISDIR(told.st_mode) else told.st_size


def mount_points(root: Path) -> None:
    """What a sandbox needs to be there. A link in its place goes: a mount through it could land anywhere."""
    for name in ("proc", "dev", "tmp", HOST):
        _directory(root / name)
    shutil.rmtree(root / "dev")
    devices(root / "dev")
    if _is_directory(root / "etc") or not os.path.lexists(root / "etc"):
        _directory(root / "etc")
        for name in ("hosts", "resolv.conf"):
            path = root / "etc" / name
            if path.is_symlink() or not path.is_file():
                shutil.rmtree(path) if _is_directory(path) else path.unlink(missing_ok=True)
                path.touch()


def devices(directory: Path) -> None:
    """A /dev: files to mount the devices on, and the usual links."""
    directory.mkdir(parents=True)
    for name in DEVICES:
        (directory / name).touch()
    for link, target in {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        (directory / link).symlink_to(target)


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _directory(path: Path) -> None:
    if not _is_directory(path):
        path.unlink(missing_ok=True)
        path.mkdir()


def has(root: Path, name: str) -> bool:
    """Whether `name` (relative) is a plain file of the tree, with no link on the way."""
    path = root
    for part in Path(name).parts:
        path = path / part
        if path.is_symlink():
            return False
    return path.is_file()
