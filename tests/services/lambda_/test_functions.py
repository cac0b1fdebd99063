"""Functions as they are made, shown, changed, listed and deleted (nothing is run here)."""

import base64
import hashlib
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
import requests
from tests.services.lambda_.conftest import zip_of
from tests.support.identity import LAMBDA, policy, refused, statement, trust
from tests.support.platform import RunningPlatform

Make = Callable[..., Any]


def test_a_new_function(lambda_: Any, function: Make, name: str, role: str, platform: RunningPlatform) -> None:
    package = zip_of(app_py="x")
    made = function(Code={"ZipFile": package}, Environment={"Variables": {"A1": "b"}}, Tags={"t": "v"}, Description="d")
    arn = f"arn:aws:lambda:us-east-1:{platform.account}:function:{name}"
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (made["State"], made["StateReasonCode"], made["StateReason"]) == ("Pending", "Creating", "The function is being created.")
    lambda_.get_waiter("function_active_v2").wait(FunctionName=name)
    got = lambda_.get_function(FunctionName=name)
    shown = got["Configuration"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", shown.pop("LastModified"))
    assert re.fullmatch(r"[0-9a-f-]{36}", shown.pop("RevisionId"))
    assert shown.pop("RuntimeVersionConfig")["RuntimeVersionArn"].startswith("arn:aws:lambda:us-east-1::runtime:")
    assert shown == {
        "FunctionName": name,
        "FunctionArn": arn,
        "Runtime": "python3.12",
        "Role": role,
        "Handler": "app.handler",
        "CodeSize": len(package),
        "CodeSha256": base64.b64encode(hashlib.sha256(package).digest()).decode(),
        "Description": "d",
        "Timeout": 3,
        "MemorySize": 128,
        "Version": "$LATEST",
        "Environment": {"Variables": {"A1": "b"}},
        "TracingConfig": {"Mode": "PassThrough"},
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
    }
    assert got["Tags"] == {"t": "v"} and got["Code"]["RepositoryType"] == "S3" and "Concurrency" not in got
    assert refused(function) == ("ResourceConflictException", f"Function already exist: {name}", 409)
    for form in (arn, f"{platform.account}:function:{name}", f"{arn}:$LATEST", f"{name}:$LATEST"):
        assert lambda_.get_function_configuration(FunctionName=form)["FunctionName"] == name, form


def test_the_code_can_be_fetched(lambda_: Any, function: Make, name: str) -> None:
    package = zip_of(app_py="x" * 1000)
    function(Code={"ZipFile": package})
    url = lambda_.get_function(FunctionName=name)["Code"]["Location"]
    answer = requests.get(url, timeout=30)
    assert answer.status_code == 200 and answer.content == package and answer.headers["Content-Type"] == "application/zip"
    assert requests.get(re.sub(r"Expires=\d+", "Expires=9999999999", url), timeout=30).status_code == 403
    assert requests.get(url[:-1] + ("0" if url[-1] != "0" else "1"), timeout=30).status_code == 403
    assert requests.get(url.split("?")[0], timeout=30).status_code == 403


@pytest.mark.parametrize(
    "settings, code, message",
    [
        ({"Runtime": None}, "InvalidParameterValueException", "Runtime and Handler are mandatory parameters for functions created with"),
        ({"Runtime": "python9"}, "InvalidParameterValueException", "Value python9 at 'runtime' failed to satisfy constraint: Member must"),
        ({"Code": {}}, "InvalidParameterValueException", "Please provide a source for function code."),
        ({"Code": {"ZipFile": b"no zip"}}, "InvalidParameterValueException", "Could not unzip uploaded file. Please check your file, then"),
        ({"Code": {"ZipFile": b""}}, "InvalidParameterValueException", "Uploaded file must be a non-empty zip"),
        ({"Code": {"S3Bucket": "bucket", "S3Key": "k"}}, "InvalidParameterValueException", "haar does not have S3"),
        ({"PackageType": "Image", "Code": {"ImageUri": "i"}}, "InvalidParameterValueException", "Handler or Runtime or Layer when the"),
        ({"Timeout": 901}, "ValidationException", "Value '901' at 'timeout' failed to satisfy constraint: Member must have value less"),
        ({"MemorySize": 127}, "ValidationException", "Value '127' at 'memorySize' failed to satisfy constraint: Member must have value gr"),
        ({"MemorySize": 10241}, "ValidationException", "Value '10241' at 'memorySize' failed to satisfy constraint: Member must have"),
        ({"EphemeralStorage": {"Size": 511}}, "ValidationException", "at 'ephemeralStorage.size' failed to satisfy constraint"),
        (
            {"Environment": {"Variables": {"AWS_REGION": "x", "OK1": "y"}}},
            "InvalidParameterValueException",
            "Reserved keys used in this request: AWS_REGION",
        ),
        (
            {"Environment": {"Variables": {"BIG": "x" * 4096}}},
            "InvalidParameterValueException",
            'have provided exceeded the 4KB limit. String measured: {"BIG":"xxx',
        ),
        (
            {"DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:123456789012:q"}},
            "InvalidParameterValueException",
            "The provided execution role does not have permissions to call SendMessage on SQS",
        ),
        (
            {"LoggingConfig": {"SystemLogLevel": "WARN"}},
            "InvalidParameterValueException",
            'LogLevel is not supported when LogFormat is set to "Text".',
        ),
    ],
)
def test_what_is_refused(function: Make, settings: dict[str, Any], code: str, message: str) -> None:
    found = refused(function, **settings)
    assert found[0] == code and message in found[1] and found[2] == 400


def test_a_name_that_is_too_long(lambda_: Any, role: str) -> None:
    settings = {"Runtime": "python3.12", "Role": role, "Handler": "app.handler", "Code": {"ZipFile": zip_of(app_py="x")}}
    assert "Member must have length less than or equal to 64" in refused(lambda_.create_function, FunctionName="a" * 65, **settings)[1]


def test_the_role_must_trust_lambda(client: Callable[..., Any], function: Make, name: str) -> None:
    iam = client("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust({"Service": "ec2.amazonaws.com"}))["Role"]["Arn"]
    error = ("InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda.", 400)
    assert refused(function, Role=arn) == error
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=LAMBDA)
    assert function(Role=arn)["Role"] == arn
    iam.delete_role(RoleName=name)


def test_the_role_may_trust_one_function_only(
    client: Callable[..., Any], function: Make, name: str, invoke: Any, platform: RunningPlatform
) -> None:
    arn = f"arn:aws:lambda:us-east-1:{platform.account}:function:{name}"
    only = trust({"Service": "lambda.amazonaws.com"}, Condition={"ArnEquals": {"aws:SourceArn": arn}})
    narrow = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=only)["Role"]["Arn"]
    assert refused(function, suffix="-other", Role=narrow)[1] == "The role defined for the function cannot be assumed by Lambda."
    function(Role=narrow)
    assert invoke({"a": 1})[1] == {"a": 1}


def test_what_is_not_there(lambda_: Any, function: Make, name: str, platform: RunningPlatform) -> None:
    arn = f"arn:aws:lambda:us-east-1:{platform.account}:function:{name}"
    gone = ("ResourceNotFoundException", f"Function not found: {arn}", 404)
    calls = [
        (lambda_.get_function, {}),
        (lambda_.get_function_configuration, {}),
        (lambda_.delete_function, {}),
        (lambda_.invoke, {}),
        (lambda_.update_function_code, {"ZipFile": zip_of(a_py="x")}),
        (lambda_.update_function_configuration, {"Timeout": 4}),
        (lambda_.publish_version, {}),
        (lambda_.list_versions_by_function, {}),
        (lambda_.list_aliases, {}),
        (lambda_.get_policy, {}),
        (lambda_.get_function_concurrency, {}),
    ]
    for call, input in calls:
        assert refused(call, FunctionName=name, **input) == gone, call
    assert refused(lambda_.list_tags, Resource=arn) == gone
    function()
    assert refused(lambda_.get_function, FunctionName=name, Qualifier="7")[1] == f"Function not found: {arn}:7"
    assert refused(lambda_.get_function, FunctionName=name, Qualifier="live")[1] == f"Function not found: {arn}:live"
    elsewhere = arn.replace("us-east-1", "eu-west-1")
    assert refused(lambda_.get_function, FunctionName=elsewhere)[:2] == (
        "ResourceNotFoundException",
        "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
    )
    assert refused(lambda_.get_function, FunctionName=f"{name}:1", Qualifier="2")[1] == (
        "The derived qualifier from the function name does not match the specified qualifier."
    )


def test_updates(lambda_: Any, function: Make, name: str) -> None:
    first = function(Environment={"Variables": {"A1": "b"}})
    package = zip_of(app_py="second")
    digest = base64.b64encode(hashlib.sha256(package).digest()).decode()
    tried = lambda_.update_function_code(FunctionName=name, ZipFile=package, DryRun=True)
    assert tried["CodeSha256"] == digest
    assert lambda_.get_function_configuration(FunctionName=name)["CodeSha256"] == first["CodeSha256"], "a dry run changes nothing"
    wrong = refused(lambda_.update_function_code, FunctionName=name, ZipFile=package, RevisionId="x")
    assert wrong[0] == "PreconditionFailedException" and wrong[2] == 412
    updated = lambda_.update_function_code(FunctionName=name, ZipFile=package, RevisionId=first["RevisionId"])
    assert updated["CodeSha256"] == digest and updated["LastUpdateStatus"] == "InProgress" and updated["RevisionId"] != first["RevisionId"]
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert requests.get(lambda_.get_function(FunctionName=name)["Code"]["Location"], timeout=30).content == package

    changed = lambda_.update_function_configuration(
        FunctionName=name,
        Timeout=9,
        MemorySize=256,
        Description="new",
        Handler="b.c",
        Runtime="nodejs20.x",
        EphemeralStorage={"Size": 1024},
        TracingConfig={"Mode": "Active"},
        LoggingConfig={"LogFormat": "JSON", "LogGroup": "mine"},
        VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
    )
    assert (changed["Timeout"], changed["MemorySize"], changed["Description"], changed["Handler"]) == (9, 256, "new", "b.c")
    assert changed["Runtime"] == "nodejs20.x" and changed["EphemeralStorage"] == {"Size": 1024}
    assert changed["TracingConfig"] == {"Mode": "Active"} and changed["Environment"] == {"Variables": {"A1": "b"}}
    assert changed["LoggingConfig"] == {
        "LogFormat": "JSON",
        "LogGroup": "mine",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "INFO",
    }
    assert changed["VpcConfig"]["SubnetIds"] == ["subnet-1"]
    assert lambda_.update_function_configuration(FunctionName=name, Environment={"Variables": {}})["Environment"] == {"Variables": {}}
    without = lambda_.update_function_configuration(FunctionName=name, VpcConfig={"SubnetIds": [], "SecurityGroupIds": []})
    assert without["VpcConfig"] == {"SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", "Ipv6AllowedForDualStack": False}
    assert (
        "Reserved keys"
        in refused(lambda_.update_function_configuration, FunctionName=name, Environment={"Variables": {"AWS_REGION": "x"}})[1]
    )


def test_a_runtime_that_is_not_installed_is_said(lambda_: Any, function: Make, name: str) -> None:
    def version() -> Any:
        return lambda_.get_function_configuration(FunctionName=name)["RuntimeVersionConfig"]

    function(Runtime=f"python3.{sys.version_info.minor}")
    installed = version()
    assert list(installed) == ["RuntimeVersionArn"]
    lambda_.update_function_configuration(FunctionName=name, Runtime="python3.6")
    assert version() == installed  # what stands in for it; the log of its environments says so
    lambda_.update_function_configuration(FunctionName=name, Runtime="dotnet8")
    assert version()["Error"]["ErrorCode"] == "RuntimeNotInstalled"


def test_lists(lambda_: Any, function: Make, name: str) -> None:
    for suffix in ("-a", "-b", "-c"):
        function(suffix=suffix)
    lambda_.publish_version(FunctionName=name + "-b")
    pages = list(lambda_.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 1}))
    assert all(len(page["Functions"]) <= 1 for page in pages)
    mine = [each for page in pages for each in page["Functions"] if each["FunctionName"].startswith(name)]
    assert [each["FunctionName"] for each in mine] == [f"{name}-a", f"{name}-b", f"{name}-c"]
    assert all("State" not in each and each["FunctionArn"].endswith(each["FunctionName"]) for each in mine)
    pages = list(lambda_.get_paginator("list_functions").paginate(FunctionVersion="ALL", PaginationConfig={"PageSize": 1}))
    mine = [each for page in pages for each in page["Functions"] if each["FunctionName"].startswith(name)]
    versions = [(each["FunctionName"][-1], each["Version"]) for each in mine]
    assert versions == [("a", "$LATEST"), ("b", "$LATEST"), ("b", "1"), ("c", "$LATEST")]
    assert mine[0]["FunctionArn"].endswith(f"{name}-a:$LATEST")


def test_regions_are_apart(client: Callable[..., Any], function: Make, name: str) -> None:
    function()
    elsewhere = client("lambda", region="eu-west-1")
    assert refused(elsewhere.get_function, FunctionName=name)[0] == "ResourceNotFoundException"


def test_deletion(lambda_: Any, function: Make, name: str) -> None:
    function()
    lambda_.publish_version(FunctionName=name)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert "$LATEST version cannot be deleted" in refused(lambda_.delete_function, FunctionName=name, Qualifier="$LATEST")[1]
    assert lambda_.delete_function(FunctionName=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    function()
    assert refused(lambda_.get_alias, FunctionName=name, Name="live")[0] == "ResourceNotFoundException"
    assert lambda_.publish_version(FunctionName=name)["Version"] == "1"


def test_tags(lambda_: Any, function: Make) -> None:
    arn = function(Tags={"a": "1"})["FunctionArn"]
    lambda_.tag_resource(Resource=arn, Tags={"b": "2"})
    assert lambda_.list_tags(Resource=arn)["Tags"] == {"a": "1", "b": "2"}
    lambda_.untag_resource(Resource=arn, TagKeys=["a"])
    assert lambda_.list_tags(Resource=arn)["Tags"] == {"b": "2"}
    assert refused(lambda_.tag_resource, Resource=arn, Tags={f"k{index}": "" for index in range(50)})[0] == "InvalidParameterValueException"
    assert "not supported" in refused(lambda_.list_tags, Resource=arn + ":1")[1]


def test_creating_needs_the_role_to_be_passed(client: Callable[..., Any], name: str, role: str, platform: RunningPlatform) -> None:
    iam = client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    theirs = client("lambda", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    arn = f"arn:aws:lambda:us-east-1:{platform.account}:function:{name}"
    settings = {"Runtime": "python3.12", "Role": role, "Handler": "app.handler", "Code": {"ZipFile": zip_of(app_py="x")}}

    def allow(*statements: dict[str, Any]) -> None:
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy(*statements))

    denied = refused(theirs.create_function, FunctionName=name, **settings)
    assert denied[0] == "AccessDeniedException" and denied[2] == 403 and f"lambda:CreateFunction on resource: {arn} " in denied[1]
    allow(statement("lambda:*", arn + "*"))
    denied = refused(theirs.create_function, FunctionName=name, **settings)
    assert denied[0] == "AccessDeniedException" and f"iam:PassRole on resource: {role} " in denied[1]
    elsewhere = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    allow(statement("lambda:*", arn + "*"), statement("iam:PassRole", role, Condition=elsewhere))
    assert refused(theirs.create_function, FunctionName=name, **settings)[0] == "AccessDeniedException"
    here = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    allow(statement("lambda:*", arn + "*"), statement("iam:PassRole", role, Condition=here))
    untagged = {"Null": {"aws:RequestTag/a": "true"}}
    allow(statement("lambda:*", arn + "*", Condition=untagged), statement("iam:PassRole", role, Condition=here))
    assert refused(theirs.create_function, FunctionName=name, Tags={"a": "b"}, **settings)[0] == "AccessDeniedException"
    theirs.create_function(FunctionName=name, **settings)
    assert refused(theirs.list_functions)[0] == "AccessDeniedException"
    theirs.delete_function(FunctionName=name)
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)
