"""JSON 1.0 and 1.1: the operation in X-Amz-Target, JSON in and JSON out."""

from collections.abc import Mapping
from typing import Any
from zlib import crc32

import orjson

from haar.wire.base import BaseCodec, Fault, Parse, Write
from haar.wire.errors import CommonError
from haar.wire.http import Request, Response
from haar.wire.jsonshape import JsonShapes, parse_members, write_members
from haar.wire.model import Model
from haar.wire.values import serialization

_EMPTY: dict[str, Any] = {}
_SPOKEN = ("application/x-amz-json-1.", "application/json")
"""How the content types begin that DynamoDB takes."""
EVENTS = ("Content-Type", "application/vnd.amazon.eventstream")
_NOT_SPOKEN = b"<UnknownOperationException/>\n"


def load_object(body: bytes) -> dict[str, Any]:
    """A JSON object; nothing sent is an empty one. Raises CommonError("Serialization")."""
    if not body:
        return {}
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # Not JSON, not UTF-8, or nested beyond what is read.
        raise serialization(None) from error
    if type(value) is not dict:
        raise serialization("Start of list found where not expected" if type(value) is list else None)
    return value


class JsonCodec(BaseCodec):
    """A service that speaks JSON over POST /."""

    protocol = "json"

    def __init__(self, model: Model, opaque: frozenset[str]) -> None:
        super().__init__(model, opaque)
        self._shapes = JsonShapes(model, opaque)
        self._prefix = f"{model.metadata.get('targetPrefix', model.service)}."
        self._type = f"application/x-amz-json-{model.metadata.get('jsonVersion', '1.0')}"
        # DynamoDB and its streams say the checksum of each answer, and the namespace of each error.
        self._dynamodb = model.metadata.get("targetPrefix", "").startswith("DynamoDB")

    def identify(self, request: Request) -> str:
        if self._dynamodb and (request.method != "POST" or not request.headers.get("content-type", "").startswith(_SPOKEN)):
            raise CommonError("UnknownOperation", None, 404)
        target = request.headers.get("x-amz-target", "")
        operation = target[len(self._prefix) :]
        if operation not in self.operations or not target.startswith(self._prefix):
            raise CommonError("UnknownOperation", None)
        return operation

    def _parser(self, operation: str) -> Parse:
        shape = self.model.input(operation)
        members = {} if shape is None else self._shapes.structure_members(shape)

        def parse(request: Request) -> dict[str, Any]:
            return parse_members(load_object(request.body), members)

        return parse

    def _writer(self, operation: str) -> Write:
        shape = self.model.output(operation)
        members = {} if shape is None else self._shapes.written_members(shape)
        streams = [name for name, member in shape.members() if member.traits.get("eventstream")] if shape is not None else []
        if streams:
            # A service makes the events itself, the first of which is the rest of the output.
            return lambda output, request_id: Response(200, [("x-amzn-RequestId", request_id), EVENTS], output[streams[0]])

        def write(output: Mapping[str, Any], request_id: str) -> Response:
            return self._respond(200, orjson.dumps(write_members(output, members)), request_id)

        if shape is None and not self._dynamodb:
            # Operations that return nothing have no body at all.
            return lambda output, request_id: self._respond(200, b"", request_id)
        return write

    def _respond(self, status: int, body: bytes, request_id: str) -> Response:
        headers = [("x-amzn-RequestId", request_id), ("Content-Type", self._type)]
        if self._dynamodb:
            headers.append(("x-amz-crc32", str(crc32(body))))
        return Response(status, headers, body)

    def _write_fault(self, fault: Fault, request_id: str) -> Response:
        if self._dynamodb and fault.status == 404:
            # What is not in its protocol at all is refused in another one's words.
            return Response(404, [("x-amzn-RequestId", request_id), ("x-amz-crc32", str(crc32(_NOT_SPOKEN)))], _NOT_SPOKEN)
        members = _EMPTY if fault.shape is None else self._shapes.written_members(fault.shape)
        body: dict[str, Any] = {"__type": self._type_of(fault), **write_members(fault.fields, members)}
        if fault.message is not None:
            body[fault.key] = fault.message
        response = self._respond(fault.status, orjson.dumps(body), request_id)
        if self.compatible:
            response.headers.append(("x-amzn-query-error", f"{fault.code};{'Sender' if fault.sender else 'Receiver'}"))
        return response

    def _type_of(self, fault: Fault) -> str:
        name = fault.code if fault.shape is None else fault.shape.name
        if not self._dynamodb:
            return name
        if fault.shape is not None:
            return f"com.amazonaws.dynamodb.v20120810#{name}"
        return f"com.amazon.coral.{'validate' if name == 'ValidationException' else 'service'}#{name}"
