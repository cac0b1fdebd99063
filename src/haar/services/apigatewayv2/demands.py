"""What the operations demand: `apigateway:VERB` on the path of what they touch, as in the service authorization reference.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagementv2.html
"""

from collections.abc import Callable, Sequence
from urllib.parse import quote

from haar.services.apigateway import public as rest
from haar.services.apigatewayv2.records import LINKS, LIVE, Doc, find_api, load_draft
from haar.services.service import Context, Demand, Demands, Input

Further = Callable[[Context, Input], Sequence[Demand]]


def on(verb: str, template: str, *more: Further) -> Demands:
    """Demands of an operation on a path: `on("GET", "/apis/{ApiId}")`; `more` adds what goes with its input."""

    kind = rest.kind_of(template)

    async def demands(ctx: Context, input: Input) -> list[Demand]:
        path = template.format_map({name: _segment(value) for name, value in input.items() if isinstance(value, str)})
        there, tags = await _there(ctx, kind, input)
        conditions = _tagging(input) | rest.requested(kind, input) | rest.existing(kind, there)
        if verb == "POST" and await _makes_open_route(ctx, kind, input):
            conditions["apigateway:Request/RouteAuthorizationType"] = ("NONE",)
        found = [Demand(f"apigateway:{verb}", rest.arn(ctx.region, path), conditions, tags=tags)]
        for further in more:
            found.extend(further(ctx, input))
        return found

    return demands


def _segment(value: str) -> str:
    return quote(value, safe="*+{}-._~$") if "/" in value or ":" in value else value


def pass_role(member: str) -> Further:
    """Handing API Gateway a role takes iam:PassRole on it."""
    return rest.pass_role(member)


def _tagging(input: Input) -> dict[str, Sequence[str]]:
    conditions: dict[str, Sequence[str]] = {}
    if tags := input.get("Tags"):
        conditions["aws:TagKeys"] = tuple(tags)
        for key, value in tags.items():
            conditions[f"aws:RequestTag/{key}"] = (value,)
    if "TagKeys" in input:
        conditions["aws:TagKeys"] = tuple(input["TagKeys"])
    return conditions


async def _makes_open_route(ctx: Context, kind: str, input: Input) -> bool:
    """Whether an HTTP API gets a route that nothing is said of who may call it: then everybody may."""
    if kind == "apis":
        return bool(input.get("Target"))
    if kind != "routes" or input.get("AuthorizationType"):
        return False
    api = await find_api(ctx.store, input["ApiId"], ctx.region)
    return api is not None and api["ProtocolType"] == "HTTP"


async def _there(ctx: Context, kind: str, input: Input) -> tuple[Doc | None, Doc]:
    """What the call is about, when it is there and condition keys tell of it, and its tags: those of its API, and a stage's own."""
    if name := input.get("DomainName"):
        domain = await rest.get_doc(ctx.store, rest.DOMAINS, name.lower(), rest.NAME)
        domain = domain if domain is not None and domain["region"] == ctx.region else None
        return domain, domain.get("tags", {}) if domain else {}
    if link_id := input.get("VpcLinkId"):
        link = await rest.get_doc(ctx.store, LINKS, ctx.region, f"link/{link_id}")
        return None, link.get("Tags", {}) if link else {}
    if (api_id := input.get("ApiId")) is None:
        return None, {}
    if kind in ("routes", "authorizers"):
        draft = await load_draft(ctx.store, api_id, ctx.region)
        if draft is None:
            return None, {}
        parts, member = (draft.routes, "RouteId") if kind == "routes" else (draft.authorizers, "AuthorizerId")
        return parts.get(input.get(member, "")), draft.api.get("Tags", {})
    api = await find_api(ctx.store, api_id, ctx.region)
    if api is None:
        return None, {}
    tags: Doc = api.get("Tags", {})
    if name := input.get("StageName"):
        stage = await rest.get_doc(ctx.store, LIVE, api_id, f"stage/{name}") or {}
        return stage, tags | (stage.get("Tags") or {})
    return api, tags
