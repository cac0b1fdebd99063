"""Debuggers of functions (`haar dev --debug`): a port of the host's loopback, whose connections are handed to the function's sandbox.

Nothing can be reached in a sandbox from outside. A program in it connects to the platform (debug/tunnel.py) and shows the mount's token;
a debugger that connects to the port gets the next such connection.
"""

import asyncio
import hmac
import logging
import shutil
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path

from haar.execution import runtimes
from haar.execution.contract import FunctionSpec
from haar.wire.http import Channel, Response

log = logging.getLogger("haar.lambda")

HERE = "127.0.0.1"
PATH = "/_haar/debug"
HEADER = "x-haar-debug"
FILES = ".haar_debug"
HANDLER = "haar_debug.handler"
TIMEOUT_SECONDS = 86_400.0
"""Of a function that is debugged: breakpoints take time."""
MAX_WAITING = 16
"""Debuggers that wait for the function to run, and connections of functions that wait for a debugger; the oldest goes."""
MAX_UNREAD = 4 << 20
"""Bytes that a side has not read before the other is held."""


class Tunnel:
    """A connection from inside a sandbox."""

    def __init__(self, door: "Door") -> None:
        self.door = door
        self.channel: Channel | None = None
        self.debugger: Debugger | None = None

    def connected(self, channel: Channel) -> None:
        self.channel = channel
        self.door.offer(self)

    def received(self, data: bytes) -> None:
        if self.debugger is not None and self.debugger.transport is not None:
            self.debugger.transport.write(data)

    def lost(self) -> None:
        self.channel = None
        if self.debugger is not None and self.debugger.transport is not None:
            self.debugger.transport.close()
        self.door.withdraw(self)

    def shutdown(self) -> None:
        if self.channel is not None:
            self.channel.close()


class Debugger(asyncio.Protocol):
    """A connection from a debugger."""

    def __init__(self, door: "Door") -> None:
        self.door = door
        self.transport: asyncio.Transport | None = None
        self.tunnel: Tunnel | None = None
        self._early = bytearray()
        """What it has said before the function was there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment] # uvloop's is none by class
        assert self.transport is not None
        self.transport.set_write_buffer_limits(MAX_UNREAD)
        self.door.arrive(self)

    def meet(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel
        early, self._early = bytes(self._early), bytearray()
        if early:
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        if self.tunnel is None:
            self._early += data
            unread = len(self._early)
        elif self.tunnel.channel is not None:
            self.tunnel.channel.write(data)
            unread = self.tunnel.channel.get_write_buffer_size()
        else:
            return
        if unread > MAX_UNREAD and self.transport is not None:
            self.transport.close()

    def pause_writing(self) -> None:
        if self.tunnel is not None and self.tunnel.channel is not None:
            self.tunnel.channel.pause_reading()

    def resume_writing(self) -> None:
        if self.tunnel is not None and self.tunnel.channel is not None:
            self.tunnel.channel.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.tunnel is not None:
            self.tunnel.shutdown()
        self.door.leave(self)


class Door:
    """The port of one mount."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self.token = token
        self._tunnels: deque[Tunnel] = deque()
        self._debuggers: deque[Debugger] = deque()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Raises OSError when the port is taken."""
        self._server = await asyncio.get_running_loop().create_server(lambda: Debugger(self), HERE, self.port)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for tunnel in list(self._tunnels):
            tunnel.shutdown()
        for debugger in list(self._debuggers):
            if debugger.transport is not None:
                debugger.transport.close()

    def admits(self, token: str) -> bool:
        return hmac.compare_digest(self.token.encode(), token.encode("utf-8", "replace"))

    def offer(self, tunnel: Tunnel) -> None:
        self._tunnels.append(tunnel)
        if len(self._tunnels) > MAX_WAITING:
            self._tunnels.popleft().shutdown()
        self._match()

    def arrive(self, debugger: Debugger) -> None:
        self._debuggers.append(debugger)
        if len(self._debuggers) > MAX_WAITING and (oldest := self._debuggers.popleft()).transport is not None:
            oldest.transport.close()
        self._match()

    def withdraw(self, tunnel: Tunnel) -> None:
        if tunnel in self._tunnels:
            self._tunnels.remove(tunnel)

    def leave(self, debugger: Debugger) -> None:
        if debugger in self._debuggers:
            self._debuggers.remove(debugger)

    def _match(self) -> None:
        while self._tunnels and self._debuggers:
            # The newest: older ones may be of environments that stand still.
            tunnel, debugger = self._tunnels.pop(), self._debuggers.popleft()
            tunnel.debugger = debugger
            debugger.meet(tunnel)

    def response(self) -> Response:
        """What makes a request from inside a tunnel."""
        return Response(101, [("Connection", "Upgrade"), ("Upgrade", "haar-debug")], takeover=Tunnel(self))


def debugged(spec: FunctionSpec, door: Door) -> FunctionSpec:
    """The function with a handler that waits for a debugger."""
    given = {
        "HAAR_DEBUG_HANDLER": spec.handler,
        "HAAR_DEBUG_PYTHON": str(runtimes.python()),
        "HAAR_DEBUG_ADDRESS": f"{HERE}:{door.port}",
        "HAAR_DEBUG_TOKEN": door.token,
    }
    environment = tuple(sorted({**dict(spec.environment), **given}.items()))
    return replace(spec, handler=HANDLER, environment=environment, timeout=TIMEOUT_SECONDS)


def add_files(tree: Path, debugpy: str, link: Callable[[str, str], object]) -> None:
    """Puts beside the code what a debugged function needs; `debugpy` is where that package is on the host, `link` makes its files."""
    files = resources.files("haar.services.lambda_.debug")
    (tree / FILES).mkdir()
    for name, place in (("tunnel.py", tree / FILES), ("haar_debug.py", tree), ("haar_debug.mjs", tree)):
        (place / name).write_bytes((files / name).read_bytes())
    if debugpy:
        shutil.copytree(debugpy, tree / FILES / "debugpy", copy_function=link, ignore=shutil.ignore_patterns("__pycache__"))
