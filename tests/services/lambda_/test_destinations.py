"""Dead letter queues and destinations of services that haar does not have: settings that a role must be allowed to use."""

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from tests.services.lambda_.test_invoke import eventually
from tests.support.identity import LAMBDA, policy, refused, statement
from tests.support.platform import RunningPlatform

Make = Callable[..., Any]
INVALID = "InvalidParameterValueException"


class Arns(NamedTuple):
    queue: str
    topic: str
    bus: str


@pytest.fixture
def arns(platform: RunningPlatform) -> Arns:
    place = f"us-east-1:{platform.account}"
    return Arns(f"arn:aws:sqs:{place}:q", f"arn:aws:sns:{place}:t", f"arn:aws:events:{place}:event-bus/b")


@pytest.fixture
def sender(client: Callable[..., Any], arns: Arns) -> Iterator[str]:
    """The ARN of a role that may send to queues, and to nothing else."""
    iam, name = client("iam"), "r-" + uuid.uuid4().hex[:10]
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=LAMBDA)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(statement("sqs:SendMessage", arns.queue)))
    yield arn
    iam.delete_role_policy(RoleName=name, PolicyName="p")
    iam.delete_role(RoleName=name)


def test_dead_letter_queues_are_settings(lambda_: Any, function: Make, name: str, sender: str, arns: Arns) -> None:
    dead = {"TargetArn": arns.queue}
    assert function(Role=sender, DeadLetterConfig=dead)["DeadLetterConfig"] == dead
    assert lambda_.get_function_configuration(FunctionName=name)["DeadLetterConfig"] == dead
    (listed,) = [each for each in lambda_.list_functions()["Functions"] if each["FunctionName"] == name]
    assert listed["DeadLetterConfig"] == dead
    update = lambda_.update_function_configuration
    assert "DeadLetterConfig" not in update(FunctionName=name, DeadLetterConfig={"TargetArn": ""})
    assert update(FunctionName=name, DeadLetterConfig=dead)["DeadLetterConfig"] == dead
    assert update(FunctionName=name, Timeout=4)["DeadLetterConfig"] == dead
    for target, call in ((arns.queue + "2", "SendMessage on SQS"), (arns.topic, "Publish on SNS")):
        told = refused(update, FunctionName=name, DeadLetterConfig={"TargetArn": target})
        assert told == (INVALID, f"The provided execution role does not have permissions to call {call}", 400)
    assert refused(update, FunctionName=name, DeadLetterConfig={"TargetArn": arns.bus})[0] == INVALID


def test_destinations_are_settings(lambda_: Any, function: Make, name: str, sender: str, arns: Arns) -> None:
    function(Role=sender)
    put = lambda_.put_function_event_invoke_config
    kept = {"OnSuccess": {"Destination": arns.queue}, "OnFailure": {"Destination": arns.queue}}
    assert put(FunctionName=name, DestinationConfig=kept)["DestinationConfig"] == kept
    for target, call in ((arns.queue + "2", "SendMessage"), (arns.topic, "Publish"), (arns.bus, "PutEvents")):
        told = refused(put, FunctionName=name, DestinationConfig={"OnFailure": {"Destination": target}})
        assert told == (INVALID, f"The function's execution role does not have permissions to call {call} on {target}", 400)


def test_what_is_lost_is_counted(lambda_: Any, client: Callable[..., Any], function: Make, name: str, sender: str, arns: Arns) -> None:
    function("def handler(event, context):\n    raise ValueError\n", Role=sender, DeadLetterConfig={"TargetArn": arns.queue})
    config = {"OnFailure": {"Destination": arns.queue}}
    lambda_.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0, DestinationConfig=config)
    lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps({}))
    now = datetime.now(UTC)

    def counted(metric: str) -> float:
        dimensions = [{"Name": "FunctionName", "Value": name}]
        period = {"StartTime": now - timedelta(minutes=5), "EndTime": now + timedelta(minutes=10), "Period": 60}
        found = client("cloudwatch").get_metric_statistics(
            Namespace="AWS/Lambda", MetricName=metric, Dimensions=dimensions, Statistics=["Sum"], **period
        )
        return sum(point["Sum"] for point in found["Datapoints"])

    for metric in ("DeadLetterErrors", "DestinationDeliveryFailures"):
        assert eventually(lambda metric=metric: counted(metric) == 1.0)


def test_mappings_send_on_what_they_give_up(lambda_: Any, client: Callable[..., Any], function: Make, name: str, arns: Arns) -> None:
    iam, dynamodb = client("iam"), client("dynamodb")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=LAMBDA)["Role"]["Arn"]
    reads = statement(["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"])
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(reads, statement("sns:Publish", arns.topic)))
    table = dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
    )["TableDescription"]
    function(Role=role)
    settings = {"FunctionName": name, "EventSourceArn": table["LatestStreamArn"], "StartingPosition": "LATEST"}
    told = refused(lambda_.create_event_source_mapping, DestinationConfig={"OnFailure": {"Destination": arns.queue}}, **settings)
    assert told == (INVALID, f"The function's execution role does not have permissions to call SendMessage on {arns.queue}", 400)
    kept = {"OnFailure": {"Destination": arns.topic}}
    made = lambda_.create_event_source_mapping(DestinationConfig=kept, **settings)
    assert made["DestinationConfig"] == kept
    assert lambda_.update_event_source_mapping(UUID=made["UUID"], BatchSize=7)["DestinationConfig"] == kept
    gone = lambda_.update_event_source_mapping(UUID=made["UUID"], DestinationConfig={"OnFailure": {"Destination": ""}})
    assert gone["DestinationConfig"] == {"OnFailure": {}}
    lambda_.delete_event_source_mapping(UUID=made["UUID"])
    dynamodb.delete_table(TableName=name)
    iam.delete_role_policy(RoleName=name, PolicyName="p")
    iam.delete_role(RoleName=name)
