"""Responses that are passed on while the function still writes them."""

import asyncio
import base64
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import orjson

from haar.execution.contract import Flow, FunctionSpec, InvocationResult
from haar.services.lambda_ import service
from haar.services.lambda_.access import named, on_invocation
from haar.services.lambda_.directory import Directory, Target
from haar.services.lambda_.invocations import check_size
from haar.services.lambda_.payloads import check_payload
from haar.services.lambda_.running import TRACE, choose, decode_client_context, execute, traced
from haar.services.service import Context, Host, Input, Output
from haar.wire.errors import ServiceError
from haar.wire.eventstream import event

HELD_BYTES = 1 << 20
"""What is held of a response for a slow reader before the function has to wait."""
CHUNK_BYTES = 1 << 20
"""Of a response that comes at once, a piece."""


class Stream:
    """What a function writes, until somebody reads it: a bounded queue between two connections."""

    def __init__(self) -> None:
        self.content_type: str | None = None
        """None until the function begins to stream, and for good when it does not."""
        self._parts: deque[bytes] = deque()
        self._held = 0
        self._flow: Flow | None = None
        self._paused = False
        self._closed = False
        self._abandoned = False
        self._moved = asyncio.Event()

    def begin(self, content_type: str, flow: Flow) -> None:
        self.content_type, self._flow = content_type, flow

    def write(self, data: bytes) -> None:
        if self._closed or self._abandoned:
            return
        self._parts.append(data)
        self._held += len(data)
        self._moved.set()
        if self._held > HELD_BYTES and not self._paused and self._flow is not None:
            self._paused = True
            self._flow.pause()

    def close(self) -> None:
        """The invocation is over."""
        self._closed = True
        self._moved.set()

    async def begun(self) -> None:
        """Returns when there is something to read, or the invocation is over."""
        await self._moved.wait()

    @property
    def empty(self) -> bool:
        """Whether it is over and there was nothing."""
        return self._closed and not self._parts

    async def parts(self) -> AsyncIterator[bytes]:
        """What is written, to the end. A reader that leaves lets the function go on, unheard."""
        try:
            while True:
                while self._parts:
                    part = self._parts.popleft()
                    self._held -= len(part)
                    if self._paused and self._held <= HELD_BYTES // 2:
                        self._go_on()
                    yield part
                if self._closed:
                    return
                self._moved.clear()
                await self._moved.wait()
        finally:
            self._abandoned = True
            self._parts.clear()
            if self._paused:
                self._go_on()

    def _go_on(self) -> None:
        self._paused = False
        if self._flow is not None:
            self._flow.resume()


class Streaming:
    """An invocation whose response is read while it runs."""

    def __init__(self, spec: FunctionSpec, stream: Stream, result: "asyncio.Task[InvocationResult]") -> None:
        self.spec = spec
        self.stream = stream
        self.result = result
        """Done when the invocation is."""

    @property
    def content_type(self) -> str | None:
        """None when the function does not stream: its result has everything."""
        return self.stream.content_type


async def start(
    host: Host, target: Target, payload: bytes, request_id: str, *, client_context: str | None = None, trace_id: str | None = None
) -> Streaming:
    """Runs a function; answers when it begins to stream or is over. Raises TooManyRequestsException, ServiceException."""
    spec, stream = choose(target), Stream()
    work = execute(host, target, spec, payload, request_id, client_context=client_context, trace_id=trace_id, sink=stream)
    result = asyncio.get_running_loop().create_task(work)
    result.add_done_callback(lambda done: _over(done, stream))
    await stream.begun()
    if stream.content_type is None:
        await result
    return Streaming(spec, stream, result)


def _over(done: "asyncio.Future[InvocationResult]", stream: Stream) -> None:
    if not done.cancelled():
        done.exception()  # whoever waits for the result hears of it; whoever has gone does not
    stream.close()


@service.operation("InvokeWithResponseStream", on_invocation)
async def invoke_with_response_stream(context: Context, input: Input) -> Output:
    host, payload = context.host, input.get("Payload", b"")
    if "TenantId" in input:
        raise ServiceError("InvalidParameterValueException", "haar does not have tenants.", Type="User")
    check_size(payload, "RequestResponse")
    target = await host.get(Directory).find(named(context, input))
    check_payload(payload)
    if input.get("InvocationType") == "DryRun":
        return {"StatusCode": 204, "EventStream": b""}
    trace_id = traced(host, context.headers.get("x-amzn-trace-id"))
    client_context = decode_client_context(input.get("ClientContext"))
    running = await start(host, target, payload, context.request_id, client_context=client_context, trace_id=trace_id)
    return {
        TRACE: trace_id,
        "StatusCode": 200,
        "ExecutedVersion": running.spec.version,
        "ResponseStreamContentType": "application/vnd.amazon.eventstream",
        "EventStream": _events(running, tail=input.get("LogType") == "Tail"),
    }


async def _events(running: Streaming, *, tail: bool) -> AsyncIterator[bytes]:
    complete: dict[str, Any] = {}
    try:
        async for part in running.stream.parts():
            yield event("PayloadChunk", part, "application/octet-stream")
        result = await running.result
    except ServiceError as error:
        complete = {"ErrorCode": error.code, "ErrorDetails": error.message}
    else:
        if result.error is not None:
            complete = {"ErrorCode": result.error, "ErrorDetails": result.payload.decode("utf-8", "replace")}
        elif running.content_type is None:
            for at in range(0, len(result.payload), CHUNK_BYTES):
                yield event("PayloadChunk", result.payload[at : at + CHUNK_BYTES], "application/octet-stream")
        if tail:
            complete["LogResult"] = base64.b64encode(result.log_tail).decode()
    yield event("InvokeComplete", orjson.dumps(complete), "application/json")
