"""`@connections`: sending to, asking about and ending connections (apigatewaymanagementapi), at the API's own address."""

import re
from datetime import UTC, datetime

from haar.services.apigateway import public as rest
from haar.services.apigatewayv2.dataplane.compile import Stage
from haar.services.apigatewayv2.websocket.connections import MAX_MESSAGE, Connections, Full, Live
from haar.services.iam import public as iam
from haar.services.service import Demand, Host, Output
from haar.wire import load
from haar.wire.errors import ServiceError
from haar.wire.http import Request, Response

MODEL = "apigatewaymanagementapi"
NORMAL = 1000
ID = re.compile(r"[A-Za-z0-9_\-]{14,}=?=?")
_OPERATIONS = {"POST": "PostToConnection", "GET": "GetConnection", "DELETE": "DeleteConnection"}


def forbidden(message: str) -> ServiceError:
    return ServiceError("ForbiddenException", message, 403)


async def serve(host: Host, request: Request, stage: Stage, connection_id: str) -> Response:
    """One signed call; who makes it must be allowed execute-api:ManageConnections on the connection."""
    codec, request_id = load(MODEL, frozenset()), host.ids.uuid()
    operation = _OPERATIONS.get(request.method)
    try:
        if operation is None:
            raise forbidden("Forbidden")
        await _authorise(host, request, stage, connection_id)
        live = host.get(Connections).find(connection_id)
        if live is not None and (live.api_id, live.stage) != (stage.api_id, stage.name):
            live = None
        return codec.serialise(operation, run(operation, connection_id, live, request.body), request_id)
    except ServiceError as error:
        response = codec.serialise_error(error, request_id, operation or "PostToConnection")
        if error.message is None:
            response.body = b""  # a connection that is gone has nothing to say
        return response


async def _authorise(host: Host, request: Request, stage: Stage, connection_id: str) -> None:
    try:
        principal = await rest.signed(host, request, host.clock.now())
    except rest.Refused as refused:
        raise forbidden(refused.message or "Forbidden") from None
    resource = stage.arn(f"{stage.name}/{request.method}/@connections/{connection_id}")
    context = iam.circumstances(request.client, request.headers, request.secure, stage.region, host.clock.now())
    decision = await iam.decide(host, principal, Demand("execute-api:ManageConnections", resource), context)
    if not decision.allowed:
        raise forbidden(f"User: {principal.arn} is not authorized to perform: execute-api:ManageConnections on resource: {resource}")


def run(operation: str, connection_id: str, live: Live | None, data: bytes) -> Output:
    """The operation on a connection. Raises GoneException, PayloadTooLargeException, LimitExceededException; BadRequestException for an
    id that no connection could have."""
    if not ID.fullmatch(connection_id):
        raise ServiceError("BadRequestException", f"Invalid connectionId: {connection_id}", 400)
    if operation == "PostToConnection" and len(data) > MAX_MESSAGE:
        raise ServiceError("PayloadTooLargeException", "Message too long", 413)
    if live is None:
        raise ServiceError("GoneException", None, 410)
    session = live.session
    if operation == "GetConnection":
        return {
            "ConnectedAt": _moment(session.connected_at),
            "Identity": {"SourceIp": session.source_ip, "UserAgent": session.user_agent},
            "LastActiveAt": _moment(session.last_active),
        }
    if operation == "DeleteConnection":
        session.close(NORMAL, "Connection Closed Normally")
        return {}
    try:
        session.send(data)
    except Full:
        raise ServiceError("LimitExceededException", "The client does not take what it is sent", 429) from None
    return {}


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
