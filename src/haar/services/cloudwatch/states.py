"""Alarms at work: their states are evaluated, changes of them are told to functions."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

from haar.services.cloudwatch.alarmrecords import ALARMS, Alarm, Entry, add_entry, alarm_arn, decode, find_alarm, put_alarm
from haar.services.cloudwatch.evaluation import EXTRA_PERIODS, INSUFFICIENT, MISSING, Rule, evaluate
from haar.services.cloudwatch.metricdata import worked_out
from haar.services.service import Host
from haar.store.contract import Transaction
from haar.store.queue import Job, LeaseLost, Queue
from haar.wire.errors import ServiceError

log = logging.getLogger("haar.cloudwatch")

QUEUE = "cloudwatch.actions"
TICK_SECONDS = 5.0
SHORTEST, LONGEST = 10.0, 60.0
"""Seconds between two evaluations of one alarm: its period, within these."""
ALARM_SLICE = 100
MAIN = "m"
"""The id of the metric of an alarm that names just one."""
CALLER = "lambda.alarms.cloudwatch.amazonaws.com"
MOST_REASON = 1023
ACTIONS = {"OK": "OKActions", "ALARM": "AlarmActions", INSUFFICIENT: "InsufficientDataActions"}
Settings = dict[str, Any]


class Action(msgspec.Struct):
    region: str
    alarm: str
    target: str
    event: dict[str, Any]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Action).decode


def queries_of(settings: Settings) -> list[Settings]:
    """The alarm's metrics as GetMetricData asks for them."""
    if "Metrics" in settings:
        return list(settings["Metrics"])
    metric = {"Namespace": settings["Namespace"], "MetricName": settings["MetricName"], "Dimensions": settings.get("Dimensions", [])}
    stat = {"Metric": metric, "Period": settings["Period"], "Stat": settings.get("Statistic") or settings["ExtendedStatistic"]}
    return [{"Id": MAIN, "MetricStat": stat | ({"Unit": settings["Unit"]} if "Unit" in settings else {}), "ReturnData": True}]


def period_of(settings: Settings) -> int:
    queries = queries_of(settings)
    periods = [query["MetricStat"]["Period"] for query in queries if "MetricStat" in query] + [query.get("Period", 0) for query in queries]
    return int(max(periods))


def rule_of(settings: Settings) -> Rule:
    periods: int = settings["EvaluationPeriods"]
    missing = settings.get("TreatMissingData", MISSING)
    return Rule(settings["ComparisonOperator"], settings["Threshold"], periods, settings.get("DatapointsToAlarm", periods), missing)


async def become(tx: Transaction, host: Host, region: str, alarm: Alarm, state: str, reason: str, data: str, ids: list[str]) -> None:
    """Puts an alarm into a state, in the caller's transaction; what is to be done about it is queued. `ids` name the actions."""
    before, now = {"stateValue": alarm.state, "stateReason": alarm.reason}, host.clock.now()
    event = _event(host, region, alarm, state, reason, data, now)
    changed = state != alarm.state
    alarm.transitioned = now if changed else alarm.transitioned
    alarm.state, alarm.reason, alarm.data, alarm.changed = state, reason, data, now
    put_alarm(tx, region, alarm)
    if not changed:
        return
    told = orjson.dumps({"version": "1.0", "oldState": before, "newState": {"stateValue": state, "stateReason": reason}}).decode()
    summary = f"Alarm updated from {before['stateValue']} to {state}"
    await add_entry(tx, region, Entry(alarm.name, now, "StateUpdate", summary, told))
    if alarm.settings.get("ActionsEnabled", True):
        queue = host.get(Actions).queue
        for job_id, target in zip(ids, alarm.settings.get(ACTIONS[state], ()), strict=False):
            queue.put(tx, job_id, _encode(Action(region, alarm.name, target, event)), now)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(seconds * 1000) % 1000:03d}+0000"


def _event(host: Host, region: str, alarm: Alarm, state: str, reason: str, data: str, now: float) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html"""
    metrics = []
    for query in queries_of(alarm.settings):
        shown: dict[str, Any] = {"id": query["Id"], "returnData": query.get("ReturnData", True)}
        if (stat := query.get("MetricStat")) is not None:
            metric = stat["Metric"]
            dimensions = {each["Name"]: each["Value"] for each in metric.get("Dimensions", ())}
            named = {"namespace": metric.get("Namespace"), "name": metric.get("MetricName"), "dimensions": dimensions}
            shown["metricStat"] = {"metric": named, "period": stat["Period"], "stat": stat["Stat"]}
        else:
            shown["expression"] = query["Expression"]
        metrics.append(shown)
    new: dict[str, Any] = {"value": state, "reason": reason, "timestamp": _moment(now)}
    old: dict[str, Any] = {"value": alarm.state, "reason": alarm.reason, "timestamp": _moment(alarm.changed)}
    for told, text in ((new, data), (old, alarm.data)):
        if text:
            told["reasonData"] = text
    configuration: dict[str, Any] = {"metrics": metrics}
    if "AlarmDescription" in alarm.settings:
        configuration["description"] = alarm.settings["AlarmDescription"]
    return {
        "source": "aws.cloudwatch",
        "alarmArn": alarm_arn(region, host.account, alarm.name),
        "accountId": host.account,
        "time": _moment(now),
        "region": region,
        "alarmData": {"alarmName": alarm.name, "state": new, "previousState": old, "configuration": configuration},
    }


class Actions:
    """What alarms have done: one a host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.queue = Queue(host.store, QUEUE, host.clock)
        self._due: dict[tuple[str, str], float] = {}
        """When an alarm is evaluated again."""

    async def act(self, job: Job) -> None:
        action = _decode(job.body)
        try:
            await self._invoke(action)
            summary = f"Successfully executed action {action.target}"
        except ServiceError as error:
            summary = f'Failed to execute action {action.target}. Received error: "{error.message or error.code}"'
        entry = Entry(action.alarm, self._host.clock.now(), "Action", summary[:255], orjson.dumps({"actionState": summary}).decode())

        async def write(tx: Transaction) -> None:
            await add_entry(tx, action.region, entry)

        try:
            await self.queue.finish(job, write)
        except LeaseLost:
            log.warning("the action %s of %s may be done twice", action.target, action.alarm)

    async def _invoke(self, action: Action) -> None:
        from haar.services.lambda_ import public as lambda_  # it puts its metrics here: each of the two knows the other

        host = self._host
        if not action.target.startswith("arn:aws:lambda:"):
            raise ServiceError("InvalidParameterValue", "haar's alarms act by functions only")
        source = lambda_.Source(CALLER, alarm_arn(action.region, host.account, action.alarm), host.account)
        payload, region = orjson.dumps(action.event), action.target.split(":")[3]
        await lambda_.invoke(host, action.target, payload, caller=source, request_id=host.ids.uuid(), region=region, kind="Event")

    def wait(self, region: str, name: str) -> None:
        """A state that somebody has set stays until the next evaluation would be."""
        self._due[region, name] = self._host.clock.now() + LONGEST

    async def evaluate_due(self) -> None:
        """Evaluates the alarms whose time has come."""
        now, after, there = self._host.clock.now(), None, set()
        while rows := await self._host.store.scan(ALARMS, after=after, limit=ALARM_SLICE):
            for row in rows:
                region, alarm = row.partition.decode(), decode(row.value)
                there.add((region, alarm.name))
                if self._due.get((region, alarm.name), 0.0) <= now:
                    self._due[region, alarm.name] = now + min(LONGEST, max(SHORTEST, period_of(alarm.settings)))
                    await self.evaluate(region, alarm)
                await asyncio.sleep(0)
            after = (rows[-1].partition, rows[-1].sort)
        self._due = {key: due for key, due in self._due.items() if key in there}

    async def evaluate(self, region: str, alarm: Alarm) -> None:
        rule, period = rule_of(alarm.settings), period_of(alarm.settings)
        end = int(self._host.clock.now()) // period * period
        start = end - (rule.periods + EXTRA_PERIODS) * period
        queries = queries_of(alarm.settings)
        try:
            values = await worked_out(self._host.store, region, queries, start, end)
        except ServiceError as error:
            log.warning("alarm %s: %s", alarm.name, error)
            return
        shown = next(query["Id"] for query in queries if query.get("ReturnData", True))
        verdict = evaluate(rule, sorted(values[shown].items(), reverse=True), alarm.state)
        if verdict.state is None or verdict.state == alarm.state:
            return
        data = {
            "version": "1.0",
            "queryDate": _moment(self._host.clock.now()),
            "period": period,
            "recentDatapoints": [value for _, value in verdict.points],
            "threshold": rule.threshold,
        }
        state, reason, told = verdict.state, verdict.reason[:MOST_REASON], orjson.dumps(data).decode()
        ids = [self._host.ids.uuid() for _ in alarm.settings.get(ACTIONS[state], ())]

        async def write(tx: Transaction) -> None:
            current = await find_alarm(tx, region, alarm.name)
            if current is not None and (current.updated, current.changed) == (alarm.updated, alarm.changed):
                await become(tx, self._host, region, current, state, reason, told, ids)

        await self._host.store.transact(write)


async def keep_evaluating(host: Host) -> None:
    actions = host.get(Actions)
    while True:
        await actions.evaluate_due()
        await asyncio.sleep(TICK_SECONDS)


async def keep_acting(host: Host) -> None:
    actions = host.get(Actions)
    await actions.queue.run(actions.act)
