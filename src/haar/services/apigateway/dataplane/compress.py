"""Compression where an API asks for it: large responses for callers that take them, and requests that come compressed."""

import asyncio
import gzip
import zlib
from dataclasses import replace

from haar.services.apigateway.dataplane.answers import too_large, unsupported_media_type
from haar.services.apigateway.dataplane.call import Call
from haar.wire.http import Request, Response

LEVEL = 5
QUICK = 64 * 1024
"""Bytes that are compressed in the loop; more is done aside."""
MAX_BODY = 10 * 1024 * 1024
_WINDOW = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


def _accepted(header: str) -> str | None:
    """`gzip` or `deflate`, whichever the caller takes first."""
    for one in header.split(","):
        name, _, weight = one.partition(";")
        coding = name.strip().lower()
        if coding in _WINDOW and weight.replace(" ", "").lower() not in ("q=0", "q=0.0"):
            return coding
    return None


async def pack(call: Call, response: Response, size: int) -> None:
    """Compresses a response of at least `size` bytes for a caller that takes that."""
    body = response.body
    coding = _accepted(call.request.headers.get("accept-encoding", ""))
    if coding is None or not isinstance(body, bytes) or not body or len(body) < size:
        return
    if any(name.lower() == "content-encoding" for name, _ in response.headers):
        return
    work = gzip.compress if coding == "gzip" else zlib.compress
    response.body = work(body, LEVEL) if len(body) <= QUICK else await asyncio.to_thread(work, body, LEVEL)
    response.headers.append(("Content-Encoding", coding))


def unpacked(request: Request) -> Request:
    """The request with its body as it was before it was compressed. Raises Refused."""
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding == "identity":
        return request
    if coding not in _WINDOW:
        raise unsupported_media_type()
    opener = zlib.decompressobj(_WINDOW[coding])
    try:
        body = opener.decompress(request.body, MAX_BODY + 1)
    except zlib.error:
        raise unsupported_media_type() from None
    if len(body) > MAX_BODY or opener.unconsumed_tail:
        raise too_large()
    if not opener.eof:
        raise unsupported_media_type()
    pairs = [pair for pair in request.pairs if pair[0].lower() != "content-encoding"]
    headers = {name: value for name, value in request.headers.items() if name != "content-encoding"}
    return replace(request, pairs=pairs, headers=headers, body=body)
