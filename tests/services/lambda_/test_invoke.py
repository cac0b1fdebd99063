"""Invocations of real functions, in their sandboxes."""

import base64
import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore.exceptions
import pytest
from tests.services.lambda_.conftest import BASIC, zip_of
from tests.support.identity import LAMBDA, policy, refused, statement
from tests.support.platform import RunningPlatform

pytestmark = pytest.mark.sandbox
Make = Callable[..., Any]

CODE = """\
import json, os
def handler(event, context):
    print("seen", json.dumps(event))
    if event.get("fail"):
        raise ValueError("as asked")
    return {
        "event": event, "version": context.function_version, "arn": context.invoked_function_arn, "id": context.aws_request_id,
        "custom": context.client_context.custom if context.client_context else None, "setting": os.environ.get("SETTING"),
    }
"""


def eventually(check: Callable[[], Any], seconds: float = 30.0) -> Any:
    end = time.monotonic() + seconds
    while not (answer := check()) and time.monotonic() < end:
        time.sleep(0.1)
    return answer


def messages(client: Callable[..., Any], name: str, pattern: str = "") -> list[str]:
    logs = client("logs")
    try:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}", filterPattern=pattern)
        return [event["message"].rstrip("\n") for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []


def test_synchronously(lambda_: Any, client: Callable[..., Any], function: Make, name: str, invoke: Any) -> None:
    arn = function(CODE, Environment={"Variables": {"SETTING": "one"}}, Publish=True)["FunctionArn"].removesuffix(":1")
    context = base64.b64encode(json.dumps({"custom": {"a": "b"}}).encode()).decode()
    answer, result = invoke({"n": 1}, ClientContext=context, LogType="Tail")
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST") and "FunctionError" not in answer
    assert result == {"event": {"n": 1}, "version": "$LATEST", "arn": arn, "id": request_id, "custom": {"a": "b"}, "setting": "one"}
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert f"START RequestId: {request_id} Version: $LATEST" in tail and 'seen {"n": 1}' in tail
    assert json.loads(lambda_.invoke(FunctionName=name)["Payload"].read())["event"] == {}, "nothing is an empty object"
    assert "LogResult" not in invoke({})[0]

    answer, error = invoke({"fail": True})
    assert answer["FunctionError"] == "Unhandled" and answer["StatusCode"] == 200
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "as asked")

    lambda_.update_function_configuration(FunctionName=name, Environment={"Variables": {"SETTING": "two"}})
    assert invoke({})[1]["setting"] == "two", "a change is seen by the next invocation"
    lambda_.publish_version(FunctionName=name)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    answer, result = invoke({}, Qualifier="live")
    assert (answer["ExecutedVersion"], result["version"], result["arn"], result["setting"]) == ("1", "1", f"{arn}:live", "one")
    lambda_.update_alias(FunctionName=name, Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 1.0}})
    assert invoke({}, FunctionName=f"{arn}:live")[0]["ExecutedVersion"] == "2"

    assert eventually(lambda: [each for each in messages(client, name, '"seen"') if '{"n": 1}' in each])
    streams = client("logs").describe_log_streams(logGroupName=f"/aws/lambda/{name}")["logStreams"]
    assert all(re.fullmatch(r"\d{4}/\d\d/\d\d/\[(\$LATEST|\d+)\][0-9a-f]{32}", stream["logStreamName"]) for stream in streams)


def test_the_version_of_the_runtime_is_the_one_in_the_log(lambda_: Any, client: Callable[..., Any], function: Make, name: str) -> None:
    arn = function()["RuntimeVersionConfig"]["RuntimeVersionArn"]
    lambda_.invoke(FunctionName=name)
    group = f"/aws/lambda/{name}"
    first = eventually(lambda: [event["message"] for event in client("logs").filter_log_events(logGroupName=group)["events"]])[0]
    assert first.startswith("INIT_START Runtime Version: python:3.") and first.endswith(f"\tRuntime Version ARN: {arn}\n")


def test_what_cannot_be_invoked(lambda_: Any, function: Make, name: str) -> None:
    arn = function(CODE)["FunctionArn"]
    bad = refused(lambda_.invoke, FunctionName=name, Payload=b"{not json")
    assert bad[0] == "InvalidRequestContentException" and bad[1].startswith("Could not parse request body into json: ") and bad[2] == 400
    large = refused(lambda_.invoke, FunctionName=name, Payload=b'"' + b"x" * 6_291_455 + b'"')
    assert large == ("RequestTooLargeException", "Request must be smaller than 6291456 bytes for the InvokeFunction operation", 413)
    large = refused(lambda_.invoke, FunctionName=name, Payload=b'"' + b"x" * 1_048_576 + b'"', InvocationType="Event")
    assert large[1] == "1048578 byte payload is too large for the Event invocation type (limit 1048576 bytes)" and large[2] == 413
    assert lambda_.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    assert refused(lambda_.invoke, FunctionName=name, Qualifier="9")[1] == f"Function not found: {arn}:9"
    assert refused(lambda_.invoke, FunctionName=name, InvocationType="Other")[0] == "ValidationException"
    for context in ("%", "\u00e9"):
        assert refused(lambda_.invoke, FunctionName=name, ClientContext=context)[0] == "InvalidParameterValueException"


def test_asynchronously(lambda_: Any, client: Callable[..., Any], function: Make, name: str) -> None:
    function(CODE)
    answer = lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"later": 1}')
    assert answer["StatusCode"] == 202 and answer["Payload"].read() == b""
    assert lambda_.invoke_async(FunctionName=name, InvokeArgs=b'{"old": 1}')["Status"] == 202
    assert eventually(lambda: len(messages(client, name, "seen")) == 2)
    start = [each for each in messages(client, name, '"START RequestId:"') if answer["ResponseMetadata"]["RequestId"] in each]
    assert len(start) == 1


def test_a_client_context_is_for_synchronous_invocations_only(lambda_: Any, client: Callable[..., Any], function: Make, name: str) -> None:
    function("def handler(event, context):\n    print('context', context.client_context)\n")
    custom = base64.b64encode(b'{"custom": {"a": "b"}}').decode()
    lambda_.invoke(FunctionName=name, InvocationType="Event", ClientContext=custom)
    assert eventually(lambda: messages(client, name, "context")) == ["context None"]


def test_the_outcome_is_sent_on(lambda_: Any, client: Callable[..., Any], function: Make, name: str, role: str) -> None:
    arn = function(CODE)["FunctionArn"]
    to = function(CODE, "-to")["FunctionArn"]
    destination = {"OnFailure": {"Destination": to}}
    lambda_.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0, DestinationConfig=destination)
    iam, role_name = client("iam"), role.rsplit("/", 1)[1]
    iam.put_role_policy(RoleName=role_name, PolicyName="send", PolicyDocument=policy(statement("lambda:InvokeFunction", to)))
    sent = lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"fail": true}')
    (seen,) = eventually(lambda: messages(client, name + "-to", "seen"))
    iam.delete_role_policy(RoleName=role_name, PolicyName="send")
    record = json.loads(seen[seen.index("{") :])
    assert record["requestContext"] == {
        "requestId": sent["ResponseMetadata"]["RequestId"],
        "functionArn": arn + ":$LATEST",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 1,
    }
    assert record["requestPayload"] == {"fail": True} and record["responsePayload"]["errorMessage"] == "as asked"
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}


def test_logs_are_written_as_the_role_may(client: Callable[..., Any], function: Make, name: str, invoke: Any) -> None:
    iam = client("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=LAMBDA)["Role"]["Arn"]
    function(CODE, Role=arn)
    function(CODE, "-may")
    assert invoke({"first": 1})[0]["StatusCode"] == 200
    invoke({}, FunctionName=name + "-may")
    assert eventually(lambda: messages(client, name + "-may"))
    assert not messages(client, name), "what the role may not write is not there"
    iam.attach_role_policy(RoleName=name, PolicyArn=BASIC)

    def logged() -> bool:
        invoke({"second": 1})
        return bool(messages(client, name, '"second"'))

    assert eventually(logged)
    iam.detach_role_policy(RoleName=name, PolicyArn=BASIC)
    iam.delete_role(RoleName=name)


def test_who_may_invoke(client: Callable[..., Any], lambda_: Any, function: Make, name: str, platform: RunningPlatform) -> None:
    arn = function(CODE, Publish=True)["FunctionArn"].removesuffix(":1")
    iam = client("iam")
    user = iam.create_user(UserName=name)["User"]["Arn"]
    key = iam.create_access_key(UserName=name)["AccessKey"]
    theirs = client("lambda", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])

    def dry(**more: Any) -> Any:
        return theirs.invoke(FunctionName=name, InvocationType="DryRun", **more)["StatusCode"]

    code, message, status = refused(dry)
    assert (code, status) == ("AccessDeniedException", 403)
    assert (
        f"User: {user} is not authorized to perform: lambda:InvokeFunction on resource: {arn} because no identity-based policy" in message
    )
    lambda_.add_permission(FunctionName=name, StatementId="u", Action="lambda:InvokeFunction", Principal=user)
    assert dry() == 204, "the function's policy lets the user in"
    assert refused(dry, Qualifier="1")[0] == "AccessDeniedException", "but only to the unqualified function"
    lambda_.remove_permission(FunctionName=name, StatementId="u")
    assert refused(dry)[0] == "AccessDeniedException"
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy(statement("lambda:InvokeFunction", arn + ":1")))
    assert dry(Qualifier="1") == 204 and refused(dry)[0] == "AccessDeniedException"
    assert refused(theirs.invoke, FunctionName=name + "x")[0] == "AccessDeniedException"
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)


def test_redeployed_code_is_live(lambda_: Any, function: Make, name: str, invoke: Any) -> None:
    function("def handler(e, c): return 1\n")
    assert invoke({})[1] == 1
    lambda_.update_function_code(FunctionName=name, ZipFile=zip_of(app_py="def handler(e, c): return 2\n"))
    assert invoke({})[1] == 2
    lambda_.delete_function(FunctionName=name)
    assert refused(lambda_.invoke, FunctionName=name)[0] == "ResourceNotFoundException"


def test_reserved_concurrency_is_a_limit(lambda_: Any, function: Make, name: str, invoke: Any) -> None:
    function("import time\ndef handler(e, c):\n    time.sleep(e)\n    return 1\n", Timeout=30)
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: _outcome(invoke), range(4)))
    assert sorted(answers) == ["1"] + ["TooManyRequestsException"] * 3
    assert invoke(0)[1] == 1


def _outcome(invoke: Any) -> str:
    try:
        return str(invoke(3)[1])
    except botocore.exceptions.ClientError as error:
        return str(error.response["Error"]["Code"])
