"""Code signing configurations, and what functions that have one take."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.services.lambda_.conftest import zip_of
from tests.support.identity import refused
from tests.support.platform import RunningPlatform

Make = Callable[..., Any]
MISSING = "ResourceNotFoundException"
PUBLISHERS = {"SigningProfileVersionArns": ["arn:aws:signer:us-east-1:111111111111:/signing-profiles/mine/abcdefghij"]}


@pytest.fixture
def config(lambda_: Any) -> Iterator[Callable[..., Any]]:
    """make(**settings) -> CreateCodeSigningConfig's configuration."""
    made: list[str] = []

    def make(**settings: Any) -> Any:
        answer = lambda_.create_code_signing_config(AllowedPublishers=PUBLISHERS, **settings)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
        made.append(answer["CodeSigningConfig"]["CodeSigningConfigArn"])
        return answer["CodeSigningConfig"]

    yield make
    for arn in made:
        for function in lambda_.list_functions_by_code_signing_config(CodeSigningConfigArn=arn)["FunctionArns"]:
            lambda_.delete_function_code_signing_config(FunctionName=function)
        lambda_.delete_code_signing_config(CodeSigningConfigArn=arn)


@pytest.fixture
def nowhere(platform: RunningPlatform) -> str:
    return f"arn:aws:lambda:us-east-1:{platform.account}:code-signing-config:csc-0123456789abcdef0"


def test_a_configuration(lambda_: Any, config: Make, platform: RunningPlatform, nowhere: str) -> None:
    made = config(Tags={"a": "b"})
    arn = made["CodeSigningConfigArn"]
    id = arn.rpartition(":")[2]
    assert arn == f"arn:aws:lambda:us-east-1:{platform.account}:code-signing-config:{id}" and len(id) == len("csc-") + 17
    assert made["LastModified"].endswith("+0000")
    assert {member: value for member, value in made.items() if member != "LastModified"} == {
        "CodeSigningConfigId": id,
        "CodeSigningConfigArn": arn,
        "AllowedPublishers": PUBLISHERS,
        "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": "Warn"},
    }
    assert lambda_.get_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"] == made
    policies = {"UntrustedArtifactOnDeployment": "Enforce"}
    changed = lambda_.update_code_signing_config(CodeSigningConfigArn=arn, Description="d", CodeSigningPolicies=policies)
    assert changed["CodeSigningConfig"]["Description"] == "d" and changed["CodeSigningConfig"]["CodeSigningPolicies"] == policies
    config()
    pages = list(lambda_.get_paginator("list_code_signing_configs").paginate(PaginationConfig={"PageSize": 1}))
    assert arn in [each["CodeSigningConfigArn"] for page in pages for each in page["CodeSigningConfigs"]]
    lambda_.tag_resource(Resource=arn, Tags={"c": "d"})
    lambda_.untag_resource(Resource=arn, TagKeys=["a"])
    assert lambda_.list_tags(Resource=arn)["Tags"] == {"c": "d"}
    gone = (MISSING, f"The Lambda code signing configuration {nowhere} can not be found.", 404)
    for call in (
        lambda_.get_code_signing_config,
        lambda_.update_code_signing_config,
        lambda_.delete_code_signing_config,
        lambda_.list_functions_by_code_signing_config,
    ):
        assert refused(call, CodeSigningConfigArn=nowhere) == gone


def test_unsigned_packages(lambda_: Any, function: Make, name: str, config: Make, nowhere: str) -> None:
    warn, enforce = config()["CodeSigningConfigArn"], config(CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"})
    arn = enforce["CodeSigningConfigArn"]
    missing = f"The code signing configuration cannot be found. Check that the provided configuration is not deleted: {nowhere}."
    assert refused(function, CodeSigningConfigArn=nowhere) == ("CodeSigningConfigNotFoundException", missing, 404)
    unsigned = (
        "CodeVerificationFailedException",
        "Lambda cannot deploy the function. The function or layer might be signed using a signature that the client is not configured to "
        f"accept. Check the provided signature for {name}.",
        400,
    )
    assert refused(function, CodeSigningConfigArn=arn) == unsigned
    function(CodeSigningConfigArn=warn)
    shown = lambda_.get_function_code_signing_config(FunctionName=name)
    assert (shown["CodeSigningConfigArn"], shown["FunctionName"]) == (warn, name)
    lambda_.update_function_code(FunctionName=name, ZipFile=zip_of(a_py="1"))
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name)
    put = lambda_.put_function_code_signing_config
    answer = put(FunctionName=name, CodeSigningConfigArn=arn)
    assert (answer["CodeSigningConfigArn"], answer["FunctionName"]) == (arn, name)
    assert refused(put, FunctionName=name, CodeSigningConfigArn=nowhere)[0] == "CodeSigningConfigNotFoundException"
    assert refused(lambda_.update_function_code, FunctionName=name, ZipFile=zip_of(a_py="2")) == unsigned
    lambda_.update_function_configuration(FunctionName=name, Timeout=5)
    listed = lambda_.list_functions_by_code_signing_config(CodeSigningConfigArn=arn)["FunctionArns"]
    assert [each.rpartition(":")[2] for each in listed] == [name]
    assert refused(lambda_.delete_code_signing_config, CodeSigningConfigArn=arn)[0] == "ResourceConflictException"
    lambda_.delete_function_code_signing_config(FunctionName=name)
    assert "CodeSigningConfigArn" not in lambda_.get_function_code_signing_config(FunctionName=name)
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name)
    lambda_.update_function_code(FunctionName=name, ZipFile=zip_of(a_py="2"))
