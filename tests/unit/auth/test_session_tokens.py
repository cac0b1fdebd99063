"""Session tokens say what was sealed into them, and nothing else opens them."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haar.auth import tokens
from haar.auth.principal import Principal
from haar.auth.urls import platform_url_signature, verify_platform_url

SECRET = b"s" * 32
SESSION = Principal(
    kind="assumed-role",
    account="123456789012",
    arn="arn:aws:sts::123456789012:assumed-role/reader/s1",
    id="AROAX:s1",
    name="reader",
    access_key_id="ASIAX",
    session_name="s1",
    role_arn="arn:aws:iam::123456789012:role/team/reader",
    session_policies=('{"Version":"2012-10-17","Statement":[]}',),
    tags=(("team", "a"),),
    issued=1000.0,
    mfa=True,
    source_identity="alice",
    transitive_tags=("team",),
)


def claims() -> tokens.SessionClaims:
    return tokens.claims_of(SESSION, access_key_id="ASIAX", secret_key="secret", issued=1000.0, expires=4600.0)


def test_what_is_sealed_is_opened() -> None:
    opened = tokens.open(SECRET, tokens.seal(SECRET, claims()))
    assert opened == claims()
    credential = opened.credential()
    assert (credential.principal, credential.secret, credential.expires) == (SESSION, "secret", 4600.0)


def test_a_token_looks_like_one_of_awss() -> None:
    token = tokens.seal(SECRET, claims())
    assert re.fullmatch(r"[A-Za-z0-9+/]{100,2000}={0,2}", token)
    assert "secret" not in token
    assert tokens.seal(SECRET, claims()) != token, "no two tokens are alike"


def test_another_secret_opens_nothing() -> None:
    assert tokens.open(b"t" * 32, tokens.seal(SECRET, claims())) is None


@given(st.data())
def test_a_changed_token_is_none(data: st.DataObject) -> None:
    raw = bytearray(base64.b64decode(tokens.seal(SECRET, claims(), b"n" * 12)))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    assert tokens.open(SECRET, base64.b64encode(bytes(raw)).decode()) is None


@pytest.mark.parametrize("token", ["", "made-up", "é", "A" * 100_000, base64.b64encode(tokens.HEAD).decode(), "IQoJb3JpZ2luX2VjEA=="])
def test_what_is_no_token_is_none(token: str) -> None:
    assert tokens.open(SECRET, token) is None


def test_a_platform_url_is_for_one_path_and_until_a_moment() -> None:
    signature = platform_url_signature(SECRET, "/code/f", 2000)
    assert verify_platform_url(SECRET, "/code/f", 2000, signature, 1999.0)
    assert not verify_platform_url(SECRET, "/code/f", 2000, signature, 2000.0)
    assert not verify_platform_url(SECRET, "/code/g", 2000, signature, 1999.0)
    assert not verify_platform_url(SECRET, "/code/f", 2001, signature, 1999.0)
    assert not verify_platform_url(b"t" * 32, "/code/f", 2000, signature, 1999.0)
    assert not verify_platform_url(SECRET, "/code/f", 2000, "é", 1999.0)
