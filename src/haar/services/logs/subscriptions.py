"""Subscription filters: the events of a group that match a pattern are sent to a function, packed as AWS packs them.

What is to be sent is put into a queue by the transaction that writes the events, so that none is lost and none is invented.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html#LambdaFunctionExample
"""

import asyncio
import base64
import gzip
import logging
from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from haar.services.logs import service
from haar.services.logs.access import on_group
from haar.services.logs.errors import invalid, limit_exceeded, no_filter, no_group
from haar.services.logs.paging import page
from haar.services.logs.patterns import compile_pattern
from haar.services.logs.records import Group, Stream, Subscription, event_id, find_group, group_arn, put_group
from haar.services.service import Context, Host, Input, Output
from haar.store.contract import Transaction
from haar.store.queue import Job, LeaseLost, Queue
from haar.wire.errors import ServiceError

log = logging.getLogger("haar.logs")

QUEUE = "logs.subscriptions"
MAX_SUBSCRIPTIONS = 2
"""Of one group."""
MAX_PAYLOAD = 256 * 1024
"""Bytes of one delivery; more events than fit are sent in several."""
RETRY_SECONDS = 10.0
KEEP_SECONDS = 24 * 3600.0
"""How long a delivery that does not succeed is tried again."""
NO_PERMISSION = "Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute your function."
GONE = ("AccessDeniedException", "ResourceNotFoundException", "InvalidParameterValueException")


class Delivery(msgspec.Struct):
    """What is to be sent by one filter of one write."""

    region: str
    group: str
    stream: str
    filter: str
    destination: str
    events: list[dict[str, Any]]
    since: float = 0.0
    """When it was to be sent first."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Delivery).decode


class Deliveries:
    """One a host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.queue = Queue(host.store, QUEUE, host.clock)

    def put(self, tx: Transaction, region: str, group: Group, stream: Stream, first: int, events: Sequence[tuple[int, str]]) -> None:
        """Queues what the group's filters take of events that were just written; `first` is the sequence of the first one."""
        for each in group.subscriptions:
            pattern = compile_pattern(each.pattern)
            taken: list[dict[str, Any]] = []
            for sequence, (time, message) in enumerate(events, first):
                if pattern.matches(message):
                    event: dict[str, Any] = {"id": event_id(stream, time, sequence), "timestamp": time, "message": message}
                    if each.pattern.lstrip().startswith("["):
                        event["extractedFields"] = {name.lstrip("$"): value for name, value in pattern.extract(message).items()}
                    taken.append(event)
            if taken:
                delivery = Delivery(region, group.name, stream.name, each.name, each.destination, taken)
                self.queue.put(tx, f"{group.id}/{stream.id}/{first}/{each.name}", _encode(delivery), self._host.clock.now())

    async def deliver(self, job: Job) -> None:
        delivery, now = _decode(job.body), self._host.clock.now()
        delivery.since = delivery.since or job.due
        try:
            for payload, count in await asyncio.to_thread(_payloads, self._host.account, delivery, delivery.events):
                await _invoke(self._host, delivery, payload)
                delivery.events = delivery.events[count:]
        except ServiceError as error:
            if error.code not in GONE and now - delivery.since <= KEEP_SECONDS:
                await self.queue.again(job, now + RETRY_SECONDS, _encode(delivery))
                return
            log.warning("events of %s are not sent to %s: %s", delivery.group, delivery.destination, error)
        try:
            await self.queue.finish(job)
        except LeaseLost:
            log.warning("events of %s may be sent to %s twice", delivery.group, delivery.destination)


def _payloads(account: str, delivery: Delivery, events: list[dict[str, Any]]) -> list[tuple[bytes, int]]:
    """What is sent, and how many of the events are in each."""
    document = {
        "messageType": "DATA_MESSAGE",
        "owner": account,
        "logGroup": delivery.group,
        "logStream": delivery.stream,
        "subscriptionFilters": [delivery.filter],
        "logEvents": events,
    }
    data = base64.b64encode(gzip.compress(orjson.dumps(document), 6, mtime=0)).decode()
    payload = orjson.dumps({"awslogs": {"data": data}})
    if len(payload) <= MAX_PAYLOAD or len(events) == 1:
        return [(payload, len(events))]
    middle = len(events) // 2
    return _payloads(account, delivery, events[:middle]) + _payloads(account, delivery, events[middle:])


def _sources(host: Host, region: str, group: str) -> list[Any]:
    """On whose behalf a function is invoked: the service, and as it is named in policies of a region."""
    from haar.services.lambda_ import public as lambda_  # it writes its logs here: each of the two knows the other

    arn = group_arn(region, host.account, group) + ":*"
    return [lambda_.Source(name, arn, host.account) for name in ("logs.amazonaws.com", f"logs.{region}.amazonaws.com")]


async def _invoke(host: Host, delivery: Delivery, payload: bytes) -> None:
    """Raises ServiceError."""
    from haar.services.lambda_ import public as lambda_

    plain, regional = _sources(host, delivery.region, delivery.group)
    source = plain if await lambda_.may_invoke(host, delivery.destination, plain, delivery.region) else regional
    await lambda_.invoke(
        host, delivery.destination, payload, caller=source, request_id=host.ids.uuid(), region=delivery.region, kind="Event"
    )


async def run(host: Host) -> None:
    deliveries = host.get(Deliveries)
    await deliveries.queue.run(deliveries.deliver)


@service.operation("PutSubscriptionFilter", on_group("logs:PutSubscriptionFilter"))
async def put_subscription_filter(context: Context, input: Input) -> Output:
    from haar.services.lambda_ import public as lambda_

    for name in ("fieldSelectionCriteria", "emitSystemFields", "applyOnTransformedLogs"):
        if input.get(name):
            raise invalid(f"haar does not have the parameter {name}.")
    compile_pattern(input["filterPattern"])
    destination, region = input["destinationArn"], context.region
    vendor = destination.split(":")[2] if destination.count(":") >= 5 else ""
    if not vendor:
        raise invalid("Invalid destinationArn: it is not an ARN.")
    if vendor != "lambda":
        raise invalid(f"haar sends log events to functions only: destinationArn is of {vendor}")
    if input.get("roleArn"):
        raise invalid("destinationArn for vendor lambda cannot be used with roleArn")
    sources = _sources(context.host, region, input["logGroupName"])
    if not any([await lambda_.may_invoke(context.host, destination, source, region) for source in sources]):
        raise invalid(NO_PERMISSION)
    made = Subscription(
        input["filterName"], input["filterPattern"], destination, int(context.now() * 1000), input.get("distribution", "ByLogStream")
    )

    async def put(tx: Transaction) -> None:
        group = await find_group(tx, region, input["logGroupName"])
        if group is None:
            raise no_group()
        others = [each for each in group.subscriptions if each.name != made.name]
        if len(others) >= MAX_SUBSCRIPTIONS:
            raise limit_exceeded()
        group.subscriptions = sorted([*others, made], key=lambda each: each.name)
        put_group(tx, region, group)

    await context.store.transact(put)
    return {}


@service.operation("DescribeSubscriptionFilters", on_group("logs:DescribeSubscriptionFilters"))
async def describe_subscription_filters(context: Context, input: Input) -> Output:
    group = await find_group(context.store, context.region, input["logGroupName"])
    if group is None:
        raise no_group()
    wanted = [each for each in group.subscriptions if each.name.startswith(input.get("filterNamePrefix", ""))]
    chosen, more = page(wanted, input, lambda each: each.name)
    shown = [
        {
            "filterName": each.name,
            "logGroupName": group.name,
            "filterPattern": each.pattern,
            "destinationArn": each.destination,
            "distribution": each.distribution,
            "applyOnTransformedLogs": False,
            "creationTime": each.created,
        }
        for each in chosen
    ]
    return {"subscriptionFilters": shown, **more}


@service.operation("DeleteSubscriptionFilter", on_group("logs:DeleteSubscriptionFilter"))
async def delete_subscription_filter(context: Context, input: Input) -> Output:
    async def delete(tx: Transaction) -> None:
        group = await find_group(tx, context.region, input["logGroupName"])
        if group is None:
            raise no_group()
        left = [each for each in group.subscriptions if each.name != input["filterName"]]
        if len(left) == len(group.subscriptions):
            raise no_filter("subscription")
        group.subscriptions = left
        put_group(tx, context.region, group)

    await context.store.transact(delete)
    return {}
