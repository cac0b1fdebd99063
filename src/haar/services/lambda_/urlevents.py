"""The event of a function URL, what becomes of the function's answer, and cross-origin headers. Pure.

https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
"""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

import orjson

from haar.auth.principal import Principal
from haar.wire.http import Request, Response

JSON = ("Content-Type", "application/json")
PRELUDE_END = bytes(8)
MAX_PRELUDE = 64 * 1024
_CONNECTION = frozenset(("connection", "content-length", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"))
_TEXT = ("application/json", "application/javascript", "application/xml", "application/graphql")


class BadAnswer(Exception):
    """The function's answer is no HTTP response."""


def is_text(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return not kind or kind.startswith("text/") or kind in _TEXT or kind.endswith(("+json", "+xml"))


def _body(request: Request) -> tuple[str, bool]:
    if is_text(request.headers.get("content-type", "")) and not request.headers.get("content-encoding"):
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(request.body).decode(), True


def _headers(request: Request, trace_id: str) -> dict[str, str]:
    headers = {name: value for name, value in request.headers.items() if name not in _CONNECTION and name != "cookie"}
    forwarded = headers.get("x-forwarded-for")
    headers["x-forwarded-for"] = f"{forwarded}, {request.client}" if forwarded else request.client
    port = request.headers.get("host", "").rpartition(":")[2]
    headers["x-forwarded-port"] = port if port.isdigit() else "443" if request.secure else "80"
    headers["x-forwarded-proto"] = "https" if request.secure else "http"
    headers["x-amzn-trace-id"] = trace_id
    if "content-length" in request.headers:
        headers["content-length"] = request.headers["content-length"]
    return headers


def _query(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        name, value = unquote_plus(name), unquote_plus(value)
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def event_of(
    request: Request, *, path: str, url_id: str, domain: str, caller: Principal | None, request_id: str, trace_id: str, now: float
) -> bytes:
    """The event, payload format 2.0; `caller` is who signed the request, None where nobody has to."""
    context: dict[str, Any] = {
        "accountId": caller.account if caller else "anonymous",
        "apiId": url_id,
        "domainName": domain,
        "domainPrefix": url_id,
        "http": {
            "method": request.method,
            "path": path,
            "protocol": "HTTP/1.1",
            "sourceIp": request.client,
            "userAgent": request.headers.get("user-agent", ""),
        },
        "requestId": request_id,
        "routeKey": "$default",
        "stage": "$default",
        "time": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now * 1000),
    }
    if caller is not None:
        context["authorizer"] = {
            "iam": {
                "accessKey": caller.access_key_id,
                "accountId": caller.account,
                "callerId": caller.id,
                "cognitoIdentity": None,
                "principalOrgId": None,
                "userArn": caller.arn,
                "userId": caller.id,
            }
        }
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": request.query,
        "headers": _headers(request, trace_id),
        "requestContext": context,
        "isBase64Encoded": False,
    }
    cookies = [cookie.strip() for name, value in request.pairs if name.lower() == "cookie" for cookie in value.split(";")]
    if cookies:
        event["cookies"] = [cookie for cookie in cookies if cookie]
    if request.query:
        event["queryStringParameters"] = _query(request.query)
    if request.body:
        event["body"], event["isBase64Encoded"] = _body(request)
    return orjson.dumps(event)


def response_of(payload: bytes) -> Response:
    """The response that a function's answer stands for. Raises BadAnswer."""
    try:
        answer = orjson.loads(payload or b"null")
    except orjson.JSONDecodeError:
        raise BadAnswer("The answer is not JSON") from None
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return Response(200, [JSON], payload)
    body = answer.get("body")
    if body is None:
        data = b""
    elif not isinstance(body, str):
        data = orjson.dumps(body)
    elif answer.get("isBase64Encoded"):
        try:
            data = base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError):
            raise BadAnswer("The body is not base64") from None
    else:
        data = body.encode()
    status, headers = head_of(answer)
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(JSON)
    return Response(status, headers, data)


def head_of(answer: Mapping[str, Any]) -> tuple[int, list[tuple[str, str]]]:
    """Status and headers, of an answer or of a stream's prelude. Raises BadAnswer."""
    status = answer.get("statusCode", 200)
    if isinstance(status, str) and status.isdecimal():
        status = int(status)
    if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status <= 599:
        raise BadAnswer(f"{status!r} is no status code")
    headers: list[tuple[str, str]] = []
    given, cookies = answer.get("headers") or {}, answer.get("cookies") or []
    if not isinstance(given, dict) or not isinstance(cookies, list):
        raise BadAnswer("The headers are no object, or the cookies no list")
    for name, value in given.items():
        if name.lower() not in _CONNECTION:
            headers.append((name, ",".join(_text(one) for one in value) if isinstance(value, list) else _text(value)))
    headers += [("Set-Cookie", _text(cookie)) for cookie in cookies]
    return status, headers


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def allowed_origin(cors: Mapping[str, Any], origin: str) -> str | None:
    """What Access-Control-Allow-Origin says to a page of this origin; None when it may not read the answer."""
    origins = cors.get("AllowOrigins", ())
    if "*" in origins:
        return origin if cors.get("AllowCredentials") else "*"
    for known in origins:
        before, star, behind = known.partition("*")
        if known == origin or (star and origin.startswith(before) and origin.endswith(behind) and len(origin) >= len(known) - 1):
            return origin
    return None


def cross_origin_headers(cors: Mapping[str, Any], request: Request) -> list[tuple[str, str]]:
    """The headers that the URL's CORS settings add to an answer."""
    origin = request.headers.get("origin")
    allowed = allowed_origin(cors, origin) if origin else None
    if allowed is None:
        return []
    headers = [("Access-Control-Allow-Origin", allowed), ("Vary", "Origin")]
    if cors.get("AllowCredentials"):
        headers.append(("Access-Control-Allow-Credentials", "true"))
    if cors.get("ExposeHeaders"):
        headers.append(("Access-Control-Expose-Headers", ",".join(cors["ExposeHeaders"])))
    return headers


def preflight(cors: Mapping[str, Any], request: Request) -> Response:
    """The answer to a preflight, which the function never sees."""
    headers = [header for header in cross_origin_headers(cors, request) if header[0] != "Access-Control-Expose-Headers"]
    if headers:
        wanted = request.headers.get("access-control-request-method", "")
        methods = cors.get("AllowMethods", ())
        headers.append(("Access-Control-Allow-Methods", wanted if "*" in methods else ",".join(methods)))
        names = cors.get("AllowHeaders", ())
        asked = request.headers.get("access-control-request-headers", "")
        if names:
            headers.append(("Access-Control-Allow-Headers", asked if "*" in names else ",".join(names)))
        if "MaxAge" in cors:
            headers.append(("Access-Control-Max-Age", str(cors["MaxAge"])))
    return Response(200, headers)


def with_cross_origin(cors: Mapping[str, Any] | None, request: Request, response: Response) -> Response:
    """The response with the URL's own cross-origin headers in place of the function's."""
    if cors and "origin" in request.headers:
        kept = [header for header in response.headers if not header[0].lower().startswith("access-control-")]
        response.headers = kept + cross_origin_headers(cors, request)
    return response
