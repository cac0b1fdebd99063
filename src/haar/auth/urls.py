"""Signatures of the platform's own URLs (downloads of function code), valid until a moment and for one path."""

import hmac


def platform_url_signature(secret: bytes, path: str, expires: int) -> str:
    """The signature of `path` until `expires` (seconds since the epoch), in hex."""
    key = hmac.digest(secret, b"haar platform urls 1", "sha256")
    return hmac.digest(key, f"{expires}\n{path}".encode(), "sha256").hex()


def verify_platform_url(secret: bytes, path: str, expires: int, signature: str, now: float) -> bool:
    """Whether the signature is that of this path and has not expired."""
    expected = platform_url_signature(secret, path, expires)
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")) and now < expires
