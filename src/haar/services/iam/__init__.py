"""AWS Identity and Access Management."""

from haar.services.iam import (
    access_keys,
    account,
    attachments,
    boundaries,
    groups,
    inline,
    instance_profiles,
    login_profiles,
    mfa,
    passwords,
    policies,
    roles,
    tags,
    users,
    uses,
)
from haar.services.iam.service import service

__all__ = [
    "access_keys",
    "account",
    "attachments",
    "boundaries",
    "groups",
    "inline",
    "instance_profiles",
    "login_profiles",
    "mfa",
    "passwords",
    "policies",
    "roles",
    "service",
    "tags",
    "users",
    "uses",
]
