"""Access key ids and secrets. The id carries its account, as AWS's do: GetAccessKeyInfo reads it back."""

import base64
import binascii

from haar.clock import Ids
from haar.services.iam.records import BASE64, SECRET_LENGTH
from haar.services.service import Host

BODY_BYTES = 10
ACCOUNT_SHIFT = 39
"""Bits behind the account: the key's own."""
ACCOUNT_BITS = 40


def key_id(host: Host, prefix: str) -> str:
    """`prefix` (AKIA, ASIA) and 16 characters of base32: a set bit, 40 bits of account, 39 random ones."""
    own = int.from_bytes(host.ids.bytes(8), "big") & ((1 << ACCOUNT_SHIFT) - 1)
    number = (1 << (ACCOUNT_BITS + ACCOUNT_SHIFT)) | (int(host.account) << ACCOUNT_SHIFT) | own
    return prefix + base64.b32encode(number.to_bytes(BODY_BYTES, "big")).decode()


def account_of(access_key_id: str) -> str | None:
    """The account that a key's id carries, or None when it is no key id."""
    try:
        number = int.from_bytes(base64.b32decode(access_key_id[4:20]), "big")
    except binascii.Error:
        return None
    account = (number >> ACCOUNT_SHIFT) & ((1 << ACCOUNT_BITS) - 1)
    return f"{account:012d}" if len(access_key_id) == 20 and account < 10**12 else None


def secret(ids: Ids) -> str:
    return ids.text(SECRET_LENGTH, BASE64)
