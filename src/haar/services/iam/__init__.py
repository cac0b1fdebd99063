"""AWS Identity and Access Management."""

from haar.services.iam import (
    access_keys,
    attachments,
    boundaries,
    groups,
    inline,
    policies,
    roles,
    tags,
    users,
    uses,
)
from haar.services.iam.service import service

__all__ = ["access_keys", "attachments", "boundaries", "groups", "inline", "policies", "roles", "service", "tags", "users", "uses"]
