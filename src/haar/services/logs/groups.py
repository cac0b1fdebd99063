"""Log groups: made, described, tagged, given a retention, deleted."""

import asyncio
from collections.abc import Callable
from typing import Any

from haar.services.logs import service
from haar.services.logs.access import group_name, name_of_arn, on_all_groups, on_anything, on_creation, on_group, on_resource
from haar.services.logs.errors import bad_token, group_exists, invalid, no_group, no_resource
from haar.services.logs.records import (
    GARBAGE,
    GROUPS,
    USAGE,
    Group,
    behind,
    decode_group,
    find_group,
    group_arn,
    put_group,
    usage,
)
from haar.services.service import Context, Host, Input, Output
from haar.store.contract import Transaction

RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
DESCRIBE_LIMIT = 50
SEARCH_SLICE = 500
MAX_TAGS = 50


def new_group(host: Host, name: str, **more: Any) -> Group:
    return Group(name, host.ids.text(16), int(host.clock.now() * 1000), **more)


@service.operation("CreateLogGroup", on_creation)
async def create_log_group(context: Context, input: Input) -> Output:
    group = new_group(
        context.host,
        input["logGroupName"],
        tags=dict(input.get("tags", {})),
        kms=input.get("kmsKeyId", ""),
        log_class=input.get("logGroupClass", "STANDARD"),
        protected=bool(input.get("deletionProtectionEnabled", False)),
    )
    if group.name.startswith("aws/"):
        raise invalid("Log groups starting with AWS/ are reserved for AWS.")

    async def create(tx: Transaction) -> None:
        if await find_group(tx, context.region, group.name):
            raise group_exists()
        put_group(tx, context.region, group)

    await context.store.transact(create)
    return {}


@service.operation("DeleteLogGroup", on_group("logs:DeleteLogGroup"))
async def delete_log_group(context: Context, input: Input) -> Output:
    region, name = context.region, input["logGroupName"]

    async def delete(tx: Transaction) -> None:
        group = await find_group(tx, region, name)
        if group is None:
            raise no_group()
        if group.protected:
            raise invalid("The specified log group has deletion protection enabled.")
        tx.delete(GROUPS, region.encode(), name.encode())
        tx.delete(USAGE, group.id.encode())
        tx.put(GARBAGE, group.id.encode(), b"", f"{group.id}/".encode())

    await context.store.transact(delete)
    return {}


@service.operation("DescribeLogGroups", on_all_groups("logs:DescribeLogGroups"))
async def describe_log_groups(context: Context, input: Input) -> Output:
    prefix, pattern = input.get("logGroupNamePrefix", ""), input.get("logGroupNamePattern", "").lower()
    if prefix and pattern:
        raise invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
    identifiers = [name_of_arn(each) for each in input.get("logGroupIdentifiers", ())]
    limit = input.get("limit", DESCRIBE_LIMIT)
    if identifiers:
        named = [await find_group(context.store, context.region, name) for name in sorted(set(identifiers))]
        return {"logGroups": [await _described(context, group) for group in named if group]}
    start = prefix.encode()
    if token := input.get("nextToken"):
        start = max(start, _after(token))

    def keep(group: Group) -> bool:
        return pattern in group.name.lower() and group.log_class == input.get("logGroupClass", group.log_class)

    wanted = await _matching(context, start, prefix, limit, keep)
    output: dict[str, Any] = {"logGroups": [await _described(context, group) for group in wanted[:limit]]}
    if len(wanted) > limit:
        output["nextToken"] = wanted[limit - 1].name
    return output


async def _matching(context: Context, start: bytes, prefix: str, limit: int, keep: Callable[[Group], bool]) -> list[Group]:
    """Groups from `start` on, in order of name, until there are more than `limit`."""
    wanted: list[Group] = []
    while len(wanted) <= limit:
        rows = await context.store.range(GROUPS, context.region.encode(), start, behind(prefix.encode()), limit=SEARCH_SLICE)
        wanted += [group for _, value in rows if keep(group := decode_group(value))]
        if len(rows) < SEARCH_SLICE:
            break
        start = rows[-1][0] + b"\x00"
        await asyncio.sleep(0)
    return wanted


@service.operation("ListLogGroups", on_anything("logs:ListLogGroups"))
async def list_log_groups(context: Context, input: Input) -> Output:
    """Names with one of a pattern's parts in them, or (`^`) at their beginning."""
    for member in ("dataSources", "fieldIndexNames", "logGroupTags"):
        if input.get(member):
            raise invalid(f"haar does not have the parameter {member}.")
    parts = str(input.get("logGroupNamePattern", "")).split("|")
    limit = input.get("limit", DESCRIBE_LIMIT)

    def keep(group: Group) -> bool:
        named = any(group.name.startswith(part[1:]) if part.startswith("^") else part in group.name for part in parts)
        return named and group.log_class == input.get("logGroupClass", group.log_class)

    start = _after(input["nextToken"]) if "nextToken" in input else b""
    wanted = await _matching(context, start, "", limit, keep)
    arn = group_arn(context.region, context.account, "")
    shown = [{"logGroupName": one.name, "logGroupArn": arn + one.name, "logGroupClass": one.log_class} for one in wanted[:limit]]
    return {"logGroups": shown} | ({"nextToken": wanted[limit - 1].name} if len(wanted) > limit else {})


def _after(token: str) -> bytes:
    try:
        return token.encode() + b"\x00"
    except UnicodeEncodeError:
        raise bad_token() from None


async def _described(context: Context, group: Group) -> dict[str, Any]:
    arn = group_arn(context.region, context.account, group.name)
    described = {
        "logGroupName": group.name,
        "creationTime": group.created,
        "metricFilterCount": len(group.metrics),
        "arn": arn + ":*",
        "logGroupArn": arn,
        "storedBytes": await usage(context.store, group),
        "logGroupClass": group.log_class,
        "deletionProtectionEnabled": group.protected,
    }
    if group.retention:
        described["retentionInDays"] = group.retention
    if group.kms:
        described["kmsKeyId"] = group.kms
    return described


async def _change(context: Context, name: str, change: Any, missing: Any = no_group) -> None:
    async def apply(tx: Transaction) -> None:
        group = await find_group(tx, context.region, name)
        if group is None:
            raise missing()
        change(group)
        put_group(tx, context.region, group)

    await context.store.transact(apply)


@service.operation("PutRetentionPolicy", on_group("logs:PutRetentionPolicy"))
async def put_retention_policy(context: Context, input: Input) -> Output:
    days = input["retentionInDays"]
    if days not in RETENTIONS:
        allowed = ", ".join(map(str, RETENTIONS))
        raise invalid(
            f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{allowed}]"
        )
    await _change(context, input["logGroupName"], lambda group: setattr(group, "retention", days))
    return {}


@service.operation("DeleteRetentionPolicy", on_group("logs:DeleteRetentionPolicy"))
async def delete_retention_policy(context: Context, input: Input) -> Output:
    await _change(context, input["logGroupName"], lambda group: setattr(group, "retention", 0))
    return {}


@service.operation("PutLogGroupDeletionProtection", on_group("logs:PutLogGroupDeletionProtection"))
async def put_log_group_deletion_protection(context: Context, input: Input) -> Output:
    protected = bool(input["deletionProtectionEnabled"])
    await _change(context, group_name(input), lambda group: setattr(group, "protected", protected))
    return {}


def _tag(tags: dict[str, str]) -> Any:
    def change(group: Group) -> None:
        group.tags = group.tags | tags
        if len(group.tags) > MAX_TAGS:
            raise invalid("The resource exceeds the maximum number of tags allowed.")

    return change


def _untag(keys: list[str]) -> Any:
    def change(group: Group) -> None:
        group.tags = {key: value for key, value in group.tags.items() if key not in keys}

    return change


@service.operation("TagLogGroup", on_group("logs:TagLogGroup"))
async def tag_log_group(context: Context, input: Input) -> Output:
    await _change(context, input["logGroupName"], _tag(input["tags"]))
    return {}


@service.operation("UntagLogGroup", on_group("logs:UntagLogGroup"))
async def untag_log_group(context: Context, input: Input) -> Output:
    await _change(context, input["logGroupName"], _untag(input["tags"]))
    return {}


@service.operation("ListTagsLogGroup", on_group("logs:ListTagsLogGroup"))
async def list_tags_log_group(context: Context, input: Input) -> Output:
    group = await find_group(context.store, context.region, input["logGroupName"])
    if group is None:
        raise no_group()
    return {"tags": group.tags}


@service.operation("TagResource", on_resource("logs:TagResource"))
async def tag_resource(context: Context, input: Input) -> Output:
    await _change(context, name_of_arn(input["resourceArn"]), _tag(input["tags"]), no_resource)
    return {}


@service.operation("UntagResource", on_resource("logs:UntagResource"))
async def untag_resource(context: Context, input: Input) -> Output:
    await _change(context, name_of_arn(input["resourceArn"]), _untag(input["tagKeys"]), no_resource)
    return {}


@service.operation("ListTagsForResource", on_resource("logs:ListTagsForResource"))
async def list_tags_for_resource(context: Context, input: Input) -> Output:
    group = await find_group(context.store, context.region, name_of_arn(input["resourceArn"]))
    if group is None:
        raise no_resource()
    return {"tags": group.tags}
