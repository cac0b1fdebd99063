"""Which route a message is for: the API's route selection expression. Pure.

https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-routes.html
"""

import re

import orjson

_PLAIN = re.compile(r"\$request\.body\.(.+)")
_INNER = re.compile(r"\$\{request\.body\.([^}]+)\}")


def select(expression: str, message: str) -> str | None:
    """The route key that a message names; None when it names none (what is not a JSON object never does)."""
    try:
        body = orjson.loads(message)
    except orjson.JSONDecodeError:
        return None
    if matched := _PLAIN.fullmatch(expression):
        return _find(body, matched[1])
    if not _INNER.search(expression):
        return None
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        found = _find(body, match[1])
        missing = missing or found is None
        return found or ""

    made = _INNER.sub(value, expression)
    return None if missing else made


def _find(body: object, path: str) -> str | None:
    for part in path.split("."):
        body = body.get(part) if isinstance(body, dict) else None
    if isinstance(body, str):
        return body
    return None if body is None or isinstance(body, dict | list) else orjson.dumps(body).decode()
