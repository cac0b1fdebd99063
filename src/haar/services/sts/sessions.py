"""What all temporary credentials have in common: session policies, session tags, packed size, the answer."""

import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from haar.execution.contract import SessionKeys
from haar.policy.errors import PolicyError
from haar.policy.validate import validate_identity_policy
from haar.services.iam.public import managed_policy, verify_mfa
from haar.services.service import Context, Input
from haar.services.sts import errors

MFA_FAILED = "MultiFactorAuthentication failed with invalid MFA one time pass code. "
MAX_PLAIN = 2048
"""Characters of an inline session policy."""
MAX_ARNS = 10
MAX_TAGS = 50
PACKED_LIMIT = 2048
"""Bytes that policies and tags may take once they are packed."""


async def session_policies(ctx: Context, input: Input) -> tuple[str, ...]:
    """The documents and the ARNs that narrow a session. Raises MalformedPolicyDocument, ValidationError, PackedPolicyTooLarge."""
    found: list[str] = []
    if document := input.get("Policy"):
        if len(document) > MAX_PLAIN:
            raise errors.validation(
                f"1 validation error detected: Value '{document}' at 'policy' failed to satisfy constraint: "
                f"Member must have length less than or equal to {MAX_PLAIN}"
            )
        _check(document)
        found.append(document)
    arns = [entry["arn"] for entry in input.get("PolicyArns", ())]
    if len(arns) > MAX_ARNS:
        raise errors.validation(
            f"1 validation error detected: Value '{arns}' at 'policyArns' failed to satisfy constraint: "
            f"Member must have length less than or equal to {MAX_ARNS}"
        )
    for arn in arns:
        if await managed_policy(ctx.host, arn) is None:
            raise errors.malformed(f"Policy {arn} does not exist or is not attachable.")
        found.append(arn)
    return tuple(found)


def _check(document: str) -> None:
    try:
        validate_identity_policy(document)
    except PolicyError as error:
        raise errors.malformed(error.message) from None


def session_tags(input: Input) -> dict[str, str]:
    """The session tags of an input. Raises InvalidParameterValue for keys that differ by case only, or are reserved."""
    tags: dict[str, str] = {}
    seen: set[str] = set()
    for tag in input.get("Tags", ()):
        if tag["Key"].lower() in seen:
            raise errors.invalid_parameter("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
        if tag["Key"].lower().startswith("aws:"):
            raise errors.invalid_parameter("aws: prefixed tag key names are not allowed for external use.")
        seen.add(tag["Key"].lower())
        tags[tag["Key"]] = tag["Value"]
    return tags


def tag_conditions(input: Input) -> dict[str, Sequence[str]]:
    """aws:RequestTag/… and aws:TagKeys."""
    tags = input.get("Tags", ())
    keys: dict[str, Sequence[str]] = {f"aws:RequestTag/{tag['Key']}": (tag["Value"],) for tag in tags}
    if tags:
        keys["aws:TagKeys"] = [tag["Key"] for tag in tags]
    return keys


def packed_size(policies: Sequence[str], tags: Mapping[str, str]) -> dict[str, int]:
    """PackedPolicySize, a percentage, when there is anything to pack. Raises PackedPolicyTooLarge."""
    if not policies and not tags:
        return {}
    packed = len(zlib.compress("\0".join([*policies, *(f"{key}\0{value}" for key, value in tags.items())]).encode(), 9))
    percent = -(-100 * packed // PACKED_LIMIT)
    if percent > 100:
        raise errors.packed_too_large(percent)
    return {"PackedPolicySize": percent}


def credentials(keys: SessionKeys) -> dict[str, Any]:
    return {
        "AccessKeyId": keys.access_key_id,
        "SecretAccessKey": keys.secret,
        "SessionToken": keys.token,
        "Expiration": datetime.fromtimestamp(keys.expires, UTC),
    }


async def multi_factor(ctx: Context, input: Input) -> bool:
    """Whether the call came with the code of the caller's own MFA device. Raises AccessDenied for a wrong one."""
    serial, code = input.get("SerialNumber"), input.get("TokenCode")
    if serial is None and code is None:
        return False
    if serial is None or code is None:
        raise errors.validation("SerialNumber and TokenCode must be given together.")
    if not await verify_mfa(ctx.host, ctx.principal, serial, code):
        raise errors.access_denied(MFA_FAILED)
    return True
