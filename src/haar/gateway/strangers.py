"""Answers to requests for which there is no service here, in the words that the caller's client understands."""

from html import escape

import cbor2
import orjson

from haar.gateway.routing import FORM, signing_name
from haar.wire.http import Request, Response

REST_XML = frozenset({"cloudfront", "route53", "s3"})
"""Signing names of the services whose clients expect XML though they send no form."""


def nobody(request: Request, request_id: str) -> Response:
    """Nothing in the request says which service it is for, or haar has no such service: then the answer names it."""
    scope = signing_name(request)
    if request.path == "/" and request.method in ("GET", "HEAD") and not scope:
        return _json(200, request_id, {"haar": "a serverless cloud that you own", "next": "haar env"})
    if not scope:
        if "x-amz-target" in request.headers:
            return _json(400, request_id, {"__type": "com.amazon.coral.service#UnknownOperationException"})
        message = "No service of this platform has this address; AWS API requests are signed (haar env)"
    else:
        message = f"haar does not have the service {scope} (docs/compatibility.md lists what it has)"
    if request.headers.get("smithy-protocol") == "rpc-v2-cbor":
        body = cbor2.dumps({"__type": "UnknownOperationException", "message": message})
        return Response(
            400, [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor"), ("x-amzn-RequestId", request_id)], body
        )
    if "x-amz-target" in request.headers:
        return _json(400, request_id, {"__type": "com.amazon.coral.service#UnknownOperationException", "message": message})
    if scope in REST_XML or request.headers.get("content-type", "").startswith(FORM) or "Action=" in request.query:
        return _xml(scope, request_id, message)
    return _json(404, request_id, {"message": message}, ("x-amzn-ErrorType", "UnknownOperationException"))


def _json(status: int, request_id: str, body: dict[str, str], *more: tuple[str, str]) -> Response:
    return Response(status, [("Content-Type", "application/json"), ("x-amzn-RequestId", request_id), *more], orjson.dumps(body))


def _xml(scope: str, request_id: str, message: str) -> Response:
    """S3 and EC2 have envelopes of their own."""
    status, text = 400, escape(message)
    if scope == "s3":
        status, body = 501, f"<Error><Code>NotImplemented</Code><Message>{text}</Message><RequestId>{request_id}</RequestId></Error>"
    elif scope == "ec2":
        error = f"<Error><Code>InvalidAction</Code><Message>{text}</Message></Error>"
        body = f"<Response><Errors>{error}</Errors><RequestID>{request_id}</RequestID></Response>"
    else:
        error = f"<Error><Type>Sender</Type><Code>InvalidAction</Code><Message>{text}</Message></Error>"
        body = f"<ErrorResponse>{error}<RequestId>{request_id}</RequestId></ErrorResponse>"
    return Response(status, [("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)], body.encode())
