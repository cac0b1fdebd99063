"""GetSessionToken and GetFederationToken: a user's own permissions, for a while."""

from collections.abc import Sequence
from dataclasses import replace

from haar.auth.principal import Principal
from haar.services.iam.public import issue_session
from haar.services.service import Context, Demand, Input, Output
from haar.services.sts import errors
from haar.services.sts.service import service
from haar.services.sts.sessions import credentials, multi_factor, packed_size, session_policies, session_tags, tag_conditions

DEFAULT_SECONDS = 43_200
ROOT_SECONDS = 3600
"""Root's sessions last an hour at most; longer ones are cut to it."""


def _refuse_sessions(ctx: Context, input: Input) -> None:
    if ctx.principal.issued is not None:
        raise errors.access_denied(f"Cannot call {ctx.operation} with session credentials")


def _seconds(ctx: Context, input: Input) -> int:
    seconds: int = input.get("DurationSeconds", DEFAULT_SECONDS)
    return min(seconds, ROOT_SECONDS) if ctx.principal.kind == "root" else seconds


def _nothing(ctx: Context, input: Input) -> Sequence[Demand]:
    """Everyone may, for itself: policies do not govern it."""
    _refuse_sessions(ctx, input)
    errors.refuse_unbuilt(input, "MinimumSessionTokenSize")
    return ()


@service.operation("GetSessionToken", _nothing)
async def get_session_token(ctx: Context, input: Input) -> Output:
    principal = replace(ctx.principal, mfa=await multi_factor(ctx, input))
    return {"Credentials": credentials(issue_session(ctx.host, principal, _seconds(ctx, input)))}


def _federating(ctx: Context, input: Input) -> Sequence[Demand]:
    _refuse_sessions(ctx, input)
    errors.refuse_unbuilt(input, "MinimumSessionTokenSize")
    arn = _federated_arn(ctx, input)
    demands = [Demand("sts:GetFederationToken", arn, tag_conditions(input))]
    if input.get("Tags"):
        demands.append(Demand("sts:TagSession", arn, tag_conditions(input)))
    return demands


def _federated_arn(ctx: Context, input: Input) -> str:
    return f"arn:aws:sts::{ctx.account}:federated-user/{input['Name']}"


@service.operation("GetFederationToken", _federating)
async def get_federation_token(ctx: Context, input: Input) -> Output:
    """The session may do what both the user and the session policies allow; without session policies, nothing."""
    policies, tags = await session_policies(ctx, input), session_tags(input)
    size = packed_size(policies, tags)
    federated = Principal(
        kind="federated-user",
        account=ctx.account,
        arn=_federated_arn(ctx, input),
        id=f"{ctx.account}:{input['Name']}",
        name=ctx.principal.name,
        session_name=input["Name"],
        session_policies=policies,
        tags=tuple(tags.items()),
    )
    return {
        "Credentials": credentials(issue_session(ctx.host, federated, _seconds(ctx, input))),
        "FederatedUser": {"FederatedUserId": federated.id, "Arn": federated.arn},
        **size,
    }
