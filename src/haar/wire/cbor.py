"""Smithy RPC v2: the operation in the path, CBOR in and CBOR out.

https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import cbor2

from haar.wire import values
from haar.wire.base import BaseCodec, Fault, Parse, Write
from haar.wire.errors import CommonError
from haar.wire.http import Request, Response
from haar.wire.jsonshape import Convert, JsonShapes, parse_members, write_members
from haar.wire.model import Model, Shape
from haar.wire.values import serialization

_EPOCH_TAG = 1


class CborShapes(JsonShapes):
    """Shapes as CBOR: as JSON, but bytes, moments and floats are themselves."""

    def _parse_scalar(self, shape: Shape) -> Convert:
        own = {"blob": _bytes, "timestamp": _moment, "float": _number, "double": _number}.get(shape.type)
        return own or super()._parse_scalar(shape)

    def _write_scalar(self, shape: Shape) -> Convert | None:
        if shape.type == "timestamp":
            return lambda value: cbor2.CBORTag(_EPOCH_TAG, values.epoch(value))
        if shape.type in ("float", "double"):
            return float
        return (lambda value: value.encode() if isinstance(value, str) else bytes(value)) if shape.type == "blob" else None


def _bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise serialization("A byte string was expected")
    return value


def _moment(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise serialization("A timestamp was expected")
    return value


def _number(value: Any) -> float:
    if type(value) is not float and type(value) is not int:
        raise serialization(f"{values.token(value)} cannot be converted to Double")
    return value


class CborCodec(BaseCodec):
    """A service that speaks Smithy RPC v2 with CBOR."""

    protocol = "smithy-rpc-v2-cbor"

    def __init__(self, model: Model, opaque: frozenset[str]) -> None:
        super().__init__(model, opaque)
        self._shapes = CborShapes(model, opaque)

    def identify(self, request: Request) -> str:
        # Whatever comes before is the endpoint's.
        parts = request.path.rsplit("/", 4)
        if len(parts) < 4 or parts[-4] != "service" or parts[-2] != "operation" or parts[-1] not in self.operations:
            raise CommonError("UnknownOperation", None)
        return parts[-1]

    def _parser(self, operation: str) -> Parse:
        shape = self.model.input(operation)
        members = {} if shape is None else self._shapes.structure_members(shape)

        def parse(request: Request) -> dict[str, Any]:
            return parse_members(_load(request.body), members)

        return parse

    def _writer(self, operation: str) -> Write:
        shape = self.model.output(operation)
        if shape is None:
            return lambda output, request_id: Response(200, _headers(request_id))
        members = self._shapes.written_members(shape)
        return lambda output, request_id: _respond(200, write_members(output, members), request_id)

    def _write_fault(self, fault: Fault, request_id: str) -> Response:
        members = {} if fault.shape is None else self._shapes.written_members(fault.shape)
        name = fault.code if fault.shape is None else fault.shape.name
        body: dict[str, Any] = {"__type": name, **write_members(fault.fields, members)}
        if fault.message is not None:
            body[fault.key] = fault.message
        response = _respond(fault.status, body, request_id)
        if self.compatible:
            response.headers.append(("x-amzn-query-error", f"{fault.code};{'Sender' if fault.sender else 'Receiver'}"))
        return response


def _load(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        value = cbor2.loads(body)
    # Values that a tag makes of others can be impossible in many ways (a date beyond all dates).
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, ArithmeticError, RecursionError) as error:
        raise serialization("The request is not CBOR") from error
    if type(value) is not dict or not all(type(key) is str for key in value):
        raise serialization("A map was expected")
    return value


def _headers(request_id: str) -> list[tuple[str, str]]:
    return [("x-amzn-RequestId", request_id), ("smithy-protocol", "rpc-v2-cbor")]


def _respond(status: int, body: Mapping[str, Any], request_id: str) -> Response:
    return Response(status, [*_headers(request_id), ("Content-Type", "application/cbor")], cbor2.dumps(body))
