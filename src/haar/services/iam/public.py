"""What other rooms may ask of IAM."""

from collections.abc import Mapping, Sequence

from haar.auth.principal import Credential, Principal
from haar.execution.contract import SessionKeys
from haar.policy.decision import Decision
from haar.services.iam import keys, mfa, oidc_providers, sessions, trust
from haar.services.iam import roles_of_services as taken
from haar.services.iam.catalog import find_policy
from haar.services.iam.circumstances import circumstances
from haar.services.iam.directory import Directory
from haar.services.iam.roles_of_services import AssumableRole
from haar.services.iam.root import ensure_root
from haar.services.iam.uses import Uses
from haar.services.service import Demand, Host

__all__ = [
    "AssumableRole",
    "account_of_key",
    "assumable_role",
    "assume_role_for_service",
    "circumstances",
    "decide",
    "decide_cached",
    "ensure_root",
    "find_credential",
    "is_principal",
    "issue_session",
    "managed_policy",
    "note_use",
    "oidc_clients",
    "oidc_provider_arn",
    "role_principal",
    "role_trusts",
    "session_of",
    "verify_mfa",
]


async def find_credential(host: Host, access_key_id: str, session_token: str | None) -> Credential | None:
    """The credential of a long-term key (root's or a user's) or of a session; see `haar.auth.principal.CredentialSource`."""
    return await host.get(Directory).credential(access_key_id, session_token)


async def decide(host: Host, principal: Principal, demand: Demand, context: Mapping[str, Sequence[str]]) -> Decision:
    """Whether the principal may: its identity policies, boundary and session policies, and the demand's resource policy.

    `context` holds the global condition keys of the request. Decisions that no condition key had a part in are remembered per
    (principal, action, resource) until IAM changes. Raises CommonError("UnrecognizedClient") for sessions that IAM does not answer.
    """
    return await host.get(Directory).decide(principal, demand, context)


def decide_cached(host: Host, principal: Principal, action: str, resource: str) -> Decision | None:
    """The remembered decision, if there is one: a dictionary look-up for hot paths."""
    return host.get(Directory).known(principal, action, resource)


def note_use(host: Host, principal: Principal, service: str, namespace: str, region: str) -> None:
    """Remembers that the principal's key or role was used; cheap, written in batches. `namespace` is the service's in actions."""
    host.get(Uses).note(principal, service, namespace, region)


async def assume_role_for_service(
    host: Host,
    role_arn: str,
    service: str,
    session_name: str,
    seconds: int = 3600,
    *,
    source_arn: str = "",
    conditions: tuple[tuple[str, str], ...] = (),
) -> SessionKeys:
    """Credentials of a role that a service takes on itself (Lambda's execution role).

    `source_arn` is aws:SourceArn: on whose behalf (the function). `conditions` are condition keys that every request of the session has
    (lambda:SourceFunctionArn). Raises ServiceError("AccessDenied") when the trust policy does not let `service` (`lambda.amazonaws.com`)
    assume it, ServiceError("NoSuchEntity") when there is no such role.
    """
    return await taken.assume(host, role_arn, service, session_name, seconds, source_arn, conditions)


async def role_trusts(host: Host, role_arn: str, service: str, *, source_arn: str = "") -> bool:
    """Whether the role exists and its trust policy lets the service assume it (CreateFunction's check)."""
    return await taken.trusts(host, role_arn, service, source_arn)


async def role_principal(host: Host, role_arn: str, session_name: str) -> Principal | None:
    """The principal that a session of this role would be (to decide whether a function's role may write its logs)."""
    return await taken.principal(host, role_arn, session_name)


async def assumable_role(host: Host, role_arn: str) -> AssumableRole | None:
    """The role of exactly this ARN with its trust policy, for STS."""
    return await taken.assumable(host, role_arn)


def session_of(host: Host, role: AssumableRole, session_name: str) -> Principal:
    """The principal of a new session of the role."""
    return taken.session_principal(host.account, role, session_name)


def issue_session(host: Host, principal: Principal, seconds: int) -> SessionKeys:
    """Temporary credentials of a principal."""
    return sessions.issue_session(host, principal, seconds)


async def is_principal(host: Host, arn: str) -> bool:
    """Whether an ARN may be a principal of a resource policy: of this account's users and roles, only those that are there."""
    return await trust.known(host.store, host.account, arn) is not None


async def managed_policy(host: Host, arn: str) -> str | None:
    """The default version's document of a managed policy."""
    policy = await find_policy(host.store, host.account, arn)
    return None if policy is None else policy.document


def account_of_key(access_key_id: str) -> str | None:
    """The account that an access key id carries, or None when it is no key id."""
    return keys.account_of(access_key_id)


async def oidc_clients(host: Host, name: str) -> list[str] | None:
    """The audiences of the OpenID Connect provider whose URL is `https://` and `name`; None when there is no such provider."""
    return await oidc_providers.clients_of(host.store, name)


def oidc_provider_arn(host: Host, name: str) -> str:
    return oidc_providers.arn_of(host.account, name)


async def verify_mfa(host: Host, principal: Principal, serial: str, code: str) -> bool:
    """Whether the code is the present one of the user's own device; each is taken once."""
    if principal.kind != "user":
        return False
    return await mfa.verify(host.store, host.account, principal.name, serial, code, host.clock.now())
