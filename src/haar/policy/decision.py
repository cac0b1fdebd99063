"""What the policy engine is asked and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["allowed", "explicitDeny", "implicitDeny"]
Layer = Literal["identity-based policy", "resource-based policy", "permissions boundary", "session policy", "service control policy"]


@dataclass(frozen=True, slots=True)
class Match:
    """A statement that had a part in a decision."""

    policy: str
    """The policy's name or ARN as its holder knows it."""
    layer: Layer
    statement: int
    """Its index in the policy."""
    sid: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether, and why. `reason` ends AWS's access-denied message: `because no identity-based policy allows the dynamodb:GetItem action`,
    `with an explicit deny in an identity-based policy`."""

    outcome: Outcome
    reason: str = ""
    matches: tuple[Match, ...] = ()
    conditional: bool = False
    """Whether a condition key or a policy variable had a part in it: then it holds for this request only."""
    missing_context: tuple[str, ...] = ()
    """Condition keys that a statement asked for and the request did not have (the simulator shows them)."""

    @property
    def allowed(self) -> bool:
        return self.outcome == "allowed"


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """Who wants to do what to what, in which circumstances. Pure values."""

    action: str
    resource: str
    principal_arn: str
    principal_account: str
    principal_kind: str
    """As `haar.auth.principal.Kind`."""
    role_arn: str = ""
    """Of an assumed role: a resource policy may name the role instead of the session."""
    resource_account: str = ""
    """Whose resource it is; empty means the principal's own."""
    context: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Condition keys (any case) with their values."""
