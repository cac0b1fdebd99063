"""GetMetricStatistics."""

import math
from datetime import UTC, datetime
from typing import Any

from haar.services.cloudwatch import records, service
from haar.services.cloudwatch.access import on_all
from haar.services.cloudwatch.errors import invalid_combination, invalid_value, missing
from haar.services.cloudwatch.points import canonical
from haar.services.cloudwatch.records import DAY, HOUR, MINUTE, Name
from haar.services.service import Context, Input, Output

MOST_POINTS = 1440
SHORT_PERIODS = (1, 5, 10, 20, 30)


@service.operation("GetMetricStatistics", on_all("GetMetricStatistics"))
async def get_metric_statistics(context: Context, input: Input) -> Output:
    statistics: list[str] = input.get("Statistics") or []
    extended: list[str] = input.get("ExtendedStatistics") or []
    if not statistics and not extended:
        raise missing("Must specify either Statistics or ExtendedStatistics")
    for statistic in extended:
        if canonical(statistic) is None:
            raise invalid_value(f"The value {statistic} for parameter ExtendedStatistics is not supported.")
    period = input["Period"]
    check_period("Period", period)
    start, end = rounded(context.now(), input["StartTime"], period), math.ceil(input["EndTime"].timestamp())
    if start >= end:
        raise invalid_combination("The parameter StartTime must be less than the parameter EndTime.")
    asked = (end - start) // period
    if asked > MOST_POINTS:
        raise invalid_combination(
            f"You have requested up to {asked} datapoints, which exceeds the limit of {MOST_POINTS}. "
            "You may reduce the datapoints requested by increasing Period, or decreasing the time range."
        )
    name = Name(input["Namespace"], input["MetricName"], records.dimensions_of(input.get("Dimensions")))
    series = await records.find(context.store, context.region, name)
    found = {} if series is None else await records.grouped(context.store, series, start, end, period)
    shown: list[dict[str, Any]] = []
    for unit in sorted(each for each in found if input.get("Unit") in (None, each)):
        for time, point in found[unit].items():
            datapoint: dict[str, Any] = {"Timestamp": datetime.fromtimestamp(time, UTC), "Unit": unit}
            datapoint |= {statistic: point.statistic(statistic) for statistic in statistics}
            more = {statistic: value for statistic in extended if (value := point.statistic(statistic)) is not None}
            shown.append(datapoint | ({"ExtendedStatistics": more} if more else {}))
    return {"Label": name.name, "Datapoints": shown}


def check_period(member: str, period: int) -> None:
    if period not in SHORT_PERIODS and period % MINUTE:
        raise invalid_value(f"The parameter {member} must be a multiple of 60 or one of 1, 5, 10, 20, 30.")


def rounded(now: float, start: datetime, period: int) -> int:
    """When statistics begin: at a whole minute in the last 15 days, at five in the last 63, else at an hour; short periods at their own.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricStatistics.html
    """
    time = int(start.timestamp())
    if period < MINUTE:
        step = period
    elif time > now - 15 * DAY:
        step = MINUTE
    else:
        step = 5 * MINUTE if time > now - 63 * DAY else HOUR
    return time // step * step
