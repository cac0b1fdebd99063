"""What other rooms may ask of IAM."""

from collections.abc import Mapping, Sequence

from haar.auth.principal import Credential, Principal
from haar.execution.contract import SessionKeys
from haar.policy.decision import Decision
from haar.services.service import Demand, Host


async def find_credential(host: Host, access_key_id: str, session_token: str | None) -> Credential | None:
    """The credential of a long-term key (root's or a user's) or of a session; see `haar.auth.principal.CredentialSource`."""
    raise NotImplementedError


async def decide(host: Host, principal: Principal, demand: Demand, context: Mapping[str, Sequence[str]]) -> Decision:
    """Whether the principal may: its identity policies, boundary and session policies, and the demand's resource policy.

    `context` holds the global condition keys of the request. Decisions that no condition key had a part in are remembered per
    (principal, action, resource) until IAM changes.
    """
    raise NotImplementedError


def decide_cached(host: Host, principal: Principal, action: str, resource: str) -> Decision | None:
    """The remembered decision, if there is one: a dictionary look-up for hot paths."""
    raise NotImplementedError


async def assume_role_for_service(host: Host, role_arn: str, service: str, session_name: str, seconds: int = 3600) -> SessionKeys:
    """Credentials of a role that a service takes on itself (Lambda's execution role). Raises ServiceError("AccessDenied") when the trust
    policy does not let `service` (`lambda.amazonaws.com`) assume it, ServiceError("NoSuchEntity") when there is no such role."""
    raise NotImplementedError


async def role_trusts(host: Host, role_arn: str, service: str) -> bool:
    """Whether the role exists and its trust policy lets the service assume it (CreateFunction's check)."""
    raise NotImplementedError


async def role_principal(host: Host, role_arn: str, session_name: str) -> Principal | None:
    """The principal that a session of this role would be (to decide whether a function's role may write its logs)."""
    raise NotImplementedError
