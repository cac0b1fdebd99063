"""Integrations with Lambda: the proxy, and the one that maps."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import orjson

from haar.auth.principal import Principal
from haar.execution.contract import InvocationResult
from haar.services.apigateway.dataplane.answers import Refused, misconfigured, timed_out
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.custom import RequestPart, ResponsePart
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
        self.uri = integration.get("uri", "")
        self._arn = stage_text(matched[1] if matched else "")
        self._credentials = stage_text(integration["credentials"]) if integration.get("credentials") else None
        self._posts = integration.get("httpMethod") == "POST"
        self.seconds = integration["timeoutInMillis"] / 1000

    async def invoke(self, call: Call, payload: bytes, asynchronous: bool = False) -> InvocationResult:
        """The function's answer. Raises Refused when there is none in time, or when it may not be asked."""
        arn, region = self._name(call)
        caller = await self._caller(call)
        if call.log is not None:
            call.say(f"Sending request to https://lambda.{region}.amazonaws.com/2015-03-31/functions/{arn}/invocations")
        began = call.host.clock.now()
        result = await within(
            self.seconds,
            lambda_.invoke(
                call.host,
                arn,
                payload,
                caller=caller,
                request_id=call.host.ids.uuid(),
                region=region,
                kind="Event" if asynchronous else "RequestResponse",
            ),
        )
        call.received(200, began)
        return result

    async def stream(self, call: Call, payload: bytes) -> lambda_.Streaming:
        """The function's answer as it comes. Raises as `invoke`."""
        arn, region = self._name(call)
        caller = await self._caller(call)
        if call.log is not None:
            path = f"2021-11-15/functions/{arn}/response-streaming-invocations"
            call.say(f"Sending request to https://lambda.{region}.amazonaws.com/{path}")
        began = call.host.clock.now()
        asked = lambda_.stream(call.host, arn, payload, caller=caller, request_id=call.host.ids.uuid(), region=region)
        running = await within(self.seconds, asked)
        call.received(200, began)
        return running

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
        live, endpoint = call.live, call.endpoint
        assert endpoint is not None
        if self._credentials is None:
            arn = live.arn(f"{live.stage}/{call.request.method}{endpoint.resource_path}")
            return lambda_.Source(SERVICE, arn, live.account)
        role = self._credentials(call)
        if role == OF_CALLER and call.principal is not None:
            return call.principal
        return await role_caller(call.host, role)


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
        payload = orjson.dumps(event)
        if call.log is not None:
            call.say(f"Endpoint request URI: {self._function.uri}")
            call.say(f"Endpoint request body after transformations: {shorten(payload)}")
        result = await self._function.invoke(call, payload)
        if call.log is not None:
            call.say(f"Endpoint response headers: {pairs([('Content-Type', 'application/json'), ('X-Amz-Executed-Version', '$LATEST')])}")
            call.say(f"Endpoint response body before transformations: {shorten(result.payload)}")
        if result.error is not None:
            call.say(f"Lambda execution failed with status 200 due to customer function error: {_error_message(result.payload)}.")
        response = proxy_response(result.payload, call.request.headers.get("accept"), call.live.compiled.binary_types)
        response.headers.append(("X-Amzn-Trace-Id", call.trace_id))
        return response


class LambdaCustom:
    """AWS: the request is mapped to the function's event, and its answer to the response."""

    def __init__(self, integration: Doc) -> None:
        self._function = Function(integration)
        self._request = RequestPart(integration)
        self._response = ResponsePart(integration)

    async def __call__(self, call: Call) -> Response:
        out = await self._request.make(call)
        if call.log is not None:
            call.say(f"Endpoint request URI: {self._function.uri}")
            call.say(f"Endpoint request body after transformations: {shorten(out.body)}")
        kind = next((values[-1] for name, values in out.headers.items() if name.lower() == "x-amz-invocation-type"), "RequestResponse")
        result = await self._function.invoke(call, out.body or b"{}", kind.lower() == "event")
        subject = _error_message(result.payload) if result.error is not None else None
        headers = [("Content-Type", "application/json"), ("X-Amzn-Trace-Id", call.trace_id)]
        if result.error is not None:
            headers.append(("X-Amz-Function-Error", result.error))
            call.say(f"Lambda execution failed with status 200 due to customer function error: {subject}.")
        return await self._response.make(call, Incoming(200, headers, result.payload), subject)


def _error_message(payload: bytes) -> str:
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return ""
    return str(found.get("errorMessage", "")) if isinstance(found, dict) else ""
