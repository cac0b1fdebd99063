"""The event of a Lambda proxy integration, and the response that comes back.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any

import orjson

from haar.services.apigateway.dataplane.answers import malformed
from haar.services.apigateway.dataplane.call import Call
from haar.wire.http import Response

ALLOWED = frozenset(("statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"))
REMAPPED = frozenset(
    (
        "authorization",
        "connection",
        "content-length",
        "content-md5",
        "date",
        "max-forwards",
        "server",
        "user-agent",
        "www-authenticate",
        "x-amzn-requestid",
    )
)
"""Response headers of an integration that come out as `x-amzn-Remapped-…`."""
DROPPED = frozenset(("expect", "host", "keep-alive", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade", "via"))


def is_binary(content_type: str | None, binary_types: Sequence[str]) -> bool:
    """Whether a media type is one of the API's binary ones (`*/*` and `image/*` stand for many)."""
    if not binary_types:
        return False
    if "*/*" in binary_types:
        return True
    if not content_type:
        return False
    media = content_type.partition(";")[0].strip().lower()
    return any(media == one.lower() or (one.endswith("/*") and media.startswith(one[:-1].lower())) for one in binary_types)


def proxy_event(call: Call) -> dict[str, Any]:
    """The event, in the order of members that AWS sends."""
    endpoint, request, headers, query = call.endpoint, call.request, call.headers, call.query
    assert endpoint is not None
    body: str | None = None
    encoded = False
    if request.body:
        encoded = is_binary(request.headers.get("content-type"), call.live.compiled.binary_types)
        body = base64.b64encode(request.body).decode() if encoded else call.body_text
    return {
        "resource": endpoint.resource_path,
        "path": call.shown_path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()} or None,
        "multiValueHeaders": headers or None,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": call.path_parameters or None,
        "stageVariables": call.live.variables or None,
        "requestContext": call.context,
        "body": body,
        "isBase64Encoded": encoded,
    }


def proxy_response(payload: bytes, accept: str | None, binary_types: Sequence[str]) -> Response:
    """The HTTP response that a function's answer asks for. Raises Refused (502) for one that is not of the form."""
    try:
        answer = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise malformed() from None
    if not isinstance(answer, dict) or not answer.keys() <= ALLOWED:
        raise malformed()
    return Response(_status(answer.get("statusCode")), _headers(answer), _body(answer, accept, binary_types))


def _status(value: Any) -> int:
    if value is None:
        return 200
    try:
        status = int(value)
    except (TypeError, ValueError):
        raise malformed() from None
    if isinstance(value, bool) or not 100 <= status <= 599:
        raise malformed()
    return status


def _body(answer: dict[str, Any], accept: str | None, binary_types: Sequence[str]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise malformed()
    if answer.get("isBase64Encoded") is True and binary_types:
        first = (accept or "").partition(",")[0]
        if is_binary(first, binary_types):
            try:
                return base64.b64decode(body, validate=True)
            except binascii.Error:
                raise malformed("Execution failed due to configuration error: Unable to base64 decode the body.") from None
    return body.encode("utf-8", "surrogatepass")


def head_of(metadata: Any) -> tuple[int, list[tuple[str, str]]]:
    """Status and headers of a response that is streamed: the same members, and cookies. Raises Refused (502)."""
    if not isinstance(metadata, dict) or not metadata.keys() <= ALLOWED | {"cookies"}:
        raise malformed()
    cookies = metadata.get("cookies") or []
    if not isinstance(cookies, list):
        raise malformed()
    return _status(metadata.get("statusCode")), _headers(metadata) + [("Set-Cookie", outgoing_text(one)) for one in cookies]


def _headers(answer: dict[str, Any]) -> list[tuple[str, str]]:
    single, multiple = ({} if (given := answer.get(member)) is None else given for member in ("headers", "multiValueHeaders"))
    if not isinstance(single, dict) or not isinstance(multiple, dict):
        raise malformed()
    found: list[tuple[str, str]] = []
    many = {name.lower() for name in multiple}
    for name, value in single.items():
        if name.lower() in many or value is None:
            continue
        if isinstance(value, list | dict):
            raise malformed()
        found.append((name, outgoing_text(value)))
    for name, values in multiple.items():
        if not isinstance(values, list):
            raise malformed()
        found.extend((name, outgoing_text(value)) for value in values if value is not None)
    return outgoing(found)


_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def outgoing_text(value: Any) -> str:
    """A header's value as it goes over the wire; what is not latin-1 goes as UTF-8."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else str(value)
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("latin-1")
    if _CONTROL.search(text):
        raise malformed("Execution failed due to configuration error: Invalid header value")
    return text


def remapped(name: str) -> str:
    """The name by which an integration's header goes out."""
    return f"x-amzn-Remapped-{name}" if name.lower() in REMAPPED else name


def outgoing(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """An integration's headers as API Gateway sends them on, with a content type."""
    found: list[tuple[str, str]] = []
    typed = False
    for name, value in pairs:
        lower = name.lower()
        if lower in DROPPED:
            continue
        if not _NAME.fullmatch(name):
            raise malformed("Execution failed due to configuration error: Invalid header name")
        typed = typed or lower == "content-type"
        found.append((remapped(name), value))
    if not typed:
        found.append(("Content-Type", "application/json"))
    return found
