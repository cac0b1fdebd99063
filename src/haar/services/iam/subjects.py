"""The policies that a principal has, compiled."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from haar.policy.document import Policy
from haar.services.iam.catalog import find_policy
from haar.services.iam.documents import Compiler
from haar.services.iam.entities import find
from haar.services.iam.records import Group, Holder, User
from haar.services.service import Host

DENY_ALL = '{"Version":"2012-10-17","Statement":[]}'
"""Stands for a boundary that is not there: it allows nothing."""
ALLOW_ALL = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'


@dataclass(frozen=True, slots=True)
class Source:
    """A policy with where it comes from."""

    id: str
    """As the simulator names it: a managed policy's name, `user_NAME_POLICY` for an inline one."""
    document: str
    arn: str = ""
    """Of a managed policy."""

    @property
    def key(self) -> str:
        """Unlike the id never shared by two policies of one holder."""
        return self.arn or self.id


@dataclass(frozen=True, slots=True)
class Subject:
    """A user or role as the policy engine sees it."""

    identity: tuple[Policy, ...] = ()
    boundary: Policy | None = None
    tags: dict[str, str] = field(default_factory=dict)


async def sources(host: Host, holder: Holder) -> list[Source]:
    """All identity policies: inline and attached ones, and for a user those of its groups."""
    found = await own_sources(host, holder)
    for group in await groups_of(host, holder):
        found += await own_sources(host, group)
    return found


async def groups_of(host: Host, holder: Holder) -> list[Group]:
    if not isinstance(holder, User):
        return []
    found = [await find(host.store, Group, name) for name in holder.groups]
    return [group for group in found if group is not None]


async def own_sources(host: Host, holder: Holder) -> list[Source]:
    """Inline and attached policies."""
    found = [Source(f"{holder.noun}_{holder.name}_{name}", document) for name, document in holder.inline.items()]
    for arn in holder.attached:
        policy = await find_policy(host.store, host.account, arn)
        if policy is not None:
            found.append(Source(policy.name, policy.document, arn))
    return found


async def boundary_of(host: Host, holder: Holder) -> Source | None:
    if not holder.boundary:
        return None
    policy = await find_policy(host.store, host.account, holder.boundary)
    return Source(holder.boundary, DENY_ALL if policy is None else policy.document, holder.boundary)


def compiled(host: Host, found: Sequence[Source]) -> tuple[Policy, ...]:
    compiler = host.get(Compiler)
    return tuple(compiler.policy(source.document, source.id) for source in found)


async def load_subject(host: Host, holder: Holder | None) -> Subject:
    """A user or role; without policies when there is none."""
    if holder is None:
        return Subject()
    limit = await boundary_of(host, holder)
    return Subject(
        identity=compiled(host, await sources(host, holder)),
        boundary=None if limit is None else compiled(host, [limit])[0],
        tags=holder.tags,
    )
