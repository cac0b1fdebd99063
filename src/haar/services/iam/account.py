"""The account as a whole: alias, summary, and everything in it at once."""

from typing import Any

from haar.policy.managed import managed_arns
from haar.services.iam import errors, shapes
from haar.services.iam.access_keys import MAX_KEYS
from haar.services.iam.attachments import MAX_ATTACHED
from haar.services.iam.catalog import find_policy
from haar.services.iam.demands import anywhere
from haar.services.iam.entities import find
from haar.services.iam.groups import MAX_GROUPS
from haar.services.iam.instance_profiles import profile_shape
from haar.services.iam.mfa import Device
from haar.services.iam.oidc_providers import Provider
from haar.services.iam.paging import everything, page
from haar.services.iam.policies import MAX_SIZE, MAX_VERSIONS, policy_shape, used_policies
from haar.services.iam.records import ACCOUNT, Entity, Group, Holder, InstanceProfile, Policy, Role, User
from haar.services.iam.roles import MAX_TRUST_SIZE, profiles_of, role_shape
from haar.services.iam.root import find_root
from haar.services.iam.server_certificates import ServerCertificate
from haar.services.iam.service import service
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction

ALIAS = b"alias"
QUOTAS = {
    "UsersQuota": User.quota[1],
    "GroupsQuota": Group.quota[1],
    "RolesQuota": Role.quota[1],
    "PoliciesQuota": Policy.quota[1],
    "InstanceProfilesQuota": InstanceProfile.quota[1],
    "ServerCertificatesQuota": ServerCertificate.quota[1],
    "PolicyVersionsInUseQuota": 10_000,
    "SigningCertificatesPerUserQuota": 2,
    "AccessKeysPerUserQuota": MAX_KEYS,
    "GroupsPerUserQuota": MAX_GROUPS,
    "AttachedPoliciesPerUserQuota": MAX_ATTACHED,
    "AttachedPoliciesPerGroupQuota": MAX_ATTACHED,
    "AttachedPoliciesPerRoleQuota": MAX_ATTACHED,
    "UserPolicySizeQuota": User.inline_limit,
    "GroupPolicySizeQuota": Group.inline_limit,
    "RolePolicySizeQuota": Role.inline_limit,
    "AssumeRolePolicySizeQuota": MAX_TRUST_SIZE,
    "PolicySizeQuota": MAX_SIZE,
    "VersionsPerPolicyQuota": MAX_VERSIONS,
}


@service.operation("CreateAccountAlias", anywhere)
async def create_account_alias(ctx: Context, input: Input) -> Output:
    """An account has one alias: a new one takes the old one's place."""

    async def write(tx: Transaction) -> None:
        if await tx.get(ACCOUNT, ALIAS) == input["AccountAlias"].encode():
            raise errors.already_exists(f"The account alias {input['AccountAlias']} already exists.")
        tx.put(ACCOUNT, ALIAS, b"", input["AccountAlias"].encode())

    await ctx.store.transact(write)
    return {}


@service.operation("ListAccountAliases", anywhere)
async def list_account_aliases(ctx: Context, input: Input) -> Output:
    alias = await ctx.store.get(ACCOUNT, ALIAS)
    return {"AccountAliases": [] if alias is None else [alias.decode()], "IsTruncated": False}


@service.operation("DeleteAccountAlias", anywhere)
async def delete_account_alias(ctx: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> None:
        if await tx.get(ACCOUNT, ALIAS) != input["AccountAlias"].encode():
            raise errors.no_such_entity(f"The account alias {input['AccountAlias']} was not found.")
        tx.delete(ACCOUNT, ALIAS)

    await ctx.store.transact(write)
    return {}


@service.operation("GetAccountSummary", anywhere)
async def get_account_summary(ctx: Context, input: Input) -> Output:
    store = ctx.store
    devices = [device async for device in everything(store, Device)]
    policies = [len(policy.versions) async for policy in everything(store, Policy)]
    counted = {
        "Users": sum([1 async for _ in everything(store, User)]),
        "Groups": sum([1 async for _ in everything(store, Group)]),
        "Roles": sum([1 async for _ in everything(store, Role)]),
        "Policies": len(policies),
        "PolicyVersionsInUse": sum(policies),
        "InstanceProfiles": sum([1 async for _ in everything(store, InstanceProfile)]),
        "MFADevices": len(devices),
        "MFADevicesInUse": sum(device.user != "" for device in devices),
        "AccountMFAEnabled": 0,
        "AccountAccessKeysPresent": int(await find_root(ctx.host) is not None),
        "AccountSigningCertificatesPresent": 0,
        "AccountPasswordPresent": 0,
        "ServerCertificates": sum([1 async for _ in everything(store, ServerCertificate)]),
        "Providers": sum([1 async for _ in everything(store, Provider)]),
        "GlobalEndpointTokenVersion": 1,
    }
    return {"SummaryMap": QUOTAS | counted}


DETAIL_KINDS: dict[str, type[Entity]] = {"User": User, "Group": Group, "Role": Role}


@service.operation("GetAccountAuthorizationDetails", anywhere)
async def get_account_authorization_details(ctx: Context, input: Input) -> Output:
    wanted = set(input.get("Filter") or ("User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"))
    keys = [
        f"{title}/{entity.name}" for title, kind in DETAIL_KINDS.items() if title in wanted async for entity in everything(ctx.store, kind)
    ]
    if "LocalManagedPolicy" in wanted:
        keys += [policy.arn(ctx.account) async for policy in everything(ctx.store, Policy)]
    if "AWSManagedPolicy" in wanted:
        keys += sorted(await used_policies(ctx.store, None) & set(managed_arns()))
    chosen, more = page(keys, input, str)
    shape: dict[str, list[dict[str, Any]]] = {"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": []}
    for key in chosen:
        title, _, name = key.partition("/")
        if title in DETAIL_KINDS:
            entity = await find(ctx.store, DETAIL_KINDS[title], name)
            if isinstance(entity, Holder):
                shape[f"{title}DetailList"].append(await _detail(ctx, entity))
        elif (policy := await find_policy(ctx.store, ctx.account, key)) is not None:
            shape["Policies"].append(await _policy_detail(ctx, policy))
    return {**shape, **more}


async def _detail(ctx: Context, entity: Holder) -> dict[str, Any]:
    inline = [{"PolicyName": name, "PolicyDocument": shapes.encoded(document)} for name, document in entity.inline.items()]
    common: dict[str, Any] = {
        f"{entity.title}PolicyList": inline,
        "AttachedManagedPolicies": [shapes.attached_policy(arn) for arn in entity.attached],
    }
    if isinstance(entity, User):
        return shapes.user(entity, ctx.account) | common | {"GroupList": entity.groups}
    if isinstance(entity, Role):
        shape = await role_shape(ctx.store, ctx.account, entity)
        profiles = [await profile_shape(ctx.store, ctx.account, profile) for profile in await profiles_of(ctx.store, entity.name)]
        del shape["MaxSessionDuration"]
        for left_out in ("Description", "MaxSigninSessionDuration"):
            shape.pop(left_out, None)
        return shape | common | {"InstanceProfileList": profiles}
    return shapes.named(entity, ctx.account) | common


async def _policy_detail(ctx: Context, policy: Policy) -> dict[str, Any]:
    shape = await policy_shape(ctx.store, ctx.account, policy)
    del shape["Tags"]
    return shape | {"PolicyVersionList": [shapes.version(version, policy.default, document=True) for version in policy.versions[::-1]]}
