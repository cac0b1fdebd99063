"""What mapping templates know: `$input`, `$context`, `$stageVariables`, `$util`.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote_plus, unquote_plus

import orjson

from haar.services.apigateway import jsonpath
from haar.services.apigateway.dataplane.answers import misconfigured
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.vtl import Nothing, TemplateError, Tool, Variables
from haar.services.apigateway.vtl.values import JsonList, from_json, json_text, text

NOTHING = Nothing("")


def parse_body(body: str) -> Any:
    """A body as JSON, or the text that it is."""
    try:
        return orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        return body


class Asked(Protocol):
    """What `$input.params` looks into: a REST API's call, or a WebSocket API's."""

    @property
    def path_parameters(self) -> Mapping[str, str]: ...

    @property
    def query(self) -> Mapping[str, list[str]]: ...

    @property
    def headers(self) -> Mapping[str, list[str]]: ...

    def header(self, name: str) -> str | None: ...


class Input:
    """`$input` of one template."""

    def __init__(self, call: Asked, body: str) -> None:
        self._call = call
        self._body = body
        self._document: Any = NOTHING
        self._printable = False
        self.tool = Tool({"json": self.json, "path": self.path, "params": self.params, "body": lambda: body}, {"body": body})

    def _find(self, path: str) -> Any:
        if self._document is NOTHING:
            self._document = parse_body(self._body)
        try:
            return jsonpath.find(path, self._document, NOTHING)
        except jsonpath.PathError as error:
            raise TemplateError(f"Invalid JSON path: {error}") from None

    def json(self, path: str = "$") -> str:
        return json_text(self._find(path))

    def path(self, path: str = "$") -> Any:
        if not self._body:
            return NOTHING
        if not self._printable:
            self._document, self._printable = from_json(self._find("$")), True
        found = self._find(path)
        return JsonList(found) if type(found) is list else found

    def params(self, name: str | None = None) -> Any:
        call = self._call
        if name is None:
            return {
                "path": dict(call.path_parameters),
                "querystring": {key: values[-1] for key, values in call.query.items()},
                "header": {key: values[-1] for key, values in call.headers.items()},
            }
        if name in ("path", "querystring", "header"):
            return self.params()[name]
        if name in call.path_parameters:
            return call.path_parameters[name]
        if name in call.query:
            return call.query[name][-1]
        found = call.header(name)
        return NOTHING if found is None else found


_ESCAPES = {"\b": "\\b", "\n": "\\n", "\t": "\\t", "\f": "\\f", "\r": "\\r", "'": "\\'", '"': '\\"', "\\": "\\\\", "/": "\\/"}


def escape_javascript(value: Any) -> str:
    """As commons-lang escapes a text for JavaScript."""
    made = []
    for one in text(value):
        if one in _ESCAPES:
            made.append(_ESCAPES[one])
        elif " " <= one <= "\x7f":
            made.append(one)
        else:
            units = one.encode("utf-16-be", "surrogatepass")
            made.extend(f"\\u{units[at]:02X}{units[at + 1]:02X}" for at in range(0, len(units), 2))
    return "".join(made)


def _parse_json(value: Any) -> Any:
    try:
        return from_json(orjson.loads(text(value)))
    except orjson.JSONDecodeError:
        raise TemplateError("$util.parseJson got what is not JSON") from None


def _base64_decode(value: Any) -> str:
    try:
        return base64.b64decode(text(value), validate=False).decode("utf-8", "replace")
    except binascii.Error:
        raise TemplateError("$util.base64Decode got what is not base64") from None


UTIL = Tool(
    {
        "escapeJavaScript": escape_javascript,
        "parseJson": _parse_json,
        "urlEncode": lambda value: quote_plus(text(value), safe="*").replace("~", "%7E"),
        "urlDecode": lambda value: unquote_plus(text(value)),
        "base64Encode": lambda value: base64.b64encode(text(value).encode()).decode(),
        "base64Decode": _base64_decode,
    }
)


def variables(call: Call, body: str) -> dict[str, Any]:
    """The variables of one template. What it overrides is found in `$context` afterwards: see `override`."""
    if call.told is None:
        call.told = Variables(call.context)
        call.told["identity"] = Variables({name: "" if value is None else value for name, value in call.context["identity"].items()})
        call.told["requestOverride"] = Variables(header={}, querystring={}, path={})
        call.told["responseOverride"] = Variables(header={})
    return {"input": Input(call, body).tool, "context": call.told, "stageVariables": Variables(call.live.variables), "util": UTIL}


def override(call: Call, which: str) -> Mapping[str, Any]:
    """What the call's templates have put into `$context.requestOverride` or `$context.responseOverride`."""
    found = None if call.told is None else call.told.get(which)
    return found if isinstance(found, dict) else {}


def failed(error: TemplateError) -> Exception:
    return misconfigured(f"Unable to transform request or response: {error}")
