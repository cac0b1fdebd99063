"""GetUsage."""

from datetime import date, timedelta

from haar.services.apigateway import errors
from haar.services.apigateway.dataplane.usage import Usage, period_start
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
            left = max(quota["limit"] - sum(count for name, count in uses.items() if start <= name <= day.isoformat()), 0)
        found.append([used, left])
    return found


@service.operation("GetUsage", on("GET", PLAN + "/usage"))
async def get_usage(ctx: Context, input: Input) -> Output:
    plan_id, days = input["usagePlanId"], _days(input)
    plan = await get_doc(ctx.store, ACCOUNT, ctx.region, f"plan/{plan_id}")
    if plan is None:
        raise errors.no_plan()
    keys = [row["keyId"] for row in await docs(ctx.store, ACCOUNT, ctx.region, f"plankey/{plan_id}/")]
    if wanted := input.get("keyId"):
        keys = [key for key in keys if key == wanted]
    usage = ctx.host.get(Usage)
    await usage.save()
    items = {key: entries(await usage.days(f"{ctx.region}/{plan_id}/{key}"), plan.get("quota"), days) for key in keys}
    return {"usagePlanId": plan_id, "startDate": input["startDate"], "endDate": input["endDate"], "items": items}
