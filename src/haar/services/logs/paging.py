"""Lists of what a group has: limit, nextToken."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from haar.services.logs.errors import bad_token
from haar.services.service import Input

T = TypeVar("T")
DEFAULT = 50


def page(items: Sequence[T], input: Input, name: Callable[[T], str]) -> tuple[list[T], dict[str, str]]:
    """The page of items (sorted by their names, which tokens are) that is asked for, and the token of the next."""
    after, limit = input.get("nextToken"), input.get("limit", DEFAULT)
    left = [each for each in items if after is None or name(each) > after]
    return list(left[:limit]), {"nextToken": name(left[limit - 1])} if len(left) > limit else {}


def offset(token: str | None) -> int:
    """How many were answered before, where a token says that. Raises InvalidParameterException."""
    if token is None:
        return 0
    try:
        return max(0, int(b64decode(token, validate=True)))
    except ValueError:
        raise bad_token() from None


def onward(start: int, most: int, count: int) -> dict[str, str]:
    """The token of what comes behind a page of `most` from `start` on, if there is anything."""
    return {"nextToken": b64encode(b"%d" % (start + most)).decode()} if start + most < count else {}


def described(pairs: dict[str, Any]) -> dict[str, Any]:
    """Without what is not there."""
    return {name: value for name, value in pairs.items() if value is not None}
