"""Function URLs: an address of its own for a function or an alias."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from haar.services.addresses import Addresses
from haar.services.lambda_ import service
from haar.services.lambda_.access import named, on_function
from haar.services.lambda_.errors import conflict, invalid, no_policy, not_found
from haar.services.lambda_.names import FunctionName, is_version
from haar.services.lambda_.records import (
    URL_IDS,
    URLS,
    UrlConfig,
    decode_url_config,
    delete_url,
    encode,
    find_alias,
    find_function,
    find_url,
    partition,
)
from haar.services.service import Context, Demand, Demands, Input, Output
from haar.store.contract import Reader, Transaction

PATH = "/_haar/lambda-url/"
LABEL = ".lambda-url."
ID_LETTERS = 32
LIST_LIMIT = 50
METHODS = frozenset(("GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "*"))
"""That a URL's CORS configuration may allow; OPTIONS always is."""


def _on_url(action: str) -> Demands:
    """The action on the function, with how its URL authorises: as asked for, or as it is."""

    plain = on_function(action)

    async def demands(context: Context, input: Input) -> list[Demand]:
        name = named(context, input)
        conditions: dict[str, Sequence[str]] = {"lambda:FunctionArn": [name.qualified]}
        config = await find_url(context.store, name) if "AuthType" not in input and name.account == context.account else None
        if auth := input.get("AuthType") or (config.auth if config is not None else ""):
            conditions["lambda:FunctionUrlAuthType"] = [auth]
        return [replace(demand, conditions=conditions) for demand in await plain(context, input)]

    return demands


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def shown(context: Context, name: FunctionName, config: UrlConfig, *, modified: bool = True) -> dict[str, Any]:
    described: dict[str, Any] = {
        "FunctionUrl": await context.host.get(Addresses).url(context, f"{config.id}{LABEL}{name.region}", PATH + config.id) + "/",
        "FunctionArn": name.qualified,
        "AuthType": config.auth,
        "CreationTime": _moment(config.created),
        "InvokeMode": config.mode,
    }
    if modified:
        described["LastModifiedTime"] = _moment(config.modified)
    if config.cors is not None:
        described["Cors"] = config.cors
    return described


def _check_cors(input: Input) -> None:
    if set(input.get("Cors", {}).get("AllowMethods", ())) - METHODS:
        raise invalid("Invalid CORS method. You can use GET, PUT, POST, DELETE, HEAD, PATCH, and the wildcard character (*).")


def _named(context: Context, input: Input) -> FunctionName:
    name = named(context, input)
    if is_version(name.qualifier):
        raise invalid("Function URLs can be configured for functions and aliases, not for versions.")
    return name


async def _check_there(reader: Reader, name: FunctionName) -> None:
    if await find_function(reader, name) is None or (name.qualifier and await find_alias(reader, name, name.qualifier) is None):
        raise not_found("Function does not exist")


@service.operation("CreateFunctionUrlConfig", _on_url("lambda:CreateFunctionUrlConfig"))
async def create_function_url_config(context: Context, input: Input) -> Output:
    name, now = _named(context, input), context.now()
    _check_cors(input)
    config = UrlConfig(
        id=context.host.ids.text(ID_LETTERS).lower(),
        auth=input["AuthType"],
        mode=input.get("InvokeMode", "BUFFERED"),
        cors=input.get("Cors"),
        created=now,
        modified=now,
    )

    async def write(tx: Transaction) -> None:
        await _check_there(tx, name)
        if await find_url(tx, name):
            raise conflict(
                f"Failed to create function url config for [functionArn = {name.qualified}]. "
                "Error message:  FunctionUrlConfig exists for this Lambda function"
            )
        tx.put(URLS, partition(name), name.qualifier.encode(), encode(config))
        tx.put(URL_IDS, config.id.encode(), b"", f"{name.region}|{name.name}|{name.qualifier}".encode())

    await context.store.transact(write)
    return await shown(context, name, config, modified=False)


async def _find(reader: Reader, name: FunctionName) -> UrlConfig:
    config = await find_url(reader, name)
    if config is None:
        raise no_policy()
    return config


@service.operation("GetFunctionUrlConfig", _on_url("lambda:GetFunctionUrlConfig"))
async def get_function_url_config(context: Context, input: Input) -> Output:
    name = _named(context, input)
    return await shown(context, name, await _find(context.store, name))


@service.operation("UpdateFunctionUrlConfig", _on_url("lambda:UpdateFunctionUrlConfig"))
async def update_function_url_config(context: Context, input: Input) -> Output:
    name = _named(context, input)
    _check_cors(input)

    async def write(tx: Transaction) -> UrlConfig:
        await _check_there(tx, name)
        config = await _find(tx, name)
        config.auth = input.get("AuthType", config.auth)
        config.mode = input.get("InvokeMode", config.mode)
        if "Cors" in input:
            config.cors = input["Cors"] or None
        config.modified = context.now()
        tx.put(URLS, partition(name), name.qualifier.encode(), encode(config))
        return config

    return await shown(context, name, await context.store.transact(write))


@service.operation("DeleteFunctionUrlConfig", _on_url("lambda:DeleteFunctionUrlConfig"))
async def delete_function_url_config(context: Context, input: Input) -> Output:
    name = _named(context, input)

    async def write(tx: Transaction) -> None:
        if not await delete_url(tx, name):
            raise no_policy()

    await context.store.transact(write)
    return {}


@service.operation("ListFunctionUrlConfigs", on_function("lambda:ListFunctionUrlConfigs", qualified=False))
async def list_function_url_configs(context: Context, input: Input) -> Output:
    name = named(context, input).at("")
    if await find_function(context.store, name) is None:
        raise not_found("Function does not exist")
    limit = min(input.get("MaxItems", LIST_LIMIT), LIST_LIMIT)
    rows = await context.store.range(URLS, partition(name), input.get("Marker", "").encode(), limit=limit + 1)
    configs = [await shown(context, name.at(sort.decode()), decode_url_config(value)) for sort, value in rows[:limit]]
    output: dict[str, Any] = {"FunctionUrlConfigs": configs}
    return output | ({"NextMarker": rows[limit][0].decode()} if len(rows) > limit else {})
