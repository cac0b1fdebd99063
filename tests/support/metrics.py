"""What CloudWatch tells of API Gateway."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

WAIT_SECONDS = 60.0


def total(cloudwatch: Any, metric: str, at_least: float, **dimensions: str) -> float:
    """The sum of a metric, once it is so much; what it is when that takes too long."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        now = datetime.now(UTC)
        found = cloudwatch.get_metric_statistics(
            Namespace="AWS/ApiGateway",
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(hours=1),
            Period=7200,
            Statistics=["Sum"],
        )["Datapoints"]
        summed = float(sum(point["Sum"] for point in found))
        if summed >= at_least or time.monotonic() > end:
            return summed
        time.sleep(0.2)
