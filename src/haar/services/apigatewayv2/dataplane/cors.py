"""Cross-origin requests: the API answers preflights, and its settings stand in place of an integration's headers. Pure.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
"""

from haar.services.apigatewayv2.records import Doc
from haar.wire.http import Request, Response


def is_preflight(request: Request) -> bool:
    return request.method == "OPTIONS" and "origin" in request.headers and "access-control-request-method" in request.headers


def _allowed(cors: Doc, origin: str) -> str | None:
    """What Access-Control-Allow-Origin says to a page of this origin; None when it may not read the answer."""
    origins = cors.get("AllowOrigins", ())
    if "*" in origins:
        return "*"
    if any(one == origin or (one.endswith("://*") and origin.startswith(one[:-1])) for one in origins):
        return origin
    return None


def _headers(cors: Doc, request: Request) -> list[tuple[str, str]]:
    allowed = _allowed(cors, request.headers.get("origin", ""))
    if allowed is None:
        return []
    headers = [("access-control-allow-origin", allowed)]
    if allowed != "*":
        headers.append(("vary", "Origin"))
    if cors.get("AllowCredentials"):
        headers.append(("access-control-allow-credentials", "true"))
    if cors.get("ExposeHeaders"):
        headers.append(("access-control-expose-headers", ",".join(cors["ExposeHeaders"])))
    return headers


def preflight(cors: Doc, request: Request) -> Response:
    """The answer to a preflight, which no integration sees; an OPTIONS that is none gets no more than its status."""
    headers = _headers(cors, request)
    if headers and is_preflight(request):
        if cors.get("AllowMethods"):
            headers.append(("access-control-allow-methods", ",".join(cors["AllowMethods"])))
        if cors.get("AllowHeaders"):
            headers.append(("access-control-allow-headers", ",".join(cors["AllowHeaders"])))
        if "MaxAge" in cors:
            headers.append(("access-control-max-age", str(cors["MaxAge"])))
    return Response(204, headers)


def add(cors: Doc, request: Request, response: Response) -> None:
    """Puts the API's own cross-origin headers in place of the integration's."""
    if "origin" not in request.headers:
        return
    kept = [pair for pair in response.headers if not pair[0].lower().startswith("access-control-")]
    response.headers = kept + _headers(cors, request)
