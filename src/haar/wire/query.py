"""The query protocol: a form in, XML out."""

from collections.abc import Mapping
from typing import Any

from haar.wire.base import BaseCodec, Fault, Parse, Write
from haar.wire.errors import CommonError
from haar.wire.form import FormShapes, read_form, tree
from haar.wire.http import Request, Response
from haar.wire.model import Model
from haar.wire.xmlshape import XmlShapes, attribute, text


class QueryCodec(BaseCodec):
    """IAM, STS and other services of the first years."""

    protocol = "query"

    def __init__(self, model: Model, opaque: frozenset[str]) -> None:
        super().__init__(model, opaque)
        self._forms = FormShapes(model)
        self._xml = XmlShapes(model)
        self._namespace = model.metadata.get("xmlNamespace") or ""
        if not isinstance(self._namespace, str):
            self._namespace = self._namespace.get("uri", "")

    def identify(self, request: Request) -> str:
        named = dict(read_form(request.query)) if request.query else {}
        if "Action" not in named:
            named |= dict(_body(request))
        action, version = named.get("Action"), named.get("Version", "NO_VERSION_SPECIFIED")
        if action is None:
            raise CommonError("UnknownOperation", "Could not find operation: the request has no Action parameter")
        if action not in self.operations or version != self.model.metadata.get("apiVersion"):
            raise CommonError("UnknownOperation", f"Could not find operation {action} for version {version}")
        return action

    def _parser(self, operation: str) -> Parse:
        shape = self.model.input(operation)
        if shape is None:
            return lambda request: {}
        structure = self._forms.structure(shape)

        def parse(request: Request) -> dict[str, Any]:
            pairs = read_form(request.query) if request.query else []
            found: dict[str, Any] = structure(tree(pairs + _body(request)))
            return found

        return parse

    def _writer(self, operation: str) -> Write:
        shape = self.model.output(operation)
        members = None if shape is None else self._xml.members(shape)
        wrapper = self.model.operations[operation].get("output", {}).get("resultWrapper")
        opening = f'<{operation}Response xmlns="{attribute(self._namespace)}">'

        def write(output: Mapping[str, Any], request_id: str) -> Response:
            inner = "" if members is None else members(output)[1]
            if wrapper is not None:
                inner = f"<{wrapper}>{inner}</{wrapper}>"
            ending = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
            return self._respond(200, f"{opening}{inner}{ending}", request_id)

        return write

    def _respond(self, status: int, body: str, request_id: str) -> Response:
        return Response(status, [("x-amzn-RequestId", request_id), ("Content-Type", "text/xml")], body.encode())

    def _write_fault(self, fault: Fault, request_id: str) -> Response:
        message = "" if fault.message is None else f"<Message>{text(fault.message)}</Message>"
        more = "" if fault.shape is None else self._xml.members(fault.shape)(fault.fields)[1]
        kind = "Sender" if fault.sender else "Receiver"
        body = (
            f'<ErrorResponse xmlns="{attribute(self._namespace)}"><Error><Type>{kind}</Type><Code>{text(fault.code)}</Code>'
            f"{message}{more}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        return self._respond(fault.status, body, request_id)


def _body(request: Request) -> list[tuple[str, str]]:
    # Latin-1 keeps every byte; percent-encoded ones are decoded as UTF-8, and bytes that were sent bare are ASCII or wrong anyway.
    return read_form(request.body.decode("latin-1")) if request.body else []
