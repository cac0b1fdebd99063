"""Quotas of usage plans, and canaries: who gets how much of what."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.services.apigateway.conftest import Api, refused

from haar.clock import SystemClock
from haar.services.apigateway.dataplane.keys import Buckets
from haar.services.apigateway.dataplane.usage import Usage, period_start
from haar.services.service import Host


@pytest.mark.parametrize(
    "period, offset, day, expected",
    [
        ("DAY", 0, "2026-11-25", "2026-11-25"),
        ("WEEK", 0, "2026-11-25", "2026-11-22"),
        ("WEEK", 0, "2026-11-22", "2026-11-22"),
        ("WEEK", 2, "2026-11-25", "2026-11-24"),
        ("WEEK", 6, "2026-11-25", "2026-11-21"),
        ("MONTH", 0, "2026-11-25", "2026-11-01"),
        ("MONTH", 27, "2026-11-25", "2026-10-28"),
        ("MONTH", 5, "2026-01-02", "2025-12-06"),
    ],
)
def test_periods_begin(period: str, offset: int, day: str, expected: str):
    assert period_start({"period": period, "offset": offset}, date.fromisoformat(day)) == date.fromisoformat(expected)


@given(st.sampled_from(["DAY", "WEEK", "MONTH"]), st.integers(0, 6), st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_a_day_is_in_its_own_period(period: str, offset: int, day: date):
    quota = {"period": period, "offset": offset}
    start = period_start(quota, day)
    assert start <= day and period_start(quota, start) == start
    assert period_start(quota, start - timedelta(days=1)) < start
    assert (day - start).days < {"DAY": 1, "WEEK": 7, "MONTH": 31}[period]


@given(st.lists(st.floats(0, 3), max_size=30), st.integers(1, 5), st.floats(0.1, 5))
def test_no_more_than_the_burst_and_the_rate(pauses: list[float], burst: int, rate: float):
    buckets, now, taken, first = Buckets(), 1000.0, 0, 1000.0
    for pause in pauses:
        now += pause
        taken += buckets.take("k", {"rateLimit": rate, "burstLimit": burst}, now)
        assert taken <= burst + (now - first) * rate + 1e-6
    assert taken >= min(burst, len(pauses))


async def test_uses_are_counted_over_restarts(host: Host):
    plan = {"id": "p", "quota": {"limit": 3, "period": "DAY"}}
    now = SystemClock().now()
    usage = Usage(host)
    assert [await usage.take("r", plan, "k", now) for _ in range(2)] == [True, True]
    await usage.save()
    again = Usage(host)
    assert [await again.take("r", plan, "k", now) for _ in range(3)] == [True, False, False]
    assert await again.take("r", plan, "other", now) and await again.take("r", plan, "k", now + 86_400)
    await again.save()
    assert sum((await again.days("r/p/k")).values()) == 4


def test_a_quota_ends_and_is_shown(api: Api, client: Callable[..., Any]):
    gateway = client("apigateway")
    api.mock("/", apiKeyRequired=True)
    api.deploy("v1")
    key = gateway.create_api_key(enabled=True)
    plan = gateway.create_usage_plan(name="p", apiStages=[{"apiId": api.id, "stage": "v1"}], quota={"limit": 2, "period": "MONTH"})
    assert plan["quota"] == {"limit": 2, "offset": 0, "period": "MONTH"}
    gateway.create_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"], keyType="API_KEY")
    answers = [api.call("/", headers={"x-api-key": key["value"]}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json() == {"message": "Limit Exceeded"} and answers[2].headers["x-amzn-ErrorType"] == "LimitExceededException"
    day = datetime.fromtimestamp(time.time(), UTC).date()
    span = {"startDate": (day - timedelta(days=1)).isoformat(), "endDate": (day + timedelta(days=1)).isoformat()}
    shown = gateway.get_usage(usagePlanId=plan["id"], **span)["items"][key["id"]]
    unknown = refused(gateway.get_usage, usagePlanId=plan["id"], keyId="none", **span)
    assert unknown == ("NotFoundException", "Invalid Key identifier specified", 404)
    assert len(shown) == 3 and sum(used for used, _ in shown) == 2
    gateway.delete_api_key(apiKey=key["id"])


def test_a_canary_gets_its_part_and_is_promoted(api: Api):
    api.mock("/", template="$stageVariables.name old")
    api.deploy("v1", variables={"name": "stage"})
    api.gateway.put_integration_response(
        **api.at("/"), statusCode="200", responseTemplates={"application/json": "$stageVariables.name new"}
    )
    api.deploy("v1", canarySettings={"percentTraffic": 0.0, "stageVariableOverrides": {"name": "canary"}})
    assert {api.call("/").text for _ in range(10)} == {"stage old"}

    def patch(*operations: dict[str, str]) -> None:
        api.gateway.update_stage(restApiId=api.id, stageName="v1", patchOperations=list(operations))

    patch({"op": "replace", "path": "/canarySettings/percentTraffic", "value": "100.0"})
    assert {api.call("/").text for _ in range(10)} == {"canary new"}
    patch({"op": "replace", "path": "/canarySettings/percentTraffic", "value": "50.0"})
    assert {api.call("/").text for _ in range(60)} == {"canary new", "stage old"}
    patch(
        {"op": "copy", "from": "/canarySettings/deploymentId", "path": "/deploymentId"},
        {"op": "remove", "path": "/canarySettings"},
    )
    assert {api.call("/").text for _ in range(10)} == {"stage new"}
    assert "canarySettings" not in api.gateway.get_stage(restApiId=api.id, stageName="v1")


def test_a_stage_slows_its_methods(api: Api):
    api.mock("/a/{id}")
    api.mock("/b")
    api.deploy("v1")
    slow = [
        {"op": "replace", "path": "/~1a~1{id}/GET/throttling/burstLimit", "value": "2"},
        {"op": "replace", "path": "/~1a~1{id}/GET/throttling/rateLimit", "value": "0.001"},
    ]
    api.gateway.update_stage(restApiId=api.id, stageName="v1", patchOperations=slow)
    assert [api.call(f"/a/{at}").status_code for at in range(3)] == [200, 200, 429]
    assert [api.call("/b").status_code for _ in range(3)] == [200, 200, 200]
