"""apigateway:Request/… and apigateway:Resource/…: no way of writing a change gets past them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import botocore.exceptions
import pytest
from tests.services.apigateway.conftest import Api
from tests.support.platform import RunningPlatform

OPEN = {"openapi": "3.0.1", "info": {"title": "x", "version": "1"}, "paths": {"/open": {"get": {}}}}
CLOSED = json.loads(json.dumps(OPEN))
CLOSED["paths"]["/open"]["get"]["x-amazon-apigateway-auth"] = {"type": "AWS_IAM"}


@pytest.fixture
def limited(platform: RunningPlatform, name: str) -> Iterator[Callable[..., Any]]:
    """limited(service, condition) -> a client of a user who may do all, but nothing for which the condition holds."""
    iam = platform.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}

    def make(service: str, condition: dict[str, Any]) -> Any:
        statements = [
            {"Effect": "Allow", "Action": "apigateway:*", "Resource": "*"},
            {"Effect": "Deny", "Action": "apigateway:*", "Resource": "*", "Condition": condition},
        ]
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}))
        return platform.client(service, **keys)

    yield make
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.delete_user(UserName=name)


def denied(call: Callable[..., Any], **input: Any) -> bool:
    try:
        call(**input)
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDeniedException", error
        return True
    return False


def test_nobody_opens_a_method_who_may_not(api: Api, limited: Callable[..., Any]) -> None:
    mine = limited("apigateway", {"ForAnyValue:StringEquals": {"apigateway:Request/RouteAuthorizationType": "NONE"}})
    where = api.at("/a")
    assert denied(mine.put_method, **where, authorizationType="NONE")
    assert not denied(mine.put_method, **where, authorizationType="AWS_IAM")
    opening = [{"op": "replace", "path": "/authorizationType", "value": "NONE"}]
    assert denied(mine.update_method, **where, patchOperations=opening)
    needing = [{"op": "replace", "path": "/apiKeyRequired", "value": "true"}]
    assert not denied(mine.update_method, **where, patchOperations=needing)
    for mode in ("merge", "overwrite"):
        assert denied(mine.put_rest_api, restApiId=api.id, mode=mode, body=json.dumps(OPEN))
    assert denied(mine.import_rest_api, body=json.dumps(OPEN))
    assert not denied(mine.put_rest_api, restApiId=api.id, body=json.dumps(CLOSED))


def test_what_is_there_is_a_condition_key(api: Api, limited: Callable[..., Any]) -> None:
    api.method("/open")
    where = api.method("/kept", authorizationType="AWS_IAM")
    mine = limited("apigateway", {"StringEquals": {"apigateway:Resource/RouteAuthorizationType": "AWS_IAM"}})
    assert denied(mine.delete_method, **where)
    assert denied(mine.update_method, **where, patchOperations=[{"op": "replace", "path": "/authorizationType", "value": "NONE"}])
    assert not denied(mine.delete_method, **api.at("/open"))


def test_stages_have_tags_and_logs_of_their_own(api: Api, limited: Callable[..., Any]) -> None:
    api.mock("/")
    deployment = api.deploy()
    api.gateway.create_stage(restApiId=api.id, stageName="prod", deploymentId=deployment, tags={"level": "prod"})
    said = [{"op": "replace", "path": "/description", "value": "x"}]
    mine = limited("apigateway", {"StringEquals": {"aws:ResourceTag/level": "prod"}})
    assert denied(mine.update_stage, restApiId=api.id, stageName="prod", patchOperations=said)
    assert not denied(mine.update_stage, restApiId=api.id, stageName="v1", patchOperations=said)
    elsewhere = f"arn:aws:logs:us-east-1:{api.platform.account}:log-group:elsewhere"
    mine = limited("apigateway", {"StringEquals": {"apigateway:Request/AccessLoggingDestination": elsewhere}})
    logging = [{"op": "replace", "path": "/accessLogSettings/destinationArn", "value": elsewhere}]
    assert denied(mine.update_stage, restApiId=api.id, stageName="v1", patchOperations=logging)


def test_http_apis_have_the_same_keys(platform: RunningPlatform, limited: Callable[..., Any]) -> None:
    gateway = platform.client("apigatewayv2")
    mine = limited("apigatewayv2", {"ForAnyValue:StringEquals": {"apigateway:Request/RouteAuthorizationType": "NONE"}})
    api_id = mine.create_api(Name="x", ProtocolType="HTTP")["ApiId"]
    assert denied(mine.create_route, ApiId=api_id, RouteKey="GET /a", AuthorizationType="NONE")
    assert denied(mine.create_route, ApiId=api_id, RouteKey="GET /a"), "it would be open"
    assert denied(mine.create_api, Name="y", ProtocolType="HTTP", Target="https://example.com"), "its route would be open"
    route_id = mine.create_route(ApiId=api_id, RouteKey="GET /a", AuthorizationType="AWS_IAM")["RouteId"]
    assert denied(mine.update_route, ApiId=api_id, RouteId=route_id, AuthorizationType="NONE")
    assert denied(mine.import_api, Body=json.dumps(OPEN))
    assert denied(mine.reimport_api, ApiId=api_id, Body=json.dumps(OPEN))
    mine = limited("apigatewayv2", {"StringEquals": {"apigateway:Resource/RouteAuthorizationType": "AWS_IAM"}})
    assert denied(mine.delete_route, ApiId=api_id, RouteId=route_id)
    gateway.delete_api(ApiId=api_id)
