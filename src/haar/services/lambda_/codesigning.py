"""Code signing configurations: whose signatures functions ask of what is deployed to them.

haar has no AWS Signer: nothing that is sent to it is signed, so that `Enforce` refuses every package, and `Warn` takes it.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-codesigning.html
"""

import re
import string
from typing import Any

from haar.services.lambda_ import service
from haar.services.lambda_.access import named, on_anything, on_function, tag_conditions, tags_of
from haar.services.lambda_.concurrency import functions_of
from haar.services.lambda_.errors import conflict, invalid, no_function, not_found
from haar.services.lambda_.records import (
    CODE_SIGNING,
    CodeSigning,
    Function,
    decode_code_signing,
    encode,
    find_function,
    put_function,
    timestamp,
)
from haar.services.lambda_.settings import check_tags
from haar.services.service import Context, Demand, Demands, Input, Output
from haar.store.contract import Reader, Transaction
from haar.wire.errors import ServiceError

LIST_LIMIT = 50
ID_LETTERS = 17
_ARN = re.compile(r"arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):code-signing-config:(?P<id>csc-[a-z0-9]{17})")


def arn_of(region: str, account: str, id: str) -> str:
    return f"arn:aws:lambda:{region}:{account}:code-signing-config:{id}"


def key_of(context: Context, arn: str) -> str | None:
    """The id that an ARN of this account and region has."""
    found = _ARN.fullmatch(arn)
    return found["id"] if found and (found["region"], found["account"]) == (context.region, context.account) else None


async def find_code_signing(reader: Reader, context: Context, arn: str) -> CodeSigning | None:
    id = key_of(context, arn)
    kept = None if id is None else await reader.get(CODE_SIGNING, context.region.encode(), id.encode())
    return None if kept is None else decode_code_signing(kept)


def put_code_signing(tx: Transaction, region: str, config: CodeSigning) -> None:
    tx.put(CODE_SIGNING, region.encode(), config.id.encode(), encode(config))


def no_code_signing(arn: str) -> ServiceError:
    return not_found(f"The Lambda code signing configuration {arn} can not be found.")


async def check_signed(context: Context, name: str, arn: str) -> None:
    """Raises unless an unsigned package may be deployed to the function, whose configuration this is (empty: it has none)."""
    if not arn:
        return
    config = await find_code_signing(context.store, context, arn)
    if config is None:
        raise _no_longer_there(arn)
    if config.policy == "Enforce":
        message = (
            "Lambda cannot deploy the function. The function or layer might be signed using a signature that the client is not "
            f"configured to accept. Check the provided signature for {name}."
        )
        raise ServiceError("CodeVerificationFailedException", message, Type="User")


def _no_longer_there(arn: str) -> ServiceError:
    message = f"The code signing configuration cannot be found. Check that the provided configuration is not deleted: {arn}."
    return ServiceError("CodeSigningConfigNotFoundException", message, 404, Type="User")


def _shown(context: Context, config: CodeSigning) -> dict[str, Any]:
    described: dict[str, Any] = {
        "CodeSigningConfigId": config.id,
        "CodeSigningConfigArn": arn_of(context.region, context.account, config.id),
        "AllowedPublishers": {"SigningProfileVersionArns": config.publishers},
        "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": config.policy},
        "LastModified": timestamp(config.modified),
    }
    return described | ({"Description": config.description} if config.description else {})


def _apply(config: CodeSigning, input: Input) -> None:
    config.description = input.get("Description", config.description)
    if "AllowedPublishers" in input:
        config.publishers = list(input["AllowedPublishers"]["SigningProfileVersionArns"])
    config.policy = input.get("CodeSigningPolicies", {}).get("UntrustedArtifactOnDeployment", config.policy)


def _on_new(context: Context, input: Input) -> list[Demand]:
    return [Demand("lambda:CreateCodeSigningConfig", conditions=tag_conditions(input.get("Tags", {})))]


def _on_config(action: str) -> Demands:
    async def demands(context: Context, input: Input) -> list[Demand]:
        arn = input["CodeSigningConfigArn"]
        config = await find_code_signing(context.store, context, arn)
        return [Demand(action, arn, tags=config.tags if config else {})]

    return demands


async def _on_setting(context: Context, input: Input) -> list[Demand]:
    """Both the function and the configuration that it is given."""
    name, arn = named(context, input).at(""), input["CodeSigningConfigArn"]
    config = await find_code_signing(context.store, context, arn)
    action, conditions = "lambda:PutFunctionCodeSigningConfig", {"lambda:CodeSigningConfigArn": [arn]}
    return [
        Demand(action, name.arn, conditions, tags=await tags_of(context, name)),
        Demand(action, arn, conditions, tags=config.tags if config else {}),
    ]


@service.operation("CreateCodeSigningConfig", _on_new)
async def create_code_signing_config(context: Context, input: Input) -> Output:
    check_tags(input.get("Tags", {}))
    id = "csc-" + context.host.ids.text(ID_LETTERS, string.ascii_lowercase + string.digits)
    config = CodeSigning(id=id, publishers=[], tags=dict(input.get("Tags", {})), modified=context.now())
    _apply(config, input)

    async def write(tx: Transaction) -> None:
        put_code_signing(tx, context.region, config)

    await context.store.transact(write)
    return {"CodeSigningConfig": _shown(context, config)}


@service.operation("GetCodeSigningConfig", _on_config("lambda:GetCodeSigningConfig"))
async def get_code_signing_config(context: Context, input: Input) -> Output:
    return {"CodeSigningConfig": _shown(context, await _there(context.store, context, input))}


async def _there(reader: Reader, context: Context, input: Input) -> CodeSigning:
    config = await find_code_signing(reader, context, input["CodeSigningConfigArn"])
    if config is None:
        raise no_code_signing(input["CodeSigningConfigArn"])
    return config


@service.operation("UpdateCodeSigningConfig", _on_config("lambda:UpdateCodeSigningConfig"))
async def update_code_signing_config(context: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> CodeSigning:
        config = await _there(tx, context, input)
        _apply(config, input)
        config.modified = context.now()
        put_code_signing(tx, context.region, config)
        return config

    return {"CodeSigningConfig": _shown(context, await context.store.transact(write))}


@service.operation("DeleteCodeSigningConfig", _on_config("lambda:DeleteCodeSigningConfig"))
async def delete_code_signing_config(context: Context, input: Input) -> Output:
    async def write(tx: Transaction) -> None:
        config = await _there(tx, context, input)
        if await _users(tx, context, input["CodeSigningConfigArn"]):
            raise conflict("The code signing configuration cannot be deleted: functions use it.")
        tx.delete(CODE_SIGNING, context.region.encode(), config.id.encode())

    await context.store.transact(write)
    return {}


async def _users(reader: Reader, context: Context, arn: str) -> list[Function]:
    return [function for function in await functions_of(reader, context.region) if function.signing == arn]


@service.operation("ListCodeSigningConfigs", on_anything("lambda:ListCodeSigningConfigs"))
async def list_code_signing_configs(context: Context, input: Input) -> Output:
    limit = min(input.get("MaxItems", LIST_LIMIT), LIST_LIMIT)
    rows = await context.store.range(CODE_SIGNING, context.region.encode(), input.get("Marker", "").encode(), limit=limit + 1)
    output: dict[str, Any] = {"CodeSigningConfigs": [_shown(context, decode_code_signing(value)) for _, value in rows[:limit]]}
    return output | ({"NextMarker": rows[limit][0].decode()} if len(rows) > limit else {})


@service.operation("ListFunctionsByCodeSigningConfig", _on_config("lambda:ListFunctionsByCodeSigningConfig"))
async def list_functions_by_code_signing_config(context: Context, input: Input) -> Output:
    await _there(context.store, context, input)
    limit = min(input.get("MaxItems", LIST_LIMIT), LIST_LIMIT)
    names = [each.name for each in await _users(context.store, context, input["CodeSigningConfigArn"])]
    names = [name for name in names if name >= input.get("Marker", "")]
    prefix = f"arn:aws:lambda:{context.region}:{context.account}:function:"
    output: dict[str, Any] = {"FunctionArns": [prefix + name for name in names[:limit]]}
    return output | ({"NextMarker": names[limit]} if len(names) > limit else {})


async def _set(context: Context, input: Input, arn: str) -> str:
    """Gives a function a configuration, or with an empty ARN none; the function's name."""
    name = named(context, input).at("")

    async def write(tx: Transaction) -> None:
        if arn and await find_code_signing(tx, context, arn) is None:
            raise _no_longer_there(arn)
        function = await find_function(tx, name)
        if function is None:
            raise no_function(name.arn)
        if function.latest.settings.image is not None:
            raise _of_images()
        function.signing = arn
        put_function(tx, name, function)

    await context.store.transact(write)
    return name.name


def _of_images() -> ServiceError:
    return invalid("Code signing is not supported for functions created with container images.")


@service.operation("PutFunctionCodeSigningConfig", _on_setting)
async def put_function_code_signing_config(context: Context, input: Input) -> Output:
    """What the function runs stays; what is deployed from now on is asked for a signature."""
    arn = input["CodeSigningConfigArn"]
    return {"CodeSigningConfigArn": arn, "FunctionName": await _set(context, input, arn)}


@service.operation("DeleteFunctionCodeSigningConfig", on_function("lambda:DeleteFunctionCodeSigningConfig", qualified=False))
async def delete_function_code_signing_config(context: Context, input: Input) -> Output:
    await _set(context, input, "")
    return {}


@service.operation("GetFunctionCodeSigningConfig", on_function("lambda:GetFunctionCodeSigningConfig", qualified=False))
async def get_function_code_signing_config(context: Context, input: Input) -> Output:
    name = named(context, input).at("")
    function = await find_function(context.store, name)
    if function is None:
        raise no_function(name.arn)
    if function.latest.settings.image is not None:
        raise _of_images()
    return {"FunctionName": name.name} | ({"CodeSigningConfigArn": function.signing} if function.signing else {})
