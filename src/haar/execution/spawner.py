"""haar's side of the nursery: asks it to start and end processes, and hears what became of them."""

import array
import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from haar.execution.contract import Unavailable

NURSERY = Path(__file__).with_name("nursery.py")
MESSAGE_BYTES = 1 << 16
START_SECONDS = 10.0
END_SECONDS = 1.4
SEND_SECONDS = 1.0


@dataclass(slots=True)
class Child:
    """A process that the nursery started, and with it everything below it."""

    id: str
    pid: int = 0
    started: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    ended: asyncio.Future["Exit"] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@dataclass(frozen=True, slots=True)
class Exit:
    status: int
    """As os.waitpid gives it."""
    out_of_memory: bool = False
    peak_bytes: int = 0
    """The most memory that was in use, where control groups count it."""

    @property
    def reason(self) -> str:
        """In AWS's words: what follows `Error: ` when a runtime ends."""
        code = os.waitstatus_to_exitcode(self.status)
        number = -code if code < 0 else code - 128 if code > 128 else 0  # bubblewrap answers 128 + signal for its child
        if (name := SIGNALS.get(number)) is not None:
            return f"Runtime exited with error: signal: {name}"
        return f"Runtime exited with error: exit status {code}" if code else "Runtime exited without providing a reason"


SIGNALS: dict[int, str] = {
    signal.SIGKILL: "killed",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGABRT: "aborted",
    signal.SIGTERM: "terminated",
    signal.SIGILL: "illegal instruction",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGINT: "interrupt",
    signal.SIGHUP: "hangup",
    signal.SIGPIPE: "broken pipe",
    signal.SIGSYS: "bad system call",
    signal.SIGTRAP: "trace/breakpoint trap",
}


class Spawner:
    """One nursery process. `start` before use; when the nursery dies, so do its children, and every `ended` says so."""

    def __init__(self, directories: Sequence[str] = ()) -> None:
        self._directories = list(directories)
        self._process: asyncio.subprocess.Process | None = None
        self._socket: socket.socket | None = None
        self._children: dict[str, Child] = {}
        self._received = bytearray()
        self.closed: Callable[[], None] | None = None
        """Called when the nursery has ended unasked."""

    async def start(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", "-E", "-c", _SHIFT, str(theirs.fileno()), str(NURSERY), *self._directories,
                stdin=asyncio.subprocess.DEVNULL, pass_fds=[theirs.fileno()], env={"PATH": "/usr/bin:/bin"}, start_new_session=True,
            )  # fmt: skip
        self._socket = ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._readable)

    @property
    def running(self) -> bool:
        return self._socket is not None

    async def spawn(
        self,
        id: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        fds: Sequence[int],
        *,
        cgroups: Sequence[str] = (),
        settings: Sequence[tuple[str, str]] = (),
        rlimits: Sequence[tuple[int, int, int]] = (),
        cwd: str = "",
        own_group: bool = False,
    ) -> Child:
        """Starts a process. Raises Unavailable when it cannot be started."""
        if self._socket is None:
            raise Unavailable("the process that starts functions has ended")
        child = self._children[id] = Child(id)
        self._send(
            {
                "op": "spawn", "id": id, "argv": list(argv), "env": dict(env), "fds": len(fds), "cgroups": list(cgroups),
                "settings": list(settings), "rlimits": list(rlimits), "cwd": cwd, "own_group": own_group,
            },
            fds,
        )  # fmt: skip
        try:
            async with asyncio.timeout(START_SECONDS):
                await child.started
        except TimeoutError:
            raise Unavailable("a function's process does not start: the host is too busy") from None
        return child

    def kill(self, child: Child) -> None:
        if self._socket is not None and not child.ended.done():
            self._send({"op": "kill", "id": child.id}, ())

    async def stop(self) -> None:
        """Ends the nursery and everything that it started; returns when they are gone."""
        if self._process is None:
            return
        self._close()
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._abandon()

    def _send(self, request: Mapping[str, Any], fds: Sequence[int]) -> None:
        assert self._socket is not None
        line = json.dumps(request).encode()
        data = len(line).to_bytes(4, "big") + line
        self._socket.settimeout(SEND_SECONDS)  # a request is small and the nursery reads at once: mostly no wait at all
        try:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
            sent = self._socket.sendmsg([data], rights)
            if sent < len(data):
                self._socket.sendall(data[sent:])
        except (ConnectionError, TimeoutError):
            self._lost()
        finally:
            if self._socket is not None:
                self._socket.setblocking(False)

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._lost()
            return
        self._received += data
        while len(self._received) >= 4:
            end = 4 + int.from_bytes(self._received[:4], "big")
            if len(self._received) < end:
                break
            told = json.loads(bytes(self._received[4:end]))
            del self._received[:end]
            self._told(told)

    def _told(self, told: Mapping[str, Any]) -> None:
        child = self._children.get(told["id"])
        if child is None:
            return
        if "pid" in told:
            child.pid = told["pid"]
            if not child.started.done():
                child.started.set_result(None)
        else:
            del self._children[child.id]
            if "failed" in told:
                if not child.started.done():
                    child.started.set_exception(Unavailable(f"a function's process cannot be started: {told['failed']}"))
                child.ended.set_result(Exit(127 << 8))
            else:
                child.ended.set_result(Exit(told["exit"], told["oom"], told["peak"]))

    def _close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _lost(self) -> None:
        self._close()
        self._abandon()
        if self.closed is not None:
            self.closed()

    def _abandon(self) -> None:
        """The nursery is gone, and so is every child."""
        children, self._children = list(self._children.values()), {}
        for child in children:
            if not child.started.done():
                child.started.set_exception(Unavailable("the process that starts functions has ended"))
            if not child.ended.done():
                child.ended.set_result(Exit(signal.SIGKILL))


_SHIFT = """
import os, sys
number, script = int(sys.argv[1]), sys.argv[2]
if number != 3:
    os.dup2(number, 3, inheritable=False)
    os.close(number)
os.set_inheritable(3, False)
sys.argv = sys.argv[2:]
exec(compile(open(script, "rb").read(), script, "exec"), {"__name__": "__main__"})
"""
"""The nursery expects its socket as descriptor 3; a parent cannot choose the number."""
