"""From a call that may be made to its response: validation, cache, integration; and the answer to one that is refused."""

import logging

from haar.eager import into_task
from haar.services.apigateway.dataplane.answers import Refused, bad_parameters, render
from haar.services.apigateway.dataplane.authorise import may_invalidate
from haar.services.apigateway.dataplane.cache import cached
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.compile import Endpoint
from haar.services.apigateway.dataplane.event import is_binary
from haar.services.apigateway.dataplane.log import pairs, shorten
from haar.services.apigateway.dataplane.mapping import look_up
from haar.wire.http import Response

log = logging.getLogger("haar.apigateway")


async def execute(call: Call, endpoint: Endpoint) -> Response:
    """Raises Refused."""
    if endpoint.required:
        _check_required(call, endpoint)
    if endpoint.bodies is not None:
        endpoint.bodies.check(call)
    try:
        if call.settings.ttl:
            return await cached(call, endpoint, call.settings, may_invalidate)
        if not endpoint.eager:
            await into_task()
        return await endpoint.run(call)
    except Refused:
        raise
    except Exception:
        log.exception("request %s: %s %s", call.request_id, call.request.method, endpoint.resource_path)
        raise Refused("API_CONFIGURATION_ERROR", "Internal server error", "InternalServerErrorException") from None


def _check_required(call: Call, endpoint: Endpoint) -> None:
    missing = []
    for place, name in endpoint.required:
        if place == "header":
            present = bool(call.header(name))
        elif place == "querystring":
            present = any(call.query.get(name, ()))
        else:
            present = bool(call.path_parameters.get(name))
        if not present:
            missing.append(name)
    if missing:
        raise bad_parameters(f"Missing required request parameters: [{', '.join(missing)}]")


def refusal(call: Call, refused: Refused) -> Response:
    """The gateway response of what is refused."""
    call.refused = refused
    if refused.why:
        call.say(refused.why)
    elif refused.kind == "UNAUTHORIZED":
        call.say(f"Unauthorized request: {call.request_id}")
    elif refused.kind == "ACCESS_DENIED":
        call.say("The client is not authorized to perform this operation.")
    accept = call.request.headers.get("accept", "").partition(",")[0].partition(";")[0].strip()
    responses = call.live.compiled.gateway_responses
    status, headers, body = render(refused, responses, accept, lambda name: look_up(call, name))
    return Response(status, headers, body)


async def narrated(call: Call, endpoint: Endpoint) -> Response:
    """As `execute`, told in the execution log; what is refused is answered."""
    request = call.request
    call.say(f"Starting execution for request: {call.request_id}")
    call.say(f"HTTP Method: {request.method}, Resource Path: {request.path if call.tested else endpoint.resource_path}")
    call.say(f"Method request path: {pairs(call.path_parameters.items())}")
    call.say(f"Method request query string: {pairs((name, values[-1]) for name, values in call.query.items())}")
    call.say(f"Method request headers: {pairs((name, values[-1]) for name, values in call.headers.items())}")
    binary = is_binary(request.headers.get("content-type"), call.live.compiled.binary_types)
    call.say(f"Method request body before transformations: {'[Binary Data]' if binary else shorten(request.body)}")
    try:
        response = await execute(call, endpoint)
    except Refused as refused:
        response = refusal(call, refused)
        if not call.tested:
            call.say(f"Gateway response type: {refused.kind} with status code: {response.status}")
        call.say(f"Method completed with status: {response.status}")
        return response
    if isinstance(response.body, bytes):
        call.say(f"Method response body after transformations: {shorten(response.body)}")
    call.say(f"Method response headers: {pairs(response.headers)}")
    call.say("Successfully completed execution")
    call.say(f"Method completed with status: {response.status}")
    return response
