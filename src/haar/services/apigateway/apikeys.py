"""API keys."""

from haar.services.apigateway import errors
from haar.services.apigateway.demands import on
from haar.services.apigateway.face import service
from haar.services.apigateway.pages import page
from haar.services.apigateway.patch import Members, Rules, Value, apply, boolean, text_or_none
from haar.services.apigateway.records import ACCOUNT, Doc, docs, get_doc, put_doc
from haar.services.apigateway.tags import check_tags
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction

MAX_KEYS = 10_000
"""API keys of an account in a region."""
MIN_VALUE, MAX_VALUE, VALUE_LENGTH = 20, 128, 40
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
RULES: Rules = {
    "/name": Value(text_or_none),
    "/description": Value(text_or_none),
    "/enabled": Value(boolean),
    "/customerId": Value(text_or_none),
    "/stages": Members(at="/stageKeys", ops=("add", "remove"), by_value=True),
}


def show(key: Doc, with_value: bool, *, whole: bool = False) -> Doc:
    shown = key if with_value else {member: value for member, value in key.items() if member != "value"}
    return shown | {"tags": key.get("tags", {})} if whole else shown


@service.operation("CreateApiKey", on("POST", "/apikeys"))
async def create_api_key(ctx: Context, input: Input) -> Output:
    now = int(ctx.now())
    value = input.get("value") or ctx.host.ids.text(VALUE_LENGTH, LETTERS)
    if not MIN_VALUE <= len(value) <= MAX_VALUE:
        raise errors.bad_request(f"API Key value should be at least {MIN_VALUE} characters")
    key: Doc = {"id": ctx.host.ids.text(10), "value": value}
    for member in ("name", "customerId", "description", "tags"):
        if input.get(member):
            key[member] = input[member]
    check_tags(key.get("tags", {}))
    if not all(one.get("restApiId") and one.get("stageName") for one in input.get("stageKeys", ())):
        raise errors.bad_request("Invalid stage key specified")
    stages = [f"{one['restApiId']}/{one['stageName']}" for one in input.get("stageKeys", ())]
    key |= {"enabled": input.get("enabled", False), "createdDate": now, "lastUpdatedDate": now, "stageKeys": stages}

    async def run(tx: Transaction) -> None:
        known = await docs(tx, ACCOUNT, ctx.region, "key/")
        if len(known) >= MAX_KEYS:
            raise errors.limit_exceeded("Maximum number of API keys has been reached")
        if any(one["value"] == value for one in known):
            raise errors.conflict("API Key already exists")
        put_doc(tx, ACCOUNT, ctx.region, f"key/{key['id']}", key)

    await ctx.store.transact(run)
    return show(key, True)


@service.operation("GetApiKey", on("GET", "/apikeys/{apiKey}"))
async def get_api_key(ctx: Context, input: Input) -> Output:
    key = await get_doc(ctx.store, ACCOUNT, ctx.region, f"key/{input['apiKey']}")
    if key is None:
        raise errors.no_key()
    return show(key, input.get("includeValue", False), whole=True)


@service.operation("GetApiKeys", on("GET", "/apikeys"))
async def get_api_keys(ctx: Context, input: Input) -> Output:
    found = await docs(ctx.store, ACCOUNT, ctx.region, "key/")
    prefix, customer = input.get("nameQuery"), input.get("customerId")
    kept = [
        key
        for key in found
        if (prefix is None or key.get("name", "").startswith(prefix)) and (customer is None or key.get("customerId") == customer)
    ]
    answer = page(kept, input, lambda key: str(key["id"]))
    return answer | {"items": [show(key, input.get("includeValues", False)) for key in answer["items"]]}


@service.operation("UpdateApiKey", on("PATCH", "/apikeys/{apiKey}"))
async def update_api_key(ctx: Context, input: Input) -> Output:
    now = int(ctx.now())

    async def run(tx: Transaction) -> Doc:
        old = await get_doc(tx, ACCOUNT, ctx.region, f"key/{input['apiKey']}")
        if old is None:
            raise errors.no_key()
        key: Doc = {"stageKeys": []} | apply(old, input.get("patchOperations", []), RULES) | {"lastUpdatedDate": now}
        put_doc(tx, ACCOUNT, ctx.region, f"key/{key['id']}", key)
        return key

    return show(await ctx.store.transact(run), False, whole=True)


@service.operation("DeleteApiKey", on("DELETE", "/apikeys/{apiKey}"))
async def delete_api_key(ctx: Context, input: Input) -> Output:
    key_id = input["apiKey"]

    async def run(tx: Transaction) -> None:
        if await get_doc(tx, ACCOUNT, ctx.region, f"key/{key_id}") is None:
            raise errors.no_key()
        partition = ctx.region.encode()
        tx.delete(ACCOUNT, partition, f"key/{key_id}".encode())
        for sort, _ in await tx.range(ACCOUNT, partition, b"plankey/", b"plankey0"):
            if sort.endswith(f"/{key_id}".encode()):
                tx.delete(ACCOUNT, partition, sort)

    await ctx.store.transact(run)
    return {}
