"""Functions whose package is a container image: the image is looked up when it is named, and pulled and unpacked behind the answer.

lambda.preparing  region  name  the digest of the image that the function waits for
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from haar.execution.images import BadImage, is_local
from haar.execution.images import key as image_key
from haar.services.lambda_.errors import conflict, invalid, unavailable
from haar.services.lambda_.names import FunctionName
from haar.services.lambda_.records import (
    FUNCTIONS,
    VERSIONS,
    Function,
    ImageUse,
    Settings,
    Version,
    decode_function,
    decode_version,
    find_function,
    partition,
    put_function,
    put_version,
)
from haar.services.service import Host, Input
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

log = logging.getLogger("haar.lambda")

PREPARING = "lambda.preparing"
SLICE = 100
OTHER_SOURCES = ("ZipFile", "S3Bucket", "S3Key", "S3ObjectVersion")
NOT_WITH_IMAGES = ("Handler", "Runtime", "Layers")


def check_settings(input: Input, package_type: str) -> None:
    """Raises for settings that are not of a function with this kind of package."""
    if package_type == "Image" and any(input.get(member) for member in NOT_WITH_IMAGES):
        raise invalid("Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.")
    if package_type == "Image" and input.get("CodeSigningConfigArn"):
        raise invalid("Code signing is not supported for functions created with container images.")
    if package_type == "Zip" and input.get("ImageConfig"):
        raise invalid("Please don't provide ImageConfig when the intended function PackageType is Zip.")


def check_code(code: Input, package_type: str, verb: str) -> None:
    """Raises for a source of code that is not of this kind of package; `verb` is `creating` or `updating`."""
    if package_type == "Zip" and code.get("ImageUri"):
        raise invalid(f"Please don't provide ImageUri when {verb} a function with packageType Zip.")
    if package_type == "Image" and not code.get("ImageUri"):
        raise invalid(f"Please provide ImageUri when {verb} a function with packageType Image.")
    if package_type == "Image" and any(code.get(member) is not None for member in OTHER_SOURCES):
        raise invalid("Please do not provide other FunctionCode parameters when providing an ImageUri.")


async def resolve(host: Host, uri: str) -> ImageUse:
    """The image that the name stands for now. Raises what AWS answers for one that is not there or may not be read."""
    if host.executor is None:
        raise unavailable("Functions cannot run: the platform has not started its executor.")
    try:
        found = await host.executor.images.resolve(uri)
    except BadImage as error:
        raise _refused(uri, error) from None
    return ImageUse(uri=uri, digest=found.digest, resolved=found.uri)


def _refused(uri: str, error: BadImage) -> ServiceError:
    log.info("image %s %s", uri, error)
    match error.reason:
        case "ImageAccessDenied":
            return ServiceError("AccessDeniedException", f"Source image {uri} {error}" if is_local(uri) else DENIED, 403, Type="User")
        case "ImageDeleted":
            return invalid(f"Source image {uri} does not exist. Provide a valid source image.")
        case "NotSupported" if "manifest" in str(error):
            return invalid(f"The image manifest, config or layer media type for the source image {uri} is not supported.")
        case "NotSupported" | "InternalError":
            return invalid(f"Source image {uri} {error}")
        case _:
            return invalid(f"Source image {uri} is not valid. Provide a valid source image.")


DENIED = "Lambda does not have permission to access the ECR image. Check the ECR permissions."


def override(image: ImageUse, config: Mapping[str, Any]) -> None:
    """Writes an ImageConfig into a function's image; an empty one takes the overrides away."""
    image.entry_point = list(config.get("EntryPoint", ()))
    image.command = list(config.get("Command", ()))
    image.working_directory = config.get("WorkingDirectory", "")


def check_ready(version: Version, arn: str) -> None:
    """Raises ResourceConflictException while the function's image is under way."""
    if version.preparing == "update":
        raise conflict(f"The operation cannot be performed at this time. An update is in progress for resource: {arn}")
    if version.preparing:
        raise conflict("The operation cannot be performed at this time. The function is currently in the following state: Pending")


def prepare(tx: Transaction, name: FunctionName, image: ImageUse) -> None:
    """Notes that the function waits for its image; `Preparations.wake` once the transaction is done."""
    tx.put(PREPARING, name.region.encode(), name.name.encode(), image.digest.encode())


def change_image(tx: Transaction, name: FunctionName, latest: Version, before: Settings) -> None:
    """After a change of $LATEST: has a new image fetched, and what there was run meanwhile; a failed update is over with the next."""
    image = latest.settings.image
    if image is not None and (latest.failed == "create" or before.code_sha256 != image.digest):
        latest.preparing, latest.previous = ("create", None) if latest.failed == "create" else ("update", before)
        prepare(tx, name, image)
    latest.failed = ""


class Preparations:
    """Pulls and unpacks what functions wait for, and says how that went."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._wake = asyncio.Event()
        self._tasks: dict[tuple[bytes, bytes, bytes], asyncio.Task[None]] = {}

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Works through the list, for as long as the platform stands."""
        if self._host.executor is None:
            return
        await self._clear()
        try:
            while True:
                self._wake.clear()
                after: tuple[bytes, bytes] | None = None
                while rows := await self._host.store.scan(PREPARING, after=after, limit=SLICE):
                    for row in rows:
                        self._start(row.partition, row.sort, row.value)
                    after = (rows[-1].partition, rows[-1].sort)
                await self._wake.wait()
        finally:
            for task in self._tasks.values():
                task.cancel()

    def _start(self, region: bytes, function: bytes, digest: bytes) -> None:
        key = (region, function, digest)
        if key in self._tasks:
            return
        name = FunctionName(region.decode(), self._host.account, function.decode())
        task = self._tasks[key] = asyncio.ensure_future(self._prepare(name, digest.decode()))

        def over(task: "asyncio.Task[None]") -> None:
            del self._tasks[key]
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("%s: its image is not prepared, and will be when haar starts again", name.arn, exc_info=error)

        task.add_done_callback(over)

    async def _prepare(self, name: FunctionName, digest: str) -> None:
        executor = self._host.executor
        function = await find_function(self._host.store, name)
        image = function.latest.settings.image if function is not None else None
        failure: BadImage | None = None
        if executor is not None and image is not None and image.digest == digest:
            try:
                await executor.images.get(digest, image.uri)
            except BadImage as error:
                failure = error
                log.warning("%s: image %s %s", name.arn, image.uri, error)
            except OSError as error:
                failure = BadImage("InternalError", f"cannot be kept: {error}")
                log.warning("%s: image %s %s", name.arn, image.uri, failure)
        await self._host.store.transact(lambda tx: _finish(tx, name, digest, failure))

    async def _clear(self) -> None:
        """Removes the images that no function has any more."""
        assert self._host.executor is not None
        images = self._host.executor.images
        present = await asyncio.to_thread(images.present)
        if not present:
            return
        wanted: set[str] = set()
        for space, decode in ((FUNCTIONS, lambda value: decode_function(value).latest), (VERSIONS, decode_version)):
            after: tuple[bytes, bytes] | None = None
            while rows := await self._host.store.scan(space, after=after, limit=SLICE):
                for row in rows:
                    version: Version = decode(row.value)
                    used = [one.image for one in (version.settings, version.previous) if one is not None and one.image is not None]
                    wanted.update(image_key(image.digest, image.uri) for image in used)
                after = (rows[-1].partition, rows[-1].sort)
        await asyncio.to_thread(images.remove, present - wanted)


async def run(host: Host) -> None:
    await host.get(Preparations).run()


async def _finish(tx: Transaction, name: FunctionName, digest: str, failure: BadImage | None) -> None:
    if await tx.get(PREPARING, name.region.encode(), name.name.encode()) != digest.encode():
        return
    tx.delete(PREPARING, name.region.encode(), name.name.encode())
    function: Function | None = await find_function(tx, name)
    if function is None:
        return
    for _, value in await tx.range(VERSIONS, partition(name)):
        version = decode_version(value)
        if _done(version, digest, failure):
            put_version(tx, name, version)
    if _done(function.latest, digest, failure):
        put_function(tx, name, function)


def _done(version: Version, digest: str, failure: BadImage | None) -> bool:
    """Marks a version that waited for the image; whether it did."""
    image = version.settings.image
    if not version.preparing or image is None or image.digest != digest:
        return False
    if failure is not None:
        version.failed = version.preparing
        version.failed_code = failure.reason if failure.reason != "NotSupported" else "InvalidImage"
        version.failed_reason = DENIED if failure.reason == "ImageAccessDenied" else f"The image {image.uri} {failure}."
        version.settings = version.previous or version.settings
    version.preparing, version.previous = "", None
    return True
