"""What happens to asynchronous invocations: retries, age, destinations."""

from datetime import UTC, datetime
from typing import Any

from haar.services.lambda_ import service
from haar.services.lambda_.access import named, on_function
from haar.services.lambda_.destinations import KINDS, check_destination, service_of
from haar.services.lambda_.errors import invalid, not_found, refused
from haar.services.lambda_.functions import find_shown
from haar.services.lambda_.names import LATEST, FunctionName, is_version, parse_name
from haar.services.lambda_.records import (
    EVENT_CONFIGS,
    EventConfig,
    decode_event_config,
    encode,
    find_alias,
    find_event_config,
    find_function,
    find_version,
    partition,
)
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction

LIST_LIMIT = 50
SERVICES = frozenset(("lambda", "sqs", "sns", "events", "s3"))
"""Whose resources may be destinations at AWS."""


def _named(context: Context, input: Input) -> FunctionName:
    name = named(context, input)
    return name.at(name.qualifier or LATEST)


async def _check_there(reader: Reader, name: FunctionName) -> None:
    if await find_function(reader, name) is None:
        raise not_found("The function doesn't exist.")
    if name.qualifier != LATEST:
        find = find_version if is_version(name.qualifier) else find_alias
        if await find(reader, name, name.qualifier) is None:
            raise not_found("The function doesn't exist.")


def _missing(name: FunctionName) -> Exception:
    return not_found(f"The function {name.qualified} doesn't have an EventInvokeConfig")


def shown(name: FunctionName, config: EventConfig) -> dict[str, Any]:
    described: dict[str, Any] = {
        "LastModified": datetime.fromtimestamp(config.modified, UTC),
        "FunctionArn": name.qualified,
        "DestinationConfig": {
            "OnSuccess": {"Destination": config.on_success} if config.on_success else {},
            "OnFailure": {"Destination": config.on_failure} if config.on_failure else {},
        },
    }
    if config.retries is not None:
        described["MaximumRetryAttempts"] = config.retries
    if config.age is not None:
        described["MaximumEventAgeInSeconds"] = config.age
    return described


async def _check_destination(context: Context, name: FunctionName, arn: str) -> None:
    """Raises unless an invocation's outcome may be sent there: to a function of this account and region, or as destinations.py has it."""
    if not arn:
        return
    if service_of(arn) in KINDS:
        role = (await find_shown(context.store, name))[1].settings.role
        await check_destination(context.host, role, name.name, arn)
        return
    if not arn.startswith("arn:aws:lambda:"):
        raise refused(f"the service of destination {arn}; a Lambda function may be one")
    to = parse_name(arn, context.region, context.account)
    if to.name == name.name:
        raise invalid("You can't specify the function as a destination for itself.")
    if to.account != context.account or await find_function(context.store, to) is None:
        raise invalid(f"The destination ARN {arn} is invalid.")


async def _apply(context: Context, input: Input, *, replace: bool) -> Output:
    name = _named(context, input)
    if not any(member in input for member in ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")):
        raise invalid("You must specify at least one of error handling or destination setting.")
    wanted = input.get("DestinationConfig", {})
    on_success, on_failure = (wanted.get(kind, {}).get("Destination", "") for kind in ("OnSuccess", "OnFailure"))
    await _check_there(context.store, name)
    if any(arn and service_of(arn) not in SERVICES for arn in (on_success, on_failure)):
        parts = (f"On{kind}(destination={arn})" if arn else "null" for kind, arn in (("Success", on_success), ("Failure", on_failure)))
        raise invalid("The provided destination config DestinationConfig(onSuccess={}, onFailure={}) is invalid.".format(*parts))
    for arn in (on_success, on_failure):
        await _check_destination(context, name, arn)

    async def write(tx: Transaction) -> EventConfig:
        await _check_there(tx, name)
        config = await find_event_config(tx, name, name.qualifier)
        if config is None and not replace:
            raise _missing(name)
        if config is None or replace:
            config = EventConfig(modified=0)
        config.modified = round(context.now(), 3)
        config.retries = input.get("MaximumRetryAttempts", config.retries)
        config.age = input.get("MaximumEventAgeInSeconds", config.age)
        if "OnSuccess" in wanted:
            config.on_success = on_success
        if "OnFailure" in wanted:
            config.on_failure = on_failure
        tx.put(EVENT_CONFIGS, partition(name), name.qualifier.encode(), encode(config))
        return config

    return shown(name, await context.store.transact(write))


@service.operation("PutFunctionEventInvokeConfig", on_function("lambda:PutFunctionEventInvokeConfig"))
async def put_function_event_invoke_config(context: Context, input: Input) -> Output:
    return await _apply(context, input, replace=True)


@service.operation("UpdateFunctionEventInvokeConfig", on_function("lambda:UpdateFunctionEventInvokeConfig"))
async def update_function_event_invoke_config(context: Context, input: Input) -> Output:
    return await _apply(context, input, replace=False)


@service.operation("GetFunctionEventInvokeConfig", on_function("lambda:GetFunctionEventInvokeConfig"))
async def get_function_event_invoke_config(context: Context, input: Input) -> Output:
    name = _named(context, input)
    config = await find_event_config(context.store, name, name.qualifier)
    if config is None:
        raise _missing(name)
    return shown(name, config)


@service.operation("DeleteFunctionEventInvokeConfig", on_function("lambda:DeleteFunctionEventInvokeConfig"))
async def delete_function_event_invoke_config(context: Context, input: Input) -> Output:
    name = _named(context, input)

    async def write(tx: Transaction) -> None:
        if await find_event_config(tx, name, name.qualifier) is None:
            raise _missing(name)
        tx.delete(EVENT_CONFIGS, partition(name), name.qualifier.encode())

    await context.store.transact(write)
    return {}


@service.operation("ListFunctionEventInvokeConfigs", on_function("lambda:ListFunctionEventInvokeConfigs", qualified=False))
async def list_function_event_invoke_configs(context: Context, input: Input) -> Output:
    name = named(context, input).at("")
    if await find_function(context.store, name) is None:
        raise not_found("The function doesn't exist.")
    limit = min(input.get("MaxItems", LIST_LIMIT), LIST_LIMIT)
    rows = await context.store.range(EVENT_CONFIGS, partition(name), input.get("Marker", "").encode(), limit=limit + 1)
    output: dict[str, Any] = {
        "FunctionEventInvokeConfigs": [shown(name.at(sort.decode()), decode_event_config(value)) for sort, value in rows[:limit]]
    }
    return output | ({"NextMarker": rows[limit][0].decode()} if len(rows) > limit else {})
