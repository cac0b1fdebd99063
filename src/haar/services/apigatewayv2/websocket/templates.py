"""Mapping templates of WebSocket APIs' integrations: which one, and what it prints.

https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-transformations.html
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from haar.services.apigateway import public as rest
from haar.services.apigatewayv2.dataplane.answers import Refused, failed
from haar.services.apigatewayv2.dataplane.call import Call
from haar.services.apigatewayv2.websocket.expressions import context_of, evaluate
from haar.wire.http import Response

DEFAULT = "$default"


class _Asked:
    """What `$input.params` finds: the handshake's headers and query."""

    def __init__(self, call: Call) -> None:
        self.path_parameters: Mapping[str, str] = {}
        self.query = call.query
        self.headers: dict[str, list[str]] = {}
        for name, value in call.request.pairs:
            self.headers.setdefault(name, []).append(value)
        self._request = call.request

    def header(self, name: str) -> str | None:
        return self._request.headers.get(name.lower())


def _variables(call: Call, body: str) -> dict[str, Any]:
    return {
        "input": rest.TemplateInput(_Asked(call), body).tool,
        "context": rest.vtl.Variables(context_of(call)),
        "stageVariables": rest.vtl.Variables(call.stage.variables),
        "util": rest.UTIL,
    }


class _Template:
    """A template, or the reason why it cannot be used: said when it is needed, as AWS does."""

    def __init__(self, source: str) -> None:
        self._template: rest.vtl.Template | None = None
        self._problem = ""
        try:
            self._template = rest.vtl.Template(source)
        except rest.vtl.TemplateError as error:
            self._problem = str(error)

    async def render(self, call: Call, body: str) -> str:
        """Raises Refused (500). What takes long is done in a thread: others are let in."""
        try:
            if self._template is None:
                raise rest.vtl.TemplateError(self._problem)
            try:
                return self._template.render(_variables(call, body), rest.QUICK_STEPS)
            except rest.vtl.TooManySteps:
                return await asyncio.to_thread(self._template.render, _variables(call, body))
        except rest.vtl.TemplateError as error:
            raise failed(f"Unable to transform request or response: {error}") from None


class Templates:
    """`RequestTemplates` or `ResponseTemplates` with the expression that selects among them."""

    def __init__(self, templates: Mapping[str, str], expression: str | None, passthrough: str = "WHEN_NO_MATCH") -> None:
        self._templates = {key.removeprefix("\\"): _Template(source) for key, source in templates.items()}
        self._expression = expression or DEFAULT
        self._passthrough = passthrough

    async def apply(self, call: Call, body: str, answer: Response | None = None) -> str | None:
        """What the selected template makes of a body; None when the body goes through as it is. Raises Refused when it may not."""
        key = evaluate(self._expression, call, answer)
        template = self._templates.get(key or DEFAULT) or self._templates.get(DEFAULT)
        if template is not None:
            return await template.render(call, body)
        if self._passthrough == "NEVER" or (self._passthrough == "WHEN_NO_TEMPLATES" and self._templates):
            raise Refused(415, "Unsupported Media Type", "No match for request mapping template")
        return None
