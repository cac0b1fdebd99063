"""Why a request was not authenticated, in AWS's words."""

import base64
import hashlib
from datetime import UTC, datetime

from haar.wire.errors import CommonError

MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. "
    "Consult the service documentation for details."
)


def missing_token() -> CommonError:
    return CommonError("MissingAuthenticationToken", None)  # each protocol has a text of its own


def unrecognized_client() -> CommonError:
    return CommonError("UnrecognizedClient", "The security token included in the request is invalid.")


def expired_token() -> CommonError:
    return CommonError("ExpiredToken", "The security token included in the request is expired")


def mismatch(message: str = MISMATCH) -> CommonError:
    return CommonError("SignatureDoesNotMatch", message)


def incomplete(message: str) -> CommonError:
    return CommonError("IncompleteSignature", message)


def incomplete_header(header: str, present: frozenset[str], dated: bool) -> CommonError:
    """An Authorization header without the parameters that it must have."""
    said = [
        f"Authorization header requires '{name}' parameter." for name in ("Credential", "Signature", "SignedHeaders") if name not in present
    ]
    if not dated:
        said.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    return incomplete(f"{' '.join(said)} (Hashed with SHA-256 and encoded with Base64) Authorization={_hashed(header)}")


def no_equal_sign(header: str) -> CommonError:
    return incomplete(
        "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): "
        f"'{_hashed(header.partition(' ')[2] or header)}'."
    )


def _hashed(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8", "replace")).digest()).decode()


def incomplete_query(missing: str) -> CommonError:
    return incomplete(f"AWS query-string parameters must include '{missing}'. Re-examine the query-string parameters.")


def unsupported_algorithm(algorithm: str) -> CommonError:
    if algorithm.startswith("AWS4-ECDSA"):
        return incomplete(
            f"Unsupported AWS 'algorithm': '{algorithm}'. Signature Version 4A is not supported here; sign with AWS4-HMAC-SHA256."
        )
    return incomplete(f"Unsupported AWS 'algorithm': '{algorithm}'.")


def signature_expired(date: str, now: float, seconds: int) -> CommonError:
    earliest = amz_date(now - seconds)
    return mismatch(f"Signature expired: {date} is now earlier than {earliest} ({amz_date(now)} - {_minutes(seconds)}.)")


def not_yet_current(date: str, now: float, seconds: int) -> CommonError:
    latest = amz_date(now + seconds)
    return mismatch(f"Signature not yet current: {date} is still later than {latest} ({amz_date(now)} + {_minutes(seconds)}.)")


def _minutes(seconds: int) -> str:
    return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} sec"


def amz_date(moment: float) -> str:
    """`20150830T123600Z`."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y%m%dT%H%M%SZ")
