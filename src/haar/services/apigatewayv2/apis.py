"""Apis."""

from typing import Any

from haar.services.addresses import Addresses
from haar.services.apigateway.public import check_tags, leading_to, put_doc
from haar.services.apigatewayv2 import errors
from haar.services.apigatewayv2.demands import on, pass_role
from haar.services.apigatewayv2.face import service
from haar.services.apigatewayv2.integrations import complete
from haar.services.apigatewayv2.pages import page
from haar.services.apigatewayv2.records import (
    DRAFTS,
    INDEX,
    LIVE,
    Doc,
    Draft,
    Fresh,
    change,
    deploy_automatically,
    deploy_first,
    find_api,
    fresh,
    given,
    in_api,
    no_api,
    put_draft,
    renewed,
)
from haar.services.apigatewayv2.routes import check_key
from haar.services.apigatewayv2.stages import new_stage
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction

MAX_APIS = 600
MAX_NAME = 128
MEMBERS = (
    "ApiKeySelectionExpression", "CorsConfiguration", "Description", "DisableExecuteApiEndpoint", "DisableSchemaValidation",
    "IpAddressType", "Name", "RouteSelectionExpression", "Version",
)  # fmt: skip
REQUEST = "$request.method $request.path"
KEY = "$request.header.x-api-key"
ALIASES = {"${request.method} ${request.path}": REQUEST}


async def show(ctx: Context, api: Doc) -> Doc:
    """The API with the address at which the caller reaches it."""
    api_id = api["ApiId"]
    scheme = "ws" if api["ProtocolType"] == "WEBSOCKET" else "http"
    addresses = ctx.host.get(Addresses)
    url = await addresses.url(ctx, f"{api_id}.execute-api.{ctx.region}", f"_haar/http-api/{api_id}", scheme=scheme)
    return api | {"ApiEndpoint": url}


def check(api: Doc) -> None:
    """Raises BadRequestException unless the API's settings fit its protocol."""
    if not 1 <= len(api["Name"]) <= MAX_NAME:
        raise errors.bad_request(f"API name must be between 1 and {MAX_NAME} characters")
    expression = api.get("RouteSelectionExpression", "")
    if api["ProtocolType"] == "HTTP":
        if ALIASES.get(expression, expression) != REQUEST:
            raise errors.bad_request(
                "Invalid routeSelectionExpression. Only ${request.method} ${request.path} is supported for HTTP protocol"
            )
        if "CorsConfiguration" in api:
            _check_cors(api["CorsConfiguration"])
        return
    if not expression:
        raise errors.bad_request("RouteSelectionExpression is required for WEBSOCKET protocol type")
    if "CorsConfiguration" in api:
        raise errors.bad_request("CORS configuration is not supported for WEBSOCKET protocol type")


def _check_cors(cors: Doc) -> None:
    origins = cors.get("AllowOrigins", [])
    if cors.get("AllowCredentials") and any("*" in cors.get(member, ()) for member in ("AllowOrigins", "AllowHeaders", "AllowMethods")):
        raise errors.bad_request("Wildcard values are not supported in CORS configuration when allowCredentials is true")
    for origin in origins:
        if origin not in ("*", "http://*", "https://*") and "://" not in origin:
            raise errors.bad_request(f"Invalid origin value specified in CORS configuration: {origin}")


def new_api(ctx: Context, input: Input) -> Doc:
    protocol = input["ProtocolType"]
    check_tags(input.get("Tags") or {})
    api: Doc = {
        "ApiId": ctx.host.ids.text(10),
        "ApiKeySelectionExpression": KEY,
        "CreatedDate": int(ctx.now()),
        "DisableExecuteApiEndpoint": False,
        "IpAddressType": "ipv4",
        "ProtocolType": protocol,
        "Tags": input.get("Tags") or {},
    }
    if protocol == "HTTP":
        api["RouteSelectionExpression"] = REQUEST
    api |= given(input, *MEMBERS)
    api["RouteSelectionExpression"] = ALIASES.get(api.get("RouteSelectionExpression", ""), api.get("RouteSelectionExpression", ""))
    check(api)
    if protocol != "HTTP" and ("Target" in input or "RouteKey" in input):
        raise errors.bad_request("Quick create is only supported for HTTP protocol type")
    return api


def _quick(draft: Draft, input: Input, ids: tuple[str, str]) -> None:
    """The one integration and route of a quick create."""
    target, key = input["Target"], input.get("RouteKey") or "$default"
    integration: Doc = {"ApiGatewayManaged": True, "IntegrationId": ids[0], "IntegrationUri": target}
    if target.startswith("arn:"):
        integration |= {"IntegrationType": "AWS_PROXY", "PayloadFormatVersion": "2.0"}
    else:
        integration |= {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "ANY", "PayloadFormatVersion": "1.0"}
    if input.get("CredentialsArn"):
        integration["CredentialsArn"] = input["CredentialsArn"]
    draft.integrations[ids[0]] = complete(draft, integration)
    check_key(draft, key)
    draft.routes[ids[1]] = {
        "ApiGatewayManaged": True,
        "ApiKeyRequired": False,
        "AuthorizationType": "NONE",
        "RouteId": ids[1],
        "RouteKey": key,
        "Target": f"integrations/{ids[0]}",
    }


@service.operation("CreateApi", on("POST", "/apis", pass_role("CredentialsArn")))
async def create_api(ctx: Context, input: Input) -> Output:
    draft = Draft(ctx.region, new_api(ctx, input))
    if input.get("RouteKey") and not input.get("Target"):
        raise errors.bad_request("Target is required when routeKey is specified")
    quick = bool(input.get("Target"))
    if quick:
        _quick(draft, input, (ctx.host.ids.text(7), ctx.host.ids.text(7)))
    return await put_new(ctx, draft, quick=quick)


async def put_new(ctx: Context, draft: Draft, *, quick: bool) -> Doc:
    """Keeps a new API, with a $default stage that deploys by itself when it is made quickly."""
    new = fresh(ctx)

    async def run(tx: Transaction) -> None:
        if len(await tx.range(INDEX, ctx.region.encode(), limit=MAX_APIS)) >= MAX_APIS:
            raise errors.too_many("Maximum number of APIs has been reached")
        put_draft(tx, draft)
        put_live(tx, draft)
        tx.put(INDEX, ctx.region.encode(), draft.api["ApiId"].encode(), b"")
        if quick:
            _put_default(tx, draft, new)

    await ctx.store.transact(run)
    return await show(ctx, draft.api)


def _put_default(tx: Transaction, draft: Draft, new: Fresh) -> None:
    stage = new_stage(draft.api, "$default", new.now, {"ApiGatewayManaged": True, "AutoDeploy": True})
    put_doc(tx, LIVE, draft.api["ApiId"], "stage/$default", deploy_first(tx, draft, stage, new))


def put_live(tx: Transaction, draft: Draft) -> None:
    """What the data plane must know of an API before it knows the stage."""
    api = draft.api
    head = {"Region": draft.region, "ProtocolType": api["ProtocolType"], "Disabled": api["DisableExecuteApiEndpoint"]}
    put_doc(tx, LIVE, api["ApiId"], "api", head)


@service.operation("GetApi", on("GET", "/apis/{ApiId}"))
async def get_api(ctx: Context, input: Input) -> Output:
    api = await find_api(ctx.store, input["ApiId"], ctx.region)
    if api is None:
        raise no_api(ctx, input["ApiId"])
    return await show(ctx, api)


@service.operation("GetApis", on("GET", "/apis"))
async def get_apis(ctx: Context, input: Input) -> Output:
    found = []
    for api_id, _ in await ctx.store.range(INDEX, ctx.region.encode()):
        api = await find_api(ctx.store, api_id.decode(), ctx.region)
        if api is not None:
            found.append(api)
    output: dict[str, Any] = page(sorted(found, key=_age), input, _age)
    output["Items"] = [await show(ctx, api) for api in output["Items"]]
    return output


def _age(api: Doc) -> str:
    return f"{api['CreatedDate']:012d}{api['ApiId']}"


@service.operation("UpdateApi", on("PATCH", "/apis/{ApiId}", pass_role("CredentialsArn")))
async def update_api(ctx: Context, input: Input) -> Output:
    new = fresh(ctx)

    async def run(tx: Transaction, draft: Draft) -> Doc:
        draft.api = renewed(draft.api, input, *MEMBERS)
        expression = draft.api["RouteSelectionExpression"]
        draft.api["RouteSelectionExpression"] = ALIASES.get(expression, expression)
        check(draft.api)
        if any(member in input for member in ("Target", "RouteKey", "CredentialsArn")):
            _change_quick(draft, input)
        put_draft(tx, draft)
        put_live(tx, draft)
        await deploy_automatically(tx, draft, new)
        return draft.api

    return await show(ctx, await in_api(ctx, input["ApiId"], run))


def _change_quick(draft: Draft, input: Input) -> None:
    """Quick create's own route and integration are changed through the API."""
    route = next((one for one in draft.routes.values() if one.get("ApiGatewayManaged")), None)
    integration = next((one for one in draft.integrations.values() if one.get("ApiGatewayManaged")), None)
    if route is None or integration is None:
        raise errors.bad_request("Only an API that was created with quick create can be updated with target, routeKey or credentialsArn")
    ids = (integration["IntegrationId"], route["RouteId"])
    values = {"Target": integration["IntegrationUri"], "RouteKey": route["RouteKey"]} | given(
        integration | input, "CredentialsArn", "Target", "RouteKey"
    )
    _quick(draft, values, ids)


@service.operation("DeleteApi", on("DELETE", "/apis/{ApiId}"))
async def delete_api(ctx: Context, input: Input) -> Output:
    api_id = input["ApiId"].encode()

    async def run(tx: Transaction, draft: Draft) -> None:
        if await leading_to(tx, ctx.region, input["ApiId"]):
            raise errors.bad_request(
                f"Deleting API {input['ApiId']} failed. Please remove all API mappings for the API from your custom domain names."
            )
        tx.delete(DRAFTS, api_id, b"")
        tx.delete(INDEX, ctx.region.encode(), api_id)
        for sort, _ in await tx.range(LIVE, api_id):
            tx.delete(LIVE, api_id, sort)

    await in_api(ctx, input["ApiId"], run)
    return {}


@service.operation("DeleteCorsConfiguration", on("DELETE", "/apis/{ApiId}/cors"))
async def delete_cors_configuration(ctx: Context, input: Input) -> Output:
    def edit(draft: Draft) -> None:
        if draft.api.pop("CorsConfiguration", None) is None:
            raise errors.not_found("CORS configuration does not exist for this API")

    await change(ctx, input["ApiId"], edit)
    return {}
