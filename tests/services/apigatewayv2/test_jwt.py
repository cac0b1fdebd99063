"""Tokens: form, signature, claims."""

import base64
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from haar.auth import jwt

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8))


def jwks() -> dict[str, Any]:
    public, point = RSA.public_key().public_numbers(), EC.public_key().public_numbers()
    return {
        "keys": [
            {"kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": number(public.n), "e": number(public.e)},
            {"kty": "EC", "kid": "e", "crv": "P-256", "x": b64(point.x.to_bytes(32)), "y": b64(point.y.to_bytes(32))},
            {"kty": "oct", "kid": "o", "k": "c2VjcmV0"},
            {"kty": "RSA", "kid": "enc", "use": "enc", "n": number(public.n), "e": number(public.e)},
        ]
    }


def sign(claims: dict[str, Any], algorithm: str = "RS256", kid: str = "r") -> str:
    head = b64(json.dumps({"alg": algorithm, "kid": kid}).encode()) + "." + b64(json.dumps(claims).encode())
    if algorithm == "ES256":
        both = decode_dss_signature(EC.sign(head.encode(), ec.ECDSA(hashes.SHA256())))
        signature = both[0].to_bytes(32) + both[1].to_bytes(32)
    else:
        signature = RSA.sign(head.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{head}.{b64(signature)}"


@pytest.mark.parametrize(("algorithm", "kid"), [("RS256", "r"), ("ES256", "e")])
def test_signatures(algorithm: str, kid: str) -> None:
    keys = jwt.keys_of(jwks())
    token = jwt.decode(sign({"sub": "me"}, algorithm, kid))
    assert token.key_id == kid
    keys[kid].check(token)
    head, _, signature = sign({"sub": "me"}, algorithm, kid).split(".")
    with pytest.raises(jwt.BadToken):
        keys[kid].check(jwt.decode(f"{head}.{b64(json.dumps({'sub': 'you'}).encode())}.{signature}"))


def test_only_keys_for_signatures_are_used() -> None:
    assert set(jwt.keys_of(jwks())) == {"r", "e"}


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS512", "ES256", "PS256", ""])
def test_the_key_decides_the_algorithm(algorithm: str) -> None:
    head = b64(json.dumps({"alg": algorithm, "kid": "r"}).encode()) + "." + b64(b"{}")
    with pytest.raises(jwt.BadToken):
        jwt.keys_of(jwks())["r"].check(jwt.decode(head + "." + b64(b"x" * 64)))


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "!.!.!", f"{b64(b'[]')}.{b64(b'{}')}.", "x" * 20_000])
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(jwt.BadToken):
        jwt.decode(text)


NOW = time.time()
GOOD = {"iss": "https://i", "aud": "a", "exp": NOW + 60}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, None),
        ({"aud": ["x", "a"]}, None),
        ({"aud": None, "client_id": "a"}, "audience"),
        ({"iss": "https://other"}, "issuer"),
        ({"aud": "b"}, "audience"),
        ({"exp": NOW - 1}, "expired"),
        ({"exp": "later"}, "expired"),
        ({"nbf": NOW + 60}, "not valid yet"),
        ({"iat": NOW + 60}, "in the future"),
        ({"nbf": NOW - 1, "iat": NOW - 1}, None),
    ],
)
def test_claims(change: dict[str, Any], problem: str | None) -> None:
    if problem is None:
        jwt.check_claims(GOOD | change, "https://i", ["a"], NOW)
        return
    with pytest.raises(jwt.BadToken, match=problem):
        jwt.check_claims(GOOD | change, "https://i", ["a"], NOW)


def test_a_client_id_stands_for_a_missing_audience() -> None:
    claims = {"iss": "https://i", "client_id": "a", "exp": NOW + 60}
    jwt.check_claims(claims, "https://i", ["a"], NOW)
    with pytest.raises(jwt.BadToken, match="audience"):
        jwt.check_claims(claims, "https://i", ["b"], NOW)


def test_scopes_and_claims_as_texts() -> None:
    assert jwt.scopes_of({"scope": "a b"}) == ["a", "b"]
    assert jwt.scopes_of({"scp": ["a"]}) == ["a"]
    assert [jwt.shown(one) for one in ("x", 1, True, ["a", 2], {"k": 1})] == ["x", "1", "true", "[a 2]", '{"k":1}']
