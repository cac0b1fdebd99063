"""Parameter mappings: from the method's request to the integration's, and from the integration's response to the method's.

https://docs.aws.amazon.com/apigateway/latest/developerguide/request-response-data-mappings.html
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from haar.services.apigateway import jsonpath
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.event import outgoing_text, remapped
from haar.services.apigateway.dataplane.tools import parse_body
from haar.services.apigateway.records import Doc

Values = list[str]


@dataclass(slots=True)
class Outgoing:
    """What goes to an endpoint."""

    headers: dict[str, Values] = field(default_factory=dict)
    query: dict[str, Values] = field(default_factory=dict)
    path: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True)
class Incoming:
    """What came back from an endpoint."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> Values:
        lower = name.lower()
        return [value for known, value in self.headers if known.lower() == lower]


def look_up(call: Call, name: str) -> str | None:
    """The text of `context.…`, `stageVariables.…` or `method.request.…`; None when there is none."""
    root, _, rest = name.partition(".")
    if root == "stageVariables":
        return call.live.variables.get(rest)
    if root == "context":
        return plain(_dig(call.context, rest))
    if name.startswith("method.request."):
        place, _, parameter = name.removeprefix("method.request.").partition(".")
        found = _request(call, place, parameter)
        return found[-1] if found else None
    return None


def _dig(values: Any, path: str) -> Any:
    for part in path.split("."):
        if not isinstance(values, Mapping):
            return None
        values = values.get(part)
    return values


def plain(value: Any) -> str | None:
    """A value as a parameter's text: JSON for what is not a text."""
    if value is None:
        return None
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _request(call: Call, place: str, name: str) -> Values | None:
    if place in ("header", "multivalueheader"):
        lower = name.lower()
        found = next((values for known, values in call.headers.items() if known.lower() == lower), None)
    elif place in ("querystring", "multivaluequerystring"):
        found = call.query.get(name)
    elif place == "path":
        value = call.path_parameters.get(name)
        return None if value is None else [value]
    else:
        return None
    if found is None:
        return None
    return found if place.startswith("multivalue") else found[-1:]


def _of_body(body: str, path: str) -> Values | None:
    if not path:
        return [body]
    try:
        found = plain(jsonpath.find("$" + path if path.startswith("[") else "$." + path.lstrip("."), parse_body(body)))
    except jsonpath.PathError:
        return None
    return None if found is None else [found]


Source = Callable[[Call, Incoming | None], Values | None]


def source(expression: str) -> Source:
    """Where a mapping takes its value from."""
    if expression.startswith("'"):
        constant = [expression[1:-1]]
        return lambda call, incoming: constant
    for prefix in ("method.request.body", "integration.response.body"):
        if expression.startswith(prefix):
            path = expression.removeprefix(prefix).removeprefix(".")
            if prefix.startswith("method"):
                return lambda call, incoming: _of_body(call.body_text, path)
            return lambda call, incoming: _of_body((incoming.body if incoming else b"").decode("utf-8", "replace"), path)
    if expression.startswith("method.request."):
        place, _, name = expression.removeprefix("method.request.").partition(".")
        return lambda call, incoming: _request(call, place, name)
    if expression.startswith("integration.response."):
        place, _, name = expression.removeprefix("integration.response.").partition(".")
        many = place.startswith("multivalue")
        return lambda call, incoming: _of_response(incoming, name, many)

    def looked_up(call: Call, incoming: Incoming | None) -> Values | None:
        found = look_up(call, expression)
        return None if found is None else [found]

    return looked_up


def _of_response(incoming: Incoming | None, name: str, many: bool) -> Values | None:
    found = incoming.header(name) if incoming else []
    return (found if many else found[-1:]) or None


class RequestMapping:
    """`integration.request.…` from `method.request.…`, context, stage variables and constants."""

    def __init__(self, parameters: Doc) -> None:
        self._parameters: list[tuple[str, str, Source]] = []
        for target, expression in parameters.items():
            place, _, name = target.removeprefix("integration.request.").partition(".")
            self._parameters.append((place, name, source(expression)))
        self.empty = not self._parameters

    def apply(self, call: Call, out: Outgoing) -> None:
        for place, name, take in self._parameters:
            found = take(call, None)
            if found is None:
                continue
            if place == "header":
                put_header(out.headers, name, found)
            elif place == "querystring":
                out.query[name] = found
            else:
                out.path[name] = found[-1]

    def into_event(self, call: Call, event: Doc) -> None:
        """For the Lambda proxy, where parameters become members of the event."""
        places = {
            "header": ("headers", "multiValueHeaders"),
            "querystring": ("queryStringParameters", "multiValueQueryStringParameters"),
            "path": ("pathParameters", ""),
        }
        for place, name, take in self._parameters:
            found = take(call, None)
            if found is None:
                continue
            single, multiple = places[place]
            event[single] = {**(event[single] or {}), name: found[-1]}
            if multiple:
                event[multiple] = {**(event[multiple] or {}), name: list(found)}


class ResponseMapping:
    """`method.response.header.…` from the integration's response, context, stage variables and constants."""

    def __init__(self, parameters: Doc) -> None:
        self._parameters = [
            (target.removeprefix("method.response.header."), source(expression)) for target, expression in parameters.items()
        ]
        self.empty = not self._parameters

    def apply(self, call: Call, incoming: Incoming) -> list[tuple[str, str]]:
        headers: list[tuple[str, str]] = []
        for name, take in self._parameters:
            for value in take(call, incoming) or ():
                headers.append((remapped(name), outgoing_text(value)))
        return headers


def put_header(headers: dict[str, Values], name: str, values: Values) -> None:
    """Sets a header, whatever the case that it is there in."""
    lower = name.lower()
    for known in [known for known in headers if known.lower() == lower]:
        del headers[known]
    headers[name] = values
