"""The lines that Lambda itself writes into a function's log, as text or as JSON
(https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html)."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from haar.execution.contract import FunctionSpec
from haar.execution.output import timestamp
from haar.execution.runtimes import Runtime


@dataclass(frozen=True, slots=True)
class Figures:
    """What an invocation took."""

    duration_ms: float
    init_ms: float | None
    max_memory_mb: int
    status: Literal["success", "failure", "error", "timeout"]
    error_kind: str = ""

    @property
    def billed_ms(self) -> int:
        """Whole milliseconds, initialisation included (as on AWS since August 2025)."""
        return max(1, math.ceil(round(self.duration_ms + (self.init_ms or 0.0), 2)))


def init_start(spec: FunctionSpec, runtime: Runtime, now: float) -> str:
    """Empty for a container image: its runtime is its own."""
    if runtime.kind == "image":
        return ""
    version = f"{spec.runtime.rstrip('.x')}.haar" if runtime.kind == "provided" else f"{runtime.kind}:{runtime.version}.haar"
    arn = f"arn:aws:lambda:{spec.region}::runtime:{hashlib.sha256(version.encode()).hexdigest()}"
    if spec.log_format == "JSON":
        record = {
            "initializationType": "on-demand", "phase": "init", "runtimeVersion": version, "runtimeVersionArn": arn,
            "functionName": spec.name, "functionVersion": spec.version,
        }  # fmt: skip
        return _json("platform.initStart", record, now)
    return f"INIT_START Runtime Version: {version}\tRuntime Version ARN: {arn}\n"


def init_report(spec: FunctionSpec, took_ms: float, phase: str, kind: str, now: float) -> str:
    status = "timeout" if kind == "Sandbox.Timedout" else "error"
    if spec.log_format == "JSON":
        record = {"initializationType": "on-demand", "phase": phase, "status": status, "metrics": {"durationMs": round(took_ms, 3)}}
        return _json("platform.initReport", record | ({"errorType": kind} if status == "error" else {}), now)
    error = f"\tError Type: {kind}" if status == "error" else ""
    return f"INIT_REPORT Init Duration: {took_ms:.2f} ms\tPhase: {phase}\tStatus: {status}{error}\n"


def start(spec: FunctionSpec, request_id: str, now: float) -> str:
    if spec.log_format == "JSON":
        return _json("platform.start", {"requestId": request_id, "functionArn": spec.arn, "version": spec.version}, now)
    return f"START RequestId: {request_id} Version: {spec.version}\n"


def timed_out(spec: FunctionSpec, request_id: str, message: str, now: float) -> str:
    del spec  # the same in both formats
    return f"{timestamp(now)} {request_id} {message}\n\n"


def end(spec: FunctionSpec, request_id: str, figures: Figures, now: float) -> list[str]:
    if spec.log_format == "JSON":
        metrics: dict[str, Any] = {
            "durationMs": round(figures.duration_ms, 3), "billedDurationMs": figures.billed_ms, "memorySizeMB": spec.memory_mb,
            "maxMemoryUsedMB": figures.max_memory_mb,
        }  # fmt: skip
        if figures.init_ms is not None:
            metrics["initDurationMs"] = round(figures.init_ms, 3)
        status = {"failure": "success"}.get(figures.status, figures.status)
        record: dict[str, Any] = {"requestId": request_id, "metrics": metrics, "status": status}
        if status == "error":
            record["errorType"] = figures.error_kind
        return [_json("platform.report", record, now)]
    parts = [
        f"REPORT RequestId: {request_id}", f"Duration: {figures.duration_ms:.2f} ms", f"Billed Duration: {figures.billed_ms} ms",
        f"Memory Size: {spec.memory_mb} MB", f"Max Memory Used: {figures.max_memory_mb} MB",
    ]  # fmt: skip
    if figures.init_ms is not None:
        parts.append(f"Init Duration: {figures.init_ms:.2f} ms")
    if figures.status == "timeout":
        parts.append("Status: timeout")
    elif figures.status == "error":
        parts += ["Status: error", f"Error Type: {figures.error_kind}"]
    return [f"END RequestId: {request_id}\n", "\t".join(parts) + "\t\n"]


def _json(kind: str, record: Mapping[str, Any], now: float) -> str:
    return json.dumps({"time": timestamp(now), "type": kind, "record": record}, separators=(",", ":")) + "\n"
