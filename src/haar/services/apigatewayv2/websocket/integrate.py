"""What is behind the routes of WebSocket APIs. An integration answers with a Response: its status, and what a client may be sent."""

import base64

import orjson

from haar.services.apigateway.public import shorten
from haar.services.apigatewayv2.dataplane.answers import failed
from haar.services.apigatewayv2.dataplane.call import Call, stage_text
from haar.services.apigatewayv2.dataplane.compile import Run, SocketRoute, make_endpoint
from haar.services.apigatewayv2.dataplane.events import header_text
from haar.services.apigatewayv2.dataplane.functions import failure, invoke
from haar.services.apigatewayv2.integrations import function_of
from haar.services.apigatewayv2.records import Doc, Draft
from haar.services.apigatewayv2.websocket.checks import Models
from haar.services.apigatewayv2.websocket.custom import AwsService, CustomFunction, Http, Incoming, Mock
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
        call.say(f"Endpoint request body after transformations: {shorten(payload)}")
        role = self._role(call) if self._role else None
        source = f"{call.stage.name}/{call.endpoint.source}"
        result = await invoke(call, self._arn(call), payload, source=source, role=role, seconds=self._seconds)
        call.service_status = 200
        if result.error is not None:
            raise failure(result.payload)
        answer = _answer(result.payload)
        call.integration_status = answer.status
        return answer


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


def _integration(integration: Doc, responses: dict[str, Doc]) -> Run:
    kind, uri = integration["IntegrationType"], integration.get("IntegrationUri", "")
    if kind == "AWS_PROXY":
        return Function(integration)
    if kind == "HTTP_PROXY":
        return Http(integration, None)
    incoming = Incoming(integration, responses)
    if kind == "HTTP":
        return Http(integration, incoming)
    if kind == "MOCK":
        return Mock(integration, incoming)
    return CustomFunction(integration, incoming) if function_of(uri) is not None else AwsService(integration, incoming)


def compile_sockets(draft: Draft) -> dict[str, SocketRoute]:
    """The routes that have something behind them, by key."""
    found: dict[str, SocketRoute] = {}
    for route in draft.routes.values():
        integration = draft.integrations.get(route.get("Target", "").removeprefix("integrations/"))
        if integration is not None:
            responds = bool(draft.route_responses.get(route["RouteId"])) and route.get("RouteResponseSelectionExpression") == "$default"
            run = _integration(integration, draft.integration_responses.get(integration["IntegrationId"], {}))
            endpoint = make_endpoint(draft, route, run)
            found[route["RouteKey"]] = SocketRoute(endpoint, responds, Models(draft, route), route["ApiKeyRequired"])
    return found
