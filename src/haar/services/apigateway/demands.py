"""What the operations demand: `apigateway:VERB` on the path of what they touch.

The service authorization reference names five actions after HTTP's verbs, on ARNs that are the paths of the API
(`arn:aws:apigateway:REGION::/restapis/ID/…`).
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagement.html
"""

from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import quote

from haar.services.apigateway.conditions import existing, kind_of, requested
from haar.services.apigateway.dataplane.domains import NAME
from haar.services.apigateway.records import ACCOUNT, DOMAINS, LIVE, Doc, get_doc, load_api, load_draft
from haar.services.service import Context, Demand, Demands, Input

Check = Callable[[Context, Input], Awaitable[Sequence[Demand]]]


def arn(region: str, path: str) -> str:
    return f"arn:aws:apigateway:{region}::{path}"


def on(verb: str, template: str, *more: Callable[[Context, Input], Sequence[Demand]]) -> Demands:
    """Demands of an operation on a path: `on("GET", "/restapis/{restApiId}")`; `more` adds what goes with its input."""

    kind = kind_of(template)

    async def demands(ctx: Context, input: Input) -> list[Demand]:
        path = template.format_map({name: _segment(value) for name, value in input.items() if isinstance(value, str)})
        there, tags = await _there(ctx, kind, input)
        conditions = _tagging(input) | requested(kind, input) | existing(kind, there)
        found = [Demand(f"apigateway:{verb}", arn(ctx.region, path), conditions, tags=tags)]
        for further in more:
            found.extend(further(ctx, input))
        return found

    return demands


def policy_demand(ctx: Context, input: Input) -> Sequence[Demand]:
    """Who sets a resource policy must be allowed to do just that."""
    api_id = input.get("restApiId")
    place = arn(ctx.region, f"/restapis/{api_id}" if api_id else "/restapis")
    return [Demand("apigateway:UpdateRestApiPolicy", place)] if sets_policy(input, "policy") else []


def sets_policy(input: Input, member: str) -> bool:
    return member in input or any(str(one.get("path", "")).startswith(f"/{member}") for one in input.get("patchOperations", ()))


def domain_demand(action: str, policy: str = "") -> Callable[[Context, Input], Sequence[Demand]]:
    """What it takes besides, on a private domain name's ARN, to let callers in, or to set one of its policies."""

    def demands(ctx: Context, input: Input) -> Sequence[Demand]:
        name, domain_id = input.get("domainName"), input.get("domainNameId", "*")
        domain = input.get("domainNameArn") or f"arn:aws:apigateway:{ctx.region}:{ctx.account}:/domainnames/{name}+{domain_id}"
        return [Demand(f"apigateway:{action}", domain)] if not policy or sets_policy(input, policy) else []

    return demands


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


def _tagging(input: Input) -> dict[str, Sequence[str]]:
    conditions: dict[str, Sequence[str]] = {}
    if isinstance(tags := input.get("tags"), dict) and tags:
        conditions["aws:TagKeys"] = tuple(tags)
        for key, value in tags.items():
            conditions[f"aws:RequestTag/{key}"] = (value,)
    if "tagKeys" in input:
        conditions["aws:TagKeys"] = tuple(input["tagKeys"])
    return conditions


async def _there(ctx: Context, kind: str, input: Input) -> tuple[Doc | None, Doc]:
    """What the call is about, when it is there and condition keys tell of it, and its tags: those of its API, and a stage's own."""
    if name := input.get("domainName"):
        found = await get_doc(ctx.store, DOMAINS, name.lower(), NAME)
        found = found if found is not None and found["region"] == ctx.region else None
        return found, found.get("tags", {}) if found else {}
    if api_id := input.get("restApiId"):
        return await _in_api(ctx, kind, api_id, input)
    for member, prefix in (("apiKey", "key"), ("usagePlanId", "plan"), ("vpcLinkId", "link"), ("clientCertificateId", "certificate")):
        if identifier := input.get(member):
            doc = await get_doc(ctx.store, ACCOUNT, ctx.region, f"{prefix}/{identifier}")
            return None, doc.get("tags", {}) if doc else {}
    return None, {}


async def _in_api(ctx: Context, kind: str, api_id: str, input: Input) -> tuple[Doc | None, Doc]:
    if kind in ("methods", "authorizers"):
        draft = await load_draft(ctx.store, api_id, ctx.region)
        if draft is None:
            return None, {}
        resource = draft.resources.get(input.get("resourceId", ""), {})
        method = resource.get("resourceMethods", {}).get(input.get("httpMethod"))
        return method if kind == "methods" else draft.authorizers.get(input.get("authorizerId", "")), draft.api.get("tags", {})
    api = await load_api(ctx.store, api_id, ctx.region)
    if api is None:
        return None, {}
    tags: Doc = api.get("tags", {})
    if name := input.get("stageName"):
        stage = await get_doc(ctx.store, LIVE, api_id, f"stage/{name}") or {}
        return stage, tags | stage.get("tags", {})
    return api, tags
