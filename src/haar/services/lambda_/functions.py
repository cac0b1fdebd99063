"""Functions: created, shown, listed, deleted."""

from typing import Any

from haar.services.iam.public import role_trusts
from haar.services.lambda_ import packages, service
from haar.services.lambda_.access import LAMBDA, configures, named, on_anything, on_function
from haar.services.lambda_.codesigning import check_signed
from haar.services.lambda_.codeurls import code_url
from haar.services.lambda_.containerimages import Preparations, check_code, check_settings, prepare, resolve
from haar.services.lambda_.destinations import check_dead_letter
from haar.services.lambda_.errors import conflict, constraint, invalid, no_bucket, no_function, role_not_assumable
from haar.services.lambda_.layers import uses
from haar.services.lambda_.names import LATEST, MAX_NAME, FunctionName, is_version
from haar.services.lambda_.records import (
    FUNCTIONS,
    PARTS,
    URLS,
    VERSIONS,
    Function,
    Settings,
    Version,
    decode_alias,
    decode_function,
    decode_version,
    delete_url,
    find_alias,
    find_function,
    find_version,
    partition,
    put_function,
    version_key,
)
from haar.services.lambda_.settings import change, check, check_tags, check_unpacked, configuration, in_progress, pending
from haar.services.lambda_.snapstart import check_snap_start
from haar.services.lambda_.updates import Updates
from haar.services.lambda_.versions import publish
from haar.services.service import Context, Host, Input, Output
from haar.store.contract import Reader, Transaction

UNPACK_BYTES = 16 << 20
"""Smaller packages are unpacked when they are first needed."""
LIST_LIMIT = 50
READ_SLICE = 500


def holder(function: Function, version: str) -> str:
    """Who holds a package."""
    return f"{function.id}/{version}"


def package_of(code: Input) -> bytes:
    """The zip archive of a request. Raises for sources that haar does not have."""
    if code.get("ZipFile") is not None and any(code.get(member) for member in ("S3Bucket", "S3Key", "S3ObjectVersion", "ImageUri")):
        raise invalid("Please do not provide other FunctionCode parameters when providing a ZipFile.")
    if code.get("S3Bucket") or code.get("S3Key"):
        raise no_bucket("package")
    if code.get("ZipFile") is None:
        raise invalid("Please provide a source for function code.")
    package: bytes = code["ZipFile"]
    return package


async def check_role(context: Context, name: FunctionName, role: str) -> None:
    if not await role_trusts(context.host, role, LAMBDA, source_arn=name.arn):
        raise role_not_assumable()


@service.operation("CreateFunction", configures("lambda:CreateFunction"))
async def create_function(context: Context, input: Input) -> Output:
    name = named(context, input).at("")
    _check_new(input, name)
    check(input)
    check_tags(input.get("Tags", {}))
    layers = await uses(context, input.get("Layers", ()))
    data = b"" if input.get("PackageType") == "Image" else package_of(input["Code"])
    await check_role(context, name, input["Role"])
    await check_dead_letter(context.host, input["Role"], name.name, input.get("DeadLetterConfig", {}).get("TargetArn", ""))
    await check_signed(context, name.name, input.get("CodeSigningConfigArn", ""))
    if await find_function(context.store, name):
        raise conflict(f"Function already exist: {name.name}")
    settings = await _new_settings(context, input, data)
    ids, now = context.host.ids, context.now()
    settings.layers = layers
    change(settings, input)
    check_unpacked(settings)
    check_snap_start(settings)
    latest = Version(settings=settings, modified=now, revision=ids.uuid(), generation=ids.text(16))
    latest.preparing = "create" if settings.image is not None else ""
    function_id, tags, revision = ids.text(16), dict(input.get("Tags", {})), ids.uuid()

    async def create(tx: Transaction) -> Version:
        if await find_function(tx, name):
            raise conflict(f"Function already exist: {name.name}")
        function = Function(name=name.name, id=function_id, latest=latest, tags=tags, signing=input.get("CodeSigningConfigArn", ""))
        packages.hold_all(tx, settings.packages(), holder(function, LATEST))
        shown = await publish(tx, name, function, revision, now) if input.get("Publish") else latest
        put_function(tx, name, function)
        if settings.image is not None:
            prepare(tx, name, settings.image)
        return shown

    shown = await context.store.transact(create)
    with context.host.get(Updates).creating(name):
        await unpack(context.host, settings)
    context.host.get(Preparations).wake()
    return context.host.get(Updates).answered(pending(configuration(name, shown)))


async def unpack(host: Host, settings: Settings) -> None:
    """Has a large package unpacked before it is answered for, so that its first invocation need not wait for that."""
    if settings.code_unpacked >= UNPACK_BYTES and settings.image is None and host.executor is not None:
        await host.executor.unpack(settings.code_sha256)


async def _new_settings(context: Context, input: Input, data: bytes) -> Settings:
    """Settings with the function's code and nothing else."""
    if input.get("PackageType") == "Image":
        image = await resolve(context.host, input["Code"]["ImageUri"])
        return Settings(runtime="", handler="", role=input["Role"], code_sha256=image.digest, code_size=0, image=image)
    package = await packages.keep(context.host, data)
    settings = Settings(
        runtime=input["Runtime"], handler=input["Handler"], role=input["Role"], code_sha256=package.sha256, code_size=package.size
    )
    settings.code_unpacked, settings.source_kms = package.unpacked, input["Code"].get("SourceKMSKeyArn", "")
    return settings


def _check_new(input: Input, name: FunctionName) -> None:
    if len(name.name) > MAX_NAME:
        raise constraint(name.name, "functionName", f"have length less than or equal to {MAX_NAME}")
    kind = input.get("PackageType", "Zip")
    check_settings(input, kind)
    if kind == "Image":
        check_code(input["Code"], kind, "creating")
        return
    if not input.get("Runtime") or not input.get("Handler"):
        raise invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
    check_code(input["Code"], kind, "creating")


async def find_shown(reader: Reader, name: FunctionName) -> tuple[Function, Version]:
    """The function and the version that a name stands for. Raises ResourceNotFoundException."""
    function = await find_function(reader, name)
    if function is None:
        raise no_function(name.qualified)
    if name.qualifier in ("", LATEST):
        return function, function.latest
    wanted = name.qualifier
    if not is_version(wanted):
        alias = await find_alias(reader, name, wanted)
        if alias is None:
            raise no_function(name.qualified)
        wanted = alias.version
    version = function.latest if wanted == LATEST else await find_version(reader, name, wanted)
    if version is None:
        raise no_function(name.qualified)
    return function, version


@service.operation("GetFunction", on_function("lambda:GetFunction"))
async def get_function(context: Context, input: Input) -> Output:
    name = named(context, input)
    await context.host.get(Updates).settled(name)
    function, version = await find_shown(context.store, name)
    output: dict[str, Any] = {
        "Configuration": _shown(context, name, version),
        "Code": _code(context, version),
    }
    if function.tags:
        output["Tags"] = function.tags
    if function.reserved is not None:
        output["Concurrency"] = {"ReservedConcurrentExecutions": function.reserved}
    return output


@service.operation("GetFunctionConfiguration", on_function("lambda:GetFunctionConfiguration"))
async def get_function_configuration(context: Context, input: Input) -> Output:
    name = named(context, input)
    await context.host.get(Updates).settled(name)
    return _shown(context, name, (await find_shown(context.store, name))[1])


def _code(context: Context, version: Version) -> dict[str, Any]:
    if (image := (version.previous or version.settings).image) is not None:
        return {"RepositoryType": "ECR", "ImageUri": image.uri, "ResolvedImageUri": image.resolved}
    shown = {"RepositoryType": "S3", "Location": code_url(context, version.settings.code_sha256)}
    return shown | ({"SourceKMSKeyArn": version.settings.source_kms} if version.settings.source_kms else {})


def _shown(context: Context, name: FunctionName, version: Version) -> dict[str, Any]:
    shown = configuration(name, version)
    change = context.host.get(Updates).under_way(name) if version.version == LATEST else None
    if change is None:
        return shown
    return pending(shown) if change.creates else in_progress(shown)


@service.operation("ListFunctions", on_anything("lambda:ListFunctions"))
async def list_functions(context: Context, input: Input) -> Output:
    limit = min(input.get("MaxItems", LIST_LIMIT), LIST_LIMIT)
    everything = input.get("FunctionVersion") == "ALL"
    if input.get("MasterRegion") and not everything:
        raise invalid("FunctionVersion must be set to ALL when MasterRegion is specified.")
    region = context.region.encode()
    at_name, _, at_version = input.get("Marker", "").partition(":")
    if at_version and not at_version.isdecimal():
        raise invalid("The marker is not valid.")
    start = at_name.encode()
    found: list[dict[str, Any]] = []
    marker = ""
    while not marker:
        rows = await context.store.range(FUNCTIONS, region, start, limit=limit + 1)
        for sort, value in rows:
            function = decode_function(value)
            name = FunctionName(context.region, context.account, function.name)
            versions = [function.latest, *(await versions_of(context.store, name) if everything else ())]
            for version in versions:
                order = 0 if version.version == LATEST else int(version.version)
                if function.name == at_name and order < int(at_version or 0):
                    continue
                if len(found) == limit:
                    marker = f"{function.name}:{order}"
                    break
                found.append(configuration(name.at(version.version) if everything else name, version, state=False))
            if marker:
                break
            start = sort + b"\x00"
        if len(rows) <= limit:
            break
    return {"Functions": found} | ({"NextMarker": marker} if marker else {})


async def versions_of(reader: Reader, name: FunctionName) -> list[Version]:
    """The published versions, oldest first, read in slices."""
    versions: list[Version] = []
    start = b""
    while True:
        rows = await reader.range(VERSIONS, partition(name), start, limit=READ_SLICE)
        versions += [decode_version(value) for _, value in rows]
        if len(rows) < READ_SLICE:
            return versions
        start = rows[-1][0] + b"\x00"


@service.operation("DeleteFunction", on_function("lambda:DeleteFunction"))
async def delete_function(context: Context, input: Input) -> Output:
    name = named(context, input)
    if name.qualifier == LATEST:
        raise invalid("$LATEST version cannot be deleted without deleting the function.")
    if name.qualifier and not is_version(name.qualifier):
        raise invalid("Deletion of aliases is not currently supported.")

    async def delete(tx: Transaction) -> None:
        function = await find_function(tx, name)
        if function is None:
            raise no_function(name.qualified)
        if name.qualifier:
            await _delete_version(tx, name, function, context.now())
            return
        packages.release_all(tx, function.latest.settings.packages(), holder(function, LATEST), context.now())
        for version in await versions_of(tx, name):
            packages.release_all(tx, version.settings.packages(), holder(function, version.version), context.now())
        tx.delete(FUNCTIONS, name.region.encode(), name.name.encode())
        for sort, _ in await tx.range(URLS, partition(name)):
            await delete_url(tx, name.at(sort.decode()))
        for space in PARTS:
            for sort, _ in await tx.range(space, partition(name)):
                tx.delete(space, partition(name), sort)

    await context.store.transact(delete)
    if not name.qualifier:
        context.host.get(Updates).forget(name)
    if context.host.executor is not None:
        if not name.qualifier:
            await context.host.executor.retire(name.arn)
        await context.host.executor.forget(name.arn, name.qualifier)
    return {"StatusCode": 204}


async def _delete_version(tx: Transaction, name: FunctionName, function: Function, now: float) -> None:
    version = await find_version(tx, name, name.qualifier)
    if version is None:
        return  # as if it had been deleted before
    aliases = [decode_alias(value) for _, value in await tx.range("lambda.aliases", partition(name))]
    if using := [alias.name for alias in aliases if name.qualifier in (alias.version, *alias.weights)]:
        raise conflict(f"Unable to delete version because the following aliases reference it: [{', '.join(using)}]")
    packages.release_all(tx, version.settings.packages(), holder(function, version.version), now)
    tx.delete(VERSIONS, partition(name), version_key(version.version))
    for space in ("lambda.policies", "lambda.eventconfigs", "lambda.provisioned"):
        tx.delete(space, partition(name), name.qualifier.encode())
