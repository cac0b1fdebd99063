"""AWS Security Token Service."""

from haar.services.sts import assume_role, callers, tokens, web_identity
from haar.services.sts.service import service

__all__ = ["assume_role", "callers", "service", "tokens", "web_identity"]
