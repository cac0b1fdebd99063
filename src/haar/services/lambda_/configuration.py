"""Changing a function: its code and its configuration."""

import copy
from collections.abc import Callable
from typing import Any

from haar.services.lambda_ import packages, service
from haar.services.lambda_.access import configures, on_function, unversioned
from haar.services.lambda_.codesigning import check_signed
from haar.services.lambda_.containerimages import Preparations, change_image, check_code, check_ready, check_settings, resolve
from haar.services.lambda_.destinations import check_dead_letter
from haar.services.lambda_.errors import no_function, wrong_revision
from haar.services.lambda_.functions import check_role, holder, package_of, unpack
from haar.services.lambda_.layers import uses
from haar.services.lambda_.names import LATEST, FunctionName
from haar.services.lambda_.records import Function, Settings, Version, find_function, put_function
from haar.services.lambda_.settings import change, check, check_unpacked, configuration, in_progress, shown_version
from haar.services.lambda_.snapstart import check_snap_start
from haar.services.lambda_.updates import Updates
from haar.services.lambda_.versions import publish
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction


async def _existing(context: Context, name: FunctionName, input: Input) -> Function:
    function = await find_function(context.store, name)
    if function is None:
        raise no_function(name.arn)
    if input.get("RevisionId") and input["RevisionId"] != function.latest.revision:
        raise wrong_revision()
    check_ready(function.latest, name.arn)
    return function


async def _update(context: Context, name: FunctionName, input: Input, apply: Callable[[Settings], None]) -> Version:
    """Applies a change to $LATEST, publishes it if asked to, and ends the environments that have the old one."""
    ids, now = context.host.ids, context.now()
    revision, generation, published = ids.uuid(), ids.text(16), ids.uuid()

    async def write(tx: Transaction) -> Version:
        function = await find_function(tx, name)
        if function is None:
            raise no_function(name.arn)
        if input.get("RevisionId") and input["RevisionId"] != function.latest.revision:
            raise wrong_revision()
        latest = function.latest
        check_ready(latest, name.arn)
        before = copy.deepcopy(latest.settings)
        apply(latest.settings)
        check_unpacked(latest.settings)
        check_snap_start(latest.settings)
        held, needed = before.packages(), latest.settings.packages()
        packages.release_all(tx, held - needed, holder(function, LATEST), now)
        packages.hold_all(tx, needed - held, holder(function, LATEST))
        latest.modified, latest.revision, latest.updated = now, revision, True
        if latest.settings != before:
            latest.generation = generation
        change_image(tx, name, latest, before)
        shown = await publish(tx, name, function, published, now) if input.get("Publish") else latest
        put_function(tx, name, function)
        return shown

    version = await context.store.transact(write)
    context.host.get(Preparations).wake()
    await unpack(context.host, version.settings)
    if context.host.executor is not None:
        await context.host.executor.retire(name.arn)
    return version


@service.operation("UpdateFunctionCode", on_function("lambda:UpdateFunctionCode", qualified=False))
async def update_function_code(context: Context, input: Input) -> Output:
    name = unversioned(context, input)
    function = await _existing(context, name, input)
    check({key: input[key] for key in ("PublishTo",) if key in input})
    kind = "Zip" if function.latest.settings.image is None else "Image"
    check_code(input, kind, "updating")
    if kind == "Image":
        return await _update_image(context, name, function, input)
    data = package_of(input)
    await check_signed(context, name.name, function.signing)
    if input.get("DryRun"):
        package = await packages.examine(data)
        latest = copy.deepcopy(function.latest)
        latest.settings.code_sha256, latest.settings.code_size = package.sha256, package.size
        change(latest.settings, {key: input[key] for key in ("Architectures",) if key in input})
        return configuration(name, latest)
    with context.host.get(Updates).begin(name):
        package = await packages.keep(context.host, data)

        def apply(settings: Settings) -> None:
            settings.code_sha256, settings.code_size, settings.code_unpacked = package
            settings.source_kms = input.get("SourceKMSKeyArn", "")
            change(settings, {key: input[key] for key in ("Architectures",) if key in input})

        version = await _update(context, name, input, apply)
    return context.host.get(Updates).answered(in_progress(configuration(shown_version(name, version), version)))


async def _update_image(context: Context, name: FunctionName, function: Function, input: Input) -> Output:
    image = await resolve(context.host, input["ImageUri"])

    def apply(settings: Settings) -> None:
        assert settings.image is not None
        before, settings.image, settings.code_sha256 = settings.image, copy.deepcopy(image), image.digest
        settings.image.entry_point, settings.image.command = before.entry_point, before.command
        settings.image.working_directory = before.working_directory
        change(settings, {key: input[key] for key in ("Architectures",) if key in input})

    if input.get("DryRun"):
        latest = copy.deepcopy(function.latest)
        apply(latest.settings)
        return configuration(name, latest)
    with context.host.get(Updates).begin(name):
        version = await _update(context, name, input, apply)
    return context.host.get(Updates).answered(in_progress(configuration(shown_version(name, version), version)))


CONFIGURED = frozenset(
    (
        "Role", "Handler", "Description", "Timeout", "MemorySize", "VpcConfig", "Environment", "Runtime", "KMSKeyArn", "TracingConfig",
        "EphemeralStorage", "SnapStart", "LoggingConfig", "ImageConfig", "DeadLetterConfig",
    )
)  # fmt: skip


@service.operation("UpdateFunctionConfiguration", configures("lambda:UpdateFunctionConfiguration"))
async def update_function_configuration(context: Context, input: Input) -> Output:
    name = unversioned(context, input)
    function = await _existing(context, name, input)
    check(input)
    check_settings(input, "Zip" if function.latest.settings.image is None else "Image")
    if "Role" in input:
        await check_role(context, name, input["Role"])
    dead_letter, role = input.get("DeadLetterConfig", {}).get("TargetArn", ""), input.get("Role", function.latest.settings.role)
    await check_dead_letter(context.host, role, name.name, dead_letter)
    wanted: dict[str, Any] = {key: value for key, value in input.items() if key in CONFIGURED}
    layers = await uses(context, input["Layers"]) if "Layers" in input else None
    if layers:
        await check_signed(context, name.name, function.signing)

    def apply(settings: Settings) -> None:
        change(settings, wanted)
        if layers is not None:
            settings.layers = layers

    with context.host.get(Updates).begin(name):
        version = await _update(context, name, input, apply)
    return context.host.get(Updates).answered(in_progress(configuration(name, version)))
