"""What was answered is still there after kill -9."""

import json
import time
from collections.abc import Callable

import pytest
from tests.services.lambda_.conftest import BASIC, zip_of
from tests.support.identity import LAMBDA, policy, statement
from tests.support.platform import RunningPlatform

EVENTS = 24
CODE = """
import boto3
TABLE = boto3.client("dynamodb")
def handler(event, context):
    TABLE.put_item(TableName="handled", Item={"n": {"N": str(event["n"])}})
"""


@pytest.mark.faults
@pytest.mark.sandbox
def test_events_survive_a_kill(fresh_platform: Callable[..., RunningPlatform]) -> None:
    platform = fresh_platform()
    iam, lambda_ = platform.client("iam"), platform.client("lambda")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=LAMBDA)["Role"]["Arn"]
    iam.attach_role_policy(RoleName="r", PolicyArn=BASIC)
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=policy(statement("dynamodb:PutItem")))
    attributes = [{"AttributeName": "n", "AttributeType": "N"}]
    keys = {"AttributeDefinitions": attributes, "KeySchema": [{"AttributeName": "n", "KeyType": "HASH"}]}
    platform.client("dynamodb").create_table(TableName="handled", BillingMode="PAY_PER_REQUEST", **keys)
    settings = {"Timeout": 20, "Runtime": "python3.12", "Role": role, "Handler": "app.handler", "Code": {"ZipFile": zip_of(app_py=CODE)}}
    made = lambda_.create_function(FunctionName="f", **settings, Publish=True)
    lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=2)
    for number in range(EVENTS):
        lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=json.dumps({"n": number}).encode())
    platform.kill()
    platform.start()

    lambda_, dynamodb = platform.client("lambda"), platform.client("dynamodb")
    assert lambda_.get_function(FunctionName="f", Qualifier="1")["Configuration"]["CodeSha256"] == made["CodeSha256"]
    end, seen = time.monotonic() + 90, set[int]()
    while len(seen) < EVENTS and time.monotonic() < end:
        time.sleep(0.3)
        seen = {int(item["n"]["N"]) for item in dynamodb.scan(TableName="handled", ConsistentRead=True)["Items"]}
    assert seen == set(range(EVENTS))
