"""Versions, aliases, permissions, concurrency and event settings (nothing is run here)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.services.lambda_.conftest import ECHO, zip_of
from tests.support.identity import refused
from tests.support.platform import RunningPlatform

Make = Callable[..., Any]


def test_versions(lambda_: Any, function: Make, name: str) -> None:
    made = function(Description="d")
    arn = made["FunctionArn"]
    one = lambda_.publish_version(FunctionName=name, Description="one")
    assert (one["Version"], one["FunctionArn"], one["Description"]) == ("1", arn + ":1", "one")
    assert lambda_.publish_version(FunctionName=name)["Version"] == "1", "nothing has changed"
    lambda_.update_function_configuration(FunctionName=name, Timeout=7)
    error = refused(lambda_.publish_version, FunctionName=name, CodeSha256="x")
    assert error[:2] == (
        "InvalidParameterValueException",
        f"CodeSHA256 (x) is different from current CodeSHA256 in $LATEST ({made['CodeSha256']}). "
        "Please try again with the CodeSHA256 in $LATEST.",
    )
    assert refused(lambda_.publish_version, FunctionName=name, RevisionId="x")[0] == "PreconditionFailedException"
    assert lambda_.publish_version(FunctionName=name, CodeSha256=made["CodeSha256"])["Version"] == "2"
    three = lambda_.update_function_code(FunctionName=name, ZipFile=zip_of(app_py="other"), Publish=True)
    assert three["Version"] == "3" and three["FunctionArn"] == arn + ":3"
    old = lambda_.get_function_configuration(FunctionName=name, Qualifier="1")
    assert (old["Timeout"], old["CodeSha256"]) == (3, made["CodeSha256"]), "a version does not change"
    pages = lambda_.get_paginator("list_versions_by_function").paginate(FunctionName=name, PaginationConfig={"PageSize": 1})
    listed = [each for page in pages for each in page["Versions"]]
    assert [each["Version"] for each in listed] == ["$LATEST", "1", "2", "3"]
    assert [each["FunctionArn"] for each in listed] == [f"{arn}:$LATEST", f"{arn}:1", f"{arn}:2", f"{arn}:3"]
    lambda_.delete_function(FunctionName=name, Qualifier="3")
    assert refused(lambda_.get_function, FunctionName=f"{name}:3")[1] == f"Function not found: {arn}:3"
    assert lambda_.publish_version(FunctionName=name)["Version"] == "4", "a number is never given again"


def test_published_when_created(function: Make) -> None:
    made = function(Publish=True)
    assert made["Version"] == "1" and made["FunctionArn"].endswith(f":{made['FunctionName']}") and made["State"] == "Pending"


def test_aliases(lambda_: Any, function: Make, name: str) -> None:
    arn = function(Publish=True)["FunctionArn"].removesuffix(":1")
    lambda_.update_function_configuration(FunctionName=name, Timeout=7)
    lambda_.publish_version(FunctionName=name)
    live = lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1", Description="d")
    del live["ResponseMetadata"]
    revision = live.pop("RevisionId")
    assert live == {"AliasArn": f"{arn}:live", "Name": "live", "FunctionVersion": "1", "Description": "d"}
    assert refused(lambda_.create_alias, FunctionName=name, Name="live", FunctionVersion="1") == (
        "ResourceConflictException",
        f"Alias already exists: {arn}:live",
        409,
    )
    assert refused(lambda_.create_alias, FunctionName=name, Name="x", FunctionVersion="9")[1] == f"Function not found: {arn}:9"
    assert refused(lambda_.create_alias, FunctionName=name, Name="12", FunctionVersion="1")[0] == "ValidationException"
    assert refused(lambda_.get_alias, FunctionName=name, Name="x")[1] == f"Cannot find alias arn: {arn}:x"
    weights = {"AdditionalVersionWeights": {"2": 0.25}}
    assert refused(lambda_.update_alias, FunctionName=name, Name="live", RevisionId="x")[0] == "PreconditionFailedException"
    updated = lambda_.update_alias(FunctionName=name, Name="live", RoutingConfig=weights, RevisionId=revision)
    assert updated["RoutingConfig"] == weights and updated["FunctionVersion"] == "1" and updated["RevisionId"] != revision
    same = {"AdditionalVersionWeights": {"1": 0.5}}
    assert "already included" in refused(lambda_.update_alias, FunctionName=name, Name="live", RoutingConfig=same)[1]
    latest = {"FunctionName": name, "Name": "l", "FunctionVersion": "$LATEST"}
    assert "$LATEST is not supported" in refused(lambda_.create_alias, **latest, RoutingConfig=weights)[1]
    lambda_.create_alias(**latest)
    assert lambda_.get_function_configuration(FunctionName=name, Qualifier="live")["FunctionArn"] == f"{arn}:live"
    assert lambda_.get_function_configuration(FunctionName=f"{arn}:live")["Version"] == "1"

    def names(**more: Any) -> list[str]:
        pages = lambda_.get_paginator("list_aliases").paginate(FunctionName=name, PaginationConfig={"PageSize": 1}, **more)
        return [alias["Name"] for page in pages for alias in page["Aliases"]]

    assert names() == ["l", "live"] and names(FunctionVersion="2") == ["live"]
    for version in ("1", "2"):
        conflict = refused(lambda_.delete_function, FunctionName=name, Qualifier=version)
        assert conflict[:2] == ("ResourceConflictException", "Unable to delete version because the following aliases reference it: [live]")
    lambda_.delete_alias(FunctionName=name, Name="live")
    lambda_.delete_alias(FunctionName=name, Name="live")
    assert names() == ["l"]
    lambda_.delete_function(FunctionName=name, Qualifier="1")


@pytest.mark.parametrize(
    "input, expected",
    [
        ({"Principal": "s3.amazonaws.com"}, {"Principal": {"Service": "s3.amazonaws.com"}}),
        ({"Principal": "*"}, {"Principal": "*"}),
        ({"Principal": "111122223333"}, {"Principal": {"AWS": "arn:aws:iam::111122223333:root"}}),
        (
            {"Principal": "s3.amazonaws.com", "SourceArn": "arn:aws:s3:::b", "SourceAccount": "111122223333"},
            {
                "Principal": {"Service": "s3.amazonaws.com"},
                "Condition": {"StringEquals": {"AWS:SourceAccount": "111122223333"}, "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"}},
            },
        ),
        (
            {"Principal": "*", "Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"},
            {"Principal": "*", "Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}},
        ),
    ],
)
def test_statements(lambda_: Any, function: Make, name: str, input: dict[str, str], expected: dict[str, Any]) -> None:
    arn = function()["FunctionArn"]
    wanted = {"Action": "lambda:InvokeFunction"} | input
    statement = lambda_.add_permission(FunctionName=name, StatementId="s", **wanted)["Statement"]
    assert json.loads(statement) == {"Sid": "s", "Effect": "Allow", "Action": wanted["Action"], "Resource": arn} | expected
    assert list(json.loads(statement))[:5] == ["Sid", "Effect", "Principal", "Action", "Resource"]
    policy = lambda_.get_policy(FunctionName=name)["Policy"]
    assert policy == f'{{"Version":"2012-10-17","Id":"default","Statement":[{statement}]}}'


def test_permissions(lambda_: Any, function: Make, name: str) -> None:
    arn = function(Publish=True)["FunctionArn"].removesuffix(":1")
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    grant = {"FunctionName": name, "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    assert refused(lambda_.get_policy, FunctionName=name)[:2] == (
        "ResourceNotFoundException",
        "The resource you requested does not exist.",
    )
    lambda_.add_permission(StatementId="a", **grant)
    assert refused(lambda_.add_permission, StatementId="a", **grant) == (
        "ResourceConflictException",
        "The statement id (a) provided already exists. Please provide a new statement id, or remove the existing statement.",
        409,
    )
    assert refused(lambda_.add_permission, StatementId="b", **grant | {"Principal": "nobody"})[:2] == (
        "InvalidParameterValueException",
        "The provided principal was invalid. Please check the principal and try again.",
    )
    assert refused(lambda_.add_permission, StatementId="b", Qualifier="$LATEST", **grant)[1] == (
        "We currently do not support adding policies for $LATEST."
    )
    lambda_.add_permission(StatementId="b", Qualifier="live", **grant)
    (statement,) = json.loads(lambda_.get_policy(FunctionName=name, Qualifier="live")["Policy"])["Statement"]
    assert statement["Resource"] == f"{arn}:live"
    revision = lambda_.get_policy(FunctionName=name)["RevisionId"]
    assert lambda_.get_function_configuration(FunctionName=name)["RevisionId"] == revision
    assert refused(lambda_.add_permission, StatementId="c", RevisionId="x", **grant)[0] == "PreconditionFailedException"
    lambda_.add_permission(StatementId="c", RevisionId=revision, **grant)
    assert lambda_.get_policy(FunctionName=name)["RevisionId"] != revision
    assert refused(lambda_.remove_permission, FunctionName=name, StatementId="z")[1] == "Statement z is not found in resource policy."
    lambda_.remove_permission(FunctionName=name, StatementId="a")
    lambda_.remove_permission(FunctionName=name, StatementId="c")
    assert refused(lambda_.get_policy, FunctionName=name)[0] == "ResourceNotFoundException"
    assert refused(lambda_.remove_permission, FunctionName=name, StatementId="a")[1] == "No policy is associated with the given resource."
    grant["SourceArn"] = "arn:aws:s3:::" + "b" * 1000

    def fill() -> None:
        for index in range(30):
            lambda_.add_permission(StatementId=f"s{index}", **grant)

    assert refused(fill)[0] == "PolicyLengthExceededException"


def test_concurrency(lambda_: Any, function: Make, name: str) -> None:
    function()
    assert "ReservedConcurrentExecutions" not in lambda_.get_function_concurrency(FunctionName=name)
    limits = lambda_.get_account_settings()["AccountLimit"]
    assert limits["ConcurrentExecutions"] == 1000 and limits["CodeSizeUnzipped"] == 262_144_000
    assert refused(lambda_.put_function_concurrency, FunctionName=name, ReservedConcurrentExecutions=901) == (
        "InvalidParameterValueException",
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
        "minimum value of [100].",
        400,
    )
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert lambda_.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 0}
    code, message, status = refused(lambda_.invoke, FunctionName=name)
    assert (code, message, status) == ("TooManyRequestsException", "Rate Exceeded.", 429)
    with pytest.raises(lambda_.exceptions.TooManyRequestsException) as caught:
        lambda_.invoke(FunctionName=name)
    assert caught.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
    lambda_.delete_function_concurrency(FunctionName=name)
    assert "Concurrency" not in lambda_.get_function(FunctionName=name)


def test_event_invoke_configs(lambda_: Any, function: Make, name: str) -> None:
    arn = function()["FunctionArn"]
    other = function(ECHO, "-other")["FunctionArn"]
    missing = refused(lambda_.get_function_event_invoke_config, FunctionName=name)
    assert missing == ("ResourceNotFoundException", f"The function {arn}:$LATEST doesn't have an EventInvokeConfig", 404)
    assert refused(lambda_.update_function_event_invoke_config, FunctionName=name, MaximumRetryAttempts=1)[0] == "ResourceNotFoundException"
    assert refused(lambda_.put_function_event_invoke_config, FunctionName=name)[1] == (
        "You must specify at least one of error handling or destination setting."
    )
    assert refused(lambda_.put_function_event_invoke_config, FunctionName=name, MaximumRetryAttempts=3)[0] == "ValidationException"
    assert refused(lambda_.put_function_event_invoke_config, FunctionName=name, MaximumEventAgeInSeconds=59)[0] == "ValidationException"
    destination = {"OnFailure": {"Destination": other}}
    put = lambda_.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0, DestinationConfig=destination)
    assert put["FunctionArn"] == f"{arn}:$LATEST" and put["MaximumRetryAttempts"] == 0
    assert put["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {"Destination": other}}
    updated = lambda_.update_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=60)
    assert (updated["MaximumRetryAttempts"], updated["MaximumEventAgeInSeconds"]) == (0, 60)
    put = lambda_.put_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=90)
    assert "MaximumRetryAttempts" not in put and put["DestinationConfig"]["OnFailure"] == {}, "put replaces"
    for bad in ("arn:aws:sqs:us-east-1:123456789012:q", arn, other + "x"):
        wrong = {"OnSuccess": {"Destination": bad}}
        assert refused(lambda_.put_function_event_invoke_config, FunctionName=name, DestinationConfig=wrong)[0] == (
            "InvalidParameterValueException"
        )
    listed = lambda_.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"]
    assert [each["FunctionArn"] for each in listed] == [f"{arn}:$LATEST"]
    lambda_.delete_function_event_invoke_config(FunctionName=name)
    assert lambda_.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"] == []


def test_what_tools_read(lambda_: Any, function: Make, name: str, platform: RunningPlatform) -> None:
    function()
    assert "CodeSigningConfigArn" not in lambda_.get_function_code_signing_config(FunctionName=name)
    assert lambda_.get_runtime_management_config(FunctionName=name)["UpdateRuntimeOn"] == "Auto"
