"""Managed policies on users, groups and roles."""

from haar.services.iam import errors
from haar.services.iam.boundaries import POLICY_ARN
from haar.services.iam.catalog import find_policy
from haar.services.iam.demands import on
from haar.services.iam.entities import attach, change, detach, need, refuse_linked
from haar.services.iam.paging import page
from haar.services.iam.records import Group, Holder, Role, User
from haar.services.iam.service import service
from haar.services.iam.shapes import attached_policy
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction

MAX_ATTACHED = 10


def _register(kind: type[Holder]) -> None:
    name = f"{kind.title}Name"

    @service.operation(f"Attach{kind.title}Policy", on(kind))
    async def attach_policy(ctx: Context, input: Input) -> Output:
        arn = _policy_arn(input)

        async def edit(tx: Transaction, holder: Holder) -> None:
            refuse_linked(holder)
            if await find_policy(tx, ctx.account, arn) is None:
                raise errors.policy_not_attachable(arn)
            if arn in holder.attached:
                return
            if len(holder.attached) >= MAX_ATTACHED:
                raise errors.quota(f"PoliciesPer{kind.title}", MAX_ATTACHED)
            holder.attached.append(arn)
            attach(tx, arn, holder)

        await change(ctx, kind, input[name], edit)
        return {}

    @service.operation(f"Detach{kind.title}Policy", on(kind))
    async def detach_policy(ctx: Context, input: Input) -> Output:
        arn = _policy_arn(input)

        async def edit(tx: Transaction, holder: Holder) -> None:
            refuse_linked(holder)
            if arn not in holder.attached:
                raise errors.policy_not_found(arn)
            holder.attached.remove(arn)
            detach(tx, arn, holder)

        await change(ctx, kind, input[name], edit)
        return {}

    @service.operation(f"ListAttached{kind.title}Policies", on(kind))
    async def list_attached(ctx: Context, input: Input) -> Output:
        holder = await need(ctx.store, kind, input[name])
        prefix = input.get("PathPrefix", "/")
        arns = [arn for arn in holder.attached if arn.partition(":policy")[2].startswith(prefix)]
        chosen, more = page(arns, input, str)
        return {"AttachedPolicies": [attached_policy(arn) for arn in chosen], **more}


def _policy_arn(input: Input) -> str:
    arn: str = input["PolicyArn"]
    if not POLICY_ARN.fullmatch(arn):
        raise errors.invalid_arn(arn)
    return arn


for _kind in (User, Group, Role):
    _register(_kind)
