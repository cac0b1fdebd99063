"""Roles, and the policies that say who may take them on."""

from typing import Any

from haar.services.iam import errors, shapes
from haar.services.iam.boundaries import check_boundary
from haar.services.iam.demands import listing, on, tagged_making
from haar.services.iam.documents import check_trust_policy, size
from haar.services.iam.entities import attach, change, create, decode, detach, forget, need, refuse_linked, unique_id
from haar.services.iam.paging import page_of
from haar.services.iam.records import BOUNDARY_USE, USED, InstanceProfile, Role, Used
from haar.services.iam.service import service
from haar.services.iam.tags import checked
from haar.services.iam.trust import shown, stored
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction

MAX_TRUST_SIZE = 2048
"""Characters of a trust policy, white space not counted."""
PROFILE_SLICE = 200
"""Instance profiles read at once in search of a role's."""


def used_key(role: Role) -> bytes:
    """Where a role's last use is kept: by its unique id, so that a namesake starts anew."""
    return role.id.encode()


async def role_shape(reader: Reader, account: str, role: Role, *, full: bool = True) -> dict[str, Any]:
    raw = await reader.get(USED, used_key(role)) if full else None
    used = decode(raw, Used) if raw is not None else None
    return shapes.role(role, account, await shown(reader, account, role), full=full, used=used)


def _check_trust(document: str) -> None:
    check_trust_policy(document)
    if size(document) > MAX_TRUST_SIZE:
        raise errors.quota("ACLSizePerRole", MAX_TRUST_SIZE)


@service.operation("CreateRole", tagged_making(Role))
async def create_role(ctx: Context, input: Input) -> Output:
    document, boundary = input["AssumeRolePolicyDocument"], input.get("PermissionsBoundary", "")
    _check_trust(document)
    role = Role(
        name=input["RoleName"],
        path=input.get("Path", "/"),
        id=unique_id(ctx.host.ids, Role),
        created=ctx.now(),
        trust="",
        description=input.get("Description"),
        max_session=input.get("MaxSessionDuration", 3600),
        max_signin=input.get("MaxSigninSessionDuration"),
        tags=checked(input.get("Tags", ())),
        boundary=boundary,
    )

    async def also(tx: Transaction, role: Role) -> None:
        role.trust, role.trusted = await stored(tx, ctx.account, document)
        if boundary:
            await check_boundary(tx, ctx.account, boundary)
            attach(tx, boundary, role, BOUNDARY_USE)

    await create(ctx, role, also)
    shape = shapes.role(role, ctx.account, role.trust)
    del shape["MaxSessionDuration"], shape["RoleLastUsed"]
    return {"Role": shape}


@service.operation("GetRole", on(Role))
async def get_role(ctx: Context, input: Input) -> Output:
    role = await need(ctx.store, Role, input["RoleName"])
    return {"Role": await role_shape(ctx.store, ctx.account, role)}


@service.operation("ListRoles", listing("role"))
async def list_roles(ctx: Context, input: Input) -> Output:
    roles, more = await page_of(ctx.store, Role, input)
    return {"Roles": [await role_shape(ctx.store, ctx.account, role, full=False) for role in roles], **more}


@service.operation("UpdateRole", on(Role))
async def update_role(ctx: Context, input: Input) -> Output:
    async def edit(tx: Transaction, role: Role) -> None:
        refuse_linked(role)
        role.description = input.get("Description", role.description)
        role.max_session = input.get("MaxSessionDuration", role.max_session)
        role.max_signin = input.get("MaxSigninSessionDuration", None if input.get("ResetMaxSigninSessionDuration") else role.max_signin)

    await change(ctx, Role, input["RoleName"], edit)
    return {}


@service.operation("UpdateRoleDescription", on(Role))
async def update_role_description(ctx: Context, input: Input) -> Output:
    async def edit(tx: Transaction, role: Role) -> None:
        role.description = input["Description"]

    role = await change(ctx, Role, input["RoleName"], edit)
    return {"Role": await role_shape(ctx.store, ctx.account, role)}


@service.operation("UpdateAssumeRolePolicy", on(Role))
async def update_assume_role_policy(ctx: Context, input: Input) -> Output:
    document = input["PolicyDocument"]
    _check_trust(document)

    async def edit(tx: Transaction, role: Role) -> None:
        refuse_linked(role)
        role.trust, role.trusted = await stored(tx, ctx.account, document)

    await change(ctx, Role, input["RoleName"], edit)
    return {}


@service.operation("DeleteRole", on(Role))
async def delete_role(ctx: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> None:
        role = await need(tx, Role, input["RoleName"])
        refuse_linked(role)
        if role.attached:
            raise errors.delete_conflict("Cannot delete entity, must detach all policies first.")
        if role.inline:
            raise errors.delete_conflict("Cannot delete entity, must delete policies first.")
        if await profiles_of(tx, role.name):
            raise errors.delete_conflict("Cannot delete entity, must remove roles from instance profile first.")
        await forget_role(tx, role)

    await ctx.store.transact(write)
    return {}


async def forget_role(tx: Transaction, role: Role) -> None:
    if role.boundary:
        detach(tx, role.boundary, role, BOUNDARY_USE)
    tx.delete(USED, used_key(role))
    await forget(tx, role)


async def profiles_of(reader: Reader, role: str) -> list[InstanceProfile]:
    """The instance profiles that a role is in, in order of name."""
    found: list[InstanceProfile] = []
    after = None
    while rows := await reader.scan(InstanceProfile.space, after=after, limit=PROFILE_SLICE):
        found += [profile for row in rows if role in (profile := decode(row.value, InstanceProfile)).roles]
        after = (rows[-1].partition, rows[-1].sort)
    return found
