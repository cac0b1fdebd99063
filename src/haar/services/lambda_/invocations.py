"""Invoke: synchronously, asynchronously, or only to see whether one may."""

import base64
from typing import Any

from haar.services.lambda_ import service
from haar.services.lambda_.access import named, on_invocation
from haar.services.lambda_.asynchronous import Events
from haar.services.lambda_.directory import Directory
from haar.services.lambda_.payloads import check_payload
from haar.services.lambda_.running import TRACE, decode_client_context, run, traced
from haar.services.service import Context, Input, Output
from haar.wire.errors import ServiceError

MAX_SYNCHRONOUS = 6_291_456
MAX_EVENT = 1_048_576
"""Bytes of an asynchronous invocation's payload (256 KB until October 2025)."""


def check_size(payload: bytes, kind: str) -> None:
    if kind == "Event" and len(payload) > MAX_EVENT:
        raise ServiceError(
            "RequestEntityTooLargeException",
            f"{len(payload)} byte payload is too large for the Event invocation type (limit {MAX_EVENT} bytes)",
            413,
            Type="User",
        )
    if len(payload) > MAX_SYNCHRONOUS:
        message = f"Request must be smaller than {MAX_SYNCHRONOUS} bytes for the InvokeFunction operation"
        raise ServiceError("RequestTooLargeException", message, 413, Type="User")


@service.operation("Invoke", on_invocation)
async def invoke(context: Context, input: Input) -> Output:
    host, payload, kind = context.host, input.get("Payload", b""), input.get("InvocationType", "RequestResponse")
    if "DurableExecutionName" in input or "TenantId" in input:
        raise ServiceError("InvalidParameterValueException", "haar does not have durable executions and tenants.", Type="User")
    check_size(payload, kind)
    target = await host.get(Directory).find(named(context, input))
    check_payload(payload)
    if kind == "DryRun":
        return {"StatusCode": 204}
    client_context = decode_client_context(input.get("ClientContext"))
    trace_id = traced(host, context.headers.get("x-amzn-trace-id"))
    if kind == "Event":
        await host.get(Events).accept(target, payload, context.request_id, trace_id)
        return {"StatusCode": 202, TRACE: trace_id}
    spec, result = await run(host, target, payload, context.request_id, client_context, trace_id)
    output: dict[str, Any] = {"StatusCode": 200, "Payload": result.payload, "ExecutedVersion": spec.version, TRACE: trace_id}
    if result.error:
        output["FunctionError"] = result.error
    if input.get("LogType") == "Tail":
        output["LogResult"] = base64.b64encode(result.log_tail).decode()
    return output


@service.operation("InvokeAsync", on_invocation)
async def invoke_async(context: Context, input: Input) -> Output:
    payload = input["InvokeArgs"]
    check_size(payload, "Event")
    target = await context.host.get(Directory).find(named(context, input))
    check_payload(payload)
    await context.host.get(Events).accept(target, payload, context.request_id)
    return {"Status": 202}
