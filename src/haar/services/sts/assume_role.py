"""AssumeRole: another identity for a while.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from haar.services.iam.public import AssumableRole, assumable_role, issue_session, session_of
from haar.services.service import Context, Demand, Input, Output
from haar.services.sts import errors
from haar.services.sts.service import service
from haar.services.sts.sessions import credentials, multi_factor, packed_size, session_policies, session_tags, tag_conditions

ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[!-~]+")
DEFAULT_SECONDS = 3600
CHAINED_SECONDS = 3600
"""A session that opens another one may have it for so long at most."""
TOO_LONG = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
NO_TRUST = '{"Version":"2012-10-17","Statement":[]}'
"""The trust policy of a role that is not there: it trusts nobody."""


async def _demands(ctx: Context, input: Input) -> Sequence[Demand]:
    if ctx.principal.kind == "root":
        raise errors.access_denied("Roles may not be assumed by root accounts.")
    if ctx.principal.kind == "federated-user":
        raise _denied(ctx, input, "sts:AssumeRole")
    errors.refuse_unbuilt(input, "ProvidedContexts", "MinimumSessionTokenSize")
    arn = input["RoleArn"]
    if not ROLE_ARN.fullmatch(arn):
        raise errors.validation(f"{arn} is invalid")
    role = await assumable_role(ctx.host, arn)
    conditions = tag_conditions(input) | _own_conditions(ctx, input)
    tags: Mapping[str, str] = {}
    if role is not None:
        tags = role.tags
        conditions |= {f"iam:ResourceTag/{key}": (value,) for key, value in tags.items()}
    if await multi_factor(ctx, input):
        conditions |= {"aws:MultiFactorAuthPresent": ("true",), "aws:MultiFactorAuthAge": ("0",)}
    trust = NO_TRUST if role is None else role.trust

    def demand(action: str) -> Demand:
        return Demand(action, arn, conditions, trust, tags)

    demands = [demand("sts:AssumeRole")]
    if input.get("Tags") or ctx.principal.transitive_tags:
        demands.append(demand("sts:TagSession"))
    if input.get("SourceIdentity") or ctx.principal.source_identity:
        demands.append(demand("sts:SetSourceIdentity"))
    return demands


def _own_conditions(ctx: Context, input: Input) -> dict[str, Sequence[str]]:
    keys: dict[str, Sequence[str]] = {"sts:RoleSessionName": (input["RoleSessionName"],)}
    if given := input.get("ExternalId"):
        keys["sts:ExternalId"] = (given,)
    if given := input.get("SourceIdentity") or ctx.principal.source_identity:
        keys["sts:SourceIdentity"] = (given,)
    if keys_given := input.get("TransitiveTagKeys"):
        keys["sts:TransitiveTagKeys"] = keys_given
    return keys


@service.operation("AssumeRole", _demands)
async def assume_role(ctx: Context, input: Input) -> Output:
    role = await assumable_role(ctx.host, input["RoleArn"])
    if role is None:
        raise _denied(ctx, input, "sts:AssumeRole")
    seconds = _seconds(ctx, input, role)
    policies, tags = await session_policies(ctx, input), session_tags(input)
    transitive = _transitive(ctx, input, tags)
    size = packed_size(policies, tags)
    source = _source_identity(ctx, input)
    session = replace(
        session_of(ctx.host, role, input["RoleSessionName"]),
        session_policies=policies,
        tags=tuple(tags.items()),
        transitive_tags=transitive,
        source_identity=source,
    )
    return {
        "Credentials": credentials(issue_session(ctx.host, session, seconds)),
        "AssumedRoleUser": {"AssumedRoleId": session.id, "Arn": session.arn},
        **size,
        **({"SourceIdentity": source} if source else {}),
    }


def _denied(ctx: Context, input: Input, action: str) -> Exception:
    return errors.access_denied(f"User: {ctx.principal.arn} is not authorized to perform: {action} on resource: {input['RoleArn']}")


def _seconds(ctx: Context, input: Input, role: AssumableRole) -> int:
    seconds: int = input.get("DurationSeconds", DEFAULT_SECONDS)
    if ctx.principal.issued is not None and seconds > CHAINED_SECONDS:
        raise errors.validation("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
    if seconds > role.max_session:
        raise errors.validation(TOO_LONG)
    return seconds


def _transitive(ctx: Context, input: Input, tags: dict[str, str]) -> tuple[str, ...]:
    """The keys of the tags that go on; adds to `tags` those that came with the caller's own session and may not be set anew."""
    inherited = {key: value for key, value in ctx.principal.tags if key in ctx.principal.transitive_tags}
    given = {key.lower() for key in tags}
    for key in inherited:
        if key.lower() in given:
            raise errors.invalid_parameter(f"Tag key {key} is inherited from the calling session and cannot be overridden.")
    for key in input.get("TransitiveTagKeys", ()):
        if key not in tags:
            raise errors.invalid_parameter(f"The transitive tag key {key} is not one of the session tags of the request.")
    tags.update(inherited)
    return (*input.get("TransitiveTagKeys", ()), *inherited)


def _source_identity(ctx: Context, input: Input) -> str:
    """Once set, it stays through all sessions that follow."""
    own = ctx.principal.source_identity
    given: str = input.get("SourceIdentity") or own
    if own and given != own:
        raise _denied(ctx, input, "sts:SetSourceIdentity")
    return given
