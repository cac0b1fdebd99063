"""The addresses of deployed APIs, and the way of a request through one: route, authorise, integrate, answer.

By host, `http://ID.execute-api.REGION.localhost:PORT/STAGE/…` (or `….amazonaws.com`), and by path,
`/restapis/ID/STAGE/_user_request_/…`, `/_aws/execute-api/ID/STAGE/…` and `/_haar/http-api/ID/…`. HTTP and WebSocket APIs have the same
addresses: their data plane is asked first whether an id is one of its own.
"""

from dataclasses import replace
from typing import NamedTuple, Protocol

from haar.eager import into_task
from haar.services.apigateway.dataplane.answers import Refused, forbidden, missing_token, render, throttled
from haar.services.apigateway.dataplane.authorise import authorise
from haar.services.apigateway.dataplane.call import OVERRIDE, Call
from haar.services.apigateway.dataplane.compile import Endpoint, Live, Plane, extended_id, trace_id
from haar.services.apigateway.dataplane.compress import pack, unpacked
from haar.services.apigateway.dataplane.execute import execute, narrated, refusal
from haar.services.apigateway.dataplane.keys import Keys
from haar.services.apigateway.dataplane.log import masked
from haar.services.apigateway.dataplane.logs import LogSink, StageLog, execution_group
from haar.services.apigateway.dataplane.metrics import note
from haar.services.apigateway.dataplane.routing import METHODS
from haar.services.service import Host
from haar.wire.http import Request, Response

MAX_BODY = 10 * 1024 * 1024
MAX_HEAD = 10_240
"""Bytes of a request's line and of the values of its headers."""
USER_REQUEST = "_user_request_"


class Address(NamedTuple):
    api_id: str
    stage: str
    path: str
    region: str
    """Empty when the address does not say."""
    domain: str
    """The custom domain name that the request came in by; empty otherwise."""
    rest: str = "/"
    """The whole path behind the API's own address, with the stage when it names one."""
    base_path: str | None = None
    """The base path of that custom domain."""


def host_name(address: Address, region: str) -> str:
    """The host name that events and templates tell: the custom domain's, or AWS's, whatever the Host header said.

    It leads back here for functions, which call the API by it (`https://DOMAIN/STAGE/@connections`): nobody else shall choose it.
    """
    return address.domain or f"{address.api_id}.execute-api.{region}.amazonaws.com"


class OtherPlane(Protocol):
    """The data plane of another kind of API at the same addresses."""

    async def serve(self, host: Host, request: Request, request_id: str, address: Address) -> Response | None:
        """The answer, or None when the id is none of its APIs."""
        ...


_BY_PATH = ("/_aws/execute-api/", "/_haar/http-api/")


def locate(request: Request) -> Address | None:
    """The API, stage and path that a request is for; None when it is not for a deployed API. No I/O."""
    path = request.path
    host = request.headers.get("host", "").lower()
    if ".execute-api." in host:
        name = host.partition(":")[0]
        api_id, _, rest = name.partition(".execute-api.")
        region = rest.partition(".")[0]
        stage, slash, tail = path[1:].partition("/")
        return Address(api_id, stage, slash + tail or "/", region, "", path)
    if path.startswith("/restapis/"):
        parts = path.split("/", 5)
        if len(parts) >= 5 and parts[4] == USER_REQUEST:
            tail = "/" + (parts[5] if len(parts) > 5 else "")
            return Address(parts[2], parts[3], tail, "", "", f"/{parts[3]}{tail}")
    elif path.startswith(_BY_PATH):
        parts = path.split("/", 5)
        parts += [""] * (5 - len(parts))
        rest = f"/{parts[4]}/{parts[5]}" if len(parts) > 5 else f"/{parts[4]}"
        return Address(parts[3], parts[4], "/" + (parts[5] if len(parts) > 5 else ""), "", "", rest)
    return None


class ApiRoute:
    """Serves every deployed REST API, and hands on what is another plane's."""

    eager = True
    """A mock, and what is cached, is answered without a task."""

    def __init__(self) -> None:
        self.others: list[OtherPlane] = []

    def matches(self, request: Request) -> bool:
        path = request.path
        if path.startswith("/restapis/"):
            return USER_REQUEST in path
        return ".execute-api." in request.headers.get("host", "").lower() or path.startswith(_BY_PATH)

    async def serve(self, host: Host, request: Request, request_id: str) -> Response | None:
        address = locate(request)
        return None if address is None else await self.serve_at(host, request, request_id, address)

    async def serve_at(self, host: Host, request: Request, request_id: str, address: Address) -> Response:
        """Serves a request whose API is known."""
        plane = host.get(Plane)
        live = plane.peek(address.api_id, address.stage)
        if live is None:
            await into_task()
            for other in self.others:
                if (answered := await other.serve(host, request, request_id, address)) is not None:
                    return answered
            live = await plane.live(address.api_id, address.stage)
        extended = extended_id(host)
        identifiers = [("x-amzn-RequestId", request_id), ("x-amz-apigw-id", extended)]
        if live is None or (address.region and address.region != live.region):
            return refused_plainly(forbidden(), identifiers)
        if (problem := _oversized(request)) is not None:
            return Response(413, [("Content-Type", "text; charset=utf-8")], problem.encode())
        if live.canary is not None:
            live = live.chosen(int.from_bytes(host.ids.bytes(2)))
        domain = host_name(address, live.region)
        trace = trace_id(host, request.headers.get("x-amzn-trace-id"))
        call = Call(host, live, request, address.path, request_id, extended, trace, domain, host.clock.now())
        call.base_path = address.base_path
        response = await answer(call)
        note(call, response)
        if live.compiled.compressed_from is not None:
            await pack(call, response, live.compiled.compressed_from)
        if call.log is not None or live.access_log is not None:
            _write_logs(call, response)
        response.headers[:0] = identifiers
        return response


api_route = ApiRoute()


async def answer(call: Call) -> Response:
    """The response to a call; what is refused is answered by the API's gateway responses."""
    try:
        return await _run(call)
    except Refused as refused:
        response = refusal(call, refused)
        call.say(f"Gateway response type: {refused.kind} with status code: {response.status}")
        return response


async def _run(call: Call) -> Response:
    live, request = call.live, call.request
    if OVERRIDE in request.headers:
        method = request.headers[OVERRIDE].upper()
        if method not in METHODS:  # no more than the request's own may it be a text that policies or servers read otherwise
            raise missing_token()
        call.request = replace(request, method=method)
    if live.compiled.disabled and call.base_path is None:
        raise forbidden()
    matched = live.compiled.root.match(call.path, call.request.method)
    if matched is None:
        raise missing_token()
    call.endpoint, call.path_parameters = matched
    signed = call.endpoint.authorization == "AWS_IAM"
    if live.compiled.compressed_from is not None and not signed and "content-encoding" in call.request.headers:
        call.request = unpacked(call.request)
    keys = call.host.get(Keys)
    await keys.check_account(live.region, call.now)
    if live.settings:
        _apply_settings(call, call.endpoint)
    if call.endpoint.authorization != "NONE" or live.compiled.policy is not None or call.endpoint.api_key_required:
        await into_task()
        await authorise(call, call.endpoint)
        if signed and live.compiled.compressed_from is not None:
            call.request = unpacked(call.request)  # what is signed is the body as it was sent
    if call.log is not None:
        _tell_plan(call, call.endpoint)
    limits = call.settings.limits
    if limits is not None and not keys.buckets.take(call.settings.bucket, limits, call.now):
        raise throttled()
    return await (execute(call, call.endpoint) if call.log is None else narrated(call, call.endpoint))


def _oversized(request: Request) -> str | None:
    """What is too large of a request: refused before any API sees it, so that no gateway response is for it."""
    if len(request.body) > MAX_BODY:
        return f"HTTP content length exceeded {MAX_BODY} bytes."
    size = len(request.path) + len(request.query)
    for _, value in request.pairs:
        size += len(value)
    return f"HTTP header is larger than {MAX_HEAD} bytes." if size > MAX_HEAD else None


def _apply_settings(call: Call, endpoint: Endpoint) -> None:
    """What the stage sets for the method."""
    settings = call.settings = call.live.method(endpoint, call.request.method)
    if settings.level != "OFF":
        call.log = StageLog(call.host.clock.now, call.request_id, settings.level, settings.trace)
        call.say(f"Extended Request Id: {call.extended_id}")


def _tell_plan(call: Call, endpoint: Endpoint) -> None:
    place, key = f"{call.live.api_id}/{call.live.stage}", masked(call.api_key["value"]) if call.api_key is not None else ""
    call.say(f"Verifying Usage Plan for request: {call.request_id}. API Key: {key} API Stage: {place}")
    if not endpoint.api_key_required:
        call.say(
            f"API Key {key} authorized because method '{call.request.method} {endpoint.resource_path}' does not require API Key. "
            "Request will not contribute to throttle or quota limits"
        )
    call.say(f"Usage Plan check succeeded for API Key {key} and API Stage {place}")


def _write_logs(call: Call, response: Response) -> None:
    live = call.live
    if isinstance(call.log, StageLog) and call.log.lines:
        group = execution_group(live.api_id, live.stage, bool(live.is_canary))
        call.host.get(LogSink).add(live.region, group, call.log.lines, makes_group=True)
    if live.access_log is not None:
        live.access_log.write(call, response)


def refused_plainly(refused: Refused, identifiers: list[tuple[str, str]]) -> Response:
    """A refusal where there is no API whose gateway responses it could have."""
    status, headers, body = render(refused, {}, "", lambda name: None)
    return Response(status, [*identifiers, *headers], body)


__all__ = ["Address", "ApiRoute", "Live", "OtherPlane", "answer", "api_route", "execute", "locate", "refusal"]
