"""GetFunction's code location: an address of the platform's own, signed, that answers the package for ten minutes."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlencode

from haar.services.lambda_.packages import MissingPackage, key_of, pieces
from haar.services.service import Context, Host
from haar.wire.http import Request, Response

PATH = "/_haar/code/"
VALID_SECONDS = 600


def _signature(host: Host, digest: str, expires: int) -> str:
    return hmac.new(host.secret, f"lambda-code\n{digest}\n{expires}".encode(), hashlib.sha256).hexdigest()


def code_url(context: Context, sha256: str) -> str:
    digest, expires = key_of(sha256).hex(), int(context.now()) + VALID_SECONDS
    query = urlencode({"Expires": expires, "Signature": _signature(context.host, digest, expires)})
    scheme = "https" if context.secure else "http"
    authority = context.headers.get("host") or f"{context.host.config.host}:{context.host.config.port}"
    return f"{scheme}://{authority}{PATH}{digest}?{query}"


class CodeRoute:
    """Serves what `code_url` points at."""

    def matches(self, request: Request) -> bool:
        return request.path.startswith(PATH)

    async def serve(self, host: Host, request: Request, request_id: str) -> Response:
        digest = request.path.removeprefix(PATH)
        query = {key: values[0] for key, values in parse_qs(request.query).items()}
        expires = query.get("Expires", "")
        good = (
            expires.isdecimal()
            and len(expires) < 12
            and hmac.compare_digest(query.get("Signature", "").encode(), _signature(host, digest, int(expires)).encode())
        )
        if not good or request.method not in ("GET", "HEAD"):
            return _refusal(403, "AccessDenied", "Access Denied", request_id)
        if int(expires) < host.clock.now():
            return _refusal(403, "AccessDenied", "Request has expired", request_id)
        package = pieces(host.store, _base64(digest))
        try:
            first = await anext(package)
        except MissingPackage:
            return _refusal(404, "NoSuchKey", "The specified key does not exist.", request_id)
        headers = [("Content-Type", "application/zip"), ("ETag", f'"{digest}"'), ("x-amz-request-id", request_id)]
        if request.method == "HEAD":
            return Response(200, headers)
        return Response(200, headers, _joined(first, package))


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()


def _refusal(status: int, code: str, message: str, request_id: str) -> Response:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{request_id}</RequestId></Error>"
    return Response(status, [("Content-Type", "application/xml"), ("x-amz-request-id", request_id)], body.encode())
