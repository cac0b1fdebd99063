"""Instance profiles: names under which one role each can be handed to machines."""

from typing import Any

from haar.services.iam import errors, shapes
from haar.services.iam.demands import conditions_of, listing, on, tagged_making
from haar.services.iam.entities import change, create, find, forget, need, unique_id
from haar.services.iam.paging import page, page_of
from haar.services.iam.records import InstanceProfile, Role
from haar.services.iam.roles import profiles_of, role_shape
from haar.services.iam.service import service
from haar.services.iam.tags import checked
from haar.services.service import Context, Demand, Input, Output
from haar.store.contract import Reader, Transaction

MAX_ROLES = 1


async def profile_shape(reader: Reader, account: str, profile: InstanceProfile, *, full: bool = True) -> dict[str, Any]:
    roles = [await find(reader, Role, name) for name in profile.roles]
    shown = [await role_shape(reader, account, role, full=False) for role in roles if role is not None]
    return shapes.instance_profile(profile, account, shown, full=full)


@service.operation("CreateInstanceProfile", tagged_making(InstanceProfile))
async def create_instance_profile(ctx: Context, input: Input) -> Output:
    profile = InstanceProfile(
        name=input["InstanceProfileName"],
        path=input.get("Path", "/"),
        id=unique_id(ctx.host.ids, InstanceProfile),
        created=ctx.now(),
        tags=checked(input.get("Tags", ())),
    )
    return {"InstanceProfile": shapes.instance_profile(await create(ctx, profile), ctx.account, [])}


@service.operation("GetInstanceProfile", on(InstanceProfile))
async def get_instance_profile(ctx: Context, input: Input) -> Output:
    profile = await need(ctx.store, InstanceProfile, input["InstanceProfileName"])
    return {"InstanceProfile": await profile_shape(ctx.store, ctx.account, profile)}


@service.operation("DeleteInstanceProfile", on(InstanceProfile))
async def delete_instance_profile(ctx: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> None:
        profile = await need(tx, InstanceProfile, input["InstanceProfileName"])
        if profile.roles:
            raise errors.delete_conflict("Cannot delete entity, must remove roles from instance profile first.")
        await forget(tx, profile)

    await ctx.store.transact(write)
    return {}


@service.operation("ListInstanceProfiles", listing("instance-profile"))
async def list_instance_profiles(ctx: Context, input: Input) -> Output:
    profiles, more = await page_of(ctx.store, InstanceProfile, input)
    return {"InstanceProfiles": [await profile_shape(ctx.store, ctx.account, profile, full=False) for profile in profiles], **more}


@service.operation("ListInstanceProfilesForRole", on(Role))
async def list_instance_profiles_for_role(ctx: Context, input: Input) -> Output:
    role = await need(ctx.store, Role, input["RoleName"])
    profiles, more = page(await profiles_of(ctx.store, role.name), input, lambda profile: profile.name.lower())
    return {"InstanceProfiles": [await profile_shape(ctx.store, ctx.account, profile, full=False) for profile in profiles], **more}


async def _adding(ctx: Context, input: Input) -> list[Demand]:
    """Besides the action itself, the caller must be allowed to pass the role to EC2."""
    demands = await on(InstanceProfile)(ctx, input)
    role = await find(ctx.store, Role, input["RoleName"])
    if role is not None:
        keys = conditions_of(role, {}) | {"iam:PassedToService": ("ec2.amazonaws.com",)}
        demands.append(Demand("iam:PassRole", role.arn(ctx.account), keys, tags=role.tags))
    return demands


@service.operation("AddRoleToInstanceProfile", _adding)
async def add_role_to_instance_profile(ctx: Context, input: Input) -> Output:
    async def edit(tx: Transaction, profile: InstanceProfile) -> None:
        role = await need(tx, Role, input["RoleName"])
        if len(profile.roles) >= MAX_ROLES:
            raise errors.quota("InstanceSessionsPerInstanceProfile", MAX_ROLES)
        profile.roles.append(role.name)

    await change(ctx, InstanceProfile, input["InstanceProfileName"], edit)
    return {}


@service.operation("RemoveRoleFromInstanceProfile", on(InstanceProfile))
async def remove_role_from_instance_profile(ctx: Context, input: Input) -> Output:
    async def edit(tx: Transaction, profile: InstanceProfile) -> None:
        role = await need(tx, Role, input["RoleName"])
        if role.name not in profile.roles:
            raise errors.no_such_entity(f"The role with name {role.name} cannot be found in the instance profile {profile.name}.")
        profile.roles.remove(role.name)

    await change(ctx, InstanceProfile, input["InstanceProfileName"], edit)
    return {}
