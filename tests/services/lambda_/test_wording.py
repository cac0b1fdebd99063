"""What Lambda answers to requests that it does not take, in its words; and what answers have beside what the model says."""

import json
import threading
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

import pytest
from tests.services.lambda_.conftest import zip_of
from tests.support.identity import LAMBDA, refused
from tests.support.platform import RunningPlatform

Make = Callable[..., Any]
VALIDATION, INVALID, MISSING = "ValidationException", "InvalidParameterValueException", "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"Architectures": ["sparc"]},
            "Value '[sparc]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: "
            "[Member must satisfy enum value set: [x86_64, arm64], Member must not be null]",
        ),
        (
            {"Architectures": ["x86_64", "arm64"]},
            "Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: Member must have length less than or equal to 1",
        ),
        (
            {"VpcConfig": {"SubnetIds": ["net"], "SecurityGroupIds": []}},
            "Value '[net]' at 'vpcConfig.subnetIds' failed to satisfy constraint: Member must satisfy constraint: [Member must have length "
            "less than or equal to 1024, Member must have length greater than or equal to 0, Member must satisfy regular expression "
            "pattern: subnet-[0-9a-z]*, Member must not be null]",
        ),
    ],
)
def test_what_is_said_of_members(function: Make, settings: dict[str, Any], message: str) -> None:
    assert refused(function, **settings) == (VALIDATION, f"1 validation error detected: {message}", 400)


def test_weights_of_aliases(lambda_: Any, function: Make, name: str) -> None:
    function(Publish=True)

    def create(**weights: float) -> Any:
        routing = {"AdditionalVersionWeights": {version.removeprefix("v"): weight for version, weight in weights.items()}}
        return refused(lambda_.create_alias, FunctionName=name, Name="a", FunctionVersion="1", RoutingConfig=routing)

    assert create(v2=1.5) == (
        VALIDATION,
        "1 validation error detected: Value '{2=1.5}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map value "
        "must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0, "
        "Member must not be null]",
        400,
    )
    assert create(v2=-0.5)[0] == VALIDATION
    assert "pattern: [0-9]+, Member must not be null]" in create(x=0.5)[1]


def test_code_comes_from_one_place(function: Make) -> None:
    found = refused(function, Code={"ZipFile": zip_of(a_py="x"), "S3Bucket": "some-bucket", "S3Key": "k"})
    assert found == (INVALID, "Please do not provide other FunctionCode parameters when providing a ZipFile.", 400)


def test_roles_of_other_accounts_are_not_passed(function: Make) -> None:
    found = refused(function, Role="arn:aws:iam::111111111111:role/r")
    assert found == ("AccessDeniedException", "Cross-account pass role is not allowed.", 403)


def test_reserved_concurrency_is_not_negative(lambda_: Any, function: Make, name: str) -> None:
    function()
    found = refused(lambda_.put_function_concurrency, FunctionName=name, ReservedConcurrentExecutions=-1)
    assert found[0] == VALIDATION and "'reservedConcurrentExecutions'" in found[1] and "greater than or equal to 0" in found[1]


def test_versions_are_not_changed(lambda_: Any, function: Make, name: str) -> None:
    function(Publish=True)
    message = (
        "Current operation does not support versions other than $LATEST. "
        "Please set the version to $LATEST or do not set a version in your request."
    )
    for call, more in (
        (lambda_.update_function_code, {"ZipFile": zip_of(a_py="x")}),
        (lambda_.update_function_configuration, {"Timeout": 5}),
        (lambda_.publish_version, {}),
    ):
        assert refused(call, FunctionName=f"{name}:1", **more) == (INVALID, message, 400)
        call(FunctionName=f"{name}:$LATEST", **more)


def test_what_is_missing(lambda_: Any, function: Make, name: str, platform: RunningPlatform) -> None:
    gone = refused(lambda_.put_function_event_invoke_config, FunctionName=name, MaximumRetryAttempts=1)
    assert gone == (MISSING, "The function doesn't exist.", 404)
    assert refused(lambda_.list_function_event_invoke_configs, FunctionName=name) == gone
    arn = function()["FunctionArn"]
    assert refused(lambda_.update_alias, FunctionName=name, Name="a") == (MISSING, f"Alias not found: {arn}:a", 404)
    assert refused(lambda_.get_alias, FunctionName=name, Name="a") == (MISSING, f"Cannot find alias arn: {arn}:a", 404)


def test_principals_must_be_there(lambda_: Any, function: Make, name: str, role: str, platform: RunningPlatform) -> None:
    function()
    settings = {"FunctionName": name, "Action": "lambda:InvokeFunction"}
    for principal in (f"arn:aws:iam::{platform.account}:role/no-such-role", f"arn:aws:iam::{platform.account}:user/nobody-at-all"):
        found = refused(lambda_.add_permission, StatementId="s", Principal=principal, **settings)
        assert found == (INVALID, "The provided principal was invalid. Please check the principal and try again.", 400)
    for number, principal in enumerate((role, "arn:aws:iam::111111111111:role/theirs", f"arn:aws:iam::{platform.account}:root")):
        lambda_.add_permission(StatementId=f"s{number}", Principal=principal, **settings)


def test_system_tags(lambda_: Any, function: Make) -> None:
    arn = function()["FunctionArn"]
    assert refused(lambda_.tag_resource, Resource=arn, Tags={"aws:mine": "x"})[:2] == (
        INVALID,
        "System tags cannot be added/updated by requester.",
    )


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"AWS:mine": "x"}, "System tags cannot be added/updated by requester."),
        ({f"k{number}": "" for number in range(51)}, "Number of tags exceeds resource tag limit."),
    ],
)
def test_tags_of_new_functions(function: Make, tags: dict[str, str], message: str) -> None:
    assert refused(function, Tags=tags) == (INVALID, message, 400)


def test_conditions_on_urls_and_removed_statements(
    client: Callable[..., Any], lambda_: Any, function: Make, name: str, platform: RunningPlatform
) -> None:
    arn, iam = function()["FunctionArn"], client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    theirs = client("lambda", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    statements = [
        {
            "Effect": "Allow",
            "Action": "lambda:*FunctionUrlConfig",
            "Resource": "*",
            "Condition": {"ArnEquals": {"lambda:FunctionArn": arn}, "StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}},
        },
        {
            "Effect": "Allow",
            "Action": "lambda:RemovePermission",
            "Resource": "*",
            "Condition": {"StringEquals": {"lambda:Principal": "s3.amazonaws.com"}},
        },
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    assert refused(theirs.create_function_url_config, FunctionName=name, AuthType="NONE")[0] == "AccessDeniedException"
    theirs.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")
    assert refused(theirs.update_function_url_config, FunctionName=name, AuthType="NONE")[0] == "AccessDeniedException"
    theirs.get_function_url_config(FunctionName=name)
    theirs.update_function_url_config(FunctionName=name, InvokeMode="RESPONSE_STREAM")
    lambda_.update_function_url_config(FunctionName=name, AuthType="NONE")
    assert refused(theirs.delete_function_url_config, FunctionName=name)[0] == "AccessDeniedException"
    for sid, principal in (("s3", "s3.amazonaws.com"), ("sns", "sns.amazonaws.com")):
        lambda_.add_permission(FunctionName=name, StatementId=sid, Action="lambda:InvokeFunction", Principal=principal)
    assert refused(theirs.remove_permission, FunctionName=name, StatementId="sns")[0] == "AccessDeniedException"
    theirs.remove_permission(FunctionName=name, StatementId="s3")
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)


def test_headers_of_invocations(lambda_: Any, function: Make, name: str) -> None:
    function()
    for kind, typed in (("RequestResponse", True), ("Event", False), ("DryRun", False)):
        headers = lambda_.invoke(FunctionName=name, InvocationType=kind, Payload=b"{}")["ResponseMetadata"]["HTTPHeaders"]
        assert headers["x-amzn-remapped-content-length"] == "0"
        assert ("content-type" in headers) is typed, kind


@pytest.mark.parametrize(
    ("method", "path", "purpose"),
    [
        ("POST", "/2015-03-31/functions", " for the CreateFunction operation"),
        ("PUT", "/2015-03-31/functions/f/code", " for the UpdateFunctionCode operation"),
        ("POST", "/2018-10-31/layers/l/versions", " for the PublishLayerVersion operation"),
        ("POST", "/nothing", ""),
    ],
)
def test_requests_that_are_too_large_are_told_by_their_head(platform: RunningPlatform, method: str, path: str, purpose: str) -> None:
    connection = HTTPConnection("127.0.0.1", platform.port, timeout=60)
    connection.putrequest(method, path)
    connection.putheader(
        "Authorization", "AWS4-HMAC-SHA256 Credential=A/20240101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0"
    )
    connection.putheader("Content-Length", "70167212")
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("x-amzn-ErrorType")) == (413, "RequestEntityTooLargeException")
    assert json.loads(answer.read()) == {"message": f"Request must be smaller than 70167211 bytes{purpose}"}
    connection.close()


def test_one_update_at_a_time(lambda_: Any, function: Make, name: str) -> None:
    arn = function()["FunctionArn"]
    refusals, done = [], []

    def update(number: int) -> None:
        for attempt in range(5):
            try:
                lambda_.update_function_configuration(FunctionName=name, Description=f"{number} {attempt}")
                done.append(number)
            except lambda_.exceptions.ResourceConflictException as error:
                refusals.append(error.response)

    threads = [threading.Thread(target=update, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done and refusals
    message = f"The operation cannot be performed at this time. An update is in progress for resource: {arn}"
    assert all(each["Error"]["Message"] == message and each["Type"] == "User" for each in refusals)
    assert refusals[0]["ResponseMetadata"]["HTTPStatusCode"] == 409
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name)
    lambda_.update_function_configuration(FunctionName=name, Description="last")


CALLER = """
import boto3

def handler(event, context):
    boto3.client("dynamodb").list_tables()
    return "allowed"
"""


def test_policies_may_ask_which_function_calls(client: Callable[..., Any], lambda_: Any, name: str, platform: RunningPlatform) -> None:
    iam, prefix = client("iam"), f"arn:aws:lambda:us-east-1:{platform.account}:function:{name}"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=LAMBDA)["Role"]["Arn"]
    allowed = {
        "Effect": "Allow",
        "Action": "dynamodb:ListTables",
        "Resource": "*",
        "Condition": {"ArnEquals": {"lambda:SourceFunctionArn": f"{prefix}-a"}},
    }
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))
    answers = {}
    for suffix in ("-a", "-b"):
        settings = {"Runtime": "python3.12", "Handler": "app.handler", "Timeout": 30, "MemorySize": 256}
        lambda_.create_function(FunctionName=name + suffix, Role=role, Code={"ZipFile": zip_of(app_py=CALLER)}, **settings)
        answers[suffix] = lambda_.invoke(FunctionName=name + suffix)["Payload"].read().decode()
        lambda_.delete_function(FunctionName=name + suffix)
    assert answers["-a"] == '"allowed"'
    assert "AccessDenied" in answers["-b"]
    iam.delete_role_policy(RoleName=name, PolicyName="p")
    iam.delete_role(RoleName=name)
