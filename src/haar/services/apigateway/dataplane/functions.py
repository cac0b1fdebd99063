"""Integrations with Lambda: the proxy, and the one that maps."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson

from haar.auth.principal import Principal
from haar.execution.contract import InvocationResult
from haar.services.apigateway.dataplane.answers import Refused, malformed, misconfigured, timed_out, too_large
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.custom import RequestPart, ResponsePart, answered_trace, traced
from haar.services.apigateway.dataplane.event import proxy_event, proxy_response
from haar.services.apigateway.dataplane.log import pairs, shorten
from haar.services.apigateway.dataplane.mapping import Incoming, RequestMapping
from haar.services.apigateway.records import Doc
from haar.services.iam import public as iam
from haar.services.lambda_ import public as lambda_
from haar.services.service import Host
from haar.wire.errors import ServiceError
from haar.wire.http import Response

FUNCTION = re.compile(r"arn:aws[a-z-]*:apigateway:[a-z0-9-]+:lambda:path/+2015-03-31/functions/(.+)/invocations/?")
STREAMED = re.compile(r"arn:aws[a-z-]*:apigateway:[a-z0-9-]+:lambda:path/+2021-11-15/functions/(.+)/response-streaming-invocations/?")
VARIABLE = re.compile(r"\$\{stageVariables\.([A-Za-z0-9_]+)\}")
SERVICE = "apigateway.amazonaws.com"
OF_CALLER = "arn:aws:iam::*:user/*"
"""As an integration's credentials: those of who calls the method."""

T = TypeVar("T")


def stage_text(text: str) -> Callable[[Call], str]:
    """A setting in which `${stageVariables.name}` may stand."""
    if "${stageVariables." not in text:
        return lambda call: text
    return lambda call: VARIABLE.sub(lambda match: call.live.variables.get(match[1], ""), text)


class Function:
    """A Lambda function behind a method."""

    def __init__(self, integration: Doc, form: re.Pattern[str] = FUNCTION) -> None:
        matched = form.fullmatch(integration.get("uri", ""))
        self._arn = stage_text(matched[1] if matched else "")
        self._credentials = stage_text(integration["credentials"]) if integration.get("credentials") else None
        self._posts = integration.get("httpMethod") == "POST"
        self.seconds = integration["timeoutInMillis"] / 1000

    async def invoke(self, call: Call, payload: bytes, asynchronous: bool = False) -> InvocationResult:
        """The function's answer. Raises Refused when there is none in time, or when it may not be asked."""
        arn, region = self._name(call)
        caller = await self._caller(call)
        request_id = call.host.ids.uuid()
        tell_request(call, invocation_url(arn), payload, self._source(call))
        began = call.host.clock.now()
        result = await within(
            self.seconds,
            lambda_.invoke(
                call.host,
                arn,
                payload,
                caller=caller,
                request_id=request_id,
                region=region,
                kind="Event" if asynchronous else "RequestResponse",
            ),
        )
        call.received(200, began)
        if call.log is not None:
            told = [("Content-Type", "application/json"), ("Content-Length", str(len(result.payload))), ("x-amzn-RequestId", request_id)]
            told += [("X-Amz-Function-Error", result.error)] if result.error is not None else []
            told += [("X-Amz-Executed-Version", "$LATEST"), ("X-Amzn-Trace-Id", function_trace(call))]
            call.say(f"Endpoint response headers: {pairs(told)}")
            call.say(f"Endpoint response body before transformations: {shorten(result.payload)}")
        if result.error is not None:
            why = f"Lambda execution failed with status 200 due to customer function error: {error_message(result.payload)}. "
            call.say(f"{why}Lambda request id: {request_id}")
        return result

    async def stream(self, call: Call, payload: bytes) -> lambda_.Streaming:
        """The function's answer as it comes. Raises as `invoke`."""
        arn, region = self._name(call)
        caller = await self._caller(call)
        url = f"https://lambda.{region}.amazonaws.com/2021-11-15/functions/{arn}/response-streaming-invocations"
        tell_request(call, url, payload, self._source(call))
        began = call.host.clock.now()
        asked = lambda_.stream(call.host, arn, payload, caller=caller, request_id=call.host.ids.uuid(), region=region)
        running = await within(self.seconds, asked)
        call.received(200, began)
        return running

    @staticmethod
    def _source(call: Call) -> str:
        """What a function's policy knows the call by (aws:SourceArn)."""
        assert call.endpoint is not None
        return call.live.arn(f"{call.live.stage}/{call.request.method}{call.endpoint.resource_path}")

    def _name(self, call: Call) -> tuple[str, str]:
        """The function's ARN and region."""
        arn = self._arn(call)
        parts = arn.split(":")
        if len(parts) < 7 or parts[2] != "lambda":
            raise misconfigured("Invalid lambda function")
        if not self._posts:
            raise misconfigured("Unable to transform request")
        return arn, parts[3]

    async def _caller(self, call: Call) -> lambda_.Source | Principal:
        if self._credentials is None:
            return lambda_.Source(SERVICE, self._source(call), call.live.account)
        role = self._credentials(call)
        if role == OF_CALLER and call.principal is not None:
            return call.principal
        return await role_caller(call.host, role)


def invocation_url(arn: str) -> str:
    return f"https://lambda.{arn.split(':')[3]}.amazonaws.com/2015-03-31/functions/{arn}/invocations"


def tell_request(call: Call, url: str, payload: bytes, source_arn: str) -> None:
    """The request to a function, in the log."""
    if call.log is None:
        return
    told = {
        "x-amzn-lambda-integration-tag": call.request_id,
        "X-Amz-Date": datetime.fromtimestamp(call.now, UTC).strftime("%Y%m%dT%H%M%SZ"),
        "x-amzn-apigateway-api-id": call.live.api_id,
        "Accept": "application/json",
        "User-Agent": f"AmazonAPIGateway_{call.live.api_id}",
        "X-Amzn-Trace-Id": call.trace_id,
        "X-Amz-Source-Arn": source_arn,
    }
    call.say(f"Endpoint request URI: {url}")
    call.say(f"Endpoint request headers: {pairs(told.items())}")
    call.say(f"Endpoint request body after transformations: {shorten(payload)}")
    call.say(f"Sending request to {url}")


async def role_caller(host: Host, role: str) -> Principal:
    """The principal that API Gateway becomes with an integration's or authorizer's credentials."""
    if await iam.role_trusts(host, role, SERVICE) and (principal := await iam.role_principal(host, role, "BackplaneAssumeRoleSession")):
        return principal
    raise misconfigured("API Gateway does not have permission to assume the provided role")


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Waits no longer than the integration may; what was asked goes on, as it does on AWS. Raises Refused."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.add_done_callback(_forget)
        raise
    if not done:
        task.add_done_callback(_forget)
        raise timed_out()
    try:
        return task.result()
    except ServiceError as error:
        raise _refusal(error) from None


def _forget(task: "asyncio.Future[Any]") -> None:
    if not task.cancelled():
        task.exception()


def _refusal(error: ServiceError) -> Refused:
    if error.code == "RequestTooLargeException":
        return too_large()
    if error.code == "TooManyRequestsException":
        return misconfigured("Lambda function was throttled: Rate Exceeded.")
    if error.code in ("AccessDenied", "AccessDeniedException", "ResourceNotFoundException"):
        return misconfigured("Invalid permissions on Lambda function")
    return misconfigured(f"Lambda invocation failed: {error.code}: {error.message}")


class LambdaProxy:
    """AWS_PROXY: the request goes in whole, the response comes from the function."""

    def __init__(self, integration: Doc) -> None:
        self._function = Function(integration)
        self._map = RequestMapping(integration["requestParameters"]) if integration.get("requestParameters") else None

    async def __call__(self, call: Call) -> Response:
        event = proxy_event(call)
        if self._map is not None:
            self._map.into_event(call, event)
        result = await self._function.invoke(call, orjson.dumps(event))
        if result.error is not None:
            raise malformed("")  # why is in the log
        response = proxy_response(result.payload, call.request.headers.get("accept"), call.live.compiled.binary_types)
        return traced(response, function_trace(call))


class LambdaCustom:
    """AWS: the request is mapped to the function's event, and its answer to the response."""

    def __init__(self, integration: Doc) -> None:
        self._function = Function(integration)
        self._request = RequestPart(integration)
        self._response = ResponsePart(integration)

    async def __call__(self, call: Call) -> Response:
        out = await self._request.make(call)
        kind = next((values[-1] for name, values in out.headers.items() if name.lower() == "x-amz-invocation-type"), "RequestResponse")
        result = await self._function.invoke(call, out.body or b"{}", kind.lower() == "event")
        subject = error_message(result.payload) if result.error is not None else None
        headers = [("Content-Type", "application/json"), ("X-Amzn-Trace-Id", function_trace(call))]
        if result.error is not None:
            headers.append(("X-Amz-Function-Error", result.error))
        response = await self._response.choose(subject, 200).make(call, Incoming(200, headers, result.payload))
        return traced(response, function_trace(call))


def function_trace(call: Call) -> str:
    """As `answered_trace`, with the lineage that functions add."""
    return f"{answered_trace(call)};Lineage=1:{call.request_id[:8]}:0"


def error_message(payload: bytes) -> str:
    """What a function that failed says of it."""
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return ""
    return str(found.get("errorMessage", "")) if isinstance(found, dict) else ""
