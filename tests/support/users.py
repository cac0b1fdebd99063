"""Fixtures that the tests of IAM and STS share: a client, undoing, a user with keys."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture
def iam(client: Callable[..., Any]) -> Any:
    return client("iam")


@pytest.fixture
def cleanup() -> Iterator[Callable[[Callable[[], Any]], None]]:
    """cleanup(undo): called at the end, the last one first."""
    todo: list[Callable[[], Any]] = []
    yield todo.append
    for undo in reversed(todo):
        undo()


@pytest.fixture
def user(iam: Any, name: str) -> Any:
    """A new user: its name, its key, and a way to its clients."""

    class User:
        def __init__(self) -> None:
            self.name = name
            self.arn = iam.create_user(UserName=name)["User"]["Arn"]
            key = iam.create_access_key(UserName=name)["AccessKey"]
            self.keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}

        def may(self, policy: str, *statements: dict[str, Any]) -> None:
            document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
            iam.put_user_policy(UserName=self.name, PolicyName=policy, PolicyDocument=document)

    return User()
