"""Function URLs as they are called: by host, `ID.lambda-url.REGION.localhost` (or `.on.aws`), and by path, `/_haar/lambda-url/ID/…`."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from haar.auth.principal import Principal
from haar.auth.sigv4 import authenticate
from haar.services.iam.public import circumstances, decide
from haar.services.lambda_ import streaming
from haar.services.lambda_.access import Credentials
from haar.services.lambda_.directory import Directory, Target
from haar.services.lambda_.invocations import MAX_SYNCHRONOUS
from haar.services.lambda_.names import FunctionName
from haar.services.lambda_.records import URL_IDS, URLS, UrlConfig, find_url
from haar.services.lambda_.running import run
from haar.services.lambda_.urlevents import (
    MAX_PRELUDE,
    PRELUDE_END,
    BadAnswer,
    event_of,
    head_of,
    preflight,
    response_of,
    with_cross_origin,
)
from haar.services.lambda_.urls import LABEL, PATH
from haar.services.service import Demand, Host
from haar.store.cache import Cached
from haar.wire.errors import ServiceError
from haar.wire.http import Request, Response

INTEGRATION = "application/vnd.awslambda.http-integration-response"
ANONYMOUS = Principal("anonymous", "anonymous", "anonymous", "anonymous")
FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)

log = logging.getLogger("haar.lambda")


class Address(NamedTuple):
    url_id: str
    path: str
    region: str
    """Empty when the address does not say."""
    domain: str


def locate(request: Request) -> Address | None:
    """Which URL a request is for, and the path within it; None when it is for none. No I/O."""
    host = request.headers.get("host", "").lower()
    if LABEL in host:
        domain = host.partition(":")[0]
        url_id, _, rest = domain.partition(LABEL)
        return Address(url_id, request.path, rest.partition(".")[0], domain)
    if request.path.startswith(PATH):
        url_id, _, path = request.path.removeprefix(PATH).partition("/")
        return Address(url_id, "/" + path, "", host.partition(":")[0])
    return None


@dataclass(frozen=True, slots=True)
class Live:
    """A URL and whose it is."""

    config: UrlConfig
    name: FunctionName


class Urls:
    """The function URLs of a platform by their ids."""

    def __init__(self, host: Host) -> None:
        self._store, self._account = host.store, host.account
        self._live: Cached[Live | None] = Cached(host.store, (URLS, URL_IDS), self._load)

    async def find(self, url_id: str) -> Live | None:
        return self._live.peek(url_id) or await self._live.get(url_id)

    async def _load(self, url_id: str) -> Live | None:
        found = await self._store.get(URL_IDS, url_id.encode())
        if found is None:
            return None
        region, function, qualifier = found.decode().split("|")
        name = FunctionName(region, self._account, function, qualifier)
        config = await find_url(self._store, name)
        return None if config is None else Live(config, name)


class FunctionUrlRoute:
    """Serves every function URL."""

    def matches(self, request: Request) -> bool:
        return LABEL in request.headers.get("host", "").lower() or request.path.startswith(PATH)

    async def serve(self, host: Host, request: Request, request_id: str) -> Response:
        address = locate(request)
        live = await host.get(Urls).find(address.url_id) if address is not None else None
        if address is None or live is None or (address.region and address.region != live.name.region):
            return _refusal(404, "ResourceNotFoundException", {"Message": None})
        cors = live.config.cors
        if cors and request.method == "OPTIONS" and "origin" in request.headers and "access-control-request-method" in request.headers:
            response = preflight(cors, request)
        else:
            try:
                response = await _answer(host, request, address, live, request_id)
            except _Refused as refused:
                response = _refusal(refused.status, refused.kind, refused.body)
            with_cross_origin(cors, request, response)
        response.headers.append(("x-amzn-RequestId", request_id))
        return response


class _Refused(Exception):
    def __init__(self, status: int, kind: str, body: object) -> None:
        super().__init__(kind)
        self.status, self.kind, self.body = status, kind, body


def _refusal(status: int, kind: str, body: object) -> Response:
    data = body.encode() if isinstance(body, str) else orjson.dumps(body)
    return Response(status, [("Content-Type", "application/json"), ("x-amzn-ErrorType", kind)], data)


def _failed() -> _Refused:
    return _Refused(502, "InternalServerErrorException", "Internal Server Error")


async def _answer(host: Host, request: Request, address: Address, live: Live, request_id: str) -> Response:
    try:
        target = await host.get(Directory).find(live.name)
    except ServiceError:
        raise _Refused(404, "ResourceNotFoundException", {"Message": None}) from None
    caller = await _signed(host, request) if live.config.auth == "AWS_IAM" else None
    await _authorise(host, request, live, target, caller or ANONYMOUS)
    received = request.headers.get("x-amzn-trace-id", "")
    trace_id = received if "Root=" in received else f"Root=1-{int(host.clock.now()):08x}-{host.ids.bytes(12).hex()}"
    event = event_of(
        request,
        path=address.path,
        url_id=address.url_id,
        domain=address.domain,
        caller=caller,
        request_id=request_id,
        trace_id=trace_id,
        now=host.clock.now(),
    )
    if len(event) > MAX_SYNCHRONOUS:
        raise _Refused(413, "RequestTooLargeException", {"Message": "Request Entity Too Large"})
    try:
        if live.config.mode == "RESPONSE_STREAM":
            response = await _streamed(await streaming.start(host, target, event, request_id, trace_id=trace_id))
        else:
            _, result = await run(host, target, event, request_id, trace_id=trace_id)
            if result.error is not None:
                raise _failed()
            response = response_of(result.payload)
    except BadAnswer as error:
        log.info("function URL of %s: %s", target.arn, error)
        raise _failed() from None
    except ServiceError as error:
        raise _unanswered(error) from None
    response.headers.append(("X-Amzn-Trace-Id", trace_id))
    return response


def _unanswered(error: ServiceError) -> _Refused:
    if error.code == "TooManyRequestsException":
        body = {"Reason": error.fields.get("Reason"), "Type": "User", "message": error.message}
        return _Refused(429, error.code, body)
    log.warning("function URL: %s", error)
    return _failed()


async def _signed(host: Host, request: Request) -> Principal:
    try:
        return (await authenticate(request, Credentials(host), host.clock.now(), service="lambda")).principal
    except ServiceError as error:
        if error.code == "MissingAuthenticationToken":
            raise _Refused(403, "AccessDeniedException", {"Message": FORBIDDEN}) from None
        kind = {"UnrecognizedClient": "UnrecognizedClientException", "ExpiredToken": "ExpiredTokenException"}.get(
            error.code, "IncompleteSignatureException" if error.code == "IncompleteSignature" else "InvalidSignatureException"
        )
        raise _Refused(403, kind, {"message": error.message}) from None


async def _authorise(host: Host, request: Request, live: Live, target: Target, caller: Principal) -> None:
    """Raises unless the caller may use the URL and, through it, the function."""
    context = circumstances(request.client, request.headers, request.secure, live.name.region, host.clock.now())
    for action, conditions in (
        ("lambda:InvokeFunctionUrl", {"lambda:FunctionUrlAuthType": [live.config.auth], "lambda:FunctionArn": [target.arn]}),
        ("lambda:InvokeFunction", {"lambda:InvokedViaFunctionUrl": ["true"]}),
    ):
        try:
            decision = await decide(host, caller, Demand(action, target.arn, conditions, target.policy, target.tags), context)
        except ServiceError:
            decision = None
        if decision is None or not decision.allowed:
            raise _Refused(403, "AccessDeniedException", {"Message": FORBIDDEN})


async def _streamed(running: streaming.Streaming) -> Response:
    """The response whose body comes while the function runs."""
    if running.content_type is None:
        result = await running.result
        if result.error is not None:
            raise _failed()
        return Response(200, [("Content-Type", "application/json")], result.payload)
    if running.stream.empty and (await running.result).error is not None:
        raise _failed()
    parts = running.stream.parts()
    if running.content_type.partition(";")[0].strip() != INTEGRATION:
        return Response(200, [("Content-Type", running.content_type)], _body(running, b"", parts))
    gathered = b""
    async for part in parts:
        gathered += part
        if PRELUDE_END in gathered:
            break
        if len(gathered) > MAX_PRELUDE:
            raise BadAnswer("The stream's head does not end")
    else:
        raise _failed()
    head, _, rest = gathered.partition(PRELUDE_END)
    try:
        status, headers = head_of(orjson.loads(head))
    except (orjson.JSONDecodeError, AttributeError):
        raise BadAnswer("The stream's head is not JSON") from None
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "application/octet-stream"))
    return Response(status, headers, _body(running, rest, parts))


class StreamBroken(Exception):
    """The function failed while it streamed: the client sees the response break off."""


async def _body(running: streaming.Streaming, first: bytes, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for part in parts:
        yield part
    result = await running.result
    if result.error is not None:
        raise StreamBroken(f"{running.spec.arn}: the function failed while it streamed its response")
