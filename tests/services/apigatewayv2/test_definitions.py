"""Definitions of any form: each is read, or refused in so many words; what was read can be written, and served."""

import copy
import itertools
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from haar.services.apigateway.public import Document
from haar.services.apigatewayv2.apis import check
from haar.services.apigatewayv2.dataplane.compile import compile_draft
from haar.services.apigatewayv2.openapi.reading import Reading
from haar.services.apigatewayv2.openapi.writing import write
from haar.services.apigatewayv2.records import Draft, decode_draft, encode_draft
from haar.wire.errors import ServiceError

from .test_moving import definition

API = {"ApiId": "a", "CreatedDate": 0, "ProtocolType": "HTTP", "Name": "n", "RouteSelectionExpression": "$request.method $request.path"}
WHOLE = definition("arn:aws:lambda:us-east-1:123456789012:function:f")
WHOLE["components"]["securitySchemes"]["signed"] = {"type": "apiKey", "x-amazon-apigateway-authtype": "awsSigv4"}
WHOLE["components"]["securitySchemes"]["asked"] = {
    "type": "apiKey",
    "x-amazon-apigateway-authorizer": {
        "type": "request",
        "authorizerUri": "arn:aws:lambda:us-east-1:123456789012:function:f",
        "authorizerPayloadFormatVersion": "2.0",
        "authorizerResultTtlInSeconds": 10,
        "identitySource": "$request.header.A, $request.querystring.b",
        "enableSimpleResponses": True,
    },
}
WHOLE["paths"]["/mapped"] = {
    "get": {
        "security": [{"asked": []}],
        "x-amazon-apigateway-integration": {
            "type": "http_proxy",
            "httpMethod": "GET",
            "uri": "https://example.com",
            "payloadFormatVersion": 1.0,
            "timeoutInMillis": 500,
            "requestParameters": {"append:header.a": "$request.path"},
            "responseParameters": {"200": {"overwrite:statuscode": "201"}},
            "tlsConfig": {"serverNameToVerify": "x"},
        },
    },
    "post": {"security": [{"signed": []}]},
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a definition."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [one for key, below in inner for one in places(below, (*path, key))]


def read(whole: Any) -> Draft:
    numbers = itertools.count()
    draft = Draft("us-east-1", dict(API))
    reading = Reading(Document(whole), draft, lambda size: f"{next(numbers):07d}", {})
    reading.read("prepend")
    reading.settle(False)
    check(draft.api)
    return draft


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(places(WHOLE)), VALUES)
def test_any_definition_is_read_or_refused(place: tuple[Any, ...], value: Any) -> None:
    whole = copy.deepcopy(WHOLE)
    at: Any = whole
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    try:
        draft = read(whole)
    except ServiceError:
        return
    kept = decode_draft(encode_draft(draft))
    compile_draft(kept)
    told = write(kept, "http://x", "", extensions=True)
    assert write(read(orjson.loads(orjson.dumps(told))), "http://x", "", extensions=True)["paths"] == told["paths"]
