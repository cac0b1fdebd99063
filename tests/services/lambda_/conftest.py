"""What the Lambda tests share: packages, roles, functions."""

import io
import json
import uuid
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.identity import LAMBDA
from tests.support.platform import RunningPlatform

BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
ECHO = "def handler(event, context):\n    return event\n"


def zip_of(**files: str) -> bytes:
    """A package; `app_py="…"` is app.py."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name.replace("_", "."), (2024, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()


@pytest.fixture
def lambda_(client: Callable[..., Any]) -> Any:
    return client("lambda")


@pytest.fixture(scope="module")
def role(platform: RunningPlatform) -> Iterator[str]:
    """The ARN of a role that may write logs."""
    iam, name = platform.client("iam"), "r-" + uuid.uuid4().hex[:10]
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=LAMBDA)["Role"]["Arn"]
    iam.attach_role_policy(RoleName=name, PolicyArn=BASIC)
    yield arn
    iam.detach_role_policy(RoleName=name, PolicyArn=BASIC)
    iam.delete_role(RoleName=name)


@pytest.fixture
def function(lambda_: Any, role: str, name: str) -> Iterator[Callable[..., Any]]:
    """make(code, **settings) -> CreateFunction's answer for a new function (the test's name, and a suffix when one is given)."""
    made: list[str] = []

    def make(code: str = ECHO, suffix: str = "", **more: Any) -> Any:
        settings = {"Runtime": "python3.12", "Role": role, "Handler": "app.handler", "Code": {"ZipFile": zip_of(app_py=code)}}
        wanted = {key: value for key, value in (settings | more).items() if value is not None}
        answer = lambda_.create_function(FunctionName=name + suffix, **wanted)
        made.append(name + suffix)
        return answer

    yield make
    for each in made:
        try:
            lambda_.delete_function(FunctionName=each)
        except lambda_.exceptions.ResourceNotFoundException:
            pass


@pytest.fixture
def invoke(lambda_: Any, name: str) -> Callable[..., tuple[Any, Any]]:
    """invoke(event, **more) -> (the answer, the decoded payload)."""

    def call(event: Any = None, **more: Any) -> tuple[Any, Any]:
        answer = lambda_.invoke(**{"FunctionName": name, "Payload": json.dumps(event).encode()} | more)
        text = answer["Payload"].read()
        return answer, json.loads(text) if text else None

    return call
