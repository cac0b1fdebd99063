"""How IAM's records look in responses."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from haar.services.iam.records import AccessKey, Entity, Group, InstanceProfile, Policy, Role, Used, User, Version

UNRESERVED = "-_.~"


def when(seconds: float) -> datetime:
    """Whole seconds, as IAM answers times."""
    return datetime.fromtimestamp(int(seconds), UTC)


def encoded(document: str) -> str:
    """A policy document as the query protocol returns it: percent-encoded (RFC 3986)."""
    return quote(document, safe=UNRESERVED)


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def named(entity: Entity, account: str) -> dict[str, Any]:
    return {
        "Path": entity.path,
        f"{entity.title}Name": entity.name,
        f"{entity.title}Id": entity.id,
        "Arn": entity.arn(account),
        "CreateDate": when(entity.created),
    }


def boundary(arn: str) -> dict[str, Any]:
    if not arn:
        return {}
    return {"PermissionsBoundary": {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}}


def user(entity: User, account: str, *, full: bool = True, password_used: float | None = None) -> dict[str, Any]:
    """`full` is False in lists, which leave out tags and the boundary."""
    shown = named(entity, account)
    if password_used is not None:
        shown["PasswordLastUsed"] = when(password_used)
    if full:
        shown |= boundary(entity.boundary)
        if entity.tags:
            shown["Tags"] = tag_list(entity.tags)
    return shown


def group(entity: Group, account: str) -> dict[str, Any]:
    return named(entity, account)


def role(entity: Role, account: str, trust: str, *, full: bool = True, used: Used | None = None) -> dict[str, Any]:
    """`trust` is the trust policy as its reader may see it (see `haar.services.iam.trust`)."""
    shown = named(entity, account)
    shown["AssumeRolePolicyDocument"] = encoded(trust)
    if entity.description is not None:
        shown["Description"] = entity.description
    shown["MaxSessionDuration"] = entity.max_session
    if entity.max_signin is not None:
        shown["MaxSigninSessionDuration"] = entity.max_signin
    if full:
        shown |= boundary(entity.boundary)
        if entity.tags:
            shown["Tags"] = tag_list(entity.tags)
        shown["RoleLastUsed"] = {"LastUsedDate": when(used.at), "Region": used.region} if used else {}
    return shown


def policy(entity: Policy, account: str, attached: int, boundaries: int, *, full: bool = True) -> dict[str, Any]:
    """`attached` and `boundaries` are the numbers of entities that use it as a policy and as a boundary."""
    shown = named(entity, account) | {
        "DefaultVersionId": f"v{entity.default}",
        "AttachmentCount": attached,
        "PermissionsBoundaryUsageCount": boundaries,
        "IsAttachable": True,
        "UpdateDate": when(entity.updated),
    }
    if full:
        if entity.description is not None:
            shown["Description"] = entity.description
        shown["Tags"] = tag_list(entity.tags)
    return shown


def version(entity: Version, default: int, *, document: bool = False) -> dict[str, Any]:
    shown: dict[str, Any] = {"VersionId": entity.id, "IsDefaultVersion": entity.number == default, "CreateDate": when(entity.created)}
    if document:
        shown["Document"] = encoded(entity.document)
    return shown


def attached_policy(arn: str) -> dict[str, str]:
    return {"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn}


def access_key(key: AccessKey) -> dict[str, Any]:
    return {
        "UserName": key.user,
        "AccessKeyId": key.id,
        "Status": "Active" if key.active else "Inactive",
        "CreateDate": when(key.created),
    }


def instance_profile(entity: InstanceProfile, account: str, roles: list[dict[str, Any]], *, full: bool = True) -> dict[str, Any]:
    shown = named(entity, account) | {"Roles": roles}
    if full and entity.tags:
        shown["Tags"] = tag_list(entity.tags)
    return shown
