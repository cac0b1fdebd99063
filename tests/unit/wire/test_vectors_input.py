"""botocore's input vectors: what its serialisers must send is what our parsers must understand."""

import base64
import math
from datetime import datetime
from typing import Any

import pytest
from tests.support.vectors import Vector, vectors

from haar.wire import compiled
from haar.wire.http import Request
from haar.wire.model import Model, Shape

SPOKEN = frozenset({"json", "rest-json", "query", "rest-xml", "smithy-rpc-v2-cbor"})

_GZIP = "compressed bodies are opened by the gateway, before the codec"
_TOKEN = "the client makes up a token, so that what arrives is more than the parameters"
_SAME_BYTES = "a payload that is absent and one that is empty are the same bytes"

SKIPPED: dict[str, str] = {
    "json/SDKAppliedContentEncoding_awsJson1_1": _GZIP,
    "json/SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1": _GZIP,
    "json_1_0/SDKAppliedContentEncoding_awsJson1_0": _GZIP,
    "json_1_0/SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_0": _GZIP,
    "query/SDKAppliedContentEncoding_awsQuery": _GZIP,
    "query/SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsQuery": _GZIP,
    "rest-json/SDKAppliedContentEncoding_restJson1": _GZIP,
    "rest-json/SDKAppendedGzipAfterProvidedEncoding_restJson1": _GZIP,
    "rest-xml/SDKAppliedContentEncoding_restXml": _GZIP,
    "rest-xml/SDKAppendedGzipAfterProvidedEncoding_restXml": _GZIP,
    "query/QueryProtocolIdempotencyTokenAutoFill": _TOKEN,
    "rest-json/RestJsonQueryIdempotencyTokenAutoFill": _TOKEN,
    "rest-xml/QueryIdempotencyTokenAutoFill": _TOKEN,
    "legacy-json/6.1": _TOKEN,
    "legacy-query/12.1": _TOKEN,
    "legacy-rest-json/19.1": _TOKEN,
    "legacy-rest-xml/23.1": _TOKEN,
    "rest-json/RestJsonHttpWithEmptyStructurePayload": _SAME_BYTES,
    "rest-json/RestJsonHttpWithHeadersButNoPayload": _SAME_BYTES,
    "legacy-rest-json/13.1": _SAME_BYTES,
    "legacy-rest-json/25.2": _SAME_BYTES,
    "legacy-rest-json/25.4": _SAME_BYTES,
    "query/QueryEmptyQueryMaps": "an empty map is not sent at all",
    "rest-json/RestJsonHostWithPath": "a path in front of the service's own is an endpoint's, and haar's has none",
    "rest-json/MediaTypeHeaderInputBase64": "a media type's text is sent as it is; botocore leaves this vector out, too",
    "legacy-rest-json/25.7": "the client sets a content type of its own, so that what arrives is more than the parameters",
}


def request_of(vector: Vector) -> Request:
    """The request that a vector describes; what it leaves to the reader comes from the model."""
    serialized = vector.case["serialized"]
    path, _, query = serialized.get("uri", "/").partition("?")
    headers = {"Host": serialized.get("host", "example.com"), **serialized.get("headers", {})}
    body = serialized.get("body", "")
    metadata = vector.description["metadata"]
    if metadata["protocol"] == "json" and not any(name.lower() == "x-amz-target" for name in headers):
        headers["X-Amz-Target"] = f"{metadata['targetPrefix']}.{vector.operation}"
    method = serialized.get("method", vector.description["operations"][vector.operation]["http"]["method"])
    if metadata["protocol"] == "smithy-rpc-v2-cbor":
        return Request.of(method, path, query, headers, base64.b64decode(body))
    return Request.of(method, path, query, headers, body.encode() if isinstance(body, str) else b"")


def expected_value(value: Any, shape: Shape) -> Any:
    """A vector's parameter as our parsers give it: bytes for blobs, moments for timestamps, nothing for null."""
    if shape.document or shape.traits.get("jsonvalue"):
        return value
    if shape.type == "structure":
        members = dict(shape.members())
        value = {name: _unbound(item, members[name], members) for name, item in value.items() if item is not None}
        return {
            name: expected_value(item, members[name])
            for name, item in value.items()
            if not (item in ([], {}) and members[name].traits.get("location") in ("querystring", "header", "headers"))
        }
    if shape.type == "list":
        return [None if item is None else expected_value(item, shape.element) for item in value]
    if shape.type == "map":
        return {key: None if item is None else expected_value(item, shape.value) for key, item in value.items()}
    if shape.type == "blob":
        return value.encode() if isinstance(value, str) else value
    if shape.type in ("float", "double"):
        return float(value)
    return value


def _unbound(value: Any, member: Shape, members: dict[str, Shape]) -> Any:
    """A map of query parameters without those that have a member of their own: ours takes only the others."""
    if member.type != "map" or member.traits.get("location") != "querystring":
        return value
    bound = {other.traits.get("locationName", name) for name, other in members.items() if other.type != "map"}
    return {key: item for key, item in value.items() if key not in bound}


def comparable(value: Any) -> Any:
    """Moments as epoch seconds, and NaN as something that equals itself."""
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, datetime):
        return int(value.timestamp()) if not value.microsecond else round(value.timestamp(), 3)
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


@pytest.mark.parametrize("vector", list(vectors("input", SPOKEN)), ids=lambda vector: vector.name)
def test_input(vector: Vector) -> None:
    if vector.name in SKIPPED:
        pytest.skip(SKIPPED[vector.name])
    codec = compiled(Model("example", vector.description))
    request = request_of(vector)
    shape = codec.model.input(vector.operation)
    expected = {} if shape is None else expected_value(vector.case.get("params", {}), shape)
    assert codec.identify(request) == vector.operation
    assert comparable(codec.parse(vector.operation, request)) == comparable(expected)
