"""Managed policies and their versions."""

from typing import Any

from haar.services.iam import errors, shapes
from haar.services.iam.boundaries import POLICY_ARN
from haar.services.iam.catalog import aws_policies, find_policy
from haar.services.iam.demands import listing, on_policy, tagged_making
from haar.services.iam.documents import check_identity_policy, size
from haar.services.iam.entities import attachments, create, find_holder, forget, put, unique_id
from haar.services.iam.paging import page, page_of
from haar.services.iam.records import ATTACHMENTS, BOUNDARY_USE, POLICY_USE, Policy, Version
from haar.services.iam.service import service
from haar.services.iam.tags import checked, merged, without
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction

MAX_SIZE = 6144
"""Characters of a managed policy, white space not counted."""
MAX_VERSIONS = 5
NOUNS = {"user": "User", "role": "Role", "group": "Group"}


def _check(document: str) -> None:
    check_identity_policy(document, managed=True)
    if size(document) > MAX_SIZE:
        raise errors.quota("PolicySize", MAX_SIZE)


async def need_policy(reader: Reader, account: str, arn: str) -> Policy:
    """The policy; raises InvalidInput, NoSuchEntity."""
    if not POLICY_ARN.fullmatch(arn):
        raise errors.invalid_arn(arn)
    policy = await find_policy(reader, account, arn)
    if policy is None:
        raise errors.policy_not_found(arn)
    return policy


async def policy_shape(reader: Reader, account: str, policy: Policy, *, full: bool = True) -> dict[str, Any]:
    uses = [use for _, _, use in await attachments(reader, policy.arn(account))]
    return shapes.policy(policy, account, uses.count(POLICY_USE), uses.count(BOUNDARY_USE), full=full)


@service.operation("CreatePolicy", tagged_making(Policy))
async def create_policy(ctx: Context, input: Input) -> Output:
    _check(input["PolicyDocument"])
    now = ctx.now()
    policy = Policy(
        name=input["PolicyName"],
        path=input.get("Path", "/"),
        id=unique_id(ctx.host.ids, Policy),
        created=now,
        updated=now,
        description=input.get("Description"),
        versions=[Version(number=1, document=input["PolicyDocument"], created=now)],
        tags=checked(input.get("Tags", ())),
    )
    await create(ctx, policy)
    shape = shapes.policy(policy, ctx.account, 0, 0)
    if not policy.tags:
        del shape["Tags"]
    return {"Policy": shape}


@service.operation("GetPolicy", on_policy)
async def get_policy(ctx: Context, input: Input) -> Output:
    policy = await need_policy(ctx.store, ctx.account, input["PolicyArn"])
    return {"Policy": await policy_shape(ctx.store, ctx.account, policy)}


@service.operation("DeletePolicy", on_policy)
async def delete_policy(ctx: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> None:
        policy = await _own(tx, ctx.account, input["PolicyArn"])
        if await tx.range(ATTACHMENTS, policy.arn(ctx.account).encode(), limit=1):
            raise errors.delete_conflict("Cannot delete a policy attached to entities.")
        if len(policy.versions) > 1:
            raise errors.delete_conflict(
                "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. "
                "The default version is deleted with the policy."
            )
        await forget(tx, policy)

    await ctx.store.transact(write)
    return {}


async def _own(reader: Reader, account: str, arn: str) -> Policy:
    """A policy that the account may change; raises AccessDenied for AWS's."""
    policy = await need_policy(reader, account, arn)
    if policy.aws:
        raise errors.unchangeable_aws_policy(arn)
    return policy


@service.operation("ListPolicies", listing("policy"))
async def list_policies(ctx: Context, input: Input) -> Output:
    scope, account = input.get("Scope", "All"), ctx.account
    wanted = {"PermissionsPolicy": POLICY_USE, "PermissionsBoundary": BOUNDARY_USE}.get(input.get("PolicyUsageFilter", ""))
    used = await used_policies(ctx.store, wanted) if wanted or input.get("OnlyAttached") else None

    def keep(policy: Policy) -> bool:
        return policy.path.startswith(input.get("PathPrefix", "/")) and (used is None or policy.arn(account) in used)

    found = [policy for policy in aws_policies() if keep(policy)] if scope in ("All", "AWS") else []
    if scope in ("All", "Local"):
        found += await _all_own(ctx.store, keep)
    found.sort(key=lambda policy: policy.arn(account))
    policies, more = page(found, input, lambda policy: policy.arn(account))
    return {"Policies": [await policy_shape(ctx.store, account, policy, full=False) for policy in policies], **more}


async def _all_own(reader: Reader, keep: Any) -> list[Policy]:
    found, more = await page_of(reader, Policy, {}, keep, default=1000)
    while more["IsTruncated"]:
        some, more = await page_of(reader, Policy, {"Marker": more["Marker"]}, keep, default=1000)
        found += some
    return found


async def used_policies(reader: Reader, use: str | None) -> set[str]:
    """ARNs of the policies that something uses (in this way, when one is given)."""
    found: set[str] = set()
    after = None
    while rows := await reader.scan(ATTACHMENTS, after=after):
        found |= {row.partition.decode() for row in rows if use is None or row.sort.decode().endswith("/" + use)}
        after = (rows[-1].partition, rows[-1].sort)
    return found


async def _edit(ctx: Context, arn: str, edit: Any) -> Policy:
    """Changes a policy of the account in one transaction."""

    async def write(tx: Transaction) -> Policy:
        policy = await _own(tx, ctx.account, arn)
        edit(policy)
        put(tx, policy)
        return policy

    return await ctx.store.transact(write)


@service.operation("CreatePolicyVersion", on_policy)
async def create_policy_version(ctx: Context, input: Input) -> Output:
    _check(input["PolicyDocument"])
    now = ctx.now()

    def edit(policy: Policy) -> None:
        if len(policy.versions) >= MAX_VERSIONS:
            raise errors.limit_exceeded(
                f"A managed policy can have up to {MAX_VERSIONS} versions. "
                "Before you create a new version, you must delete an existing version."
            )
        policy.versions.append(Version(number=policy.next, document=input["PolicyDocument"], created=now))
        policy.updated = now
        if input.get("SetAsDefault"):
            policy.default = policy.next
        policy.next += 1

    policy = await _edit(ctx, input["PolicyArn"], edit)
    return {"PolicyVersion": shapes.version(policy.versions[-1], policy.default)}


@service.operation("GetPolicyVersion", on_policy)
async def get_policy_version(ctx: Context, input: Input) -> Output:
    policy = await need_policy(ctx.store, ctx.account, input["PolicyArn"])
    version = _version(policy, input)
    return {"PolicyVersion": shapes.version(version, policy.default, document=True)}


def _version(policy: Policy, input: Input) -> Version:
    version = policy.version(input["VersionId"])
    if version is None:
        raise errors.version_not_found(input["PolicyArn"], input["VersionId"])
    return version


@service.operation("ListPolicyVersions", on_policy)
async def list_policy_versions(ctx: Context, input: Input) -> Output:
    policy = await need_policy(ctx.store, ctx.account, input["PolicyArn"])
    versions, more = page(policy.versions[::-1], input, lambda version: version.id)
    return {"Versions": [shapes.version(version, policy.default) for version in versions], **more}


@service.operation("DeletePolicyVersion", on_policy)
async def delete_policy_version(ctx: Context, input: Input) -> Output:
    def edit(policy: Policy) -> None:
        version = _version(policy, input)
        if version.number == policy.default:
            raise errors.delete_conflict("Cannot delete the default version of a policy.")
        policy.versions.remove(version)
        policy.updated = ctx.now()

    await _edit(ctx, input["PolicyArn"], edit)
    return {}


@service.operation("SetDefaultPolicyVersion", on_policy)
async def set_default_policy_version(ctx: Context, input: Input) -> Output:
    def edit(policy: Policy) -> None:
        policy.default = _version(policy, input).number
        policy.updated = ctx.now()

    await _edit(ctx, input["PolicyArn"], edit)
    return {}


@service.operation("TagPolicy", on_policy)
async def tag_policy(ctx: Context, input: Input) -> Output:
    tags = checked(input["Tags"])

    def edit(policy: Policy) -> None:
        policy.tags = merged(policy.tags, tags)

    await _edit(ctx, input["PolicyArn"], edit)
    return {}


@service.operation("UntagPolicy", on_policy)
async def untag_policy(ctx: Context, input: Input) -> Output:
    def edit(policy: Policy) -> None:
        policy.tags = without(policy.tags, input["TagKeys"])

    await _edit(ctx, input["PolicyArn"], edit)
    return {}


@service.operation("ListPolicyTags", on_policy)
async def list_policy_tags(ctx: Context, input: Input) -> Output:
    policy = await need_policy(ctx.store, ctx.account, input["PolicyArn"])
    tags, more = page(shapes.tag_list(policy.tags), input, lambda tag: tag["Key"])
    return {"Tags": tags, **more}


@service.operation("ListEntitiesForPolicy", on_policy)
async def list_entities_for_policy(ctx: Context, input: Input) -> Output:
    policy = await need_policy(ctx.store, ctx.account, input["PolicyArn"])
    use = BOUNDARY_USE if input.get("PolicyUsageFilter") == "PermissionsBoundary" else POLICY_USE
    found = [
        entry
        for entry in await attachments(ctx.store, policy.arn(ctx.account))
        if entry[2] == use and input.get("EntityFilter") in (None, NOUNS[entry[0]], "LocalManagedPolicy", "AWSManagedPolicy")
    ]
    chosen, more = page(found, input, "/".join)
    shape = await _entities(ctx, chosen, input.get("PathPrefix", "/"))
    return {**shape, **more}


async def _entities(ctx: Context, chosen: list[tuple[str, str, str]], prefix: str) -> dict[str, list[dict[str, str]]]:
    shape: dict[str, list[dict[str, str]]] = {"PolicyGroups": [], "PolicyUsers": [], "PolicyRoles": []}
    for noun, name, _ in chosen:
        entity = await find_holder(ctx.store, noun, name)
        if entity is not None and entity.path.startswith(prefix):
            shape[f"Policy{entity.title}s"].append({f"{entity.title}Name": entity.name, f"{entity.title}Id": entity.id})
    return shape
