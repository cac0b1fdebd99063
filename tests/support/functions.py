"""Functions run without a platform: a Manager among surroundings that only take note."""

import asyncio
import base64
import hashlib
import io
import json
import re
import socket
import textwrap
import time
import uuid
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from haar.clock import RandomIds, SystemClock
from haar.config import Config
from haar.execution.contract import FunctionSpec, InvocationResult, Listener, SessionKeys
from haar.execution.manager import Manager

WAIT_SECONDS = 30.0
SHARED = Path(__file__).parents[2] / ".cache" / "execution-tests"


class Echo:
    """What listens where the platform would: answers each request with the environment it came from."""

    def __init__(self, listening: socket.socket, environment: str, seen: list[tuple[str, bytes]]) -> None:
        listening.setblocking(False)
        self._task = asyncio.ensure_future(self._serve(listening, environment, seen))
        self._listening = listening

    async def _serve(self, listening: socket.socket, environment: str, seen: list[tuple[str, bytes]]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listening)
            with connection:
                seen.append((environment, await loop.sock_recv(connection, 65536)))
                body = environment.encode()
                await loop.sock_sendall(
                    connection, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
                )

    def close(self) -> None:
        self._task.cancel()
        self._listening.close()


class Noting:
    """Surroundings that keep what they are told."""

    def __init__(self) -> None:
        self.packages: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.events: dict[str, list[tuple[str, int, str]]] = {}
        """By function name: (stream, epoch ms, message)."""
        self.seen: list[tuple[str, bytes]] = []
        self.lifetime = 3600.0
        self.log_gate: asyncio.Event | None = None

    async def fetch_code(self, code_sha256: str) -> bytes:
        self.fetched.append(code_sha256)
        return self.packages[code_sha256]

    async def credentials(self, spec: FunctionSpec) -> SessionKeys:
        return SessionKeys("ASIA" + spec.name[-8:].upper(), "secret-of-" + spec.name, "token-of-" + spec.name, time.time() + self.lifetime)

    async def log(self, spec: FunctionSpec, stream: str, events: Sequence[tuple[int, str]]) -> None:
        if self.log_gate is not None:
            await self.log_gate.wait()
        self.events.setdefault(spec.name, []).extend((stream, when, message) for when, message in events)

    def listen_securely(self, listening: socket.socket) -> Listener:
        return Echo(listening, "securely", self.seen)

    def serves(self, name: str) -> bool:
        return "dynamodb" in name

    def listen(self, listening: socket.socket, environment: str) -> Listener:
        return Echo(listening, environment, self.seen)


class Functions:
    """Makes functions and runs them."""

    def __init__(self, manager: Manager, surroundings: Noting, data: Path) -> None:
        self.manager = manager
        self.surroundings = surroundings
        self.data = data

    def package(self, files: Mapping[str, str | bytes], modes: Mapping[str, int] | None = None) -> str:
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                entry = zipfile.ZipInfo(name)
                entry.external_attr = ((modes or {}).get(name, 0o644)) << 16
                archive.writestr(entry, textwrap.dedent(content) if isinstance(content, str) else content)
        digest = base64.b64encode(hashlib.sha256(written.getvalue()).digest()).decode()
        self.surroundings.packages[digest] = written.getvalue()
        return digest

    def make(
        self, files: Mapping[str, str | bytes] | str, handler: str = "app.handler", runtime: str = "python3.12", **more: Any
    ) -> FunctionSpec:
        """A function; a string is the text of its `app.py`."""
        modes = more.pop("modes", None)
        name = more.pop("name", "f-" + uuid.uuid4().hex[:12])
        code = self.package({"app.py": files} if isinstance(files, str) else files, modes)
        given: dict[str, Any] = {
            "arn": f"arn:aws:lambda:us-east-1:123456789012:function:{name}", "name": name, "version": "$LATEST", "region": "us-east-1",
            "account": "123456789012", "runtime": runtime, "handler": handler, "code_sha256": code,
            "role_arn": "arn:aws:iam::123456789012:role/r", "revision": "1", "timeout": 20.0, "log_group": f"/aws/lambda/{name}",
        }  # fmt: skip
        return FunctionSpec(**{**given, **more})

    def node(self, text: str, file: str = "index.mjs", **more: Any) -> FunctionSpec:
        return self.make({file: text}, "index.handler", "nodejs20.x", **{"memory_mb": 256, **more})

    async def run(self, spec: FunctionSpec, event: Any = None, **more: Any) -> InvocationResult:
        request = {"request_id": str(uuid.uuid4()), "invoked_arn": spec.arn, **more}
        return await self.manager.invoke(spec, json.dumps(event).encode(), **request)

    async def answer(self, spec: FunctionSpec, event: Any = None, **more: Any) -> Any:
        """The handler's answer; a failure fails the test."""
        result = await self.run(spec, event, **more)
        assert result.error is None, result.payload.decode() + result.log_tail.decode()
        return json.loads(result.payload)

    async def failure(self, spec: FunctionSpec, event: Any = None) -> dict[str, Any]:
        """The error object of a function that fails."""
        result = await self.run(spec, event)
        assert result.error == "Unhandled", result.payload
        told: dict[str, Any] = json.loads(result.payload)
        return told

    def log(self, spec: FunctionSpec) -> list[str]:
        return [message for _, _, message in self.surroundings.events.get(spec.name, [])]

    async def logged(self, spec: FunctionSpec, pattern: str, times: int = 1) -> list[str]:
        """The function's log, once a line of it matches."""
        await eventually(
            lambda: len([line for line in self.log(spec) if re.search(pattern, line)]) >= times, lambda: "".join(self.log(spec))
        )
        return self.log(spec)


@asynccontextmanager
async def running(data: Path, **settings: Any) -> AsyncIterator[Functions]:
    """A started Manager on `data`."""
    cache = data / "cache" / "runtimes"
    if not cache.exists():  # made once for all tests: gathering boto3 is half of a start
        SHARED.mkdir(parents=True, exist_ok=True)
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.symlink_to(SHARED)
    surroundings = Noting()
    manager = Manager(Config(data=data, **({"image_sources": str(data.parent)} | settings)), surroundings, SystemClock(), RandomIds())
    await manager.start()
    try:
        yield Functions(manager, surroundings, data)
    finally:
        await manager.stop()


async def eventually(condition: Callable[[], Any], told: Callable[[], str] = lambda: "") -> None:
    """Returns when the condition holds; fails after half a minute."""
    until = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < until, "still not so: " + told()
        await asyncio.sleep(0.02)
