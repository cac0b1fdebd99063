"""MOCK: the request's template names a status, and the response that is mapped to it is the answer."""

import re
from functools import lru_cache

import orjson

from haar.services.apigateway.dataplane.answers import misconfigured
from haar.services.apigateway.dataplane.call import Call
from haar.services.apigateway.dataplane.custom import JSON, RequestPart, ResponsePart
from haar.services.apigateway.dataplane.mapping import Incoming
from haar.services.apigateway.records import Doc
from haar.wire.http import Response

SHORT = 200
"""Bytes of a mock's request whose status is remembered: most are the same all the time."""
_LOOSE = re.compile(rb"\{.*?[\"']?statusCode[\"']?\s*:\s*(\d+)\s*[,}]", re.DOTALL)
"""AWS reads `{statusCode: 200}` too."""


@lru_cache(maxsize=256)
def _status_of_short(body: bytes) -> int:
    return status_of(body)


def status_of(body: bytes) -> int:
    """The `statusCode` of a mock's request. Raises Refused when there is none."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        loose = _LOOSE.match(body.strip())
        found = {"statusCode": int(loose[1])} if loose else None
    status = found.get("statusCode") if isinstance(found, dict) else None
    if isinstance(status, bool) or not isinstance(status, int):
        raise misconfigured("Unable to parse statusCode. It should be an integer that is defined in the request template.")
    return status


class Mock:
    def __init__(self, integration: Doc) -> None:
        self._request = RequestPart(integration)
        self._response = ResponsePart(integration)
        self._constant = self._request.constant()

    async def __call__(self, call: Call) -> Response:
        plain = call.request.headers.get("content-type", JSON) == JSON and not call.live.compiled.binary_types
        if self._constant is not None and plain:
            status = _status_of_short(self._constant)
            return await self._response.choose(str(status), status).make(call, Incoming(status, (), b""))
        body = (await self._request.make(call)).body
        status = _status_of_short(body) if len(body) <= SHORT else status_of(body)
        return await self._response.choose(str(status), status).make(call, Incoming(status, (), b""))
