"""What log events lead to: deliveries to functions, and metrics."""

import base64
import gzip
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.identity import refused
from tests.support.platform import RunningPlatform

WAIT_SECONDS = 60.0
SAYS = "def handler(event, context): print('GOT', event['awslogs']['data'])\n"
NO_PERMISSION = "Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute your function."


@pytest.fixture
def logs(client: Callable[..., Any]) -> Any:
    return client("logs")


@pytest.fixture
def group(logs: Any, name: str) -> Iterator[str]:
    logs.create_log_group(logGroupName=f"/{name}")
    logs.create_log_stream(logGroupName=f"/{name}", logStreamName="s")
    yield f"/{name}"
    logs.delete_log_group(logGroupName=f"/{name}")


def put(logs: Any, group: str, *messages: str) -> int:
    now = int(time.time() * 1000)
    logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=[{"timestamp": now, "message": one} for one in messages])
    return now


def until(good: Callable[[], Any]) -> Any:
    end = time.monotonic() + WAIT_SECONDS
    while not (found := good()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def test_events_are_sent_to_a_function(
    platform: RunningPlatform, logs: Any, group: str, name: str, make_function: Callable[..., str]
) -> None:
    make_function(platform, SAYS)
    function = f"arn:aws:lambda:us-east-1:{platform.account}:function:{name}"
    wanted = {"logGroupName": group, "filterName": "f", "filterPattern": "ERROR", "destinationArn": function}
    assert refused(logs.put_subscription_filter, **wanted) == ("InvalidParameterException", NO_PERMISSION, 400)
    source = f"arn:aws:logs:us-east-1:{platform.account}:log-group:{group}:*"
    platform.client("lambda").add_permission(
        FunctionName=name, StatementId="logs", Action="lambda:InvokeFunction", Principal="logs.amazonaws.com", SourceArn=source
    )
    logs.put_subscription_filter(**wanted)
    shown = logs.describe_subscription_filters(logGroupName=group)["subscriptionFilters"]
    assert [(one["filterName"], one["filterPattern"], one["destinationArn"], one["distribution"]) for one in shown] == [
        ("f", "ERROR", function, "ByLogStream")
    ]
    now = put(logs, group, "fine", "an ERROR", "another ERROR")

    def said() -> str:
        try:
            found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern="GOT")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return ""
        return str(found[0]["message"]) if found else ""

    sent = json.loads(gzip.decompress(base64.b64decode(until(said).split()[1])))
    ids = {one["message"]: one["eventId"] for one in logs.filter_log_events(logGroupName=group)["events"]}
    assert sent == {
        "messageType": "DATA_MESSAGE",
        "owner": platform.account,
        "logGroup": group,
        "logStream": "s",
        "subscriptionFilters": ["f"],
        "logEvents": [{"id": ids[text], "timestamp": now, "message": text} for text in ("an ERROR", "another ERROR")],
    }
    for number in (2, 3):
        more = wanted | {"filterName": f"f{number}", "filterPattern": ""}
        if number == 2:
            logs.put_subscription_filter(**more)
        else:
            assert refused(logs.put_subscription_filter, **more) == ("LimitExceededException", "Resource limit exceeded.", 400)
    logs.delete_subscription_filter(logGroupName=group, filterName="f")
    gone = ("ResourceNotFoundException", "The specified subscription filter does not exist.", 400)
    assert refused(logs.delete_subscription_filter, logGroupName=group, filterName="f") == gone


def points(platform: RunningPlatform, namespace: str, metric: str, **dimensions: str) -> Any:
    now = datetime.now(UTC)
    return platform.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=10),
        Period=3600,
        Statistics=["Sum", "SampleCount"],
    )["Datapoints"]


def sums(platform: RunningPlatform, namespace: str, metric: str, **dimensions: str) -> list[tuple[float, float, str]]:
    return [(one["Sum"], one["SampleCount"], one["Unit"]) for one in points(platform, namespace, metric, **dimensions)]


def test_events_become_metrics(platform: RunningPlatform, logs: Any, group: str, name: str) -> None:
    transformation = {"metricName": "Took", "metricNamespace": name, "metricValue": "$.took", "unit": "Milliseconds"}
    pattern = '{ $.level = "ERROR" }'
    logs.put_metric_filter(logGroupName=group, filterName="took", filterPattern=pattern, metricTransformations=[transformation])
    counting = {"metricName": "Count", "metricNamespace": name, "metricValue": "1", "dimensions": {"Path": "$path"}}
    logs.put_metric_filter(logGroupName=group, filterName="count", filterPattern="[verb=GET, path]", metricTransformations=[counting])
    nothing = {"metricName": "Zero", "metricNamespace": name, "metricValue": "1", "defaultValue": 0.0}
    logs.put_metric_filter(logGroupName=group, filterName="zero", filterPattern="nowhere", metricTransformations=[nothing])
    shown = logs.describe_metric_filters(logGroupName=group)["metricFilters"]
    assert [one["filterName"] for one in shown] == ["count", "took", "zero"]
    assert shown[1]["metricTransformations"] == [transformation] and shown[1]["logGroupName"] == group
    assert logs.describe_metric_filters(metricName="Took", metricNamespace=name)["metricFilters"] == [shown[1]]
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["metricFilterCount"] == 3
    put(logs, group, '{"level": "ERROR", "took": 7}', '{"level": "INFO", "took": 9}', '{"level": "ERROR", "took": 5}', "GET /a", "PUT /a")
    until(lambda: sums(platform, name, "Took") == [(12.0, 2.0, "Milliseconds")])
    until(lambda: sums(platform, name, "Count", Path="/a") == [(1.0, 1.0, "None")])
    until(lambda: sums(platform, name, "Zero") == [(0.0, 1.0, "None")])
    logs.delete_metric_filter(logGroupName=group, filterName="took")
    gone = ("ResourceNotFoundException", "The specified metric filter does not exist.", 400)
    assert refused(logs.delete_metric_filter, logGroupName=group, filterName="took") == gone


def test_events_in_the_embedded_metric_format(platform: RunningPlatform, logs: Any, group: str, name: str) -> None:
    metrics = [{"Name": "Latency", "Unit": "Milliseconds"}, {"Name": "Calls"}]
    head = {
        "Timestamp": int(time.time() * 1000),
        "CloudWatchMetrics": [{"Namespace": name, "Dimensions": [["Api"], []], "Metrics": metrics}],
    }
    put(logs, group, json.dumps({"_aws": head, "Api": "shop", "Latency": [3, 4], "Calls": 1}), '{"_aws": 7}', '"_aws"', '{"_aws": {')
    until(lambda: sums(platform, name, "Latency", Api="shop") == [(7.0, 2.0, "Milliseconds")])
    until(lambda: sums(platform, name, "Calls") == [(1.0, 1.0, "None")])


def test_an_event_is_no_more_than_one_events_worth_of_metrics(platform: RunningPlatform, logs: Any, group: str, name: str) -> None:
    whole = {"Namespace": name, "Dimensions": [[]], "Metrics": [{"Name": "many"}] * 1000}
    endless = {"Namespace": name, "Dimensions": [[]] * 2000, "Metrics": [{"Name": "endless"}] * 100}
    directives = {"Timestamp": 1, "CloudWatchMetrics": [whole, endless, whole]}
    put(logs, group, json.dumps({"_aws": directives, "many": list(range(1000)), "endless": list(range(1000))}))
    put(logs, group, json.dumps({"_aws": {"CloudWatchMetrics": [{"Namespace": name, "Metrics": [{"Name": "next"}]}]}, "next": 1}))
    metrics = platform.client("cloudwatch")

    def counted(metric: str) -> float:
        end = datetime.now(UTC) + timedelta(minutes=1)
        asked = {"Namespace": name, "MetricName": metric, "StartTime": end - timedelta(minutes=10), "EndTime": end}
        points = metrics.get_metric_statistics(**asked, Period=60, Statistics=["SampleCount"])["Datapoints"]
        return float(sum(point["SampleCount"] for point in points))

    until(lambda: counted("next"))
    assert (counted("many"), counted("endless")) == (100 * 100, 0)


def test_filters_measure_each_event_of_a_large_batch_once(platform: RunningPlatform, logs: Any, group: str, name: str) -> None:
    for number in range(3):
        transformation = {"metricName": f"m{number}", "metricNamespace": name, "metricValue": "$.a", "dimensions": {"B": "$.b"}}
        logs.put_metric_filter(
            logGroupName=group, filterName=f"f{number}", filterPattern="{ $.a > 0 }", metricTransformations=[transformation]
        )
    put(logs, group, *[json.dumps({"a": at, "b": "x"}) for at in range(500)])
    metrics = platform.client("cloudwatch")

    def found() -> list[float]:
        end = datetime.now(UTC) + timedelta(minutes=1)
        asked = {"Namespace": name, "StartTime": end - timedelta(minutes=10), "EndTime": end, "Dimensions": [{"Name": "B", "Value": "x"}]}
        all = [metrics.get_metric_statistics(**asked, MetricName=f"m{at}", Period=60, Statistics=["Sum"])["Datapoints"] for at in range(3)]
        return [float(sum(point["Sum"] for point in points)) for points in all]

    until(lambda: all(found()))
    assert found() == [sum(range(500))] * 3


def test_metric_filters_of_all_groups_in_pages(logs: Any, group: str, name: str) -> None:
    transformation = {"metricName": "m", "metricNamespace": name, "metricValue": "1"}
    groups = [group, f"{group}-b", f"{group}/a"]
    for each in groups:
        if each != group:
            logs.create_log_group(logGroupName=each)
        for number in range(2):
            logs.put_metric_filter(logGroupName=each, filterName=f"f{number}", filterPattern="", metricTransformations=[transformation])
    pages = logs.get_paginator("describe_metric_filters").paginate(metricName="m", metricNamespace=name, PaginationConfig={"PageSize": 1})
    listed = [(one["logGroupName"], one["filterName"]) for page in pages for one in page["metricFilters"]]
    assert listed == [(each, f"f{number}") for each in groups for number in range(2)]
    for each in groups[1:]:
        logs.delete_log_group(logGroupName=each)


@pytest.mark.parametrize(
    "wrong",
    [
        {"metricValue": "many"},
        {"metricValue": "1", "metricNamespace": "AWS/Lambda"},
        {"metricValue": "1", "dimensions": {str(n): "$.a" for n in range(4)}},
        {"metricValue": "1", "dimensions": {"a": "$.a"}, "defaultValue": 0.0},
    ],
)
def test_filters_that_cannot_be(logs: Any, group: str, wrong: dict[str, Any]) -> None:
    made = {"metricName": "m", "metricNamespace": "n"} | wrong
    code, _, _ = refused(logs.put_metric_filter, logGroupName=group, filterName="f", filterPattern="", metricTransformations=[made])
    assert code == "InvalidParameterException"
