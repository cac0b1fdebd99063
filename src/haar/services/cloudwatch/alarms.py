"""Metric alarms: made, described, set, deleted, tagged; their history."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from haar.services.cloudwatch import arithmetic, records, service
from haar.services.cloudwatch.alarmrecords import (
    ALARMS,
    HISTORY,
    Alarm,
    Entry,
    add_entry,
    alarm_arn,
    decode,
    decode_entry,
    find_alarm,
    history_of,
    put_alarm,
)
from haar.services.cloudwatch.errors import bad_token, invalid, no_alarm, not_found
from haar.services.cloudwatch.evaluation import COMPARISONS, INSUFFICIENT, TREATMENTS
from haar.services.cloudwatch.metricdata import check_queries
from haar.services.cloudwatch.points import canonical
from haar.services.cloudwatch.records import DAY, MINUTE
from haar.services.cloudwatch.states import ACTIONS, Actions, become, period_of, queries_of
from haar.services.service import Context, Demand, Demands, Input, Output
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

MOST_SECONDS = DAY
SHORT_PERIODS = (10, 20, 30)
PAGE = 50
ALARM_SLICE = 100
MAX_TAGS = 50
UNBUILT = (
    "ThresholdMetricId",
    "EvaluationWindow",
    "WarmUpConfiguration",
    "EvaluationCriteria",
    "EvaluationInterval",
    "ActionConfiguration",
)
DEFAULTS: dict[str, Any] = {"ActionsEnabled": True, "OKActions": [], "AlarmActions": [], "InsufficientDataActions": []}
FIRST_REASON = "Unchecked: Initial alarm creation"


def _tag_keys(tags: Sequence[dict[str, str]]) -> dict[str, Sequence[str]]:
    keys: dict[str, Sequence[str]] = {f"aws:RequestTag/{tag['Key']}": [tag["Value"]] for tag in tags}
    return keys | ({"aws:TagKeys": [tag["Key"] for tag in tags]} if tags else {})


async def _demand(ctx: Context, action: str, name: str, conditions: dict[str, Sequence[str]]) -> Demand:
    alarm = await find_alarm(ctx.store, ctx.region, name)
    arn = alarm_arn(ctx.region, ctx.account, name)
    return Demand(f"cloudwatch:{action}", arn, conditions, tags=alarm.tags if alarm else {})


async def _making(ctx: Context, input: Input) -> list[Demand]:
    conditions = _tag_keys(input.get("Tags") or ())
    if actions := [arn for member in ACTIONS.values() for arn in input.get(member) or ()]:
        conditions["cloudwatch:AlarmActions"] = actions
    made = [await _demand(ctx, "PutMetricAlarm", input["AlarmName"], conditions)]
    if input.get("Tags"):
        made.append(await _demand(ctx, "TagResource", input["AlarmName"], conditions))
    return made


def _on(action: str) -> Demands:
    """The action on the alarms that are named, or on all."""

    async def demands(ctx: Context, input: Input) -> list[Demand]:
        names = input.get("AlarmNames") or [input.get("AlarmName") or "*"]
        return [await _demand(ctx, action, name, {}) for name in names]

    return demands


def _on_tagged(action: str) -> Demands:
    async def demands(ctx: Context, input: Input) -> list[Demand]:
        conditions = _tag_keys(input.get("Tags") or ())
        if "TagKeys" in input:
            conditions["aws:TagKeys"] = input["TagKeys"]
        return [await _demand(ctx, action, _name_of(ctx, input["ResourceARN"]), conditions)]

    return demands


def _name_of(ctx: Context, arn: str) -> str:
    prefix = alarm_arn(ctx.region, ctx.account, "")
    if not arn.startswith(prefix):
        raise not_found(f"Unknown resource: {arn}")
    return arn.removeprefix(prefix)


def _settings(input: Input) -> dict[str, Any]:
    """What an input says of an alarm. Raises ValidationError."""
    for member in UNBUILT:
        if input.get(member) is not None:
            raise invalid(f"haar does not have the parameter {member}.")
    single = [member for member in ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Period") if input.get(member) is not None]
    if metrics := input.get("Metrics"):
        if single:
            raise invalid(f"Metrics list must not be specified together with {', '.join(single)}.")
        _check_metrics(metrics)
    else:
        _check_single(input)
    if input["ComparisonOperator"] not in COMPARISONS:
        raise invalid(f"haar does not have the comparison operator {input['ComparisonOperator']}.")
    if input.get("Threshold") is None:
        raise invalid("The parameter Threshold is required.")
    if input.get("TreatMissingData", TREATMENTS[0]) not in TREATMENTS:
        raise invalid(f"Invalid option provided for TreatMissingData. Must be one of: {', '.join(TREATMENTS)}")
    if input.get("DatapointsToAlarm", 0) > input["EvaluationPeriods"]:
        raise invalid("DatapointsToAlarm must be less than or equal to EvaluationPeriods.")
    kept = DEFAULTS | {name: value for name, value in input.items() if name not in ("Tags", "AlarmName") and value is not None}
    if "Metrics" not in kept:
        kept["Dimensions"] = records.shown(records.dimensions_of(input.get("Dimensions")))
    if period_of(kept) * input["EvaluationPeriods"] > MOST_SECONDS * (7 if period_of(kept) >= 3600 else 1):
        raise invalid(f"Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= {MOST_SECONDS}).")
    return kept


def _check_metrics(metrics: list[dict[str, Any]]) -> None:
    check_queries(metrics)
    if sum(query.get("ReturnData", True) for query in metrics) != 1:
        raise invalid("Exactly one element of the metrics list should return data.")
    plain = {query["Id"] for query in metrics if "MetricStat" in query}
    if not plain:
        raise invalid("The metrics list must hold a metric.")
    nothing: dict[str, dict[int, float]] = {name: {} for name in plain}
    periods = {query["Id"]: query["MetricStat"]["Period"] for query in metrics if "MetricStat" in query}
    for query in arithmetic.ordered([query for query in metrics if "Expression" in query], plain):
        nothing[query["Id"]] = arithmetic.evaluate(query["Id"], query["Expression"], nothing, periods)


def _check_single(input: Input) -> None:
    for member in ("MetricName", "Namespace", "Period"):
        if input.get(member) is None:
            raise invalid(f"The parameter {member} is required.")
    if (input.get("Statistic") is None) == (input.get("ExtendedStatistic") is None):
        raise invalid("Exactly one of Statistic and ExtendedStatistic must be specified.")
    if (statistic := input.get("ExtendedStatistic")) is not None and canonical(statistic) is None:
        raise invalid(f"The value {statistic} for parameter ExtendedStatistic is not supported.")
    if input["Period"] not in SHORT_PERIODS and input["Period"] % MINUTE:
        raise invalid("Period must be 10, 20, 30 or a multiple of 60")


@service.operation("PutMetricAlarm", _making)
async def put_metric_alarm(ctx: Context, input: Input) -> Output:
    name, settings, now, region = input["AlarmName"], _settings(input), ctx.now(), ctx.region
    tags = {tag["Key"]: tag["Value"] for tag in input.get("Tags") or ()}
    if len(tags) > MAX_TAGS:
        raise invalid(f"A resource has at most {MAX_TAGS} tags.")

    async def write(tx: Transaction) -> None:
        alarm = await find_alarm(tx, region, name)
        verb = "created" if alarm is None else "updated"
        if alarm is None:
            alarm = Alarm(name, settings, now, INSUFFICIENT, FIRST_REASON, now, now, tags=tags)
        else:
            alarm.settings, alarm.updated = settings, now
        put_alarm(tx, region, alarm)
        told = orjson.dumps({"version": "1.0", "type": verb.capitalize()[:-1]}).decode()
        await add_entry(tx, region, Entry(name, now, "ConfigurationUpdate", f'Alarm "{name}" {verb}', told))

    await ctx.store.transact(write)
    return {}


def _when(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def _shown(ctx: Context, alarm: Alarm) -> dict[str, Any]:
    shown = alarm.settings | {
        "AlarmName": alarm.name,
        "AlarmArn": alarm_arn(ctx.region, ctx.account, alarm.name),
        "AlarmConfigurationUpdatedTimestamp": _when(alarm.updated),
        "StateValue": alarm.state,
        "StateReason": alarm.reason,
        "StateUpdatedTimestamp": _when(alarm.changed),
        "StateTransitionedTimestamp": _when(alarm.transitioned),
    }
    return shown | ({"StateReasonData": alarm.data} if alarm.data else {})


async def _all(ctx: Context, prefix: str = "", after: str = "") -> AsyncIterator[Alarm]:
    """The region's alarms whose names begin with `prefix`, behind the name `after`, in order; read in slices that let others in."""
    start = max(prefix.encode(), after.encode() + b"\x00" if after else b"")
    while rows := await ctx.store.range(ALARMS, ctx.region.encode(), start, limit=ALARM_SLICE):
        for _, value in rows:
            alarm = decode(value)
            if not alarm.name.startswith(prefix):
                return
            yield alarm
        start = rows[-1][0] + b"\x00"
        await asyncio.sleep(0)


async def _named(ctx: Context, names: Sequence[str], after: str) -> AsyncIterator[Alarm]:
    for name in sorted(set(names)):
        if name > after and (alarm := await find_alarm(ctx.store, ctx.region, name)) is not None:
            yield alarm


def _place(token: str | None) -> str:
    if token is None:
        return ""
    try:
        return b64decode(token, validate=True).decode()
    except ValueError:
        raise bad_token() from None


@service.operation("DescribeAlarms", _on("DescribeAlarms"))
async def describe_alarms(ctx: Context, input: Input) -> Output:
    names, prefix = input.get("AlarmNames"), input.get("AlarmNamePrefix")
    if names and prefix:
        raise invalid("AlarmNamePrefix and AlarmNames are mutually exclusive.")
    if "MetricAlarm" not in input.get("AlarmTypes", ["MetricAlarm"]):
        return {"CompositeAlarms": [], "MetricAlarms": []}
    after, most = _place(input.get("NextToken")), input.get("MaxRecords", PAGE)
    wanted: list[Alarm] = []
    async for alarm in _named(ctx, names, after) if names else _all(ctx, prefix or "", after):
        if input.get("StateValue", alarm.state) == alarm.state and _acts(alarm, input.get("ActionPrefix", "")):
            wanted.append(alarm)
        if len(wanted) > most:
            break
    output: dict[str, Any] = {"CompositeAlarms": [], "MetricAlarms": [_shown(ctx, alarm) for alarm in wanted[:most]]}
    if len(wanted) > most:
        output["NextToken"] = b64encode(wanted[most - 1].name.encode()).decode()
    return output


def _acts(alarm: Alarm, prefix: str) -> bool:
    return not prefix or any(arn.startswith(prefix) for member in ACTIONS.values() for arn in alarm.settings.get(member, ()))


def _anywhere(ctx: Context, input: Input) -> Sequence[Demand]:
    return [Demand("cloudwatch:DescribeAlarmsForMetric")]


@service.operation("DescribeAlarmsForMetric", _anywhere)
async def describe_alarms_for_metric(ctx: Context, input: Input) -> Output:
    wanted = (input["Namespace"], input["MetricName"], records.dimensions_of(input.get("Dimensions")))

    def about(alarm: Alarm) -> bool:
        if any(input.get(member, alarm.settings.get(member)) != alarm.settings.get(member) for member in ("Statistic", "Period", "Unit")):
            return False
        stats = [query["MetricStat"]["Metric"] for query in queries_of(alarm.settings) if "MetricStat" in query]
        return any((one["Namespace"], one["MetricName"], records.dimensions_of(one.get("Dimensions"))) == wanted for one in stats)

    return {"MetricAlarms": [_shown(ctx, alarm) async for alarm in _all(ctx) if about(alarm)]}


@service.operation("SetAlarmState", _on("SetAlarmState"))
async def set_alarm_state(ctx: Context, input: Input) -> Output:
    state, data = input["StateValue"], input.get("StateReasonData", "")
    if data:
        try:
            orjson.loads(data)
        except orjson.JSONDecodeError:
            raise ServiceError("InvalidFormat", "StateReasonData is not valid JSON", 400) from None
    ids = [ctx.host.ids.uuid() for _ in range(5)]

    async def write(tx: Transaction) -> None:
        alarm = await find_alarm(tx, ctx.region, input["AlarmName"])
        if alarm is None:
            raise no_alarm()
        await become(tx, ctx.host, ctx.region, alarm, state, input["StateReason"], data, ids)

    await ctx.store.transact(write)
    ctx.host.get(Actions).wait(ctx.region, input["AlarmName"])
    return {}


async def _change(ctx: Context, name: str, edit: Callable[[Alarm], None], missing: Callable[[], ServiceError] | None) -> None:
    async def write(tx: Transaction) -> None:
        alarm = await find_alarm(tx, ctx.region, name)
        if alarm is None:
            if missing is None:
                return
            raise missing()
        edit(alarm)
        put_alarm(tx, ctx.region, alarm)

    await ctx.store.transact(write)


async def _enable(ctx: Context, input: Input, enabled: bool) -> Output:
    for name in input["AlarmNames"]:
        await _change(ctx, name, lambda alarm: alarm.settings.update(ActionsEnabled=enabled), None)
    return {}


@service.operation("EnableAlarmActions", _on("EnableAlarmActions"))
async def enable_alarm_actions(ctx: Context, input: Input) -> Output:
    return await _enable(ctx, input, True)


@service.operation("DisableAlarmActions", _on("DisableAlarmActions"))
async def disable_alarm_actions(ctx: Context, input: Input) -> Output:
    return await _enable(ctx, input, False)


@service.operation("DeleteAlarms", _on("DeleteAlarms"))
async def delete_alarms(ctx: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> None:
        for name in input["AlarmNames"]:
            if await find_alarm(tx, ctx.region, name) is None:
                raise no_alarm()
            tx.delete(ALARMS, ctx.region.encode(), name.encode())
            for sort, _ in await tx.range(HISTORY, history_of(ctx.region, name)):
                tx.delete(HISTORY, history_of(ctx.region, name), sort)

    await ctx.store.transact(write)
    return {}


@service.operation("DescribeAlarmHistory", _on("DescribeAlarmHistory"))
async def describe_alarm_history(ctx: Context, input: Input) -> Output:
    names = [input["AlarmName"]] if "AlarmName" in input else [alarm.name async for alarm in _all(ctx)]
    start, end = (input[member].timestamp() if member in input else None for member in ("StartDate", "EndDate"))
    token = _place(input.get("NextToken"))
    if token and not token.isdigit():
        raise bad_token()
    at, most = int(token or 0), input.get("MaxRecords", PAGE)
    wanted: list[Entry] = []
    for name in names:
        entries = [decode_entry(value) for _, value in await ctx.store.range(HISTORY, history_of(ctx.region, name))]
        wanted += [
            entry
            for entry in entries
            if input.get("HistoryItemType", entry.kind) == entry.kind
            and (start is None or entry.time >= start)
            and (end is None or entry.time <= end)
        ]
        wanted.sort(key=lambda entry: entry.time, reverse=input.get("ScanBy") != "TimestampAscending")
        del wanted[at + most + 1 :]  # no more of them are looked at
        await asyncio.sleep(0)
    shown = [
        {
            "AlarmName": entry.alarm,
            "AlarmType": "MetricAlarm",
            "Timestamp": _when(entry.time),
            "HistoryItemType": entry.kind,
            "HistorySummary": entry.summary,
            "HistoryData": entry.data,
        }
        for entry in wanted[at : at + most]
    ]
    return {"AlarmHistoryItems": shown} | ({"NextToken": b64encode(b"%d" % (at + most)).decode()} if at + most < len(wanted) else {})


@service.operation("TagResource", _on_tagged("TagResource"))
async def tag_resource(ctx: Context, input: Input) -> Output:
    def edit(alarm: Alarm) -> None:
        alarm.tags = alarm.tags | {tag["Key"]: tag["Value"] for tag in input["Tags"]}
        if len(alarm.tags) > MAX_TAGS:
            raise invalid(f"A resource has at most {MAX_TAGS} tags.")

    await _change(ctx, _name_of(ctx, input["ResourceARN"]), edit, lambda: not_found(f"Unknown resource: {input['ResourceARN']}"))
    return {}


@service.operation("UntagResource", _on_tagged("UntagResource"))
async def untag_resource(ctx: Context, input: Input) -> Output:
    def edit(alarm: Alarm) -> None:
        alarm.tags = {key: value for key, value in alarm.tags.items() if key not in input["TagKeys"]}

    await _change(ctx, _name_of(ctx, input["ResourceARN"]), edit, lambda: not_found(f"Unknown resource: {input['ResourceARN']}"))
    return {}


@service.operation("ListTagsForResource", _on_tagged("ListTagsForResource"))
async def list_tags_for_resource(ctx: Context, input: Input) -> Output:
    alarm = await find_alarm(ctx.store, ctx.region, _name_of(ctx, input["ResourceARN"]))
    if alarm is None:
        raise not_found(f"Unknown resource: {input['ResourceARN']}")
    return {"Tags": [{"Key": key, "Value": value} for key, value in alarm.tags.items()]}
