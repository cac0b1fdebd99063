"""GetUsage, UpdateUsage: how often keys were used, and what is left of their quotas."""

from datetime import date, timedelta

from haar.services.apigateway import errors
from haar.services.apigateway.dataplane.usage import Usage, period_start, today
from haar.services.apigateway.demands import on
from haar.services.apigateway.face import service
from haar.services.apigateway.records import ACCOUNT, Doc, docs, get_doc
from haar.services.apigateway.usageplans import PLAN
from haar.services.service import Context, Input, Output

MAX_DAYS = 90


def _days(input: Input) -> list[date]:
    try:
        first, last = date.fromisoformat(input["startDate"]), date.fromisoformat(input["endDate"])
    except ValueError:
        raise errors.bad_request("Usage start and end dates must be of the form YYYY-MM-DD") from None
    if not first <= last or (last - first).days >= MAX_DAYS:
        raise errors.bad_request(f"Usage end date must not be before the start date, and no more than {MAX_DAYS} days after it")
    return [first + timedelta(days=at) for at in range((last - first).days + 1)]


def entries(uses: dict[str, int], quota: Doc | None, days: list[date]) -> list[list[int]]:
    """For each day how often the key was used, and what then was left of the quota."""
    found = []
    for day in days:
        used = uses.get(day.isoformat(), 0)
        left = 0
        if quota is not None:
            start = period_start(quota, day).isoformat()
            left = max(quota["limit"] - sum(count for name, count in uses.items() if start <= name[:10] <= day.isoformat()), 0)
        found.append([used, left])
    return found


@service.operation("GetUsage", on("GET", PLAN + "/usage"))
async def get_usage(ctx: Context, input: Input) -> Output:
    plan_id, days = input["usagePlanId"], _days(input)
    plan = await get_doc(ctx.store, ACCOUNT, ctx.region, f"plan/{plan_id}")
    if plan is None:
        raise errors.no_plan()
    wanted = input.get("keyId")
    if wanted and await get_doc(ctx.store, ACCOUNT, ctx.region, f"key/{wanted}") is None:
        raise errors.not_found("Invalid Key identifier specified")
    keys = [row["keyId"] for row in await docs(ctx.store, ACCOUNT, ctx.region, f"plankey/{plan_id}/")]
    if wanted:
        keys = [key for key in keys if key == wanted]
    usage = ctx.host.get(Usage)
    await usage.save()
    items = {key: entries(await usage.days(f"{ctx.region}/{plan_id}/{key}"), plan.get("quota"), days) for key in keys}
    return {"usagePlanId": plan_id, "startDate": input["startDate"], "endDate": input["endDate"], "items": items}


@service.operation("UpdateUsage", on("PATCH", PLAN + "/keys/{keyId}/usage"))
async def update_usage(ctx: Context, input: Input) -> Output:
    """Sets what is left of a key's quota in the period that it is in."""
    plan_id, key_id, now = input["usagePlanId"], input["keyId"], ctx.now()
    plan = await get_doc(ctx.store, ACCOUNT, ctx.region, f"plan/{plan_id}")
    if plan is None:
        raise errors.no_plan()
    if await get_doc(ctx.store, ACCOUNT, ctx.region, f"plankey/{plan_id}/{key_id}") is None:
        raise errors.not_found("Usage Plan does not contain the API key")
    if plan.get("quota") is None:
        raise errors.bad_request("Usage Plan has no quota")
    usage, name = ctx.host.get(Usage), f"{ctx.region}/{plan_id}/{key_id}"
    for operation in input.get("patchOperations", ()):
        if operation.get("op") != "replace" or operation.get("path") != "/remaining":
            raise errors.bad_request(f"Invalid patch path {operation.get('path') or 'null'}")
        value = str(operation.get("value", ""))
        if not value.isdigit():
            raise errors.bad_request("Invalid remaining quota specified")
        await usage.set_remaining(name, plan["quota"], int(value), now)
    day = today(now)
    items = {key_id: entries(await usage.days(name), plan["quota"], [day])}
    return {"usagePlanId": plan_id, "startDate": day.isoformat(), "endDate": day.isoformat(), "items": items}
