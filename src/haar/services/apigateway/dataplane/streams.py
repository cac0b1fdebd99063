"""Responses that go out while the integration still writes them (`responseTransferMode` STREAM).

A function writes its status and headers as JSON, eight zero bytes, and then the body, all of it by InvokeWithResponseStream.
https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html
"""

import asyncio
from collections.abc import AsyncIterator

import orjson

from haar.services.apigateway.dataplane.answers import malformed
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.endpoints import HttpProxy
from haar.services.apigateway.dataplane.event import head_of, outgoing, proxy_event
from haar.services.apigateway.dataplane.functions import STREAMED, Function, function_trace, within
from haar.services.apigateway.dataplane.mapping import RequestMapping
from haar.services.apigateway.records import Doc
from haar.services.lambda_ import public as lambda_
from haar.wire.http import Response

DELIMITER = bytes(8)
MAX_METADATA = 16 * 1024
"""Bytes within which a stream's delimiter stands."""
IDLE_SECONDS = {"EDGE": 30.0, "REGIONAL": 300.0, "PRIVATE": 300.0}
"""How long a stream may say nothing, by the API's type."""


class StreamEnded(Exception):
    """The integration failed or took too long after its response had begun: the client sees it break off."""


class LambdaStream:
    """AWS_PROXY by InvokeWithResponseStream."""

    def __init__(self, integration: Doc) -> None:
        self._function = Function(integration, STREAMED)
        self._map = RequestMapping(integration["requestParameters"]) if integration.get("requestParameters") else None
        self._streams = integration.get("responseTransferMode") == "STREAM"

    async def __call__(self, call: Call) -> Response:
        if not self._streams:
            raise malformed()  # the events of a stream are no proxy response
        event = proxy_event(call)
        if self._map is not None:
            self._map.into_event(call, event)
        ends = asyncio.get_running_loop().time() + self._function.seconds
        running = await self._function.stream(call, orjson.dumps(event))
        parts = _written(running)
        head, first = await within(max(ends - asyncio.get_running_loop().time(), 0), _head(parts))
        try:
            metadata = orjson.loads(head)
        except orjson.JSONDecodeError:
            raise malformed() from None
        status, headers = head_of(metadata)
        headers.append(("X-Amzn-Trace-Id", function_trace(call)))
        return await _streamed(call, Response(status, headers), parts, first, ends)


async def _streamed(call: Call, response: Response, parts: AsyncIterator[bytes], first: bytes, ends: float) -> Response:
    if call.request.method == "HEAD":  # nobody reads a body
        await _close(parts)
    else:
        response.body = _paced(parts, first, ends, idle_seconds(call))
    return response


async def _close(parts: AsyncIterator[bytes]) -> None:
    close = getattr(parts, "aclose", None)
    if close is not None:
        await close()


def idle_seconds(call: Call) -> float:
    return IDLE_SECONDS[call.live.compiled.draft.api["endpointConfiguration"]["types"][0]]


async def _written(running: lambda_.Streaming) -> AsyncIterator[bytes]:
    """What a function writes, whether it streams or not. Raises StreamEnded when it failed."""
    async for part in running.stream.parts():
        yield part
    result = await running.result
    if result.error is not None:
        raise StreamEnded(f"{running.spec.arn}: the function failed")
    if running.content_type is None:
        yield result.payload


async def _head(parts: AsyncIterator[bytes]) -> tuple[bytes, bytes]:
    """The metadata, and what has come of the body. Raises Refused (502)."""
    gathered = b""
    try:
        async for part in parts:
            gathered += part
            head, found, rest = gathered.partition(DELIMITER)
            if found and len(head) <= MAX_METADATA:
                return head, rest
            if len(gathered) > MAX_METADATA:
                break
    except StreamEnded as error:
        raise malformed(f"Lambda execution failed with status 200 due to customer function error: {error}") from None
    raise malformed()


async def _paced(parts: AsyncIterator[bytes], first: bytes, ends: float, idle: float) -> AsyncIterator[bytes]:
    """The body: no longer than the integration may take, and never idle for long. Raises StreamEnded."""
    if first:
        yield first
    loop, source = asyncio.get_running_loop(), aiter(parts)
    try:
        while True:
            try:
                async with asyncio.timeout(min(ends - loop.time(), idle)):
                    part = await anext(source)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise StreamEnded("the integration took too long") from None
            yield part
    finally:
        await _close(parts)


class HttpStream(HttpProxy):
    """HTTP_PROXY whose response goes through as it comes."""

    async def __call__(self, call: Call) -> Response:
        ends = asyncio.get_running_loop().time() + self.endpoint.seconds
        status, headers, parts = await self.endpoint.begin(call, self.outgoing(call))
        headers = outgoing(headers)
        return await _streamed(call, Response(status, headers), parts, b"", ends)
