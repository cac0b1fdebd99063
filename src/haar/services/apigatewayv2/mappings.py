"""Parameter mappings of HTTP APIs: what may be changed, and from what. Pure.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html
"""

import re

from haar.services.apigatewayv2 import errors
from haar.services.apigatewayv2.records import Doc

RESERVED = frozenset(
    (
        "access-control-allow-credentials", "access-control-allow-headers", "access-control-allow-methods", "access-control-allow-origin",
        "access-control-expose-headers", "access-control-max-age", "access-control-request-headers", "access-control-request-method",
        "authorization", "connection", "content-encoding", "content-length", "content-location", "forwarded", "keep-alive", "origin",
        "proxy-authenticate", "proxy-authorization", "te", "trailer", "trailers", "transfer-encoding", "upgrade", "x-forwarded-for",
        "x-forwarded-host", "x-forwarded-proto", "via",
    )
)  # fmt: skip
"""Headers that no mapping may touch, besides `apigw-…`, `x-amz-…` and `x-amzn-…`."""
_REQUEST = re.compile(r"(?:(append|overwrite|remove):(header|querystring)\.(.+)|overwrite:path)")
_RESPONSE = re.compile(r"(?:(append|overwrite|remove):header\.(.+)|overwrite:statuscode)")
_ANYWHERE = r"context\.|stageVariables\.|request\.(?:header\.|querystring\.|path|body|method)"
_REQUEST_SOURCE = re.compile(rf"\$\{{?(?:{_ANYWHERE})")
_RESPONSE_SOURCE = re.compile(rf"\$\{{?(?:{_ANYWHERE}|response\.(?:header\.|body))")
"""How a value begins that is taken from somewhere."""
_PLACE = r"(?:multivalue)?(?:header|querystring)\.[A-Za-z0-9._$-]+"
_SOCKET_TARGET = re.compile(rf"integration\.request\.(?:{_PLACE}|path\.[A-Za-z0-9._$-]+)")
_SOCKET_SOURCE = re.compile(rf"route\.request\.(?:{_PLACE}|body(?:\..+)?)|(?:context|stageVariables)\.[A-Za-z0-9._$-]+|'[^']*'")


def reserved(header: str) -> bool:
    lower = header.lower()
    return lower in RESERVED or lower.startswith(("apigw-", "x-amz-", "x-amzn-"))


def check_request(parameters: Doc) -> None:
    """Raises BadRequestException for a mapping that is none."""
    for target, source in parameters.items():
        matched = _REQUEST.fullmatch(target)
        if matched is None:
            raise _bad(target)
        if source.startswith("$") and not _REQUEST_SOURCE.match(source):
            raise _bad(source)
        if matched[2] == "header" and reserved(matched[3]):
            raise errors.bad_request(f"Operations on header {matched[3]} are restricted")


def check_socket_request(parameters: Doc) -> None:
    """The same of WebSocket APIs, whose mappings are like REST APIs'. Raises BadRequestException."""
    for target, source in parameters.items():
        if not _SOCKET_TARGET.fullmatch(target):
            raise _bad(target)
        if not _SOCKET_SOURCE.fullmatch(source):
            raise _bad(source)


def check_response(parameters: Doc) -> None:
    """Raises BadRequestException for a mapping that is none, or for no status."""
    for status, mapped in parameters.items():
        if not status.isdecimal() or not 200 <= int(status) <= 599:
            raise errors.bad_request(f"Invalid response parameters key specified: {status}")
        for target, source in mapped.items():
            matched = _RESPONSE.fullmatch(target)
            if matched is None:
                raise _bad(target)
            if source.startswith("$") and not _RESPONSE_SOURCE.match(source):
                raise _bad(source)
            if matched[1] is not None and reserved(matched[2]):
                raise errors.bad_request(f"Operations on header {matched[2]} are restricted")


def _bad(target: str) -> Exception:
    problem = f"Invalid mapping expression parameter specified: {target}"
    return errors.bad_request(f"Invalid mapping expression specified: Validation Result: warnings : [], errors : [{problem}]")
