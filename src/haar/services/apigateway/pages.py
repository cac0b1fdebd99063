"""Pages of lists: `position` and `limit`, as API Gateway has them."""

import base64
from collections.abc import Callable, Sequence

from haar.services.apigateway import errors
from haar.services.apigateway.records import Doc
from haar.services.service import Input

DEFAULT_LIMIT = 25
MAX_LIMIT = 500


def page(items: Sequence[Doc], input: Input, key: Callable[[Doc], str]) -> Doc:
    """One page of items that are in order of `key`, which is unique among them."""
    limit = input.get("limit", DEFAULT_LIMIT)
    if limit < 1:
        raise errors.bad_request("Invalid limit specified")
    limit = min(limit, MAX_LIMIT)
    after = _decode(input["position"]) if input.get("position") else None
    rest = [item for item in items if after is None or key(item) > after]
    output: Doc = {"items": rest[:limit]}
    if len(rest) > limit:
        output["position"] = base64.urlsafe_b64encode(key(rest[limit - 1]).encode()).decode()
    return output


def _decode(position: str) -> str:
    try:
        return base64.urlsafe_b64decode(position).decode()
    except ValueError:
        raise errors.bad_request("Invalid position parameter specified") from None
