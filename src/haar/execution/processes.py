"""A tree of processes seen from outside, where no control group holds it together."""

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterable
from pathlib import Path

BOUND = 10_000
ROUNDS = 5


def tree(pid: int) -> list[int]:
    """`pid` and all processes below it, parents first. Orphans become their pid namespace's first process's, so none is missed."""
    found = [pid]
    waiting = [pid]
    while waiting and len(found) < BOUND:
        parent = waiting.pop()
        children = [int(child) for child in _read(f"/proc/{parent}/task/{parent}/children").split()]
        found += children
        waiting += children
    return found


def stop(pid: int) -> list[int]:
    """Halts `pid` and everything below it, also what is being forked meanwhile; what was halted."""
    halted: list[int] = []
    for _ in range(ROUNDS):
        fresh = [process for process in tree(pid) if process not in halted]
        if not fresh:
            break
        _signal(fresh, signal.SIGSTOP)
        halted += fresh
    return halted


def terminate(pid: int) -> None:
    """SIGTERM for the main thread of `pid`: just after a thaw the kernel may choose another, which wakes no handler of Python's."""
    ctypes.CDLL(None).tgkill(pid, pid, signal.SIGTERM)


def resume(pids: Iterable[int]) -> None:
    _signal(pids, signal.SIGCONT)


def anonymous_bytes(pid: int) -> int:
    """Memory that `pid` and the processes below it have written to, in all."""
    return sum(_field(process, "RssAnon:") for process in tree(pid)) << 10


def peak_bytes(pid: int) -> int:
    return sum(_field(process, "VmHWM:") for process in tree(pid)) << 10


def sockets(pid: int) -> int:
    """How many sockets there are in the network namespace of `pid`."""
    for line in _read(f"/proc/{pid}/net/sockstat").splitlines():
        if line.startswith("sockets: used "):
            return int(line.split()[2])
    return 0


def _field(pid: int, name: str) -> int:
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # it has ended
        return ""
