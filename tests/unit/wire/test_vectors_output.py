"""botocore's output vectors: its parsers understand our answer as they understand the one that AWS would give."""

import base64
from typing import Any

import pytest
from botocore.awsrequest import HeadersDict
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import create_parser
from tests.support.vectors import Vector, vectors

from haar.wire import compiled
from haar.wire.errors import ServiceError
from haar.wire.http import Response
from haar.wire.model import Model, Shape

SPOKEN = frozenset({"json", "rest-json", "query", "rest-xml", "smithy-rpc-v2-cbor"})

_UNKNOWN_MEMBER = "about a client that meets a member of a union that it does not know"
_TWO_NAMES = "botocore and Smithy call a flattened list differently when both it and its elements have names; no model of AWS has that"
_EVENTS = "the frames of an event stream are the service's, written with haar.wire.eventstream"

SKIPPED: dict[str, str] = {
    "query/QueryXmlLists": _TWO_NAMES,
    "rest-xml/XmlLists": _TWO_NAMES,
    "rest-json/RestJsonHttpPayloadWithUnsetUnion": "botocore refuses to read a union without a member",
    "rest-xml/RestXmlHttpPayloadWithUnsetUnion": "botocore refuses to read a union without a member",
    "rest-json/RestJsonDeserializesDenseSetMapAndSkipsNull": "about a client that meets a null where none may be",
    "rest-json/MediaTypeHeaderOutputBase64": "a media type's text is sent as it is; botocore leaves this vector out, too",
    "rest-xml/BodyWithXmlName": "botocore takes a structure's own name for a member's; it leaves this vector out, too",
    "legacy-rest-json/17.2": _UNKNOWN_MEMBER,
    "legacy-rest-xml/16.2": _UNKNOWN_MEMBER,
    "legacy-json/6.0": _EVENTS,
    "legacy-rest-xml/14.0": _EVENTS,
    "legacy-rest-xml/14.1": _EVENTS,
    "legacy-rest-xml/14.2": _EVENTS,
}


def plain(value: Any, shape: Shape) -> Any:
    """A vector's result as a service would give it: bytes for blobs, floats for their names."""
    if value is None or shape.document or shape.traits.get("jsonvalue"):
        return value
    if shape.type == "structure":
        members = dict(shape.members())
        return {name: plain(item, members[name]) for name, item in value.items() if name in members}
    if shape.type == "list":
        return [plain(item, shape.element) for item in value]
    if shape.type == "map":
        return {key: plain(item, shape.value) for key, item in value.items()}
    if shape.type == "blob" and isinstance(value, str):
        return value.encode()
    return float(value) if shape.type in ("float", "double") else value


def understood(vector: Vector, response: dict[str, Any]) -> dict[str, Any]:
    """What botocore makes of a response."""
    service = ServiceModel(vector.description)
    operation = OperationModel(vector.description["operations"][vector.operation], service)
    response = {**response, "headers": HeadersDict(response.get("headers", {})), "context": {"operation_name": vector.operation}}
    parser = create_parser(vector.description["metadata"]["protocol"])
    parsed = parser.parse(response, operation.output_shape)
    name = error_shape(vector)
    if name is not None:
        parsed |= parser.parse(response, service.shape_for(name))
    parsed.pop("ResponseMetadata", None)
    return floats(parsed)


def error_shape(vector: Vector) -> str | None:
    """The shape of the error that a vector is about, found by its name or its code."""
    return Model("example", vector.description).errors.get(vector.case.get("errorCode", ""))


def floats(value: Any) -> Any:
    """NaN as something that equals itself."""
    if isinstance(value, dict):
        return {key: floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [floats(item) for item in value]
    return "NaN" if value != value else value


def ours(vector: Vector) -> Response:
    """haar's answer to what the vector is about."""
    codec = compiled(Model("example", vector.description))
    if "error" in vector.case:
        name = error_shape(vector)
        shape = None if name is None else codec.model.shape(name)
        fields = {} if shape is None else plain(vector.case["error"], shape)
        message = next((fields.pop(key) for key in ("message", "Message") if key in fields), vector.case.get("errorMessage"))
        return codec.serialise_error(ServiceError(vector.case["errorCode"], message, **fields), "request-id", vector.operation)
    shape = codec.model.output(vector.operation)
    output = {} if shape is None else plain(vector.case["result"], shape)
    return codec.serialise(vector.operation, output, "request-id")


def cases() -> list[Vector]:
    found = list(vectors("output", SPOKEN))
    for vector in found:
        output = vector.description["operations"][vector.operation].get("output")
        # As in botocore's own runner: query's vectors leave the wrapper to it.
        if (
            vector.description["metadata"]["protocol"] == "query"
            and output
            and vector.description["shapes"][output["shape"]].get("members")
        ):
            output.setdefault("resultWrapper", f"{vector.operation}Result")
    return found


@pytest.mark.parametrize("vector", cases(), ids=lambda vector: vector.name)
def test_output(vector: Vector) -> None:
    if vector.name in SKIPPED:
        pytest.skip(SKIPPED[vector.name])
    theirs = {**vector.case["response"], "body": vector.case["response"].get("body", "<xml/>").encode()}
    if vector.description["metadata"]["protocol"] == "smithy-rpc-v2-cbor":
        theirs["body"] = base64.b64decode(theirs["body"])
    answer = ours(vector)
    assert isinstance(answer.body, bytes)
    # The request's id is a header that no vector has; where a member takes all headers, it would show.
    headers = {name: value for name, value in answer.headers if name != "x-amzn-RequestId"}
    response = {"status_code": answer.status, "headers": headers, "body": answer.body}
    parsed = understood(vector, response)
    if "error" in vector.case:
        # Compared with what the vector says: an error can be written in many ways, and botocore does not read all of them.
        assert parsed["Error"]["Code"] == vector.case["errorCode"]
        assert {name: parsed[name] for name in vector.case["error"]} == vector.case["error"]
        assert answer.status == theirs["status_code"]
    else:
        assert parsed == understood(vector, theirs)
