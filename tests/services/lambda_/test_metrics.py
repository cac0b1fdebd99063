"""What CloudWatch has of functions."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.platform import RunningPlatform


def test_invocations_are_measured(platform: RunningPlatform, make_function: Callable[..., str], client: Callable[..., Any]) -> None:
    name = make_function(platform, "def handler(event, context):\n    return 1 / event['by']\n")
    functions, cloudwatch = client("lambda"), client("cloudwatch")
    for payload in (b'{"by":1}', b'{"by":2}', b'{"by":0}'):
        functions.invoke(FunctionName=name, Payload=payload)
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError):
        functions.invoke(FunctionName=name)
    dimensions = [{"Name": "FunctionName", "Value": name}]

    def total(metric: str, statistic: str = "Sum") -> float:
        now = datetime.fromtimestamp(time.time(), UTC)
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName=metric,
            Dimensions=dimensions,
            StartTime=now - timedelta(minutes=10),
            EndTime=now + timedelta(minutes=1),
            Period=60,
            Statistics=[statistic],
        )["Datapoints"]
        return float(sum(point[statistic] for point in points))

    end = time.monotonic() + 60
    while total("Throttles") != 1 and time.monotonic() < end:
        time.sleep(0.5)
    assert total("Throttles") == 1
    assert total("Invocations") == 3
    assert total("Errors") == 1
    assert total("Duration", "SampleCount") == 3
    assert total("Duration") > 0
    listed = cloudwatch.list_metrics(Namespace="AWS/Lambda", MetricName="Invocations", Dimensions=dimensions)["Metrics"]
    assert [each["Dimensions"] for each in listed] == [dimensions, [*dimensions, {"Name": "Resource", "Value": name}]]
