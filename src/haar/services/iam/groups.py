"""Groups and who is in them."""

from haar.services.iam import errors, shapes
from haar.services.iam.demands import listing, making, on
from haar.services.iam.entities import attach, change, create, detach, exists, find, forget, need, put, remove, unique_id
from haar.services.iam.paging import page, page_of
from haar.services.iam.records import MEMBERS, Group, User, partition
from haar.services.iam.service import service
from haar.services.service import Context, Demand, Input, Output
from haar.store.contract import Reader, Transaction

MAX_GROUPS = 10
"""Of one user."""
MAX_MEMBERS = 5000
"""Users in an account, so also in a group."""


@service.operation("CreateGroup", making(Group))
async def create_group(ctx: Context, input: Input) -> Output:
    group = Group(name=input["GroupName"], path=input.get("Path", "/"), id=unique_id(ctx.host.ids, Group), created=ctx.now())
    return {"Group": shapes.group(await create(ctx, group), ctx.account)}


async def members_of(reader: Reader, group: str) -> list[User]:
    """In order of name."""
    rows = await reader.range(MEMBERS, partition(group), limit=MAX_MEMBERS)
    found = [await find(reader, User, sort.decode()) for sort, _ in rows]
    return [user for user in found if user is not None]


@service.operation("GetGroup", on(Group))
async def get_group(ctx: Context, input: Input) -> Output:
    group = await need(ctx.store, Group, input["GroupName"])
    users, more = page(await members_of(ctx.store, group.name), input, lambda user: user.name.lower())
    return {"Group": shapes.group(group, ctx.account), "Users": [shapes.user(user, ctx.account, full=False) for user in users], **more}


@service.operation("ListGroups", listing("group"))
async def list_groups(ctx: Context, input: Input) -> Output:
    groups, more = await page_of(ctx.store, Group, input)
    return {"Groups": [shapes.group(group, ctx.account) for group in groups], **more}


@service.operation("DeleteGroup", on(Group))
async def delete_group(ctx: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> None:
        group = await need(tx, Group, input["GroupName"])
        if group.attached:
            raise errors.delete_conflict("Cannot delete entity, must detach all policies first.")
        if group.inline:
            raise errors.delete_conflict("Cannot delete entity, must delete policies first.")
        if await tx.range(MEMBERS, partition(group.name), limit=1):
            raise errors.delete_conflict("Cannot delete entity, must remove users from group first.")
        await forget(tx, group)

    await ctx.store.transact(write)
    return {}


async def _updating(ctx: Context, input: Input) -> list[Demand]:
    demands = await on(Group)(ctx, input)
    group = await find(ctx.store, Group, input["GroupName"])
    if group is not None and ("NewGroupName" in input or "NewPath" in input):
        renamed = Group(name=input.get("NewGroupName", group.name), path=input.get("NewPath", group.path), id=group.id, created=0)
        demands.append(Demand("iam:UpdateGroup", renamed.arn(ctx.account)))
    return demands


@service.operation("UpdateGroup", _updating)
async def update_group(ctx: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> None:
        group = await need(tx, Group, input["GroupName"])
        old, new = group.name, input.get("NewGroupName", group.name)
        if partition(new) != partition(old) and await find(tx, Group, new) is not None:
            raise exists(Group, new)
        members = await members_of(tx, old)
        remove(tx, group)
        for arn in group.attached:
            detach(tx, arn, group)
        group.name, group.path = new, input.get("NewPath", group.path)
        put(tx, group)
        for arn in group.attached:
            attach(tx, arn, group)
        for user in members:
            tx.delete(MEMBERS, partition(old), partition(user.name))
            tx.put(MEMBERS, partition(new), partition(user.name), b"")
            user.groups = [new if name == old else name for name in user.groups]
            put(tx, user)

    await ctx.store.transact(write)
    return {}


@service.operation("AddUserToGroup", on(Group))
async def add_user_to_group(ctx: Context, input: Input) -> Output:
    async def edit(tx: Transaction, user: User) -> None:
        group = await need(tx, Group, input["GroupName"])
        if group.name in user.groups:
            return
        if len(user.groups) >= MAX_GROUPS:
            raise errors.quota("GroupsPerUser", MAX_GROUPS)
        user.groups.append(group.name)
        tx.put(MEMBERS, partition(group.name), partition(user.name), b"")

    await change(ctx, User, input["UserName"], edit)
    return {}


@service.operation("RemoveUserFromGroup", on(Group))
async def remove_user_from_group(ctx: Context, input: Input) -> Output:
    async def edit(tx: Transaction, user: User) -> None:
        group = await need(tx, Group, input["GroupName"])
        if group.name not in user.groups:
            raise errors.no_such_entity(f"User {user.name} is not in the group {group.name}.")
        user.groups.remove(group.name)
        tx.delete(MEMBERS, partition(group.name), partition(user.name))

    await change(ctx, User, input["UserName"], edit)
    return {}


@service.operation("ListGroupsForUser", on(User))
async def list_groups_for_user(ctx: Context, input: Input) -> Output:
    user = await need(ctx.store, User, input["UserName"])
    found = [await find(ctx.store, Group, name) for name in sorted(user.groups, key=str.lower)]
    groups, more = page([group for group in found if group is not None], input, lambda group: group.name.lower())
    return {"Groups": [shapes.group(group, ctx.account) for group in groups], **more}
