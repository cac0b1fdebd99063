"""Compressed requests and answers of AWS's API.

A request is signed as it is sent: what is opened is a copy. An answer's `x-amz-crc32` is that of what is sent.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-compression.html
"""

import zlib
from dataclasses import replace

from haar.wire.errors import CommonError
from haar.wire.http import Request, Response

MAX_OPENED = 70_167_211
"""Bytes that a compressed request may open to: as many as an uncompressed one may have."""
MIN_PACKED = 1024
"""Answers smaller than this are sent as they are."""
LEVEL = 1
GZIP_WINDOW = 16 + zlib.MAX_WBITS


def opened(request: Request) -> Request:
    """The request with its body decompressed; the same one when it was not compressed."""
    encoding = request.headers.get("content-encoding", "").lower().strip()
    if encoding not in ("gzip", "deflate"):
        return request
    opener = zlib.decompressobj(GZIP_WINDOW if encoding == "gzip" else _deflate_window(request.body))
    try:
        body = opener.decompress(request.body, MAX_OPENED)
    except zlib.error:
        raise CommonError("Serialization", f"The body is not {encoding}") from None
    if opener.unconsumed_tail:
        raise CommonError("RequestTooLarge", f"Request must be smaller than {MAX_OPENED} bytes")
    if not opener.eof:
        raise CommonError("Serialization", f"The {encoding} body ends too early")
    return replace(request, body=body)


def pack(response: Response) -> None:
    """Compresses an answer, for a client that takes gzip."""
    body = response.body
    if not isinstance(body, bytes) or len(body) < MIN_PACKED:
        return
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP_WINDOW)
    response.body = smaller = packer.compress(body) + packer.flush()
    response.headers = [(name, str(zlib.crc32(smaller)) if name == "x-amz-crc32" else value) for name, value in response.headers]
    response.headers.append(("Content-Encoding", "gzip"))


def _deflate_window(body: bytes) -> int:
    """`deflate` is zlib's format by the standard, and raw deflate from some clients."""
    zlib_header = len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS
