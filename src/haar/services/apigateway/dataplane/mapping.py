"""Parameter mappings, and the variables that they and templates know."""

from typing import Any

from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.records import Doc


def look_up(call: Call, name: str) -> str | None:
    """The text of `context.…`, `stageVariables.…` or `method.request.…`; None when there is none."""
    root, _, rest = name.partition(".")
    if root == "stageVariables":
        return call.live.variables.get(rest)
    if root == "context":
        return _text(_dig(call.context, rest))
    if name.startswith("method.request."):
        place, _, parameter = name.removeprefix("method.request.").partition(".")
        return _parameter(call, place, parameter)
    return None


def _dig(values: Any, path: str) -> Any:
    for part in path.split("."):
        if not isinstance(values, dict):
            return None
        values = values.get(part)
    return values


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, dict | list):
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parameter(call: Call, place: str, name: str) -> str | None:
    if place == "header":
        return call.header(name)
    if place == "querystring":
        values = call.query.get(name)
        return values[-1] if values else None
    if place == "path":
        return call.path_parameters.get(name)
    return None


class RequestMapping:
    """`integration.request.…` from `method.request.…`, context, stage variables and constants."""

    def __init__(self, parameters: Doc) -> None:
        self._parameters = parameters

    def into_event(self, call: Call, event: Doc) -> None:
        for target, source in self._parameters.items():
            place, _, name = target.removeprefix("integration.request.").partition(".")
            value = source[1:-1] if source.startswith("'") else look_up(call, source)
            if value is None:
                continue
            single, multiple = {
                "header": ("headers", "multiValueHeaders"),
                "querystring": ("queryStringParameters", "multiValueQueryStringParameters"),
                "path": ("pathParameters", None),
            }[place]
            event[single] = {**(event[single] or {}), name: value}
            if multiple is not None:
                event[multiple] = {**(event[multiple] or {}), name: [value]}
