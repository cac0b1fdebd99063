"""Answers of the control plane that tests of AWS compare whole: which error, in which words, and what is no error at all."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.services.lambda_.conftest import zip_of
from tests.support.identity import LAMBDA, refused
from tests.support.platform import RunningPlatform

Make = Callable[..., Any]
VALIDATION, INVALID, MISSING = "ValidationException", "InvalidParameterValueException", "ResourceNotFoundException"


def test_a_new_function_whole(lambda_: Any, function: Make, name: str, role: str) -> None:
    answer = function()
    assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == 201
    for member in ("CodeSha256", "CodeSize", "LastModified", "RevisionId"):
        assert answer.pop(member)
    assert list(answer["RuntimeVersionConfig"]) == ["RuntimeVersionArn"]
    del answer["RuntimeVersionConfig"]
    arn = answer.pop("FunctionArn")
    assert arn.endswith(f":function:{name}")
    settings = {
        "FunctionName": name,
        "Role": role,
        "Runtime": "python3.12",
        "Handler": "app.handler",
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "Version": "$LATEST",
        "TracingConfig": {"Mode": "PassThrough"},
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
    }
    assert answer == settings | {"State": "Pending", "StateReason": "The function is being created.", "StateReasonCode": "Creating"}
    shown = lambda_.get_function(FunctionName=name)
    assert shown["Code"]["RepositoryType"] == "S3" and sorted(shown) == ["Code", "Configuration", "ResponseMetadata"]
    known = {member: value for member, value in shown["Configuration"].items() if member in settings}
    assert known == settings
    assert (shown["Configuration"]["State"], shown["Configuration"]["LastUpdateStatus"]) == ("Active", "Successful")
    (listed,) = [each for each in lambda_.list_functions()["Functions"] if each["FunctionName"] == name]
    assert {member: value for member, value in listed.items() if member in settings} == settings
    assert not {"State", "LastUpdateStatus", "RuntimeVersionConfig"} & set(listed)


def test_limits_are_told_together(function: Make) -> None:
    def told(**settings: Any) -> str:
        code, message, status = refused(function, **settings)
        assert (code, status) == (VALIDATION, 400)
        return message

    assert told(Timeout=901, MemorySize=10_241) == (
        "2 validation errors detected: Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to "
        "900; Value '10241' at 'memorySize' failed to satisfy constraint: Member must have value less than or equal to 10240"
    )
    assert told(EphemeralStorage={"Size": 10_241}).endswith("'ephemeralStorage.size' failed to satisfy constraint: Member must have value "
                                                           "less than or equal to 10240")  # fmt: skip


@pytest.mark.parametrize("vpc", [{"SubnetIds": ["subnet-1"]}, {"SecurityGroupIds": ["sg-1"], "SubnetIds": []}])
def test_half_a_network(function: Make, vpc: dict[str, Any]) -> None:
    assert refused(function, VpcConfig=vpc) == (INVALID, "SubnetIds and SecurityIds must coexist or be both empty list.", 400)


def test_there_are_no_buckets(function: Make) -> None:
    code, message, status = refused(function, Code={"S3Bucket": "some-bucket", "S3Key": "k"})
    assert (code, status) == (INVALID, 400)
    assert message.startswith(
        "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does not exist"
    )


def test_deleting_a_version_twice_is_deleting_it(lambda_: Any, function: Make, name: str) -> None:
    function(Publish=True)
    for qualifier in ("1", "1", "77"):
        assert lambda_.delete_function(FunctionName=name, Qualifier=qualifier)["ResponseMetadata"]["HTTPStatusCode"] == 204
    lambda_.get_function(FunctionName=name)


def test_a_name_with_region_and_account(lambda_: Any, function: Make, name: str, platform: RunningPlatform) -> None:
    arn = function()["FunctionArn"]
    partial = f"us-east-1:{platform.account}:function:{name}"
    assert lambda_.get_function_configuration(FunctionName=partial)["FunctionArn"] == arn
    elsewhere = f"eu-west-1:{platform.account}:function:{name}"
    assert refused(lambda_.get_function_configuration, FunctionName=elsewhere)[0] == MISSING


def test_removing_permissions_of_nothing(lambda_: Any, function: Make, name: str, platform: RunningPlatform) -> None:
    arn = f"arn:aws:lambda:us-east-1:{platform.account}:function:{name}"
    missing = refused(lambda_.remove_permission, FunctionName=name, StatementId="s")
    assert missing == (MISSING, f"No policy found for: {arn}", 404)
    function()
    statement = {"FunctionName": name, "StatementId": "s"}
    lambda_.add_permission(Action="lambda:InvokeFunction", Principal="s3.amazonaws.com", **statement)
    code, message, status = refused(lambda_.remove_permission, RevisionId="00000000-0000-0000-0000-000000000000", **statement)
    assert (code, status) == ("PreconditionFailedException", 412) and "Call the GetFunction/GetAlias API" in message


def test_addresses_of_nothing(lambda_: Any, function: Make, name: str) -> None:
    gone = (MISSING, "Function does not exist", 404)
    assert refused(lambda_.update_function_url_config, FunctionName=name) == gone
    function()
    assert refused(lambda_.update_function_url_config, FunctionName=name, Qualifier="nope") == gone
    none = (MISSING, "The resource you requested does not exist.", 404)
    assert refused(lambda_.update_function_url_config, FunctionName=name) == none
    cors = {"AllowMethods": ["GET", "FOO"]}
    told = refused(lambda_.create_function_url_config, FunctionName=name, AuthType="NONE", Cors=cors)
    assert told[0] == INVALID and told[1].endswith("You can use GET, PUT, POST, DELETE, HEAD, PATCH, and the wildcard character (*).")
    modes = refused(lambda_.create_function_url_config, FunctionName=name, AuthType="NONE", InvokeMode="X")[1]
    assert modes.endswith("Member must satisfy enum value set: [RESPONSE_STREAM, BUFFERED]")


def test_destinations_of_services_that_take_none(lambda_: Any, function: Make, name: str, role: str) -> None:
    function()
    config = {"OnSuccess": {"Destination": role}}
    found = refused(lambda_.put_function_event_invoke_config, FunctionName=name, DestinationConfig=config)
    parts = f"onSuccess=OnSuccess(destination={role}), onFailure=null"
    assert found == (INVALID, f"The provided destination config DestinationConfig({parts}) is invalid.", 400)
    topic = {"OnFailure": {"Destination": "kafka://topic"}}
    assert refused(lambda_.put_function_event_invoke_config, FunctionName=name, DestinationConfig=topic)[0] == INVALID
    answer = lambda_.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    assert answer["FunctionArn"].endswith(f":{name}:$LATEST")


def test_reserved_and_provisioned_go_together(lambda_: Any, function: Make, name: str) -> None:
    function(Publish=True)
    version, put = {"FunctionName": name, "Qualifier": "1"}, lambda_.put_provisioned_concurrency_config
    lower = "its minimum value of [100]."
    for count, words in ((1001, "is greater than account's unreserved concurrency [1000]."), (901, lower)):
        code, message, _ = refused(put, ProvisionedConcurrentExecutions=count, **version)
        assert code == INVALID and message.endswith(words)
    free = lambda_.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    put(ProvisionedConcurrentExecutions=2, **version)
    assert lambda_.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == free - 2
    found = refused(lambda_.put_function_concurrency, FunctionName=name, ReservedConcurrentExecutions=1)
    words = " ReservedConcurrentExecutions  1 should not be lower than function's total provisioned concurrency [2]."
    assert found == (INVALID, words, 400)
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=3)
    assert lambda_.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == free - 3
    latest = "The function resource provided must be an alias or a published version."
    for call in (lambda_.get_provisioned_concurrency_config, lambda_.delete_provisioned_concurrency_config):
        assert refused(call, FunctionName=name, Qualifier="$LATEST") == (INVALID, latest, 400)


def test_what_the_account_uses(lambda_: Any, function: Make, name: str) -> None:
    before = lambda_.get_account_settings()["AccountUsage"]
    key = "arn:aws:kms:us-east-1:111111111111:key/mine"
    package = zip_of(app_py="def handler(event, context): pass")
    function(Publish=True, Code={"ZipFile": package, "SourceKMSKeyArn": key})
    published = lambda_.publish_layer_version(LayerName=name, Content={"ZipFile": package})
    after = lambda_.get_account_settings()["AccountUsage"]
    assert after["FunctionCount"] == before["FunctionCount"] + 1
    assert after["TotalCodeSize"] == before["TotalCodeSize"] + 3 * published["Content"]["CodeSize"]
    lambda_.delete_layer_version(LayerName=name, VersionNumber=1)
    assert lambda_.get_function(FunctionName=name)["Code"]["SourceKMSKeyArn"] == key
    lambda_.update_function_code(FunctionName=name, ZipFile=package)
    assert "SourceKMSKeyArn" not in lambda_.get_function(FunctionName=name)["Code"]
    assert lambda_.get_function(FunctionName=name, Qualifier="1")["Code"]["SourceKMSKeyArn"] == key


def test_tags_of_mappings_that_are_not_there(lambda_: Any, platform: RunningPlatform) -> None:
    arn = f"arn:aws:lambda:us-east-1:{platform.account}:event-source-mapping:00000000-0000-0000-0000-000000000000"
    gone = (MISSING, f"Event source mapping not found: {arn}", 404)
    assert refused(lambda_.list_tags, Resource=arn) == gone
    assert refused(lambda_.tag_resource, Resource=arn, Tags={"a": "b"}) == gone


def test_values_in_the_order_in_which_aws_names_them(lambda_: Any, function: Make, name: str) -> None:
    function()
    source = "arn:aws:dynamodb:us-east-1:111111111111:table/t/stream/2024-01-01T00:00:00.000"
    found = refused(lambda_.create_event_source_mapping, FunctionName=name, EventSourceArn=source, StartingPosition="X")
    assert found[1].endswith("Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]")
    weights = {"AdditionalVersionWeights": {"2": 2}}
    told = refused(lambda_.create_alias, FunctionName=name, Name="a", FunctionVersion="1", RoutingConfig=weights)[1]
    assert "Value '{2=2.0}' at 'routingConfig.additionalVersionWeights'" in told


def test_policies_put_whole(lambda_: Any, function: Make, name: str) -> None:
    arn = function()["FunctionArn"]
    none = (MISSING, "The resource you requested does not exist.", 404)
    assert refused(lambda_.get_resource_policy, ResourceArn=arn) == none
    lambda_.add_permission(FunctionName=name, StatementId="old", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com")
    allowed = {"Effect": "Allow", "Principal": {"AWS": "222222222222"}, "Action": "lambda:InvokeFunction", "Resource": arn}
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    assert refused(lambda_.put_resource_policy, ResourceArn=arn, Policy="{}")[0] == INVALID
    put = lambda_.put_resource_policy(ResourceArn=arn, Policy=json.dumps(policy))
    assert json.loads(put["Policy"]) == policy
    for got in (lambda_.get_resource_policy(ResourceArn=arn), lambda_.get_policy(FunctionName=name)):
        assert (json.loads(got["Policy"]), got["RevisionId"]) == (policy, put["RevisionId"])
    lambda_.add_permission(FunctionName=name, StatementId="new", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com")
    statements = json.loads(lambda_.get_resource_policy(ResourceArn=arn)["Policy"])["Statement"]
    assert statements[0] == allowed and statements[1]["Sid"] == "new"
    lambda_.remove_permission(FunctionName=name, StatementId="new")
    stale = refused(lambda_.delete_resource_policy, ResourceArn=arn, RevisionId=put["RevisionId"])
    assert (stale[0], stale[2]) == ("PreconditionFailedException", 412)
    nobody = {"Effect": "Deny", "Principal": "*", "Action": "lambda:*", "Resource": "*"}
    lambda_.put_resource_policy(ResourceArn=arn, Policy=json.dumps({"Version": "2012-10-17", "Statement": nobody}))
    assert refused(lambda_.get_policy, FunctionName=name)[2] == 403
    lambda_.delete_resource_policy(ResourceArn=arn)  # root is never locked out
    assert refused(lambda_.get_policy, FunctionName=name) == none


def test_levels_of_functions_that_log_json_already(lambda_: Any, function: Make, name: str) -> None:
    function(LoggingConfig={"LogFormat": "JSON"})
    changed = lambda_.update_function_configuration(FunctionName=name, LoggingConfig={"ApplicationLogLevel": "DEBUG"})["LoggingConfig"]
    levels = {"ApplicationLogLevel": "DEBUG", "SystemLogLevel": "INFO"}
    assert changed == {"LogFormat": "JSON", "LogGroup": f"/aws/lambda/{name}"} | levels
    both = {"LogFormat": "Text", "ApplicationLogLevel": "INFO"}
    told = refused(lambda_.update_function_configuration, FunctionName=name, LoggingConfig=both)
    assert told[0] == INVALID and told[1].startswith('LogLevel is not supported when LogFormat is set to "Text". Remove LogLevel')
    assert lambda_.get_function_configuration(FunctionName=name)["LoggingConfig"] == changed


def test_runtimes_are_managed_of_versions(lambda_: Any, function: Make, name: str) -> None:
    arn = function(Publish=True)["FunctionArn"]
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    told = refused(lambda_.put_runtime_management_config, FunctionName=name, Qualifier="live", UpdateRuntimeOn="Auto")
    assert told == (INVALID, f"The provided function name {arn}:live is invalid. Aliases are not allowed.", 400)


def test_what_versions_behind_one_alias_share(lambda_: Any, function: Make, name: str, client: Callable[..., Any]) -> None:
    function(Publish=True)
    iam = client("iam")
    other = iam.create_role(RoleName=name, AssumeRolePolicyDocument=LAMBDA)["Role"]["Arn"]
    lambda_.update_function_configuration(FunctionName=name, Role=other)
    iam.delete_role(RoleName=name)
    lambda_.publish_version(FunctionName=name)
    lambda_.update_function_configuration(FunctionName=name, Description="third")
    lambda_.publish_version(FunctionName=name)
    weights = {"AdditionalVersionWeights": {"2": 0.5}}
    mixed = refused(lambda_.create_alias, FunctionName=name, Name="live", FunctionVersion="1", RoutingConfig=weights)
    assert mixed == (INVALID, "Specified versions must be associated with the same execution role", 400)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="3", RoutingConfig=weights)
    ready = {"FunctionName": name, "Qualifier": "live", "ProvisionedConcurrentExecutions": 1}
    weighted = "Alias with weights can not be used with Provisioned Concurrency"
    assert refused(lambda_.put_provisioned_concurrency_config, **ready) == (INVALID, weighted, 400)


@pytest.mark.parametrize("marker", ["99999999999999999999", "x", "-1"])
def test_markers_that_nobody_was_given(lambda_: Any, function: Make, name: str, marker: str) -> None:
    function()
    assert refused(lambda_.list_versions_by_function, FunctionName=name, Marker=marker) == (INVALID, "The marker is not valid.", 400)
    assert refused(lambda_.list_layer_versions, LayerName=name, Marker=marker)[0] == INVALID
    if not marker.isdecimal():
        assert refused(lambda_.list_functions, Marker=f"{name}:{marker}")[0] == INVALID
