"""REST with XML bodies."""

from collections.abc import Callable, Mapping
from typing import Any

from haar.wire.base import Fault
from haar.wire.http import Response
from haar.wire.model import Model, Shape
from haar.wire.rest import RestCodec, header_writers, outside_body
from haar.wire.xmlshape import XmlShapes, namespace, parse_xml, text

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


class RestXmlCodec(RestCodec):
    """S3 and its like."""

    protocol = "rest-xml"

    content_type = "application/xml"
    request_id_header = "x-amzn-RequestId"

    def __init__(self, model: Model, opaque: frozenset[str]) -> None:
        super().__init__(model, opaque)
        self._xml = XmlShapes(model)
        # S3 has a header of its own for request ids, and errors without a wrapper.
        self._bare = model.service == "s3"
        if self._bare:
            self.request_id_header = "x-amz-request-id"

    def _body_parser(self, operation: str, shape: Shape, outside: frozenset[str]) -> Callable[[bytes], dict[str, Any]]:
        reader = self._xml.structure_reader(shape, outside)

        def parse(body: bytes) -> dict[str, Any]:
            found: dict[str, Any] = reader(parse_xml(body)) if body else {}
            return found

        return parse

    def _payload_parser(self, member: Shape) -> Callable[[bytes], Any]:
        reader = self._xml.reader(member)
        return lambda body: reader(parse_xml(body))

    def _body_writer(self, operation: str, shape: Shape, outside: frozenset[str]) -> Callable[[Mapping[str, Any]], bytes]:
        members = self._xml.members(shape, outside)
        name = shape.traits.get("locationName", shape.name)
        space = namespace(shape.traits) or namespace({"xmlNamespace": self.model.metadata.get("xmlNamespace")})

        def write(output: Mapping[str, Any]) -> bytes:
            attributes, inner = members(output)
            return f"{_DECLARATION}<{name}{space}{attributes}>{inner}</{name}>".encode()

        return write

    def _payload_writer(self, member: Shape) -> Callable[[Any], bytes]:
        writer = self._xml.writer(member)
        name = member.traits.get("locationName", member.name)
        return lambda value: f"{_DECLARATION}{writer(value, name)}".encode()

    def _write_fault(self, fault: Fault, request_id: str) -> Response:
        headers = [(self.request_id_header, request_id), ("Content-Type", self.content_type)]
        more = ""
        if fault.shape is not None:
            outside = outside_body(fault.shape)
            more = self._xml.members(fault.shape, outside)(fault.fields)[1]
            for writer in header_writers(fault.shape):
                writer(fault.fields, headers)
        message = "" if fault.message is None else f"<Message>{text(fault.message)}</Message>"
        code = f"<Code>{text(fault.code)}</Code>{message}{more}"
        if self._bare:
            body = f"<Error>{code}<RequestId>{request_id}</RequestId></Error>"
        else:
            kind = "Sender" if fault.sender else "Receiver"
            space = namespace({"xmlNamespace": self.model.metadata.get("xmlNamespace")})
            body = f"<ErrorResponse{space}><Error><Type>{kind}</Type>{code}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        return Response(fault.status, headers, (_DECLARATION + body).encode())
