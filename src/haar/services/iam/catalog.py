"""Managed policies by ARN: the account's own from the store, AWS's from the policy room's data."""

import hashlib
from base64 import b32encode
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache

from haar.policy.managed import PREFIX, find_managed, managed_arns
from haar.services.iam.entities import find
from haar.services.iam.records import ID_LENGTH, Policy, Version
from haar.store.contract import Reader

AWS_POLICIES_KEPT = 256
"""Policies of AWS kept in memory, decoded."""


async def find_policy(reader: Reader, account: str, arn: str) -> Policy | None:
    """The managed policy of exactly this ARN."""
    if arn.startswith(PREFIX):
        return aws_policy(arn)
    if not arn.startswith(f"arn:aws:iam::{account}:policy/"):
        return None
    policy = await find(reader, Policy, arn.rpartition("/")[2])
    return policy if policy is not None and policy.arn(account) == arn else None


def aws_policies() -> Iterator[Policy]:
    """AWS's managed policies in order of ARN."""
    return (policy for arn in managed_arns() if (policy := aws_policy(arn)) is not None)


@lru_cache(maxsize=AWS_POLICIES_KEPT)
def aws_policy(arn: str) -> Policy | None:
    """One of AWS's. Its unique id is a digest of its name: the same on every platform."""
    source = find_managed(arn)
    if source is None:
        return None
    created, updated = (datetime.fromisoformat(text).timestamp() for text in (source.created, source.updated))
    number = int(source.version.removeprefix("v"))
    return Policy(
        name=source.name,
        path=source.path,
        id=Policy.prefix + b32encode(hashlib.sha256(source.name.encode()).digest()).decode()[:ID_LENGTH],
        created=created,
        updated=updated,
        versions=[Version(number=number, document=source.text, created=updated)],
        default=number,
        next=number + 1,
        aws=True,
    )
