"""What Lambda itself says of an environment: lines of its log, as text or as JSON, and events for who subscribed to its telemetry
(https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html,
https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html)."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from haar.clock import Clock
from haar.execution.contract import FunctionSpec
from haar.execution.output import LogWriter, timestamp
from haar.execution.runtimes import Runtime, version_of

Status = Literal["success", "failure", "error", "timeout"]
Phase = Literal["init", "invoke", "restore"]
LEVELS = ("DEBUG", "INFO", "WARN")
"""SystemLogLevel, the most talkative first."""
TIMED_OUT = "Sandbox.Timedout"


@dataclass(frozen=True, slots=True)
class Figures:
    """What an invocation took."""

    duration_ms: float
    init_ms: float | None
    max_memory_mb: int
    status: Status
    error_kind: str = ""
    restore_ms: float | None = None

    @property
    def billed_ms(self) -> int:
        """Whole milliseconds, initialisation included (as on AWS since August 2025)."""
        return max(1, math.ceil(round(self.duration_ms + (self.init_ms or 0.0) + (self.restore_ms or 0.0), 2)))


@dataclass(frozen=True, slots=True)
class Done:
    """How far the runtime itself has come with an invocation."""

    duration_ms: float
    """Until it asked for more."""
    latency_ms: float
    """Until its answer."""
    produced_bytes: int
    began: float
    """Epoch seconds."""


class Telemetry(Protocol):
    """Who has subscribed, by the Telemetry or the Logs API."""

    def platform(self, kind: str, record: Mapping[str, Any] | str, now: float) -> None: ...


def trace(header: str) -> dict[str, str]:
    """An X-Ray header as the APIs of extensions show it."""
    return {"type": "X-Amzn-Trace-Id", "value": header}


class Reporter:
    """Tells of one environment. What nobody wants is not made."""

    def __init__(self, spec: FunctionSpec, runtime: Runtime, writer: LogWriter, clock: Clock) -> None:
        self.spec = spec
        self.initialization = "on-demand"
        self.telemetry: Telemetry | None = None
        self.early: list[tuple[str, Mapping[str, Any], float]] = []
        """What there was to say before anybody could subscribe."""
        self._runtime = runtime
        self._writer = writer
        self._clock = clock
        self._json = spec.log_format == "JSON"
        self.detailed = self._json
        """Whether there is anyone for the events that are no lines of a text log."""
        self._least = LEVELS.index(spec.system_level) if spec.system_level in LEVELS else 1

    def init_start(self, phase: Phase) -> None:
        spec, runtime = self.spec, self._runtime
        record: dict[str, Any] = {"initializationType": self.initialization, "phase": phase}
        if runtime.kind != "image":  # an image's runtime is its own
            version, arn = version_of(spec.runtime, runtime, spec.region)
            record |= {"runtimeVersion": version, "runtimeVersionArn": arn}
            if not self._json and phase == "init":
                self._writer.add(f"INIT_START Runtime Version: {version}\tRuntime Version ARN: {arn}\n")
        record |= {"functionName": spec.name, "functionVersion": spec.version}
        self.early.append(("platform.initStart", record, self._clock.now()))
        self.event("platform.initStart", record, "INFO" if "runtimeVersion" in record else "DEBUG")

    def restore_start(self) -> None:
        version, arn = version_of(self.spec.runtime, self._runtime, self.spec.region)
        if not self._json:
            self._writer.add(f"RESTORE_START Runtime Version: {version}\tRuntime Version ARN: {arn}\n")
        record = {"initializationType": self.initialization, "runtimeVersion": version, "runtimeVersionArn": arn}
        record |= {"functionName": self.spec.name, "functionVersion": self.spec.version}
        self.event("platform.restoreStart", record, "INFO")

    def restore_report(self, took_ms: float, kind: str = "") -> None:
        record: dict[str, Any] = {"status": _status(kind)} | _error(kind)
        self.event("platform.restoreRuntimeDone", record, "WARN" if kind else "DEBUG")
        if not self._json:
            tail = f"\tStatus: {_status(kind)}" if kind else ""
            tail += f"\tError Type: {kind}" if _error(kind) else ""
            self._writer.add(f"RESTORE_REPORT Restore Duration: {took_ms:.2f} ms{tail}\n")
        record = record | {"metrics": {"durationMs": round(took_ms, 3)}}
        self.event("platform.restoreReport", record, "WARN" if kind else "INFO")

    def init_runtime_done(self, phase: Phase, kind: str = "") -> None:
        if self.detailed:
            record = {"initializationType": self.initialization, "phase": phase, "status": _status(kind)} | _error(kind)
            self.event("platform.initRuntimeDone", record, "WARN" if kind else "DEBUG")

    def init_report(self, took_ms: float, phase: Phase, kind: str = "") -> None:
        """Said of initialisations that fail, and of those that nobody waits for."""
        on_demand = self.initialization == "on-demand"
        if not self._json and (kind or not on_demand):
            tail = f"\tPhase: {phase}\tStatus: {_status(kind)}" if kind else ""
            tail += f"\tError Type: {kind}" if _error(kind) else ""
            self._writer.add(f"INIT_REPORT Init Duration: {took_ms:.2f} ms{tail}\n")
        if self.detailed:
            record: dict[str, Any] = {"initializationType": self.initialization, "phase": phase, "status": _status(kind)} | _error(kind)
            record["metrics"] = {"durationMs": round(took_ms, 3)}
            self.event("platform.initReport", record, "WARN" if kind else "DEBUG" if on_demand else "INFO")

    def start(self, request_id: str, trace_id: str | None) -> None:
        if not self._json:
            self._writer.add(f"START RequestId: {request_id} Version: {self.spec.version}\n")
        if self.detailed:
            record: dict[str, Any] = {"requestId": request_id, "functionArn": self.spec.arn, "version": self.spec.version}
            self.event("platform.start", record, "INFO", _tracing(trace_id))

    def runtime_done(self, request_id: str, done: Done, status: Status, kind: str, trace_id: str | None) -> None:
        if not self.detailed:
            return
        answered = done.began + done.latency_ms / 1000
        record: dict[str, Any] = {
            "requestId": request_id, "status": "success" if status == "failure" else status,
            "metrics": {"durationMs": round(done.duration_ms, 3), "producedBytes": done.produced_bytes},
            "spans": [
                {"name": "responseLatency", "start": timestamp(done.began), "durationMs": round(done.latency_ms, 3)},
                {"name": "responseDuration", "start": timestamp(answered), "durationMs": 0.0},
                {"name": "runtimeOverhead", "start": timestamp(answered), "durationMs": round(done.duration_ms - done.latency_ms, 3)},
            ],
        }  # fmt: skip
        if status == "error":
            record["errorType"] = kind
        self.event("platform.runtimeDone", record, "DEBUG" if status in ("success", "failure") else "WARN", _tracing(trace_id))

    def timed_out(self, request_id: str, message: str) -> None:
        """The same in both formats."""
        self._writer.add(f"{timestamp(self._clock.now())} {request_id} {message}\n\n")

    def fault(self, request_id: str, message: str, kind: str) -> None:
        """The same in both formats."""
        said = f"RequestId: {request_id} Error: {message}\n{kind}\n"
        self._writer.add(said)
        if self.telemetry is not None:
            self.telemetry.platform("platform.fault", said, self._clock.now())

    def end(self, request_id: str, figures: Figures, trace_id: str | None) -> None:
        if not self._json:
            for line in _report_lines(self.spec, request_id, figures):
                self._writer.add(line)
        if not self.detailed:
            return
        metrics: dict[str, Any] = {
            "durationMs": round(figures.duration_ms, 3), "billedDurationMs": figures.billed_ms, "memorySizeMB": self.spec.memory_mb,
            "maxMemoryUsedMB": figures.max_memory_mb,
        }  # fmt: skip
        if figures.init_ms is not None:
            metrics["initDurationMs"] = round(figures.init_ms, 3)
        if figures.restore_ms is not None:
            metrics |= {"restoreDurationMs": round(figures.restore_ms, 3), "billedRestoreDurationMs": math.ceil(figures.restore_ms)}
        status = "success" if figures.status == "failure" else figures.status
        record: dict[str, Any] = {"requestId": request_id, "metrics": metrics, "status": status}
        if status == "error":
            record["errorType"] = figures.error_kind
        self.event("platform.report", record, "INFO" if status == "success" else "WARN", _tracing(trace_id))

    def extension(self, name: str, state: str, events: Sequence[str], kind: str) -> None:
        """How an extension has come through the initialisation."""
        if not self._json:
            tail = f"\tError Type: {kind}" if kind else ""
            self._writer.add(f"EXTENSION\tName: {name}\tState: {state}\tEvents: [{', '.join(events)}]{tail}\n")
        record = {"name": name, "state": state, "events": list(events)} | ({"errorType": kind} if kind else {})
        self.event("platform.extension", record, "INFO" if state == "Ready" else "WARN")

    def subscription(self, api: Literal["TELEMETRY", "LOGS"], name: str, types: Sequence[str]) -> None:
        if not self._json:
            shown = ", ".join(kind.capitalize() for kind in types)
            self._writer.add(f"{api}\tName: {name}\tState: Subscribed\tTypes: [{shown}]\n")
        kind = "platform.telemetrySubscription" if api == "TELEMETRY" else "platform.logsSubscription"
        self.event(kind, {"name": name, "state": "Subscribed", "types": list(types)}, "INFO")

    def event(self, kind: str, record: Mapping[str, Any], level: str, more: Mapping[str, Any] | None = None) -> None:
        """One event of the platform: into a log that is JSON, unless its level is too low, and to who subscribed (with `more`)."""
        now = self._clock.now()
        if self._json and LEVELS.index(level) >= self._least:
            told = {"time": timestamp(now), "type": kind, "record": record}
            self._writer.add(json.dumps(told, separators=(",", ":")) + "\n")
        if self.telemetry is not None:
            self.telemetry.platform(kind, {**record, **more} if more else record, now)


def _status(kind: str) -> str:
    return "timeout" if kind == TIMED_OUT else "error" if kind else "success"


def _error(kind: str) -> dict[str, str]:
    return {"errorType": kind} if kind and kind != TIMED_OUT else {}


def _tracing(trace_id: str | None) -> dict[str, Any] | None:
    return {"tracing": trace(trace_id)} if trace_id else None


def _report_lines(spec: FunctionSpec, request_id: str, figures: Figures) -> tuple[str, str]:
    parts = [
        f"REPORT RequestId: {request_id}", f"Duration: {figures.duration_ms:.2f} ms", f"Billed Duration: {figures.billed_ms} ms",
        f"Memory Size: {spec.memory_mb} MB", f"Max Memory Used: {figures.max_memory_mb} MB",
    ]  # fmt: skip
    if figures.init_ms is not None:
        parts.append(f"Init Duration: {figures.init_ms:.2f} ms")
    if figures.restore_ms is not None:
        parts.append(f"Restore Duration: {figures.restore_ms:.2f} ms")
        parts.append(f"Billed Restore Duration: {math.ceil(figures.restore_ms)} ms")
    if figures.status == "timeout":
        parts.append("Status: timeout")
    elif figures.status == "error":
        parts += ["Status: error", f"Error Type: {figures.error_kind}"]
    return f"END RequestId: {request_id}\n", "\t".join(parts) + "\t\n"
