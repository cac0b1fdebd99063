"""The helper process that starts environments: small, so that its forks are cheap, and gone when haar is gone.

Run as a script by an isolated interpreter (`haar.execution.spawner` starts it); imports nothing of haar. It answers requests that come
over an inherited Unix socket (descriptor 3), each a 4-byte length and a JSON object, with descriptors attached:

    {"op": "spawn", "id": …, "argv": […], "env": {…}, "fds": n, "cwd": …, "own_group": bool,
     "cgroups": [DIR…], "settings": [[FILE, VALUE]…], "rlimits": [[RESOURCE, SOFT, HARD]…]}
    {"op": "kill", "id": …}

and tells in the same form what becomes of them: {"id": …, "pid": …}, {"id": …, "failed": "why"}, {"id": …, "exit": STATUS, "oom": bool,
"peak": BYTES}.
The descriptors of a spawn become 0 (null), 1 and 2 (the first one), 3… (the others) in the child.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import Any

CONTROL = 3
REMOVAL_SECONDS = 2.0
END_SECONDS = 1.2
LEFTOVER_PAUSE = 0.02
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Nursery:
    def __init__(self) -> None:
        self.control = socket.socket(fileno=CONTROL)
        self.received = bytearray()
        self.descriptors: list[int] = []
        self.children: dict[int, dict[str, Any]] = {}
        self.pids: dict[str, int] = {}
        self.leaving: list[tuple[float, dict[str, Any], int]] = []
        """Environments whose first process has ended: (give up at, request, exit status), until their control groups are empty."""

    def run(self) -> None:
        wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)  # haar decides when to end, and says so by closing the socket
        while True:
            ready, _, _ = select.select([self.control.fileno(), wake], [], [], LEFTOVER_PAUSE if self.leaving else None)
            if wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake, 4096)
            self.reap()
            self.clear()
            if self.control.fileno() in ready and not self.receive():
                return self.end()

    def receive(self) -> bool:
        """Reads what has come; False when haar has closed its end."""
        try:
            data, fds, _, _ = socket.recv_fds(self.control, 1 << 16, 16)
        except ConnectionError:
            return False
        self.descriptors += fds
        if not data:
            return False
        self.received += data
        while len(self.received) >= 4:
            end = 4 + int.from_bytes(self.received[:4], "big")
            if len(self.received) < end:
                break
            request = json.loads(bytes(self.received[4:end]))
            del self.received[:end]
            if request["op"] == "spawn":
                self.spawn(request)
            elif request["id"] in self.pids:
                self.kill(self.pids[request["id"]])
        return True

    def tell(self, **what: Any) -> None:
        line = json.dumps(what).encode()
        with contextlib.suppress(ConnectionError):  # haar is gone: the next receive says so
            self.control.sendall(len(line).to_bytes(4, "big") + line)

    def spawn(self, request: dict[str, Any]) -> None:
        fds, self.descriptors = self.descriptors[: request["fds"]], self.descriptors[request["fds"] :]
        try:
            for directory in request["cgroups"]:
                os.mkdir(directory)
            for file, value in request["settings"]:
                write(file, value)
            pid = os.fork()
            if pid == 0:
                become(request, fds)
        except OSError as error:
            self.remove(request)
            self.tell(id=request["id"], failed=str(error))
        else:
            self.children[pid] = request
            self.pids[request["id"]] = pid
            self.tell(id=request["id"], pid=pid)
        finally:
            for fd in fds:
                os.close(fd)

    def kill(self, pid: int) -> None:
        """Ends everything of an environment. A frozen process dies only once it is thawed, so the signals come first."""
        request = self.children[pid]
        for member in [pid, *members(request["cgroups"]), *descendants(pid)]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(member, signal.SIGKILL)
        thaw(request["cgroups"])

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            request = self.children.pop(pid, None)
            if request is not None:  # else an orphan that the subreaper was given
                del self.pids[request["id"]]
                if request["own_group"]:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(pid, signal.SIGKILL)
                self.leaving.append((time.monotonic() + REMOVAL_SECONDS, request, status))

    def clear(self) -> None:
        """Removes the control groups of what has ended, and tells of an end when nothing of it is left."""
        staying = []
        for until, request, status in self.leaving:
            rest = members(request["cgroups"])
            for member in rest:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(member, signal.SIGKILL)
            if rest:
                thaw(request["cgroups"])
            killed, peak = out_of_memory(request["cgroups"]), peak_bytes(request["cgroups"])
            if self.remove(request) or time.monotonic() > until:
                self.tell(id=request["id"], exit=status, oom=killed, peak=peak)
            else:
                staying.append((until, request, status))
        self.leaving = staying

    def remove(self, request: dict[str, Any]) -> bool:
        left = False
        for directory in request["cgroups"]:
            try:
                os.rmdir(directory)
            except FileNotFoundError:
                pass
            except OSError:
                left = True
        return not left

    def end(self) -> None:
        for pid in list(self.children):
            self.kill(pid)
        until = time.monotonic() + END_SECONDS
        while (self.children or self.leaving) and time.monotonic() < until:
            self.reap()
            self.clear()
            time.sleep(LEFTOVER_PAUSE)
        for directory in sys.argv[1:]:
            with contextlib.suppress(OSError):
                os.rmdir(directory)


def become(request: dict[str, Any], fds: list[int]) -> None:
    """In the child: joins the control groups and becomes the command."""
    try:
        signal.set_wakeup_fd(-1)
        for default in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(default, signal.SIG_DFL)
        os.setsid()
        for directory in request["cgroups"]:
            write(directory + "/cgroup.procs", "0")
        for number, soft, hard in request["rlimits"]:
            resource.setrlimit(number, (soft, hard))
        high = [os.dup(fd) if fd <= CONTROL + len(fds) else fd for fd in fds]
        while min(high) <= CONTROL + len(fds):
            high = [os.dup(fd) if fd <= CONTROL + len(fds) else fd for fd in high]
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(high[0], 1)
        os.dup2(high[0], 2)
        for number, fd in enumerate(high[1:], CONTROL):
            os.dup2(fd, number)
        os.closerange(CONTROL + len(fds) - 1, 256)
        if request["cwd"]:
            os.chdir(request["cwd"])
        os.execve(request["argv"][0], request["argv"], request["env"])  # noqa: S606 - a command of haar's own making
    except BaseException as error:  # noqa: BLE001 - a forked child must never return into the parent's loop
        os.write(2, f"haar: {request['argv'][0]}: {error}\n".encode())
    finally:
        os._exit(127)


def write(file: str, value: str) -> None:
    fd = os.open(file, os.O_WRONLY)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def read(file: str) -> str:
    try:
        with open(file) as opened:
            return opened.read()
    except OSError:
        return ""


def members(cgroups: list[str]) -> list[int]:
    return [int(pid) for pid in {line for directory in cgroups for line in read(directory + "/cgroup.procs").split()} if pid != "0"]


def descendants(pid: int) -> list[int]:
    found: list[int] = []
    waiting = [pid]
    while waiting and len(found) < 10_000:
        parent = waiting.pop()
        children = [int(child) for child in read(f"/proc/{parent}/task/{parent}/children").split()]
        found += children
        waiting += children
    return found


def thaw(cgroups: list[str]) -> None:
    for directory in cgroups:
        for file, value in (("/freezer.state", "THAWED"), ("/cgroup.freeze", "0")):
            with contextlib.suppress(OSError):
                write(directory + file, value)


def out_of_memory(cgroups: list[str]) -> bool:
    for directory in cgroups:
        for file in ("/memory.oom_control", "/memory.events"):
            for line in read(directory + file).splitlines():
                if line.startswith("oom_kill ") and line != "oom_kill 0":
                    return True
    return False


def peak_bytes(cgroups: list[str]) -> int:
    for directory in cgroups:
        for file in ("/memory.max_usage_in_bytes", "/memory.peak"):
            if text := read(directory + file):
                return int(text)
    return 0


def main() -> None:
    os.closerange(CONTROL + 1, 4096)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    Nursery().run()


if __name__ == "__main__":
    main()
