"""Routing rules of custom domain names: which REST API a request goes to, by the path's beginning and by headers."""

import re

from haar.services.apigateway import public as rest
from haar.services.apigateway.public import docs, get_doc, put_doc
from haar.services.apigatewayv2 import errors
from haar.services.apigatewayv2.demands import on
from haar.services.apigatewayv2.face import service
from haar.services.apigatewayv2.pages import page
from haar.services.apigatewayv2.records import Doc
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction

RULES = "/domainnames/{DomainName}/routingrules"
ONE = RULES + "/{RoutingRuleId}"
MAX_RULES = 50
"""Rules of one domain name."""
ID_LETTERS = 6
DEFAULT_RESULTS = 100
_BASE = re.compile(r"[A-Za-z0-9$\-_.+!*'()]+(/[A-Za-z0-9$\-_.+!*'()]+)*")


async def _domain(ctx: Context, reader: Reader, input: Input) -> str:
    """The key of the domain name. Raises NotFoundException when there is none."""
    return str((await rest.find_domain(ctx, reader, input["DomainName"]))["domainName"]).lower()


def _check(input: Input) -> None:
    """Raises BadRequestException unless there is one action, and each condition is of one kind."""
    actions = input["Actions"]
    if len(actions) != 1 or not actions[0].get("InvokeApi"):
        raise errors.bad_request("A routing rule must have exactly one InvokeApi action")
    kinds = []
    for condition in input["Conditions"]:
        if len(condition) != 1:
            raise errors.bad_request("A condition must have exactly one of MatchBasePaths and MatchHeaders")
        kinds.extend(condition)
        if not next(iter(condition.values())).get("AnyOf"):
            raise errors.bad_request("A condition must have at least one value in AnyOf")
        for base in condition.get("MatchBasePaths", {}).get("AnyOf", ()):
            if not _BASE.fullmatch(base):
                raise errors.bad_request(f"Invalid base path in a routing rule: {base}")
    if kinds.count("MatchBasePaths") > 1 or kinds.count("MatchHeaders") > 2:
        raise errors.bad_request("A routing rule has at most one MatchBasePaths and two MatchHeaders conditions")


async def _put(ctx: Context, input: Input, rule_id: str, *, new: bool) -> Output:
    _check(input)
    rule: Doc = {
        "Actions": input["Actions"],
        "Conditions": input["Conditions"],
        "Priority": input["Priority"],
        "RoutingRuleArn": f"arn:aws:apigateway:{ctx.region}:{ctx.account}:/domainnames/{input['DomainName']}/routingrules/{rule_id}",
        "RoutingRuleId": rule_id,
    }

    async def run(tx: Transaction) -> None:
        domain = await _domain(ctx, tx, input)
        invoked = input["Actions"][0]["InvokeApi"]
        if await rest.load_api(tx, invoked["ApiId"], ctx.region) is None:
            raise errors.not_found(f"Invalid API identifier specified {ctx.account}:{invoked['ApiId']}")
        if await get_doc(tx, rest.LIVE, invoked["ApiId"], f"stage/{invoked['Stage']}") is None:
            raise errors.bad_request("Invalid stage identifier specified")
        others = [one for one in await docs(tx, rest.DOMAINS, domain, rest.RULE) if one["RoutingRuleId"] != rule_id]
        if any(one["Priority"] == input["Priority"] for one in others):
            raise errors.conflict(f"A routing rule with priority {input['Priority']} already exists for this domain name")
        if new and len(others) >= MAX_RULES:
            raise errors.too_many("Maximum number of routing rules for this domain name has been reached")
        put_doc(tx, rest.DOMAINS, domain, rest.RULE + rule_id, rule)

    await ctx.store.transact(run)
    return rule


@service.operation("CreateRoutingRule", on("POST", RULES))
async def create_routing_rule(ctx: Context, input: Input) -> Output:
    return await _put(ctx, input, ctx.host.ids.text(ID_LETTERS), new=True)


@service.operation("PutRoutingRule", on("PUT", ONE))
async def put_routing_rule(ctx: Context, input: Input) -> Output:
    return await _put(ctx, input, input["RoutingRuleId"], new=False)


async def _find(ctx: Context, reader: Reader, input: Input) -> tuple[str, Doc]:
    domain = await _domain(ctx, reader, input)
    rule = await get_doc(reader, rest.DOMAINS, domain, rest.RULE + input["RoutingRuleId"])
    if rule is None:
        raise errors.missing("RoutingRule", input["RoutingRuleId"])
    return domain, rule


@service.operation("GetRoutingRule", on("GET", ONE))
async def get_routing_rule(ctx: Context, input: Input) -> Output:
    return (await _find(ctx, ctx.store, input))[1]


@service.operation("ListRoutingRules", on("GET", RULES))
async def list_routing_rules(ctx: Context, input: Input) -> Output:
    """In the order of their priorities."""

    def key(rule: Doc) -> str:
        return f"{rule['Priority']:07d}"

    domain = await _domain(ctx, ctx.store, input)
    found = sorted(await docs(ctx.store, rest.DOMAINS, domain, rest.RULE), key=key)
    asked = {"NextToken": input.get("NextToken"), "MaxResults": str(input.get("MaxResults") or DEFAULT_RESULTS)}
    paged = page(found, asked, key)
    return {"RoutingRules": paged.pop("Items")} | paged


@service.operation("DeleteRoutingRule", on("DELETE", ONE))
async def delete_routing_rule(ctx: Context, input: Input) -> Output:
    async def run(tx: Transaction) -> None:
        domain, rule = await _find(ctx, tx, input)
        tx.delete(rest.DOMAINS, domain.encode(), (rest.RULE + rule["RoutingRuleId"]).encode())

    await ctx.store.transact(run)
    return {}
