"""Policies and errors, in short."""

import json
from typing import Any

import botocore.exceptions
import pytest


def statement(action: Any, resource: Any = "*", effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal: Any, **more: Any) -> str:
    return policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal, **more})


def refused(call: Any, *args: Any, **input: Any) -> tuple[str, str, int]:
    """(code, message, HTTP status) of the error that the call is answered with."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(*args, **input)
    response = caught.value.response
    return response["Error"]["Code"], response["Error"]["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


ANY = policy(statement("s3:*"))
LAMBDA = trust({"Service": "lambda.amazonaws.com"})
