"""Managed policies by ARN: the account's own from the store, AWS's from the data file."""

import hashlib
from base64 import b32encode
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib import resources

import orjson

from haar.services.iam.entities import find
from haar.services.iam.records import ID_LENGTH, Policy, Version
from haar.store.contract import Reader

AWS_ARN = "arn:aws:iam::aws:policy/"


async def find_policy(reader: Reader, account: str, arn: str) -> Policy | None:
    """The managed policy of exactly this ARN."""
    if arn.startswith(AWS_ARN):
        return aws_policies().get(arn)
    if not arn.startswith(f"arn:aws:iam::{account}:policy/"):
        return None
    policy = await find(reader, Policy, arn.rpartition("/")[2])
    return policy if policy is not None and policy.arn(account) == arn else None


@cache
def aws_policies() -> Mapping[str, Policy]:
    """AWS's managed policies by ARN, in order of ARN. Read once, when first asked for."""
    read = orjson.loads((resources.files("haar.services.iam") / "data" / "aws-managed-policies.json").read_bytes())
    found = {policy.arn(""): policy for policy in map(_aws_policy, read.values())}
    return dict(sorted(found.items()))


def _aws_policy(source: Mapping[str, str]) -> Policy:
    """One entry of the data file. Its unique id is a digest of its name: the same on every platform."""
    created, updated = (datetime.fromisoformat(source[key]).timestamp() for key in ("created", "updated"))
    number = int(source["version"].removeprefix("v"))
    return Policy(
        name=source["name"],
        path=source["path"],
        id=Policy.prefix + b32encode(hashlib.sha256(source["name"].encode()).digest()).decode()[:ID_LENGTH],
        created=created,
        updated=updated,
        versions=[Version(number=number, document=orjson.dumps(source["document"], option=orjson.OPT_INDENT_2).decode(), created=updated)],
        default=number,
        next=number + 1,
        aws=True,
    )
