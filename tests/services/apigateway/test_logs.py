"""Access logs and execution logs in CloudWatch Logs."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.services.apigateway.conftest import REGION, Api, refused
from tests.services.apigateway.test_caching import patch
from tests.support.platform import RunningPlatform

NO_ROLE = "CloudWatch Logs role ARN must be set in account settings to enable logging"


def set_role(platform: RunningPlatform, arn: str) -> None:
    operation = {"op": "replace", "path": "/cloudwatchRoleArn", "value": arn}
    platform.client("apigateway").update_account(patchOperations=[operation])


@pytest.fixture
def logging(fresh_platform: Callable[..., RunningPlatform]) -> Iterator[tuple[RunningPlatform, Callable[..., Any]]]:
    """A platform of its own, since the role is the account's; and give(*actions), which sets a role that may do these."""
    platform = fresh_platform()
    iam = platform.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "apigateway.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = iam.create_role(RoleName="logs", AssumeRolePolicyDocument=document)["Role"]["Arn"]

    def give(*actions: str) -> None:
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
        iam.put_role_policy(RoleName="logs", PolicyName="p", PolicyDocument=json.dumps(policy))
        set_role(platform, arn)

    yield platform, give


def messages(platform: RunningPlatform, group: str, enough: Callable[[list[str]], bool]) -> list[str]:
    """The messages of a group, once there are enough."""
    logs, found = platform.client("logs"), []
    for _ in range(150):
        try:
            events = logs.filter_log_events(logGroupName=group)["events"]
        except logs.exceptions.ResourceNotFoundException:
            events = []
        found = [event["message"] for event in events]
        if enough(found):
            return found
        time.sleep(0.2)
    raise AssertionError(f"not enough in {group}: {found}")


def test_access_logs(logging: tuple[RunningPlatform, Callable[..., Any]]):
    platform, give = logging
    api = Api(platform)
    api.mock("/a/{x}", "GET", '{"hello": 1}')
    api.method("/locked", authorizationType="AWS_IAM")
    api.gateway.put_integration(**api.at("/locked"), type="MOCK")
    api.deploy()
    arn = f"arn:aws:logs:{REGION}:{platform.account}:log-group:access"
    form = '{"id": "$context.requestId", "path": "$context.resourcePath", "status": $context.status, "size": $context.responseLength, '
    form += '"ip": "$context.identity.sourceIp", "why": $context.error.messageString, "type": "$context.error.responseType"}'
    settings = (("replace", "/accessLogSettings/destinationArn", arn + ":*"), ("replace", "/accessLogSettings/format", form))
    assert refused(patch, api, *settings) == ("BadRequestException", NO_ROLE, 400)
    give("logs:*")
    platform.client("logs").create_log_group(logGroupName="access")
    patch(api, *settings)
    ok, locked = api.call("/a/b"), api.call("/locked")
    lines = messages(platform, "access", lambda found: len(found) >= 2)
    start = f'{{"id": "{ok.headers["x-amzn-RequestId"]}", "path": "/a/{{x}}", "status": 200, "size": 12, '
    assert lines[0] == start + '"ip": "127.0.0.1", "why": -, "type": "-"}'
    second = json.loads(lines[1])
    assert second["why"] == "Missing Authentication Token" and second["type"] == "MISSING_AUTHENTICATION_TOKEN"
    assert second["id"] == locked.headers["x-amzn-RequestId"] and second["status"] == 403
    clf = '$context.identity.sourceIp - - [$context.requestTime] "$context.httpMethod $context.resourcePath $context.protocol" '
    patch(api, ("replace", "/accessLogSettings/format", clf + "$context.status $context.responseLength ${context.requestId}\n"))
    api.call("/a/b")
    line = messages(platform, "access", lambda found: len(found) >= 3)[2]
    assert line.startswith("127.0.0.1 - - [") and '"GET /a/{x} HTTP/1.1" 200 12 ' in line
    assert refused(patch, api, ("replace", "/accessLogSettings/destinationArn", "arn:aws:sqs:us-east-1:1:q"))[0] == "BadRequestException"


def test_execution_logs(logging: tuple[RunningPlatform, Callable[..., Any]]):
    platform, give = logging
    api = Api(platform)
    api.mock("/", "GET", '{"hello": 1}')
    api.mock("/bad", "GET", request="{}")
    api.deploy()
    assert refused(patch, api, ("replace", "/*/*/logging/loglevel", "INFO"))[1] == NO_ROLE
    give("logs:*")
    patch(api, ("replace", "/*/*/logging/loglevel", "INFO"))
    group = f"API-Gateway-Execution-Logs_{api.id}/v1"
    answer = api.call("/?secret=1")
    mark = f"({answer.headers['x-amzn-RequestId']}) "
    lines = messages(platform, group, lambda found: any("Method completed" in one for one in found))
    assert all(line.startswith(mark) for line in lines)
    assert [line.removeprefix(mark) for line in lines] == [
        f"Extended Request Id: {answer.headers['x-amz-apigw-id']}",
        f"Verifying Usage Plan for request: {answer.headers['x-amzn-RequestId']}. API Key:  API Stage: {api.id}/v1",
        "API Key  authorized because method 'GET /' does not require API Key. Request will not contribute to throttle or quota limits",
        f"Usage Plan check succeeded for API Key  and API Stage {api.id}/v1",
        f"Starting execution for request: {answer.headers['x-amzn-RequestId']}",
        "HTTP Method: GET, Resource Path: /",
        "Successfully completed execution",
        "Method completed with status: 200",
    ]
    patch(api, ("replace", "/~1/GET/logging/loglevel", "INFO"), ("replace", "/~1/GET/logging/dataTrace", "true"))
    api.call("/?shown=1")
    lines = messages(platform, group, lambda found: sum("Method completed" in one for one in found) >= 2)
    assert any("Method request query string: {shown=1}" in line for line in lines)
    assert any('Method response body after transformations: {"hello": 1}' in line for line in lines)
    patch(api, ("replace", "/~1bad/GET/logging/loglevel", "ERROR"))
    assert api.call("/bad").status_code == 500
    lines = messages(platform, group, lambda found: any("Gateway response type: API_CONFIGURATION_ERROR" in one for one in found))
    assert any("Execution failed due to configuration error: Unable to parse statusCode" in line for line in lines)
    assert not any("/bad" in line for line in lines)


def test_what_the_role_may_not_write_is_not_written(logging: tuple[RunningPlatform, Callable[..., Any]]):
    platform, give = logging
    api = Api(platform)
    api.mock("/")
    api.deploy()
    give("logs:PutLogEvents")
    patch(api, ("replace", "/*/*/logging/loglevel", "INFO"))
    assert api.call("/").status_code == 200
    for _ in range(100):
        if "may not logs:CreateLog" in platform.log.read_text():
            break
        time.sleep(0.2)
    assert "may not logs:CreateLog" in platform.log.read_text()
    assert platform.client("logs").describe_log_groups()["logGroups"] == []
