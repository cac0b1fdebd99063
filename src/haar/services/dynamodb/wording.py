"""AWS's wording of constraint errors where it differs from the order of the model: members of enumerations, and which error comes first."""

import re
from itertools import groupby

from haar.wire.errors import ServiceError

_ENUMS = (
    "INDEXES, TOTAL, NONE",
    "SIZE, NONE",
    "ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW",
    "OR, AND",
    "IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS",
    "SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES",
    "B, N, S",
    "ALL, INCLUDE, KEYS_ONLY",
)
_BY_MEMBERS = {frozenset(text.split(", ")): text for text in _ENUMS}
_MEMBERS = (
    "returnConsumedCapacity",
    "attributesToGet",
    "attributeDefinitions",
    "tableName",
    "returnItemCollectionMetrics",
    "returnValues",
    "item",
    "key",
    "conditionalOperator",
    "expected",
    "billingMode",
    "provisionedThroughput",
    "keySchema",
)
_ENUM = re.compile(r"(?<=enum value set: \[)[A-Z_, ]+(?=\])")
_MEMBER = re.compile(r" at '([a-zA-Z]+)")
_PATTERN = "regular expression pattern"
"""What a value does not match is told before its length."""
_BETWEEN = re.compile(r"; (?=Value )")
_FAILED = " failed to satisfy constraint: "


def problems_of(operation: str, error: ServiceError) -> list[str]:
    """The single problems that a constraint error tells, in AWS's words and order."""
    text = (error.message or "").partition(": ")[2]
    text = _ENUM.sub(lambda found: _BY_MEMBERS.get(frozenset(found[0].split(", ")), found[0]), text)
    grouped = groupby(_BETWEEN.split(text), lambda problem: problem.partition(" failed to satisfy")[0])
    found = [problem for _, group in grouped for problem in sorted(group, key=lambda problem: _PATTERN not in problem)]
    return [_reworded(operation, problem) for problem in found]


def _reworded(operation: str, problem: str) -> str:
    """What single operations tell otherwise."""
    if operation in ("PutItem", "UpdateItem", "DeleteItem") and " at 'returnItemCollectionMetrics' failed" in problem:
        return "ReturnItemCollectionMetrics can only be SIZE or NONE"
    if operation == "BatchGetItem":
        # Parted from the end, not by a pattern: the value may be long, and of whatever its sender likes.
        where, _, constraint = problem.rpartition(_FAILED)
        member = where.rpartition(" at '")[2]
        if constraint.startswith("Member must have length"):
            if member == "requestItems'":
                return f"Value at 'RequestItems'{_FAILED}{constraint}"
            if member.endswith(".keys'"):
                return f"Value at 'R{member[1:-6]}.Keys'{_FAILED}{constraint}"
    return problem


def joined(problems: list[str]) -> str:
    """`2 validation errors detected: …`"""
    ordered = sorted(problems, key=_rank)
    return f"{len(ordered)} validation error{'s' if len(ordered) > 1 else ''} detected: {'; '.join(ordered)}"


def _rank(problem: str) -> tuple[int, bool]:
    found = _MEMBER.search(problem)
    at = _MEMBERS.index(found[1]) if found is not None and found[1] in _MEMBERS else len(_MEMBERS)
    return at, " at 'provisionedThroughput.readCapacityUnits' failed" in problem
