"""A user without a policy may do nothing: every operation of every service refuses it, and names an action that exists."""

import re
from typing import Any

import botocore.exceptions
import pytest
from botocore.model import Shape, StringShape, StructureShape
from tests.support.platform import RunningPlatform

from haar.policy.actions import known_action
from haar.services.registry import services

OPEN_TO_ALL = {("sts", "GetCallerIdentity"), ("sts", "GetSessionToken"), ("sts", "GetAccessKeyInfo"), ("iam", "ListMFADevices")}
"""What AWS needs no permission for, or what everybody may do to themselves there."""
UNEXPLAINED = 0.25
"""The share of operations whose smallest input is refused before anybody asks who calls."""
DENIED = re.compile(r"is not authorized to perform: (\S+?)(?: |$)")
KNOWN = {
    "PolicyDocument": '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}',
    "AssumeRolePolicyDocument": (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}'
    ),
    "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess",
    "RoleArn": "arn:aws:iam::{account}:role/nobody",
    "Role": "arn:aws:iam::{account}:role/nobody",
    "FunctionName": "nothing",
    "TableName": "nothing",
    "Handler": "app.handler",
    "Runtime": "python3.12",
    "Statement": "SELECT * FROM \"nothing\" WHERE id = 'a'",
    "logGroupName": "nothing",
    "SourceArn": "arn:aws:dynamodb:us-east-1:{account}:table/nothing",
    "EventSourceArn": "arn:aws:dynamodb:us-east-1:{account}:table/nothing/stream/2026-01-01T00:00:00.000",
    "StreamArn": "arn:aws:dynamodb:us-east-1:{account}:table/nothing/stream/2026-01-01T00:00:00.000",
    "BackupArn": "arn:aws:dynamodb:us-east-1:{account}:table/nothing/backup/01489602797149-73d8d5bc",
    "ResourceArn": "arn:aws:dynamodb:us-east-1:{account}:table/nothing",
    "resourceIdentifier": "arn:aws:logs:us-east-1:{account}:log-group:nothing",
    "Resource": "arn:aws:lambda:us-east-1:{account}:function:nothing",
    "resourceArn": "arn:aws:apigateway:us-east-1::/restapis/nothing",
}

ALSO: dict[str, dict[str, Any]] = {
    "CreateTable": {
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    },
    "Query": {"KeyConditionExpression": "id = :i", "ExpressionAttributeValues": {":i": {"S": "a"}}},
    "RestoreTableToPointInTime": {"SourceTableName": "nothing", "UseLatestRestorableTime": True},
    "TransactWriteItems": {"TransactItems": [{"Delete": {"TableName": "nothing", "Key": {"id": {"S": "a"}}}}]},
    "DescribeLogStreams": {"logGroupName": "nothing"},
    "FilterLogEvents": {"logGroupName": "nothing"},
    "GetLogEvents": {"logGroupName": "nothing"},
}
"""What an operation needs although its model does not require it."""


def smallest(shape: Shape, name: str, account: str) -> Any:
    """The smallest value that the model takes for this shape."""
    if name in KNOWN and isinstance(shape, StringShape):
        return KNOWN[name].replace("{account}", account)
    if shape.name == "AttributeValue":
        return {"S": "a"}
    if isinstance(shape, StructureShape):
        return {member: smallest(shape.members[member], member, account) for member in shape.required_members}
    least = int(shape.metadata.get("min", 0))
    if shape.type_name == "list":
        return [smallest(shape.member, name, account) for _ in range(max(1, least))]  # type: ignore[attr-defined]
    if shape.type_name == "map":
        return {smallest(shape.key, "", account): smallest(shape.value, "", account)}  # type: ignore[attr-defined]
    if shape.type_name == "string":
        return shape.enum[0] if shape.enum else "a" * max(3, least)  # type: ignore[attr-defined]
    return {"integer": max(1, least), "long": max(1, least), "boolean": False, "blob": b"a" * max(1, least), "timestamp": 0}.get(
        shape.type_name, 1.0
    )


@pytest.fixture(scope="module")
def nobody(platform: RunningPlatform) -> dict[str, str]:
    """Keys of a user without any policy."""
    iam = platform.client("iam")
    iam.create_user(UserName="nobody-at-all")
    key = iam.create_access_key(UserName="nobody-at-all")["AccessKey"]
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


@pytest.mark.parametrize("service", [service.name for service in services()])
def test_nobody_may_do_anything(platform: RunningPlatform, nobody: dict[str, str], service: str) -> None:
    client = platform.client(service, **nobody)
    methods = {operation: method for method, operation in client.meta.method_to_api_mapping.items()}
    built = next(one for one in services() if one.name == service).operations
    refused_early, allowed, unknown = [], [], []
    for operation in sorted(built):
        shape = client.meta.service_model.operation_model(operation).input_shape
        input = (smallest(shape, "", platform.account) if shape is not None else {}) | ALSO.get(operation, {})
        try:
            getattr(client, methods[operation])(**input)
        except botocore.exceptions.ClientError as error:
            said = DENIED.search(error.response["Error"].get("Message", ""))
            if said is None:
                refused_early.append(f"{operation}: {error.response['Error']}")
            elif not known_action(said[1]):
                unknown.append(f"{operation}: {said[1]}")
            continue
        if (service, operation) not in OPEN_TO_ALL:
            allowed.append(operation)
    assert not allowed, "allowed to a user without a policy"
    assert not unknown, "actions that the service authorization reference does not have"
    assert len(refused_early) <= max(3, UNEXPLAINED * len(built)), "\n".join(refused_early)
