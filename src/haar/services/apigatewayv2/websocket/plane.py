"""The way of a handshake, a message and an end through a WebSocket API; `@connections` at the API's own address."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

import orjson

from haar.services.apigateway.public import Address, extended_id, host_name
from haar.services.apigatewayv2.dataplane.answers import NOT_BUILT, Refused
from haar.services.apigatewayv2.dataplane.authorise import authorise
from haar.services.apigatewayv2.dataplane.call import Call
from haar.services.apigatewayv2.dataplane.compile import Api, Plane, SocketRoute, Stage
from haar.services.apigatewayv2.dataplane.metrics import note_message
from haar.services.apigatewayv2.dataplane.running import run_endpoint, write_access
from haar.services.apigatewayv2.dataplane.speeds import throttle
from haar.services.apigatewayv2.websocket import management, narration
from haar.services.apigatewayv2.websocket.checks import check_key, check_parameters
from haar.services.apigatewayv2.websocket.connections import Connections, Full, Live
from haar.services.apigatewayv2.websocket.events import event_of
from haar.services.apigatewayv2.websocket.selection import select
from haar.services.service import Host
from haar.wire.http import Request, Response

if TYPE_CHECKING:
    from haar.services.apigatewayv2.websocket.session import Session

log = logging.getLogger("haar.apigatewayv2")

Check = Callable[[], Awaitable[None]]


async def serve(host: Host, request: Request, address: Address, api: Api) -> Response:
    name, _, rest = address.rest[1:].partition("/")
    stage = api.stages.get(unquote(name))
    if stage is None or (api.disabled and address.base_path is None):
        return _forbidden()
    if (managed := unquote(rest)).startswith("@connections/"):
        return await management.serve(host, request, stage, managed.removeprefix("@connections/"))
    headers = request.headers
    if request.method != "GET" or headers.get("upgrade", "").lower() != "websocket" or rest.strip("/"):
        return _forbidden()
    key = headers.get("sec-websocket-key")
    if not key or headers.get("sec-websocket-version") != "13" or "upgrade" not in headers.get("connection", "").lower():
        return Response(400, [("Content-Type", "application/json"), ("Sec-WebSocket-Version", "13")], b'{"message":"Bad Request"}')
    return await _connect(host, request, address, stage, key)


def _forbidden() -> Response:
    headers = [("Content-Type", "application/json"), ("x-amzn-ErrorType", "ForbiddenException")]
    return Response(403, headers, b'{"message":"Forbidden"}')


async def _connect(host: Host, request: Request, address: Address, stage: Stage, key: str) -> Response:
    from wsproto.utilities import generate_accept_token

    from haar.services.apigatewayv2.websocket.session import Session

    domain = host_name(address, stage.region)
    limits = (host.config.socket_idle_seconds, host.config.socket_seconds)
    session = Session(extended_id(host), request.client, request.headers.get("user-agent", ""), host.clock.now, limits)
    headers = [("Upgrade", "websocket"), ("Connection", "upgrade"), ("Sec-WebSocket-Accept", generate_accept_token(key.encode()).decode())]
    route = stage.compiled.sockets.get("$connect")
    if route is not None:
        call = _call(host, stage, request, session, route, domain)
        try:
            answer = await _connected(call, route)
        except Refused as refused:
            log.info("connection to %s refused: %s", stage.api_id, refused)
            status = 502 if refused.why.startswith(("The Lambda function", "Malformed")) else refused.status
            return _refusal(status, refused.message, session, call)
        if not 200 <= answer.status < 300:
            return Response(answer.status, [("Content-Type", "application/json")], answer.body)
        headers += [pair for pair in answer.headers if pair[0].lower() == "sec-websocket-protocol"]
    live = Live(session, stage.api_id, stage.name, stage.region, domain, request)
    connections = host.get(Connections)
    session.on_message = lambda session, message: _message(host, live, message)
    session.on_end = lambda session: connections.end(live, _disconnect(host, live))
    connections.add(live)
    return Response(101, headers, takeover=session)


async def _connected(call: Call, route: SocketRoute) -> Response:
    """What `$connect` answers. Raises Refused unless the client may connect."""
    session = call.session
    assert session is not None

    async def check() -> None:
        throttle(call)
        check_parameters(call)
        if route.endpoint.authorization != "NONE":
            began = call.host.clock.now()
            await authorise(call, route.endpoint)
            if call.lambda_context is not None:
                call.lambda_context = call.lambda_context | {"integrationLatency": int((call.host.clock.now() - began) * 1000)}
            session.authorizer, session.usage_key = call.lambda_context, call.usage_key
            if (who := call.principal) is not None:
                session.signer = {"accessKey": who.access_key_id, "accountId": who.account, "caller": who.id, "user": who.id}
                session.signer["userArn"] = who.arn
            call.event = event_of(call, "CONNECT")
        if route.key_required:
            await check_key(call)

    call.event = event_of(call, "CONNECT")
    return await _run(call, route, "CONNECT", check)


def _told(status: int, message: str) -> str:
    """What a client is told of a refusal."""
    return message if status < 500 or status == NOT_BUILT else "Internal server error"


def _refusal(status: int, message: str, session: "Session", call: Call) -> Response:
    body = _message_of(_told(status, message), session, call.request_id)
    return Response(status, [("Content-Type", "application/json")], body)


def _message_of(message: str, session: "Session", request_id: str) -> bytes:
    """A refusal in the form of AWS's template, blanks and all."""
    return f'{{"message": {orjson.dumps(message).decode()}, "connectionId":"{session.id}", "requestId":"{request_id}"}}'.encode()


def _call(host: Host, stage: Stage, request: Request, session: "Session", route: SocketRoute, domain: str) -> Call:
    call = Call(host, stage, request, "/", extended_id(host), domain, host.clock.now(), route.endpoint, socket=True)
    call.session = session
    return call


async def _run(call: Call, route: SocketRoute, kind: str, check: Check | None = None) -> Response:
    """What is behind a route, once the checks are passed; the access log's line and the execution log for it. Raises Refused."""
    narration.begin(call, kind, key_required=route.key_required)
    answer: Response | None = None
    status = 500
    try:
        if check is not None:
            await check()
        answer = await run_endpoint(call, route.endpoint)
        status = answer.status
        return answer
    except Refused as refused:
        call.error, status = refused.why or refused.message, refused.status
        raise
    finally:
        narration.end(call, answer)
        note_message(call, kind, status)
        if call.stage.access_log is not None:
            write_access(call, answer or Response(status))


async def _stage(host: Host, live: Live) -> Stage | None:
    """The stage as it is now: a message takes the deployment of its time."""
    api = await host.get(Plane).find(live.api_id)
    return None if api is None else api.stages.get(live.stage)


async def _message(host: Host, live: Live, message: str) -> None:
    session, stage = live.session, await _stage(host, live)
    routes: Mapping[str, SocketRoute] = stage.compiled.sockets if stage is not None else {}
    key = select(stage.compiled.draft.api["RouteSelectionExpression"], message) if stage is not None else None
    route = routes.get(key or "") if key not in ("$connect", "$disconnect") else None
    route = route or routes.get("$default")
    request_id = extended_id(host)
    if stage is None or route is None:
        _say(session, "Forbidden", request_id)
        return
    call = _call(host, stage, live.request, session, route, live.domain)
    call.lambda_context = session.authorizer
    call.event = event_of(call, "MESSAGE", messageId=extended_id(host))
    call.event["body"] = message

    async def check() -> None:
        throttle(call)
        if route.key_required:
            await check_key(call)
        route.models.check(call)

    try:
        answer = await _run(call, route, "MESSAGE", check)
        if route.responds and answer.body and isinstance(answer.body, bytes):
            session.send(answer.body)
    except Refused as refused:
        log.info("message to %s %s failed: %s", stage.api_id, call.route_key, refused)
        _say(session, _told(refused.status, refused.message), call.request_id)
    except Full:
        log.info("connection %s does not take what it is sent", session.id)


def _say(session: "Session", message: str, request_id: str) -> None:
    try:
        session.send(_message_of(message, session, request_id))
    except Full:
        log.info("connection %s does not take what it is sent", session.id)


async def _disconnect(host: Host, live: Live) -> None:
    """Tells `$disconnect` that a connection has ended, as well as can be."""
    stage = await _stage(host, live)
    route = stage.compiled.sockets.get("$disconnect") if stage is not None else None
    if stage is None or route is None:
        return
    session = live.session
    call = _call(host, stage, live.request, session, route, live.domain)
    call.lambda_context = session.authorizer
    call.event = event_of(call, "DISCONNECT", disconnectStatusCode=session.code, disconnectReason=session.reason)
    try:
        await _run(call, route, "DISCONNECT")
    except Refused as refused:
        log.info("$disconnect of %s failed: %s", stage.api_id, refused)
    except asyncio.CancelledError:
        log.info("the platform stops: $disconnect of %s is not waited for", session.id)
        raise
