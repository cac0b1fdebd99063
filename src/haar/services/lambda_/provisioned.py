"""Provisioned concurrency: environments that are kept ready for a version or an alias."""

import asyncio
import math
from typing import Any

from haar.execution.contract import FunctionSpec
from haar.services.lambda_ import service
from haar.services.lambda_.access import named, on_function
from haar.services.lambda_.concurrency import ACCOUNT_CONCURRENCY, MIN_UNRESERVED, taken
from haar.services.lambda_.directory import Directory, Target
from haar.services.lambda_.errors import conflict, invalid, no_alias, no_function
from haar.services.lambda_.names import LATEST, FunctionName, is_version
from haar.services.lambda_.records import (
    ALIASES,
    METADATA,
    PROVISIONED,
    Alias,
    ProvisionedConfig,
    decode_alias,
    decode_provisioned,
    encode,
    find_alias,
    find_function,
    find_version,
    partition,
    timestamp,
)
from haar.services.lambda_.snapstart import applies
from haar.services.service import Context, Host, Input, Output
from haar.store.contract import Reader, Transaction
from haar.wire.errors import ServiceError

LIST_LIMIT = 50
SLICE = 500
LOOK_SECONDS = 30.0


UNPUBLISHED = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
OF_VERSIONS = "The function resource provided must be an alias or a published version."


def _named(context: Context, input: Input, message: str = OF_VERSIONS) -> FunctionName:
    name = named(context, input)
    if name.qualifier in ("", LATEST):
        raise invalid(message)
    return name


async def _find(reader: Reader, name: FunctionName) -> ProvisionedConfig | None:
    found = await reader.get(PROVISIONED, partition(name), name.qualifier.encode())
    return None if found is None else decode_provisioned(found)


def _missing() -> ServiceError:
    message = "No Provisioned Concurrency Config found for this function"
    return ServiceError("ProvisionedConcurrencyConfigNotFoundException", message, 404, Type="User")


async def _check_free(tx: Transaction, name: FunctionName, alias: Alias | None) -> None:
    """Raises unless the version has no provisioned concurrency of another name already."""
    if alias is not None:
        if await _find(tx, name.at(alias.version)):
            raise conflict("Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version")
        return
    for _, value in await tx.range(ALIASES, partition(name)):
        other = decode_alias(value)
        if name.qualifier in (other.version, *other.weights) and await _find(tx, name.at(other.name)):
            raise conflict("Version is pointed by a Provisioned Concurrency alias")


@service.operation("PutProvisionedConcurrencyConfig", on_function("lambda:PutProvisionedConcurrencyConfig"))
async def put_provisioned_concurrency_config(context: Context, input: Input) -> Output:
    name, count = _named(context, input, UNPUBLISHED), input["ProvisionedConcurrentExecutions"]
    config = ProvisionedConfig(count=count, modified=context.now())

    async def write(tx: Transaction) -> None:
        function = await find_function(tx, name)
        if function is None:
            raise no_function(name.qualified)
        alias = None if is_version(name.qualifier) else await find_alias(tx, name, name.qualifier)
        if alias is None and not is_version(name.qualifier):
            raise no_alias(name.qualified)
        if alias is not None and alias.version == LATEST:
            raise invalid(UNPUBLISHED)
        if alias is not None and alias.weights:
            raise invalid("Alias with weights can not be used with Provisioned Concurrency")
        version = await find_version(tx, name, name.qualifier if alias is None else alias.version)
        if alias is None and version is None:
            raise no_function(name.qualified)
        if version is not None and applies(version.settings):
            raise invalid("Provisioned Concurrency is not supported for SnapStart enabled functions.")
        await _check_free(tx, name, alias)
        others = sum(
            decode_provisioned(value).count
            for sort, value in await tx.range(PROVISIONED, partition(name))
            if sort.decode() != name.qualifier
        )
        if function.reserved is not None and others + count > function.reserved:
            raise invalid("Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function")
        if function.reserved is None and others + count > ACCOUNT_CONCURRENCY:
            raise invalid(
                f"Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [{ACCOUNT_CONCURRENCY}]."
            )
        elsewhere = await taken(tx, name.region, but=name.name)
        if function.reserved is None and ACCOUNT_CONCURRENCY - elsewhere - others - count < MIN_UNRESERVED:
            raise invalid(
                "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
                f"minimum value of [{MIN_UNRESERVED}]."
            )
        tx.put(PROVISIONED, partition(name), name.qualifier.encode(), encode(config))

    await context.store.transact(write)
    return {
        "RequestedProvisionedConcurrentExecutions": count,
        "AvailableProvisionedConcurrentExecutions": 0,
        "AllocatedProvisionedConcurrentExecutions": 0,
        "Status": "IN_PROGRESS",
        "LastModified": timestamp(config.modified),
    }


def shares(target: Target, count: int) -> dict[FunctionSpec, int]:
    """How many environments each version behind a name has: by its share of the invocations, rounded up."""
    found: dict[FunctionSpec, int] = {}
    reached = 0.0
    for share, spec in target.specs:
        found[spec] = math.ceil(round((share - reached) * count, 6))
        reached = share
    return found


async def _shown(context: Context, name: FunctionName, config: ProvisionedConfig) -> dict[str, Any]:
    ready, failure = 0, ""
    if context.host.executor is not None:
        for spec, count in shares(await context.host.get(Directory).find(name), config.count).items():
            there, why = context.host.executor.provisioned(spec)
            ready, failure = ready + min(there, count), failure or why
    ready = min(ready, config.count)
    described: dict[str, Any] = {
        "RequestedProvisionedConcurrentExecutions": config.count,
        "AvailableProvisionedConcurrentExecutions": ready,
        "AllocatedProvisionedConcurrentExecutions": ready,
        "Status": "READY" if ready == config.count else "FAILED" if failure else "IN_PROGRESS",
        "LastModified": timestamp(config.modified),
    }
    if described["Status"] == "FAILED":
        described["StatusReason"] = failure
    return described


@service.operation("GetProvisionedConcurrencyConfig", on_function("lambda:GetProvisionedConcurrencyConfig"))
async def get_provisioned_concurrency_config(context: Context, input: Input) -> Output:
    name = _named(context, input)
    if await find_function(context.store, name) is None:
        raise no_function(name.qualified)
    config = await _find(context.store, name)
    if config is None:
        raise _missing()
    return await _shown(context, name, config)


@service.operation("DeleteProvisionedConcurrencyConfig", on_function("lambda:DeleteProvisionedConcurrencyConfig"))
async def delete_provisioned_concurrency_config(context: Context, input: Input) -> Output:
    name = _named(context, input)

    async def write(tx: Transaction) -> None:
        if await find_function(tx, name) is None:
            raise no_function(name.qualified)
        tx.delete(PROVISIONED, partition(name), name.qualifier.encode())

    await context.store.transact(write)
    return {}


@service.operation("ListProvisionedConcurrencyConfigs", on_function("lambda:ListProvisionedConcurrencyConfigs", qualified=False))
async def list_provisioned_concurrency_configs(context: Context, input: Input) -> Output:
    name = named(context, input).at("")
    if await find_function(context.store, name) is None:
        raise no_function(name.arn)
    limit = min(input.get("MaxItems", LIST_LIMIT), LIST_LIMIT)
    rows = await context.store.range(PROVISIONED, partition(name), input.get("Marker", "").encode(), limit=limit + 1)
    configs: list[dict[str, Any]] = []
    for sort, value in rows[:limit]:
        qualified = name.at(sort.decode())
        configs.append(await _shown(context, qualified, decode_provisioned(value)) | {"FunctionArn": qualified.qualified})
    output: dict[str, Any] = {"ProvisionedConcurrencyConfigs": configs}
    return output | ({"NextMarker": rows[limit][0].decode()} if len(rows) > limit else {})


async def run(host: Host) -> None:
    """Tells the executor what to keep ready, whenever something about functions changes."""
    wake = asyncio.Event()
    unwatch = [host.store.watch(space, wake.set) for space in (*METADATA, PROVISIONED)]
    told: dict[FunctionSpec, int] = {}
    try:
        while True:
            wake.clear()
            wanted = await _wanted(host)
            if wanted != told and host.executor is not None:
                host.executor.provision(wanted)
                told = wanted
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await wake.wait()
            except TimeoutError:
                pass
    finally:
        for end in unwatch:
            end()


async def _wanted(host: Host) -> dict[FunctionSpec, int]:
    found: dict[FunctionSpec, int] = {}
    after: tuple[bytes, bytes] | None = None
    while rows := await host.store.scan(PROVISIONED, after=after, limit=SLICE):
        for row in rows:
            region, function = row.partition.decode().split("/")
            name = FunctionName(region, host.account, function, row.sort.decode())
            try:
                target = await host.get(Directory).find(name)
            except ServiceError:
                continue  # deleted meanwhile
            for spec, count in shares(target, decode_provisioned(row.value).count).items():
                found[spec] = max(found.get(spec, 0), count)
        after = (rows[-1].partition, rows[-1].sort)
    return found
