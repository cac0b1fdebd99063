"""Policy documents as IAM takes them: checked when stored, compiled once."""

from haar.policy.document import Policy, compile_policy
from haar.policy.errors import PolicyError
from haar.policy.validate import validate_identity_policy, validate_trust_policy
from haar.services.iam import errors
from haar.services.service import Host

COMPILED_BOUND = 1000
"""Compiled policies kept: by name and text."""

WHITE_SPACE = str.maketrans("", "", " \t\r\n")


def size(document: str) -> int:
    """Characters, white space not counted: what IAM's size quotas are of."""
    return len(document.translate(WHITE_SPACE))


def check_identity_policy(document: str, *, managed: bool = False) -> None:
    """Raises MalformedPolicyDocument."""
    try:
        validate_identity_policy(document, managed=managed)
    except PolicyError as error:
        raise errors.malformed(error.message) from None


def check_trust_policy(document: str) -> None:
    """Raises MalformedPolicyDocument."""
    try:
        validate_trust_policy(document)
    except PolicyError as error:
        raise errors.malformed(error.message) from None


class Compiler:
    """The host's compiled policies. A text is compiled once, however many hold it."""

    def __init__(self, host: Host) -> None:
        self._kept: dict[tuple[str, str], Policy] = {}

    def policy(self, document: str, name: str) -> Policy:
        found = self._kept.get((name, document))
        if found is None:
            found = compile_policy(document, name)
            if len(self._kept) >= COMPILED_BOUND:
                self._kept.clear()
            self._kept[name, document] = found
        return found
