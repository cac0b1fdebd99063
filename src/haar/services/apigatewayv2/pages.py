"""Pages of lists: `NextToken` and `MaxResults`, which is a text here."""

import base64
from collections.abc import Callable, Sequence

from haar.services.apigatewayv2 import errors
from haar.services.apigatewayv2.records import Doc
from haar.services.service import Input

DEFAULT_RESULTS = 100
MAX_RESULTS = 500


def page(items: Sequence[Doc], input: Input, key: Callable[[Doc], str]) -> Doc:
    """One page of items that are in order of `key`, which is unique among them."""
    limit = _limit(input.get("MaxResults"))
    after = _decode(input["NextToken"]) if input.get("NextToken") else None
    rest = [item for item in items if after is None or key(item) > after]
    output: Doc = {"Items": rest[:limit]}
    if len(rest) > limit:
        output["NextToken"] = base64.urlsafe_b64encode(key(rest[limit - 1]).encode()).decode()
    return output


def of(member: str) -> Callable[[Doc], str]:
    return lambda doc: str(doc[member])


def _limit(value: str | None) -> int:
    if value is None:
        return DEFAULT_RESULTS
    if not value.isdecimal() or int(value) < 1:
        raise errors.bad_request("Invalid value for maxResults")
    return min(int(value), MAX_RESULTS)


def _decode(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode()
    except ValueError:
        raise errors.bad_request("Invalid value for nextToken") from None
