"""Users."""

from typing import Any

from haar.services.iam import errors, shapes
from haar.services.iam.boundaries import check_boundary
from haar.services.iam.demands import listing, on, own_name, tagged_making
from haar.services.iam.entities import attach, create, decode, detach, encode, exists, find, forget, need, put_new, remove, unique_id
from haar.services.iam.paging import page_of
from haar.services.iam.records import BOUNDARY_USE, KEYS, MEMBERS, POLICY_USE, AccessKey, User, partition
from haar.services.iam.service import service
from haar.services.iam.tags import checked
from haar.services.service import Context, Demand, Input, Output
from haar.store.contract import Transaction


@service.operation("CreateUser", tagged_making(User))
async def create_user(ctx: Context, input: Input) -> Output:
    boundary = input.get("PermissionsBoundary", "")
    user = User(
        name=input["UserName"],
        path=input.get("Path", "/"),
        id=unique_id(ctx.host.ids, User),
        created=ctx.now(),
        tags=checked(input.get("Tags", ())),
        boundary=boundary,
    )

    async def also(tx: Transaction, user: User) -> None:
        if boundary:
            await check_boundary(tx, ctx.account, boundary)
            attach(tx, boundary, user, BOUNDARY_USE)

    return {"User": shapes.user(await create(ctx, user, also), ctx.account)}


def caller_name(ctx: Context, input: Input) -> str:
    """The user that an input means: the named one, or the caller. Raises ValidationError when the caller is no user."""
    name: str = input.get("UserName") or own_name(ctx)
    if not name:
        raise errors.user_name_needed()
    return name


@service.operation("GetUser", on(User))
async def get_user(ctx: Context, input: Input) -> Output:
    if "UserName" not in input and ctx.principal.kind == "root":
        return {"User": await _root(ctx)}
    return {"User": shapes.user(await need(ctx.store, User, caller_name(ctx, input)), ctx.account)}


async def _root(ctx: Context) -> dict[str, Any]:
    from haar.services.iam.root import root_created

    return {
        "Path": "/",
        "UserName": "",
        "UserId": ctx.account,
        "Arn": f"arn:aws:iam::{ctx.account}:root",
        "CreateDate": shapes.when(await root_created(ctx.host)),
    }


@service.operation("ListUsers", listing("user"))
async def list_users(ctx: Context, input: Input) -> Output:
    users, more = await page_of(ctx.store, User, input)
    return {"Users": [shapes.user(user, ctx.account, full=False) for user in users], **more}


@service.operation("DeleteUser", on(User))
async def delete_user(ctx: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> None:
        user = await need(tx, User, input["UserName"])
        for left, what in (
            (user.attached, "must detach all policies first."),
            (user.inline, "must delete policies first."),
            (user.keys, "must delete access keys first."),
            (user.login, "must delete login profile first."),
            (user.mfa, "must delete MFA device first."),
            (user.ssh_keys, "must delete SSH public keys first."),
            (user.groups, "must remove users from group first."),
        ):
            if left:
                raise errors.delete_conflict(f"Cannot delete entity, {what}")
        if user.boundary:
            detach(tx, user.boundary, user, BOUNDARY_USE)
        await forget(tx, user)

    await ctx.store.transact(write)
    return {}


async def _updating(ctx: Context, input: Input) -> list[Demand]:
    """UpdateUser demands the action on the user as it is, and as it will be when it is renamed or moved."""
    demands = await on(User)(ctx, input)
    user = await find(ctx.store, User, input["UserName"])
    if user is not None and ("NewUserName" in input or "NewPath" in input):
        renamed = User(name=input.get("NewUserName", user.name), path=input.get("NewPath", user.path), id=user.id, created=0)
        demands.append(Demand("iam:UpdateUser", renamed.arn(ctx.account), tags=user.tags))
    return demands


@service.operation("UpdateUser", _updating)
async def update_user(ctx: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> None:
        user = await need(tx, User, input["UserName"])
        new = input.get("NewUserName", user.name)
        if partition(new) != partition(user.name) and await find(tx, User, new) is not None:
            raise exists(User, new)
        _forget(tx, user)
        user.name, user.path = new, input.get("NewPath", user.path)
        await _remember(tx, user)

    await ctx.store.transact(write)
    return {}


def _forget(tx: Transaction, user: User) -> None:
    remove(tx, user)
    for arn in user.attached:
        detach(tx, arn, user, POLICY_USE)
    if user.boundary:
        detach(tx, user.boundary, user, BOUNDARY_USE)
    for group in user.groups:
        tx.delete(MEMBERS, partition(group), partition(user.name))


async def _remember(tx: Transaction, user: User) -> None:
    """Writes a renamed user and everything that knows it by name."""
    put_new(tx, user)
    for arn in user.attached:
        attach(tx, arn, user, POLICY_USE)
    if user.boundary:
        attach(tx, user.boundary, user, BOUNDARY_USE)
    for group in user.groups:
        tx.put(MEMBERS, partition(group), partition(user.name), b"")
    for key_id in user.keys:
        raw = await tx.get(KEYS, key_id.encode())
        if raw is not None:
            key = decode(raw, AccessKey)
            key.user = user.name
            tx.put(KEYS, key_id.encode(), b"", encode(key))
