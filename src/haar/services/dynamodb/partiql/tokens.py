"""NextToken: where a SELECT goes on, sealed, and only for the statement and parameters that it was given for."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from binascii import Error
from typing import Any

import orjson

from haar.services.dynamodb import errors
from haar.services.dynamodb.partiql.check import OTHER_REQUEST
from haar.services.dynamodb.values import Item
from haar.services.service import Context

DIGEST_BYTES = 16
SEAL_BYTES = 16


def made(ctx: Context, input: dict[str, Any], last: Item) -> str:
    """The token to go on behind the key `last`."""
    content = _digest(ctx, input) + orjson.dumps(last)
    return b64encode(_seal(ctx, content) + content).decode()


def key_of(ctx: Context, input: dict[str, Any]) -> Item | None:
    """The key that the request's NextToken goes on behind. Raises ValidationException for one that was not made for this request."""
    token = input.get("NextToken")
    if token is None:
        return None
    try:
        data = b64decode(token, validate=True)
    except (Error, ValueError):
        raise errors.validation(OTHER_REQUEST) from None
    content = data[SEAL_BYTES:]
    if not hmac.compare_digest(data[:SEAL_BYTES], _seal(ctx, content)) or content[:DIGEST_BYTES] != _digest(ctx, input):
        raise errors.validation(OTHER_REQUEST)
    key: Item = orjson.loads(content[DIGEST_BYTES:])
    return key


def _seal(ctx: Context, content: bytes) -> bytes:
    return hashlib.blake2b(content, key=ctx.host.secret, digest_size=SEAL_BYTES, person=b"partiql").digest()


def _digest(ctx: Context, input: dict[str, Any]) -> bytes:
    asked = orjson.dumps([ctx.region, input["Statement"], input.get("Parameters") or []], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(asked, digest_size=DIGEST_BYTES).digest()
