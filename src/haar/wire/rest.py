"""What REST protocols share: labels, query strings, headers, payloads and status codes."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from haar.wire import values
from haar.wire.base import BaseCodec, Parse, Write
from haar.wire.errors import CommonError
from haar.wire.http import Request, Response
from haar.wire.model import Model, Shape
from haar.wire.router import Router, query_pairs
from haar.wire.values import serialization

_INPUT_LOCATIONS = frozenset({"uri", "querystring", "header", "headers"})
_OUTPUT_LOCATIONS = frozenset({"header", "headers", "statusCode"})

_RAW_TYPES = {("lambda", "Invoke"): "application/json"}
"""What is said of bytes whose type no member gives."""
_MORE_HEADERS = {("lambda", "Invoke"): [("X-Amzn-Remapped-Content-Length", "0")]}
"""What AWS's front adds to an operation's answers though no member says so."""
_TOLD_HEADERS = {("lambda", "Invoke"): ("X-Amzn-Trace-Id",), ("lambda", "InvokeWithResponseStream"): ("X-Amzn-Trace-Id",)}
"""The same, where the operation gives it with its output."""

FromText = Callable[[str], Any]
ToText = Callable[[Any], str]


def from_text(shape: Shape, format: str) -> FromText:
    """The reader of a label, query parameter or header."""
    kind = shape.type
    if kind in ("integer", "long"):
        return values.parse_int
    if kind in ("float", "double"):
        return values.parse_float
    if kind == "timestamp":
        return values.parse_timestamp
    if kind == "list":
        inner = from_text(shape.element, format)
        dates = shape.element.type == "timestamp" and shape.element.traits.get("timestampFormat", format) == "rfc822"
        return lambda text: [inner(item) for item in split_list(text, dates)]
    if shape.traits.get("jsonvalue"):
        return _json_value
    return {"boolean": values.parse_bool, "blob": values.parse_blob}.get(kind, str)


def _json_value(text: str) -> Any:
    try:
        return orjson.loads(values.parse_blob(text))
    except orjson.JSONDecodeError as error:
        raise serialization("A header is not the JSON that it has to be") from error


def to_text(shape: Shape, format: str) -> ToText:
    """The writer of a header."""
    kind = shape.type
    if kind == "timestamp":
        chosen = shape.traits.get("timestampFormat", format)
        return lambda value: str(values.timestamp(value, chosen))
    if kind == "list":
        inner = to_text(shape.element, format)
        quote = shape.element.type == "string"
        return lambda value: ", ".join(_quoted(inner(item)) if quote else inner(item) for item in value if item is not None)
    if shape.traits.get("jsonvalue"):
        return lambda value: values.blob(orjson.dumps(value))
    return {
        "boolean": lambda value: "true" if value else "false",
        "blob": values.blob,
        "float": values.number_text,
        "double": values.number_text,
    }.get(kind, str)


def _quoted(text: str) -> str:
    if '"' in text or "," in text:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def split_list(text: str, dates: bool) -> list[str]:
    """The items of a header that is a list: quoted ones may hold commas, dates hold one each."""
    items, item, quoted, position = [], "", False, 0
    if not text.strip():
        return []
    while position < len(text):
        char = text[position]
        if quoted and char == "\\" and position + 1 < len(text):
            position += 1
            item += text[position]
        elif char == '"':
            quoted = not quoted
        elif char == "," and not quoted and not (dates and item.strip().isalpha()):
            items.append(item.strip())
            item = ""
        else:
            item += char
        position += 1
    items.append(item.strip())
    return items


class RestCodec(BaseCodec):
    """A service that speaks REST. What is in a body is for the protocol."""

    content_type: str
    request_id_header: str

    def __init__(self, model: Model, opaque: frozenset[str]) -> None:
        super().__init__(model, opaque)
        self._router = Router({name: operation["http"] for name, operation in model.operations.items()})

    def identify(self, request: Request) -> str:
        found = self._router.match(request.method, request.path, request.query)
        if found is None:
            raise CommonError("UnknownOperation", None)
        return found[0].operation

    def _body_parser(self, operation: str, shape: Shape, outside: frozenset[str]) -> Callable[[bytes], dict[str, Any]]:
        """Reads the members that are not `outside` the body."""
        raise NotImplementedError

    def _payload_parser(self, member: Shape) -> Callable[[bytes], Any]:
        """Reads a body that is one structured member."""
        raise NotImplementedError

    def _body_writer(self, operation: str, shape: Shape, outside: frozenset[str]) -> Callable[[Mapping[str, Any]], bytes]:
        raise NotImplementedError

    def _payload_writer(self, member: Shape) -> Callable[[Any], bytes]:
        raise NotImplementedError

    def _parser(self, operation: str) -> Parse:
        shape = self.model.input(operation)
        if shape is None:
            return lambda request: {}
        template = self.model.operations[operation]["http"]["requestUri"]
        literals = frozenset(name for name, _ in query_pairs(template.partition("?")[2]))
        readers = [_labels(self._router, shape), _query(shape, literals), _headers(shape)]
        active = [reader for reader in readers if reader is not None]
        body = self._input_body(operation, shape)

        def parse(request: Request) -> dict[str, Any]:
            out: dict[str, Any] = body(request.body)
            for reader in active:
                reader(request, out)
            return out

        return parse

    def _input_body(self, operation: str, shape: Shape) -> Callable[[bytes], dict[str, Any]]:
        members = dict(shape.members())
        payload = shape.traits.get("payload")
        if payload is None:
            outside = outside_body(shape, _INPUT_LOCATIONS)
            if len(outside) == len(members):
                return lambda body: {}
            return self._body_parser(operation, shape, outside)
        member = members[payload]
        if member.type == "blob":
            return lambda body: {payload: body} if body else {}
        if member.type == "string":
            return lambda body: {payload: _utf8(body)} if body else {}
        inner = self._payload_parser(member)

        def parse(body: bytes) -> dict[str, Any]:
            value = inner(body) if body else None
            return {} if value is None else {payload: value}

        return parse

    def _writer(self, operation: str) -> Write:
        shape = self.model.output(operation)
        status = self.model.operations[operation].get("http", {}).get("responseCode", 200)
        if shape is None:
            return lambda output, request_id: Response(status, [(self.request_id_header, request_id)], b"")
        headers = header_writers(shape)
        code = next((name for name, member in shape.members() if member.traits.get("location") == "statusCode"), None)
        body = self._output_body(operation, shape)
        more = _MORE_HEADERS.get((self.service, operation), [])
        told = _TOLD_HEADERS.get((self.service, operation), ())

        def write(output: Mapping[str, Any], request_id: str) -> Response:
            content, kind = body(output)
            response = Response(status, [(self.request_id_header, request_id), *more], content)
            if code is not None and output.get(code) is not None:
                response.status = int(output[code])
            for name in told:
                if name in output:
                    response.headers.append((name, output[name]))
            for writer in headers:
                writer(output, response.headers)
            if kind is not None and not any(name.lower() == "content-type" for name, _ in response.headers):
                response.headers.append(("Content-Type", kind))
            return response

        return write

    def _output_body(self, operation: str, shape: Shape) -> Callable[[Mapping[str, Any]], tuple[Any, str | None]]:
        """The body, and its content type unless a header member says it; no type for no body."""
        members = dict(shape.members())
        payload = shape.traits.get("payload")
        if payload is None:
            outside = outside_body(shape)
            if outside and len(outside) == len(members):
                return lambda output: (b"", None)
            writer = self._body_writer(operation, shape, outside)
            return lambda output: (writer(output), self.content_type)
        member = members[payload]
        if member.type in ("blob", "string") or member.traits.get("eventstream"):
            kind = "application/vnd.amazon.eventstream" if member.traits.get("eventstream") else "application/octet-stream"
            kind = "text/plain" if member.type == "string" else _RAW_TYPES.get((self.service, operation), kind)
            return lambda output: _raw(output.get(payload), kind)
        inner = self._payload_writer(member)

        def write(output: Mapping[str, Any]) -> tuple[bytes, str | None]:
            value = output.get(payload)
            return (b"", None) if value is None else (inner(value), self.content_type)

        return write


def _raw(value: Any, kind: str) -> tuple[Any, str | None]:
    if value is None:
        return b"", None
    return (value.encode() if isinstance(value, str) else value), kind


def _utf8(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise serialization("The body is not UTF-8") from error


Reader = Callable[[Request, dict[str, Any]], None]


def outside_body(shape: Shape, locations: frozenset[str] = _OUTPUT_LOCATIONS) -> frozenset[str]:
    """The members that are not in the body. A request's places mean nothing in a response."""
    return frozenset(name for name, member in shape.members() if member.traits.get("location") in locations)


def _located(shape: Shape, location: str) -> list[tuple[str, Shape]]:
    return [(name, member) for name, member in shape.members() if member.traits.get("location") == location]


def _labels(router: Router, shape: Shape) -> Reader | None:
    members = {member.traits.get("locationName", name): (name, from_text(member, "iso8601")) for name, member in _located(shape, "uri")}
    if not members:
        return None

    def read(request: Request, out: dict[str, Any]) -> None:
        found = router.match(request.method, request.path, request.query)
        for label, text in found[1].items() if found else ():
            if label in members:
                name, convert = members[label]
                out[name] = convert(text)

    return read


def _query(shape: Shape, literals: frozenset[str]) -> Reader | None:
    members = _located(shape, "querystring")
    if not members:
        return None
    simple: dict[str, tuple[str, bool, FromText]] = {}
    maps: list[tuple[str, bool]] = []
    for name, member in members:
        if member.type == "map":
            maps.append((name, member.value.type == "list"))
        else:
            many = member.type == "list"
            simple[member.traits.get("locationName", name)] = (name, many, from_text(member.element if many else member, "iso8601"))

    def read(request: Request, out: dict[str, Any]) -> None:
        if not request.query:
            return
        for key, text in query_pairs(request.query):
            if key in simple:
                name, many, convert = simple[key]
                if many:
                    out.setdefault(name, []).append(convert(text))
                else:
                    out[name] = convert(text)
                continue
            # A map takes the parameters that have no member of their own.
            for name, many in maps if key not in literals else ():
                if many:
                    out.setdefault(name, {}).setdefault(key, []).append(text)
                else:
                    out.setdefault(name, {}).setdefault(key, text)

    return read


def _headers(shape: Shape) -> Reader | None:
    single = [
        (name, member.traits.get("locationName", name).lower(), member.type == "list", from_text(member, "rfc822"))
        for name, member in _located(shape, "header")
    ]
    prefixed = [(name, member.traits.get("locationName", "").lower()) for name, member in _located(shape, "headers")]
    if not single and not prefixed:
        return None

    def read(request: Request, out: dict[str, Any]) -> None:
        for name, header, many, convert in single:
            text = request.headers.get(header)
            if text is not None and (text or not many):
                out[name] = convert(text)
        for name, prefix in prefixed:
            found = {key[len(prefix) :]: value for key, value in request.headers.items() if key.startswith(prefix)}
            if found:
                out[name] = found

    return read


HeaderWriter = Callable[[Mapping[str, Any], list[tuple[str, str]]], None]


def header_writers(shape: Shape) -> list[HeaderWriter]:
    """What puts the members that are headers into a response."""
    writers: list[HeaderWriter] = []
    for name, member in shape.members():
        location = member.traits.get("location")
        if location == "header":
            writers.append(_header(name, member.traits.get("locationName", name), to_text(member, "rfc822")))
        elif location == "headers":
            writers.append(_prefix_header(name, member.traits.get("locationName", "")))
    return writers


def _header(name: str, header: str, convert: ToText) -> HeaderWriter:
    def write(output: Mapping[str, Any], headers: list[tuple[str, str]]) -> None:
        value = output.get(name)
        if value is not None:
            headers.append((header, _one_line(convert(value))))

    return write


def _prefix_header(name: str, prefix: str) -> HeaderWriter:
    def write(output: Mapping[str, Any], headers: list[tuple[str, str]]) -> None:
        for key, value in (output.get(name) or {}).items():
            headers.append((_one_line(prefix + key), _one_line(str(value))))

    return write


def _one_line(text: str) -> str:
    # A line break would end the header and begin another: what a caller has stored must not be able to do that.
    return text.replace("\r", " ").replace("\n", " ")
