"""Who is calling."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Kind = Literal["root", "user", "assumed-role", "federated-user", "federated", "service", "anonymous"]


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller, as authentication found it. Hashable: decisions are cached by it."""

    kind: Kind
    account: str
    arn: str
    """`arn:aws:iam::ACCOUNT:root`, `…:user/NAME`, `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`, `SERVICE.amazonaws.com`, or
    the ARN of an identity provider (federated)."""
    id: str
    """The unique id as GetCallerIdentity's UserId has it: the account for root, AIDA…, AROA…:SESSION."""
    name: str = ""
    """User name, or role name for an assumed role."""
    access_key_id: str = ""
    session_name: str = ""
    role_arn: str = ""
    """`arn:aws:iam::ACCOUNT:role/PATH/NAME` for an assumed role."""
    session_policies: tuple[str, ...] = ()
    """What narrows the session: policy documents (JSON) and ARNs of managed policies (AssumeRole's Policy and PolicyArns)."""
    tags: tuple[tuple[str, str], ...] = ()
    """Session tags (aws:PrincipalTag together with the role's or user's)."""
    issued: float | None = None
    """When a temporary credential was issued (aws:TokenIssueTime)."""
    mfa: bool = False
    source_identity: str = ""
    transitive_tags: tuple[str, ...] = ()
    """Keys of the session tags that go on to a session which this one opens."""
    conditions: tuple[tuple[str, str], ...] = ()
    """Further condition keys that the session has in every request (lambda:SourceFunctionArn)."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A key pair that may sign requests, and whose it is."""

    access_key_id: str
    secret: str = field(repr=False)
    principal: Principal
    expires: float | None = None


class CredentialSource(Protocol):
    """Finds credentials; implemented by the IAM service."""

    async def find(self, access_key_id: str, session_token: str | None) -> Credential | None:
        """The active credential, or None when the key is unknown, inactive, or the token does not belong to it.

        An expired session is found too (its `expires` is in the past): the caller answers ExpiredToken.
        """
        ...


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The outcome of a good signature."""

    principal: Principal
    region: str
    service: str
    """The credential scope's signing name (`dynamodb`, `execute-api`)."""
    details: Mapping[str, str] = field(default_factory=dict)
    """Condition keys that the signature decides (`s3:authType`-like: presigned or header)."""
