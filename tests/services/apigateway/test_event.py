"""The proxy event and the proxy response."""

import base64
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haar.services.apigateway.dataplane.answers import Refused
from haar.services.apigateway.dataplane.call import Call, parse_query
from haar.services.apigateway.dataplane.compile import Compiled, Endpoint, Live
from haar.services.apigateway.dataplane.event import is_binary, proxy_event, proxy_response
from haar.services.apigateway.dataplane.routing import Node
from haar.services.apigateway.records import Draft
from haar.services.service import Host
from haar.wire.http import Request

TRACE = "Root=1-65a00000-0123456789abcdef01234567"


def make(request: Request, *, binary: tuple[str, ...] = (), variables: dict[str, str] | None = None, path: str = "/books/1") -> Call:
    draft = Draft("eu-west-1", {}, {})
    live = Live(
        "abcdefghij", "eu-west-1", "123456789012", "v1", "dep123", variables or {}, Compiled(Node(), draft, binary, None, False, {}), {}
    )
    host = cast(Host, SimpleNamespace())
    call = Call(host, live, request, path, "rid", "eid", TRACE, "abcdefghij.execute-api.eu-west-1.localhost", 1764100800.123)
    call.endpoint = Endpoint("res123", "/books/{id}", "ANY", {}, cast(Any, None))
    call.path_parameters = {"id": "1"}
    return call


def request(method: str = "GET", query: str = "", pairs: list[tuple[str, str]] | None = None, body: bytes = b"") -> Request:
    pairs = pairs or [("Host", "localhost:4566")]
    headers: dict[str, str] = {}
    for name, value in pairs:
        headers[name.lower()] = f"{headers[name.lower()]},{value}" if name.lower() in headers else value
    return Request(method, "/books/1", query, pairs, headers, body, "10.0.0.7")


def test_the_whole_event():
    pairs = [
        ("Host", "localhost:4566"),
        ("User-Agent", "curl/8"),
        ("x-ONE", "1"),
        ("X-One", "2"),
        ("Content-Length", "7"),
        ("Connection", "close"),
    ]
    event = proxy_event(make(request("POST", "q=1&q=2&empty=&flag&plus=a+b%2B&%C3%A9=%C3%A9", pairs, b'{"a":1}'), variables={"table": "t"}))
    headers = {
        "Host": ["localhost:4566"],
        "User-Agent": ["curl/8"],
        "x-ONE": ["1", "2"],
        "X-Amzn-Trace-Id": [TRACE],
        "X-Forwarded-For": ["10.0.0.7"],
        "X-Forwarded-Port": ["4566"],
        "X-Forwarded-Proto": ["http"],
    }
    query = {"q": ["1", "2"], "empty": [""], "flag": [""], "plus": ["a b+"], "é": ["é"]}
    assert event == {
        "resource": "/books/{id}",
        "path": "/books/1",
        "httpMethod": "POST",
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()},
        "multiValueQueryStringParameters": query,
        "pathParameters": {"id": "1"},
        "stageVariables": {"table": "t"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abcdefghij",
            "deploymentId": "dep123",
            "domainName": "abcdefghij.execute-api.eu-west-1.localhost",
            "domainPrefix": "abcdefghij",
            "extendedRequestId": "eid",
            "httpMethod": "POST",
            "identity": {
                "accessKey": None,
                "accountId": None,
                "caller": None,
                "cognitoAuthenticationProvider": None,
                "cognitoAuthenticationType": None,
                "cognitoIdentityId": None,
                "cognitoIdentityPoolId": None,
                "principalOrgId": None,
                "sourceIp": "10.0.0.7",
                "user": None,
                "userAgent": "curl/8",
                "userArn": None,
            },
            "path": "/v1/books/1",
            "protocol": "HTTP/1.1",
            "requestId": "rid",
            "requestTime": "25/Nov/2025:20:00:00 +0000",
            "requestTimeEpoch": 1764100800123,
            "resourceId": "res123",
            "resourcePath": "/books/{id}",
            "stage": "v1",
        },
        "body": '{"a":1}',
        "isBase64Encoded": False,
    }


def test_what_is_not_there_is_null():
    call = make(request())
    call.path_parameters = {}
    event = proxy_event(call)
    assert [
        event[name] for name in ("queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "stageVariables", "body")
    ] == [None] * 5


def test_a_proxy_in_front_is_kept_in_the_headers():
    event = proxy_event(
        make(
            request(pairs=[("Host", "h"), ("X-Forwarded-For", "1.1.1.1"), ("x-forwarded-proto", "https"), ("X-Amzn-Trace-Id", "Root=1-a")])
        )
    )
    assert event["headers"]["X-Forwarded-For"] == "1.1.1.1, 10.0.0.7"
    assert event["headers"]["X-Forwarded-Proto"] == "http" and "x-forwarded-proto" not in event["headers"]


def test_binary_bodies_go_as_base64():
    body = bytes(range(256))
    pairs = [("Host", "h"), ("Content-Type", "image/png; x=1")]
    event = proxy_event(make(request("POST", pairs=pairs, body=body), binary=("image/png",)))
    assert event["isBase64Encoded"] is True and base64.b64decode(event["body"]) == body
    event = proxy_event(make(request("POST", pairs=pairs, body="é".encode()), binary=("image/gif",)))
    assert event["isBase64Encoded"] is False and event["body"] == "é"


@pytest.mark.parametrize(
    "content_type, types, expected",
    [
        ("image/png", ("image/png",), True),
        ("IMAGE/PNG; a=b", ("image/png",), True),
        ("image/png", ("image/*",), True),
        ("text/plain", ("image/*",), False),
        (None, ("image/*",), False),
        (None, ("*/*",), True),
        ("image/png", (), False),
    ],
)
def test_binary_types(content_type: str | None, types: tuple[str, ...], expected: bool):
    assert is_binary(content_type, types) is expected


def answer(value: Any, accept: str | None = None, binary: tuple[str, ...] = ()) -> tuple[int, list[tuple[str, str]], bytes]:
    response = proxy_response(orjson.dumps(value), accept, binary)
    assert isinstance(response.body, bytes)
    return response.status, response.headers, response.body


def test_answers():
    json = ("Content-Type", "application/json")
    assert answer({"statusCode": 201, "body": "é"}) == (201, [json], "é".encode())
    assert answer({"statusCode": "404"}) == (404, [json], b"")
    assert answer({}) == (200, [json], b"")
    assert answer({"statusCode": 200, "headers": {"content-type": "text/html", "X-N": 5, "X-T": True, "X-Null": None}})[1] == [
        ("content-type", "text/html"),
        ("X-N", "5"),
        ("X-T", "true"),
    ]
    many = answer({"headers": {"A": "1", "set-cookie": "lost"}, "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]}})[1]
    assert many == [("A", "1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), json]


def test_headers_that_are_not_the_application_s_are_renamed():
    headers = answer(
        {"headers": {"Content-Length": "9", "Date": "now", "Connection": "close", "Transfer-Encoding": "chunked", "Server": "s"}}
    )[1]
    assert headers == [
        ("x-amzn-Remapped-Content-Length", "9"),
        ("x-amzn-Remapped-Date", "now"),
        ("x-amzn-Remapped-Connection", "close"),
        ("x-amzn-Remapped-Server", "s"),
        ("Content-Type", "application/json"),
    ]


def test_binary_answers_are_decoded_for_who_accepts_them():
    encoded = {"isBase64Encoded": True, "body": base64.b64encode(b"\x89PNG").decode()}
    assert answer(encoded, "image/png,*/*", ("image/png",))[2] == b"\x89PNG"
    assert answer(encoded, "text/html,image/png", ("image/png",))[2] == b"iVBORw=="
    assert answer(encoded, None, ("*/*",))[2] == b"\x89PNG"
    assert answer(encoded, "image/png", ())[2] == b"iVBORw=="
    with pytest.raises(Refused):
        answer({"isBase64Encoded": True, "body": "?"}, None, ("*/*",))


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        [1],
        5,
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": "ok"},
        {"statusCode": 99},
        {"statusCode": 600},
        {"statusCode": True},
        {"statusCode": [200]},
        {"statusCode": 200, "headers": ["a"]},
        {"statusCode": 200, "headers": {"a": ["b"]}},
        {"statusCode": 200, "multiValueHeaders": {"a": "b"}},
        {"statusCode": 200, "message": "no member of a response"},
        {"statusCode": 200, "headers": {"a": "b\r\nc: d"}},
        {"statusCode": 200, "headers": {"a b": "c"}},
        {"statusCode": 200, "headers": {"a:\r\nb": "c"}},
    ],
)
def test_what_is_no_answer_is_a_bad_gateway(value: Any):
    with pytest.raises(Refused) as refused:
        answer(value)
    assert refused.value.status == 502 and refused.value.message == "Internal server error"
    with pytest.raises(Refused):
        proxy_response(b"{not json", None, ())


@given(st.lists(st.tuples(st.text("ab é&=+%", min_size=1, max_size=3), st.text("ab é&=+%", max_size=3)), max_size=6))
def test_queries_are_read_as_they_were_written(pairs: list[tuple[str, str]]):
    from urllib.parse import urlencode

    expected: dict[str, list[str]] = {}
    for name, value in pairs:
        expected.setdefault(name, []).append(value)
    assert parse_query(urlencode(pairs)) == expected
