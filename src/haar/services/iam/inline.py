"""Inline policies of users, groups and roles."""

from haar.services.iam import errors
from haar.services.iam.demands import on
from haar.services.iam.documents import check_identity_policy, size
from haar.services.iam.entities import change, need, refuse_linked
from haar.services.iam.paging import page
from haar.services.iam.records import Group, Holder, Role, User
from haar.services.iam.service import service
from haar.services.iam.shapes import encoded
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction


def _missing(kind: type[Holder], policy: str) -> Exception:
    return errors.not_found(f"{kind.noun} policy", policy)


def _register(kind: type[Holder]) -> None:
    name = f"{kind.title}Name"

    @service.operation(f"Put{kind.title}Policy", on(kind))
    async def put_policy(ctx: Context, input: Input) -> Output:
        document = input["PolicyDocument"]
        check_identity_policy(document)

        async def edit(tx: Transaction, holder: Holder) -> None:
            refuse_linked(holder)
            holder.inline[input["PolicyName"]] = document
            if sum(map(size, holder.inline.values())) > kind.inline_limit:
                raise errors.limit_exceeded(f"Maximum policy size of {kind.inline_limit} bytes exceeded for {kind.noun} {holder.name}")

        await change(ctx, kind, input[name], edit)
        return {}

    @service.operation(f"Get{kind.title}Policy", on(kind))
    async def get_policy(ctx: Context, input: Input) -> Output:
        holder = await need(ctx.store, kind, input[name])
        document = holder.inline.get(input["PolicyName"])
        if document is None:
            raise _missing(kind, input["PolicyName"])
        return {name: holder.name, "PolicyName": input["PolicyName"], "PolicyDocument": encoded(document)}

    @service.operation(f"Delete{kind.title}Policy", on(kind))
    async def delete_policy(ctx: Context, input: Input) -> Output:
        async def edit(tx: Transaction, holder: Holder) -> None:
            refuse_linked(holder)
            if holder.inline.pop(input["PolicyName"], None) is None:
                raise _missing(kind, input["PolicyName"])

        await change(ctx, kind, input[name], edit)
        return {}

    @service.operation(f"List{kind.title}Policies", on(kind))
    async def list_policies(ctx: Context, input: Input) -> Output:
        holder = await need(ctx.store, kind, input[name])
        names, more = page(sorted(holder.inline), input, str)
        return {"PolicyNames": names, **more}


for _kind in (User, Group, Role):
    _register(_kind)
