"""Authorizers: tokens (JWT) and functions (REQUEST)."""

import re

from haar.services.apigatewayv2 import errors
from haar.services.apigatewayv2.dataplane.authorizers import Verdicts
from haar.services.apigatewayv2.demands import on, pass_role
from haar.services.apigatewayv2.face import service
from haar.services.apigatewayv2.integrations import function_of
from haar.services.apigatewayv2.pages import of, page
from haar.services.apigatewayv2.records import Doc, Draft, change, given, read_draft, renewed
from haar.services.apigatewayv2.stages import find as find_stage
from haar.services.service import Context, Input, Output

MAX_AUTHORIZERS = 10
MAX_TTL = 3600
ID_LETTERS = 6
AUTHORIZER = "/apis/{ApiId}/authorizers/{AuthorizerId}"
MEMBERS = (
    "AuthorizerCredentialsArn", "AuthorizerPayloadFormatVersion", "AuthorizerResultTtlInSeconds", "AuthorizerType", "AuthorizerUri",
    "EnableSimpleResponses", "IdentitySource", "IdentityValidationExpression", "JwtConfiguration", "Name",
)  # fmt: skip
_HTTP_SOURCE = re.compile(r"\$(request\.(header|querystring)\.[^\s,]+|context\.[^\s,]+|stageVariables\.[^\s,]+)")
_TOKEN_SOURCE = re.compile(r"\$request\.(header|querystring)\.[^\s,]+")
_SOCKET_SOURCE = re.compile(r"route\.request\.(header|querystring)\.[^\s,]+|(context|stageVariables)\.[^\s,]+")


def complete(draft: Draft, authorizer: Doc) -> Doc:
    """The authorizer with what AWS fills in. Raises BadRequestException unless it could be asked."""
    http = draft.api["ProtocolType"] == "HTTP"
    token = authorizer["AuthorizerType"] == "JWT"
    pattern = _TOKEN_SOURCE if token else _HTTP_SOURCE if http else _SOCKET_SOURCE
    for source in authorizer.get("IdentitySource", ()):
        if not pattern.fullmatch(source):
            raise errors.bad_request(f"Invalid mapping expression specified: {source}")
    if token:
        return _token(authorizer, http)
    if function_of(authorizer.get("AuthorizerUri", "")) is None:
        raise errors.bad_request("Invalid Authorizer URI: " + authorizer.get("AuthorizerUri", "null"))
    if not http:
        return authorizer
    version = authorizer.get("AuthorizerPayloadFormatVersion")
    if version not in ("1.0", "2.0"):
        raise errors.bad_request(
            "AuthorizerPayloadFormatVersion is a required parameter for REQUEST authorizer"
            if version is None
            else "Invalid authorizerPayloadFormatVersion. Valid values: [1.0, 2.0]"
        )
    if authorizer.get("EnableSimpleResponses") and version == "1.0":
        raise errors.bad_request("EnableSimpleResponses is only supported for authorizerPayloadFormatVersion 2.0")
    sources = authorizer.get("IdentitySource")
    ttl = authorizer.get("AuthorizerResultTtlInSeconds", 300 if sources else 0)
    if not 0 <= ttl <= MAX_TTL:
        raise errors.bad_request(f"Authorizer result TTL should be between 0 and {MAX_TTL}")
    if ttl and not sources:
        raise errors.bad_request("Identity source must be set if authorizer caching is enabled (TTL is greater than 0)")
    simple = authorizer.get("EnableSimpleResponses", False)
    return authorizer | {"AuthorizerResultTtlInSeconds": ttl, "EnableSimpleResponses": simple}


def _token(authorizer: Doc, http: bool) -> Doc:
    if not http:
        raise errors.bad_request("JWT authorizers are only supported for HTTP protocol type")
    settings = authorizer.get("JwtConfiguration") or {}
    issuer = settings.get("Issuer")
    if not issuer or not settings.get("Audience"):
        raise errors.bad_request("Issuer and audience are required for JWT authorizer")
    if not re.match(r"https?://[^\s/]+", issuer):
        raise errors.bad_request(
            f"Invalid issuer: {issuer}. Issuer must have a valid discovery endpoint ended with '/.well-known/openid-configuration'"
        )
    if len(authorizer.get("IdentitySource", ())) != 1:
        raise errors.bad_request("A JWT authorizer has exactly one identity source")
    return authorizer


def _check_name(draft: Draft, authorizer: Doc) -> None:
    for other in draft.authorizers.values():
        if other["Name"] == authorizer["Name"] and other["AuthorizerId"] != authorizer["AuthorizerId"]:
            raise errors.bad_request(f"Authorizer name must be unique. Authorizer {authorizer['Name']} already exists in this API.")


@service.operation("CreateAuthorizer", on("POST", "/apis/{ApiId}/authorizers", pass_role("AuthorizerCredentialsArn")))
async def create_authorizer(ctx: Context, input: Input) -> Output:
    authorizer_id = ctx.host.ids.text(ID_LETTERS)

    def edit(draft: Draft) -> Doc:
        if len(draft.authorizers) >= MAX_AUTHORIZERS:
            raise errors.full("Authorizers")
        authorizer = complete(draft, {"AuthorizerId": authorizer_id} | given(input, *MEMBERS))
        _check_name(draft, authorizer)
        draft.authorizers[authorizer_id] = authorizer
        return authorizer

    return await change(ctx, input["ApiId"], edit)


def find(draft: Draft, authorizer_id: str) -> Doc:
    authorizer = draft.authorizers.get(authorizer_id)
    if authorizer is None:
        raise errors.missing("Authorizer", authorizer_id)
    return authorizer


@service.operation("GetAuthorizer", on("GET", AUTHORIZER))
async def get_authorizer(ctx: Context, input: Input) -> Output:
    return find(await read_draft(ctx, input["ApiId"]), input["AuthorizerId"])


@service.operation("GetAuthorizers", on("GET", "/apis/{ApiId}/authorizers"))
async def get_authorizers(ctx: Context, input: Input) -> Output:
    draft = await read_draft(ctx, input["ApiId"])
    return page(sorted(draft.authorizers.values(), key=of("AuthorizerId")), input, of("AuthorizerId"))


@service.operation("UpdateAuthorizer", on("PATCH", AUTHORIZER, pass_role("AuthorizerCredentialsArn")))
async def update_authorizer(ctx: Context, input: Input) -> Output:
    def edit(draft: Draft) -> Doc:
        old = find(draft, input["AuthorizerId"])
        new = given(input, *MEMBERS)
        if "JwtConfiguration" in new:
            new["JwtConfiguration"] = old.get("JwtConfiguration", {}) | new["JwtConfiguration"]
        authorizer = complete(draft, renewed(old, new, *MEMBERS))
        _check_name(draft, authorizer)
        draft.authorizers[input["AuthorizerId"]] = authorizer
        return authorizer

    changed = await change(ctx, input["ApiId"], edit)
    ctx.host.get(Verdicts).forget(input["ApiId"])
    return changed


@service.operation("DeleteAuthorizer", on("DELETE", AUTHORIZER))
async def delete_authorizer(ctx: Context, input: Input) -> Output:
    authorizer_id = input["AuthorizerId"]

    def edit(draft: Draft) -> None:
        name = find(draft, authorizer_id)["Name"]
        users = [route["RouteKey"] for route in draft.routes.values() if route.get("AuthorizerId") == authorizer_id]
        if users:
            raise errors.conflict(f"Cannot delete authorizer '{name}', is referenced in route: {users[0]}")
        del draft.authorizers[authorizer_id]

    await change(ctx, input["ApiId"], edit)
    return {}


@service.operation("ResetAuthorizersCache", on("DELETE", "/apis/{ApiId}/stages/{StageName}/cache/authorizers"))
async def reset_authorizers_cache(ctx: Context, input: Input) -> Output:
    await read_draft(ctx, input["ApiId"])
    await find_stage(ctx.store, input["ApiId"], input["StageName"])
    ctx.host.get(Verdicts).forget(input["ApiId"], input["StageName"])
    return {}
