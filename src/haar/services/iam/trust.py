"""Trust policies: their principals are people and roles, not names.

A user or role that a trust policy names is remembered by its unique id. When it is deleted, or another one has taken its name, the policy
shows the id in its place and trusts nobody by it.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from haar.services.iam import errors
from haar.services.iam.entities import find, find_by_id
from haar.services.iam.records import Role, User
from haar.store.contract import Reader

ACCOUNT = re.compile(r"\d{12}")
UNIQUE_ID = re.compile(r"A(ID|RO)A[A-Z0-9]{8,}")
ARN = re.compile(
    r"arn:aws[a-z-]*:(iam|sts)::(\d{12}):(root|(user|role)(/[!-~]*?/|/)([\w+=,.@-]+)|(assumed-role|federated-user)/[\w+=,.@/-]+)"
)
SERVICE = re.compile(r"[A-Za-z0-9._-]+\.(amazonaws\.com(\.cn)?|amazon\.com|aws\.internal)")
FEDERATED = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(saml-provider|oidc-provider)/[!-~]+|[A-Za-z0-9.-]+(/[!-~]*)?")


async def stored(reader: Reader, account: str, document: str) -> tuple[str, dict[str, str]]:
    """The document as it is kept, and the unique ids of those whom it names. Raises MalformedPolicyDocument for who is not there.

    `document` has passed the policy language's own validation.
    """
    parsed = orjson.loads(document)
    found: dict[str, str] = {}
    arns: dict[str, str] = {}
    for kind, principal in _principals(parsed):
        if kind == "AWS":
            arn = arns[principal] = await _arn(reader, account, principal)
            unique = await known(reader, account, arn)
            if unique is None:
                raise errors.malformed(f'Invalid principal in policy: "AWS":"{principal}"')
            if unique:
                found[arn] = unique
        elif kind == "Service" and not SERVICE.fullmatch(principal):
            raise errors.malformed(f'Invalid principal in policy: "SERVICE":"{principal}"')
        elif kind == "Federated" and not FEDERATED.fullmatch(principal):
            raise errors.malformed(f'Invalid principal in policy: "FEDERATED":"{principal}"')
    _replace(parsed, arns)
    return orjson.dumps(parsed).decode(), found


async def shown(reader: Reader, account: str, role: Role) -> str:
    """The trust policy as it holds now: those who were renamed by their new ARNs, those who are gone by their unique ids."""
    now: dict[str, str] = {}
    for arn, unique in role.trusted.items():
        holder = await find_by_id(reader, unique)
        now[arn] = unique if holder is None else holder.arn(account)
    if all(arn == shown_as for arn, shown_as in now.items()):
        return role.trust
    parsed = orjson.loads(role.trust)
    _replace(parsed, now)
    return orjson.dumps(parsed).decode()


async def _arn(reader: Reader, account: str, principal: str) -> str:
    """An account's number as its root's ARN, a unique id as the ARN of whom it is; else the principal as it is."""
    if ACCOUNT.fullmatch(principal):
        return f"arn:aws:iam::{principal}:root"
    if not UNIQUE_ID.fullmatch(principal):
        return principal
    holder = await find_by_id(reader, principal)
    return principal if holder is None else holder.arn(account)


async def known(reader: Reader, account: str, principal: str) -> str | None:
    """The unique id of a user or role of this account, empty for a principal that has none, None for one that is not there."""
    if principal == "*":
        return ""
    match = ARN.fullmatch(principal)
    if match is None:
        return None
    if match[2] != account or match[4] is None:
        return ""
    entity = await find(reader, User if match[4] == "user" else Role, match[6])
    return entity.id if entity is not None and entity.arn(account) == principal else None


def _blocks(document: Any) -> list[dict[str, Any]]:
    statements = document.get("Statement", [])
    statements = statements if isinstance(statements, list) else [statements]
    return [block for statement in statements for name in ("Principal", "NotPrincipal") if isinstance(block := statement.get(name), dict)]


def _principals(document: Any) -> list[tuple[str, str]]:
    """(kind, principal) of all principals of a document."""
    return [
        (kind, principal)
        for block in _blocks(document)
        for kind, value in block.items()
        for principal in (value if isinstance(value, list) else [value])
    ]


def _replace(document: Any, new: Mapping[str, str]) -> None:
    """Replaces AWS principals of a document in place."""
    for block in _blocks(document):
        if "AWS" in block:
            value = block["AWS"]
            block["AWS"] = [new.get(one, one) for one in value] if isinstance(value, list) else new.get(value, value)
