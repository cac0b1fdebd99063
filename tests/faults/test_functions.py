"""Functions across kill -9: no event that was accepted is lost, and a stream reaches its function whole and in order."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import botocore.exceptions
import pytest
from tests.services.lambda_.conftest import zip_of
from tests.support.identity import LAMBDA, policy, statement
from tests.support.platform import RunningPlatform

pytestmark = [pytest.mark.faults, pytest.mark.sandbox]

EVENTS, CLIENTS = 1000, 8
ENVIRONMENTS = 3
"""Each imports boto3, which is most of the work."""
KEYS, CHANGES = 4, 500
WAIT_SECONDS = 240.0
HANDLED = """
import boto3
TABLE = boto3.client("dynamodb")
def handler(event, context):
    TABLE.put_item(TableName="handled", Item={"k": {"S": str(event["n"])}})
"""
IN_ORDER = """
import boto3
TABLE = boto3.client("dynamodb")
def handler(event, context):
    found = {}
    for record in event["Records"]:
        image = record["dynamodb"]["NewImage"]
        found.setdefault(image["k"]["S"], []).append(int(image["n"]["N"]))
    for key, numbers in found.items():
        got = TABLE.get_item(TableName="handled", Key={"k": {"S": key}}, ConsistentRead=True)
        before = int(got["Item"]["n"]["N"]) if "Item" in got else 0
        first, last = numbers[0], numbers[-1]
        if numbers != list(range(first, last + 1)) or first > before + 1:
            TABLE.put_item(TableName="handled", Item={"k": {"S": f"gap-{key}-{before}-{first}-{last}"}})
        if last > before:
            TABLE.put_item(TableName="handled", Item={"k": {"S": key}, "n": {"N": str(last)}})
"""


def prepared(platform: RunningPlatform, code: str) -> None:
    iam, dynamodb = platform.client("iam"), platform.client("dynamodb")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=LAMBDA)["Role"]["Arn"]
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=policy(statement("dynamodb:*")))
    attributes = [{"AttributeName": "k", "AttributeType": "S"}]
    keys = {"AttributeDefinitions": attributes, "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST"}
    dynamodb.create_table(TableName="handled", **keys)
    stream = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}}
    dynamodb.create_table(TableName="changed", **keys, **stream)
    more = {"Timeout": 60, "MemorySize": 256, "Runtime": "python3.12", "Handler": "app.handler", "Code": {"ZipFile": zip_of(app_py=code)}}
    platform.client("lambda").create_function(FunctionName="f", Role=role, **more)
    platform.client("lambda").put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=ENVIRONMENTS)


def handled(platform: RunningPlatform) -> dict[str, int]:
    pages = platform.client("dynamodb").get_paginator("scan").paginate(TableName="handled", ConsistentRead=True)
    return {item["k"]["S"]: int(item.get("n", {"N": "0"})["N"]) for page in pages for item in page["Items"]}


def wait(platform: RunningPlatform, enough: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    end = time.monotonic() + WAIT_SECONDS
    while not enough(found := handled(platform)) and time.monotonic() < end:
        time.sleep(0.5)
    return found


def test_a_thousand_events_survive_a_kill(fresh_platform: Callable[..., RunningPlatform]) -> None:
    platform = fresh_platform()
    prepared(platform, HANDLED)
    lambda_ = platform.client("lambda")
    accepted: set[str] = set()
    half = threading.Event()

    def send(number: int) -> None:
        try:
            lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=json.dumps({"n": number}))
        except botocore.exceptions.BotoCoreError:
            return  # it was killed before it answered
        accepted.add(str(number))
        if len(accepted) >= EVENTS // 2:
            half.set()

    with ThreadPoolExecutor(CLIENTS) as pool:
        sending = [pool.submit(send, number) for number in range(EVENTS)]
        assert half.wait(WAIT_SECONDS)
        platform.kill()
        for one in sending:
            one.result()
    platform.start()
    lambda_ = platform.client("lambda")
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(send, (number for number in range(EVENTS) if str(number) not in accepted)))
    assert len(accepted) == EVENTS
    platform.kill()
    platform.start()
    found = wait(platform, lambda found: accepted <= found.keys())
    assert accepted - found.keys() == set()


def test_a_stream_is_whole_and_in_order_across_a_kill(fresh_platform: Callable[..., RunningPlatform]) -> None:
    platform = fresh_platform()
    prepared(platform, IN_ORDER)
    stream = platform.client("dynamodb").describe_table(TableName="changed")["Table"]["LatestStreamArn"]
    platform.client("lambda").create_event_source_mapping(
        EventSourceArn=stream, FunctionName="f", StartingPosition="TRIM_HORIZON", BatchSize=100
    )

    def change(key: int, first: int, last: int) -> None:
        client = platform.client("dynamodb")
        for number in range(first, last + 1):
            client.put_item(TableName="changed", Item={"k": {"S": str(key)}, "n": {"N": str(number)}})

    for first, last in ((1, CHANGES // 2), (CHANGES // 2 + 1, CHANGES)):
        with ThreadPoolExecutor(KEYS) as pool:
            list(pool.map(change, range(KEYS), [first] * KEYS, [last] * KEYS))
        if first == 1:
            wait(platform, bool)  # the function is at work
            platform.kill()
            platform.start()
    wanted = {str(key): CHANGES for key in range(KEYS)}
    assert wait(platform, lambda found: wanted.items() <= found.items()) == wanted
