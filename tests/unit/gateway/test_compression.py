"""Compressed requests are opened within bounds; compressed answers carry the checksum of what is sent."""

import gzip
import json
import zlib
from typing import Any

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.support.platform import RunningPlatform

from haar.gateway import compression
from haar.wire.errors import CommonError
from haar.wire.http import Request


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("GZIP", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate)]
)
def test_requests_are_opened(encoding: str, pack: Any) -> None:
    request = Request.of("POST", headers={"Content-Encoding": encoding}, body=pack(b'{"a":1}' * 100))
    assert compression.opened(request).body == b'{"a":1}' * 100
    assert request.body != b'{"a":1}' * 100, "what was signed stays as it was sent"


def test_other_encodings_are_left_alone() -> None:
    request = Request.of("POST", headers={"Content-Encoding": "aws-chunked"}, body=b"x")
    assert compression.opened(request) is request


@pytest.mark.parametrize("body", [b"", b"nonsense", gzip.compress(b"x" * 100, mtime=0)[:-12]], ids=["empty", "nonsense", "torn"])
def test_what_is_not_gzip_is_refused(body: bytes) -> None:
    with pytest.raises(CommonError) as refused:
        compression.opened(Request.of("POST", headers={"Content-Encoding": "gzip"}, body=body))
    assert refused.value.code == "Serialization"


def test_a_bomb_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "MAX_OPENED", 1000)
    with pytest.raises(CommonError) as refused:
        compression.opened(Request.of("POST", headers={"Content-Encoding": "gzip"}, body=gzip.compress(b"0" * 100_000)))
    assert refused.value.code == "RequestTooLarge"


def test_both_ways_through_dynamodb(platform: RunningPlatform, name: str) -> None:
    platform.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    item = {"id": {"S": "1"}, "text": {"S": "x" * 5000}}
    assert send(platform, "PutItem", {"TableName": name, "Item": item}).json() == {}
    answer = send(platform, "GetItem", {"TableName": name, "Key": {"id": {"S": "1"}}})
    assert answer.headers["Content-Encoding"] == "gzip"
    sent = answer.raw.read(decode_content=False)
    assert int(answer.headers["x-amz-crc32"]) == zlib.crc32(sent)
    assert json.loads(gzip.decompress(sent)) == {"Item": item}


def send(platform: RunningPlatform, operation: str, input: dict[str, Any]) -> requests.Response:
    """A request with a gzip body and a signature over it, that takes gzip."""
    headers = {
        "X-Amz-Target": f"DynamoDB_20120810.{operation}",
        "Content-Type": "application/x-amz-json-1.0",
        "Content-Encoding": "gzip",
        "Accept-Encoding": "gzip",
    }
    request = AWSRequest("POST", platform.endpoint + "/", data=gzip.compress(json.dumps(input).encode()), headers=headers)
    keys = Credentials(platform.described["access_key_id"], platform.described["secret_access_key"])
    SigV4Auth(keys, "dynamodb", "us-east-1").add_auth(request)
    return requests.post(request.url, data=request.body, headers=dict(request.headers), stream=operation == "GetItem", timeout=60)
