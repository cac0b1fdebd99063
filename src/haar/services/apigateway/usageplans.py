"""Usage plans: which API keys may use which stages, and how fast."""

import copy
from collections.abc import Sequence

from haar.services.apigateway import errors
from haar.services.apigateway.demands import on
from haar.services.apigateway.face import service
from haar.services.apigateway.pages import page
from haar.services.apigateway.patch import Rules, Value, apply, integer, json_map, number, one_of, text_or_none, unescape
from haar.services.apigateway.records import ACCOUNT, LIVE, OTHER_LIVE, Doc, docs, get_doc, load_draft, put_doc
from haar.services.apigateway.tags import check_tags
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction

MAX_PLANS = 300
PERIODS = ("DAY", "WEEK", "MONTH")
PLAN = "/usageplans/{usagePlanId}"
RULES: Rules = {
    "/name": Value(),
    "/description": Value(text_or_none),
    "/productCode": Value(text_or_none, ("add", "replace", "remove")),
    "/throttle": Value(text_or_none, ("remove",)),
    "/throttle/rateLimit": Value(number("Invalid rate limit specified"), ("add", "replace")),
    "/throttle/burstLimit": Value(integer("Invalid burst limit specified"), ("add", "replace")),
    "/quota": Value(text_or_none, ("remove",)),
    "/quota/limit": Value(integer("Invalid quota limit specified"), ("add", "replace")),
    "/quota/offset": Value(integer("Invalid quota offset specified"), ("add", "replace")),
    "/quota/period": Value(one_of(f"Invalid quota period specified. Valid options are {','.join(PERIODS)}", *PERIODS), ("add", "replace")),
}


def show(plan: Doc, *, whole: bool = False) -> Doc:
    return plan | {"tags": plan.get("tags", {})} if whole else plan


async def _is_stage(reader: Reader, region: str, api_id: str, name: str) -> bool:
    """Whether a plan may be for it: a stage of a REST API, or of a WebSocket API."""
    if await load_draft(reader, api_id, region):
        return await get_doc(reader, LIVE, api_id, f"stage/{name}") is not None
    head = await get_doc(reader, OTHER_LIVE, api_id, "api")
    if head is None or (head["Region"], head["ProtocolType"]) != (region, "WEBSOCKET"):
        return False
    return await get_doc(reader, OTHER_LIVE, api_id, f"stage/{name}") is not None


async def _check(reader: Reader, region: str, plan: Doc) -> None:
    if not plan.get("name"):
        raise errors.bad_request("Usage plan name is required")
    quota = plan.get("quota")
    if quota is not None:
        if quota.get("limit", 0) < 1 or quota.get("period") not in PERIODS:
            raise errors.bad_request("Usage plan quota limit and period are required")
        _check_offset(quota["period"], quota.setdefault("offset", 0))
    throttle = plan.get("throttle", {})
    if throttle.get("rateLimit", 0) < 0:
        raise errors.bad_request("Usage Plan throttle rate limit must be a non-negative number")
    if throttle.get("burstLimit", 0) < 0:
        raise errors.bad_request("Usage Plan throttle burst limit must be a non-negative number")
    for stage in plan.get("apiStages", ()):
        api_id, name = stage.get("apiId", ""), stage.get("stage", "")
        if not await _is_stage(reader, region, api_id, name):
            raise errors.not_found(f"API Stage not found: {api_id}:{name}")


def _check_offset(period: str, offset: int) -> None:
    """Which day of a week or month a quota begins anew on."""
    if period == "DAY" and offset != 0:
        raise errors.bad_request("Usage Plan quota offset must be zero in the DAY period")
    if period == "WEEK" and not 0 <= offset <= 6:
        raise errors.bad_request("Usage Plan quota offset must be between zero and six inclusive in the WEEK period")
    if period == "MONTH" and not 0 <= offset <= 27:
        raise errors.bad_request("Usage Plan quota offset must be between zero and 27 inclusive in the MONTH period")


@service.operation("CreateUsagePlan", on("POST", "/usageplans"))
async def create_usage_plan(ctx: Context, input: Input) -> Output:
    plan: Doc = {"id": ctx.host.ids.text(6), "name": input["name"], "apiStages": list(input.get("apiStages", []))}
    for member in ("description", "throttle", "quota", "tags"):
        if input.get(member):
            plan[member] = copy.deepcopy(input[member])
    check_tags(plan.get("tags", {}))

    async def run(tx: Transaction) -> None:
        await _check(tx, ctx.region, plan)
        if len(await docs(tx, ACCOUNT, ctx.region, "plan/")) >= MAX_PLANS:
            raise errors.limit_exceeded("Maximum number of usage plans has been reached")
        put_doc(tx, ACCOUNT, ctx.region, f"plan/{plan['id']}", plan)

    await ctx.store.transact(run)
    return show(plan)


async def _plan(reader: Reader, region: str, plan_id: str) -> Doc:
    plan = await get_doc(reader, ACCOUNT, region, f"plan/{plan_id}")
    if plan is None:
        raise errors.no_plan()
    return plan


@service.operation("GetUsagePlan", on("GET", PLAN))
async def get_usage_plan(ctx: Context, input: Input) -> Output:
    return show(await _plan(ctx.store, ctx.region, input["usagePlanId"]), whole=True)


def _id(doc: Doc) -> str:
    return str(doc["id"])


@service.operation("GetUsagePlans", on("GET", "/usageplans"))
async def get_usage_plans(ctx: Context, input: Input) -> Output:
    found = await docs(ctx.store, ACCOUNT, ctx.region, "plan/")
    if key_id := input.get("keyId"):
        rows = await ctx.store.range(ACCOUNT, ctx.region.encode(), b"plankey/", b"plankey0")
        mine = {sort.decode().split("/")[1] for sort, _ in rows if sort.endswith(f"/{key_id}".encode())}
        found = [plan for plan in found if plan["id"] in mine]
    return page(found, input, _id)


def patch_plan(plan: Doc, operations: Sequence[Doc]) -> Doc:
    """The plan with all operations applied. Pure."""
    for operation in operations:
        path = operation.get("path") or ""
        plan = _patch_stage(plan, operation, path) if path.startswith("/apiStages") else apply(plan, [operation], RULES)
    return plan


def _patch_stage(plan: Doc, operation: Doc, path: str) -> Doc:
    """`/apiStages` with the value `API:STAGE`, `/apiStages/API:STAGE/throttle/PATH/METHOD/rateLimit`."""
    stages, op = copy.deepcopy(plan.get("apiStages", [])), operation.get("op")
    parts = path.split("/")
    named = operation.get("value") if len(parts) == 2 else unescape(parts[2])
    api_id, colon, name = (named or "").partition(":")
    if not colon:
        raise errors.bad_request("Invalid API Stage specified. Must be of the form {apiId}:{stageName}")
    there = next((one for one in stages if one["apiId"] == api_id and one["stage"] == name), None)
    if len(parts) == 2:
        if op == "add":
            stages += [] if there else [{"apiId": api_id, "stage": name}]
        elif op == "remove" and there is not None:
            stages.remove(there)
        else:
            raise errors.bad_request(f"Invalid patch path {path}")
        return plan | {"apiStages": stages}
    if there is None:
        raise errors.not_found(f"API Stage not found: {named}")
    if parts[3:4] != ["throttle"]:
        raise errors.bad_request(f"Invalid patch path {path}")
    _patch_throttle(there, operation, path, parts[4:])
    return plan | {"apiStages": stages}


def _patch_throttle(stage: Doc, operation: Doc, path: str, parts: list[str]) -> None:
    """`throttle`, `throttle/PATH/METHOD` to remove; `throttle/PATH/METHOD/rateLimit`. The slashes of PATH may be escaped or not."""
    limits = stage.get("throttle", {})
    if operation.get("op") == "remove":
        removed = "/".join(unescape(part) for part in parts)
        if not parts:
            limits = {}
        elif limits.pop(removed, None) is None:
            raise errors.not_found(f"Invalid patch path {path}")
    elif not parts:
        limits = {}
        for method, given in json_map(operation.get("value")).items():
            pairs = given.items() if isinstance(given, dict) else ()
            changes = [{"op": "replace", "path": f"/throttle/{kind}", "value": str(value)} for kind, value in pairs]
            limits[method] = apply({}, changes, RULES).get("throttle", {})
    elif len(parts) >= 3 and parts[-1] in ("rateLimit", "burstLimit"):
        method = "/".join(unescape(part) for part in parts[:-1])
        kind = apply({}, [{"op": "replace", "path": f"/throttle/{parts[-1]}", "value": operation.get("value")}], RULES)
        limits = limits | {method: limits.get(method, {}) | kind["throttle"]}
    else:
        raise errors.bad_request(f"Invalid patch path {path}")
    stage.pop("throttle", None)
    if limits:
        stage["throttle"] = limits


@service.operation("UpdateUsagePlan", on("PATCH", PLAN))
async def update_usage_plan(ctx: Context, input: Input) -> Output:
    async def run(tx: Transaction) -> Doc:
        plan = patch_plan(await _plan(tx, ctx.region, input["usagePlanId"]), input.get("patchOperations", []))
        await _check(tx, ctx.region, plan)
        put_doc(tx, ACCOUNT, ctx.region, f"plan/{plan['id']}", plan)
        return plan

    return show(await ctx.store.transact(run), whole=True)


@service.operation("DeleteUsagePlan", on("DELETE", PLAN))
async def delete_usage_plan(ctx: Context, input: Input) -> Output:
    plan_id = input["usagePlanId"]

    async def run(tx: Transaction) -> None:
        plan = await _plan(tx, ctx.region, plan_id)
        for stage in plan["apiStages"]:
            if await get_doc(tx, LIVE, stage["apiId"], f"stage/{stage['stage']}") is not None:
                raise errors.bad_request(f"Cannot delete Usage Plan {plan_id} because it has associated API stages")
        partition, prefix = ctx.region.encode(), f"plankey/{plan_id}/".encode()
        tx.delete(ACCOUNT, partition, f"plan/{plan_id}".encode())
        for sort, _ in await tx.range(ACCOUNT, partition, prefix, prefix[:-1] + b"0"):
            tx.delete(ACCOUNT, partition, sort)

    await ctx.store.transact(run)
    return {}


def _key(key: Doc, *, with_value: bool = True) -> Doc:
    shown = {"id": key["id"], "type": "API_KEY"}
    if with_value:
        shown["value"] = key["value"]
    if "name" in key:
        shown["name"] = key["name"]
    return shown


@service.operation("CreateUsagePlanKey", on("POST", PLAN + "/keys"))
async def create_usage_plan_key(ctx: Context, input: Input) -> Output:
    plan_id, key_id = input["usagePlanId"], input["keyId"]
    if input["keyType"] != "API_KEY":
        raise errors.bad_request("Invalid key type specified. Valid options are API_KEY")

    async def run(tx: Transaction) -> Doc:
        await _plan(tx, ctx.region, plan_id)
        key = await get_doc(tx, ACCOUNT, ctx.region, f"key/{key_id}")
        if key is None:
            raise errors.no_key()
        if await get_doc(tx, ACCOUNT, ctx.region, f"plankey/{plan_id}/{key_id}") is not None:
            raise errors.conflict(f"Usage Plan Key {key_id} already exists")
        put_doc(tx, ACCOUNT, ctx.region, f"plankey/{plan_id}/{key_id}", {"keyId": key_id})
        return key

    return _key(await ctx.store.transact(run))


async def _member(reader: Reader, region: str, plan_id: str, key_id: str) -> Doc:
    await _plan(reader, region, plan_id)
    key = await get_doc(reader, ACCOUNT, region, f"key/{key_id}")
    if key is None or await get_doc(reader, ACCOUNT, region, f"plankey/{plan_id}/{key_id}") is None:
        raise errors.not_found("Invalid API Key identifier specified")
    return key


@service.operation("GetUsagePlanKey", on("GET", PLAN + "/keys/{keyId}"))
async def get_usage_plan_key(ctx: Context, input: Input) -> Output:
    return _key(await _member(ctx.store, ctx.region, input["usagePlanId"], input["keyId"]))


@service.operation("GetUsagePlanKeys", on("GET", PLAN + "/keys"))
async def get_usage_plan_keys(ctx: Context, input: Input) -> Output:
    plan_id = input["usagePlanId"]
    await _plan(ctx.store, ctx.region, plan_id)
    keys = []
    for row in await docs(ctx.store, ACCOUNT, ctx.region, f"plankey/{plan_id}/"):
        key = await get_doc(ctx.store, ACCOUNT, ctx.region, f"key/{row['keyId']}")
        if key is not None and key.get("name", "").startswith(input.get("nameQuery", "")):
            keys.append(_key(key))
    return page(sorted(keys, key=_id), input, _id)


@service.operation("DeleteUsagePlanKey", on("DELETE", PLAN + "/keys/{keyId}"))
async def delete_usage_plan_key(ctx: Context, input: Input) -> Output:
    plan_id, key_id = input["usagePlanId"], input["keyId"]

    async def run(tx: Transaction) -> None:
        await _member(tx, ctx.region, plan_id, key_id)
        tx.delete(ACCOUNT, ctx.region.encode(), f"plankey/{plan_id}/{key_id}".encode())

    await ctx.store.transact(run)
    return {}
