"""haar's side of the program that watches over an environment's external extensions (`runtimes/supervise.py`).

That program is inside: what it says may be anything, and is taken for no more than that environment's own business.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
from collections.abc import Mapping
from typing import Any, Protocol

MESSAGE_BYTES = 1 << 16
DESCRIPTORS = 4
RUNTIME = ""


class Listener(Protocol):
    """Who hears of the processes. `name` is an extension's, or empty: the runtime's."""

    def launched(self, name: str, output: int) -> None:
        """`output` is a pipe, and the listener's to close."""
        ...

    def not_launched(self, name: str, message: str, kind: str) -> None: ...

    def exited(self, name: str, status: int) -> None: ...


class Supervisor:
    """Speaks over `hand` until it is closed."""

    def __init__(self, hand: socket.socket, listener: Listener) -> None:
        hand.setblocking(False)
        self._hand = hand
        self._listener = listener
        self._received = bytearray()
        self._descriptors: list[int] = []
        self._open = True
        asyncio.get_running_loop().add_reader(hand.fileno(), self._readable)

    def start_runtime(self) -> None:
        self._ask({"op": "runtime"})

    def terminate(self, name: str) -> None:
        self._ask({"op": "signal", "name": name, "number": int(signal.SIGTERM)})

    def kill(self, name: str) -> None:
        self._ask({"op": "signal", "name": name, "number": int(signal.SIGKILL)})

    def close(self) -> None:
        if self._open:
            self._open = False
            asyncio.get_running_loop().remove_reader(self._hand.fileno())
            self._hand.close()
            for descriptor in self._descriptors:
                os.close(descriptor)
            self._descriptors.clear()

    def _ask(self, what: Mapping[str, Any]) -> None:
        if self._open:
            data = json.dumps(what).encode()
            with contextlib.suppress(OSError):  # it has ended, or does not read: the environment's end says so
                self._hand.sendall(len(data).to_bytes(4, "big") + data)

    def _readable(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._hand, MESSAGE_BYTES, DESCRIPTORS)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        self._descriptors += descriptors
        if not data:
            self.close()
            return
        self._received += data
        while self._open and len(self._received) >= 4:
            end = 4 + int.from_bytes(self._received[:4], "big")
            if end > MESSAGE_BYTES:
                self.close()
                return
            if len(self._received) < end:
                return
            line = bytes(self._received[4:end])
            del self._received[:end]
            try:
                self._told(json.loads(line))
            except (ValueError, KeyError, TypeError, IndexError, RecursionError):  # not our program any more
                self.close()

    def _told(self, told: Mapping[str, Any]) -> None:
        if "launched" in told:
            output = self._descriptors.pop(0)
            if not stat.S_ISFIFO(os.fstat(output).st_mode):
                os.close(output)
                raise ValueError("no pipe")
            self._listener.launched(str(told["launched"]), output)
        elif "failed" in told:
            self._listener.not_launched(str(told["failed"]), str(told["error"])[:1000], str(told["kind"])[:100])
        else:
            self._listener.exited(str(told["exited"]), int(told["status"]) & 0xFFFF)
