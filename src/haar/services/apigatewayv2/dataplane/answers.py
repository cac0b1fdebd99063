"""How an HTTP API answers what never reaches, or never comes back well from, an integration."""

import orjson

from haar.wire.http import Response

NOT_BUILT = 501


class Refused(Exception):
    """The request ends here. `why` is for the access log (`$context.error.message` and the like)."""

    def __init__(self, status: int, message: str, why: str = "", headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(f"{status} {message}: {why}")
        self.status, self.message, self.why, self.headers = status, message, why, headers

    def response(self) -> Response:
        """A challenge (www-authenticate) comes without a content type, as AWS's does."""
        body = orjson.dumps({"message": self.message})
        headers = [] if self.headers else [("Content-Type", "application/json")]
        return Response(self.status, [*headers, *self.headers], body)


def not_found() -> Refused:
    return Refused(404, "Not Found")


def forbidden(why: str = "", headers: tuple[tuple[str, str], ...] = ()) -> Refused:
    return Refused(403, "Forbidden", why, headers)


def denied(message: str, socket: bool) -> Refused:
    """What is refused by a policy or a signature: only a WebSocket API tells its caller why."""
    return Refused(403, message) if socket else forbidden(message)


def unauthorized(why: str = "", headers: tuple[tuple[str, str], ...] = ()) -> Refused:
    return Refused(401, "Unauthorized", why, headers)


def too_large() -> Refused:
    return Refused(413, "Request Entity Too Large")


def head_too_large() -> Refused:
    return Refused(431, "Request Header Fields Too Large")


def throttled() -> Refused:
    return Refused(429, "Too Many Requests")


def failed(why: str) -> Refused:
    """What is behind the API is not what it should be; the caller is not told."""
    return Refused(500, "Internal Server Error", why)


def not_built(message: str) -> Refused:
    """What API Gateway has and haar has not: nothing is made up, and the caller is told."""
    return Refused(NOT_BUILT, message)


def unavailable(why: str) -> Refused:
    """No answer, or none in time."""
    return Refused(503, "Service Unavailable", why)
