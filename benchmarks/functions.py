"""Functions: warm and cold invocations through the signed public API."""

import io
import json
import time
import zipfile
from collections.abc import Callable
from typing import Any

from benchmarks.load import latencies, median, percentile, rate, sign
from benchmarks.peers import Target

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
RUNTIMES = {
    "Python": ("python3.12", "app.handler", {"app.py": "def handler(event, context):\n    return event\n"}),
    "Node": ("nodejs20.x", "index.handler", {"index.mjs": "export const handler = async (event) => event\n"}),
}
MEMORY_MB = 256
"""Sixteen of them fit into a small machine's memory."""
WARM_CALLS = 500
COLD_STARTS = 20
LARGE_BYTES, LARGE_CALLS = 1_000_000, 20


def zip_of(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def measure(target: Target, seconds: float, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Rows of (what, value, unit)."""
    rows: list[dict[str, Any]] = []
    iam, client = target.client("iam"), target.client("lambda")
    role = iam.create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    for language, (runtime, handler, files) in RUNTIMES.items():
        cold = []
        for number in range(COLD_STARTS):
            name = f"cold-{language}-{number}"
            settings = {"Runtime": runtime, "Handler": handler, "Timeout": 30, "MemorySize": MEMORY_MB}
            client.create_function(FunctionName=name, Role=role, Code={"ZipFile": zip_of(files)}, **settings)
            client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
            begin = time.perf_counter()
            client.invoke(FunctionName=name, Payload=b"{}")["Payload"].read()
            cold.append((time.perf_counter() - begin) * 1000)
        rows.append({"what": f"cold start, {language}, median of {COLD_STARTS}", "value": median(cold), "unit": "ms"})
        request = sign(
            target, "lambda", b"{}", path=f"/2015-03-31/functions/{name}/invocations", headers={"Content-Type": "application/json"}
        )
        latencies(target, request, 20)
        warm = latencies(target, request, WARM_CALLS)
        rows.append({"what": f"warm Invoke, {language}, median at 1 client", "value": median(warm), "unit": "ms"})
        rows.append({"what": f"warm Invoke, {language}, p99 at 1 client", "value": percentile(warm, 0.99), "unit": "ms"})
        rate(target, [request], 16, seconds)
        rows.append(
            {"what": f"warm Invoke, {language}, at 16 clients", "value": rate(target, [request], 16, seconds), "unit": "requests/s"}
        )
        body = json.dumps("x" * LARGE_BYTES).encode()
        large = sign(target, "lambda", body, path=request.path, headers={"Content-Type": "application/json"})
        taken = median(latencies(target, large, LARGE_CALLS))
        rows.append({"what": f"warm Invoke, {language}, 1 MB, median", "value": taken, "unit": "ms"})
        for row in rows[-5:]:
            say(f"{target.name}: {row['what']}: {row['value']:.2f} {row['unit']}")
    return rows
