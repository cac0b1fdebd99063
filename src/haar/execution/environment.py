"""One execution environment: INIT, then one invocation after another, until it is retired or it breaks."""

import asyncio
import base64
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from haar.clock import Clock, Ids
from haar.execution.box import Box, Boxes
from haar.execution.companions import Companions
from haar.execution.contract import FunctionSpec, InvocationResult, Listener, SessionKeys, Sink, Surroundings, Unavailable
from haar.execution.nursery import out_of_memory
from haar.execution.output import LogWriter, Pump
from haar.execution.report import TIMED_OUT, Done, Figures, Phase, Reporter, Status
from haar.execution.runtime_api import PREFIX, Connection, Event, Posted
from haar.execution.runtimes import Runtime
from haar.execution.snapshots import Restored, Taken
from haar.execution.spawner import Exit

INIT_SECONDS = 10.0
WATCH_SECONDS = 0.1
"""How often a running invocation's memory is looked at."""
MAX_SOCKETS = 2048
"""Of one environment. What is written to a socket and not yet read is the kernel's memory, which no control group counts for all kinds."""
BURST_SECONDS = 1.0
"""How long an invocation may use what the host has before it is held to its share of a core."""
FREEZE_SECONDS = 0.05
"""How long after an invocation its environment is frozen; one that is asked again at once is spared it."""
CREDENTIALS = "/2021-03-23/credentials"
"""Where SDKs in an environment with SnapStart ask for the role's."""
RENEW_SECONDS = 900.0
"""An environment whose credentials are this near to their end is replaced."""

EARLY_SECONDS = 0.01
"""How long an answer waits for the end of its invocation, so that all of the log's tail can go with it: the extensions may take longer."""

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


@dataclass(slots=True)
class Answer:
    """What the runtime has answered, while the invocation goes on in the extensions."""

    payload: bytes
    kind: str | None
    status: Status
    latency_ms: float
    timer: asyncio.TimerHandle


class Environment:
    """Serves `spec` in `box`. `changed` is called whenever the state has changed."""

    def __init__(
        self, spec: FunctionSpec, runtime: Runtime, box: Box, boxes: Boxes, writer: LogWriter, surroundings: Surroundings, clock: Clock,
        ids: Ids, changed: Callable[["Environment"], None], extensions: Sequence[str] = (),
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
        self.writer = writer
        self._surroundings = surroundings
        self._clock = clock
        self._ids = ids
        self._changed = changed
        self._pump = Pump(box.output, writer)
        self.reporter = Reporter(spec, runtime, writer, clock)
        self._companions: Companions | None = self._accompanied(extensions) if extensions else None
        self._server: asyncio.Server | None = None
        self._listeners: list[Listener] = []
        self._waiting: Connection | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._fault: Fault | None = None
        self._phase: Phase = "init"
        self._runtime_ready = False
        self._began = 0.0
        self._carried: float | None = None
        """When the initialisation began, where it is part of the first invocation."""
        self._init_ms: float | None = None
        self._restore_ms: float | None = None
        self._keys: SessionKeys | None = None
        self._writing: asyncio.Task[None] | None = None
        self._answer: Answer | None = None
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

    async def initialise(
        self, variables: dict[str, str], keys: SessionKeys, limit: float, phase: Phase = "init", snapshot: Taken | Restored | None = None
    ) -> bool:
        """Starts extensions and runtime and waits until they ask for work; False when one failed (the next `invoke` says how).

        With a snapshot, that is all: it is written, or the environment becomes what it shows (the phase is `restore`).
        """
        loop = asyncio.get_running_loop()
        self._keys = keys
        self.expires = keys.expires
        self._began = time.perf_counter()
        self._phase = phase
        self._carried = self._began if phase == "invoke" else None
        self.reporter.initialization = variables["AWS_LAMBDA_INITIALIZATION_TYPE"]
        self.writer.begin()
        if phase == "restore":
            self.reporter.restore_start()
        else:
            self.reporter.init_start(phase)
        if phase == "init":
            self._note()
        self._server = await loop.create_server(lambda: Connection(self), sock=self.box.runtime_api)
        self._listeners = self._boxes.connect(self.box, self._surroundings)
        self._timer = loop.call_later(WATCH_SECONDS, self._tick, self._began + limit)
        if isinstance(snapshot, Restored):
            self.box.restore(snapshot.descriptor, variables)
        elif snapshot is not None:
            self.box.assign({**variables, "_HAAR_SNAPSHOT": "take"}, supervised=True)
            self._writing = asyncio.ensure_future(self._written(snapshot))
        elif self._companions is None:
            self.box.assign(variables)
        else:
            self.box.assign({**variables, "_HAAR_EXTENSIONS": "1"}, supervised=True)
            self._companions.supervise()
        await self._ready
        self._cancel_timer()
        took = (time.perf_counter() - self._began) * 1000
        kind = self._fault.kind if self._fault is not None else ""
        if kind:
            self._pump.drain()
            if not self._runtime_ready and phase != "restore":
                self.reporter.init_runtime_done(phase, kind)
        if self._companions is not None:
            self._companions.initialised()
        if phase == "restore":
            self.reporter.restore_report(took, kind)
        else:
            self.reporter.init_report(took, phase, kind)
        self._init_ms = took if phase == "init" and not kind else None
        self._restore_ms = took if phase == "restore" and not kind else None
        return not kind

    async def _written(self, snapshot: Taken) -> None:
        """The snapshot is all that this environment was started for."""
        await snapshot.receive(self.box.hand)
        if not self._ready.done() and not self.box.child.ended.done():
            self._come_up()

    def _note(self) -> None:
        if not self._boxes.isolated:
            self.writer.add("haar: nothing isolates this function from the host: haar runs with --sandbox none\n")
        if self._runtime.note:
            self.writer.add(f"haar: {self._runtime.note}\n")

    def _accompanied(self, names: Sequence[str] = ()) -> Companions:
        return Companions(self, self.spec, names, self.box, self._boxes, self._ids, self.reporter, self.writer, self._pump, self._clock)

    async def invoke(self, event: Event, done: Callable[[], None]) -> InvocationResult:
        """Runs one invocation; the environment is idle, or has just failed to start. `done` is called at its end, whoever still waits."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[InvocationResult] = loop.create_future()
        self._result = result
        self._done = done
        self._event = event
        failed = self._fault
        if self.lost or (failed is not None and failed.kind == ABORTED):
            self._settle()
            raise Unavailable("the execution environment was ended while it started")
        if failed is None:
            self.state = "busy"
            self.writer.begin()
        self.reporter.start(event.request_id, event.trace_id)
        self._began = time.perf_counter()
        if self._carried is not None:  # the time that the initialisation has taken counts
            event.deadline_ms -= int((self._began - self._carried) * 1000)
            self._began, self._carried = self._carried, None
        if failed is not None:
            self._fail_at_once(event, failed)
            return await result
        self.box.thaw()
        if self._companions is not None:
            self._companions.begin(event)
        self._timer = loop.call_later(min(WATCH_SECONDS, self.spec.timeout), self._tick, self._began + self.spec.timeout)
        self._delivered = False
        self._deliver()
        return await result  # a caller who leaves cancels this future, and not the invocation

    def retire(self) -> None:
        """Ends the environment: at once, or after the invocation that it runs or was started for."""
        self.retiring = True
        if self.state in ("idle", "finishing") and self._event is None:
            self.end()

    def release(self) -> None:
        """Whoever it was started for has gone: it is free, if it started at all."""
        if self.state == "idle":
            self._rest()
        else:
            self.end()

    def end(self, reason: str = "spindown", limit: float = math.inf) -> None:
        """Ends the environment now, and an invocation in it with Unavailable. Extensions hear of it, and have `limit` seconds at most."""
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
            self._ending = asyncio.ensure_future(self._end(reason, limit))
            self._changed(self)

    @property
    def fault(self) -> tuple[str, str]:
        """The kind of what it failed for, and what was said; empty when it did not."""
        fault = self._fault
        return ("", "") if fault is None else (fault.kind, fault.message or fault.body.decode("utf-8", "replace"))

    @property
    def failed_to_start(self) -> bool:
        """Whether it could not be initialised, and another try may help."""
        return self._fault is not None and self._fault.kind != ABORTED

    @property
    def lost(self) -> bool:
        """Whether it was ended before who it was started for could take it up (its function has changed)."""
        return self.state == "ended" and self._fault is None

    async def ended(self) -> None:
        """Returns when nothing of the environment is left and its log is written."""
        await self._watching
        if self._ending is not None:
            await self._ending

    # What the Runtime API reports.

    def next(self, connection: Connection) -> None:
        if self.state == "busy" and self._delivered:
            connection.too_early()
            return
        self._waiting = connection
        if not self._ready.done():
            self._come_up()
        elif self._answer is not None:
            self._runtime_done(self._answer)
            self.advanced()
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

    def init_failed(self, posted: Posted) -> bool:
        if self._ready.done():
            return False
        kind = posted.headers.get("lambda-runtime-function-error-type", "Runtime.Unknown")
        if kind in ("Runtime.InvalidEntrypoint", "Runtime.InvalidWorkingDir"):  # start.py's own, in words only
            self._fail(Fault(kind, b"", posted.body.decode("utf-8", "replace")))
        else:
            self._fail(Fault(kind, bytes(posted.body)))
        return True

    def other(self, connection: Connection, posted: Posted) -> bool:
        if posted.path == CREDENTIALS and posted.method == "GET" and (keys := self._keys) is not None:
            until = datetime.fromtimestamp(keys.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            told = {"AccessKeyId": keys.access_key_id, "SecretAccessKey": keys.secret, "Token": keys.token, "Expiration": until}
            connection.answer(200, json.dumps(told).encode())
            return True
        if self._companions is None:
            self._companions = self._accompanied()
            if self._ready.done():
                self._companions.extensions.close()
        return self._companions.request(connection, posted)

    def gone(self, connection: Connection) -> None:
        if self._waiting is connection:
            self._waiting = None
        if self._companions is not None:
            self._companions.extensions.gone(connection)

    # What the extensions do.

    def advanced(self) -> None:
        if not self._ready.done():
            if self._runtime_ready:
                self._come_up()
        elif self._answer is not None and self._waiting is not None and self._rested():
            self._conclude(self._answer.payload, self._answer.kind, self._answer.status)

    def broken(self, kind: str, message: str) -> None:
        self._break(Fault(kind, b"", message))

    def runtime_exited(self, status: int) -> None:
        self._pump.settle()
        group = self.box.group
        self._break(self._exit_fault(Exit(status, group is not None and out_of_memory(list(group.paths)))))

    # What happens by itself.

    def _come_up(self) -> None:
        """The runtime is ready; the environment is when its extensions are, too."""
        if not self._runtime_ready:
            self._runtime_ready = True
            self.reporter.init_runtime_done(self._phase)
            if self._companions is not None:
                self._companions.extensions.close()
        if self._companions is None or self._companions.extensions.ready:
            self.state = "idle"
            self._ready.set_result(None)

    def _rested(self) -> bool:
        return self._companions is None or self._companions.extensions.resting

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
        if self.box.anonymous_bytes() > self.spec.memory_mb << 20 or self.box.sockets() > MAX_SOCKETS:
            self._memory_exceeded = True
            self._boxes.kill(self.box)
            return
        if self.state == "busy" and not self._throttled and now - self._began >= BURST_SECONDS and self.box.group is not None:
            self._throttled = self.box.group.throttle(self.spec.memory_mb)
        self._timer = asyncio.get_running_loop().call_later(max(0.001, min(WATCH_SECONDS, deadline - now)), self._tick, deadline)

    def _timed_out(self) -> None:
        message = f"Task timed out after {self.spec.timeout:.2f} seconds"
        if self._companions is None:
            self._boxes.kill(self.box)
        if not self._ready.done():
            self._fail(Fault(TIMED_OUT, b"", message))
            return
        assert self._event is not None
        self._pump.settle()
        self.reporter.timed_out(self._event.request_id, message)
        self._conclude(Fault(TIMED_OUT, b"", message).payload(self._event.request_id), TIMED_OUT, "timeout")

    async def _watch_end(self) -> None:
        exit = await self.box.child.ended
        self._pump.settle()
        if self._companions is not None:
            self._companions.ended()
        self._break(self._exit_fault(exit))

    def _break(self, fault: Fault) -> None:
        """Something that an environment cannot be without has ended."""
        if not self._ready.done():
            self._fail(fault)
        elif self.state != "ended" and self._event is not None:
            request_id = self._event.request_id
            self.reporter.fault(request_id, fault.message, fault.kind)
            self._conclude(fault.payload(request_id), fault.kind, "error")
        if self.state != "ended" and self._fault is None:
            self.end("failure")

    def _exit_fault(self, exit: Exit) -> Fault:
        if exit.out_of_memory or self._memory_exceeded:
            return Fault("Runtime.OutOfMemory", b"", "Runtime exited with error: signal: killed")
        return Fault("Runtime.ExitError", b"", exit.reason)

    def _fail_at_once(self, event: Event, failed: Fault) -> None:
        """An invocation of what could not be initialised."""
        if failed.kind == TIMED_OUT:
            self.reporter.timed_out(event.request_id, failed.message)
        elif not failed.body:
            self.reporter.fault(event.request_id, failed.message, failed.kind)
        self._conclude(failed.payload(event.request_id), failed.kind, "timeout" if failed.kind == TIMED_OUT else "error")

    def _finish(self, payload: bytes, kind: str | None, status: Status) -> None:
        """The runtime has answered. `failure` is the handler's own error, `error` the environment's."""
        if self._companions is None or not len(self._companions.extensions):
            self._conclude(payload, kind, status)
            return
        timer = asyncio.get_running_loop().call_later(EARLY_SECONDS, self._answer_early)
        self._answer = Answer(payload, kind, status, (time.perf_counter() - self._began) * 1000, timer)
        self.state = "finishing"
        self._changed(self)

    def _answer_early(self) -> None:
        """The caller need not wait for the extensions."""
        answer = self._answer
        if answer is not None and self._result is not None and not self._result.done():
            self._pump.settle()
            figures = self._figures(answer.latency_ms, answer.kind, answer.status)
            self._result.set_result(self._outcome(answer.payload, figures))

    def _runtime_done(self, answer: Answer) -> None:
        if self._event is not None:
            took = (time.perf_counter() - self._began) * 1000
            done = Done(took, answer.latency_ms, len(answer.payload), self._clock.now() - took / 1000)
            self.reporter.runtime_done(self._event.request_id, done, answer.status, answer.kind or "", self._event.trace_id)

    def _figures(self, duration: float, kind: str | None, status: Status) -> Figures:
        used = self.box.child.ended.result().peak_bytes if self.box.child.ended.done() else self.box.peak_bytes()
        peak = self.spec.memory_mb if self._memory_exceeded else max(1, min(self.spec.memory_mb, -(-used >> 20)))
        return Figures(duration, self._init_ms, peak, status, kind or "", self._restore_ms)

    def _outcome(self, payload: bytes, figures: Figures) -> InvocationResult:
        return InvocationResult(
            payload, "Unhandled" if figures.status != "success" else None, self.writer.tail(), figures.duration_ms, figures.billed_ms,
            figures.init_ms, figures.max_memory_mb,
        )  # fmt: skip

    def _conclude(self, payload: bytes, kind: str | None, status: Status) -> None:
        """The invocation is over."""
        assert self._event is not None and self._result is not None
        duration = (time.perf_counter() - self._began) * 1000
        if status == "timeout":
            duration = self.spec.timeout * 1000
        self._cancel_timer()
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.timer.cancel()
        if self._throttled and self.box.group is not None:
            self.box.group.unthrottle()
            self._throttled = False
        self._pump.settle()
        if self._companions is not None:
            self._companions.drain()
        event = self._event
        if answer is None and self.reporter.detailed:
            done = Done(duration, duration, len(payload), self._clock.now() - duration / 1000)
            self.reporter.runtime_done(event.request_id, done, status, kind or "", event.trace_id)
        figures = self._figures(duration, kind, status)
        self._init_ms = self._restore_ms = None
        self.reporter.end(event.request_id, figures, event.trace_id)
        self._settle()
        if not self._result.done():
            self._result.set_result(self._outcome(payload, figures))
        if status == "timeout" or self._fault is not None:
            self.end("timeout" if status == "timeout" else "failure")
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
        if self._companions is not None:
            self._companions.telemetry.send()
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
            if self._companions is not None:
                self._companions.telemetry.pause()
            self.box.freeze()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _end(self, reason: str, limit: float) -> None:
        if self._companions is not None and len(self._companions.extensions) and not self.box.child.ended.done():
            self.box.thaw()
            await self._companions.shut_down(reason, limit)
        if self._server is not None:
            self._server.close()
        for listener in self._listeners:
            listener.close()
        await self._boxes.end(self.box)
        self._pump.close()
        if self._companions is not None:
            self._companions.close()
        await self.writer.close()
