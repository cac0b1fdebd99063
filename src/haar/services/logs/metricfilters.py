"""Metric filters: log events become points of metrics; and the embedded metric format, in which events say so themselves.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/MonitoringLogData.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from time import sleep
from typing import Any

from haar.services.cloudwatch.public import Dimensions, Measures, Sample, Subject
from haar.services.logs import service
from haar.services.logs.access import on_anything, on_group
from haar.services.logs.errors import invalid, limit_exceeded, no_filter, no_group
from haar.services.logs.paging import described, page
from haar.services.logs.patterns import Pattern, compile_pattern, document
from haar.services.logs.records import GROUPS, Group, MetricFilter, decode_group, find_group, put_group
from haar.services.service import Context, Demand, Host, Input, Output
from haar.store.contract import Transaction

MAX_FILTERS = 100
"""Of one group."""
MAX_DIMENSIONS = 3
MAX_EMBEDDED_DIMENSIONS = 30
MAX_EMBEDDED_METRICS = 100
MAX_EMBEDDED_VALUES = 100
"""Of one metric."""
MAX_EMBEDDED_SETS = 100
"""Sets of dimensions of one directive."""
MAX_EMBEDDED_SAMPLES = MAX_EMBEDDED_METRICS * MAX_EMBEDDED_VALUES
"""Of one event, counted once for each set of dimensions; directives beyond are left out."""
MESSAGE_COST = 100
WORK_AT_ONCE = 16 * 1024
"""Characters (and MESSAGE_COST for each message) that filters look at in one piece: in the loop, or of more, in a helper thread, ..."""
PAUSE_SECONDS = 0.0001
"""... which lets the loop have the interpreter in between: a sleep of no time at all would not."""
SEARCH_SLICE = 500
RESERVED = "AWS/"
"""How the namespaces of AWS's own metrics begin."""
MARK = '"_aws"'
"""What every event in the embedded metric format has."""

_Found = dict[tuple[Subject, int], list[Sample]]
"""By what is measured, and the minute (epoch seconds)."""


async def measure(host: Host, region: str, group: Group, events: Sequence[tuple[int, str]]) -> None:
    """Notes what the group's filters, and the events themselves, say that events which are now kept amount to."""
    if not group.metrics and not any(MARK in message for _, message in events):
        return
    if sum(_work(message, group) for _, message in events) > WORK_AT_ONCE:
        found = await asyncio.to_thread(_found, region, group, events)
    else:
        found = _found(region, group, events)
    measures = host.get(Measures)
    for (subject, minute), samples in found.items():
        measures.note(subject, tuple(samples), minute)


def _work(message: str, group: Group) -> int:
    return (len(message) + MESSAGE_COST) * (1 + len(group.metrics))


def _found(region: str, group: Group, events: Sequence[tuple[int, str]]) -> _Found:
    found: _Found = {}
    filters = [(each, compile_pattern(each.pattern)) for each in group.metrics]
    matched: set[str] = set()
    looked = 0
    for time, message in events:
        minute = time // 60_000 * 60
        if MARK in message:
            for subject, samples in _embedded(region, message):
                found.setdefault((subject, minute), []).extend(samples)
        # One message after the other, so that each is parsed once for all filters.
        for each, pattern in filters:
            if pattern.matches(message):
                matched.add(each.name)
                if (sample := _sample(each, pattern, message)) is not None:
                    value, dimensions = sample
                    _add(found, region, each, dimensions, minute, value)
        looked += _work(message, group)
        if looked > WORK_AT_ONCE:
            looked = 0
            sleep(PAUSE_SECONDS)
    for each, _ in filters:
        if events and each.default is not None and each.name not in matched:
            _add(found, region, each, (), events[-1][0] // 60_000 * 60, each.default)
    return found


def _add(found: _Found, region: str, each: MetricFilter, dimensions: Dimensions, minute: int, value: float) -> None:
    found.setdefault((Subject(region, each.namespace, (dimensions,)), minute), []).append((each.metric, each.unit, value))


def _sample(each: MetricFilter, pattern: Pattern, message: str) -> tuple[float, Dimensions] | None:
    """The value and the dimensions that a message has for a filter; None when one of them is not there."""
    selected = _Selected(pattern, message)
    value = selected.number(each.value)
    dimensions = tuple(sorted((name, text) for name, path in each.dimensions.items() if (text := selected.text(path))))
    return None if value is None or len(dimensions) < len(each.dimensions) else (value, dimensions)


class _Selected:
    """What selectors (`$.a.b`, `$field`) find in a message."""

    def __init__(self, pattern: Pattern, message: str) -> None:
        self._pattern, self._message = pattern, message
        self._extracted: dict[str, str] | None = None

    def text(self, selector: str) -> str | None:
        found = self._value(selector)
        if isinstance(found, bool):
            return "true" if found else "false"
        return str(found) if isinstance(found, str | int | float) else None

    def number(self, written: str) -> float | None:
        found = self._value(written) if written.startswith("$") else written
        try:
            value = float(found)
        except (TypeError, ValueError):
            return None
        return value if math.isfinite(value) else None

    def _value(self, selector: str) -> Any:
        if self._extracted is None:
            self._extracted = self._pattern.extract(self._message)
        if selector in self._extracted:
            return self._extracted[selector]
        if not selector.startswith("$."):
            return None
        found = document(self._message)
        for part in selector[2:].replace("[", ".").replace("]", "").split("."):
            if isinstance(found, list) and part.isdigit() and int(part) < len(found):
                found = found[int(part)]
            elif isinstance(found, dict):
                found = found.get(part)
            else:
                return None
        return found


def _embedded(region: str, message: str) -> Iterator[tuple[Subject, tuple[Sample, ...]]]:
    """What an event in the embedded metric format says; nothing of one that is not quite in it, and no more than is meant for one."""
    found = document(message)
    head = found.get("_aws") if isinstance(found, dict) else None
    directives = head.get("CloudWatchMetrics") if isinstance(head, dict) else None
    left = MAX_EMBEDDED_SAMPLES
    for directive in directives if isinstance(directives, list) else ():
        namespace = directive.get("Namespace") if isinstance(directive, dict) else None
        if not isinstance(namespace, str) or namespace.startswith(RESERVED):
            continue
        samples = tuple(_samples(found, directive.get("Metrics")))
        sets = tuple(_dimensions(found, directive.get("Dimensions")))
        left -= max(1, len(samples)) * max(1, len(sets))
        if left < 0:
            return
        if samples and sets:
            yield Subject(region, namespace, sets), samples


def _samples(document: dict[str, Any], metrics: Any) -> Iterator[Sample]:
    for metric in metrics[:MAX_EMBEDDED_METRICS] if isinstance(metrics, list) else ():
        name = metric.get("Name") if isinstance(metric, dict) else None
        if not isinstance(name, str):
            continue
        values, unit = document.get(name), metric.get("Unit", "None")
        for value in values[:MAX_EMBEDDED_VALUES] if isinstance(values, list) else [values]:
            if isinstance(value, int | float) and not isinstance(value, bool) and isinstance(unit, str):
                yield name, unit, float(value)


def _dimensions(document: dict[str, Any], sets: Any) -> Iterator[Dimensions]:
    for names in sets[:MAX_EMBEDDED_SETS] if isinstance(sets, list) and sets else [[]]:
        if isinstance(names, list) and len(names) <= MAX_EMBEDDED_DIMENSIONS:
            pairs = [(name, document.get(name)) for name in names if isinstance(name, str)]
            if all(isinstance(value, str) and value for _, value in pairs):
                yield tuple(sorted((name, str(value)) for name, value in pairs))


@service.operation("PutMetricFilter", on_group("logs:PutMetricFilter"))
async def put_metric_filter(context: Context, input: Input) -> Output:
    for name in ("fieldSelectionCriteria", "emitSystemFieldDimensions", "applyOnTransformedLogs"):
        if input.get(name):
            raise invalid(f"haar does not have the parameter {name}.")
    compile_pattern(input["filterPattern"])
    wanted = input["metricTransformations"][0]
    if wanted["metricNamespace"].startswith(RESERVED):
        raise invalid(f"Invalid metric transformation: namespaces that begin with {RESERVED} are reserved.")
    dimensions = wanted.get("dimensions") or {}
    if len(dimensions) > MAX_DIMENSIONS:
        raise invalid(f"The maximum number of dimensions for a metric filter is {MAX_DIMENSIONS}.")
    if dimensions and wanted.get("defaultValue") is not None:
        raise invalid("Invalid metric transformation: dimensions and default value are mutually exclusive properties.")
    value = wanted["metricValue"]
    if not value.startswith("$") and _Selected(compile_pattern(""), "").number(value) is None:
        raise invalid("Invalid metric transformation: metric value must be a number or a selector.")
    made = MetricFilter(
        input["filterName"],
        input["filterPattern"],
        int(context.now() * 1000),
        wanted["metricNamespace"],
        wanted["metricName"],
        value,
        wanted.get("defaultValue"),
        wanted.get("unit", "None"),
        dict(dimensions),
    )

    async def put(tx: Transaction) -> None:
        group = await find_group(tx, context.region, input["logGroupName"])
        if group is None:
            raise no_group()
        others = [each for each in group.metrics if each.name != made.name]
        if len(others) >= MAX_FILTERS:
            raise limit_exceeded()
        group.metrics = sorted([*others, made], key=lambda each: each.name)
        put_group(tx, context.region, group)

    await context.store.transact(put)
    return {}


async def _on_described(context: Context, input: Input) -> Sequence[Demand]:
    demands = on_group("logs:DescribeMetricFilters") if "logGroupName" in input else on_anything("logs:DescribeMetricFilters")
    found = demands(context, input)
    return found if isinstance(found, Sequence) else await found


@service.operation("DescribeMetricFilters", _on_described)
async def describe_metric_filters(context: Context, input: Input) -> Output:
    if ("metricName" in input) is not ("metricNamespace" in input):
        raise invalid("MetricName and MetricNamespace must be specified together.")
    if "logGroupName" in input:
        named = await find_group(context.store, context.region, input["logGroupName"])
        if named is None:
            raise no_group()
        groups = [named]
    else:
        groups = [group async for group in _groups(context)]
    wanted = [
        (group.name, each)
        for group in groups
        for each in group.metrics
        if each.name.startswith(input.get("filterNamePrefix", ""))
        and input.get("metricName", each.metric) == each.metric
        and input.get("metricNamespace", each.namespace) == each.namespace
    ]
    chosen, more = page(wanted, input, _listed)
    return {"metricFilters": [_shown(group, each) for group, each in chosen], **more}


def _listed(pair: tuple[str, MetricFilter]) -> str:
    """Sorts as the groups' names do, and then the filters': no name of a group has what sorts before a space."""
    return f"{pair[0]} {pair[1].name}"


async def _groups(context: Context) -> AsyncIterator[Group]:
    """The region's groups, in order of their names."""
    start = b""
    while rows := await context.store.range(GROUPS, context.region.encode(), start, limit=SEARCH_SLICE):
        for _, value in rows:
            yield decode_group(value)
        start = rows[-1][0] + b"\x00"
        await asyncio.sleep(0)


def _shown(group: str, each: MetricFilter) -> dict[str, Any]:
    transformation = {
        "metricName": each.metric,
        "metricNamespace": each.namespace,
        "metricValue": each.value,
        "defaultValue": each.default,
        "dimensions": each.dimensions or None,
        "unit": each.unit,
    }
    return {
        "filterName": each.name,
        "filterPattern": each.pattern,
        "metricTransformations": [described(transformation)],
        "creationTime": each.created,
        "logGroupName": group,
        "applyOnTransformedLogs": False,
    }


@service.operation("DeleteMetricFilter", on_group("logs:DeleteMetricFilter"))
async def delete_metric_filter(context: Context, input: Input) -> Output:
    async def delete(tx: Transaction) -> None:
        group = await find_group(tx, context.region, input["logGroupName"])
        if group is None:
            raise no_group()
        left = [each for each in group.metrics if each.name != input["filterName"]]
        if len(left) == len(group.metrics):
            raise no_filter("metric")
        group.metrics = left
        put_group(tx, context.region, group)

    await context.store.transact(delete)
    return {}
