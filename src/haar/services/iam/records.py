"""What IAM keeps, and under which keys.

A user, group, role, policy or instance profile is one row: space by kind, partition the lower-case name (names differ by more than case).
What hangs on several of them has rows of its own:

- `iam.keys`: access key id -> AccessKey                 - `iam.root`: `root` -> RootKey
- `iam.members`: group, user -> empty                     - `iam.attachments`: policy ARN, `KIND/NAME/USE` -> empty
- `iam.ids`: unique id of a user or role -> `user/NAME`
- `iam.used`: access key id or role -> Used               - `iam.account`: `alias`, `password-policy`, `credential-report`
- `iam.counts`: a kind's space -> how many there are      - `iam.accessed`: unique id, service -> Used
"""

from typing import ClassVar

import msgspec

BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
ID_LENGTH = 17
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
SECRET_LENGTH = 40

KEYS = "iam.keys"
ROOT = "iam.root"
ROOT_ROW = b"root"
MEMBERS = "iam.members"
IDS = "iam.ids"
ATTACHMENTS = "iam.attachments"
USED = "iam.used"
ACCOUNT = "iam.account"
COUNTS = "iam.counts"
ACCESSED = "iam.accessed"

POLICY_USE = "policy"
BOUNDARY_USE = "boundary"


class Entity(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Something with a name, a path and a unique id."""

    space: ClassVar[str]
    noun: ClassVar[str]
    """In ARNs and messages (`instance-profile`)."""
    title: ClassVar[str]
    """In operation and member names (`InstanceProfile`)."""
    prefix: ClassVar[str]
    """Of unique ids (`AIDA`)."""
    quota: ClassVar[tuple[str, int]]
    """What an account may have of it: the quota's name and the limit, AWS's default (of roles, which functions use up, its maximum).
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """

    name: str
    path: str = "/"
    id: str
    created: float
    tags: dict[str, str] = {}

    def arn(self, account: str) -> str:
        return arn_of(type(self), account, self.path, self.name)


def arn_of(kind: type[Entity], account: str, path: str, name: str) -> str:
    return f"arn:aws:iam::{account}:{kind.noun}{path}{name}"


class Holder(Entity, kw_only=True, omit_defaults=True):
    """A user, group or role: policies hang on it."""

    inline_limit: ClassVar[int]
    """Characters of all inline policies together, white space not counted."""

    inline: dict[str, str] = {}
    """Policy documents by name."""
    attached: list[str] = []
    """ARNs of managed policies, in the order of attachment."""
    boundary: str = ""
    """ARN of the permissions boundary; groups have none."""


class Login(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A console password; kept only as a salted scrypt hash."""

    created: float
    salt: bytes
    digest: bytes
    reset_required: bool = False
    max_signin: int | None = None


class SshKey(msgspec.Struct, kw_only=True, omit_defaults=True):
    id: str
    body: str
    """`ssh-rsa AAAA…`"""
    created: float
    active: bool = True


class User(Holder, kw_only=True, omit_defaults=True):
    space: ClassVar[str] = "iam.users"
    noun: ClassVar[str] = "user"
    title: ClassVar[str] = "User"
    prefix: ClassVar[str] = "AIDA"
    quota: ClassVar[tuple[str, int]] = ("UsersPerAccount", 5000)
    inline_limit: ClassVar[int] = 2048

    groups: list[str] = []
    """Names, in the order of joining."""
    keys: list[str] = []
    login: Login | None = None
    mfa: list[str] = []
    """Serial numbers of MFA devices."""
    ssh_keys: list[SshKey] = []


class Group(Holder, kw_only=True, omit_defaults=True):
    space: ClassVar[str] = "iam.groups"
    noun: ClassVar[str] = "group"
    title: ClassVar[str] = "Group"
    prefix: ClassVar[str] = "AGPA"
    quota: ClassVar[tuple[str, int]] = ("GroupsPerAccount", 300)
    inline_limit: ClassVar[int] = 5120


class Role(Holder, kw_only=True, omit_defaults=True):
    space: ClassVar[str] = "iam.roles"
    noun: ClassVar[str] = "role"
    title: ClassVar[str] = "Role"
    prefix: ClassVar[str] = "AROA"
    quota: ClassVar[tuple[str, int]] = ("RolesPerAccount", 5000)
    inline_limit: ClassVar[int] = 10240

    trust: str
    """The assume-role policy, compact."""
    trusted: dict[str, str] = {}
    """Principals of the trust policy by ARN, with the unique id that each had when the policy was stored."""
    description: str | None = None
    max_session: int = 3600
    max_signin: int | None = None
    """Seconds of a console session; unset when None."""
    service: str = ""
    """The service that a service-linked role belongs to."""


class Version(msgspec.Struct, kw_only=True, omit_defaults=True):
    number: int
    document: str
    created: float

    @property
    def id(self) -> str:
        return f"v{self.number}"


class Policy(Entity, kw_only=True, omit_defaults=True):
    space: ClassVar[str] = "iam.policies"
    noun: ClassVar[str] = "policy"
    title: ClassVar[str] = "Policy"
    prefix: ClassVar[str] = "ANPA"
    quota: ClassVar[tuple[str, int]] = ("PoliciesPerAccount", 1500)

    description: str | None = None
    updated: float
    versions: list[Version]
    """In the order of creation."""
    default: int = 1
    next: int = 2
    aws: bool = False
    """Managed by AWS: from the data file, never stored."""

    def arn(self, account: str) -> str:
        return arn_of(Policy, "aws" if self.aws else account, self.path, self.name)

    def version(self, version_id: str) -> Version | None:
        return next((version for version in self.versions if version.id == version_id), None)

    @property
    def document(self) -> str:
        return next(version.document for version in self.versions if version.number == self.default)


class InstanceProfile(Entity, kw_only=True, omit_defaults=True):
    space: ClassVar[str] = "iam.profiles"
    noun: ClassVar[str] = "instance-profile"
    title: ClassVar[str] = "InstanceProfile"
    prefix: ClassVar[str] = "AIPA"
    quota: ClassVar[tuple[str, int]] = ("InstanceProfilesPerAccount", 1000)

    roles: list[str] = []


class AccessKey(msgspec.Struct, kw_only=True, omit_defaults=True):
    id: str
    secret: str
    user: str
    """The user's name."""
    active: bool = True
    created: float


class RootKey(msgspec.Struct, kw_only=True):
    id: str
    secret: str
    created: float


class Used(msgspec.Struct, kw_only=True):
    """When, where and for what a key or role was last used."""

    at: float
    service: str
    region: str


WATCHED = (User.space, Group.space, Role.space, Policy.space, KEYS, ROOT)
"""A write to any of these may change who may do what."""


def partition(name: str) -> bytes:
    """The key of a named entity."""
    return name.lower().encode()
