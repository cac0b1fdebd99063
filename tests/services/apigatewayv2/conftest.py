"""What the tests of HTTP APIs share: an API that is made in a line, calls to it, functions behind it."""

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
ECHO = "def handler(event, context):\n    return {'event': event}\n"


class HttpApi:
    """One HTTP API of a test, with a $default stage that deploys by itself."""

    def __init__(self, platform: RunningPlatform, stage: str | None = "$default", **settings: Any) -> None:
        self.platform = platform
        self.gateway = platform.client("apigatewayv2")
        self.made = self.gateway.create_api(**({"Name": "api-" + uuid.uuid4().hex[:8], "ProtocolType": "HTTP"} | settings))
        self.id: str = self.made["ApiId"]
        self.session = requests.Session()
        self.session.trust_env = False
        if stage is not None:
            self.gateway.create_stage(ApiId=self.id, StageName=stage, AutoDeploy=True)

    def integration(self, uri: str, version: str = "2.0", **more: Any) -> str:
        kind: dict[str, Any] = {"IntegrationType": "AWS_PROXY", "PayloadFormatVersion": version}
        if uri.startswith("http"):
            kind = {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "ANY", "PayloadFormatVersion": "1.0"}
        made: str = self.gateway.create_integration(ApiId=self.id, IntegrationUri=uri, **(kind | more))["IntegrationId"]
        return made

    def route(self, key: str, integration: str, **more: Any) -> str:
        made: str = self.gateway.create_route(ApiId=self.id, RouteKey=key, Target=f"integrations/{integration}", **more)["RouteId"]
        return made

    def function(self, key: str, arn: str, version: str = "2.0", **more: Any) -> str:
        return self.route(key, self.integration(arn, version), **more)

    def call(self, path: str = "/", method: str = "GET", **more: Any) -> requests.Response:
        return self.session.request(method, f"{self.platform.endpoint}/_haar/http-api/{self.id}{path}", timeout=60, **more)

    @property
    def host(self) -> str:
        return f"{self.id}.execute-api.{REGION}.localhost:{self.platform.port}"

    def by_host(self, path: str = "/", method: str = "GET", headers: dict[str, str] | None = None, **more: Any) -> requests.Response:
        """As a client whose names below localhost lead here."""
        return self.session.request(
            method, self.platform.endpoint + path, headers={"Host": self.host} | (headers or {}), timeout=60, **more
        )


def refused(call: Callable[..., Any], *arguments: Any, **more: Any) -> tuple[str, str, int]:
    """Code, message and status of the error that a call answers."""
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(*arguments, **more)
    found = error.value.response
    return found["Error"]["Code"], found["Error"]["Message"], found["ResponseMetadata"]["HTTPStatusCode"]


@pytest.fixture
def make_api(platform: RunningPlatform) -> Iterator[Callable[..., HttpApi]]:
    made: list[HttpApi] = []

    def make(**settings: Any) -> HttpApi:
        made.append(HttpApi(platform, **settings))
        return made[-1]

    yield make
    for api in made:
        try:
            api.gateway.delete_api(ApiId=api.id)
        except api.gateway.exceptions.NotFoundException:
            pass


@pytest.fixture
def api(make_api: Callable[..., HttpApi]) -> HttpApi:
    return make_api()


def zip_of(code: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", code)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def make_function(platform: RunningPlatform) -> Iterator[Callable[..., str]]:
    """make(code, allow=…) -> the ARN of a new function that API Gateway may invoke (unless `allow` is None)."""
    iam, lambda_, name = platform.client("iam"), platform.client("lambda"), "gw2-" + uuid.uuid4().hex[:8]
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    made: list[str] = []

    def make(code: str = ECHO, allow: str | None = "*", **settings: Any) -> str:
        function = f"{name}-{len(made)}"
        given = {"Runtime": "python3.12", "Handler": "app.handler", "Role": role, "Code": {"ZipFile": zip_of(code)}, "Timeout": 20}
        arn: str = lambda_.create_function(FunctionName=function, **(given | settings))["FunctionArn"]
        made.append(function)
        lambda_.get_waiter("function_active_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})
        if allow is not None:
            lambda_.add_permission(
                FunctionName=function,
                StatementId="gateway",
                Action="lambda:InvokeFunction",
                Principal="apigateway.amazonaws.com",
                SourceArn=f"arn:aws:execute-api:{REGION}:{platform.account}:{allow}",
            )
        return arn

    yield make
    for function in made:
        lambda_.delete_function(FunctionName=function)
    iam.delete_role(RoleName=name)


@pytest.fixture(scope="module")
def echo(make_function: Callable[..., str]) -> str:
    """The ARN of a function that answers `{"event": …}`."""
    return make_function()
