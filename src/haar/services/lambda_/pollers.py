"""Keeps every enabled event source mapping's lanes running, and starts them anew when the mapping is changed."""

import asyncio
import logging

from haar.services.lambda_.lanes import Lane, Lost, Results
from haar.services.lambda_.mappingrecords import MAPPINGS, Mapping, decode_mapping
from haar.services.lambda_.sources import find_source
from haar.services.service import Host
from haar.store.errors import StoreBroken, StoreClosed

LOOK_SECONDS = 30.0
"""How often mappings are looked through though none was written."""
AGAIN_SECONDS = 1.0
MISSING_SECONDS = 5.0
"""How often a source that is not there is looked for."""
SLICE = 500

log = logging.getLogger("haar.lambda")

Key = tuple[str, str, str]
"""Region, UUID and revision of a mapping."""


async def run(host: Host) -> None:
    """Polls for as long as the platform stands."""
    wake = asyncio.Event()
    unwatch = host.store.watch(MAPPINGS, wake.set)
    running: dict[Key, asyncio.Task[None]] = {}
    try:
        while True:
            wake.clear()
            wanted = await _wanted(host)
            ending = [running.pop(key) for key in list(running) if key not in wanted]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            for key, mapping in wanted.items():
                if key not in running or running[key].done():
                    host.get(Results).forget(mapping.uuid)
                    running[key] = asyncio.create_task(_poll(host, key[0], mapping), name=f"event source mapping {mapping.uuid}")
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await wake.wait()
            except TimeoutError:
                pass
    finally:
        unwatch()
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)


async def _wanted(host: Host) -> dict[Key, Mapping]:
    found: dict[Key, Mapping] = {}
    after: tuple[bytes, bytes] | None = None
    while rows := await host.store.scan(MAPPINGS, after=after, limit=SLICE):
        for row in rows:
            mapping = decode_mapping(row.value)
            if mapping.enabled:
                found[row.partition.decode(), mapping.uuid, mapping.revision] = mapping
        after = (rows[-1].partition, rows[-1].sort)
    return found


async def _poll(host: Host, region: str, mapping: Mapping) -> None:
    while (source := await find_source(host, region, mapping.source)) is None:
        await host.get(Results).put(region, mapping.uuid, "PROBLEM: The event source is not there")
        await asyncio.sleep(MISSING_SECONDS)
    lanes = [Lane(host, region, mapping, source, shard, lane) for shard in range(source.shards) for lane in range(mapping.factor)]
    await asyncio.gather(*(_keep_going(lane) for lane in lanes))


async def _keep_going(lane: Lane) -> None:
    while True:
        try:
            await lane.run()
        except Lost as lost:
            log.info("%s", lost)
        except (StoreClosed, StoreBroken):
            raise
        except Exception:
            log.exception("an event source mapping's poller failed; it starts again")
        await asyncio.sleep(AGAIN_SECONDS)
