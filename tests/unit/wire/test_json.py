"""JSON services: what is read, what is refused and how it is said, what is written."""

from typing import Any
from zlib import crc32

import orjson
import pytest

from haar.wire import load
from haar.wire.errors import CommonError
from haar.wire.http import Request

OPAQUE = frozenset({"AttributeValue"})
JAVA_LIST = (
    "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class "
    "(sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base of loader 'bootstrap')"
)


def parse(operation: str, body: bytes, opaque: frozenset[str] = OPAQUE) -> dict[str, Any]:
    return load("dynamodb", opaque).parse(operation, Request.of("POST", body=body))


def refused(operation: str, body: bytes, opaque: frozenset[str] = OPAQUE) -> str | None:
    with pytest.raises(CommonError) as caught:
        parse(operation, body, opaque)
    assert caught.value.code == "Serialization"
    return caught.value.message


@pytest.mark.parametrize(
    ("operation", "body", "message"),
    [
        ("GetItem", {"TableName": 23}, "NUMBER_VALUE cannot be converted to String"),
        ("GetItem", {"TableName": 34.56}, "DECIMAL_VALUE cannot be converted to String"),
        ("GetItem", {"TableName": True}, "TRUE_VALUE cannot be converted to String"),
        ("GetItem", {"TableName": False}, "FALSE_VALUE cannot be converted to String"),
        ("GetItem", {"TableName": {}}, "Start of structure or map found where not expected"),
        ("GetItem", {"TableName": []}, "Unrecognized collection type class java.lang.String"),
        ("GetItem", {"ConsistentRead": "true"}, "Unexpected token received from parser"),
        ("GetItem", {"ConsistentRead": 1}, "NUMBER_VALUE cannot be converted to Boolean"),
        ("GetItem", {"Key": 1}, "Unexpected field type"),
        (
            "GetItem",
            {"Key": []},
            "Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>",
        ),
        ("GetItem", {"AttributesToGet": "a"}, "Unexpected field type"),
        ("GetItem", {"AttributesToGet": {}}, "Start of structure or map found where not expected"),
        ("ListTables", {"Limit": "23"}, "STRING_VALUE cannot be converted to Integer"),
        ("ListTables", {"Limit": True}, "TRUE_VALUE cannot be converted to Integer"),
        ("ListTables", {"Limit": 2**31}, "NUMBER_VALUE cannot be converted to Integer"),
        ("ListTables", {"Limit": 1e30}, "NUMBER_VALUE cannot be converted to Integer"),
        ("CreateTable", {"ProvisionedThroughput": "x"}, "Unexpected field type"),
        (
            "CreateTable",
            {"ProvisionedThroughput": []},
            "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.ProvisionedThroughput",
        ),
        ("CreateTable", {"KeySchema": ["x"]}, "Unexpected value type in payload"),
        ("BatchWriteItem", {"RequestItems": {"a": "x"}}, JAVA_LIST),
    ],
)
def test_wrong_types_are_said_as_aws_does(operation: str, body: dict[str, Any], message: str) -> None:
    assert refused(operation, orjson.dumps(body)) == message


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"1",
        b"\xff\xfe",
        b'{"TableName":"\xff"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"Limit":NaN}',
        b'{"Limit":1e400}',
    ],
    ids=repr,
)
def test_what_is_not_a_json_object_is_refused(body: bytes) -> None:
    refused("Scan", body)


def test_recursion_is_refused_where_it_is_followed_and_left_alone_where_it_is_opaque() -> None:
    nested = b'{"M":{"a":' * 400 + b'{"S":"x"}' + b"}}" * 400
    body = b'{"TableName":"abc","Key":{"k":' + nested + b"}}"
    assert refused("GetItem", body, frozenset()) == "The request is nested too deeply."
    assert parse("GetItem", body)["Key"] == {"k": orjson.loads(nested)}


def test_null_counts_as_not_sent_and_unknown_members_are_passed_over() -> None:
    assert parse("GetItem", b'{"TableName":"abc","Key":null,"Unknown":1}') == {"TableName": "abc"}
    assert parse("GetItem", b"") == {}


def test_null_in_a_collection_is_refused() -> None:
    refused("GetItem", b'{"AttributesToGet":["a",null]}')


def test_opaque_shapes_stay_as_json_has_them() -> None:
    key = {"pk": {"B": "AAEC"}, "bad": {"Z": [1, None]}, "null": None}
    assert parse("GetItem", orjson.dumps({"TableName": "abc", "Key": key}))["Key"] == key
    assert parse("GetItem", b'{"Key":{"pk":{"B":"AAEC"}}}', frozenset())["Key"] == {"pk": {"B": b"\x00\x01\x02"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("23456", "Base64 encoded length is expected a multiple of 4 bytes but found: 5"),
        ("=+/=", "Invalid last non-pad Base64 character dectected"),
        ("ab\u00e9=", "Invalid last non-pad Base64 character dectected"),
        (1, "only base-64-encoded strings are convertible to bytes"),
    ],
)
def test_blobs(text: Any, message: str) -> None:
    assert refused("GetItem", orjson.dumps({"Key": {"pk": {"B": text}}}), frozenset()) == message


def test_a_fraction_is_cut_off() -> None:
    assert parse("ListTables", b'{"Limit":1.7}') == {"Limit": 1}


def test_fragments_are_spliced_and_none_is_left_out() -> None:
    codec = load("dynamodb", OPAQUE)
    item = b'{"pk": {"S":"x"}}'
    output = {"Item": orjson.Fragment(item), "ConsumedCapacity": {"TableName": "abc", "CapacityUnits": 0.5, "Table": None}, "Stray": 1}
    response = codec.serialise("GetItem", output, "request-id")
    assert response.body == b'{"Item":' + item + b',"ConsumedCapacity":{"TableName":"abc","CapacityUnits":0.5}}'
    assert dict(response.headers) == {
        "x-amzn-RequestId": "request-id",
        "Content-Type": "application/x-amz-json-1.0",
        "x-amz-crc32": str(crc32(response.body)),
    }
    many = codec.serialise("Query", {"Items": [orjson.Fragment(item), {"pk": {"S": "y"}}], "Count": 2}, "request-id")
    assert many.body == b'{"Items":[' + item + b',{"pk":{"S":"y"}}],"Count":2}'


def test_other_json_services_have_no_checksum() -> None:
    response = load("logs").serialise("DescribeLogGroups", {"logGroups": []}, "request-id")
    assert dict(response.headers) == {"x-amzn-RequestId": "request-id", "Content-Type": "application/x-amz-json-1.1"}


@pytest.mark.parametrize("target", ["", "GetItem", "DynamoDB_20111205.GetItem", "DynamoDB_20120810.", "DynamoDB_20120810.Fly"])
def test_an_unknown_target_is_refused(target: str) -> None:
    with pytest.raises(CommonError) as caught:
        load("dynamodb").identify(Request.of("POST", headers={"X-Amz-Target": target}))
    assert caught.value.code == "UnknownOperation"
