"""Metric alarms: what is kept of them, how they change, and what they do then."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.identity import refused
from tests.support.platform import RunningPlatform

WAIT_SECONDS = 90.0
FIRST = "Unchecked: Initial alarm creation"
NO_METRIC: dict[str, Any] = {"MetricName": None, "Namespace": None, "Statistic": None, "Period": None}
A = {
    "Id": "a",
    "MetricStat": {"Metric": {"Namespace": "n", "MetricName": "m"}, "Period": 60, "Stat": "Sum"},
    "ReturnData": False,
}


@pytest.fixture
def cloudwatch(client: Callable[..., Any]) -> Any:
    return client("cloudwatch")


@pytest.fixture
def alarm(cloudwatch: Any, name: str) -> Iterator[dict[str, Any]]:
    """The settings of an alarm that is not made yet."""
    yield {
        "AlarmName": name,
        "Namespace": name,
        "MetricName": "Errors",
        "Statistic": "Sum",
        "Period": 10,
        "EvaluationPeriods": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    }
    if cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]:
        cloudwatch.delete_alarms(AlarmNames=[name])


def shown(cloudwatch: Any, name: str) -> Any:
    return cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]


def until(good: Callable[[], Any]) -> Any:
    end = time.monotonic() + WAIT_SECONDS
    while not (found := good()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return found


def test_an_alarm_is_kept(platform: RunningPlatform, cloudwatch: Any, alarm: dict[str, Any], name: str) -> None:
    cloudwatch.put_metric_alarm(**alarm, Dimensions=[{"Name": "a", "Value": "b"}], Tags=[{"Key": "k", "Value": "v"}])
    made = shown(cloudwatch, name)
    arn = f"arn:aws:cloudwatch:us-east-1:{platform.account}:alarm:{name}"
    assert {key: value for key, value in made.items() if not isinstance(value, datetime)} == {
        **alarm,
        "Dimensions": [{"Name": "a", "Value": "b"}],
        "AlarmArn": arn,
        "ActionsEnabled": True,
        "OKActions": [],
        "AlarmActions": [],
        "InsufficientDataActions": [],
        "StateValue": "INSUFFICIENT_DATA",
        "StateReason": FIRST,
    }
    assert cloudwatch.describe_alarms(AlarmNamePrefix=name)["MetricAlarms"] == [made]
    found = cloudwatch.describe_alarms_for_metric(Namespace=name, MetricName="Errors", Dimensions=[{"Name": "a", "Value": "b"}])
    assert found["MetricAlarms"] == [made]
    assert cloudwatch.describe_alarms_for_metric(Namespace=name, MetricName="Errors")["MetricAlarms"] == []
    cloudwatch.tag_resource(ResourceARN=arn, Tags=[{"Key": "l", "Value": "w"}])
    cloudwatch.untag_resource(ResourceARN=arn, TagKeys=["k"])
    assert cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "l", "Value": "w"}]
    cloudwatch.disable_alarm_actions(AlarmNames=[name])
    assert shown(cloudwatch, name)["ActionsEnabled"] is False
    cloudwatch.put_metric_alarm(**alarm | {"Threshold": 2.0})
    history = cloudwatch.describe_alarm_history(AlarmName=name, ScanBy="TimestampAscending")["AlarmHistoryItems"]
    assert [(one["HistoryItemType"], one["HistorySummary"]) for one in history] == [
        ("ConfigurationUpdate", f'Alarm "{name}" created'),
        ("ConfigurationUpdate", f'Alarm "{name}" updated'),
    ]
    cloudwatch.delete_alarms(AlarmNames=[name])
    assert cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"] == []
    code, _, status = refused(cloudwatch.delete_alarms, AlarmNames=[name])
    assert (code, status) == ("ResourceNotFound", 404)


def test_alarms_and_their_histories_in_pages(cloudwatch: Any, alarm: dict[str, Any], name: str) -> None:
    names = [f"{name}-{number}" for number in range(3)]
    for each in names:
        cloudwatch.put_metric_alarm(**alarm | {"AlarmName": each})
    few = {"PaginationConfig": {"PageSize": 1}}
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{name}-", **few)
    assert [one["AlarmName"] for page in pages for one in page["MetricAlarms"]] == names
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNames=[*reversed(names), f"{name}-none"], **few)
    assert [one["AlarmName"] for page in pages for one in page["MetricAlarms"]] == names
    assert cloudwatch.describe_alarms(AlarmNamePrefix=f"{name}-", ActionPrefix="arn:")["MetricAlarms"] == []
    for order in (names, list(reversed(names))):
        by = "TimestampAscending" if order is names else "TimestampDescending"
        pages = cloudwatch.get_paginator("describe_alarm_history").paginate(ScanBy=by, **few)
        told = [one["AlarmName"] for page in pages for one in page["AlarmHistoryItems"]]
        assert [each for each in told if each in names] == order
    cloudwatch.delete_alarms(AlarmNames=names)


def test_a_state_is_set(cloudwatch: Any, alarm: dict[str, Any], name: str) -> None:
    cloudwatch.put_metric_alarm(**alarm)
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test", StateReasonData='{"a": 1}')
    made = shown(cloudwatch, name)
    assert (made["StateValue"], made["StateReason"], made["StateReasonData"]) == ("ALARM", "a test", '{"a": 1}')
    assert name in [one["AlarmName"] for one in cloudwatch.describe_alarms(StateValue="ALARM", AlarmNamePrefix=name)["MetricAlarms"]]
    history = cloudwatch.describe_alarm_history(AlarmName=name, HistoryItemType="StateUpdate")["AlarmHistoryItems"]
    assert [one["HistorySummary"] for one in history] == ["Alarm updated from INSUFFICIENT_DATA to ALARM"]
    assert refused(cloudwatch.set_alarm_state, AlarmName=name, StateValue="OK", StateReason="x", StateReasonData="{")[0] == "InvalidFormat"
    assert refused(cloudwatch.set_alarm_state, AlarmName=name + "x", StateValue="OK", StateReason="x")[0] == "ResourceNotFound"


def test_points_change_the_state_and_a_function_hears_of_it(
    platform: RunningPlatform, cloudwatch: Any, alarm: dict[str, Any], name: str, make_function: Callable[..., str]
) -> None:
    make_function(platform, "def handler(event, context): print('HEARD', event['alarmData']['state']['value'], event['alarmArn'])\n")
    function = f"arn:aws:lambda:us-east-1:{platform.account}:function:{name}"
    arn = f"arn:aws:cloudwatch:us-east-1:{platform.account}:alarm:{name}"
    platform.client("lambda").add_permission(
        FunctionName=name,
        StatementId="alarm",
        Action="lambda:InvokeFunction",
        Principal="lambda.alarms.cloudwatch.amazonaws.com",
        SourceArn=arn,
    )
    topic = f"arn:aws:sns:us-east-1:{platform.account}:nowhere"
    now = datetime.now(UTC)
    # The last period that is over, and the next ones: whenever it is looked at, one of them counts.
    for seconds in range(-20, 60, 10):
        datum = {"MetricName": "Errors", "Value": 3.0, "Timestamp": now + timedelta(seconds=seconds), "StorageResolution": 1}
        cloudwatch.put_metric_data(Namespace=name, MetricData=[datum])
    cloudwatch.put_metric_alarm(**alarm, AlarmActions=[function, topic])
    made = until(lambda: (found := shown(cloudwatch, name))["StateValue"] == "ALARM" and found)
    assert made["StateReason"].startswith("Threshold Crossed: 1 out of the last 1 datapoints [3.0 (")
    assert made["StateTransitionedTimestamp"] == made["StateUpdatedTimestamp"]

    def done() -> list[str]:
        items = cloudwatch.describe_alarm_history(AlarmName=name, HistoryItemType="Action")["AlarmHistoryItems"]
        return sorted(one["HistorySummary"] for one in items) if len(items) == 2 else []

    failed, succeeded = until(done)
    assert succeeded == f"Successfully executed action {function}"
    assert failed.startswith(f"Failed to execute action {topic}.")
    logs = platform.client("logs")

    def heard() -> Any:
        try:
            return logs.filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern="HEARD")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return None

    assert until(heard)[0]["message"].strip() == f"HEARD ALARM {arn}"


def test_alarms_on_expressions(cloudwatch: Any, alarm: dict[str, Any], name: str) -> None:
    stat = {"Metric": {"Namespace": name, "MetricName": "Errors"}, "Period": 60, "Stat": "Sum"}
    metrics = [{"Id": "a", "MetricStat": stat, "ReturnData": False}, {"Id": "b", "Expression": "a * 2", "ReturnData": True}]
    kept = {key: alarm[key] for key in ("AlarmName", "EvaluationPeriods", "Threshold", "ComparisonOperator")}
    cloudwatch.put_metric_alarm(**kept, Metrics=metrics)
    assert shown(cloudwatch, name)["Metrics"] == metrics and "MetricName" not in shown(cloudwatch, name)
    both = [metrics[0] | {"ReturnData": True}, metrics[1]]
    assert refused(cloudwatch.put_metric_alarm, **kept, Metrics=both)[0] == "ValidationError"


@pytest.mark.parametrize(
    "wrong",
    [
        {"Statistic": None},
        {"ExtendedStatistic": "p90"},
        {"Period": 7},
        {"Threshold": None},
        {"TreatMissingData": "bogus"},
        {"DatapointsToAlarm": 2},
        {"Period": 3600, "EvaluationPeriods": 200},
        {"MetricName": None},
        {"Metrics": [{"Id": "a", "Expression": "b"}]},
        NO_METRIC | {"Metrics": [A, {"Id": "b", "Expression": "BOGUS(a)"}]},
        NO_METRIC | {"Metrics": [A, {"Id": "b", "Expression": "a + LOG(0)"}]},
    ],
)
def test_alarms_that_cannot_be(cloudwatch: Any, alarm: dict[str, Any], wrong: dict[str, Any]) -> None:
    given = {key: value for key, value in (alarm | wrong).items() if value is not None}
    assert refused(cloudwatch.put_metric_alarm, **given)[0] == "ValidationError"
