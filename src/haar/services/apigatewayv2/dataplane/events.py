"""The events of Lambda proxy integrations, formats 1.0 and 2.0, and the responses that come back. Pure.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import binascii
from typing import Any

import orjson

from haar.services.apigateway.public import describe_certificate
from haar.services.apigatewayv2.dataplane.answers import failed
from haar.services.apigatewayv2.dataplane.call import Call
from haar.services.lambda_.public import is_text
from haar.wire.http import Request, Response

TEXT = ("Content-Type", "text/plain;charset=UTF-8")
JSON = ("Content-Type", "application/json")
UNEXPECTED = "The response from the Lambda function doesn't match the format that API Gateway expects."
_DROPPED = frozenset(
    (
        "apigw-requestid",
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "transfer-encoding",
        "trailer",
        "upgrade",
        "proxy-authenticate",
    )
)


def encoded_body(request: Request) -> tuple[str | None, bool]:
    """The body as events have it, and whether that is base64."""
    if not request.body:
        return None, False
    if is_text(request.headers.get("content-type", "")) and not request.headers.get("content-encoding"):
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass
    return encode_bytes(request.body), True


def encode_bytes(data: bytes) -> str:
    return base64.b64encode(data).decode()


def context_v2(call: Call) -> dict[str, Any]:
    stage, request = call.stage, call.request
    context: dict[str, Any] = {"accountId": stage.account, "apiId": stage.api_id}
    if call.authorizer is not None:
        context["authorizer"] = call.authorizer
    if request.certificate is not None:
        context["authentication"] = {"clientCert": describe_certificate(request.certificate.der)}
    return context | {
        "domainName": call.domain,
        "domainPrefix": call.domain.partition(".")[0],
        "http": {
            "method": request.method,
            "path": call.raw_path,
            "protocol": "HTTP/1.1",
            "sourceIp": request.client,
            "userAgent": request.headers.get("user-agent", ""),
        },
        "requestId": call.request_id,
        "routeKey": call.route_key,
        "stage": stage.name,
        "time": call.time,
        "timeEpoch": int(call.now * 1000),
    }


def event_v2(call: Call) -> dict[str, Any]:
    """The event in format 2.0; what the request has not is not in it."""
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": call.route_key,
        "rawPath": call.raw_path,
        "rawQueryString": call.request.query,
    }
    if call.cookies:
        event["cookies"] = call.cookies
    event["headers"] = call.headers
    if call.query:
        event["queryStringParameters"] = {name: ",".join(values) for name, values in call.query.items()}
    event["requestContext"] = context_v2(call)
    body, encoded = encoded_body(call.request)
    if body is not None:
        event["body"] = body
    if call.path_parameters:
        event["pathParameters"] = call.path_parameters
    event["isBase64Encoded"] = encoded
    if call.stage.variables:
        event["stageVariables"] = call.stage.variables
    return event


def _context_v1(call: Call) -> dict[str, Any]:
    stage, request, who = call.stage, call.request, call.principal
    context: dict[str, Any] = {"accountId": stage.account, "apiId": stage.api_id}
    if call.jwt is not None:
        context["authorizer"] = call.jwt
    elif call.lambda_context is not None:
        context["authorizer"] = call.lambda_context
    return context | {
        "domainName": call.domain,
        "domainPrefix": call.domain.partition(".")[0],
        "extendedRequestId": call.request_id,
        "httpMethod": request.method,
        "identity": {
            "accessKey": who.access_key_id if who else None,
            "accountId": who.account if who else None,
            "caller": who.id if who else None,
            "cognitoAmr": None,
            "cognitoAuthenticationProvider": None,
            "cognitoAuthenticationType": None,
            "cognitoIdentityId": None,
            "cognitoIdentityPoolId": None,
            "principalOrgId": None,
            "sourceIp": request.client,
            "user": who.id if who else None,
            "userAgent": request.headers.get("user-agent", ""),
            "userArn": who.arn if who else None,
            **({"clientCert": describe_certificate(request.certificate.der)} if request.certificate is not None else {}),
        },
        "path": call.raw_path,
        "protocol": "HTTP/1.1",
        "requestId": call.request_id,
        "requestTime": call.time,
        "requestTimeEpoch": int(call.now * 1000),
        "resourceId": call.route_key,
        "resourcePath": call.route_key.partition(" ")[2] or call.route_key,
        "stage": stage.name,
    }


def event_v1(call: Call) -> dict[str, Any]:
    """The event in format 1.0, like a REST API's."""
    many: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for name, value in call.pairs:
        many.setdefault(names.setdefault(name.lower(), name), []).append(value)
    if "content-length" not in names:
        many["Content-Length"] = [str(len(call.request.body))]
    body, encoded = encoded_body(call.request)
    return {
        "version": "1.0",
        "resource": call.route_key.partition(" ")[2] or call.route_key,
        "path": call.raw_path,
        "httpMethod": call.request.method,
        "headers": {name: values[-1] for name, values in many.items()},
        "multiValueHeaders": many,
        "queryStringParameters": {name: values[-1] for name, values in call.query.items()} or None,
        "multiValueQueryStringParameters": call.query or None,
        "requestContext": _context_v1(call),
        "pathParameters": call.path_parameters or None,
        "stageVariables": dict(call.stage.variables) or None,
        "body": body,
        "isBase64Encoded": encoded,
    }


def response_of(payload: bytes, version: str) -> Response:
    """The response that a function's answer stands for. Raises Refused (500) for one that is not of the form."""
    try:
        answer = orjson.loads(payload or b"null")
    except orjson.JSONDecodeError:
        raise failed(f"{UNEXPECTED} Lambda body is not JSON") from None
    if version == "2.0" and not (isinstance(answer, dict) and "statusCode" in answer):
        # inferred: the answer is the body
        return Response(200, [JSON], answer.encode() if isinstance(answer, str) else payload or b"null")
    if not isinstance(answer, dict):
        raise failed(f"{UNEXPECTED} Lambda body is not an object")
    headers = _headers(answer, version)
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(TEXT)
    return Response(_status(answer), headers, _body(answer))


def _wrong(field: str) -> Exception:
    return failed(f'{UNEXPECTED} Lambda body contains the wrong type for field "{field}"')


def _status(answer: dict[str, Any]) -> int:
    status = answer.get("statusCode")
    if isinstance(status, str) and status.isdecimal():
        status = int(status)
    if isinstance(status, bool) or not isinstance(status, int) or not 100 <= status <= 599:
        raise _wrong("statusCode")
    return status


def _body(answer: dict[str, Any]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise _wrong("body")
    if answer.get("isBase64Encoded") is True:
        try:
            return base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError):
            raise failed(f"{UNEXPECTED} Lambda body is not base64") from None
    return body.encode("utf-8", "surrogatepass")


def _headers(answer: dict[str, Any], version: str) -> list[tuple[str, str]]:
    single: Any = answer.get("headers") or {}
    multiple: Any = {}
    cookies: Any = []
    if version == "1.0":
        multiple = answer.get("multiValueHeaders") or {}
    else:
        cookies = answer.get("cookies") or []
    for name, value, kind in (("headers", single, dict), ("multiValueHeaders", multiple, dict), ("cookies", cookies, list)):
        if not isinstance(value, kind):
            raise _wrong(name)
    given = [(name, one) for name, values in multiple.items() for one in (values if isinstance(values, list) else [values])]
    found = [(name, header_text(value)) for name, value in given]
    known = {(name.lower(), text) for name, text in found}  # the same pair in both is sent once
    found += [(name, text) for name, one in single.items() if one is not None and (name.lower(), text := header_text(one)) not in known]
    found = [pair for pair in found if pair[0].lower() not in _DROPPED]
    return found + [("Set-Cookie", header_text(cookie)) for cookie in cookies]


def header_text(value: Any) -> str:
    """A header's value as it goes over the wire; what is not latin-1 goes as UTF-8."""
    if isinstance(value, list):
        return ",".join(header_text(one) for one in value)
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if text.isascii() else text.encode("utf-8", "replace").decode("latin-1")
