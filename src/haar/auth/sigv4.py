"""Signature Version 4: who signed this request, and is it as it was signed.

Headers, presigned queries and chunked bodies. Everything that depends on the caller's key and scope alone is remembered, so that the
usual request costs two hashes and one HMAC.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType

from haar.auth import errors
from haar.auth.canonical import S3_LIKE, canonical_headers, canonical_path, canonical_query, split_query
from haar.auth.chunked import Seed, decode_chunks
from haar.auth.principal import Authenticated, Credential, CredentialSource
from haar.wire.errors import CommonError, ServiceError
from haar.wire.http import Request

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
SKEW_SECONDS = 15 * 60
MAX_EXPIRES_SECONDS = 7 * 24 * 3600

SIGNING_KEYS = 4096
"""Derived signing keys that are kept."""
SCOPES = 1024
"""Authorization headers' constant parts that are kept parsed."""
MAX_KEPT_SCOPE = 1024
"""Characters of the longest one that is kept."""
DATES = 256

_REGION = re.compile(r"[a-z0-9-]{1,64}").fullmatch
"""It becomes a part of ARNs: what could be read as more than one part is no region."""

UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = sha256(b"").hexdigest()

HEADER_DETAILS: Mapping[str, str] = MappingProxyType({"s3:authType": "REST-HEADER", "s3:signatureversion": ALGORITHM})


@dataclass(frozen=True, slots=True)
class Scope:
    """What a signature says of itself."""

    key_id: str
    date: str
    region: str
    service: str
    text: str
    """`DATE/REGION/SERVICE/aws4_request`"""
    signed: tuple[str, ...]
    """The names of the signed headers, lower case, in order."""
    signed_text: str
    signs_target: bool
    """Whether `x-amz-target`, which says what is asked for, is among them."""


@lru_cache(maxsize=SIGNING_KEYS)
def signing_key(key_id: str, secret: str, date: str, region: str, service: str) -> bytes:
    """The key of one credential for one day, region and service."""
    key = hmac.digest(b"AWS4" + secret.encode(), date.encode(), "sha256")
    for part in (region, service, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


async def authenticate(request: Request, source: CredentialSource, now: float, *, service: str | None = None) -> Authenticated:
    """Who signed the request. `service` is the signing name that it must be scoped to; None takes any.

    A chunked body (`STREAMING-…`) is checked and replaced in `request.body` by what it carries; its trailers join `request.headers`.
    Raises CommonError: MissingAuthenticationToken, IncompleteSignature, UnrecognizedClient, ExpiredToken, SignatureDoesNotMatch, and
    AccessDenied for an expired presigned S3 URL.
    """
    header = request.headers.get("authorization")
    if header is not None:
        return await _by_header(request, header, source, now, service)
    if "X-Amz-Signature=" in request.query or "X-Amz-Algorithm=" in request.query:
        return await _by_query(request, source, now, service)
    raise errors.missing_token()


def body_digest(request: Request) -> str:
    """The body's SHA-256, in hexadecimal digits."""
    return request.hashed or sha256(request.body).hexdigest()


def claimed_scope(request: Request) -> tuple[str, str] | None:
    """(region, signing name) as the request claims them, unchecked: for routing, before its signature is verified."""
    header = request.headers.get("authorization", "")
    credential = ""
    if header.startswith("AWS4-"):
        credential = header.partition("Credential=")[2].partition(",")[0]
    elif "X-Amz-Credential=" in request.query:
        found = [value for name, value in split_query(request.query) if name == b"X-Amz-Credential"]
        credential = found[0].decode("utf-8", "replace") if found else ""
    parts = credential.strip().split("/")
    return (parts[-3], parts[-2]) if len(parts) >= 5 else None


async def _by_header(request: Request, header: str, source: CredentialSource, now: float, service: str | None) -> Authenticated:
    headers = request.headers
    date = headers.get("x-amz-date") or headers.get("date") or ""
    head, found, signature = header.rpartition(", Signature=")
    if not found or len(head) > MAX_KEPT_SCOPE:
        head, signature = _split_header(header, bool(date))
    if not date:
        raise errors.incomplete_header(header, frozenset(("Credential", "Signature", "SignedHeaders")), dated=False)
    scope = _parse_head(head)
    moment = _moment(date)
    if moment is None:
        raise errors.incomplete(f"Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601")
    if len(date) != 16:
        date = errors.amz_date(moment)
    _check_scope(scope, date, service)
    credential = await source.find(scope.key_id, headers.get("x-amz-security-token"))
    if credential is None:
        raise errors.unrecognized_client()
    if moment < now - SKEW_SECONDS:
        raise errors.signature_expired(date, now, SKEW_SECONDS)
    if moment > now + SKEW_SECONDS:
        raise errors.not_yet_current(date, now, SKEW_SECONDS)
    if credential.expires is not None and credential.expires <= now:
        raise errors.expired_token()
    claimed = headers.get("x-amz-content-sha256")
    body_hash = claimed or body_digest(request)
    query = canonical_query(split_query(request.query)) if request.query else ""
    _verify(request, scope, credential, date, signature, query, body_hash)
    if claimed is not None:
        _check_body(request, scope, credential, date, signature, claimed)
    return Authenticated(credential.principal, scope.region, scope.service, HEADER_DETAILS)


def _verify(request: Request, scope: Scope, credential: Credential, date: str, signature: str, query: str, body_hash: str) -> None:
    if not scope.signs_target and "x-amz-target" in request.headers:
        raise errors.incomplete("'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.")
    canonical = (
        f"{request.method}\n{canonical_path(request.path, scope.service)}\n{query}\n"
        f"{canonical_headers(request.headers, scope.signed)}\n{scope.signed_text}\n{body_hash}"
    )
    hashed = sha256(canonical.encode("latin-1", "replace")).hexdigest()
    key = signing_key(scope.key_id, credential.secret, scope.date, scope.region, scope.service)
    expected = hmac.digest(key, f"{ALGORITHM}\n{date}\n{scope.text}\n{hashed}".encode(), "sha256").hex()
    if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
        raise errors.mismatch()


def _check_body(request: Request, scope: Scope, credential: Credential, date: str, signature: str, claimed: str) -> None:
    """The body against the signed `x-amz-content-sha256`; decodes a chunked one."""
    if claimed.startswith("STREAMING-"):
        key = signing_key(scope.key_id, credential.secret, scope.date, scope.region, scope.service)
        decoded = decode_chunks(request.body, claimed, Seed(key, date, scope.text, signature))
        length = request.headers.get("x-amz-decoded-content-length")
        if length is not None and length != str(len(decoded.body)):
            raise ServiceError(
                "IncompleteBody", "You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header", 400
            )
        request.body = decoded.body
        request.headers.update(decoded.trailers)
    elif claimed != UNSIGNED and not hmac.compare_digest(claimed.encode("utf-8", "replace"), body_digest(request).encode()):
        if scope.service in S3_LIKE:
            raise ServiceError(
                "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.", 400
            )
        raise errors.mismatch()


def _split_header(header: str, dated: bool) -> tuple[str, str]:
    """The Authorization header in the usual order: everything but the signature, and the signature."""
    algorithm, _, rest = header.strip().partition(" ")
    values: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals:
            raise errors.no_equal_sign(header)
        values[name] = value.strip()
    wanted = ("Credential", "SignedHeaders", "Signature")
    if any(not values.get(name) for name in wanted):
        raise errors.incomplete_header(header, frozenset(name for name in wanted if values.get(name)), dated)
    return f"{algorithm} Credential={values['Credential']}, SignedHeaders={values['SignedHeaders']}", values["Signature"]


def _parse_head(head: str) -> Scope:
    return _kept_head(head) if len(head) <= MAX_KEPT_SCOPE else _read_head(head)


def _read_head(head: str) -> Scope:
    algorithm, _, rest = head.partition(" ")
    credential, comma, signed = rest.partition(",")
    signed = signed.strip()
    if algorithm != ALGORITHM:
        if algorithm.startswith("AWS"):
            raise errors.unsupported_algorithm(algorithm)
        raise errors.incomplete_header(head, frozenset(), dated=True)
    if not comma or not credential.startswith("Credential=") or not signed.startswith("SignedHeaders="):
        head, _ = _split_header(f"{head}, Signature=-", dated=True)
        _, _, rest = head.partition(" ")
        credential, _, signed = rest.partition(", ")
    return make_scope(credential.removeprefix("Credential="), signed.removeprefix("SignedHeaders="))


_kept_head = lru_cache(maxsize=SCOPES)(_read_head)


def make_scope(credential: str, signed: str) -> Scope:
    """The scope of `KEY/DATE/REGION/SERVICE/aws4_request` and `host;x-amz-date`. Raises IncompleteSignature."""
    parts = credential.strip().split("/")
    if len(parts) != 5:
        raise errors.incomplete(
            f"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential}'"
        )
    key_id, date, region, service, terminator = parts
    if terminator != TERMINATOR:
        raise errors.mismatch(f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'.")
    if region and not _REGION(region):
        raise errors.mismatch(f"Credential should be scoped to a valid region, not '{region}'. ")
    names = tuple(signed.lower().split(";"))
    if "host" not in names and ":authority" not in names:
        raise errors.incomplete("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    return Scope(key_id, date, region, service, f"{date}/{region}/{service}/{terminator}", names, signed, "x-amz-target" in names)


def _check_scope(scope: Scope, date: str, service: str | None) -> None:
    if scope.date != date[:8]:
        raise errors.mismatch(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{scope.date}' != '{date[:8]}', from '{date}'."
        )
    if not scope.region:
        raise errors.mismatch("Credential should be scoped to a valid region. ")
    if service is not None and scope.service != service:
        raise errors.mismatch(f"Credential should be scoped to correct service: '{service}'. ")


@lru_cache(maxsize=DATES)
def _moment(date: str) -> float | None:
    """Seconds since the epoch of `20150830T123600Z` or of an HTTP date; None for anything else."""
    if len(date) == 16 and date[8] == "T" and date[15] == "Z" and date[:8].isdecimal() and date[9:15].isdecimal():
        try:
            return datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            return None
    if len(date) > 40:
        return None
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


async def _by_query(request: Request, source: CredentialSource, now: float, service: str | None) -> Authenticated:
    pairs = split_query(request.query)
    given = {name.decode("latin-1"): value.decode("utf-8", "replace") for name, value in pairs if name.startswith(b"X-Amz-")}
    for name in ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"):
        if not given.get(name):
            raise errors.incomplete_query(name)
    if given["X-Amz-Algorithm"] != ALGORITHM:
        raise errors.unsupported_algorithm(given["X-Amz-Algorithm"])
    scope = make_scope(given["X-Amz-Credential"], given["X-Amz-SignedHeaders"])
    date = given["X-Amz-Date"]
    moment = _moment(date)
    if moment is None or len(date) != 16:
        raise errors.incomplete(f"Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601")
    _check_scope(scope, date, service)
    expires = _expires(given.get("X-Amz-Expires"))
    credential = await source.find(scope.key_id, given.get("X-Amz-Security-Token"))
    if credential is None:
        raise errors.unrecognized_client()
    is_s3 = scope.service in S3_LIKE
    if moment + expires < now:
        if is_s3:
            raise CommonError("AccessDenied", "Request has expired", 403)
        raise errors.signature_expired(date, now, expires)
    if moment > now + SKEW_SECONDS:
        raise errors.not_yet_current(date, now, SKEW_SECONDS)
    if credential.expires is not None and credential.expires <= now:
        raise errors.expired_token()
    claimed = given.get("X-Amz-Content-Sha256") or request.headers.get("x-amz-content-sha256") or (UNSIGNED if is_s3 else None)
    query = canonical_query([pair for pair in pairs if pair[0] != b"X-Amz-Signature"])
    body_hash = claimed or body_digest(request)
    _verify(request, scope, credential, date, given["X-Amz-Signature"], query, body_hash)
    if claimed is not None:
        _check_body(request, scope, credential, date, given["X-Amz-Signature"], claimed)
    details = {
        "s3:authType": "REST-QUERY-STRING",
        "s3:signatureversion": ALGORITHM,
        "s3:signatureAge": str(max(0, int((now - moment) * 1000))),
    }
    return Authenticated(credential.principal, scope.region, scope.service, details)


def _expires(text: str | None) -> int:
    """The life of a presigned request in seconds."""
    if text is None:
        return SKEW_SECONDS
    if not text.removeprefix("-").isdecimal() or len(text) > 20:
        raise errors.incomplete("X-Amz-Expires should be a number")
    if text.startswith("-"):
        raise errors.incomplete("X-Amz-Expires must be non-negative")
    if int(text) > MAX_EXPIRES_SECONDS:
        raise errors.incomplete(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"
        )
    return int(text)
