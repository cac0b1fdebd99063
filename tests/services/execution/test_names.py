"""Host names of AWS that functions hard-code are haar, over TLS that they trust."""

import io
import shutil
import socket
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.functions import running

from haar.execution.contract import Unavailable
from haar.execution.names import reply

RESOLVE = """
import socket, struct
def handler(event, context):
    told = {}
    for name in event:
        try:
            told[name] = sorted({address[4][0] for address in socket.getaddrinfo(name, 443)})
        except OSError as error:
            told[name] = type(error).__name__
    return told
"""


def question(name: str, kind: int = 1) -> bytes:
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    return struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)


@pytest.mark.parametrize(
    ("name", "kind", "egress", "code", "answers"),
    [
        ("dynamodb.us-east-1.amazonaws.com", 1, False, 0, 1),
        ("DynamoDB.us-east-1.AmazonAWS.com", 1, True, 0, 1),
        ("dynamodb.us-east-1.amazonaws.com", 28, False, 0, 0),
        ("bucket.s3.amazonaws.com", 1, False, 0, 1),
        ("bucket.s3.amazonaws.com", 1, True, 5, 0),
        ("example.com", 1, False, 3, 0),
        ("example.com", 1, True, 5, 0),
        ("notamazonaws.com", 1, False, 3, 0),
    ],
)
def test_what_is_answered(name: str, kind: int, egress: bool, code: int, answers: int) -> None:
    answer = reply(question(name, kind), lambda asked: "dynamodb" in asked, egress=egress)
    assert answer is not None
    number, flags, questions, count, _, _ = struct.unpack_from("!6H", answer)
    assert (number, flags & 0xF, flags & 0x8000, questions, count) == (7, code, 0x8000, 1, answers)
    assert answer.endswith(socket.inet_aton("127.0.0.1")) == bool(answers)


@given(st.binary(max_size=600))
def test_garbage_is_answered_with_an_error_or_not_at_all(data: bytes) -> None:
    answer = reply(data, lambda _: True, egress=False)
    assert answer is None or (len(answer) >= 12 and answer[:2] == data[:2] and answer[2] & 0x80)


@pytest.mark.sandbox
@pytest.mark.asyncio
async def test_names_of_aws_lead_to_haar_and_others_nowhere(tmp_path: Path) -> None:
    async with running(tmp_path) as functions:
        told = await functions.answer(functions.make(RESOLVE), ["dynamodb.eu-west-1.amazonaws.com", "sts.amazonaws.com", "example.com"])
    assert told == {"dynamodb.eu-west-1.amazonaws.com": ["127.0.0.1"], "sts.amazonaws.com": ["127.0.0.1"], "example.com": "gaierror"}


@pytest.mark.sandbox
@pytest.mark.asyncio
async def test_with_egress_only_services_that_are_here_are_haar(tmp_path: Path) -> None:
    if shutil.which("pasta") is None:
        pytest.skip("pasta is not installed")
    async with running(tmp_path, egress="on") as functions:
        try:
            told = await functions.answer(functions.make(RESOLVE), ["dynamodb.eu-west-1.amazonaws.com", "no.s3.invalid.amazonaws.com"])
        except Unavailable as reason:
            pytest.skip(str(reason))
    assert told["dynamodb.eu-west-1.amazonaws.com"] == ["127.0.0.1"]
    assert "127.0.0.1" not in told["no.s3.invalid.amazonaws.com"]


PYTHON = """
import boto3, os, ssl, urllib.request
def handler(event, context):
    told = [boto3.client("sts", endpoint_url="https://sts.us-east-1.amazonaws.com").get_caller_identity()["Arn"].split("/")[1]]
    told.append(urllib.request.urlopen("https://dynamodb.us-east-1.amazonaws.com/").status)
    os.environ.pop("AWS_ENDPOINT_URL")
    return told + [boto3.client("dynamodb").list_tables()["TableNames"].__class__.__name__]
"""
NODE = """
import https from "node:https";
import { STSClient, GetCallerIdentityCommand } from "@aws-sdk/client-sts";
export const handler = async () => {
  const status = await new Promise((resolve, reject) =>
    https.get("https://dynamodb.us-east-1.amazonaws.com/", (answer) => resolve(answer.statusCode)).on("error", reject));
  const found = await new STSClient({ endpoint: "https://sts.us-east-1.amazonaws.com" }).send(new GetCallerIdentityCommand({}));
  return [found.Arn.split("/")[1], status];
};
"""


@pytest.mark.sandbox
def test_hard_coded_endpoints_are_haar(client: Any, make_function: Any, platform: Any, name: str) -> None:
    make_function(platform, PYTHON)
    client("iam").attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess")
    answer = client("lambda").invoke(FunctionName=name)
    assert answer["Payload"].read().decode() == f'["{name}", 200, "list"]'


@pytest.mark.sandbox
def test_a_function_of_node_trusts_it_too(client: Any, make_function: Any, platform: Any, name: str) -> None:
    functions = client("lambda")
    make_function(platform, Runtime="nodejs20.x")
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.mjs", NODE)
    functions.update_function_code(FunctionName=name, ZipFile=package.getvalue())
    for variables in ({}, {"SSL_CERT_FILE": "/var/task/none.pem"}):  # which Node.js does not read
        functions.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
        functions.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        answer = functions.invoke(FunctionName=name)
        assert answer["Payload"].read().decode() == f'["{name}",200]'
