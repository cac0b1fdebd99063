"""Metrics that applications put: what is answered for them."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session
from tests.support.platform import RunningPlatform

from haar.clock import Clock
from haar.services.cloudwatch import records, sweep
from haar.services.cloudwatch.measures import Measures, Subject
from haar.services.cloudwatch.points import Point
from haar.services.cloudwatch.records import Name
from haar.services.service import Host


@pytest.fixture
def cloudwatch(client: Callable[..., Any]) -> Any:
    return client("cloudwatch")


def minute(ago: int = 0) -> datetime:
    return datetime.fromtimestamp((int(time.time()) // 60 - ago) * 60, UTC)


def refused(call: Callable[..., Any], **input: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call(**input)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def test_statistics_of_what_was_put(cloudwatch: Any) -> None:
    start = minute(5)
    dimensions = [{"Name": "Page", "Value": "home"}, {"Name": "App", "Value": "shop"}]
    put = {"MetricName": "Latency", "Unit": "Milliseconds", "Dimensions": dimensions}
    cloudwatch.put_metric_data(
        Namespace="Shop",
        MetricData=[
            put | {"Timestamp": start, "Value": 10.0},
            put | {"Timestamp": start + timedelta(seconds=30), "Values": [20.0, 30.0], "Counts": [2.0, 1.0]},
            put | {"Timestamp": start + timedelta(minutes=1), "StatisticValues": {"SampleCount": 2, "Sum": 9, "Minimum": 4, "Maximum": 5}},
        ],
    )
    asked = {"Namespace": "Shop", "MetricName": "Latency", "StartTime": start, "EndTime": start + timedelta(minutes=5), "Period": 60}
    found = cloudwatch.get_metric_statistics(
        **asked, Dimensions=dimensions[::-1], Statistics=["SampleCount", "Sum", "Average", "Minimum", "Maximum"]
    )
    assert found["Label"] == "Latency"
    first, second = sorted(found["Datapoints"], key=lambda point: point["Timestamp"])
    assert first == {
        "Timestamp": start,
        "SampleCount": 4.0,
        "Sum": 80.0,
        "Average": 20.0,
        "Minimum": 10.0,
        "Maximum": 30.0,
        "Unit": "Milliseconds",
    }
    assert (second["SampleCount"], second["Sum"], second["Minimum"], second["Maximum"]) == (2.0, 9.0, 4.0, 5.0)
    wider = cloudwatch.get_metric_statistics(**asked | {"Period": 300}, Dimensions=dimensions, Statistics=["Sum"])
    assert [point["Sum"] for point in wider["Datapoints"]] == [89.0]
    # Another set of dimensions is another metric.
    assert cloudwatch.get_metric_statistics(**asked, Dimensions=dimensions[:1], Statistics=["Sum"])["Datapoints"] == []
    percentiles = cloudwatch.get_metric_statistics(**asked, Dimensions=dimensions, ExtendedStatistics=["p50", "p100", "tm50"])
    assert percentiles["Datapoints"][0]["ExtendedStatistics"] == {"p50": 20.0, "p100": 30.0, "tm50": 15.0}
    assert "ExtendedStatistics" not in percentiles["Datapoints"][1]  # of a set of statistics the values are not known


def test_many_metrics_and_arithmetic(cloudwatch: Any) -> None:
    start = minute(4)
    for metric, values in (("Errors", [1.0, 2.0, 0.0]), ("Calls", [10.0, 4.0, 0.0])):
        data = [{"MetricName": metric, "Timestamp": start + timedelta(minutes=at), "Value": value} for at, value in enumerate(values)]
        cloudwatch.put_metric_data(Namespace="Rates", MetricData=data)

    def stat(metric: str) -> dict[str, Any]:
        return {"Metric": {"Namespace": "Rates", "MetricName": metric}, "Period": 60, "Stat": "Sum"}

    asked = {
        "StartTime": start,
        "EndTime": start + timedelta(minutes=4),
        "ScanBy": "TimestampAscending",
        "MetricDataQueries": [
            {"Id": "rate", "Expression": "100 * errors / calls", "Label": "rate"},
            {"Id": "errors", "MetricStat": stat("Errors")},
            {"Id": "calls", "MetricStat": stat("Calls"), "ReturnData": False},
            {"Id": "all", "Expression": "SUM(METRICS())"},
            {"Id": "most", "Expression": "errors * 0 + MAX(calls)"},
        ],
    }
    results = {each["Id"]: each for each in cloudwatch.get_metric_data(**asked)["MetricDataResults"]}
    assert list(results) == ["rate", "errors", "all", "most"]
    assert results["rate"]["Values"] == [10.0, 50.0]
    assert results["rate"]["Timestamps"] == [start, start + timedelta(minutes=1)]
    assert results["errors"]["Values"] == [1.0, 2.0, 0.0]
    assert results["errors"]["Label"] == "Errors"
    assert results["most"]["Values"] == [10.0, 10.0, 10.0]
    down = cloudwatch.get_metric_data(**asked | {"ScanBy": "TimestampDescending"})["MetricDataResults"]
    assert next(each for each in down if each["Id"] == "errors")["Values"] == [0.0, 2.0, 1.0]
    pages = cloudwatch.get_paginator("get_metric_data").paginate(**asked | {"MaxDatapoints": 2})
    paged: dict[str, list[float]] = {}
    for page in pages:
        for each in page["MetricDataResults"]:
            paged.setdefault(each["Id"], []).extend(each["Values"])
    assert paged == {name: each["Values"] for name, each in results.items()}
    for expression, said in (
        ("nothing + 1", "Unresolved dependencies"),
        ("errors.real", "Unsupported"),
        ("1 +", "Syntax"),
        ("ANOMALY(errors)", "ANOMALY"),
    ):
        queries = [{"Id": "x", "Expression": expression}, {"Id": "errors", "MetricStat": stat("Errors")}]
        code, message = refused(cloudwatch.get_metric_data, **asked | {"MetricDataQueries": queries})
        assert code == "ValidationError"
        assert said in message


def test_metrics_are_listed(cloudwatch: Any) -> None:
    for page in ("a", "b"):
        for metric in ("Hits", "Misses"):
            data = [{"MetricName": metric, "Value": 1.0, "Dimensions": [{"Name": "Page", "Value": page}, {"Name": "App", "Value": "x"}]}]
            cloudwatch.put_metric_data(Namespace="Listed", MetricData=data)
    cloudwatch.put_metric_data(Namespace="ListedToo", MetricData=[{"MetricName": "Hits", "Value": 1.0}])
    found = cloudwatch.list_metrics(Namespace="Listed")["Metrics"]
    assert [(each["MetricName"], each["Dimensions"][1]["Value"]) for each in found] == [
        ("Hits", "a"),
        ("Hits", "b"),
        ("Misses", "a"),
        ("Misses", "b"),
    ]
    assert found[0]["Dimensions"] == [{"Name": "App", "Value": "x"}, {"Name": "Page", "Value": "a"}]
    assert len(cloudwatch.list_metrics(Namespace="Listed", MetricName="Hits", Dimensions=[{"Name": "Page"}])["Metrics"]) == 2
    assert (
        len(cloudwatch.list_metrics(Namespace="Listed", Dimensions=[{"Name": "Page", "Value": "a"}], RecentlyActive="PT3H")["Metrics"]) == 2
    )
    assert cloudwatch.list_metrics(Namespace="Liste")["Metrics"] == []


@pytest.mark.parametrize(
    ("datum", "code"),
    [
        ({"MetricName": "m"}, "MissingParameter"),
        ({"MetricName": "m", "Value": float("nan")}, "InvalidParameterValue"),
        ({"MetricName": "m", "Value": 2.0**361}, "InvalidParameterValue"),
        ({"MetricName": "m", "Value": 1.0, "Values": [1.0]}, "InvalidParameterCombination"),
        ({"MetricName": "m", "Values": [1.0], "Counts": [1.0, 2.0]}, "InvalidParameterCombination"),
        ({"MetricName": "m", "Value": 1.0, "StorageResolution": 30}, "InvalidParameterValue"),
        ({"MetricName": "m", "Value": 1.0, "Timestamp": datetime(2000, 1, 1, tzinfo=UTC)}, "InvalidParameterValue"),
        ({"MetricName": "m", "Value": 1.0, "Dimensions": [{"Name": "a", "Value": " "}]}, "InvalidParameterValue"),
    ],
)
def test_data_that_is_refused(cloudwatch: Any, datum: dict[str, Any], code: str) -> None:
    assert refused(cloudwatch.put_metric_data, Namespace="Refused", MetricData=[{"MetricName": "good", "Value": 1.0}, datum])[0] == code
    assert cloudwatch.list_metrics(Namespace="Refused")["Metrics"] == []  # all or nothing


def test_questions_that_are_refused(cloudwatch: Any) -> None:
    asked = {"Namespace": "Shop", "MetricName": "x", "StartTime": minute(5), "EndTime": minute(), "Period": 60}
    assert refused(cloudwatch.get_metric_statistics, **asked)[0] == "MissingParameter"
    assert refused(cloudwatch.get_metric_statistics, **asked | {"Statistics": ["Sum"], "Period": 61})[0] == "InvalidParameterValue"
    long = asked | {"Statistics": ["Sum"], "StartTime": minute(3000)}
    code, message = refused(cloudwatch.get_metric_statistics, **long)
    assert code == "InvalidParameterCombination"
    assert "exceeds the limit of 1440" in message
    assert (
        refused(cloudwatch.get_metric_statistics, **asked | {"Statistics": ["Sum"], "EndTime": minute(9)})[0]
        == "InvalidParameterCombination"
    )
    assert (
        refused(cloudwatch.put_metric_data, Namespace="AWS/Mine", MetricData=[{"MetricName": "m", "Value": 1.0}])[0]
        == "InvalidParameterValue"
    )


def test_a_namespace_can_be_denied(client: Callable[..., Any]) -> None:
    iam = client("iam")
    iam.create_user(UserName="metrics")
    allow = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"cloudwatch:PutMetricData","Resource":"*",'
        '"Condition":{"StringEquals":{"cloudwatch:namespace":"Mine"}}}]}'
    )
    iam.put_user_policy(UserName="metrics", PolicyName="p", PolicyDocument=allow)
    key = iam.create_access_key(UserName="metrics")["AccessKey"]
    limited = client("cloudwatch", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    data = [{"MetricName": "m", "Value": 1.0}]
    limited.put_metric_data(Namespace="Mine", MetricData=data)
    assert refused(limited.put_metric_data, Namespace="Other", MetricData=data)[0] in ("AccessDenied", "AccessDeniedException")
    assert refused(limited.list_metrics)[0] in ("AccessDenied", "AccessDeniedException")


async def test_what_services_measure_is_written_together(host: Host) -> None:
    measures = host.get(Measures)
    subject = Subject("us-east-1", "AWS/Test", ((), (("FunctionName", "f"),)))
    for value in (5.0, 7.0):
        measures.note(subject, (("Invocations", "Count", 1.0), ("Duration", "Milliseconds", value)))
    await measures.write()
    measures.note(subject, (("Duration", "Milliseconds", 9.0),))
    await measures.write()
    series = await records.find(host.store, "us-east-1", Name("AWS/Test", "Duration", (("FunctionName", "f"),)))
    assert series is not None
    found = await records.grouped(host.store, series, 0, 1 << 32 - 1, 60)
    points = found.pop("Milliseconds").values()
    assert (sum(each.count for each in points), sum(each.sum for each in points)) == (3, 21.0)
    assert found == {}


async def test_points_get_longer_as_they_get_older(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    measures = host.get(Measures)
    now = int(host.clock.now()) // 3600 * 3600
    name = Name("AWS/Test", "Aging", ())

    async def at(seconds: int) -> None:
        monkeypatch.setattr(host, "clock", _At(seconds))
        measures.note(Subject("us-east-1", "AWS/Test", ((),)), (("Aging", "Count", 1.0),))
        await measures.write()

    for age in (0, 60, 20 * 86_400, 20 * 86_400 + 60, 100 * 86_400, 100 * 86_400 + 1200, 500 * 86_400):
        await at(now - age)
    monkeypatch.setattr(host, "clock", _At(now))
    await sweep.sweep(host)
    series = await records.find(host.store, "us-east-1", name)
    assert series is not None
    found = (await records.grouped(host.store, series, 0, now + 60, 60))["Count"]
    assert [(now - time, point.count) for time, point in reversed(found.items())] == [
        (0, 1.0),
        (60, 1.0),
        (20 * 86_400, 1.0),
        (20 * 86_400 + 300, 1.0),
        (100 * 86_400, 1.0),
        (100 * 86_400 + 3600, 1.0),
    ]


async def test_a_long_range_is_read_in_slices(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "READ_SLICE", 7)
    start, name = 1_800_000_000, Name("AWS/Test", "Many", ())
    many = {(start + at * 60, unit): Point(1.0, at, at, at) for at in range(100) for unit in ("Bytes", "Count")}
    await host.store.transact(lambda tx: records.add(tx, "us-east-1", name, "id", many))
    series = await records.find(host.store, "us-east-1", name)
    assert series is not None
    found = await records.grouped(host.store, series, start, start + 99 * 60, 600)
    assert list(found) == ["Bytes", "Count"], "each unit has points of its own"
    for periods in found.values():
        assert list(periods) == [start + at * 600 for at in range(10)]
        assert [point.count for point in periods.values()] == [10.0] * 9 + [9.0], "the end is not in it"
        assert [point.sum for point in periods.values()][:2] == [45.0, 145.0]
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await records.grouped(host.store, series, start, start + 100 * 60, 60)
    task.cancel()
    assert turns > 20, "others have their turns in between"


class _At(Clock):
    def __init__(self, seconds: int) -> None:
        self.seconds = seconds

    def now(self) -> float:
        return float(self.seconds)


def test_every_protocol_is_spoken(platform: RunningPlatform, cloudwatch: Any) -> None:
    """SDKs of today speak CBOR or JSON, those of before forms and XML."""
    root = Credentials(platform.described["access_key_id"], platform.described["secret_access_key"])

    def ask(path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        request = AWSRequest("POST", platform.endpoint + path, data=body, headers=headers)
        SigV4Auth(root, "monitoring", "us-east-1").add_auth(request)
        answer = URLLib3Session().send(request.prepare())
        return answer.status_code, dict(answer.headers), answer.content

    form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    put = b"Action=PutMetricData&Version=2010-08-01&Namespace=Spoken&MetricData.member.1.MetricName=m&MetricData.member.1.Value=1"
    assert ask("/", put, form)[0] == 200
    status, _, text = ask("/", b"Action=ListMetrics&Version=2010-08-01&Namespace=Spoken", form)
    assert status == 200
    assert b"<ListMetricsResult><Metrics><member><Namespace>Spoken</Namespace><MetricName>m</MetricName>" in text
    status, _, text = ask("/", put.replace(b"Spoken", b"AWS/Spoken"), form)
    assert status == 400
    assert b"<Code>InvalidParameterValue</Code>" in text

    cbor = {"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor", "Accept": "application/cbor"}
    path = "/service/GraniteServiceVersion20100801/operation/"
    status, headers, content = ask(path + "ListMetrics", cbor2.dumps({"Namespace": "Spoken"}), cbor)
    assert (status, headers["smithy-protocol"]) == (200, "rpc-v2-cbor")
    assert cbor2.loads(content)["Metrics"] == [{"Namespace": "Spoken", "MetricName": "m", "Dimensions": []}]
    status, headers, content = ask(path + "PutMetricData", cbor2.dumps({"Namespace": "AWS/Spoken", "MetricData": []}), cbor)
    assert status == 400
    assert headers["x-amzn-query-error"] == "InvalidParameterValue;Sender"
