"""Settings of a function that are asked for by tools and have one value here."""

from haar.services.lambda_ import service
from haar.services.lambda_.access import named, on_function
from haar.services.lambda_.functions import find_shown
from haar.services.service import Context, Input, Output


@service.operation("GetFunctionCodeSigningConfig", on_function("lambda:GetFunctionCodeSigningConfig", qualified=False))
async def get_function_code_signing_config(context: Context, input: Input) -> Output:
    """No function has one: setting it is refused."""
    name = named(context, input)
    await find_shown(context.store, name)
    return {"FunctionName": name.name}


@service.operation("GetRuntimeManagementConfig", on_function("lambda:GetRuntimeManagementConfig"))
async def get_runtime_management_config(context: Context, input: Input) -> Output:
    """A function runs on the runtime that is installed now."""
    name = named(context, input)
    await find_shown(context.store, name)
    return {"UpdateRuntimeOn": "Auto", "FunctionArn": name.at(name.qualifier or "$LATEST").qualified}
