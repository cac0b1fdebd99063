"""Running what is behind a route, and the access log of it."""

import logging
from typing import Any

import orjson

from haar.services.apigatewayv2.dataplane.answers import Refused, failed
from haar.services.apigatewayv2.dataplane.call import Call
from haar.services.apigatewayv2.dataplane.compile import Endpoint
from haar.services.apigatewayv2.dataplane.mapping import look_up
from haar.wire.http import Response

log = logging.getLogger("haar.apigatewayv2")


async def run_endpoint(call: Call, endpoint: Endpoint) -> Response:
    """The integration's response. Raises Refused."""
    began = call.host.clock.now()
    try:
        return await endpoint.run(call)
    except Refused:
        raise
    except Exception:
        log.exception("request %s: %s", call.request_id, call.route_key)
        raise failed("internal error") from None
    finally:
        call.integration_ms = int((call.host.clock.now() - began) * 1000)


def write_access(call: Call, response: Response) -> None:
    """A line of the stage's access log."""
    access_log = call.stage.access_log
    if access_log is None:
        return
    own = facts(call, response)
    line = access_log.render(lambda name: own[name] if name in own else look_up(call, name))
    access_log.put(call.host, call.now, line, delivered=True)


def facts(call: Call, response: Response) -> dict[str, Any]:
    """The variables that only an access log has.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
    """
    failure, integrated = call.error or None, call.integration_ms is not None
    found: dict[str, Any] = {
        "context.status": response.status,
        "context.responseLength": len(response.body) if isinstance(response.body, bytes) else None,
        "context.responseLatency": int((call.host.clock.now() - call.now) * 1000),
        "context.integrationLatency": call.integration_ms,
        "context.integration.latency": call.integration_ms,
        "context.integrationStatus": call.service_status,
        "context.integration.integrationStatus": call.service_status,
        "context.integration.status": call.integration_status,
        "context.integration.requestId": call.endpoint_request_id,
        "context.awsEndpointRequestId": call.endpoint_request_id,
        "context.customDomain.basePathMatched": call.base_path,
        "context.dataProcessed": len(call.request.body) + (len(response.body) if isinstance(response.body, bytes) else 0),
        "context.integrationErrorMessage": failure if integrated else None,
        "context.integration.error": failure if integrated else None,
        "context.error.message": _said(response) if failure else None,
        "context.error.messageString": orjson.dumps(_said(response)).decode() if failure else None,
        "context.authorizer.error": failure if not integrated and response.status in (401, 403, 500) else None,
        "context.xrayTraceId": call.trace_id.partition("Root=")[2].partition(";")[0],
    }
    for name, value in call.event.get("requestContext", {}).items():  # a WebSocket API's own
        if not isinstance(value, dict):
            found[f"context.{name}"] = value
    return found


def _said(response: Response) -> str:
    """The message that the caller was told."""
    try:
        told = orjson.loads(response.body) if isinstance(response.body, bytes) else None
    except orjson.JSONDecodeError:
        return ""
    return str(told.get("message", "")) if isinstance(told, dict) else ""
