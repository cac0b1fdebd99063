"""Names of tables in requests: what is told of those that no table can have. A table may be called by its ARN as well."""

import re
from collections.abc import Iterator
from typing import Any

from haar.services.dynamodb.plain import is_name
from haar.wire.model import read
from haar.wire.validation import camel_case, render

PATTERN = "[a-zA-Z0-9_.-]+"
LENGTHS = (3, 255)
_NAME = re.compile(PATTERN, re.ASCII)
_KEYS = (
    f"Map keys must satisfy constraint: [Member must have length less than or equal to {LENGTHS[1]}, "
    f"Member must have length greater than or equal to {LENGTHS[0]}, Member must satisfy regular expression pattern: {PATTERN}]"
)


def is_table(name: str) -> bool:
    """Whether a table can be called so."""
    return is_name(name) or name.startswith("arn:")


def problems(member: str, name: str) -> list[str]:
    """What is wrong with a name at `member`, in the words of constraints."""
    if is_table(name):
        return []
    found = []
    if not _NAME.fullmatch(name):
        found.append(f"Member must satisfy regular expression pattern: {PATTERN}")
    if len(name) < LENGTHS[0]:
        found.append(f"Member must have length greater than or equal to {LENGTHS[0]}")
    if len(name) > LENGTHS[1]:
        found.append(f"Member must have length less than or equal to {LENGTHS[1]}")
    return [f"Value '{name}' at '{member}' failed to satisfy constraint: {each}" for each in found]


def inner_problems(operation: str, input: dict[str, Any]) -> Iterator[str]:
    """The same of the tables that a batch or a transaction names; the model itself says that none is empty."""
    requests = input.get("RequestItems")
    if requests is not None and any(name and not is_table(name) for name in requests):
        shape = read("dynamodb").input(operation)
        assert shape is not None
        shown = render(requests, dict(shape.members())["RequestItems"])
        yield f"Value '{shown}' at 'requestItems' failed to satisfy constraint: {_KEYS}"
    for at, action in enumerate(input.get("TransactItems") or (), 1):
        for kind, given in (action or {}).items():
            name = given.get("TableName") if given is not None else None
            if name:
                yield from problems(f"transactItems.{at}.member.{camel_case(kind)}.tableName", name)
