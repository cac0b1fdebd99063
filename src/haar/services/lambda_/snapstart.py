"""SnapStart: a published version is initialised once, behind the answer; it is Pending until its snapshot is there.

lambda.snapping  region/name  number  a version that waits for its snapshot
"""

import asyncio
import logging

from haar.execution.contract import NotInitialised, Throttled, Unavailable
from haar.services.lambda_.directory import spec_of
from haar.services.lambda_.errors import invalid
from haar.services.lambda_.names import FunctionName
from haar.services.lambda_.records import Settings, Version, find_function, find_version, partition, put_version, version_key
from haar.services.service import Host
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

log = logging.getLogger("haar.lambda")

SNAPPING = "lambda.snapping"
RUNTIMES = ("python3.12", "python3.13", "python3.14", "java11", "java17", "java21", "java25", "dotnet8", "dotnet10")
EPHEMERAL_MB = 512
AT_ONCE = 2
"""Functions that are called come first."""
SLICE = 100
AGAIN_SECONDS = 5.0
"""The wait after there was no room."""
CODES = {
    "Sandbox.Timedout": "FunctionError.InitTimeout",
    "Runtime.ExitError": "FunctionError.RuntimeExitError",
    "Runtime.InvalidEntrypoint": "FunctionError.InvalidEntryPoint",
    "Runtime.OutOfMemory": "FunctionError.InitResourceExhausted",
}


def applies(settings: Settings) -> bool:
    return settings.snap_start == "PublishedVersions"


def check_snap_start(settings: Settings) -> None:
    """Raises for settings that SnapStart does not go with."""
    if not applies(settings):
        return
    what = ""
    if settings.image is not None:
        what = "ContainerImage"
    elif settings.runtime not in RUNTIMES:
        what = settings.runtime
    elif settings.ephemeral > EPHEMERAL_MB:
        what = f"EphemeralStorage greater than {EPHEMERAL_MB} MB"
    if what:
        raise invalid(f"{what} is not supported for SnapStart enabled functions.")


def snap(tx: Transaction, name: FunctionName, version: Version) -> None:
    """Notes that a version that is being published waits for its snapshot (the caller writes the version)."""
    if applies(version.settings):
        version.preparing = "create"
        tx.put(SNAPPING, partition(name), version_key(version.version), b"")


async def run(host: Host) -> None:
    """Works through the list, for as long as the platform stands."""
    wake = asyncio.Event()
    unwatch = host.store.watch(SNAPPING, wake.set)
    tasks: dict[tuple[bytes, bytes], asyncio.Task[None]] = {}
    turns = asyncio.Semaphore(AT_ONCE)

    def start(key: tuple[bytes, bytes]) -> None:
        task = tasks[key] = asyncio.ensure_future(_snap(host, *key, turns))

        def over(task: "asyncio.Task[None]") -> None:
            tasks.pop(key, None)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("%s: its snapshot is not made, and will be when haar starts again", key[0].decode(), exc_info=error)

        task.add_done_callback(over)

    try:
        while True:
            wake.clear()
            after: tuple[bytes, bytes] | None = None
            while rows := await host.store.scan(SNAPPING, after=after, limit=SLICE):
                for row in rows:
                    if (row.partition, row.sort) not in tasks:
                        start((row.partition, row.sort))
                after = (rows[-1].partition, rows[-1].sort)
            await wake.wait()
    finally:
        unwatch()
        for task in tasks.values():
            task.cancel()


async def _snap(host: Host, key: bytes, sort: bytes, turns: asyncio.Semaphore) -> None:
    region, function_name = key.decode().split("/")
    name = FunctionName(region, host.account, function_name, str(int.from_bytes(sort, "big")))
    failure: NotInitialised | None = None
    async with turns:
        while True:
            function = await find_function(host.store, name)
            version = await find_version(host.store, name, name.qualifier) if function is not None else None
            if function is None or version is None or host.executor is None:
                break
            try:
                await host.executor.snapshot(spec_of(name, function, version))
            except Throttled:
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            except NotInitialised as error:
                failure = error
            except ServiceError as error:
                failure = NotInitialised("", error.message or error.code)
            except Unavailable as error:
                log.warning("%s: no snapshot: %s", name.qualified, error)  # who invokes it hears the same
            break
    await host.store.transact(lambda tx: _finish(tx, name, failure))


async def _finish(tx: Transaction, name: FunctionName, failure: NotInitialised | None) -> None:
    tx.delete(SNAPPING, partition(name), version_key(name.qualifier))
    version = await find_version(tx, name, name.qualifier)
    if version is None:
        return
    version.preparing = ""
    if failure is not None:
        version.failed, version.failed_code = "create", CODES.get(failure.kind, "FunctionError")
        version.failed_reason = f"The function failed to initialize: {failure}"
    put_version(tx, name, version)
