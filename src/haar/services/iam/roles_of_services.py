"""Roles as those see them who take them on: services for their users, and STS for callers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from haar.auth.principal import Principal
from haar.execution.contract import SessionKeys
from haar.policy.decision import AccessRequest
from haar.policy.evaluate import evaluate
from haar.services.iam import errors
from haar.services.iam.documents import Compiler
from haar.services.iam.entities import find
from haar.services.iam.records import Role
from haar.services.iam.sessions import issue_session
from haar.services.iam.trust import shown
from haar.services.service import Host
from haar.wire.errors import ServiceError

ASSUME = "sts:AssumeRole"


@dataclass(frozen=True, slots=True)
class AssumableRole:
    """What STS must know of a role."""

    arn: str
    name: str
    id: str
    trust: str
    """Its trust policy as it holds now."""
    max_session: int
    tags: Mapping[str, str]


async def assumable(host: Host, role_arn: str) -> AssumableRole | None:
    role = await find_role(host, role_arn)
    if role is None:
        return None
    trust = await shown(host.store, host.account, role)
    return AssumableRole(role_arn, role.name, role.id, trust, role.max_session, role.tags)


async def find_role(host: Host, role_arn: str) -> Role | None:
    """The role of exactly this ARN."""
    if not role_arn.startswith(f"arn:aws:iam::{host.account}:role/"):
        return None
    role = await find(host.store, Role, role_arn.rpartition("/")[2])
    return role if role is not None and role.arn(host.account) == role_arn else None


def session_principal(account: str, role: Role | AssumableRole, session_name: str) -> Principal:
    """A session of the role."""
    return Principal(
        kind="assumed-role",
        account=account,
        arn=f"arn:aws:sts::{account}:assumed-role/{role.name}/{session_name}",
        id=f"{role.id}:{session_name}",
        name=role.name,
        session_name=session_name,
        role_arn=role.arn if isinstance(role, AssumableRole) else role.arn(account),
    )


async def trusts(host: Host, role_arn: str, service: str, source_arn: str = "") -> bool:
    role = await find_role(host, role_arn)
    return role is not None and await _trusts(host, role, service, source_arn)


async def _trusts(host: Host, role: Role, service: str, source_arn: str) -> bool:
    context = {"aws:PrincipalIsAWSService": ("true",), "aws:PrincipalServiceName": (service,), "aws:SourceAccount": (host.account,)}
    if source_arn:
        context["aws:SourceArn"] = (source_arn,)
    request = AccessRequest(
        action=ASSUME,
        resource=role.arn(host.account),
        principal_arn=service,
        principal_account="",
        principal_kind="service",
        context=context,
    )
    document = await shown(host.store, host.account, role)
    return evaluate(request, identity=(), resource=host.get(Compiler).policy(document, role.name)).allowed


async def assume(
    host: Host,
    role_arn: str,
    service: str,
    session_name: str,
    seconds: int,
    source_arn: str = "",
    conditions: tuple[tuple[str, str], ...] = (),
) -> SessionKeys:
    role = await find_role(host, role_arn)
    if role is None:
        raise errors.not_found("role", role_arn.rpartition("/")[2])
    if not await _trusts(host, role, service, source_arn):
        raise ServiceError("AccessDenied", f"{service} is not authorized to perform: {ASSUME} on resource: {role_arn}", 403)
    return issue_session(host, replace(session_principal(host.account, role, session_name), conditions=conditions), seconds)


async def principal(host: Host, role_arn: str, session_name: str) -> Principal | None:
    role = await find_role(host, role_arn)
    return None if role is None else session_principal(host.account, role, session_name)
