"""AWS integrations with services other than Lambda: an API operation, called as the integration's role or as the caller.

`arn:aws:apigateway:REGION:SERVICE:action/OPERATION` names the operation; `…:path/REST/OF/PATH` is sent as it is.
"""

import re
from typing import NamedTuple
from urllib.parse import quote, quote_plus

from haar.auth.principal import Principal
from haar.services.apigateway.dataplane.answers import misconfigured
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.custom import RequestPart, ResponsePart, answered_trace, names, traced
from haar.services.apigateway.dataplane.functions import OF_CALLER, SERVICE, role_caller, stage_text, within
from haar.services.apigateway.dataplane.log import pairs, shorten
from haar.services.apigateway.dataplane.mapping import Incoming, Outgoing
from haar.services.apigateway.records import Doc
from haar.services.service import Host, NoService, ServiceCall
from haar.wire.http import Request, Response

URI = re.compile(r"arn:aws[a-z-]*:apigateway:([a-z0-9-]+):([a-zA-Z0-9.-]+):(path|action)/(.*)", re.DOTALL)
MAX_ANSWER = 10 * 1024 * 1024
_PARAMETER = re.compile(r"\{([^{}+]+)\+?\}")
_PATH_SAFE = "/:@!$&'()*+,;=-._~%"


class _Target(NamedTuple):
    region: str
    endpoint: str
    action: str
    path: str


def target(uri: str) -> _Target:
    """What an integration's URI names. Raises Refused for one that is none."""
    matched = URI.fullmatch(uri)
    if matched is None:
        raise misconfigured("Invalid endpoint address")
    region, endpoint, kind, rest = matched.groups()
    if kind == "action":
        action, _, query = rest.strip("/").partition("&")
        return _Target(region, endpoint, action, "/" + (f"?{query}" if query else ""))
    return _Target(region, endpoint, "", "/" + rest.lstrip("/"))


async def ask(host: Host, wanted: ServiceCall) -> Response:
    """A service's answer, whole. Raises NoService when haar has no such service, Refused for an answer that is too large."""
    assert host.call is not None
    answer = await host.call(wanted)
    if not isinstance(answer.body, bytes):
        whole = bytearray()
        async for part in answer.body:
            whole += part
            if len(whole) > MAX_ANSWER:
                raise misconfigured(f"the service's response is larger than {MAX_ANSWER} bytes")
        answer.body = bytes(whole)
    return answer


class AwsService:
    """The request is mapped to a service's, and its answer, by status, to the method's."""

    def __init__(self, integration: Doc) -> None:
        self._uri = stage_text(integration["uri"])
        self._method = integration["httpMethod"]
        self._credentials = stage_text(integration.get("credentials", ""))
        self._seconds = integration["timeoutInMillis"] / 1000
        self._request = RequestPart(integration)
        self._response = ResponsePart(integration)

    async def __call__(self, call: Call) -> Response:
        out = await self._request.make(call)
        incoming = await self._ask(call, target(self._uri(call)), out)
        return traced(await self._response.make(call, incoming, str(incoming.status)), answered_trace(call))

    async def _ask(self, call: Call, to: _Target, out: Outgoing) -> Incoming:
        principal = await self._principal(call)
        path, _, query = to.path.partition("?")
        path = _PARAMETER.sub(lambda match: quote(out.path.get(match[1], match[0]), safe=_PATH_SAFE), path)
        parts = [query] if query else []
        parts += [f"{quote_plus(name)}={quote_plus(value)}" for name, many in out.query.items() for value in many]
        headers = [(name, value) for name, many in out.headers.items() for value in many]
        if "content-type" not in names(headers) and out.body:
            headers.append(("Content-Type", call.request.headers.get("content-type", "application/json")))
        headers.append(("User-Agent", f"AmazonAPIGateway_{call.live.api_id}"))
        method = call.request.method if self._method == "ANY" else self._method
        lower = {name.lower(): value for name, value in headers}
        request = Request(method, path, "&".join(parts), headers, lower, out.body, SERVICE, True)
        url = f"https://{to.endpoint}.{to.region}.amazonaws.com{path}?{f'Action={to.action}' if to.action else request.query}".rstrip("?")
        if call.log is not None:
            call.say(f"Endpoint request URI: {url}")
            call.say(f"Endpoint request headers: {pairs(headers)}")
            call.say(f"Endpoint request body after transformations: {shorten(out.body)}")
            call.say(f"Sending request to {url}")
        began = call.host.clock.now()
        status, answered, body = await within(self._seconds, self._send(call, to, request, principal))
        call.received(status, began)
        return Incoming(status, answered, body)

    async def _send(self, call: Call, to: _Target, request: Request, principal: Principal) -> tuple[int, list[tuple[str, str]], bytes]:
        try:
            answer = await ask(call.host, ServiceCall(to.endpoint, request, principal, to.region, to.action))
        except NoService as error:
            raise misconfigured(f"haar does not have the service or operation: {error}") from None
        assert isinstance(answer.body, bytes)
        return answer.status, answer.headers, answer.body

    async def _principal(self, call: Call) -> Principal:
        role = self._credentials(call)
        if role == OF_CALLER:
            if call.principal is None:
                raise misconfigured("the caller's credentials are asked for, and the method's authorization is not AWS_IAM")
            return call.principal
        return await role_caller(call.host, role)
