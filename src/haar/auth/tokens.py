"""Session tokens: the whole session sealed into the token, so that nothing is stored for it."""

import base64
import binascii
import hmac
import os
import zlib

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from haar.auth.principal import Credential, Kind, Principal

HEAD = b"\x17\x0a\x04haar\x01"
"""The first bytes of every token: recognises haar's own, and their format."""
NONCE_BYTES = 12
MAX_TOKEN = 16 * 1024
"""Characters of the longest token that is looked at."""
MAX_CLAIMS = 64 * 1024
"""Bytes of the largest session that is unpacked."""


class SessionClaims(msgspec.Struct, frozen=True, array_like=True):
    """What a session is: its keys, its life (seconds since the epoch) and the fields of its principal."""

    access_key_id: str
    secret_key: str
    issued: float
    expires: float
    kind: Kind
    account: str
    arn: str
    id: str
    name: str = ""
    session_name: str = ""
    role_arn: str = ""
    session_policies: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    mfa: bool = False
    source_identity: str = ""
    transitive_tags: tuple[str, ...] = ()
    conditions: tuple[tuple[str, str], ...] = ()

    def principal(self) -> Principal:
        return Principal(
            kind=self.kind,
            account=self.account,
            arn=self.arn,
            id=self.id,
            name=self.name,
            access_key_id=self.access_key_id,
            session_name=self.session_name,
            role_arn=self.role_arn,
            session_policies=self.session_policies,
            tags=self.tags,
            issued=self.issued,
            mfa=self.mfa,
            source_identity=self.source_identity,
            transitive_tags=self.transitive_tags,
            conditions=self.conditions,
        )

    def credential(self) -> Credential:
        return Credential(self.access_key_id, self.secret_key, self.principal(), self.expires)


def claims_of(principal: Principal, *, access_key_id: str, secret_key: str, issued: float, expires: float) -> SessionClaims:
    """The claims of a session of this principal."""
    return SessionClaims(
        access_key_id=access_key_id,
        secret_key=secret_key,
        issued=issued,
        expires=expires,
        kind=principal.kind,
        account=principal.account,
        arn=principal.arn,
        id=principal.id,
        name=principal.name,
        session_name=principal.session_name,
        role_arn=principal.role_arn,
        session_policies=principal.session_policies,
        tags=principal.tags,
        mfa=principal.mfa,
        source_identity=principal.source_identity,
        transitive_tags=principal.transitive_tags,
        conditions=principal.conditions,
    )


def seal(secret: bytes, claims: SessionClaims, nonce: bytes | None = None) -> str:
    """A token of these claims; `nonce` (12 bytes, never used twice) is random when not given."""
    nonce = os.urandom(NONCE_BYTES) if nonce is None else nonce
    packed = zlib.compress(msgspec.msgpack.encode(claims))
    return base64.b64encode(HEAD + nonce + _cipher(secret).encrypt(nonce, packed, HEAD)).decode()


def open(secret: bytes, token: str) -> SessionClaims | None:
    """The claims of a token that was sealed under this secret, else None. Whether it has expired is the caller's to see."""
    if not 0 < len(token) <= MAX_TOKEN:
        return None
    try:
        raw = base64.b64decode(token, validate=True)
    except (binascii.Error, ValueError):
        return None
    if not raw.startswith(HEAD):
        return None
    nonce, sealed = raw[len(HEAD) : len(HEAD) + NONCE_BYTES], raw[len(HEAD) + NONCE_BYTES :]
    if len(nonce) != NONCE_BYTES:
        return None
    try:
        packed = _cipher(secret).decrypt(nonce, sealed, HEAD)
    except InvalidTag:
        return None
    # Sealed by us, so what follows can only fail for a token of another version of haar.
    unpacker = zlib.decompressobj()
    try:
        return msgspec.msgpack.decode(unpacker.decompress(packed, MAX_CLAIMS), type=SessionClaims)
    except (zlib.error, msgspec.DecodeError):
        return None


def _cipher(secret: bytes) -> AESGCM:
    # A key of its own: the platform's secret signs URLs as well.
    return AESGCM(hmac.digest(secret, b"haar session tokens 1", "sha256"))
