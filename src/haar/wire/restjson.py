"""REST with JSON bodies."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from haar.wire.base import Fault
from haar.wire.http import Response
from haar.wire.jsonshape import JsonShapes, parse_members, write_members
from haar.wire.model import Model, Shape
from haar.wire.rest import RestCodec, header_writers, outside_body
from haar.wire.rpc import load_object
from haar.wire.values import serialization


class RestJsonCodec(RestCodec):
    """Lambda, API Gateway and most newer services."""

    protocol = "rest-json"

    content_type = "application/json"
    request_id_header = "x-amzn-RequestId"

    def __init__(self, model: Model, opaque: frozenset[str]) -> None:
        super().__init__(model, opaque)
        self._shapes = JsonShapes(model, opaque)

    def _body_parser(self, operation: str, shape: Shape, outside: frozenset[str]) -> Callable[[bytes], dict[str, Any]]:
        members = self._shapes.structure_members(shape, outside)
        return lambda body: parse_members(load_object(body), members)

    def _payload_parser(self, member: Shape) -> Callable[[bytes], Any]:
        parser = self._shapes.parser(member)

        def parse(body: bytes) -> Any:
            try:
                value = orjson.loads(body)
            except orjson.JSONDecodeError as error:
                raise serialization(None) from error
            return value if parser is None or value is None else parser(value)

        return parse

    def _body_writer(self, operation: str, shape: Shape, outside: frozenset[str]) -> Callable[[Mapping[str, Any]], bytes]:
        members = self._shapes.written_members(shape, outside)
        return lambda output: orjson.dumps(write_members(output, members))

    def _payload_writer(self, member: Shape) -> Callable[[Any], bytes]:
        writer = self._shapes.writer(member)
        return lambda value: orjson.dumps(value if writer is None or type(value) is orjson.Fragment else writer(value))

    def _write_fault(self, fault: Fault, request_id: str) -> Response:
        headers = [(self.request_id_header, request_id), ("x-amzn-ErrorType", fault.code), ("Content-Type", self.content_type)]
        response = Response(fault.status, headers)
        body: dict[str, Any] = {}
        if fault.shape is not None:
            members = dict(fault.shape.members())
            outside = outside_body(fault.shape)
            if "Type" in members and members["Type"].type == "string":
                body["Type"] = "User" if fault.sender else "Service"
            body.update(write_members(fault.fields, self._shapes.written_members(fault.shape, outside)))
            for writer in header_writers(fault.shape):
                writer(fault.fields, headers)
        if fault.message is not None:
            body[fault.key] = fault.message
        response.body = orjson.dumps(body)
        return response
