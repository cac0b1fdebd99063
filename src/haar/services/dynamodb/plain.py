"""Requests that keep every constraint of the model, told at a glance by the members that are there: nearly all of them.

The model's own checks (`haar.wire.validation`) look at every member that could be there; they follow where this says no, and word
what is wrong.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from haar.services.dynamodb.limits import ATTRIBUTE_NAME_BYTES

TABLE_NAME = re.compile(r"[a-zA-Z0-9_.-]{3,255}", re.ASCII)
KNOWN_NAMES = 4096
"""Names of tables and indexes that are remembered as well formed."""
UNBOUND = frozenset(
    (
        "ConditionExpression",
        "ConsistentRead",
        "ExpressionAttributeValues",
        "FilterExpression",
        "KeyConditionExpression",
        "ProjectionExpression",
        "ScanIndexForward",
        "UpdateExpression",
    )
)
"""Members that the model constrains in no way."""
NEEDED = {
    "GetItem": ("TableName", "Key"),
    "PutItem": ("TableName", "Item"),
    "UpdateItem": ("TableName", "Key"),
    "DeleteItem": ("TableName", "Key"),
    "Query": ("TableName",),
    "Scan": ("TableName",),
}


@lru_cache(maxsize=KNOWN_NAMES)
def is_name(text: str) -> bool:
    """Whether a table or index can be called so."""
    return TABLE_NAME.fullmatch(text) is not None


def _are_short(texts: Iterable[str]) -> bool:
    return max(map(len, texts), default=0) <= ATTRIBUTE_NAME_BYTES


_HOLDS: dict[str, Callable[[Any], bool]] = {
    "TableName": is_name,
    "IndexName": is_name,
    "Key": _are_short,
    "Item": _are_short,
    "ExclusiveStartKey": _are_short,
    "ExpressionAttributeNames": lambda names: _are_short(names.values()),
    "Limit": lambda limit: limit > 0,
    "ReturnConsumedCapacity": frozenset(("INDEXES", "TOTAL", "NONE")).__contains__,
    "ReturnValues": frozenset(("ALL_NEW", "ALL_OLD", "NONE", "UPDATED_NEW", "UPDATED_OLD")).__contains__,
}


def is_plain(operation: str, input: Mapping[str, Any]) -> bool:
    """Whether the model's constraints certainly hold; no says nothing."""
    needed = NEEDED.get(operation)
    if needed is None:
        return False
    for name in needed:
        if name not in input:
            return False
    for name, value in input.items():
        if name not in UNBOUND:
            holds = _HOLDS.get(name)
            if holds is None or not holds(value):
                return False
    return True
