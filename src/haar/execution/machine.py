"""The machine that functions run on: its processors, haar's files, and what a haar before has left."""

import resource
import shutil
from pathlib import Path

from haar.execution import probe

FILES = 65_536


def running_threads() -> int:
    """How many threads of this machine run or wait for a processor, ourselves not counted."""
    try:
        return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0]) - 1
    except (OSError, ValueError, IndexError):
        return 0


def raise_file_limit() -> None:
    """Every environment holds some descriptors of haar's; the soft limit is often 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def clean_directories(directory: Path) -> None:
    """Removes what a haar that was killed has left."""
    for path in directory.glob("execution-*"):
        owner = (path / "owner").read_text() if (path / "owner").is_file() else ""
        pid, _, _ = owner.partition(" ")
        if not pid or owner != probe.process_identity(int(pid)):
            shutil.rmtree(path, ignore_errors=True)
