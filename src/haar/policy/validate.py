"""What IAM refuses when a policy is stored, in the words of MalformedPolicyDocument."""

from typing import Any

import orjson

from haar.policy.conditions import compile_conditions
from haar.policy.errors import PolicyError

__all__ = ["PolicyError", "validate_identity_policy", "validate_resource_policy", "validate_trust_policy"]

SYNTAX = "Syntax errors in policy."


def validate_identity_policy(text: str, *, managed: bool = False) -> None:
    """A policy of a user, group or role, or (`managed`) one of its own, which must have the current version. Raises PolicyError."""
    _document(text)


def validate_trust_policy(text: str) -> None:
    """A role's trust policy. Raises PolicyError."""
    _document(text)


def validate_resource_policy(text: str) -> None:
    """A policy of a resource. Raises PolicyError."""
    _document(text)


def _document(text: str) -> dict[str, Any]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise PolicyError(SYNTAX) from None
    if not isinstance(document, dict):
        raise PolicyError(SYNTAX)
    for statement in document.get("Statement", []):
        compile_conditions(statement.get("Condition", {}), True)
    return document
