"""Ways from haar to what listens inside an environment: sockets that were made in there."""

import asyncio
import contextlib
import os
import socket
import sys
from pathlib import Path

from haar.execution import processes
from haar.execution.contract import Unavailable
from haar.execution.spawner import Child, Spawner

JOIN = Path(__file__).with_name("join.py")
COUNT = 16
"""So many are made at a time; each serves for one connection."""
WAIT_SECONDS = 5.0


class Doors:
    """Connections into the network of `child`; into the host's own when nothing isolates it."""

    def __init__(self, spawner: Spawner, child: Child, *, isolated: bool) -> None:
        self._spawner = spawner
        self._child = child
        self._isolated = isolated
        self._sockets: list[socket.socket] = []
        self._rounds = 0
        self._lock = asyncio.Lock()

    async def connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises OSError when nobody listens, or the environment has ended."""
        async with self._lock:
            if not self._sockets:
                self._sockets = await self._make()
            taken = self._sockets.pop()
        try:
            await asyncio.get_running_loop().sock_connect(taken, ("127.0.0.1", port))
            return await asyncio.open_connection(sock=taken)
        except BaseException:
            taken.close()
            raise

    def close(self) -> None:
        for one in self._sockets:
            one.close()
        self._sockets.clear()

    async def _make(self) -> list[socket.socket]:
        if not self._isolated:
            made = [socket.socket()]
        else:
            made = await self._from_inside()
        for one in made:
            one.setblocking(False)
        return made

    async def _from_inside(self) -> list[socket.socket]:
        inside = processes.tree(self._child.pid)[1:2]
        if not inside or self._child.ended.done():
            raise OSError("the environment has ended")
        self._rounds += 1
        command = [sys.executable, "-I", "-S", "-E", str(JOIN), str(inside[0]), str(COUNT)]
        ours, theirs = socket.socketpair()
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            helper = await self._spawner.spawn(f"{self._child.id}-door-{self._rounds}", command, {}, [null, theirs.fileno()])
            theirs.close()
            async with asyncio.timeout(WAIT_SECONDS):
                await helper.ended
            ours.setblocking(False)
            numbers: list[int] = []
            with contextlib.suppress(BlockingIOError):
                _, numbers, _, _ = socket.recv_fds(ours, 1, COUNT)
        except (Unavailable, TimeoutError) as error:
            raise OSError(f"no way into the environment: {error}") from error
        finally:
            os.close(null)
            theirs.close()
            ours.close()
        if not numbers:
            raise OSError("no way into the environment")
        return [socket.socket(fileno=number) for number in numbers]
