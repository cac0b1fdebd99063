"""Settings of a function that say how the platform deals with it: loops, its runtime's updates."""

from typing import Any

from haar.services.lambda_ import service
from haar.services.lambda_.access import named, on_function
from haar.services.lambda_.errors import invalid, no_function
from haar.services.lambda_.functions import find_shown
from haar.services.lambda_.names import LATEST, FunctionName, is_version
from haar.services.lambda_.records import Version, find_function, find_version, put_function, put_version
from haar.services.lambda_.settings import runtime_version_arn
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction


@service.operation("PutFunctionRecursionConfig", on_function("lambda:PutFunctionRecursionConfig", qualified=False))
async def put_function_recursion_config(context: Context, input: Input) -> Output:
    name = named(context, input).at("")

    async def write(tx: Transaction) -> None:
        function = await find_function(tx, name)
        if function is None:
            raise no_function(name.arn)
        function.loops = input["RecursiveLoop"]
        put_function(tx, name, function)

    await context.store.transact(write)
    return {"RecursiveLoop": input["RecursiveLoop"]}


@service.operation("GetFunctionRecursionConfig", on_function("lambda:GetFunctionRecursionConfig", qualified=False))
async def get_function_recursion_config(context: Context, input: Input) -> Output:
    name = named(context, input).at("")
    function = await find_function(context.store, name)
    if function is None:
        raise no_function(name.arn)
    return {"RecursiveLoop": function.loops}


def _shown(name: FunctionName, version: Version) -> dict[str, Any]:
    shown: dict[str, Any] = {"UpdateRuntimeOn": version.runtime_update, "FunctionArn": name.at(version.version).qualified}
    if version.runtime_arn:
        shown["RuntimeVersionArn"] = version.runtime_arn
    return shown


def _of_version(context: Context, input: Input) -> FunctionName:
    name = named(context, input)
    if name.qualifier not in ("", LATEST) and not is_version(name.qualifier):
        raise invalid(f"The provided function name {name.qualified} is invalid. Aliases are not allowed.")
    return name.at("" if name.qualifier == LATEST else name.qualifier)


@service.operation("GetRuntimeManagementConfig", on_function("lambda:GetRuntimeManagementConfig"))
async def get_runtime_management_config(context: Context, input: Input) -> Output:
    name = _of_version(context, input)
    return _shown(name, (await find_shown(context.store, name))[1])


@service.operation("PutRuntimeManagementConfig", on_function("lambda:PutRuntimeManagementConfig"))
async def put_runtime_management_config(context: Context, input: Input) -> Output:
    """A setting that is kept: a function runs on the runtime that is installed, of which there is one version at a time."""
    name, mode, arn = _of_version(context, input), input["UpdateRuntimeOn"], input.get("RuntimeVersionArn", "")
    if mode == "Manual" and not arn:
        raise invalid("RuntimeVersionArn is required when UpdateRuntimeOn is Manual.")
    if mode != "Manual" and arn:
        raise invalid("RuntimeVersionArn can only be given when UpdateRuntimeOn is Manual.")

    async def write(tx: Transaction) -> Version:
        function = await find_function(tx, name)
        version = None if function is None else await find_version(tx, name, name.qualifier) if name.qualifier else function.latest
        if function is None or version is None:
            raise no_function(name.qualified)
        if arn and arn != runtime_version_arn(name.region, version.settings.runtime):
            raise invalid(f"Runtime version {arn} is not the one that is installed here.")
        version.runtime_update, version.runtime_arn = mode, arn
        if name.qualifier:
            put_version(tx, name, version)
        else:
            put_function(tx, name, function)
        return version

    return _shown(name, await context.store.transact(write))
