"""Permissions boundaries of users and roles."""

import re

from haar.services.iam import errors
from haar.services.iam.catalog import find_policy
from haar.services.iam.demands import on
from haar.services.iam.entities import attach, change, detach, refuse_linked
from haar.services.iam.records import BOUNDARY_USE, Holder, Role, User
from haar.services.iam.service import service
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction

POLICY_ARN = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy(/|/[!-~]+/)[\w+=,.@-]+")


async def check_boundary(reader: Reader, account: str, arn: str) -> None:
    """Raises InvalidInput for what is no policy's ARN, NoSuchEntity for a policy that is not there."""
    if not POLICY_ARN.fullmatch(arn):
        raise errors.invalid_arn(arn)
    if await find_policy(reader, account, arn) is None:
        raise errors.boundary_not_attachable(arn)


def _register(kind: type[User] | type[Role]) -> None:
    name = f"{kind.title}Name"

    @service.operation(f"Put{kind.title}PermissionsBoundary", on(kind))
    async def put_boundary(ctx: Context, input: Input) -> Output:
        arn = input["PermissionsBoundary"]

        async def edit(tx: Transaction, holder: Holder) -> None:
            refuse_linked(holder)
            await check_boundary(tx, ctx.account, arn)
            if holder.boundary:
                detach(tx, holder.boundary, holder, BOUNDARY_USE)
            holder.boundary = arn
            attach(tx, arn, holder, BOUNDARY_USE)

        await change(ctx, kind, input[name], edit)
        return {}

    @service.operation(f"Delete{kind.title}PermissionsBoundary", on(kind))
    async def delete_boundary(ctx: Context, input: Input) -> Output:
        async def edit(tx: Transaction, holder: Holder) -> None:
            refuse_linked(holder)
            if not holder.boundary:
                raise errors.no_such_entity(f"{kind.title} {holder.name} does not have a permissions boundary.")
            detach(tx, holder.boundary, holder, BOUNDARY_USE)
            holder.boundary = ""

        await change(ctx, kind, input[name], edit)
        return {}


_register(User)
_register(Role)
