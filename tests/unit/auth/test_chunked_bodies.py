"""aws-chunked bodies: AWS's documented example, and chains of our own."""

import hashlib
import hmac

import pytest

from haar.auth.chunked import SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER, Seed, decode_chunks
from haar.auth.principal import Credential, Principal
from haar.auth.sigv4 import authenticate, signing_key
from haar.wire.errors import ServiceError
from haar.wire.http import Request

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
DATE, SCOPE = "20130524T000000Z", "20130524/us-east-1/s3/aws4_request"
NOW = 1369353600.0
EMPTY = hashlib.sha256(b"").hexdigest()


class Source:
    async def find(self, access_key_id: str, session_token: str | None) -> Credential | None:
        return Credential(KEY, SECRET, Principal("root", "123456789012", "arn:aws:iam::123456789012:root", "123456789012"))


def example() -> Request:
    """The example of https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html: 65 KB of `a` in two chunks."""
    chunks = [
        (b"a" * 65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
        (b"a" * 1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
        (b"", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
    ]
    body = b"".join(b"%x;chunk-signature=%s\r\n%s\r\n" % (len(data), signature.encode(), data) for data, signature in chunks)
    names = "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class"
    return Request.of(
        "PUT",
        "/examplebucket/chunkObject.txt",
        "",
        {
            "Host": "s3.amazonaws.com",
            "x-amz-date": DATE,
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
            "Authorization": (
                f"AWS4-HMAC-SHA256 Credential={KEY}/{SCOPE},SignedHeaders={names},"
                "Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
            ),
            "x-amz-content-sha256": SIGNED,
            "Content-Encoding": "aws-chunked",
            "x-amz-decoded-content-length": "66560",
            "Content-Length": "66824",
        },
        body,
    )


async def test_the_documented_example() -> None:
    request = example()
    await authenticate(request, Source(), NOW)
    assert request.body == b"a" * 66560


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"a" * 1024 + b"\r\n0;", b"a" * 1023 + b"b\r\n0;"),
        (b"chunk-signature=ad80", b"chunk-signature=bd80"),
        (b"0;chunk-signature=b6c6", b"0;chunk-signature=c6c6"),
        (b"10000;chunk-signature", b"ffff;chunk-signature"),
        (b"10000;chunk-signature", b"-1;chunk-signature"),
        (b"10000;chunk-signature", b"0x1_0;chunk-signature"),
        (b";chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648", b""),
    ],
)
async def test_a_changed_chunk_is_refused(old: bytes, new: bytes) -> None:
    request = example()
    assert old in request.body
    request.body = request.body.replace(old, new)
    with pytest.raises(ServiceError) as refused:
        await authenticate(request, Source(), NOW)
    assert refused.value.code in ("SignatureDoesNotMatch", "IncompleteBody")


async def test_a_body_that_is_cut_short_is_refused() -> None:
    whole = example().body
    for length in (0, 10, 100, 65536, 66000, len(whole) - 90):
        request = example()
        request.body = whole[:length]
        with pytest.raises(ServiceError) as refused:
            await authenticate(request, Source(), NOW)
        assert refused.value.code == "IncompleteBody"


def sign(algorithm: str, previous: str, middle: str, data: bytes) -> str:
    key = signing_key(KEY, SECRET, "20130524", "us-east-1", "s3")
    text = f"{algorithm}\n{DATE}\n{SCOPE}\n{previous}\n{middle}{hashlib.sha256(data).hexdigest()}"
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def seed() -> Seed:
    return Seed(signing_key(KEY, SECRET, "20130524", "us-east-1", "s3"), DATE, SCOPE, "ab" * 32)


def test_signed_trailers() -> None:
    first = sign("AWS4-HMAC-SHA256-PAYLOAD", "ab" * 32, EMPTY + "\n", b"hello")
    last = sign("AWS4-HMAC-SHA256-PAYLOAD", first, EMPTY + "\n", b"")
    trailer = sign("AWS4-HMAC-SHA256-TRAILER", last, "", b"x-amz-checksum-crc32c:sOO8/Q==\n")
    body = (
        f"5;chunk-signature={first}\r\nhello\r\n0;chunk-signature={last}\r\n"
        f"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:{trailer}\r\n\r\n"
    ).encode()
    decoded = decode_chunks(body, SIGNED_TRAILER, seed())
    assert decoded.body == b"hello"
    assert decoded.trailers == {"x-amz-checksum-crc32c": "sOO8/Q=="}
    for old, new in ((b"sOO8", b"sOO9"), (trailer[:4].encode(), b"zzzz")):
        with pytest.raises(ServiceError, match="SignatureDoesNotMatch"):
            decode_chunks(body.replace(old, new), SIGNED_TRAILER, seed())


def test_unsigned_chunks_with_a_trailer() -> None:
    body = b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n"
    decoded = decode_chunks(body, UNSIGNED_TRAILER, seed())
    assert (decoded.body, decoded.trailers) == (b"hello world", {"x-amz-checksum-crc32": "DUoRhQ=="})


def test_other_modes_are_refused() -> None:
    with pytest.raises(ServiceError, match="Signature Version 4A"):
        decode_chunks(b"", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", seed())
    with pytest.raises(ServiceError, match="InvalidRequest"):
        decode_chunks(b"", "STREAMING-SOMETHING", seed())
