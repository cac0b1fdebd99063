"""The algebra of canonical sets."""

from base64 import b64decode
from decimal import Decimal


def union(kind: str, left: list[str], right: list[str]) -> list[str]:
    """Both, in canonical order; `kind` is SS, NS or BS."""
    return ordered(kind, {*left, *right})


def difference(left: list[str], right: list[str]) -> list[str]:
    """What of `left` is not in `right`, in the order of `left`."""
    gone = set(right)
    return [each for each in left if each not in gone]


def ordered(kind: str, members: set[str]) -> list[str]:
    if kind == "SS":
        return sorted(members)
    return sorted(members, key=Decimal if kind == "NS" else b64decode)
