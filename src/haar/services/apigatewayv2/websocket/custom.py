"""Integrations that map (AWS, HTTP, MOCK) and HTTP_PROXY: the message becomes a request, the answer becomes what a client may be sent."""

import base64
import binascii
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

import orjson

from haar.services.apigateway import public as rest
from haar.services.apigatewayv2.dataplane.answers import failed, unavailable
from haar.services.apigatewayv2.dataplane.call import Call, stage_text
from haar.services.apigatewayv2.dataplane.functions import invoke, translated
from haar.services.apigatewayv2.dataplane.services import ask
from haar.services.apigatewayv2.integrations import function_of
from haar.services.apigatewayv2.records import Doc
from haar.services.apigatewayv2.websocket.expressions import Parameters, evaluate, message_of
from haar.services.apigatewayv2.websocket.templates import Templates
from haar.services.service import ServiceCall
from haar.wire.http import Request, Response

JSON = ("Content-Type", "application/json")


class Outgoing:
    """What a message becomes: a body by template, and parameters by mapping."""

    def __init__(self, integration: Doc) -> None:
        expression = integration.get("TemplateSelectionExpression")
        self._templates = Templates(integration.get("RequestTemplates", {}), expression, integration["PassthroughBehavior"])
        self._parameters = Parameters(integration.get("RequestParameters", {}), "integration.request.")
        self._handling = integration.get("ContentHandlingStrategy")

    async def made(self, call: Call) -> bytes | None:
        """What the message's template prints; None without one. Raises Refused when none is and it may not go through, or one fails."""
        made = await self._templates.apply(call, message_of(call))
        return None if made is None else converted(made.encode("utf-8", "surrogatepass"), self._handling)

    async def body(self, call: Call) -> bytes:
        """What is sent: by template, or the message itself."""
        made = await self.made(call)
        return converted(message_of(call).encode(), self._handling) if made is None else made

    def headers(self, call: Call) -> list[tuple[str, str]]:
        given = self._parameters.values("header", call)
        own = {name.lower() for name, _ in given}
        defaults = [JSON, ("User-Agent", f"AmazonAPIGateway_{call.stage.api_id}"), ("X-Amzn-Apigateway-Api-Id", call.stage.api_id)]
        return given + [pair for pair in defaults if pair[0].lower() not in own]

    def address(self, call: Call, url: str) -> str:
        """The URL with its path's parameters and its query."""
        for name, value in self._parameters.values("path", call):
            url = url.replace("{" + name + "}", quote(value, safe=""))
        query = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in self._parameters.values("querystring", call))
        return url + (("&" if "?" in url else "?") + query if query else "")


def converted(body: bytes, handling: str | None) -> bytes:
    """A body as ContentHandlingStrategy asks. Raises Refused for what is not base64."""
    if handling != "CONVERT_TO_BINARY":
        return body
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error:
        raise failed("Unable to base64 decode the body.") from None


class _Answer(NamedTuple):
    """One integration response."""

    pattern: Any
    """What its key is matched with; None for `$default`, and for a key that cannot be read, which is never chosen."""
    templates: Templates
    parameters: Parameters
    handling: str | None


class Incoming:
    """What an answer becomes: the integration response that its key selects, with its templates."""

    def __init__(self, integration: Doc, responses: dict[str, Doc]) -> None:
        self._expression = integration["IntegrationResponseSelectionExpression"]
        self._answers: list[_Answer] = []
        self._default: _Answer | None = None
        for response in sorted(responses.values(), key=lambda one: str(one["IntegrationResponseKey"])):
            key = response["IntegrationResponseKey"].removeprefix("\\")
            made = _Answer(
                None if key == "$default" else _pattern(key),
                Templates(response.get("ResponseTemplates", {}), response.get("TemplateSelectionExpression")),
                Parameters(response.get("ResponseParameters", {}), "route.response."),
                response.get("ContentHandlingStrategy"),
            )
            if key == "$default":
                self._default = made
            else:
                self._answers.append(made)

    async def apply(self, call: Call, answer: Response) -> Response:
        """Raises Refused (500) when there are responses and none is for the answer."""
        call.integration_status = call.service_status = answer.status
        if not self._answers and self._default is None:
            return answer
        subject = evaluate(self._expression, call, answer) or ""
        chosen = next((one for one in self._answers if one.pattern is not None and one.pattern.fullmatch(subject)), self._default)
        if chosen is None:
            raise failed(
                f"No match for output mapping and no default endpoint response configured. Endpoint Response Status Code: {answer.status}"
            )
        body = answer.body if isinstance(answer.body, bytes) else b""
        made = await chosen.templates.apply(call, body.decode("utf-8", "replace"), answer)
        body = body if made is None else made.encode("utf-8", "surrogatepass")
        if chosen.handling == "CONVERT_TO_TEXT" and not _is_text(body):
            body = base64.b64encode(body)
        return Response(answer.status, chosen.parameters.values("header", call, answer), converted(body, chosen.handling))


def _pattern(key: str) -> Any:
    """`/4\\d\\d/`: what is between the slashes must match whole."""
    try:
        return rest.compile_pattern(key[1:-1] if len(key) > 1 and key[0] == key[-1] == "/" else key)
    except rest.PatternError:
        return None


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


class Http:
    """HTTP and HTTP_PROXY: a server somewhere."""

    def __init__(self, integration: Doc, incoming: Incoming | None) -> None:
        self._uri = stage_text(integration["IntegrationUri"])
        self._method = integration["IntegrationMethod"]
        self._seconds = integration["TimeoutInMillis"] / 1000
        self._outgoing, self._incoming = Outgoing(integration), incoming

    async def __call__(self, call: Call) -> Response:
        method = "POST" if self._method == "ANY" else self._method
        url, headers = self._outgoing.address(call, self._uri(call)), self._outgoing.headers(call)
        body = await self._outgoing.body(call)
        call.say(f"Endpoint request URI: {url}")
        call.say(f"Endpoint request body after transformations: {rest.shorten(body)}")
        try:
            status, answered, data = await rest.fetch(method, url, headers, body, self._seconds)
        except TimeoutError:
            raise unavailable("Endpoint request timed out") from None
        except rest.Unreachable as error:
            raise unavailable(str(error)) from None
        answer = Response(status, answered, data)
        return answer if self._incoming is None else await self._incoming.apply(call, answer)


class Mock:
    """MOCK: nothing is behind it; the template says which status it has."""

    def __init__(self, integration: Doc, incoming: Incoming) -> None:
        self._templates = integration.get("RequestTemplates")
        self._outgoing, self._incoming = Outgoing(integration), incoming

    async def __call__(self, call: Call) -> Response:
        body = await self._outgoing.made(call) if self._templates else None
        if body is None:
            return await self._incoming.apply(call, Response(200))
        try:
            status = int(orjson.loads(body)["statusCode"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            raise failed("Unable to parse statusCode. It should be an integer that is defined in the request template.") from None
        made = await self._incoming.apply(call, Response(status, [], body))
        return Response(made.status, made.headers, b"") if made.body is body else made


class CustomFunction:
    """AWS with Lambda: the function is given what the template makes, and its answer is mapped."""

    def __init__(self, integration: Doc, incoming: Incoming) -> None:
        uri = integration["IntegrationUri"]
        self._arn = stage_text(function_of(uri) or uri)
        self._role = stage_text(integration["CredentialsArn"]) if integration.get("CredentialsArn") else None
        self._seconds = integration["TimeoutInMillis"] / 1000
        self._outgoing, self._incoming = Outgoing(integration), incoming

    async def __call__(self, call: Call) -> Response:
        assert call.endpoint is not None
        body = await self._outgoing.body(call)
        call.say(f"Endpoint request body after transformations: {rest.shorten(body)}")
        role = self._role(call) if self._role else None
        source = f"{call.stage.name}/{call.endpoint.source}"
        result = await invoke(call, self._arn(call), body, source=source, role=role, seconds=self._seconds)
        return await self._incoming.apply(call, Response(200, [JSON], result.payload))


class AwsService:
    """AWS with another service's API."""

    def __init__(self, integration: Doc, incoming: Incoming) -> None:
        self._uri = stage_text(integration["IntegrationUri"])
        self._method = integration["IntegrationMethod"]
        self._role = stage_text(integration.get("CredentialsArn", ""))
        self._seconds = integration["TimeoutInMillis"] / 1000
        self._outgoing, self._incoming = Outgoing(integration), incoming

    async def __call__(self, call: Call) -> Response:
        try:
            to = rest.service_target(self._uri(call))
            principal = await rest.role_caller(call.host, self._role(call))
            path, _, query = self._outgoing.address(call, to.path).partition("?")
            headers = self._outgoing.headers(call)
            lower = {name.lower(): value for name, value in headers}
            body = await self._outgoing.body(call)
            call.say(f"Endpoint request body after transformations: {rest.shorten(body)}")
            request = Request(self._method, path, query, headers, lower, body, rest.SERVICE, True)
            wanted = ServiceCall(to.endpoint, request, principal, to.region, to.action)
            answer = await rest.within(self._seconds, ask(call.host, wanted, f"{to.endpoint} {to.action}".strip()))
        except rest.Refused as refused:
            raise translated(refused) from None
        return await self._incoming.apply(call, answer)
