"""Authorizers."""

import re

from haar.services.apigateway import errors
from haar.services.apigateway.dataplane.authorizers import DEFAULT_TTL
from haar.services.apigateway.dataplane.functions import FUNCTION
from haar.services.apigateway.demands import on, pass_role
from haar.services.apigateway.face import service
from haar.services.apigateway.pages import page
from haar.services.apigateway.patch import Members, Rules, Value, apply, integer, text_or_none
from haar.services.apigateway.patterns import PatternError, compile_pattern
from haar.services.apigateway.records import Doc, Draft, change_draft, load_draft, read_draft
from haar.services.service import Context, Input, Output

MAX_AUTHORIZERS = 10
"""Authorizers of one API."""
MAX_TTL = 3600
AUTHORIZER = "/restapis/{restApiId}/authorizers/{authorizerId}"
SOURCE = re.compile(r"(method\.request\.(header|querystring)|stageVariables|context)\.\S+")
BAD_URI = "Authorizer URI should be a valid API Gateway ARN that represents a Lambda function invocation."
TTL = f"Authorizer result TTL must be between 0 and {MAX_TTL} seconds"
CONFLICT = "Unable to complete operation due to concurrent modification. Please try again later."
RULES: Rules = {
    "/name": Value(),
    "/authType": Value(text_or_none),
    "/authorizerUri": Value(text_or_none),
    "/authorizerCredentials": Value(text_or_none, ("add", "replace", "remove")),
    "/identitySource": Value(text_or_none),
    "/identityValidationExpression": Value(text_or_none, ("add", "replace", "remove")),
    "/authorizerResultTtlInSeconds": Value(integer(TTL, 0, MAX_TTL)),
    "/type": Value(),
    "/providerARNs": Members(by_value=True),
}


def check_authorizer(authorizer: Doc) -> None:
    """Raises BadRequestException unless the authorizer could work."""
    if not authorizer.get("name"):
        raise errors.bad_request("Authorizer name must be non-empty")
    kind = authorizer["type"]
    if kind in ("TOKEN", "REQUEST"):
        if not FUNCTION.fullmatch(authorizer.get("authorizerUri", "")):
            raise errors.bad_request(f"Invalid Authorizer URI: {authorizer.get('authorizerUri')}. {BAD_URI}")
    elif kind == "COGNITO_USER_POOLS":
        if not authorizer.get("providerARNs"):
            raise errors.bad_request("At least one provider ARN must be specified for Cognito authorizers")
    else:
        raise errors.bad_request(f"Invalid authorizer type specified: {kind}")
    sources = authorizer.get("identitySource")
    if kind == "REQUEST" and authorizer.get("authorizerResultTtlInSeconds", DEFAULT_TTL) > 0 and not sources:
        raise errors.bad_request("Identity source must be specified when caching is enabled for REQUEST authorizers")
    for source in (sources or "").split(","):
        if source and not SOURCE.fullmatch(source.strip()):
            raise errors.bad_request(f"Invalid identity source specified: {source.strip()}")
    expression = authorizer.get("identityValidationExpression")
    if expression:
        try:
            compile_pattern(expression)
        except PatternError:
            raise errors.bad_request(f"Invalid identity validation expression specified: {expression}") from None
    if not 0 <= authorizer.get("authorizerResultTtlInSeconds", DEFAULT_TTL) <= MAX_TTL:
        raise errors.bad_request(TTL)


@service.operation("CreateAuthorizer", on("POST", "/restapis/{restApiId}/authorizers", pass_role("authorizerCredentials")))
async def create_authorizer(ctx: Context, input: Input) -> Output:
    kind = input["type"]
    authorizer: Doc = {"id": ctx.host.ids.text(6), "name": input["name"], "type": kind}
    for member in ("providerARNs", "authorizerUri", "authorizerCredentials", "identitySource", "identityValidationExpression"):
        if input.get(member):
            authorizer[member] = input[member]
    authorizer["authType"] = input.get("authType") or ("cognito_user_pools" if kind == "COGNITO_USER_POOLS" else "custom")
    if kind in ("TOKEN", "COGNITO_USER_POOLS"):
        authorizer.setdefault("identitySource", "method.request.header.Authorization")
    if kind != "COGNITO_USER_POOLS" or "authorizerResultTtlInSeconds" in input:
        authorizer["authorizerResultTtlInSeconds"] = input.get("authorizerResultTtlInSeconds", DEFAULT_TTL)

    def change(draft: Draft) -> None:
        check_authorizer(authorizer)
        if any(one["name"] == authorizer["name"] for one in draft.authorizers.values()):
            raise errors.bad_request("Authorizer name must be unique. Authorizer with this name already exists in this RestApi")
        if len(draft.authorizers) >= MAX_AUTHORIZERS:
            raise errors.limit_exceeded("Maximum number of authorizers for this API has been reached")
        draft.authorizers[authorizer["id"]] = authorizer

    await change_draft(ctx, input["restApiId"], change, missing=lambda: errors.conflict(CONFLICT))
    return authorizer


@service.operation("GetAuthorizer", on("GET", AUTHORIZER))
async def get_authorizer(ctx: Context, input: Input) -> Output:
    draft = await load_draft(ctx.store, input["restApiId"], ctx.region)
    if draft is None or input["authorizerId"] not in draft.authorizers:
        raise errors.no_authorizer()
    return draft.authorizers[input["authorizerId"]]


@service.operation("GetAuthorizers", on("GET", "/restapis/{restApiId}/authorizers"))
async def get_authorizers(ctx: Context, input: Input) -> Output:
    draft = await read_draft(ctx, input["restApiId"])
    return page(sorted(draft.authorizers.values(), key=lambda one: str(one["id"])), input, lambda one: str(one["id"]))


@service.operation("UpdateAuthorizer", on("PATCH", AUTHORIZER, pass_role("authorizerCredentials")))
async def update_authorizer(ctx: Context, input: Input) -> Output:
    authorizer_id = input["authorizerId"]

    def change(draft: Draft) -> Doc:
        if authorizer_id not in draft.authorizers:
            raise errors.no_authorizer()
        authorizer = apply(draft.authorizers[authorizer_id], input.get("patchOperations", []), RULES)
        check_authorizer(authorizer)
        draft.authorizers[authorizer_id] = authorizer
        return authorizer

    return await change_draft(ctx, input["restApiId"], change, missing=errors.no_authorizer)


@service.operation("DeleteAuthorizer", on("DELETE", AUTHORIZER))
async def delete_authorizer(ctx: Context, input: Input) -> Output:
    authorizer_id = input["authorizerId"]

    def change(draft: Draft) -> None:
        if authorizer_id not in draft.authorizers:
            raise errors.no_authorizer()
        for resource in draft.resources.values():
            for method in resource.get("resourceMethods", {}).values():
                if method.get("authorizerId") == authorizer_id:
                    raise errors.conflict("Cannot delete authorizer, is referenced in method")
        del draft.authorizers[authorizer_id]

    await change_draft(ctx, input["restApiId"], change, missing=errors.no_authorizer)
    return {}
