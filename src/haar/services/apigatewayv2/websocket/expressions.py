"""What WebSocket APIs' expressions take from a message, its handshake, its context and an integration's answer.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-selection-expressions.html
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from haar.services.apigateway.public import jsonpath
from haar.services.apigatewayv2.dataplane.call import Call
from haar.services.apigatewayv2.dataplane.events import header_text
from haar.wire.http import Response

_INNER = re.compile(r"\$\{([^}]+)\}")


def message_of(call: Call) -> str:
    """The message, which is always a text."""
    return str(call.event.get("body") or "")


def evaluate(expression: str, call: Call, answer: Response | None = None) -> str | None:
    """`${request.body.action}`, `$request.body.action`, `$default` or `\\$default`, or a text; None when a part of it is not there."""
    expression = expression.removeprefix("\\")
    if expression == "$default":
        return expression
    if _INNER.search(expression):
        missing = False

        def value(match: re.Match[str]) -> str:
            nonlocal missing
            found = look_up(match[1], call, answer)
            missing = missing or found is None
            return found or ""

        made = _INNER.sub(value, expression)
        return None if missing else made
    return look_up(expression[1:], call, answer) if expression.startswith("$") else expression


def look_up(name: str, call: Call, answer: Response | None = None) -> str | None:
    """The text of `request.…`, `route.request.…`, `context.…`, `stageVariables.…` or `integration.response.…`."""
    name = name.removeprefix("route.")
    root, _, rest = name.partition(".")
    if root == "stageVariables":
        return call.stage.variables.get(rest)
    if root == "context":
        return text(_dig(context_of(call), rest))
    if root == "request":
        return _request(rest, call)
    if name.startswith("integration.response.") and answer is not None:
        return _answer(name.removeprefix("integration.response."), answer)
    return None


def context_of(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = call.event.get("requestContext", {})
    return found


def _dig(values: Any, path: str) -> Any:
    for part in path.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def text(value: Any) -> str | None:
    """A value as a text: JSON for what is none."""
    if value is None:
        return None
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _request(rest: str, call: Call) -> str | None:
    place, _, name = rest.partition(".")
    if place in ("header", "multivalueheader"):
        return call.request.headers.get(name.lower())
    if place in ("querystring", "multivaluequerystring"):
        found = call.query.get(name)
        return None if found is None else ",".join(found) if place.startswith("multi") else found[-1]
    return _of_body(message_of(call), name) if place == "body" else None


def _answer(rest: str, answer: Response) -> str | None:
    place, _, name = rest.partition(".")
    if place == "statuscode":
        return str(answer.status)
    if place in ("header", "multivalueheader"):
        found = [value for known, value in answer.headers if known.lower() == name.lower()]
        return ",".join(found) if found else None
    return _of_body(answer.body.decode("utf-8", "replace"), name) if place == "body" and isinstance(answer.body, bytes) else None


def _of_body(body: str, path: str) -> str | None:
    if not path:
        return body
    try:
        return text(jsonpath.find("$." + path, orjson.loads(body)))
    except (jsonpath.PathError, orjson.JSONDecodeError):
        return None


class Parameters:
    """`RequestParameters` of an integration, `ResponseParameters` of its responses: by place and name, where each value comes from."""

    def __init__(self, parameters: Mapping[str, str], prefix: str) -> None:
        self._parts: list[tuple[str, str, str]] = []
        for target, source in parameters.items():
            place, _, name = target.removeprefix(prefix).partition(".")
            self._parts.append((place, name, source))

    def values(self, place: str, call: Call, answer: Response | None = None) -> list[tuple[str, str]]:
        """Those of a place (`header`, `querystring`, `path`) that have a value."""
        found = []
        for where, name, source in self._parts:
            if where == place:
                value = source[1:-1] if source.startswith("'") else look_up(source, call, answer)
                if value is not None:
                    found.append((name, header_text(value)))
        return found
