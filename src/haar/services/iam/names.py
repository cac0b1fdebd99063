"""Names and paths as IAM checks them: in words of its own, where other services cite a pattern."""

import re

from haar.services.iam.errors import validation
from haar.services.service import Input
from haar.wire import load

NAMES = (
    "UserName", "NewUserName", "GroupName", "NewGroupName", "RoleName", "PolicyName", "InstanceProfileName", "VirtualMFADeviceName",
    "ServerCertificateName",
)  # fmt: skip
MAX_NAME = 128
"""Longer names, and empty ones, are told by their length."""
_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]+")
_PATH = re.compile(r"/(?:[!-~]+/)?")
_PATH_RULE = "It must begin and end with / and contain only alphanumeric characters and/or / characters."
_NAME_RULE = "It must contain only alphanumeric characters and/or the following: +=,.@_-"


def check(operation: str, input: Input) -> None:
    """The model's constraints, and names and paths in IAM's words. Raises ValidationError."""
    for member in NAMES:
        name = input.get(member)
        if name and len(name) <= MAX_NAME and not _NAME.fullmatch(name):
            raise validation(f"The specified value for {member[0].lower()}{member[1:]} is invalid. {_NAME_RULE}")
    path = input.get("Path")
    if path and len(path) <= 512 and not _PATH.fullmatch(path):
        raise validation(f"The specified value for path is invalid. {_PATH_RULE}")
    load("iam").validate(operation, input)
