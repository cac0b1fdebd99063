"""GetMetricData: many metrics at once, and arithmetic with them."""

import asyncio
import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from haar.services.cloudwatch import arithmetic, records, service
from haar.services.cloudwatch.access import on_all
from haar.services.cloudwatch.errors import bad_token, invalid
from haar.services.cloudwatch.points import canonical
from haar.services.cloudwatch.records import Name
from haar.services.cloudwatch.statistics import check_period, rounded
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader

MOST_QUERIES = 500
MOST_POINTS = 100_800
AT_ONCE = 2_000
"""Values that are calculated with in the loop; a helper thread does more."""
SLICE = 200
"""Statistics that are worked out in one piece."""

Values = dict[int, float]
"""By epoch seconds."""


@service.operation("GetMetricData", on_all("GetMetricData"))
async def get_metric_data(context: Context, input: Input) -> Output:
    queries: list[Mapping[str, Any]] = input["MetricDataQueries"]
    check_queries(queries)
    end = math.ceil(input["EndTime"].timestamp())
    if input["StartTime"].timestamp() >= end:
        raise invalid("The parameter EndTime must be greater than StartTime.")
    results = await worked_out(
        context.store, context.region, queries, lambda period: rounded(context.now(), input["StartTime"], period), end
    )
    down = input.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    shown = [(query, sorted(results[query["Id"]].items(), reverse=down)) for query in queries if query.get("ReturnData", True)]
    return _page(shown, min(input.get("MaxDatapoints") or MOST_POINTS, MOST_POINTS), input.get("NextToken"))


async def worked_out(
    reader: Reader, region: str, queries: Sequence[Mapping[str, Any]], start: int | Callable[[int], int], end: int
) -> dict[str, Values]:
    """The values of all queries by their ids; where they begin may depend on a metric's period. Raises ValidationError."""
    results: dict[str, Values] = {}
    periods = {query["Id"]: query["MetricStat"]["Period"] for query in queries if query.get("MetricStat") is not None}
    for query in queries:
        if (stat := query.get("MetricStat")) is not None:
            await asyncio.sleep(0)  # lets others in: there may be many
            results[query["Id"]] = await _read(reader, region, stat, start if isinstance(start, int) else start(stat["Period"]), end)
    for query in arithmetic.ordered([each for each in queries if each.get("Expression") is not None], set(results)):
        await asyncio.sleep(0)
        asked = query["Id"], query["Expression"], results, periods
        if sum(map(len, results.values())) > AT_ONCE:
            results[query["Id"]] = await asyncio.to_thread(arithmetic.evaluate, *asked)
        else:
            results[query["Id"]] = arithmetic.evaluate(*asked)
    return results


def check_queries(queries: Sequence[Mapping[str, Any]]) -> None:
    if len(queries) > MOST_QUERIES:
        raise invalid(f"The collection MetricDataQueries must not have a size greater than {MOST_QUERIES}.")
    seen: set[str] = set()
    for at, query in enumerate(queries, 1):
        member, name = f"MetricDataQueries.member.{at}", query["Id"]
        if not arithmetic.ID.fullmatch(name):
            raise invalid(f"The value {name} for parameter {member}.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.")
        if name in seen:
            raise invalid(f"The values for parameter id in the MetricDataQueries must be unique: {name}")
        seen.add(name)
        stat = query.get("MetricStat")
        if (stat is None) == (query.get("Expression") is None):
            raise invalid(f"Exactly one of {member}.MetricStat and {member}.Expression must be specified.")
        if stat is not None:
            if canonical(stat["Stat"]) is None:
                raise invalid(f"The value {stat['Stat']} for parameter {member}.MetricStat.Stat is not a valid statistic.")
            check_period(f"{member}.MetricStat.Period", stat["Period"])


async def _read(reader: Reader, region: str, stat: Mapping[str, Any], start: int, end: int) -> Values:
    metric = stat["Metric"]
    name = Name(metric.get("Namespace", ""), metric.get("MetricName", ""), records.dimensions_of(metric.get("Dimensions")))
    series = await records.find(reader, region, name)
    if series is None:
        return {}
    found = await records.grouped(reader, series, start, end, stat["Period"])
    # Without a unit, the points of one are answered: a metric that is put with several is asked for one by one.
    unit = stat.get("Unit") or min(found, default="")
    statistic = canonical(stat["Stat"])
    assert statistic is not None
    values: Values = {}
    for at, (time, point) in enumerate(found.get(unit, {}).items(), 1):
        if (value := point.statistic(statistic)) is not None:
            values[time] = value
        if at % SLICE == 0:
            await asyncio.sleep(0)
    return values


def _page(shown: list[tuple[Mapping[str, Any], list[tuple[int, float]]]], most: int, token: str | None) -> Output:
    """A page of at most `most` points; its token says how many were answered before."""
    skip, left = _read_token(token), most
    results, more = [], False
    before = skip
    for query, values in shown:
        part = values[skip : skip + left]
        skip, left = max(0, skip - len(values)), left - len(part)
        complete = not values or not part or part[-1] is values[-1]
        more = more or (not complete) or (left == 0 and query is not shown[-1][0])
        results.append(
            {
                "Id": query["Id"],
                "Label": query.get("Label") or _label(query),
                "Timestamps": [datetime.fromtimestamp(time, UTC) for time, _ in part],
                "Values": [value for _, value in part],
                "StatusCode": "Complete" if complete else "PartialData",
            }
        )
    output: dict[str, Any] = {"MetricDataResults": results, "Messages": []}
    if more:
        output["NextToken"] = b64encode(str(before + most).encode()).decode()
    return output


def _label(query: Mapping[str, Any]) -> str:
    stat = query.get("MetricStat")
    return query["Id"] if stat is None else str(stat["Metric"].get("MetricName", ""))


def _read_token(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(b64decode(token, validate=True))
    except ValueError:
        raise bad_token() from None
