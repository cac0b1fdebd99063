"""Requests that botocore signed: taken as they are, refused when a part was changed."""

import asyncio
import dataclasses
import hashlib
import string
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from haar.auth.errors import amz_date
from haar.auth.principal import Authenticated, Credential, Principal
from haar.auth.sigv4 import authenticate, claimed_scope
from haar.wire.errors import CommonError, ServiceError
from haar.wire.http import Request

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SESSION_KEY, TOKEN = "ASIAIOSFODNN7EXAMPLE", "sealed-token"
USER = Principal("user", "123456789012", "arn:aws:iam::123456789012:user/bob", "AIDABOB", "bob", KEY)
GET_ITEM = b'{"TableName":"t","Key":{"id":{"S":"1"}}}'
HEADERS = {"Host": "localhost:4566", "X-Amz-Target": "DynamoDB_20120810.GetItem", "Content-Type": "application/x-amz-json-1.0"}


class Source:
    """One user's key, and one session's that ends at `expires`."""

    def __init__(self, expires: float | None = None) -> None:
        self.expires = expires

    async def find(self, access_key_id: str, session_token: str | None) -> Credential | None:
        if access_key_id == KEY and session_token is None:
            return Credential(KEY, SECRET, USER)
        if access_key_id == SESSION_KEY and session_token == TOKEN:
            return Credential(SESSION_KEY, SECRET, USER, self.expires or time.time() + 900)
        return None


def signed(
    method: str = "POST",
    url: str = "http://localhost:4566/",
    body: bytes = GET_ITEM,
    headers: dict[str, str] | None = None,
    service: str = "dynamodb",
    signer: Callable[..., Any] = botocore.auth.SigV4Auth,
    credentials: tuple[str, str, str | None] = (KEY, SECRET, None),
    **options: Any,
) -> Request:
    request = AWSRequest(method, url, data=body, headers=HEADERS if headers is None else headers)
    signer(Credentials(*credentials), service, "us-east-1", **options).add_auth(request)
    parts = urlsplit(request.url)
    return Request.of(method, parts.path or "/", parts.query, dict(request.headers), body)


async def check(request: Request, now: float | None = None, source: Source | None = None, **options: Any) -> Authenticated:
    return await authenticate(request, source or Source(), time.time() if now is None else now, **options)


async def refusal(request: Request, now: float | None = None, source: Source | None = None, **options: Any) -> ServiceError:
    with pytest.raises(ServiceError) as refused:
        await check(request, now, source, **options)
    return refused.value


@pytest.mark.parametrize(
    ("method", "url", "body", "service"),
    [
        ("POST", "http://localhost:4566/", GET_ITEM, "dynamodb"),
        ("GET", "http://localhost:4566/2015-03-31/functions/", b"", "lambda"),
        (
            "POST",
            "http://localhost:4566/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Af/invocations",
            b"{}",
            "lambda",
        ),
        ("GET", "http://localhost:4566/restapis/x/resources?embed=methods&limit=500&position=a%2Fb%3D", b"", "apigateway"),
        ("GET", "http://localhost:4566/tags/a%20b?tagKeys=x&tagKeys=a%20b&tagKeys=%C3%A9&empty", b"", "lambda"),
        ("GET", "http://localhost:4566//a/../b/./c//d/", b"", "execute-api"),
        ("POST", "http://localhost:4566/?Action=ListUsers&Version=2010-05-08", b"Action=ListUsers&Version=2010-05-08", "iam"),
        ("GET", "http://localhost:4566/~user/a-b_c.d", b"", "execute-api"),
    ],
)
async def test_what_botocore_signs_is_taken(method: str, url: str, body: bytes, service: str) -> None:
    found = await check(signed(method, url, body, {"Host": "localhost:4566"}, service))
    assert found == Authenticated(USER, "us-east-1", service, found.details)
    assert found.details["s3:authType"] == "REST-HEADER"


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(
    st.lists(texts, max_size=4),
    st.lists(st.tuples(texts.filter(bool), texts), max_size=4),
    st.binary(max_size=20),
    st.text(string.printable.strip() + "  ", max_size=20),
    st.sampled_from(["s3", "lambda", "apigateway", "execute-api"]),
)
def test_whatever_botocore_signs_is_taken(path: list[str], query: list[tuple[str, str]], body: bytes, value: str, service: str) -> None:
    signer = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
    url = "http://localhost:4566/" + "/".join(quote(part, safe="~") for part in path)
    if query:
        url += "?" + "&".join(f"{quote(name, safe='~')}={quote(item, safe='~')}" for name, item in query)
    request = signed("PUT", url, body, {"Host": "localhost:4566", "X-Amz-Meta": value}, service, signer)
    assert asyncio.run(check(request)).service == service


async def test_a_session_is_its_token_and_its_key() -> None:
    session = (SESSION_KEY, SECRET, TOKEN)
    assert (await check(signed(credentials=session))).principal == USER
    assert (await refusal(signed(credentials=(SESSION_KEY, SECRET, "made-up")))).code == "UnrecognizedClient"
    assert (await refusal(signed(credentials=(SESSION_KEY, SECRET, None)))).code == "UnrecognizedClient"
    assert (await refusal(signed(credentials=(KEY, SECRET, "made-up")))).code == "UnrecognizedClient"
    expired = await refusal(signed(credentials=session), source=Source(expires=time.time() - 1))
    assert (expired.code, expired.message) == ("ExpiredToken", "The security token included in the request is expired")


async def test_unknown_keys_and_wrong_secrets() -> None:
    unknown = await refusal(signed(credentials=("AKIAAAAAAAAAAAAAAAAA", SECRET, None)))
    assert (unknown.code, unknown.message) == ("UnrecognizedClient", "The security token included in the request is invalid.")
    wrong = await refusal(signed(credentials=(KEY, "wrong", None)))
    assert wrong.code == "SignatureDoesNotMatch"
    assert (wrong.message or "").startswith("The request signature we calculated does not match the signature you provided.")


async def test_unsigned() -> None:
    bare = await refusal(Request.of("POST", "/", "", HEADERS, GET_ITEM))
    assert (bare.code, bare.message) == ("MissingAuthenticationToken", None)


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"path": "/other"},
        {"query": "x=1"},
        {"body": GET_ITEM.replace(b"1", b"2")},
        {"header": ("x-amz-target", "DynamoDB_20120810.DeleteItem")},
        {"header": ("host", "example.com")},
        {"header": ("content-type", "text/plain")},
        {"signature": "0" * 64},
        {"signature": "é"},
        {"signature": ""},
        {"credential": ("us-east-1", "us-west-2")},
        {"credential": ("/dynamodb/", "/iam/")},
        {"signed": ("content-type;", "")},
        {"signed": ("host;", "host;x-new;")},
    ],
    ids=str,
)
async def test_a_changed_part_is_refused(change: dict[str, Any]) -> None:
    request = signed()
    authorization = request.headers["authorization"]
    if "header" in change:
        name, value = change["header"]
        assert name in request.headers
        request.headers[name] = value
    elif "signature" in change:
        request.headers["authorization"] = authorization.rpartition("=")[0] + "=" + change["signature"]
    elif "credential" in change or "signed" in change:
        old, new = change.get("credential") or change["signed"]
        assert old in authorization
        request.headers["authorization"] = authorization.replace(old, new, 1)
    else:
        for name, value in change.items():
            setattr(request, name, value)
    assert (await refusal(request)).code in ("SignatureDoesNotMatch", "IncompleteSignature")


async def test_the_operation_is_signed() -> None:
    request = signed(headers={"Host": "localhost:4566"})
    await check(request)
    request.headers["x-amz-target"] = "DynamoDB_20120810.DeleteTable"
    refused = await refusal(request)
    assert (refused.code, refused.message) == (
        "IncompleteSignature",
        "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.",
    )


async def test_every_character_of_the_signature_counts() -> None:
    request = signed()
    head, _, signature = request.headers["authorization"].rpartition("=")
    for at in range(len(signature)):
        other = "0" if signature[at] != "0" else "1"
        request.headers["authorization"] = f"{head}={signature[:at]}{other}{signature[at + 1 :]}"
        assert (await refusal(request)).code == "SignatureDoesNotMatch"


async def test_the_clock_may_differ_by_a_quarter_of_an_hour() -> None:
    request = signed()
    date = request.headers["x-amz-date"]
    moment = time.mktime(time.strptime(date, "%Y%m%dT%H%M%SZ")) - time.timezone
    for ahead in (-900, 0, 900):
        await check(request, moment + ahead)
    old = await refusal(request, moment + 901)
    assert old.code == "SignatureDoesNotMatch"
    assert old.message == f"Signature expired: {date} is now earlier than {amz_date(moment + 1)} ({amz_date(moment + 901)} - 15 min.)"
    young = await refusal(request, moment - 901)
    assert (
        young.message
        == f"Signature not yet current: {date} is still later than {amz_date(moment - 1)} ({amz_date(moment - 901)} + 15 min.)"
    )


INCOMPLETE = {
    "AWS4-HMAC-SHA256 Credential=a/b": (
        "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. "
        "(Hashed with SHA-256 and encoded with Base64) Authorization="
    ),
    "Bearer abc": "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): '",
    "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/dynamodb, SignedHeaders=host, Signature=x": (
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
        "got 'AKIA/20260101/us-east-1/dynamodb'"
    ),
    "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=x-amz-date, Signature=x": (
        "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
    ),
    "AWS4-ECDSA-P256-SHA256 Credential=AKIA/20260101/dynamodb/aws4_request, SignedHeaders=host, Signature=x": (
        "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'. Signature Version 4A"
    ),
    "AWS4-HMAC-SHA1 Credential=AKIA/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=x": (
        "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1'."
    ),
    "Basic a=b": "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. ",
    "": "",
}


@pytest.mark.parametrize("header", INCOMPLETE)
async def test_an_incomplete_header_says_what_is_missing(header: str) -> None:
    refused = await refusal(Request.of("POST", "/", "", HEADERS | {"Authorization": header, "X-Amz-Date": "20260101T000000Z"}))
    assert refused.code == "IncompleteSignature"
    assert (refused.message or "").startswith(INCOMPLETE[header])


async def test_a_date_is_demanded() -> None:
    request = signed()
    del request.headers["x-amz-date"]
    refused = await refusal(request)
    assert refused.code == "IncompleteSignature"
    assert "requires existence of either a 'X-Amz-Date' or a 'Date' header." in (refused.message or "")
    request.headers["x-amz-date"] = "2026-01-01T00:00:00Z!"
    assert (refused := await refusal(request)).code == "IncompleteSignature"
    assert "Date must be in ISO-8601 'basic format'" in (refused.message or "")


async def test_the_scope_is_checked() -> None:
    request = signed()
    day = request.headers["x-amz-date"][:8]
    authorization = request.headers["authorization"]
    request.headers["authorization"] = authorization.replace(f"/{day}/", "/20200101/")
    assert (await refusal(request)).message == (
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        f"'20200101' != '{day}', from '{request.headers['x-amz-date']}'."
    )
    request.headers["authorization"] = authorization.replace("aws4_request", "aws5_request")
    assert (await refusal(request)).message == "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'."
    for region in ("*", "us-east-1:x", "a b", "US-EAST-1", "x" * 65):  # it becomes a part of ARNs
        request.headers["authorization"] = authorization.replace("/us-east-1/", f"/{region}/")
        assert (await refusal(request)).message == f"Credential should be scoped to a valid region, not '{region}'. "
    assert (await refusal(signed(), service="iam")).message == "Credential should be scoped to correct service: 'iam'. "
    assert (await check(signed(), service="dynamodb")).service == "dynamodb"


async def test_the_order_and_the_spaces_of_the_header_are_free() -> None:
    request = signed()
    algorithm, _, rest = request.headers["authorization"].partition(" ")
    credential, names, signature = (part.strip() for part in rest.split(","))
    for header in (
        f"{algorithm} {credential},{names},{signature}",
        f"{algorithm} {signature}, {names}, {credential}",
        f"{algorithm}  {names} , {credential} ,  {signature}",
    ):
        request.headers["authorization"] = header
        assert (await check(request)).principal == USER


async def test_header_values_are_trimmed() -> None:
    request = signed(headers=HEADERS | {"X-Amz-Meta": "a   b"})
    await check(request)
    request.headers["x-amz-meta"] = "  a b "
    await check(request)


async def test_a_claimed_hash_is_the_bodys() -> None:
    digest = hashlib.sha256(GET_ITEM).hexdigest()
    request = signed(headers=HEADERS | {"X-Amz-Content-SHA256": digest})
    await check(request)
    request.body = b"{}"
    assert (await refusal(request)).code == "SignatureDoesNotMatch"
    request = signed("PUT", "http://localhost:4566/b/k", GET_ITEM, {"Host": "localhost:4566"}, "s3", botocore.auth.S3SigV4Auth)
    await check(request)
    request.body = b"{}"
    assert (await refusal(request)).code == "XAmzContentSHA256Mismatch"
    request = signed(headers=HEADERS | {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    request.body = b"anything"
    await check(request)


async def test_s3_paths_are_encoded_once() -> None:
    for path in ("/b/a%20b/c%2Bd", "/b//x/../y", "/b/%E2%82%AC"):
        request = signed("GET", f"http://localhost:4566{path}", b"", {"Host": "localhost:4566"}, "s3", botocore.auth.S3SigV4Auth)
        assert (await check(request)).service == "s3"


def presigned(service: str = "sts", expires: int = 60, **options: Any) -> Request:
    url = "http://localhost:4566/?Action=GetCallerIdentity&Version=2011-06-15"
    headers = {"Host": "localhost:4566"}
    return signed("GET", url, b"", headers, service, botocore.auth.SigV4QueryAuth, expires=expires, **options)


async def test_presigned_urls() -> None:
    request = presigned()
    found = await check(request)
    assert (found.principal, found.service, found.details["s3:authType"]) == (USER, "sts", "REST-QUERY-STRING")
    for old, new in (
        ("Action=GetCallerIdentity", "Action=GetSessionToken"),
        ("Expires=60", "Expires=61"),
        ("X-Amz-Signature=", "X-Amz-Signature=0"),
    ):
        assert old in request.query
        assert (await refusal(dataclasses.replace(request, query=request.query.replace(old, new)))).code == "SignatureDoesNotMatch"
    assert (await refusal(dataclasses.replace(request, method="POST"))).code == "SignatureDoesNotMatch"
    assert (await refusal(dataclasses.replace(request, body=b"x"))).code == "SignatureDoesNotMatch"
    assert (await check(presigned(credentials=(SESSION_KEY, SECRET, TOKEN)))).principal == USER


async def test_presigned_urls_expire() -> None:
    await check(presigned(), time.time() + 55)
    late = await refusal(presigned(), time.time() + 63)
    assert late.code == "SignatureDoesNotMatch"
    assert (late.message or "").startswith("Signature expired: ")
    assert (await refusal(presigned(), time.time() - 1000)).code == "SignatureDoesNotMatch"
    week = 7 * 24 * 3600
    await check(presigned(expires=week), time.time() + week - 5)
    assert "less than a week" in ((await refusal(presigned(expires=week + 1))).message or "")
    assert (await refusal(presigned(expires=-1))).message == "X-Amz-Expires must be non-negative"


async def test_an_expired_s3_url_is_access_denied() -> None:
    request = signed(
        "GET", "http://localhost:4566/b/k%20k", b"", {"Host": "localhost:4566"}, "s3", botocore.auth.S3SigV4QueryAuth, expires=60
    )
    await check(request)
    late = await refusal(request, time.time() + 100)
    assert (late.code, late.message, late.status) == ("AccessDenied", "Request has expired", 403)


@pytest.mark.parametrize("name", ["X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Date", "X-Amz-Signature", "X-Amz-Algorithm"])
async def test_a_presigned_url_has_all_its_parameters(name: str) -> None:
    request = presigned()
    request.query = "&".join(part for part in request.query.split("&") if not part.startswith(name + "="))
    refused = await refusal(request)
    assert refused.code == "IncompleteSignature"
    assert refused.message == f"AWS query-string parameters must include '{name}'. Re-examine the query-string parameters."


def test_the_claimed_scope_is_read_without_a_check() -> None:
    assert claimed_scope(signed()) == ("us-east-1", "dynamodb")
    assert claimed_scope(presigned()) == ("us-east-1", "sts")
    assert claimed_scope(Request.of("GET", "/")) is None
    assert claimed_scope(Request.of("GET", "/", "", {"Authorization": "AWS4-HMAC-SHA256 Credential=x"})) is None


async def test_common_errors_are_what_codecs_know() -> None:
    assert isinstance(await refusal(signed(credentials=(KEY, "wrong", None))), CommonError)
