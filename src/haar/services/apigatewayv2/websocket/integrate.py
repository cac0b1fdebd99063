"""What is behind the routes of WebSocket APIs. An integration answers with a Response: its status, and what a client may be sent."""

import base64

import orjson

from haar.services.apigateway.public import Unreachable, fetch
from haar.services.apigatewayv2.dataplane.answers import failed, unavailable
from haar.services.apigatewayv2.dataplane.call import Call, stage_text
from haar.services.apigatewayv2.dataplane.compile import Run, SocketRoute, make_endpoint
from haar.services.apigatewayv2.dataplane.events import header_text
from haar.services.apigatewayv2.dataplane.functions import invoke
from haar.services.apigatewayv2.integrations import function_of
from haar.services.apigatewayv2.records import Doc, Draft
from haar.wire.http import Response


class Function:
    """AWS_PROXY with Lambda."""

    def __init__(self, integration: Doc) -> None:
        uri = integration.get("IntegrationUri", "")
        self._arn = stage_text(function_of(uri) or uri)
        self._role = stage_text(integration["CredentialsArn"]) if integration.get("CredentialsArn") else None
        self._seconds = integration["TimeoutInMillis"] / 1000

    async def __call__(self, call: Call) -> Response:
        assert call.endpoint is not None
        payload = orjson.dumps(call.event)
        role = self._role(call) if self._role else None
        source = f"{call.stage.name}/{call.endpoint.source}"
        result = await invoke(call, self._arn(call), payload, source=source, role=role, seconds=self._seconds)
        if result.error is not None:
            raise failed(f"The Lambda function failed: {result.payload[:1024].decode('utf-8', 'replace')}")
        return _answer(result.payload)


def _answer(payload: bytes) -> Response:
    """`{statusCode, headers, body}`. Raises Refused for an answer that is not of the form."""
    try:
        answer = orjson.loads(payload or b"null")
        status = int(answer["statusCode"])
        headers = answer.get("headers") or {}
        body = answer.get("body")
        data = b"" if body is None else body.encode() if isinstance(body, str) else orjson.dumps(body)
        if answer.get("isBase64Encoded") is True:
            data = base64.b64decode(data, validate=True)
        return Response(status, [(name, header_text(value)) for name, value in headers.items()], data)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        raise failed("Malformed Lambda proxy response") from None


class HttpProxy:
    """HTTP_PROXY: the message is a request's body, and its answer's body is the answer."""

    def __init__(self, integration: Doc) -> None:
        self._uri = stage_text(integration["IntegrationUri"])
        self._method = integration["IntegrationMethod"]
        self._seconds = integration["TimeoutInMillis"] / 1000

    async def __call__(self, call: Call) -> Response:
        method = "POST" if self._method == "ANY" else self._method
        body = (call.event.get("body") or "").encode()
        headers = [("Content-Type", "application/json"), ("User-Agent", f"AmazonAPIGateway_{call.stage.api_id}")]
        try:
            status, answered, data = await fetch(method, self._uri(call), headers, body, self._seconds)
        except TimeoutError:
            raise unavailable("Endpoint request timed out") from None
        except Unreachable as error:
            raise unavailable(str(error)) from None
        return Response(status, answered, data)


class Mock:
    """MOCK: nothing is behind it, and all is well."""

    async def __call__(self, call: Call) -> Response:
        return Response(200)


class NotBuilt:
    """An integration that API Gateway has and haar has not: nothing is made up."""

    def __init__(self, what: str) -> None:
        self._what = what

    async def __call__(self, call: Call) -> Response:
        raise failed(f"haar does not have {self._what} integrations of WebSocket APIs yet")


def _integration(integration: Doc) -> Run:
    kind = integration["IntegrationType"]
    if kind == "AWS_PROXY" and function_of(integration.get("IntegrationUri", "")) is not None:
        return Function(integration)
    if kind == "HTTP_PROXY":
        return HttpProxy(integration)
    if kind == "MOCK" and not integration.get("RequestTemplates"):
        return Mock()
    return NotBuilt(kind)


def compile_sockets(draft: Draft) -> dict[str, SocketRoute]:
    """The routes that have something behind them, by key."""
    found: dict[str, SocketRoute] = {}
    for route in draft.routes.values():
        integration = draft.integrations.get(route.get("Target", "").removeprefix("integrations/"))
        if integration is not None:
            responds = bool(draft.route_responses.get(route["RouteId"])) and route.get("RouteResponseSelectionExpression") == "$default"
            run = NotBuilt("(with API keys)") if route["ApiKeyRequired"] else _integration(integration)
            found[route["RouteKey"]] = SocketRoute(make_endpoint(draft, route, run), responds)
    return found
