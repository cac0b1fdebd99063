"""Load: wrk replays requests that botocore signed once; latency is timed over one kept connection."""

import json
import re
import statistics
import subprocess
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from benchmarks.peers import Target

SCRIPT = Path(__file__).with_name("replay.lua")


class Signed:
    """One signed request, to be replayed within 15 minutes."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body


def sign(
    target: Target, service: str, body: bytes, *, path: str = "/", method: str = "POST", headers: dict[str, str] | None = None
) -> Signed:
    request = AWSRequest(method, target.endpoint + path, data=body, headers=dict(headers or {}))
    SigV4Auth(target.credentials, service, "us-east-1").add_auth(request)
    return Signed(method, path, dict(request.headers.items()), body)


def dynamodb(target: Target, operation: str, input: Any) -> Signed:
    headers = {"X-Amz-Target": f"DynamoDB_20120810.{operation}", "Content-Type": "application/x-amz-json-1.0"}
    return sign(target, "dynamodb", json.dumps(input).encode(), headers=headers)


def check(target: Target, request: Signed) -> tuple[int, bytes]:
    """Sends it once; (status, body)."""
    connection = _connect(target)
    answer = _send(connection, request)
    connection.close()
    return answer


def _connect(target: Target) -> HTTPConnection:
    parts = urlsplit(target.endpoint)
    return HTTPConnection(str(parts.hostname), parts.port, timeout=60)


def _send(connection: HTTPConnection, request: Signed) -> tuple[int, bytes]:
    connection.request(request.method, request.path, request.body, request.headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def rate(target: Target, requests: list[Signed], connections: int, seconds: float) -> float:
    """Requests a second that were answered with 2xx; raises when one was not."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write("return {\n")
        for request in requests:
            fields = ", ".join(f"[{_lua(name)}] = {_lua(value)}" for name, value in request.headers.items())
            file.write(f"{{ {_lua(request.method)}, {_lua(request.path)}, {{ {fields} }}, {_lua(request.body.decode())} }},\n")
        file.write("}\n")
        file.flush()
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{max(1, round(seconds))}s",
            "--timeout",
            "30s",
            "-s",
            str(SCRIPT),
            target.endpoint,
            "--",
            file.name,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"{target.name} refused: {done.stdout}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert found is not None, done.stdout
    return float(found[1])


def latencies(target: Target, request: Signed, count: int) -> list[float]:
    """Milliseconds of `count` requests, one after the other over one connection."""
    connection = _connect(target)
    taken = []
    for _ in range(count):
        begin = time.perf_counter()
        status, body = _send(connection, request)
        taken.append((time.perf_counter() - begin) * 1000)
        if status >= 300:
            raise RuntimeError(f"{target.name} answered {status}: {body[:200]!r}")
    connection.close()
    return taken


def _lua(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r") + '"'


def median(numbers: list[float]) -> float:
    return statistics.median(numbers)


def percentile(numbers: list[float], share: float) -> float:
    return sorted(numbers)[min(len(numbers) - 1, int(len(numbers) * share))]
