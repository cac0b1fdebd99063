"""Aliases: names for versions, with a share of the invocations for a second one."""

from typing import Any

from haar.services.lambda_ import service
from haar.services.lambda_.access import named, on_function
from haar.services.lambda_.errors import conflict, invalid, no_alias, no_function, not_found, wrong_revision
from haar.services.lambda_.names import LATEST, FunctionName
from haar.services.lambda_.records import (
    ALIASES,
    EVENT_CONFIGS,
    POLICIES,
    PROVISIONED,
    Alias,
    decode_alias,
    delete_url,
    find_alias,
    find_function,
    find_version,
    partition,
    put_alias,
)
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction

LIST_LIMIT = 50
MAX_WEIGHTS = 1


def shown(name: FunctionName, alias: Alias) -> dict[str, Any]:
    described: dict[str, Any] = {
        "AliasArn": name.at(alias.name).qualified,
        "Name": alias.name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision,
    }
    if alias.weights:
        described["RoutingConfig"] = {"AdditionalVersionWeights": alias.weights}
    return described


async def _check(reader: Reader, name: FunctionName, alias: Alias) -> None:
    """Raises unless the versions are there and may be routed to."""
    if len(alias.weights) > MAX_WEIGHTS:
        raise invalid(f"Number of items in AdditionalVersionWeights cannot be greater than {MAX_WEIGHTS}")
    if alias.weights and alias.version == LATEST:
        raise invalid("$LATEST is not supported for an alias pointing to more than 1 version")
    for version in alias.weights:
        if version == alias.version:
            raise invalid(f"Invalid function version {version}. Function version {version} is already included in routing configuration.")
    roles: set[str] = set()
    for number in (alias.version, *alias.weights):
        if number == LATEST:
            continue
        if (found := await find_version(reader, name, number)) is None:
            raise no_function(name.at(number).qualified)
        roles.add(found.settings.role)
    if len(roles) > 1:
        raise invalid("Specified versions must be associated with the same execution role")


def _weights(input: Input) -> dict[str, float]:
    return dict(input.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}))


@service.operation("CreateAlias", on_function("lambda:CreateAlias", qualified=False))
async def create_alias(context: Context, input: Input) -> Output:
    name = named(context, input).at("")
    alias = Alias(
        name=input["Name"],
        version=input["FunctionVersion"],
        description=input.get("Description", ""),
        weights=_weights(input),
        revision=context.host.ids.uuid(),
    )

    async def write(tx: Transaction) -> None:
        if await find_function(tx, name) is None:
            raise no_function(name.arn)
        if await find_alias(tx, name, alias.name):
            raise conflict(f"Alias already exists: {name.at(alias.name).qualified}")
        await _check(tx, name, alias)
        put_alias(tx, name, alias)

    await context.store.transact(write)
    return shown(name, alias)


@service.operation("GetAlias", on_function("lambda:GetAlias", qualified=False))
async def get_alias(context: Context, input: Input) -> Output:
    name = named(context, input).at("")
    alias = await find_alias(context.store, name, input["Name"])
    if alias is None:
        raise no_alias(name.at(input["Name"]).qualified)
    return shown(name, alias)


@service.operation("UpdateAlias", on_function("lambda:UpdateAlias", qualified=False))
async def update_alias(context: Context, input: Input) -> Output:
    name, revision = named(context, input).at(""), context.host.ids.uuid()

    async def write(tx: Transaction) -> Alias:
        alias = await find_alias(tx, name, input["Name"])
        if alias is None:
            raise not_found(f"Alias not found: {name.at(input['Name']).qualified}")
        if input.get("RevisionId") and input["RevisionId"] != alias.revision:
            raise wrong_revision()
        alias.version = input.get("FunctionVersion", alias.version)
        alias.description = input.get("Description", alias.description)
        if "RoutingConfig" in input:
            alias.weights = _weights(input)
        await _check(tx, name, alias)
        alias.revision = revision
        put_alias(tx, name, alias)
        return alias

    return shown(name, await context.store.transact(write))


@service.operation("DeleteAlias", on_function("lambda:DeleteAlias", qualified=False))
async def delete_alias(context: Context, input: Input) -> Output:
    name = named(context, input).at("")

    async def write(tx: Transaction) -> None:
        if await find_function(tx, name) is None:
            raise no_function(name.arn)
        await delete_url(tx, name.at(input["Name"]))
        for space in (ALIASES, POLICIES, EVENT_CONFIGS, PROVISIONED):
            tx.delete(space, partition(name), input["Name"].encode())

    await context.store.transact(write)
    return {}


@service.operation("ListAliases", on_function("lambda:ListAliases", qualified=False))
async def list_aliases(context: Context, input: Input) -> Output:
    name = named(context, input).at("")
    if await find_function(context.store, name) is None:
        raise no_function(name.arn)
    wanted, limit = input.get("FunctionVersion"), min(input.get("MaxItems", LIST_LIMIT), LIST_LIMIT)
    start, found = input.get("Marker", "").encode(), list[Alias]()
    while len(found) <= limit:
        rows = await context.store.range(ALIASES, partition(name), start, limit=LIST_LIMIT)
        aliases = [decode_alias(value) for _, value in rows]
        found += [alias for alias in aliases if wanted is None or wanted in (alias.version, *alias.weights)]
        if len(rows) < LIST_LIMIT:
            break
        start = rows[-1][0] + b"\x00"
    output: dict[str, Any] = {"Aliases": [shown(name, alias) for alias in found[:limit]]}
    return output | ({"NextMarker": found[limit].name} if len(found) > limit else {})
