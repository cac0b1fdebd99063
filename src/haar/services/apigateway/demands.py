"""What the operations demand: `apigateway:VERB` on the path of what they touch.

The service authorization reference names five actions after HTTP's verbs, on ARNs that are the paths of the API
(`arn:aws:apigateway:REGION::/restapis/ID/…`).
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagement.html
"""

from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import quote

from haar.services.apigateway.records import ACCOUNT, Doc, get_doc, load_api
from haar.services.service import Context, Demand, Demands, Input

Check = Callable[[Context, Input], Awaitable[Sequence[Demand]]]


def arn(region: str, path: str) -> str:
    return f"arn:aws:apigateway:{region}::{path}"


def on(verb: str, template: str, *more: Callable[[Context, Input], Sequence[Demand]]) -> Demands:
    """Demands of an operation on a path: `on("GET", "/restapis/{restApiId}")`; `more` adds what goes with its input."""

    async def demands(ctx: Context, input: Input) -> list[Demand]:
        path = template.format_map({name: _segment(value) for name, value in input.items() if isinstance(value, str)})
        conditions, tags = _requested(input), await _tags(ctx, input)
        found = [Demand(f"apigateway:{verb}", arn(ctx.region, path), conditions, tags=tags)]
        for further in more:
            found.extend(further(ctx, input))
        return found

    return demands


def policy_demand(ctx: Context, input: Input) -> Sequence[Demand]:
    """Who sets a resource policy must be allowed to do just that."""
    api_id = input.get("restApiId")
    sets = "policy" in input or any(str(one.get("path", "")).startswith("/policy") for one in input.get("patchOperations", ()))
    return [Demand("apigateway:UpdateRestApiPolicy", arn(ctx.region, f"/restapis/{api_id}" if api_id else "/restapis"))] if sets else []


def pass_role(*members: str) -> Callable[[Context, Input], Sequence[Demand]]:
    """Handing API Gateway a role takes iam:PassRole on it; one of another account is refused by the operation, or of no use."""

    def demands(ctx: Context, input: Input) -> Sequence[Demand]:
        roles = [input.get(member) for member in members]
        for operation in input.get("patchOperations", ()):
            if operation.get("op") != "remove" and str(operation.get("path", "")).lstrip("/") in members:
                roles.append(operation.get("value"))
        return passing(ctx, [role for role in roles if role])

    return demands


def passing(ctx: Context, roles: Sequence[str]) -> list[Demand]:
    """What handing over these roles takes. One that a stage variable names could become any, so that it takes the right to pass all."""
    conditions = {"iam:PassedToService": ("apigateway.amazonaws.com",)}
    own = f"arn:aws:iam::{ctx.account}:role/"
    named = {own + "*" if "${" in role else role for role in roles}
    return [Demand("iam:PassRole", role, conditions) for role in sorted(named) if f"::{ctx.account}:role/" in role]


def _segment(value: str) -> str:
    return quote(value, safe="*+{}-._~") if "/" in value or ":" in value else value


def _requested(input: Input) -> dict[str, Sequence[str]]:
    conditions: dict[str, Sequence[str]] = {}
    if isinstance(tags := input.get("tags"), dict) and tags:
        conditions["aws:TagKeys"] = tuple(tags)
        for key, value in tags.items():
            conditions[f"aws:RequestTag/{key}"] = (value,)
    if "tagKeys" in input:
        conditions["aws:TagKeys"] = tuple(input["tagKeys"])
    if "authorizationType" in input:
        conditions["apigateway:Request/RouteAuthorizationType"] = (input["authorizationType"],)
    if "apiKeyRequired" in input:
        conditions["apigateway:Request/ApiKeyRequired"] = ("true" if input["apiKeyRequired"] else "false",)
    if "disableExecuteApiEndpoint" in input:
        conditions["apigateway:Request/DisableExecuteApiEndpoint"] = ("true" if input["disableExecuteApiEndpoint"] else "false",)
    if types := input.get("endpointConfiguration", {}).get("types"):
        conditions["apigateway:Request/EndpointType"] = tuple(types)
    return conditions


async def _tags(ctx: Context, input: Input) -> Doc:
    """The tags of the API, key or plan that the call is about (aws:ResourceTag)."""
    if api_id := input.get("restApiId"):
        api = await load_api(ctx.store, api_id, ctx.region)
        return api.get("tags", {}) if api else {}
    for member, kind in (("apiKey", "key"), ("usagePlanId", "plan")):
        if found := input.get(member):
            doc = await get_doc(ctx.store, ACCOUNT, ctx.region, f"{kind}/{found}")
            return doc.get("tags", {}) if doc else {}
    return {}
