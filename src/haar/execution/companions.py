"""What is in an environment besides its runtime: extensions, their output, who listens to telemetry, and an orderly end of it all."""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from typing import Protocol

from haar.clock import Clock, Ids
from haar.execution import extensions, processes
from haar.execution.box import Box, Boxes
from haar.execution.contract import FunctionSpec
from haar.execution.extensions import Extensions
from haar.execution.output import LogWriter, Pump
from haar.execution.report import Reporter
from haar.execution.runtime_api import Connection, Event, Posted
from haar.execution.spawner import SIGNALS
from haar.execution.supervisor import RUNTIME, Supervisor
from haar.execution.telemetry import PATHS, Telemetry

SHUTDOWN_SECONDS = 2.0
INTERNAL_SECONDS = 0.5
"""When only internal extensions are there; all of it is the runtime's."""
RUNTIME_SECONDS = 0.3
"""The runtime's share of the end, when there are external extensions."""
FLUSH_SECONDS = 0.2


class Host(Protocol):
    """The environment."""

    def advanced(self) -> None:
        """An extension has come further."""
        ...

    def broken(self, kind: str, message: str) -> None:
        """An extension has failed, and with it the environment."""
        ...

    def runtime_exited(self, status: int) -> None: ...


class Companions:
    def __init__(
        self, host: Host, spec: FunctionSpec, names: Sequence[str], box: Box, boxes: Boxes, ids: Ids, reporter: Reporter, writer: LogWriter,
        pump: Pump, clock: Clock,
    ) -> None:  # fmt: skip
        self.extensions = Extensions(spec, names, ids, self._moved, self._told_of)
        self.telemetry = Telemetry(reporter, boxes.doors(box), clock)
        self._host = host
        self._box = box
        self._isolated = boxes.isolated
        self._reporter = reporter
        self._writer = writer
        self._pump = pump
        self._clock = clock
        self._supervisor: Supervisor | None = None
        self._started = False
        self._running: set[str] = set()
        """The processes that are watched over, by name."""
        self._moving = asyncio.Event()
        self._outputs: list[Pump] = []
        self._fatal = ""
        self._ending = False

    def supervise(self) -> None:
        """From now on the box says what becomes of its external extensions; the runtime is started when all have registered."""
        if len(self.extensions) > extensions.LIMIT:
            last = list(self.extensions)[-1]
            last.state, last.error = "LaunchError", "TooManyExtensions"
            self._host.broken("Extension.LaunchError", "ErrTooManyExtensions")
        self._supervisor = Supervisor(self._box.hand, self)

    def request(self, connection: Connection, posted: Posted) -> bool:
        """Answers what the Extensions, Telemetry and Logs APIs are asked."""
        if posted.path.startswith(extensions.PREFIX):
            self.extensions.request(connection, posted)
            return True
        api = PATHS.get(posted.path.rstrip("/"))
        if api is None or posted.method != "PUT":
            return False
        try:
            extension = self.extensions.identify(posted)
        except extensions.Refused as refused:
            connection.refuse(403, str(refused), refused.kind)
            return True
        status, told = self.telemetry.subscribe(api, extension.name, bytes(posted.body))
        if isinstance(told, str):
            self._pump.emit = self._function_line
            connection.answer(status, f'"{told}"'.encode())
        else:
            connection.refuse(status, told["errorMessage"], told["errorType"])
        return True

    def initialised(self) -> None:
        """The initialisation is over, well or not."""
        self.extensions.close()
        self.telemetry.close_subscriptions()
        for extension in self.extensions:
            self._reporter.extension(extension.name, extension.state, extension.events, extension.error)

    def begin(self, event: Event) -> None:
        self.extensions.invoke(event)
        self.telemetry.resume()

    def drain(self) -> None:
        for output in self._outputs:
            output.drain()

    async def shut_down(self, reason: str, limit: float) -> None:
        """Ends runtime and extensions as they wish, within `limit` seconds; what is left then is the box's to end."""
        loop = asyncio.get_running_loop()
        self._ending = True
        external = [extension for extension in self.extensions if extension.external]
        limit = min(limit, SHUTDOWN_SECONDS if external else INTERNAL_SECONDS)
        until = loop.time() + limit
        deadline_ms = int((self._clock.now() + limit) * 1000)
        self.telemetry.resume()
        self.telemetry.send()
        await self._end_runtime(min(limit, RUNTIME_SECONDS) if external else limit)
        self._pump.settle()
        self.drain()
        if self.telemetry:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(FLUSH_SECONDS, limit / 2)):
                    await self.telemetry.flush()
        hearing = {extension.name for extension in self.extensions.shut_down(reason, deadline_ms)}
        for name in self._running - hearing:
            self._kill(name)
        await self._gone(hearing, until - loop.time())

    def ended(self) -> None:
        """Nothing of the environment is left."""
        self._running.clear()
        self._moving.set()

    def close(self) -> None:
        if self._supervisor is not None:
            self._supervisor.close()
        for output in self._outputs:
            output.close()
        self.telemetry.close()

    # What the supervisor tells.

    def launched(self, name: str, output: int) -> None:
        if self.extensions.named(name) is None or name in self._running:
            os.close(output)
            return
        self._running.add(name)
        pump = Pump(output, self._writer)
        pump.emit = self._extension_line
        self._outputs.append(pump)

    def not_launched(self, name: str, message: str, kind: str) -> None:
        extension = self.extensions.named(name)
        if extension is not None:
            extension.state, extension.error = "LaunchError", kind
            self._host.broken("Extension.LaunchError", message)

    def exited(self, name: str, status: int) -> None:
        self._running.discard(name)
        self._moving.set()
        self.drain()
        if name == RUNTIME:
            self._host.runtime_exited(status)
            return
        extension = self.extensions.named(name)
        if extension is not None and extension.state not in ("InitError", "ExitError"):
            extension.state = "Exited"
        if not self._ending:
            self._host.broken(self._fatal or "Extension.Crash", _exit(status))

    # What the extensions do.

    def _moved(self) -> None:
        if self._supervisor is not None and not self._started and self.extensions.registered:
            self._started = True
            self._running.add(RUNTIME)
            self._supervisor.start_runtime()
        self._host.advanced()

    def _told_of(self, kind: str) -> None:
        self._fatal = self._fatal or kind

    def _extension_line(self, text: str) -> None:
        self._writer.add(text)
        self.telemetry.line("extension", text)

    def _function_line(self, text: str) -> None:
        self._writer.add(text)
        self.telemetry.line("function", text)

    # The end.

    async def _end_runtime(self, limit: float) -> None:
        """SIGTERM; SIGKILL when that does not help in time."""
        if self._supervisor is not None:
            if RUNTIME in self._running:
                self._supervisor.terminate(RUNTIME)
                await self._gone({RUNTIME}, limit)
                self._kill(RUNTIME)
            return
        if self._box.child.ended.done():
            return
        for pid in processes.tree(self._box.child.pid)[2:3] if self._isolated else [self._box.child.pid]:
            processes.terminate(pid)
        await asyncio.wait([self._box.child.ended], timeout=limit)

    async def _gone(self, names: set[str], limit: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, limit)):
                while names & self._running:
                    self._moving.clear()
                    await self._moving.wait()

    def _kill(self, name: str) -> None:
        if self._supervisor is not None and name in self._running:
            self._supervisor.kill(name)


def _exit(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return f"signal: {SIGNALS.get(-code, 'killed')}"
    return f"exit status {code}" if code else "exit code 0"
