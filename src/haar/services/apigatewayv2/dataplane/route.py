"""The way of a request through an HTTP API: stage, route, authorise, integrate, answer.

By host, `http://ID.execute-api.REGION.localhost:PORT/…`, and by path, `/_haar/http-api/ID/…` and `/_aws/execute-api/ID/…`. The first part
of the path names the stage; where no stage has that name, the whole path is for the stage `$default`.
"""

from urllib.parse import unquote

from haar.services.apigateway.public import Address, extended_id, host_name
from haar.services.apigatewayv2.dataplane import cors
from haar.services.apigatewayv2.dataplane.answers import Refused, forbidden, head_too_large, not_found, too_large
from haar.services.apigatewayv2.dataplane.authorise import authorise
from haar.services.apigatewayv2.dataplane.call import Call
from haar.services.apigatewayv2.dataplane.compile import Api, Plane, Stage
from haar.services.apigatewayv2.dataplane.metrics import note_request
from haar.services.apigatewayv2.dataplane.running import run_endpoint, write_access
from haar.services.apigatewayv2.dataplane.speeds import throttle
from haar.services.apigatewayv2.records import Doc
from haar.services.apigatewayv2.websocket import plane as sockets
from haar.services.service import Host
from haar.wire.http import Request, Response

MAX_BODY = 10 * 1024 * 1024
MAX_HEAD = 10_240
"""Bytes of a request's line and of the values of its headers."""
DEFAULT = "$default"


class HttpPlane:
    """Serves every deployed HTTP API."""

    async def serve(self, host: Host, request: Request, request_id: str, address: Address) -> Response | None:
        api = await host.get(Plane).find(address.api_id)
        if api is None:
            return None
        request_id = extended_id(host)
        if address.region and address.region != api.region:
            response = forbidden().response()
        elif api.protocol == "WEBSOCKET":
            return await sockets.serve(host, request, address, api)
        else:
            response = await _serve(host, request, request_id, address, api)
        response.headers.append(("Apigw-Requestid", request_id))
        return response


async def _serve(host: Host, request: Request, request_id: str, address: Address, api: Api) -> Response:
    stage, path = find_stage(api, address.rest)
    if stage is None or (api.disabled and address.base_path is None):
        return not_found().response()
    settings = stage.compiled.cors
    domain = host_name(address, api.region)
    call = Call(host, stage, request, path, request_id, domain, host.clock.now(), base_path=address.base_path)
    try:
        response = await _run(call)
    except Refused as refused:
        call.error = refused.why or refused.message
        response = refused.response()
    if settings is not None and not call.preflight:
        cors.add(settings, request, response)
    note_request(call, response)
    if stage.access_log is not None:
        write_access(call, response)
    return response


def find_stage(api: Api, path: str) -> tuple[Stage | None, str]:
    """The stage that a whole path is for, and the path within it."""
    name, slash, rest = path[1:].partition("/")
    if "%" in name:
        name = unquote(name)
    if (stage := api.stages.get(name)) is not None:
        return stage, slash + rest or "/"
    return api.stages.get(DEFAULT), path


async def _run(call: Call) -> Response:
    request, compiled = call.request, call.stage.compiled
    if len(request.path) + len(request.query) + sum(map(len, request.headers.values())) > MAX_HEAD:
        raise head_too_large()
    matched = compiled.routes.match(request.method, call.path)
    if matched is None:
        if compiled.cors is not None and request.method == "OPTIONS":
            return _preflight(call, compiled.cors)
        raise not_found()
    call.endpoint, call.path_parameters = matched
    if len(request.body) > MAX_BODY:
        raise too_large()
    throttle(call)
    if call.endpoint.authorization != "NONE":
        await authorise(call, call.endpoint)
    if compiled.cors is not None and cors.is_preflight(request):
        return _preflight(call, compiled.cors)
    return await run_endpoint(call, call.endpoint)


def _preflight(call: Call, settings: Doc) -> Response:
    """The API's own answer; a route of ANY or $default lets it through to here only when its authorizer does, as at AWS."""
    call.preflight = True
    return cors.preflight(settings, call.request)
