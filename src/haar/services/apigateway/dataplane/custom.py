"""Integrations that map: what they send to an endpoint, and what they make of its answer."""

import asyncio
import base64
import binascii
from collections.abc import Sequence
from typing import Any

from haar.services.apigateway.dataplane.answers import misconfigured, unsupported_media_type
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.event import is_binary, outgoing_text, remapped
from haar.services.apigateway.dataplane.log import pairs, shorten
from haar.services.apigateway.dataplane.mapping import Incoming, Outgoing, RequestMapping, ResponseMapping, plain, put_header
from haar.services.apigateway.dataplane.tools import failed, override, variables
from haar.services.apigateway.patterns import compile_pattern
from haar.services.apigateway.records import Doc
from haar.services.apigateway.vtl import Template, TemplateError, TooManySteps
from haar.services.apigateway.vtl.nodes import QUICK_STEPS
from haar.wire.http import Response

JSON = "application/json"


class Mapped:
    """A template, or the reason why it cannot be used: said when it is needed, as AWS does."""

    def __init__(self, source: str) -> None:
        self._template: Template | None = None
        self._problem = TemplateError("")
        try:
            self._template = Template(source)
        except TemplateError as error:
            self._problem = error

    @property
    def constant(self) -> str | None:
        """What it always prints, when that is so."""
        return None if self._template is None else self._template.constant

    async def render(self, call: Call, body: str) -> str:
        """What it prints. What takes long is done in a thread, from the beginning: others are let in."""
        template = self._template
        if template is None:
            raise failed(self._problem)
        if template.constant is not None:
            return template.constant
        before = call.told
        try:
            try:
                return template.render(variables(call, body), QUICK_STEPS)
            except TooManySteps:
                call.told = before
                return await asyncio.to_thread(template.render, variables(call, body))
        except TemplateError as error:
            raise failed(error) from None


class RequestPart:
    """From the method's request to the integration's."""

    def __init__(self, integration: Doc) -> None:
        self._templates = {name.lower(): Mapped(one or "") for name, one in integration.get("requestTemplates", {}).items()}
        self._passthrough = integration["passthroughBehavior"]
        self._mapping = RequestMapping(integration.get("requestParameters", {}))
        self._handling = integration.get("contentHandling")

    def constant(self) -> bytes | None:
        """The body of every request that has no content type or JSON's, when it is always the same and nothing else is sent."""
        template = self._templates.get(JSON)
        text = template.constant if template is not None and self._mapping.empty else None
        return None if text is None else text.encode("utf-8", "surrogatepass")

    async def make(self, call: Call) -> Outgoing:
        """Raises Refused: 415 for a content type without a template, 500 for a template that fails."""
        out = Outgoing()
        self._mapping.apply(call, out)
        given = call.request.headers.get("content-type") or JSON
        content_type = given.partition(";")[0].strip().lower()
        template = self._templates.get(content_type)
        if template is None:
            if self._passthrough == "NEVER" or (self._passthrough == "WHEN_NO_TEMPLATES" and self._templates):
                raise unsupported_media_type()
            out.body = self._content(call)
            return out
        out.body = (await template.render(call, self._text(call))).encode("utf-8", "surrogatepass")
        changed = override(call, "requestOverride")
        for name, value in (changed.get("header") or {}).items():
            put_header(out.headers, name, [outgoing_text(plain(value) or "")])
        for name, value in (changed.get("querystring") or {}).items():
            out.query[name] = [plain(value) or ""]
        for name, value in (changed.get("path") or {}).items():
            out.path[name] = plain(value) or ""
        return out

    def _text(self, call: Call) -> str:
        """The body as a template sees it: one that is binary only as Base64, when the integration asks for text."""
        if not _sent_binary(call):
            return call.body_text
        if self._handling != "CONVERT_TO_TEXT":
            raise misconfigured("Unable to transform request")
        return base64.b64encode(call.request.body).decode()

    def _content(self, call: Call) -> bytes:
        """The body as it goes through, converted as the integration asks."""
        body = call.request.body
        if _sent_binary(call):
            return base64.b64encode(body) if self._handling == "CONVERT_TO_TEXT" else body
        return decoded(body) if self._handling == "CONVERT_TO_BINARY" else body


def _sent_binary(call: Call) -> bool:
    return is_binary(call.request.headers.get("content-type"), call.live.compiled.binary_types)


def decoded(body: bytes) -> bytes:
    """A blob from the Base64 of it, which may be a JSON text as functions answer it. Raises Refused."""
    try:
        return base64.b64decode(body.strip().strip(b'"'), validate=True)
    except binascii.Error:
        raise misconfigured("Unable to base64 decode the body.") from None


class Answer:
    """One integration response."""

    def __init__(self, response: Doc) -> None:
        pattern = response.get("selectionPattern")
        self.pattern = compile_pattern(pattern) if pattern else None
        self.status = int(response["statusCode"])
        self._mapping = ResponseMapping(response.get("responseParameters", {}))
        self._templates = [(name, Mapped(one)) for name, one in response.get("responseTemplates", {}).items() if one]
        self._handling = response.get("contentHandling")
        self._constant: tuple[str, bytes] | None = None
        if self._mapping.empty and not self._handling and len(self._templates) == 1:
            content_type, template = self._templates[0]
            if template.constant is not None:
                self._constant = content_type, template.constant.encode("utf-8", "surrogatepass")

    async def make(self, call: Call, incoming: Incoming) -> Response:
        if self._constant is not None and not call.live.compiled.binary_types and call.told is None:
            return Response(self.status, [("Content-Type", self._constant[0])], self._constant[1])
        headers = self._mapping.apply(call, incoming)
        status, content_type = self.status, JSON
        body, decode = self._converted(call, incoming)
        if self._templates:
            content_type, template = self._chosen(call)
            body = (await template.render(call, body.decode("utf-8", "replace"))).encode("utf-8", "surrogatepass")
        changed = override(call, "responseOverride")
        status = _status(changed.get("status"), status)
        for name, value in (changed.get("header") or {}).items():
            name = remapped(str(name))
            headers = [pair for pair in headers if pair[0].lower() != name.lower()]
            headers.append((name, outgoing_text(plain(value) or "")))
        if decode:
            body = decoded(body)
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", content_type))
        return Response(status, headers, body)

    def _converted(self, call: Call, incoming: Incoming) -> tuple[bytes, bool]:
        """The body before its template, and whether what then comes out is Base64 of a blob.

        The tables of https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings-workflow.html
        """
        types, body = call.live.compiled.binary_types, incoming.body
        wants_binary = is_binary(call.request.headers.get("accept", "").partition(",")[0], types)
        if is_binary(next(iter(incoming.header("content-type")), None), types):
            as_text = self._handling == "CONVERT_TO_TEXT" or (self._handling is None and not wants_binary)
            return base64.b64encode(body) if as_text else body, False
        if self._handling == "CONVERT_TO_TEXT":
            return body.decode("utf-8", "replace").encode(), False
        return body, self._handling == "CONVERT_TO_BINARY" or (wants_binary and not self._templates)

    def _chosen(self, call: Call) -> tuple[str, Mapped]:
        """The template for what the caller accepts; the first when none is for that."""
        accept = call.request.headers.get("accept", JSON)
        if len(self._templates) > 1:
            for wanted in accept.split(","):
                media = wanted.partition(";")[0].strip().lower()
                for name, template in self._templates:
                    if name.lower() == media:
                        return name, template
        return next(((name, template) for name, template in self._templates if name == JSON), self._templates[0])


def _status(value: Any, otherwise: int) -> int:
    try:
        status = int(value) if value not in (None, "") else otherwise
    except (TypeError, ValueError):
        return otherwise
    return status if 100 <= status <= 599 else otherwise


class ResponsePart:
    """From the integration's response to the method's."""

    def __init__(self, integration: Doc) -> None:
        self._answers = [Answer(one) for _, one in sorted(integration.get("integrationResponses", {}).items())]
        self._defaults = [one for one in self._answers if one.pattern is None]

    def choose(self, subject: str | None, status: int) -> Answer:
        """The response whose pattern matches the whole of `subject`, else one without a pattern. Raises Refused when there is none.

        Of several that would do, the one for the very status of the integration is taken.
        """
        matching = [] if subject is None else [one for one in self._answers if one.pattern is not None and one.pattern.fullmatch(subject)]
        matching = matching or self._defaults
        if not matching:
            raise misconfigured(
                f"No match for output mapping and no default endpoint response configured. Endpoint Response Status Code: {status}"
            )
        return next((one for one in matching if one.status == status), matching[0])

    async def make(self, call: Call, incoming: Incoming, subject: str | None) -> Response:
        if call.log is not None:
            call.say(f"Endpoint response headers: {pairs(incoming.headers)}")
            call.say(f"Endpoint response body before transformations: {shorten(incoming.body)}")
        return await self.choose(subject, incoming.status).make(call, incoming)


def answered_trace(call: Call) -> str:
    """The trace as an integration's answer names it: with the segment that asked for it."""
    given = dict(part.split("=", 1) for part in call.trace_id.split(";") if "=" in part)
    root, parent = given["Root"], given.get("Parent")
    return f"Root={root};Parent={parent or root[-16:]};Sampled={given.get('Sampled', '1' if parent else '0')}"


def traced(response: Response, trace: str) -> Response:
    """The response with the trace that it belongs to: those of mocks and of servers that are passed through have none."""
    response.headers.append(("X-Amzn-Trace-Id", trace))
    return response


def names(pairs_: Sequence[tuple[str, str]]) -> set[str]:
    return {name.lower() for name, _ in pairs_}
