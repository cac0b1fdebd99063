"""Parameter mappings at work: what they take from a request, a response, the context; and what they make of it.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html
"""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus

import orjson

from haar.services.apigateway.public import jsonpath
from haar.services.apigatewayv2.dataplane.call import Call
from haar.services.apigatewayv2.dataplane.events import context_v2, header_text
from haar.services.apigatewayv2.records import Doc
from haar.wire.http import Response

MAX_BODY = 100 * 1024
"""Bytes of a body that a JSON path looks at."""
_WHOLE = re.compile(r"\$(?!\{)([^$/]+)")
_INNER = re.compile(
    r"\$(?:\{([^}]*)\}|((?:request|response)\.(?:header|querystring|path|body|method)(?:\.[\w.\-]*\w)?|(?:context|stageVariables)\.[\w.]*\w))"
)
"""A variable in a text: in braces, or without when what follows it cannot be of its name (`/$request.path.proxy`)."""

Value = Callable[[Call, Response | None], str | None]


def value_of(expression: str) -> Value:
    """A value of a mapping: `$request.header.x`, `static`, `a ${context.requestId} b`."""
    if matched := _WHOLE.fullmatch(expression):
        name = matched[1]
        return lambda call, response: look_up(call, name, response)
    if not _INNER.search(expression):
        return lambda call, response: expression

    def filled(call: Call, response: Response | None) -> str | None:
        return _INNER.sub(lambda found: look_up(call, found[1] or found[2], response) or "", expression)

    return filled


def look_up(call: Call, name: str, response: Response | None = None) -> str | None:
    """The text of `request.…`, `response.…`, `context.…` or `stageVariables.…`; None when there is none."""
    root, _, rest = name.partition(".")
    if root == "stageVariables":
        return call.stage.variables.get(rest)
    if root == "context":
        return text(context_value(call, rest))
    if root == "request":
        return _request(call, rest)
    if root == "response" and response is not None:
        return _response(response, rest)
    return None


def _request(call: Call, rest: str) -> str | None:
    place, _, name = rest.partition(".")
    if place == "header":
        lower = name.lower()
        return "; ".join(call.cookies) or None if lower == "cookie" else call.headers.get(lower)
    if place == "querystring":
        found = call.query.get(name)
        return None if found is None else ",".join(found)
    if place == "path":
        return (
            call.path_parameters.get(name)
            if name
            else call.raw_path
            if call.stage.name == "$default"
            else call.raw_path.removeprefix(f"/{call.stage.name}")
        )
    if place == "method":
        return call.request.method
    if place == "body":
        return _of_body(call.request.body, name)
    return None


def _response(response: Response, rest: str) -> str | None:
    place, _, name = rest.partition(".")
    if place == "header":
        lower = name.lower()
        found = [value for known, value in response.headers if known.lower() == lower]
        return ",".join(found) if found else None
    if place == "body" and isinstance(response.body, bytes):
        return _of_body(response.body, name)
    return None


def _of_body(body: bytes, path: str) -> str | None:
    if not path:
        return body.decode("utf-8", "replace")
    try:
        return text(jsonpath.find("$." + path, orjson.loads(body[:MAX_BODY])))
    except (jsonpath.PathError, orjson.JSONDecodeError):
        return None


def text(value: Any) -> str | None:
    if value is None:
        return None
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def context_value(call: Call, path: str) -> Any:
    """A `$context` variable: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html"""
    request = call.request
    if path.startswith("authorizer."):
        return _authorizer(call, path.removeprefix("authorizer."))
    plain: Mapping[str, Any] = {
        "extendedRequestId": call.request_id,
        "httpMethod": request.method,
        "identity.sourceIp": request.client,
        "identity.userAgent": request.headers.get("user-agent", ""),
        "path": call.raw_path,
        "protocol": "HTTP/1.1",
        "requestTime": call.time,
        "requestTimeEpoch": int(call.now),
        "error.message": call.error or None,
        "error.messageString": f'"{call.error}"' if call.error else None,
    }
    if path in plain:
        return plain[path]
    if path.startswith("identity."):
        return _identity(call, path.removeprefix("identity."))
    value: Any = context_v2(call)
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _identity(call: Call, name: str) -> Any:
    who = call.principal
    if who is None:
        return None
    return {"accountId": who.account, "caller": who.id, "user": who.id, "userArn": who.arn, "accessKey": who.access_key_id}.get(name)


def _authorizer(call: Call, name: str) -> Any:
    if call.jwt is not None:
        return call.jwt["claims"].get(name.removeprefix("claims."))
    return (call.lambda_context or {}).get(name)


class RequestMapping:
    """What `RequestParameters` do to a request on its way to an integration."""

    def __init__(self, parameters: Doc) -> None:
        self._parts: list[tuple[str, str, str, Value]] = []
        for target, expression in parameters.items():
            how, _, where = target.partition(":")
            place, _, name = where.partition(".")
            self._parts.append((how, place, name, value_of(expression)))

    def __bool__(self) -> bool:
        return bool(self._parts)

    def apply(self, call: Call, headers: dict[str, str], query: dict[str, list[str]]) -> str | None:
        """Changes headers (by lower-case name) and query; the path that replaces the request's own, if one does."""
        path = None
        for how, place, name, take in self._parts:
            value = None if how == "remove" else take(call, None)
            if place == "path":
                path = value or path
            elif place == "header":
                _change(how, name.lower(), value, headers)
            elif how == "remove":
                query.pop(name, None)
            elif value is not None:
                query[name] = [*query.get(name, ()), value] if how == "append" else [value]
        return path

    def into_event(self, call: Call, event: Doc) -> None:
        """For Lambda, where headers and parameters are members of the event."""
        query = {name: list(values) for name, values in call.query.items()}
        headers = {name.lower(): value for name, value in event["headers"].items()}
        path = self.apply(call, headers, query)
        event["headers"] = headers
        two = event["version"] == "2.0"
        if not two:
            event["multiValueHeaders"] = {name: [value] for name, value in headers.items()}
            event["multiValueQueryStringParameters"] = query or None
        if query or not two:
            event["queryStringParameters"] = {name: ",".join(many) if two else many[-1] for name, many in query.items()} or None
        if two:
            event["rawQueryString"] = query_text(query)
        if path is not None:
            event["rawPath" if two else "path"] = path


def query_text(query: Mapping[str, list[str]]) -> str:
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, many in query.items() for value in many)


def _change(how: str, name: str, value: str | None, headers: dict[str, str]) -> None:
    if how == "remove":
        headers.pop(name, None)
    elif value is not None:
        headers[name] = f"{headers[name]},{value}" if how == "append" and name in headers else value


class ResponseMapping:
    """What `ResponseParameters` do to the response of an integration, by its status."""

    def __init__(self, parameters: Doc) -> None:
        self._by_status: dict[int, list[tuple[str, str, Value]]] = {}
        for status, mapped in parameters.items():
            parts = []
            for target, expression in mapped.items():
                how, _, where = target.partition(":")
                parts.append((how, where.removeprefix("header."), value_of(expression)))
            self._by_status[int(status)] = parts

    def apply(self, call: Call, response: Response) -> Response:
        parts = self._by_status.get(response.status)
        if not parts:
            return response
        headers, status = list(response.headers), response.status
        for how, name, take in parts:
            value = None if how == "remove" else take(call, response)
            if name == "statuscode":
                if value is not None and value.isdecimal() and 100 <= int(value) <= 599:
                    status = int(value)
                continue
            if how == "remove" or (how == "overwrite" and value is not None):
                headers = [pair for pair in headers if pair[0].lower() != name.lower()]
            if value is not None:
                headers.append((name, header_text(value)))
        return Response(status, headers, response.body)
