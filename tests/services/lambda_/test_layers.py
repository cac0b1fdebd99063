"""Layers: published, listed, shared, put under functions, and gone."""

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
import requests
from tests.services.lambda_.conftest import zip_of
from tests.support.identity import policy, refused, statement
from tests.support.platform import RunningPlatform

Make = Callable[..., Any]


def layer_of(**files: str) -> bytes:
    """A layer; `python__mod="…"` is python/mod.py, `__` stands for a slash."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            path = name.replace("__", "/")
            archive.writestr(zipfile.ZipInfo(path + ".py" if path.startswith("python/") else path, (2024, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()


@pytest.fixture
def publish(lambda_: Any, name: str) -> Callable[..., Any]:
    def make(content: bytes, suffix: str = "", **more: Any) -> Any:
        return lambda_.publish_layer_version(LayerName=name + suffix, Content={"ZipFile": content}, **more)

    return make


def test_a_layer_and_its_versions(lambda_: Any, publish: Make, name: str, platform: RunningPlatform) -> None:
    content = layer_of(python__mod="A = 1")
    arn = f"arn:aws:lambda:us-east-1:{platform.account}:layer:{name}"
    first = publish(content, Description="d", LicenseInfo="MIT", CompatibleRuntimes=["python3.12"], CompatibleArchitectures=["x86_64"])
    assert first["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (first["LayerArn"], first["LayerVersionArn"], first["Version"]) == (arn, f"{arn}:1", 1)
    assert (first["Description"], first["LicenseInfo"], first["CompatibleRuntimes"]) == ("d", "MIT", ["python3.12"])
    sha256 = base64.b64encode(hashlib.sha256(content).digest()).decode()
    assert (first["Content"]["CodeSha256"], first["Content"]["CodeSize"]) == (sha256, len(content))
    assert requests.get(first["Content"]["Location"], timeout=30).content == content
    assert publish(layer_of(python__mod="A = 2"), CompatibleRuntimes=["nodejs20.x"])["Version"] == 2
    got = lambda_.get_layer_version(LayerName=name, VersionNumber=1)
    assert (got["LayerVersionArn"], got["CreatedDate"]) == (f"{arn}:1", first["CreatedDate"])
    assert lambda_.get_layer_version_by_arn(Arn=f"{arn}:2")["Version"] == 2
    assert lambda_.get_layer_version(LayerName=arn, VersionNumber=2)["Version"] == 2
    assert [one["Version"] for one in lambda_.list_layer_versions(LayerName=name)["LayerVersions"]] == [2, 1]
    page = lambda_.list_layer_versions(LayerName=name, MaxItems=1)
    assert [one["Version"] for one in page["LayerVersions"]] == [2]
    page = lambda_.list_layer_versions(LayerName=name, MaxItems=1, Marker=page["NextMarker"])
    assert [one["Version"] for one in page["LayerVersions"]] == [1] and "NextMarker" not in page
    matching = lambda_.list_layer_versions(LayerName=name, CompatibleRuntime="python3.12")["LayerVersions"]
    assert [one["Version"] for one in matching] == [1]
    listed = {one["LayerName"]: one for page in lambda_.get_paginator("list_layers").paginate(MaxItems=1) for one in page["Layers"]}
    assert (listed[name]["LayerArn"], listed[name]["LatestMatchingVersion"]["LayerVersionArn"]) == (arn, f"{arn}:2")


def test_deleted_versions_are_gone_and_not_counted_again(lambda_: Any, publish: Make, name: str) -> None:
    publish(layer_of(python__mod="A = 1"))
    for _ in range(2):
        answer = lambda_.delete_layer_version(LayerName=name, VersionNumber=1)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    error = ("ResourceNotFoundException", "The resource you requested does not exist.", 404)
    assert refused(lambda_.get_layer_version, LayerName=name, VersionNumber=1) == error
    assert name not in [one["LayerName"] for page in lambda_.get_paginator("list_layers").paginate() for one in page["Layers"]]
    assert lambda_.list_layer_versions(LayerName=name)["LayerVersions"] == []
    assert publish(layer_of(python__mod="A = 1"))["Version"] == 2
    wrong = refused(lambda_.get_layer_version, LayerName=name, VersionNumber=0)
    assert wrong[:2] == ("InvalidParameterValueException", "Layer Version Cannot be less than 1.")


def test_content_that_is_refused(publish: Make, lambda_: Any, name: str) -> None:
    assert "Could not unzip uploaded file" in refused(publish, b"no zip")[1]
    assert "must be a non-empty zip" in refused(publish, b"")[1]
    assert (
        "haar does not have S3" in refused(lambda_.publish_layer_version, LayerName=name, Content={"S3Bucket": "bucket", "S3Key": "k"})[1]
    )
    huge = io.BytesIO()
    with zipfile.ZipFile(huge, "w", zipfile.ZIP_DEFLATED) as archive:
        for at in range(10):
            archive.writestr(f"{at}", bytes(27 << 20))
    assert refused(publish, huge.getvalue())[1] == "Unzipped size must be smaller than 262144000 bytes"


def test_the_policy_of_a_version(lambda_: Any, publish: Make, name: str) -> None:
    arn = publish(layer_of(python__mod="A = 1"))["LayerVersionArn"]
    at = {"LayerName": name, "VersionNumber": 1}
    missing = ("ResourceNotFoundException", "No policy is associated with the given resource.", 404)
    assert refused(lambda_.get_layer_version_policy, **at) == missing
    wanted = at | {"StatementId": "all", "Action": "lambda:GetLayerVersion", "Principal": "*", "OrganizationId": "o-abcdefghij"}
    added = lambda_.add_layer_version_permission(**wanted)
    condition = {"StringEquals": {"aws:PrincipalOrgID": "o-abcdefghij"}}
    shown = {"Sid": "all", "Effect": "Allow", "Principal": "*", "Action": "lambda:GetLayerVersion", "Resource": arn, "Condition": condition}
    assert json.loads(added["Statement"]) == shown
    assert refused(lambda_.add_layer_version_permission, **wanted)[0] == "ResourceConflictException"
    more = at | {"StatementId": "one", "Action": "lambda:GetLayerVersion", "Principal": "111122223333"}
    assert refused(lambda_.add_layer_version_permission, **more, RevisionId="wrong")[0] == "PreconditionFailedException"
    again = lambda_.add_layer_version_permission(**more, RevisionId=added["RevisionId"])
    got = lambda_.get_layer_version_policy(**at)
    assert got["RevisionId"] == again["RevisionId"]
    principals = [one["Principal"] for one in json.loads(got["Policy"])["Statement"]]
    assert principals == ["*", {"AWS": "arn:aws:iam::111122223333:root"}]
    lambda_.remove_layer_version_permission(**at, StatementId="all")
    assert refused(lambda_.remove_layer_version_permission, **at, StatementId="all")[1] == "Statement all is not found in resource policy."
    lambda_.remove_layer_version_permission(**at, StatementId="one")
    assert refused(lambda_.get_layer_version_policy, **at) == missing
    nowhere = refused(lambda_.get_layer_version_policy, LayerName=name, VersionNumber=7)
    assert nowhere[1] == f"Layer version {arn[:-2]}:7 does not exist."


SEES = """
import mod, os
def handler(event, context):
    return [mod.A, open("/opt/etc/setting").read(), sorted(os.listdir("/opt")), os.path.exists("/opt/bin/tool"), mod.__file__]
"""


def test_layers_are_merged_in_order(lambda_: Any, publish: Make, function: Make, invoke: Make, name: str) -> None:
    first = publish(layer_of(python__mod="A = 1", etc__setting="first", bin__tool="x"), "-a")
    second = publish(layer_of(python__other="B = 2", etc__setting="second"), "-b")
    arns = [one["LayerVersionArn"] for one in (first, second)]
    made = function(SEES, Layers=arns)
    assert made["Layers"] == [{"Arn": arn, "CodeSize": one["Content"]["CodeSize"]} for arn, one in zip(arns, (first, second), strict=True)]
    assert invoke()[1] == [1, "second", ["bin", "etc", "python"], True, "/opt/python/mod.py"]
    version = lambda_.publish_version(FunctionName=name)["Version"]
    changed = lambda_.update_function_configuration(FunctionName=name, Layers=arns[::-1])
    assert [one["Arn"] for one in changed["Layers"]] == arns[::-1]
    assert invoke()[1][1] == "first" and invoke(Qualifier=version)[1][1] == "second"
    assert "Layers" not in lambda_.update_function_configuration(FunctionName=name, Layers=[])
    assert invoke()[1]["errorType"] == "Runtime.ImportModuleError"
    assert invoke(Qualifier=version)[1][1] == "second"


def test_a_function_keeps_a_layer_that_is_deleted(lambda_: Any, publish: Make, function: Make, invoke: Make, name: str) -> None:
    layer = publish(layer_of(python__mod="A = 5", etc__setting="s"))
    function(SEES, Layers=[layer["LayerVersionArn"]])
    lambda_.delete_layer_version(LayerName=name, VersionNumber=1)
    assert invoke()[1][0] == 5
    assert lambda_.get_function_configuration(FunctionName=name)["Layers"][0]["Arn"] == layer["LayerVersionArn"]
    gone = refused(lambda_.update_function_configuration, FunctionName=name, Layers=[layer["LayerVersionArn"]])
    assert gone == ("InvalidParameterValueException", f"Layer version {layer['LayerVersionArn']} does not exist.", 400)


def test_node_finds_a_layers_modules(publish: Make, function: Make, invoke: Make) -> None:
    source = io.BytesIO()
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("nodejs/node_modules/x/index.js", "exports.a = 7")
    layer = publish(source.getvalue())
    code = zip_of(app_js="const x = require('x'); exports.handler = async () => x.a;")
    function(Code={"ZipFile": code}, Runtime="nodejs20.x", Timeout=20, Layers=[layer["LayerVersionArn"]])
    assert invoke()[1] == 7


def test_layers_that_a_function_may_not_have(publish: Make, function: Make, lambda_: Any, name: str) -> None:
    arns = [publish(layer_of(python__mod=f"A = {at}"), f"-{at}")["LayerVersionArn"] for at in range(6)]
    assert refused(function, Layers=arns)[1] == "Cannot reference more than 5 layers."
    other = publish(layer_of(python__mod="A = 9"), "-0")["LayerVersionArn"]
    twice = refused(function, Layers=[arns[0], other])[1]
    assert twice == (
        "Two different versions of the same layer are not allowed to be referenced in the same function. "
        f"{arns[0]} and {other} are versions of the same layer."
    )
    elsewhere = refused(function, Layers=[arns[0].replace("us-east-1", "eu-west-1")])[1]
    assert elsewhere == "Layers are not in the same region as the function. Layers are expected to be in region us-east-1."
    assert refused(function, Layers=[arns[0][:-2]])[0] in ("ValidationException", "InvalidParameterValueException")
    missing = arns[0].replace("-0:1", "-0:9")
    assert refused(function, Layers=[missing])[1] == f"Layer version {missing} does not exist."
    foreign = refused(function, Layers=["arn:aws:lambda:us-east-1:999999999999:layer:l:1"])
    assert foreign[0] == "AccessDeniedException" and "lambda:GetLayerVersion" in foreign[1]
    large = io.BytesIO()
    with zipfile.ZipFile(large, "w", zipfile.ZIP_DEFLATED) as archive:
        for at in range(5):
            archive.writestr(f"{at}", bytes(30 << 20))
    huge = [publish(large.getvalue(), f"-big{at}")["LayerVersionArn"] for at in range(2)]
    assert refused(function, Layers=huge)[1] == "Layers consume more than the available size of 262144000 bytes"
    both = refused(function, Layers=huge[:1], Code={"ZipFile": large.getvalue()})[1]
    assert both.startswith("Function code combined with layers exceeds the maximum allowed size of 262144000")
    function(Layers=huge[:1])
    assert "Layers consume" in refused(lambda_.update_function_configuration, FunctionName=name, Layers=huge)[1]


def test_a_layer_must_be_allowed_to_whoever_uses_it(client: Make, publish: Make, function: Make, lambda_: Any, name: str) -> None:
    arn = publish(layer_of(python__mod="A = 1"))["LayerVersionArn"]
    function()
    iam = client("iam")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy(statement("lambda:UpdateFunctionConfiguration")))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    mine = client("lambda", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    code, message, _ = refused(mine.update_function_configuration, FunctionName=name, Layers=[arn])
    assert code == "AccessDeniedException" and "lambda:GetLayerVersion" in message and arn in message
    iam.put_user_policy(
        UserName=name,
        PolicyName="p",
        PolicyDocument=policy(statement(["lambda:UpdateFunctionConfiguration", "lambda:GetLayerVersion"])),
    )
    assert mine.update_function_configuration(FunctionName=name, Layers=[arn])["Layers"][0]["Arn"] == arn
