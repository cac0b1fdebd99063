"""Gateway responses: how API Gateway answers what never reaches, or never comes back well from, an integration.

https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from haar.services.apigateway.records import Doc

DEFAULT_TEMPLATE = '{"message":$context.error.messageString}'

STATUSES: Mapping[str, int] = {
    "ACCESS_DENIED": 403,
    "API_CONFIGURATION_ERROR": 500,
    "AUTHORIZER_CONFIGURATION_ERROR": 500,
    "AUTHORIZER_FAILURE": 500,
    "BAD_REQUEST_BODY": 400,
    "BAD_REQUEST_PARAMETERS": 400,
    "EXPIRED_TOKEN": 403,
    "INTEGRATION_FAILURE": 504,
    "INTEGRATION_TIMEOUT": 504,
    "INVALID_API_KEY": 403,
    "INVALID_SIGNATURE": 403,
    "MISSING_AUTHENTICATION_TOKEN": 403,
    "QUOTA_EXCEEDED": 429,
    "REQUEST_TOO_LARGE": 413,
    "RESOURCE_NOT_FOUND": 404,
    "THROTTLED": 429,
    "UNAUTHORIZED": 401,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "WAF_FILTERED": 403,
}
"""Every type with the status that it has unless one is set."""
TYPES = tuple(sorted([*STATUSES, "DEFAULT_4XX", "DEFAULT_5XX"]))


class Refused(Exception):
    """The request ends here, with a gateway response.

    `why` is for the execution log, `member` what the message is called by default, `found` what a validation found.
    """

    def __init__(
        self,
        kind: str,
        message: str | None,
        error_type: str,
        status: int | None = None,
        why: str = "",
        *,
        member: str = "message",
        found: str = "",
    ) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message
        self.error_type = error_type
        self.status = status or STATUSES[kind]
        self.why = why
        self.member = member
        self.found = found


def missing_token() -> Refused:
    return Refused("MISSING_AUTHENTICATION_TOKEN", "Missing Authentication Token", "MissingAuthenticationTokenException")


def forbidden() -> Refused:
    return Refused("ACCESS_DENIED", "Forbidden", "ForbiddenException")


def access_denied(message: str) -> Refused:
    """By a policy: the body says `Message`, unless the API has a gateway response of its own."""
    return Refused("ACCESS_DENIED", message, "AccessDeniedException", member="Message")


def bad_key() -> Refused:
    return Refused("INVALID_API_KEY", "Forbidden", "ForbiddenException")


def unauthorized() -> Refused:
    return Refused("UNAUTHORIZED", "Unauthorized", "UnauthorizedException")


def too_large() -> Refused:
    """More than a function, or what a body is unpacked to, may be; no gateway response changes it."""
    return Refused("REQUEST_TOO_LARGE", "Request Too Long", "BadRequestException")


def throttled() -> Refused:
    return Refused("THROTTLED", "Too Many Requests", "TooManyRequestsException")


def quota_exceeded() -> Refused:
    return Refused("QUOTA_EXCEEDED", "Limit Exceeded", "LimitExceededException")


def unsupported_media_type() -> Refused:
    return Refused("UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type", "BadRequestException")


def bad_parameters(message: str) -> Refused:
    return Refused("BAD_REQUEST_PARAMETERS", message, "BadRequestException")


def bad_body(why: str, found: str = "") -> Refused:
    return Refused("BAD_REQUEST_BODY", "Invalid request body", "BadRequestException", why=why, found=found or why)


def misconfigured(why: str, status: int = 500) -> Refused:
    """The API, or what is behind it, is not what it should be; the caller is not told."""
    why = f"Execution failed due to configuration error: {why}"
    return Refused("API_CONFIGURATION_ERROR", "Internal server error", "InternalServerErrorException", status, why)


def malformed(why: str = "Execution failed due to configuration error: Malformed Lambda proxy response") -> Refused:
    return Refused("API_CONFIGURATION_ERROR", "Internal server error", "InternalServerErrorException", 502, why)


def timed_out() -> Refused:
    why = "Execution failed due to a timeout error"
    return Refused("INTEGRATION_TIMEOUT", "Endpoint request timed out", "InternalServerErrorException", why=why)


def unreachable(why: str) -> Refused:
    return Refused("INTEGRATION_FAILURE", "Network error communicating with endpoint", "InternalServerErrorException", why=why)


def default_response(kind: str, set_responses: Mapping[str, Doc]) -> Doc:
    """A response type as the API shows it when it was not set itself: DEFAULT_4XX and 5XX decide what they stand for."""
    status = STATUSES.get(kind)
    general = set_responses.get("DEFAULT_4XX" if status is not None and status < 500 else "DEFAULT_5XX") if status else None
    response: Doc = {
        "responseType": kind,
        "responseParameters": {},
        "responseTemplates": {"application/json": DEFAULT_TEMPLATE},
        "defaultResponse": True,
    }
    if status is not None:
        response["statusCode"] = str(status)
    if general is not None:
        response |= {member: general[member] for member in ("responseParameters", "responseTemplates", "statusCode") if member in general}
    return response


def render(
    refused: Refused, set_responses: Mapping[str, Doc], accept: str, look_up: Callable[[str], str | None]
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of a refusal. `look_up` knows `context.…`, `stageVariables.…` and `method.request.…`."""
    headers = [("x-amzn-ErrorType", refused.error_type)]
    chosen = set_responses.get(refused.kind) or set_responses.get("DEFAULT_4XX" if refused.status < 500 else "DEFAULT_5XX")
    if chosen is None or refused.kind == "REQUEST_TOO_LARGE":
        return refused.status, [*headers, ("Content-Type", "application/json")], orjson.dumps({refused.member: refused.message})
    status = int(chosen.get("statusCode") or refused.status)
    templates = chosen.get("responseTemplates") or {"application/json": DEFAULT_TEMPLATE}
    content_type = accept if accept in templates else "application/json"
    template = templates.get(content_type)
    if template is None:
        content_type, template = next(iter(templates.items()))
    headers.append(("Content-Type", content_type))
    for target, source in chosen.get("responseParameters", {}).items():
        name = target.removeprefix("gatewayresponse.header.")
        value = source[1:-1] if source.startswith("'") else look_up(source)
        if value is not None:
            headers = [pair for pair in headers if pair[0].lower() != name.lower()]
            headers.append((name, value))
    return status, headers, substitute(template, refused, look_up).encode()


_NAME = r"(?:context|stageVariables|method\.request)\.[A-Za-z0-9_.\-]*[A-Za-z0-9_]"
_REFERENCE = re.compile(rf"\$(?:({_NAME})|\{{({_NAME})\}})")


def substitute(template: str, refused: Refused, look_up: Callable[[str], str | None]) -> str:
    """A gateway response's template: variables only, no Velocity."""
    error: dict[str, Any] = {
        "context.error.message": refused.message or "",
        "context.error.messageString": orjson.dumps(refused.message).decode(),
        "context.error.responseType": refused.kind,
        "context.error.validationErrorString": refused.found,
    }

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        found = error[name] if name in error else look_up(name)
        return "" if found is None else str(found)

    return _REFERENCE.sub(value, template)
