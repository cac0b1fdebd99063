"""One execution environment: INIT, then one invocation after another, until it is retired or it breaks."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from haar.clock import Clock
from haar.execution import report
from haar.execution.box import Box, Boxes
from haar.execution.contract import FunctionSpec, InvocationResult, Listener, SessionKeys, Sink, Surroundings, Unavailable
from haar.execution.output import LogWriter, Pump
from haar.execution.runtime_api import PREFIX, Connection, Event, Posted
from haar.execution.runtimes import Runtime
from haar.execution.spawner import Exit

INIT_SECONDS = 10.0
WATCH_SECONDS = 0.1
"""How often a running invocation's memory is looked at."""
BURST_SECONDS = 1.0
"""How long an invocation may use what the host has before it is held to its share of a core."""
FREEZE_SECONDS = 0.05
"""How long after an invocation its environment is frozen; one that is asked again at once is spared it."""
RENEW_SECONDS = 900.0
"""An environment whose credentials are this near to their end is replaced."""

ABORTED = "Sandbox.Failure"

State = Literal["starting", "idle", "busy", "finishing", "ended"]


@dataclass(slots=True)
class Fault:
    """Why an environment failed."""

    kind: str
    body: bytes
    """The error object, when the runtime posted one."""
    message: str = ""

    def payload(self, request_id: str) -> bytes:
        if self.body:
            return self.body
        return json.dumps(
            {"errorType": self.kind, "errorMessage": f"RequestId: {request_id} Error: {self.message}"}, separators=(",", ":")
        ).encode()


def error_object(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}, separators=(",", ":")).encode()


class Environment:
    """Serves `spec` in `box`. `changed` is called whenever the state has changed."""

    def __init__(
        self, spec: FunctionSpec, runtime: Runtime, box: Box, boxes: Boxes, writer: LogWriter, surroundings: Surroundings, clock: Clock,
        changed: Callable[["Environment"], None],
    ) -> None:  # fmt: skip
        self.spec = spec
        self.box = box
        self.state: State = "starting"
        self.idle_since = 0.0
        self.retiring = False
        self.connections = 0
        self.posting: Connection | None = None
        self.expires = 0.0
        self._runtime = runtime
        self._boxes = boxes
        self._writer = writer
        self._surroundings = surroundings
        self._clock = clock
        self._changed = changed
        self._pump = Pump(box.output, writer)
        self._server: asyncio.Server | None = None
        self._listener: Listener | None = None
        self._waiting: Connection | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._fault: Fault | None = None
        self._began = 0.0
        self._init_ms: float | None = None
        self._event: Event | None = None
        self._result: asyncio.Future[InvocationResult] | None = None
        self._done: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._freezer: asyncio.TimerHandle | None = None
        self._delivered = False
        self._throttled = False
        self._memory_exceeded = False
        self._ending: asyncio.Task[None] | None = None
        self._watching = asyncio.ensure_future(self._watch_end())

    async def initialise(self, variables: dict[str, str], keys: SessionKeys, limit: float, phase: str = "init") -> bool:
        """Starts the runtime and waits until it asks for work; False when it failed (the next `invoke` says how)."""
        loop = asyncio.get_running_loop()
        self.expires = keys.expires
        self._began = time.perf_counter()
        self._writer.begin()
        if line := report.init_start(self.spec, self._runtime, self._clock.now()):
            self._writer.add(line)
        if not self._boxes.isolated:
            self._writer.add("haar: nothing isolates this function from the host: haar runs with --sandbox none\n")
        if self._runtime.note:
            self._writer.add(f"haar: {self._runtime.note}\n")
        self._server = await loop.create_server(lambda: Connection(self), sock=self.box.runtime_api)
        self._listener = self._surroundings.listen(self.box.platform, self.box.id)
        self._timer = loop.call_later(WATCH_SECONDS, self._tick, self._began + limit)
        self.box.assign(variables)
        await self._ready
        self._cancel_timer()
        took = (time.perf_counter() - self._began) * 1000
        if self._fault is None:
            self._init_ms = took
            return True
        self._pump.drain()
        self._writer.add(report.init_report(self.spec, took, phase, self._fault.kind, self._clock.now()))
        return False

    async def invoke(self, event: Event, done: Callable[[], None]) -> InvocationResult:
        """Runs one invocation; the environment is idle, or has just failed to start. `done` is called at its end, whoever still waits."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[InvocationResult] = loop.create_future()
        self._result = result
        self._done = done
        self._event = event
        failed = self._fault
        if failed is not None and failed.kind == ABORTED:
            self._settle()
            raise Unavailable("the execution environment was ended while it started")
        if failed is None:
            self.state = "busy"
            self._writer.begin()
        self._writer.add(report.start(self.spec, event.request_id, self._clock.now()))
        self._began = time.perf_counter()
        if failed is not None:
            self._finish(failed.payload(event.request_id), failed.kind, "error")
            return await result
        self.box.thaw()
        self._timer = loop.call_later(min(WATCH_SECONDS, self.spec.timeout), self._tick, self._began + self.spec.timeout)
        self._delivered = False
        self._deliver()
        return await result  # a caller who leaves cancels this future, and not the invocation

    def retire(self) -> None:
        """Ends the environment: at once, or after the invocation that it runs or was started for."""
        self.retiring = True
        if self.state in ("idle", "finishing"):
            self.end()

    def release(self) -> None:
        """Whoever it was started for has gone: it is free, if it started at all."""
        if self.state == "idle":
            self._rest()
        else:
            self.end()

    def end(self) -> None:
        """Ends the environment now, and an invocation in it with Unavailable."""
        if self.state != "ended":
            self.state = "ended"
            self._cancel_timer()
            if not self._ready.done():
                self._fail(Fault(ABORTED, b"", "the environment was ended while it started"))
            if self._event is not None:
                self._settle()
                if self._result is not None and not self._result.done():
                    self._result.set_exception(Unavailable("the execution environment was ended"))
            if self._freezer is not None:
                self._freezer.cancel()
            self._ending = asyncio.ensure_future(self._end())
            self._changed(self)

    @property
    def timed_out(self) -> bool:
        """Whether it took too long to start."""
        return self._fault is not None and self._fault.kind == "Sandbox.Timedout"

    async def ended(self) -> None:
        """Returns when nothing of the environment is left and its log is written."""
        await self._watching
        if self._ending is not None:
            await self._ending

    # What the Runtime API reports.

    def next(self, connection: Connection) -> None:
        if self.state == "busy" and self._delivered:
            connection.refuse()
            return
        self._waiting = connection
        if not self._ready.done():
            self.state = "idle"
            self._ready.set_result(None)
        elif self.state == "busy":
            self._deliver()  # it was asked before it was ready
        elif self.state == "finishing":
            self._rest()

    def stream(self, connection: Connection, path: str, content_type: str) -> Sink | None:
        event = self._event
        if event is None or event.sink is None or self.state != "busy" or path != f"{PREFIX}invocation/{event.request_id}/response":
            return None
        sink, event.sink = event.sink, None
        sink.begin(content_type, connection)
        return sink

    def responded(self, request_id: str, posted: Posted) -> bool:
        if not self._runs(request_id):
            return False
        if posted.too_large:
            message = f"Response payload size exceeded maximum allowed payload size ({posted.limit} bytes)."
            kind = "Function.ResponseSizeTooLarge"
            self._finish(error_object(kind, message), kind, "error")
        elif kind := posted.headers.get("lambda-runtime-function-error-type", ""):
            told = posted.headers.get("lambda-runtime-function-error-body", "")  # a stream's trailer
            self._finish(base64.b64decode(told) if told else bytes(posted.body), kind, "failure")
        else:
            self._finish(bytes(posted.body), None, "success")
        return True

    def failed(self, request_id: str, posted: Posted) -> bool:
        if not self._runs(request_id):
            return False
        kind = posted.headers.get("lambda-runtime-function-error-type", "Unhandled")
        self._finish(bytes(posted.body) or error_object(kind, ""), kind, "failure")
        return True

    def init_failed(self, posted: Posted) -> None:
        if self._ready.done():
            return
        kind = posted.headers.get("lambda-runtime-function-error-type", "Runtime.Unknown")
        if kind in ("Runtime.InvalidEntrypoint", "Runtime.InvalidWorkingDir"):  # start.py's own, in words only
            self._fail(Fault(kind, b"", posted.body.decode("utf-8", "replace")))
        else:
            self._fail(Fault(kind, bytes(posted.body)))

    def gone(self, connection: Connection) -> None:
        if self._waiting is connection:
            self._waiting = None

    # What happens by itself.

    def _deliver(self) -> None:
        if self._waiting is not None and self._event is not None:
            self._delivered = self._waiting.deliver(self._event)
            self._waiting = None

    def _runs(self, request_id: str) -> bool:
        return self.state == "busy" and self._event is not None and self._event.request_id == request_id

    def _fail(self, fault: Fault) -> None:
        self._fault = fault
        self._ready.set_result(None)

    def _tick(self, deadline: float) -> None:
        """Looks at a running initialisation or invocation: time, memory, share of the processor."""
        now = time.perf_counter()
        if now >= deadline:
            self._timed_out()
            return
        if self.box.anonymous_bytes() > self.spec.memory_mb << 20:
            self._memory_exceeded = True
            self._boxes.kill(self.box)
            return
        if self.state == "busy" and not self._throttled and now - self._began >= BURST_SECONDS and self.box.group is not None:
            self._throttled = self.box.group.throttle(self.spec.memory_mb)
        self._timer = asyncio.get_running_loop().call_later(max(0.001, min(WATCH_SECONDS, deadline - now)), self._tick, deadline)

    def _timed_out(self) -> None:
        if not self._ready.done():
            self._boxes.kill(self.box)
            self._fail(Fault("Sandbox.Timedout", b"", f"Task timed out after {self.spec.timeout:.2f} seconds"))
            return
        assert self._event is not None
        self._boxes.kill(self.box)
        self._pump.settle()
        message = f"Task timed out after {self.spec.timeout:.2f} seconds"
        self._writer.add(report.timed_out(self.spec, self._event.request_id, message, self._clock.now()))
        fault = Fault("Sandbox.Timedout", b"", message)
        self._finish(fault.payload(self._event.request_id), fault.kind, "timeout")

    async def _watch_end(self) -> None:
        exit = await self.box.child.ended
        self._pump.settle()
        fault = self._exit_fault(exit)
        if not self._ready.done():
            self._fail(fault)
        elif self.state == "busy" and self._event is not None:
            request_id = self._event.request_id
            self._writer.add(f"RequestId: {request_id} Error: {fault.message}\n{fault.kind}\n")
            self._finish(fault.payload(request_id), fault.kind, "error")
        if self.state != "ended" and self._fault is None:
            self.end()

    def _exit_fault(self, exit: Exit) -> Fault:
        if exit.out_of_memory or self._memory_exceeded:
            return Fault("Runtime.OutOfMemory", b"", "Runtime exited with error: signal: killed")
        return Fault("Runtime.ExitError", b"", exit.reason)

    def _finish(self, payload: bytes, error_kind: str | None, status: Literal["success", "failure", "error", "timeout"]) -> None:
        """The invocation has its answer. `failure` is the handler's own error, `error` the environment's."""
        assert self._event is not None and self._result is not None
        duration = (time.perf_counter() - self._began) * 1000
        if status == "timeout":
            duration = self.spec.timeout * 1000
        self._cancel_timer()
        if self._throttled and self.box.group is not None:
            self.box.group.unthrottle()
            self._throttled = False
        self._pump.settle()
        init_ms, self._init_ms = self._init_ms, None
        used = self.box.child.ended.result().peak_bytes if self.box.child.ended.done() else self.box.peak_bytes()
        peak = self.spec.memory_mb if self._memory_exceeded else max(1, min(self.spec.memory_mb, -(-used >> 20)))
        figures = report.Figures(duration, init_ms, peak, status, error_kind or "")
        for line in report.end(self.spec, self._event.request_id, figures, self._clock.now()):
            self._writer.add(line)
        outcome = InvocationResult(
            payload, "Unhandled" if status != "success" else None, self._writer.tail(), duration, figures.billed_ms, init_ms, peak
        )
        self._settle()
        if not self._result.done():
            self._result.set_result(outcome)
        if status == "timeout" or self._fault is not None:
            self.end()
        elif self._waiting is not None:
            self._rest()
        else:
            self.state = "finishing"
            self._changed(self)

    def _settle(self) -> None:
        self._event = None
        if self._done is not None:
            self._done()
            self._done = None

    def _rest(self) -> None:
        if self.retiring or self.expires - self._clock.now() < RENEW_SECONDS:
            self.end()
            return
        self.state = "idle"
        loop = asyncio.get_running_loop()
        self.idle_since = loop.time()
        if self._freezer is None:
            self._freezer = loop.call_later(FREEZE_SECONDS, self._freeze)
        self._changed(self)

    def _freeze(self) -> None:
        self._freezer = None
        if self.state != "idle":
            return
        left = self.idle_since + FREEZE_SECONDS - asyncio.get_running_loop().time()
        if left > 0.001:
            self._freezer = asyncio.get_running_loop().call_later(left, self._freeze)
        else:
            self.box.freeze()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._listener is not None:
            self._listener.close()
        await self._boxes.end(self.box)
        self._pump.close()
        await self._writer.close()
