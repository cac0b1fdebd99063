"""What the API Gateway tests share: an API that is made in a line, HTTP calls to it, functions behind it."""

import io
import json
import uuid
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import botocore.exceptions
import pytest
import requests
from tests.support.platform import RunningPlatform

REGION = "us-east-1"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


class Api:
    """One REST API of a test."""

    def __init__(self, platform: RunningPlatform, **settings: Any) -> None:
        self.platform = platform
        self.gateway = platform.client("apigateway")
        made = self.gateway.create_rest_api(**({"name": "api-" + uuid.uuid4().hex[:8]} | settings))
        self.id: str = made["id"]
        self.ids: dict[str, str] = {"/": made["rootResourceId"]}
        self.session = requests.Session()
        self.session.trust_env = False

    def resource(self, path: str) -> str:
        """The id of a resource, made with all that is above it."""
        if path not in self.ids:
            parent, _, part = path.rpartition("/")
            made = self.gateway.create_resource(restApiId=self.id, parentId=self.resource(parent or "/"), pathPart=part)
            self.ids[path] = made["id"]
        return self.ids[path]

    def at(self, path: str, method: str = "GET") -> dict[str, str]:
        return {"restApiId": self.id, "resourceId": self.resource(path), "httpMethod": method}

    def method(self, path: str, method: str = "GET", **settings: Any) -> dict[str, str]:
        where = self.at(path, method)
        self.gateway.put_method(**where, **({"authorizationType": "NONE"} | settings))
        return where

    def mock(self, path: str, method: str = "GET", template: str = "{}", request: str = '{"statusCode": 200}', **settings: Any) -> None:
        """A method that answers with a template."""
        where = self.method(path, method, **settings)
        self.gateway.put_integration(**where, type="MOCK", requestTemplates={"application/json": request})
        self.gateway.put_method_response(**where, statusCode="200")
        self.gateway.put_integration_response(**where, statusCode="200", responseTemplates={"application/json": template})

    def function(self, path: str, arn: str, method: str = "GET", type: str = "AWS_PROXY", more: Any = None, **settings: Any) -> None:
        """A method in front of a function."""
        where = self.method(path, method, **settings)
        self.gateway.put_integration(**where, type=type, integrationHttpMethod="POST", uri=function_uri(arn), **(more or {}))

    def deploy(self, stage: str = "v1", **settings: Any) -> str:
        made: str = self.gateway.create_deployment(restApiId=self.id, stageName=stage, **settings)["id"]
        return made

    def call(self, path: str = "/", method: str = "GET", stage: str = "v1", **more: Any) -> requests.Response:
        return self.session.request(method, f"{self.platform.endpoint}/restapis/{self.id}/{stage}/_user_request_{path}", timeout=60, **more)

    @property
    def host(self) -> str:
        return f"{self.id}.execute-api.{REGION}.localhost:{self.platform.port}"


def function_uri(arn: str) -> str:
    return f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}/invocations"


def refused(call: Callable[..., Any], *arguments: Any, **more: Any) -> tuple[str, str, int]:
    """Code, message and status of the error that a call answers."""
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(*arguments, **more)
    found = error.value.response
    return found["Error"]["Code"], found["Error"]["Message"], found["ResponseMetadata"]["HTTPStatusCode"]


@pytest.fixture
def make_api(platform: RunningPlatform) -> Iterator[Callable[..., Api]]:
    made: list[Api] = []

    def make(**settings: Any) -> Api:
        made.append(Api(platform, **settings))
        return made[-1]

    yield make
    for api in made:
        try:
            api.gateway.delete_rest_api(restApiId=api.id)
        except api.gateway.exceptions.NotFoundException:
            pass


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    return make_api()


def zip_of(code: str, file: str = "app.py") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(file, code)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def make_function(platform: RunningPlatform) -> Iterator[Callable[..., str]]:
    """make(code, allow=…) -> the ARN of a new function that API Gateway may invoke (unless `allow` is false)."""
    iam, lambda_, name = platform.client("iam"), platform.client("lambda"), "gw-" + uuid.uuid4().hex[:8]
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    made: list[str] = []

    def make(code: str, allow: str | None = "*", file: str = "app.py", **settings: Any) -> str:
        function = f"{name}-{len(made)}"
        given = {"Runtime": "python3.12", "Handler": "app.handler", "Role": role, "Code": {"ZipFile": zip_of(code, file)}, "Timeout": 20}
        arn: str = lambda_.create_function(FunctionName=function, **(given | settings))["FunctionArn"]
        made.append(function)
        lambda_.get_waiter("function_active_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})
        if allow is not None:
            source = f"arn:aws:execute-api:{REGION}:{platform.account}:{allow}"
            lambda_.add_permission(
                FunctionName=function,
                StatementId="gateway",
                Action="lambda:InvokeFunction",
                Principal="apigateway.amazonaws.com",
                SourceArn=source,
            )
        return arn

    yield make
    for function in made:
        lambda_.delete_function(FunctionName=function)
    iam.delete_role(RoleName=name)
