"""The events that a WebSocket API sends to functions. Pure.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
"""

from typing import Any

from haar.services.apigatewayv2.dataplane.call import Call

_NO_HEADERS = (("x-api-key", ""), ("X-Forwarded-For", ""), ("x-restapi", ""))
"""What the event of an end has besides the host: there was no request."""


def event_of(call: Call, kind: str, **more: Any) -> dict[str, Any]:
    """`kind` is CONNECT, MESSAGE or DISCONNECT; `more` are members of the request context that only this kind has."""
    session = call.session
    assert session is not None
    event: dict[str, Any] = {}
    if kind != "MESSAGE":
        many: dict[str, list[str]] = {}
        for name, value in call.pairs if kind == "CONNECT" else [("Host", call.domain), *_NO_HEADERS]:
            many.setdefault(name, []).append(value)
        event["headers"] = {name: values[-1] for name, values in many.items()}
        event["multiValueHeaders"] = many
        if kind == "CONNECT" and call.query:
            event["queryStringParameters"] = {name: values[-1] for name, values in call.query.items()}
            event["multiValueQueryStringParameters"] = call.query
    context: dict[str, Any] = {"routeKey": call.route_key}
    if session.authorizer is not None:
        context["authorizer"] = session.authorizer
    event["requestContext"] = (
        context
        | more
        | {
            "eventType": kind,
            "extendedRequestId": call.request_id,
            "requestTime": call.time,
            "messageDirection": "IN",
            "stage": call.stage.name,
            "connectedAt": int(session.connected_at * 1000),
            "requestTimeEpoch": int(call.now * 1000),
            "identity": session.signer
            | ({"userAgent": session.user_agent} if session.user_agent else {})
            | {"sourceIp": session.source_ip},
            "requestId": call.request_id,
            "domainName": call.domain,
            "connectionId": session.id,
            "apiId": call.stage.api_id,
        }
    )
    if call.stage.variables:
        event["stageVariables"] = dict(call.stage.variables)
    event["isBase64Encoded"] = False
    return event
