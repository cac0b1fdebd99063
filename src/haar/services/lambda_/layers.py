"""Layers: packages that functions share, published in numbered versions."""

from collections.abc import Sequence
from typing import Any

from haar.services.lambda_ import packages, service
from haar.services.lambda_.access import on_anything
from haar.services.lambda_.codeurls import code_url
from haar.services.lambda_.errors import invalid, no_bucket, no_policy
from haar.services.lambda_.layernames import MAX_LAYERS, LayerName, find_layer_version, layer_named, on_layer, parse_layer, version_arn
from haar.services.lambda_.records import (
    LAYER_VERSIONS,
    LAYERS,
    Layer,
    LayerUse,
    LayerVersion,
    decode_layer,
    decode_layer_version,
    encode,
    timestamp,
)
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction

LIST_LIMIT = 50


def _holder(layer: LayerName, version: int) -> str:
    return f"layer/{layer.region}/{layer.name}/{version}"


def shown(layer: LayerName, version: LayerVersion) -> dict[str, Any]:
    """LayerVersionsListItem."""
    described: dict[str, Any] = {
        "LayerVersionArn": version_arn(layer, version.version),
        "Version": version.version,
        "Description": version.description,
        "CreatedDate": timestamp(version.created),
    }
    if version.runtimes:
        described["CompatibleRuntimes"] = version.runtimes
    if version.architectures:
        described["CompatibleArchitectures"] = version.architectures
    if version.license:
        described["LicenseInfo"] = version.license
    return described


def shown_whole(context: Context, layer: LayerName, version: LayerVersion) -> dict[str, Any]:
    content = {"Location": code_url(context, version.sha256), "CodeSha256": version.sha256, "CodeSize": version.size}
    return shown(layer, version) | {"LayerArn": layer.arn, "Content": content}


@service.operation("PublishLayerVersion", on_layer("lambda:PublishLayerVersion", versioned=False))
async def publish_layer_version(context: Context, input: Input) -> Output:
    layer, content = layer_named(context, input), input["Content"]
    if content.get("S3Bucket") or content.get("S3Key"):
        raise no_bucket("layer")
    if content.get("ZipFile") is None:
        raise invalid("Please provide a source for layer content.")
    package = await packages.keep(context.host, content["ZipFile"])
    now = context.now()

    async def write(tx: Transaction) -> LayerVersion:
        kept = await tx.get(LAYERS, layer.region.encode(), layer.name.encode())
        record = Layer() if kept is None else decode_layer(kept)
        version = LayerVersion(
            version=record.next_version,
            created=now,
            sha256=package.sha256,
            size=package.size,
            unpacked=package.unpacked,
            description=input.get("Description", ""),
            license=input.get("LicenseInfo", ""),
            runtimes=list(input.get("CompatibleRuntimes", ())),
            architectures=list(input.get("CompatibleArchitectures", ())),
        )
        record.next_version += 1
        packages.hold(tx, package.sha256, _holder(layer, version.version))
        tx.put(LAYERS, layer.region.encode(), layer.name.encode(), encode(record))
        tx.put(LAYER_VERSIONS, layer.partition, version.version.to_bytes(8, "big"), encode(version))
        return version

    return shown_whole(context, layer, await context.store.transact(write))


@service.operation("GetLayerVersion", on_layer("lambda:GetLayerVersion"))
async def get_layer_version(context: Context, input: Input) -> Output:
    layer = layer_named(context, input)
    version = await find_layer_version(context.store, layer, input["VersionNumber"])
    if version is None:
        raise no_policy()
    return shown_whole(context, layer, version)


@service.operation("GetLayerVersionByArn", on_layer("lambda:GetLayerVersion"))
async def get_layer_version_by_arn(context: Context, input: Input) -> Output:
    layer, number = parse_layer(input["Arn"], context.region, context.account)
    version = await find_layer_version(context.store, layer, number)
    if version is None:
        raise no_policy()
    return shown_whole(context, layer, version)


@service.operation("DeleteLayerVersion", on_layer("lambda:DeleteLayerVersion"))
async def delete_layer_version(context: Context, input: Input) -> Output:
    """Functions that use it keep it."""
    layer, number, now = layer_named(context, input), input["VersionNumber"], context.now()

    async def write(tx: Transaction) -> None:
        version = await find_layer_version(tx, layer, number)
        if version is not None:
            packages.release(tx, version.sha256, _holder(layer, number), now)
            tx.delete(LAYER_VERSIONS, layer.partition, number.to_bytes(8, "big"))

    await context.store.transact(write)
    return {}


def _matches(version: LayerVersion, input: Input) -> bool:
    runtime, architecture = input.get("CompatibleRuntime"), input.get("CompatibleArchitecture")
    if runtime is not None and runtime not in version.runtimes:
        return False
    return architecture is None or architecture in version.architectures


async def _latest(context: Context, layer: LayerName, input: Input) -> LayerVersion | None:
    """The newest version that is asked for."""
    end: bytes | None = None
    while rows := await context.store.range(LAYER_VERSIONS, layer.partition, b"", end, reverse=True, limit=LIST_LIMIT):
        for _, value in rows:
            if _matches(version := decode_layer_version(value), input):
                return version
        end = rows[-1][0]
    return None


@service.operation("ListLayers", on_anything("lambda:ListLayers"))
async def list_layers(context: Context, input: Input) -> Output:
    limit = min(input.get("MaxItems", LIST_LIMIT), LIST_LIMIT)
    start, found = input.get("Marker", "").encode(), list[dict[str, Any]]()
    while len(found) <= limit:
        rows = await context.store.range(LAYERS, context.region.encode(), start, limit=LIST_LIMIT)
        for sort, _ in rows:
            layer = LayerName(context.region, context.account, sort.decode())
            if (version := await _latest(context, layer, input)) is not None:
                found.append({"LayerName": layer.name, "LayerArn": layer.arn, "LatestMatchingVersion": shown(layer, version)})
        if len(rows) < LIST_LIMIT:
            break
        start = rows[-1][0] + b"\x00"
    output: dict[str, Any] = {"Layers": found[:limit]}
    return output | ({"NextMarker": found[limit]["LayerName"]} if len(found) > limit else {})


@service.operation("ListLayerVersions", on_anything("lambda:ListLayerVersions"))
async def list_layer_versions(context: Context, input: Input) -> Output:
    """Newest first."""
    layer, limit = layer_named(context, input), min(input.get("MaxItems", LIST_LIMIT), LIST_LIMIT)
    marker, found = input.get("Marker", ""), list[LayerVersion]()
    if marker and not (marker.isdecimal() and len(marker) < 18):
        raise invalid("The marker is not valid.")
    end = (int(marker) + 1).to_bytes(8, "big") if marker else None
    while len(found) <= limit:
        rows = await context.store.range(LAYER_VERSIONS, layer.partition, b"", end, reverse=True, limit=LIST_LIMIT)
        found += [version for _, value in rows if _matches(version := decode_layer_version(value), input)]
        if len(rows) < LIST_LIMIT:
            break
        end = rows[-1][0]
    output: dict[str, Any] = {"LayerVersions": [shown(layer, version) for version in found[:limit]]}
    return output | ({"NextMarker": str(found[limit].version)} if len(found) > limit else {})


async def uses(context: Context, arns: Sequence[str]) -> list[LayerUse]:
    """The layers of a function, in order. Raises what AWS answers for ones that it would not take."""
    if len(arns) > MAX_LAYERS:
        raise invalid(f"Cannot reference more than {MAX_LAYERS} layers.")
    found: list[LayerUse] = []
    seen: dict[str, str] = {}
    for arn in arns:
        if arn.split(":")[3:4] != [context.region]:
            raise invalid(f"Layers are not in the same region as the function. Layers are expected to be in region {context.region}.")
        layer, number = parse_layer(arn, context.region, context.account)
        version = await find_layer_version(context.store, layer, number)
        if version is None:
            raise invalid(f"Layer version {arn} does not exist.")
        if layer.arn in seen:
            raise invalid(
                "Two different versions of the same layer are not allowed to be referenced in the same function. "
                f"{seen[layer.arn]} and {arn} are versions of the same layer."
            )
        seen[layer.arn] = arn
        found.append(LayerUse(arn, version.sha256, version.size, version.unpacked))
    return found
