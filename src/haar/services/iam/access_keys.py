"""Access keys: at most two a user."""

from typing import Any

from haar.services.iam import errors, shapes
from haar.services.iam.demands import on, on_access_key
from haar.services.iam.entities import change, decode, encode, need
from haar.services.iam.keys import key_id, secret
from haar.services.iam.paging import page
from haar.services.iam.records import KEYS, USED, AccessKey, Used, User
from haar.services.iam.root import find_root
from haar.services.iam.service import service
from haar.services.iam.users import caller_name
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction

MAX_KEYS = 2
NEVER = "N/A"


@service.operation("CreateAccessKey", on(User))
async def create_access_key(ctx: Context, input: Input) -> Output:
    key = AccessKey(id=key_id(ctx.host, "AKIA"), secret=secret(ctx.host.ids), user="", created=ctx.now())

    async def edit(tx: Transaction, user: User) -> None:
        if len(user.keys) >= MAX_KEYS:
            raise errors.quota("AccessKeysPerUser", MAX_KEYS)
        key.user = user.name
        user.keys.append(key.id)
        tx.put(KEYS, key.id.encode(), b"", encode(key))

    await change(ctx, User, caller_name(ctx, input), edit)
    return {"AccessKey": shapes.access_key(key) | {"SecretAccessKey": key.secret}}


async def _keys(reader: Reader, user: User) -> list[AccessKey]:
    found = [await reader.get(KEYS, key.encode()) for key in user.keys]
    return [decode(raw, AccessKey) for raw in found if raw is not None]


@service.operation("ListAccessKeys", on(User))
async def list_access_keys(ctx: Context, input: Input) -> Output:
    if "UserName" not in input and ctx.principal.kind == "root":
        return {"AccessKeyMetadata": await _root_keys(ctx), "IsTruncated": False}
    user = await need(ctx.store, User, caller_name(ctx, input))
    keys, more = page(await _keys(ctx.store, user), input, lambda key: key.id)
    return {"AccessKeyMetadata": [shapes.access_key(key) for key in keys], **more}


async def _root_keys(ctx: Context) -> list[dict[str, Any]]:
    root = await find_root(ctx.host)
    return [] if root is None else [{"AccessKeyId": root.id, "Status": "Active", "CreateDate": shapes.when(root.created)}]


@service.operation("UpdateAccessKey", on(User))
async def update_access_key(ctx: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> None:
        user = await need(tx, User, caller_name(ctx, input))
        key = await _key_of(tx, user, input["AccessKeyId"])
        key.active = input["Status"] == "Active"
        tx.put(KEYS, key.id.encode(), b"", encode(key))

    await ctx.store.transact(write)
    return {}


@service.operation("DeleteAccessKey", on(User))
async def delete_access_key(ctx: Context, input: Input) -> Output:
    async def edit(tx: Transaction, user: User) -> None:
        key = await _key_of(tx, user, input["AccessKeyId"])
        user.keys.remove(key.id)
        tx.delete(KEYS, key.id.encode())
        tx.delete(USED, key.id.encode())

    await change(ctx, User, caller_name(ctx, input), edit)
    return {}


async def _key_of(reader: Reader, user: User, key_id: str) -> AccessKey:
    raw = await reader.get(KEYS, key_id.encode()) if key_id in user.keys else None
    if raw is None:
        raise errors.key_not_found(key_id)
    return decode(raw, AccessKey)


@service.operation("GetAccessKeyLastUsed", on_access_key)
async def get_access_key_last_used(ctx: Context, input: Input) -> Output:
    raw = await ctx.store.get(KEYS, input["AccessKeyId"].encode())
    if raw is None:
        raise errors.key_not_found(input["AccessKeyId"])
    used = await ctx.store.get(USED, input["AccessKeyId"].encode())
    last = {"ServiceName": NEVER, "Region": NEVER}
    if used is None:
        return {"UserName": decode(raw, AccessKey).user, "AccessKeyLastUsed": last}
    use = decode(used, Used)
    return {
        "UserName": decode(raw, AccessKey).user,
        "AccessKeyLastUsed": {"LastUsedDate": shapes.when(use.at), "ServiceName": use.service, "Region": use.region},
    }
