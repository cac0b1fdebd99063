"""Published versions: numbered, immutable copies of $LATEST."""

import copy

from haar.services.lambda_ import packages, service
from haar.services.lambda_.access import named, on_function, unversioned
from haar.services.lambda_.containerimages import check_ready
from haar.services.lambda_.errors import invalid, no_function, wrong_revision
from haar.services.lambda_.names import LATEST, FunctionName
from haar.services.lambda_.records import (
    VERSIONS,
    Function,
    Version,
    decode_version,
    find_function,
    partition,
    put_function,
    put_version,
)
from haar.services.lambda_.settings import configuration, pending
from haar.services.lambda_.snapstart import snap
from haar.services.lambda_.updates import Updates
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction

LIST_LIMIT = 50


async def publish(
    tx: Transaction, name: FunctionName, function: Function, revision: str, now: float, description: str | None = None
) -> Version:
    """Writes a version as $LATEST is, unless the last one is just that, and moves the function on (the caller writes it)."""
    last = await tx.range(VERSIONS, partition(name), reverse=True, limit=1)
    if last and (newest := decode_version(last[0][1])).generation == function.latest.generation:
        return newest
    version = copy.deepcopy(function.latest)
    version.version = str(function.next_version)
    version.revision = revision
    if description is not None:
        version.settings.description = description
    function.next_version += 1
    snap(tx, name, version)
    put_version(tx, name, version)
    packages.hold_all(tx, version.settings.packages(), f"{function.id}/{version.version}")
    return version


@service.operation("PublishVersion", on_function("lambda:PublishVersion", qualified=False))
async def publish_version(context: Context, input: Input) -> Output:
    name = unversioned(context, input)
    ids, now = context.host.ids, context.now()
    revision, latest_revision = ids.uuid(), ids.uuid()
    if input.get("PublishTo"):
        raise invalid("haar does not have the $LATEST.PUBLISHED version.")

    async def write(tx: Transaction) -> Version:
        function = await find_function(tx, name)
        if function is None:
            raise no_function(name.arn)
        check_ready(function.latest, name.arn)
        sha256 = function.latest.settings.code_sha256
        if input.get("RevisionId") and input["RevisionId"] != function.latest.revision:
            raise wrong_revision()
        if input.get("CodeSha256") and input["CodeSha256"] != sha256:
            raise invalid(
                f"CodeSHA256 ({input['CodeSha256']}) is different from current CodeSHA256 in $LATEST ({sha256}). "
                "Please try again with the CodeSHA256 in $LATEST."
            )
        before = function.next_version
        version = await publish(tx, name, function, revision, now, input.get("Description") or None)
        if function.next_version != before:
            function.latest.revision = latest_revision
            put_function(tx, name, function)
        return version

    with context.host.get(Updates).begin(name, settles=False):
        version = await context.store.transact(write)
    shown = configuration(name.at(version.version), version)
    return context.host.get(Updates).answered(pending(shown)) if version.revision == revision else shown


@service.operation("ListVersionsByFunction", on_function("lambda:ListVersionsByFunction", qualified=False))
async def list_versions_by_function(context: Context, input: Input) -> Output:
    name = named(context, input).at("")
    function = await find_function(context.store, name)
    if function is None:
        raise no_function(name.arn)
    limit = min(input.get("MaxItems", LIST_LIMIT), LIST_LIMIT)
    marker = input.get("Marker", "")
    if marker and not (marker.isdecimal() and len(marker) < 18):
        raise invalid("The marker is not valid.")
    start = int(marker or "0").to_bytes(8, "big")
    versions = [] if marker else [function.latest]
    rows = await context.store.range(VERSIONS, partition(name), start, limit=limit + 1)
    versions += [decode_version(value) for _, value in rows]
    shown = [configuration(name.at(version.version), version, state=False) for version in versions[:limit]]
    return {"Versions": shown} | ({"NextMarker": versions[limit].version} if len(versions) > limit else {})


__all__ = ["LATEST", "publish"]
