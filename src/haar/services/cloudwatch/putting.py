"""PutMetricData."""

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from haar.services.cloudwatch import records, service
from haar.services.cloudwatch.access import on_namespace
from haar.services.cloudwatch.errors import invalid_combination, invalid_value, missing
from haar.services.cloudwatch.points import Point
from haar.services.cloudwatch.records import DAY, HOUR, MINUTE, Name
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction

MOST_DATA = 1000
MOST_VALUES = 150
LARGEST = 2.0**360
OLDEST = 14 * DAY
FUTURE = 2 * HOUR


@service.operation("PutMetricData", on_namespace("PutMetricData"))
async def put_metric_data(context: Context, input: Input) -> Output:
    namespace: str = input["Namespace"]
    if namespace.startswith("AWS/"):
        raise invalid_value(f"The value {namespace} for parameter Namespace is invalid.")
    data = list(_data(input))
    if not data:
        raise missing("The parameter MetricData is required.")
    if len(data) > MOST_DATA:
        raise invalid_value(f"The collection MetricData must not have a size greater than {MOST_DATA}.")
    now = context.now()
    metrics: dict[Name, dict[tuple[int, str], Point]] = {}
    for member, datum in data:
        time = _time(member, datum, now)
        name = Name(namespace, datum["MetricName"], records.dimensions_of(_dimensions(member, datum)))
        points = metrics.setdefault(name, {})
        point = points.setdefault((time, datum.get("Unit", "None")), Point(values={}))
        _measure(member, datum, point)
    fresh = {name: context.host.ids.text(16) for name in metrics}

    async def write(tx: Transaction) -> None:
        for name, points in metrics.items():
            await records.add(tx, context.region, name, fresh[name], points)

    await context.store.transact(write)
    return {}


def _data(input: Input) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for at, datum in enumerate(input.get("MetricData") or (), 1):
        yield f"MetricData.member.{at}", datum
    for outer, entity in enumerate(input.get("EntityMetricData") or (), 1):
        for at, datum in enumerate(entity.get("MetricData") or (), 1):
            yield f"EntityMetricData.member.{outer}.MetricData.member.{at}", datum


def _dimensions(member: str, datum: Mapping[str, Any]) -> list[Mapping[str, str]]:
    given: list[Mapping[str, str]] = datum.get("Dimensions") or []
    for at, each in enumerate(given, 1):
        for part in ("Name", "Value"):
            if not each.get(part, "").strip():
                raise invalid_value(f"The parameter {member}.Dimensions.member.{at}.{part} must not be empty.")
    if len({each["Name"] for each in given}) != len(given):
        raise invalid_value(f"The collection {member}.Dimensions must not have the same name twice.")
    return given


def _time(member: str, datum: Mapping[str, Any], now: float) -> int:
    given: datetime | None = datum.get("Timestamp")
    time = now if given is None else given.timestamp()
    if not now - OLDEST <= time <= now + FUTURE:
        raise invalid_value(f"The parameter {member}.Timestamp must be within the last two weeks and no more than two hours in the future.")
    resolution = datum.get("StorageResolution", MINUTE)
    if resolution not in (1, MINUTE):
        raise invalid_value(f"The parameter {member}.StorageResolution must be equal to 1 or 60.")
    return int(time) if resolution == 1 else int(time) // MINUTE * MINUTE


def _measure(member: str, datum: Mapping[str, Any], point: Point) -> None:
    value, values, statistics = datum.get("Value"), datum.get("Values"), datum.get("StatisticValues")
    counts = datum.get("Counts")
    if sum(each is not None for each in (value, values, statistics)) > 1:
        raise invalid_combination(f"The parameters {member}.Value, {member}.Values and {member}.StatisticValues are mutually exclusive.")
    if statistics is not None:
        parts = [float(statistics[name]) for name in ("SampleCount", "Sum", "Minimum", "Maximum")]
        for name, number in zip(("SampleCount", "Sum", "Minimum", "Maximum"), parts, strict=True):
            _check(f"{member}.StatisticValues.{name}", number)
        if parts[2] > parts[3]:
            raise invalid_value(f"The parameter {member}.StatisticValues.Minimum must not be greater than Maximum.")
        point.add_statistics(*parts)
    elif values is not None:
        if len(values) > MOST_VALUES:
            raise invalid_value(f"The collection {member}.Values must not have a size greater than {MOST_VALUES}.")
        if counts is not None and len(counts) != len(values):
            raise invalid_combination(f"The parameters {member}.Values and {member}.Counts must be of the same size.")
        for number, count in zip(values, counts or [1.0] * len(values), strict=True):
            _check(f"{member}.Values", number)
            _check(f"{member}.Counts", count)
            point.add(float(number), float(count))
    elif value is not None:
        _check(f"{member}.Value", value)
        point.add(float(value))
    else:
        raise missing(f"The parameter {member}.Value is required.")


def _check(member: str, number: float) -> None:
    if math.isnan(number):
        raise invalid_value(f"The value NaN for parameter {member} is invalid.")
    if abs(number) > LARGEST:
        raise invalid_value(f"The value {number} for parameter {member} is out of range.")
