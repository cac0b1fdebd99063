"""Routes: a key, and the integration that it leads to."""

import re

from haar.services.apigatewayv2 import errors
from haar.services.apigatewayv2.demands import on
from haar.services.apigatewayv2.face import service
from haar.services.apigatewayv2.pages import of, page
from haar.services.apigatewayv2.records import Doc, Draft, change, given, read_draft, renewed
from haar.services.service import Context, Input, Output

MAX_ROUTES = 300
ID_LETTERS = 7
SOCKET_KEYS = ("$connect", "$disconnect", "$default")
"""Keys of WebSocket APIs that begin with a dollar."""
METHODS = ("ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
MEMBERS = (
    "ApiKeyRequired", "AuthorizationScopes", "AuthorizationType", "AuthorizerId", "ModelSelectionExpression", "OperationName",
    "RequestModels", "RequestParameters", "RouteKey", "RouteResponseSelectionExpression", "Target",
)  # fmt: skip
_PART = re.compile(r"[^/{}]*|\{[A-Za-z0-9._\-:]+\}|\{[A-Za-z0-9._\-:]+\+\}")
_VARIABLE = re.compile(r"\{[^{}+]+(\+?)\}")


def check_key(draft: Draft, key: str) -> None:
    """Raises BadRequestException for a key that no request could have."""
    if not key:
        raise errors.bad_request("Route key is required")
    if draft.api["ProtocolType"] == "WEBSOCKET":
        if key.startswith("$") and key not in SOCKET_KEYS:
            raise errors.bad_request("The provided route key is not formatted properly")
        return
    if key == "$default":
        return
    method, _, path = key.partition(" ")
    if method not in METHODS or not path.startswith("/"):
        raise errors.bad_request(
            "The provided route key is not formatted properly for HTTP protocol. "
            'Format should be "<HTTP METHOD> /<RESOURCE PATH>" or "$default"'
        )
    parts = path[1:].split("/")
    names = re.findall(r"\{([^{}+]+)\+?\}", path)
    if not all(_PART.fullmatch(part) for part in parts) or any(part.endswith("+}") for part in parts[:-1]) or len(set(names)) != len(names):
        raise errors.bad_request(f"The provided route key is not formatted properly for HTTP protocol. Invalid path: {path}")


def _check_unique(draft: Draft, key: str, route_id: str | None) -> None:
    shape = _VARIABLE.sub(r"{\1}", key)
    for other in draft.routes.values():
        if other["RouteId"] == route_id:
            continue
        if other["RouteKey"] == key:
            raise errors.conflict(f"Route with key {key} already exists for this API")
        if draft.api["ProtocolType"] == "HTTP" and _VARIABLE.sub(r"{\1}", other["RouteKey"]) == shape:
            raise errors.conflict(
                f'The provided route key "{key}" has a conflicting variable on the same hierarchical level as "{other["RouteKey"]}"'
            )


def check(draft: Draft, route: Doc) -> None:
    """Raises unless the route fits the rest of its API."""
    check_key(draft, route["RouteKey"])
    _check_unique(draft, route["RouteKey"], route["RouteId"])
    if (target := route.get("Target")) is not None:
        kind, _, integration = target.partition("/")
        if kind != "integrations":
            raise errors.bad_request(f"Invalid integration target specified: {target}")
        if integration not in draft.integrations:
            raise errors.bad_request(f"Unable to find Integration with id {integration} to use as the route's target")
    kind, authorizer = route["AuthorizationType"], draft.authorizers.get(route.get("AuthorizerId", ""))
    wanted = {"JWT": "JWT", "CUSTOM": "REQUEST"}.get(kind)
    if wanted is not None and (authorizer is None or authorizer["AuthorizerType"] != wanted):
        needs = "JWT requires a valid JWT authorizer." if kind == "JWT" else "CUSTOM or COGNITO_USER_POOLS requires a valid authorizer."
        raise errors.bad_request(f"Invalid authorizer ID specified. Setting the authorization type to {needs}")
    socket = draft.api["ProtocolType"] == "WEBSOCKET"
    if socket and kind != "NONE" and route["RouteKey"] != "$connect":
        raise errors.bad_request("Currently, authorization is restricted to the $connect route only")
    if route["ApiKeyRequired"] and not socket:
        raise errors.bad_request("API keys are not supported for HTTP protocol type")
    if route.get("AuthorizationScopes") and kind != "JWT":
        raise errors.bad_request("Authorization scopes are only supported when the authorization type is JWT")


@service.operation("CreateRoute", on("POST", "/apis/{ApiId}/routes"))
async def create_route(ctx: Context, input: Input) -> Output:
    route_id = ctx.host.ids.text(ID_LETTERS)

    def edit(draft: Draft) -> Doc:
        if len(draft.routes) >= MAX_ROUTES:
            raise errors.full("Routes")
        route = {"ApiKeyRequired": False, "AuthorizationType": "NONE", "RouteId": route_id} | given(input, *MEMBERS)
        check(draft, route)
        draft.routes[route_id] = route
        return route

    return await change(ctx, input["ApiId"], edit)


def find(draft: Draft, route_id: str) -> Doc:
    route = draft.routes.get(route_id)
    if route is None:
        raise errors.missing("Route", route_id)
    return route


@service.operation("GetRoute", on("GET", "/apis/{ApiId}/routes/{RouteId}"))
async def get_route(ctx: Context, input: Input) -> Output:
    return find(await read_draft(ctx, input["ApiId"]), input["RouteId"])


@service.operation("GetRoutes", on("GET", "/apis/{ApiId}/routes"))
async def get_routes(ctx: Context, input: Input) -> Output:
    draft = await read_draft(ctx, input["ApiId"])
    return page(sorted(draft.routes.values(), key=of("RouteId")), input, of("RouteId"))


@service.operation("UpdateRoute", on("PATCH", "/apis/{ApiId}/routes/{RouteId}"))
async def update_route(ctx: Context, input: Input) -> Output:
    def edit(draft: Draft) -> Doc:
        old = find(draft, input["RouteId"])
        route = renewed(old, input, *MEMBERS)
        if input.get("RequestParameters"):  # DeleteRouteRequestParameter takes one away
            route["RequestParameters"] = old.get("RequestParameters", {}) | input["RequestParameters"]
        if route["AuthorizationType"] in ("NONE", "AWS_IAM"):
            route.pop("AuthorizerId", None)
            if "AuthorizationScopes" not in input:
                route.pop("AuthorizationScopes", None)
        check(draft, route)
        draft.routes[route["RouteId"]] = route
        return route

    return await change(ctx, input["ApiId"], edit)


@service.operation("DeleteRoute", on("DELETE", "/apis/{ApiId}/routes/{RouteId}"))
async def delete_route(ctx: Context, input: Input) -> Output:
    def edit(draft: Draft) -> None:
        find(draft, input["RouteId"])
        del draft.routes[input["RouteId"]]
        draft.route_responses.pop(input["RouteId"], None)

    await change(ctx, input["ApiId"], edit)
    return {}


@service.operation("DeleteRouteRequestParameter", on("DELETE", "/apis/{ApiId}/routes/{RouteId}/requestparameters/{RequestParameterKey}"))
async def delete_route_request_parameter(ctx: Context, input: Input) -> Output:
    def edit(draft: Draft) -> None:
        route = find(draft, input["RouteId"])
        if input["RequestParameterKey"] not in route.get("RequestParameters", {}):
            raise errors.missing("Request Parameter", input["RequestParameterKey"])
        del route["RequestParameters"][input["RequestParameterKey"]]

    await change(ctx, input["ApiId"], edit)
    return {}
