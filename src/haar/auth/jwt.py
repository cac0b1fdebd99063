"""JSON Web Tokens: their form, signature and claims. Pure.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

MAX_TOKEN = 16 * 1024
MIN_RSA_BITS = 1024
_HASHES: Mapping[str, type[hashes.SHA256] | type[hashes.SHA384] | type[hashes.SHA512]] = {
    "256": hashes.SHA256,
    "384": hashes.SHA384,
    "512": hashes.SHA512,
}
_CURVES: Mapping[str, tuple[str, type[ec.SECP256R1] | type[ec.SECP384R1] | type[ec.SECP521R1], int]] = {
    "P-256": ("ES256", ec.SECP256R1, 32),
    "P-384": ("ES384", ec.SECP384R1, 48),
    "P-521": ("ES512", ec.SECP521R1, 66),
}

Claims = dict[str, Any]


class BadToken(Exception):
    """The token is not to be believed; says why, for the client."""


@dataclass(frozen=True, slots=True)
class Token:
    algorithm: str
    key_id: str | None
    claims: Claims
    signed: bytes
    signature: bytes


def decode(text: str) -> Token:
    """A token as it is written, not believed yet. Raises BadToken."""
    parts = text.split(".")
    if len(text) > MAX_TOKEN or len(parts) != 3:
        raise BadToken("token contains an invalid number of segments")
    try:
        header, claims = orjson.loads(_base64(parts[0])), orjson.loads(_base64(parts[1]))
        signature = _base64(parts[2])
    except (orjson.JSONDecodeError, binascii.Error, ValueError):
        raise BadToken("the token is malformed") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise BadToken("the token is malformed")
    key_id = header.get("kid")
    return Token(str(header.get("alg")), key_id if isinstance(key_id, str) else None, claims, f"{parts[0]}.{parts[1]}".encode(), signature)


def _base64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


class Key:
    """One public key of an issuer. Raises ValueError for one that cannot be used."""

    def __init__(self, jwk: Mapping[str, Any]) -> None:
        self.algorithm: str | None = jwk.get("alg")
        kind = jwk.get("kty")
        self._curve: tuple[str, int] | None = None
        self._public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
        if jwk.get("use", "sig") != "sig":
            raise ValueError("the key is not for signatures")
        if kind == "RSA":
            self._public = rsa.RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"])).public_key()
            if self._public.key_size < MIN_RSA_BITS:
                raise ValueError("the key is too short")
        elif kind == "EC" and jwk.get("crv") in _CURVES:
            algorithm, curve, size = _CURVES[jwk["crv"]]
            self._public = ec.EllipticCurvePublicNumbers(_number(jwk["x"]), _number(jwk["y"]), curve()).public_key()
            self._curve = (algorithm, size)
        else:
            raise ValueError("the key is of a kind that is not known")

    def check(self, token: Token) -> None:
        """Raises BadToken unless the token is signed with this key. The key decides which algorithms may be: the token is a stranger's."""
        algorithm = token.algorithm
        if self.algorithm is not None and self.algorithm != algorithm:
            raise BadToken(f"signing method {algorithm} is invalid")
        made = _HASHES.get(algorithm[2:])
        try:
            if isinstance(self._public, rsa.RSAPublicKey):
                if algorithm[:2] != "RS" or made is None:
                    raise BadToken(f"signing method {algorithm} is invalid")
                self._public.verify(token.signature, token.signed, padding.PKCS1v15(), made())
                return
            assert self._curve is not None
            named, size = self._curve
            if algorithm != named or made is None or len(token.signature) != 2 * size:
                raise BadToken(f"signing method {algorithm} is invalid")
            both = int.from_bytes(token.signature[:size]), int.from_bytes(token.signature[size:])
            self._public.verify(encode_dss_signature(*both), token.signed, ec.ECDSA(made()))
        except InvalidSignature:
            raise BadToken("the token signature is invalid") from None


def _number(text: Any) -> int:
    try:
        return int.from_bytes(_base64(str(text)))
    except binascii.Error:
        raise ValueError("the key is not base64") from None


def keys_of(document: Any) -> dict[str, Key]:
    """The usable keys of a JWKS by their ids."""
    found: dict[str, Key] = {}
    for jwk in document.get("keys", ()) if isinstance(document, dict) else ():
        if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str):
            continue
        try:
            found[jwk["kid"]] = Key(jwk)
        except (KeyError, ValueError):
            continue  # a key for another purpose, or of another kind: others of the set may do
    return found


def check_claims(claims: Claims, issuer: str, audiences: list[str], now: float) -> None:
    """Raises BadToken unless the claims hold for this issuer, one of the audiences, and now."""
    if claims.get("iss") != issuer:
        raise BadToken("the token does not have a valid issuer")
    audience = claims["aud"] if "aud" in claims else claims.get("client_id")
    given = audience if isinstance(audience, list) else [audience]
    if not any(one in audiences for one in given):
        raise BadToken("the token does not have a valid audience")
    expires = claims.get("exp")
    if expires is None or not _is_time(expires) or expires <= now:
        raise BadToken("the token has expired")
    for claim in ("nbf", "iat"):
        if claim in claims and (not _is_time(claims[claim]) or claims[claim] > now):
            raise BadToken("the token is not valid yet" if claim == "nbf" else "the token was issued in the future")


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def scopes_of(claims: Claims) -> list[str]:
    value = claims["scope"] if "scope" in claims else claims.get("scp")
    if isinstance(value, str):
        return value.split()
    return [str(one) for one in value] if isinstance(value, list) else []


def shown(value: Any) -> str:
    """A claim as events have it: a text, whatever it was."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "[" + " ".join(shown(one) for one in value) + "]"
    return orjson.dumps(value).decode()
