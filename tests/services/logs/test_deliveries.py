"""Deliveries of subscription filters that do not succeed at once: in process, with the test's own clock."""

import base64
import gzip
import json
import random

import pytest

from haar.services.logs import subscriptions
from haar.services.logs.public import append
from haar.services.logs.records import Subscription, find_group, put_group
from haar.services.logs.subscriptions import KEEP_SECONDS, RETRY_SECONDS, Deliveries, Delivery
from haar.services.service import Host
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

REGION = "us-east-1"


class Clock:
    seconds = 1_700_000_000.0

    def now(self) -> float:
        return self.seconds


@pytest.fixture
async def clock(host: Host) -> Clock:
    """The host's, which has a group with a subscription."""
    clock = host.clock = Clock()
    await append(host, REGION, "/g", "s", [(1, "before")])
    group = await find_group(host.store, REGION, "/g")
    assert group
    group.subscriptions = [Subscription("f", "", "arn:aws:lambda:us-east-1:123456789012:function:f", 0)]

    async def subscribe(tx: Transaction) -> None:
        put_group(tx, REGION, group)

    await host.store.transact(subscribe)
    return clock


async def deliver(host: Host) -> int:
    """Delivers what is due; how much that is."""
    deliveries = host.get(Deliveries)
    jobs = await deliveries.queue.take(10, 60.0)
    for job in jobs:
        await deliveries.deliver(job)
    return len(jobs)


async def test_only_what_was_not_sent_is_sent_again(host: Host, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    failing = [False, True, False, False, False]

    async def invoke(host: Host, delivery: Delivery, payload: bytes) -> None:
        if failing.pop(0):
            raise ServiceError("TooManyRequestsException", "Rate Exceeded.")
        data = json.loads(gzip.decompress(base64.b64decode(json.loads(payload)["awslogs"]["data"])))
        sent.extend(event["message"][0] for event in data["logEvents"])

    monkeypatch.setattr(subscriptions, "_invoke", invoke)
    noise = random.Random(1)
    await append(host, REGION, "/g", "s", [(at, f"{at}{noise.randbytes(100_000).hex()}") for at in range(1, 5)])
    assert await deliver(host) == 1
    first = list(sent)
    assert first and first != ["1", "2", "3", "4"]
    clock.seconds += RETRY_SECONDS
    assert await deliver(host) == 1
    assert sent == ["1", "2", "3", "4"]
    clock.seconds += KEEP_SECONDS
    assert await deliver(host) == 0


async def test_what_cannot_be_sent_is_given_up_in_the_end(host: Host, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    async def invoke(host: Host, delivery: Delivery, payload: bytes) -> None:
        raise ServiceError("TooManyRequestsException", "Rate Exceeded.")

    monkeypatch.setattr(subscriptions, "_invoke", invoke)
    await append(host, REGION, "/g", "s", [(1, "never")])
    assert await deliver(host) == 1
    assert await deliver(host) == 0
    for _ in range(3):
        clock.seconds += KEEP_SECONDS / 3
        assert await deliver(host) == 1
    clock.seconds += RETRY_SECONDS
    assert await deliver(host) == 1, "given up only now"
    clock.seconds += KEEP_SECONDS
    assert await deliver(host) == 0
