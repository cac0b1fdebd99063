"""ListMetrics."""

from base64 import b64decode, b64encode
from typing import Any

from haar.services.cloudwatch import records, service
from haar.services.cloudwatch.access import on_all
from haar.services.cloudwatch.errors import bad_token
from haar.services.cloudwatch.records import DAY, HOUR, SERIES, Series
from haar.services.service import Context, Input, Output

PAGE = 500
SEARCH_SLICE = 500
ACTIVE_SECONDS = 14 * DAY
"""A metric is listed for two weeks after its last point."""
RECENTLY_SECONDS = 4 * HOUR
"""RecentlyActive is of three hours; the hour of the last point is known."""


@service.operation("ListMetrics", on_all("ListMetrics"))
async def list_metrics(context: Context, input: Input) -> Output:
    oldest = context.now() - (RECENTLY_SECONDS if input.get("RecentlyActive") else ACTIVE_SECONDS)
    start = _read_token(input.get("NextToken"))
    namespace = input.get("Namespace")
    if namespace is not None:
        start = max(start, namespace.encode() + b"\x00")
    end = None if namespace is None else namespace.encode() + b"\x01"
    found: list[tuple[bytes, Series]] = []
    while len(found) <= PAGE:
        rows = await context.store.range(SERIES, context.region.encode(), start, end, limit=SEARCH_SLICE)
        for sort, value in rows:
            series = records.decode(value)
            if series.last >= oldest - HOUR and _matches(series, input):
                found.append((sort, series))
        if len(rows) < SEARCH_SLICE:
            break
        start = rows[-1][0] + b"\x00"
    output: dict[str, Any] = {
        "Metrics": [
            {"Namespace": each.namespace, "MetricName": each.name, "Dimensions": records.shown(each.dimensions)} for _, each in found[:PAGE]
        ]
    }
    if input.get("IncludeLinkedAccounts"):
        output["OwningAccounts"] = [context.account] * len(output["Metrics"])
    if len(found) > PAGE:
        output["NextToken"] = b64encode(found[PAGE - 1][0] + b"\x00").decode()
    return output


def _matches(series: Series, input: Input) -> bool:
    """Every dimension that is asked for is there, with the value that is asked for if one is; others may be there too."""
    if input.get("MetricName") not in (None, series.name) or input.get("OwningAccount") == "":
        return False
    have = dict(series.dimensions)
    return all(each["Name"] in have and each.get("Value") in (None, have[each["Name"]]) for each in input.get("Dimensions") or ())


def _read_token(token: str | None) -> bytes:
    if token is None:
        return b""
    try:
        return b64decode(token, validate=True)
    except ValueError:
        raise bad_token() from None
