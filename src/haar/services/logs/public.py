"""What other services may ask of CloudWatch Logs."""

import copy
from collections.abc import Sequence
from typing import Literal

from haar.services.logs.groups import new_group
from haar.services.logs.livetail import Tails
from haar.services.logs.metricfilters import measure
from haar.services.logs.records import Group, Groups, find_group, find_stream, put_group, put_stream
from haar.services.logs.streams import new_stream, write
from haar.services.logs.subscriptions import Deliveries
from haar.services.service import Host
from haar.store.contract import Transaction

MAX_MESSAGE = 262_144
"""Characters; a longer message is written as several events."""


async def missing(host: Host, region: str, group: str, stream: str) -> Literal["group", "stream"] | None:
    """What `append` would have to make first: the group (and the stream), the stream, or nothing."""
    found = await host.get(Groups).find(region, group)
    if found is None:
        return "group"
    return None if await find_stream(host.store, found, stream) else "stream"


async def append(host: Host, region: str, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
    """Writes (epoch ms, message) events to a stream, making group and stream when they are not there. Durable when it answers."""
    fresh_group, fresh_stream = new_group(host, group), new_stream(host, stream)
    now = int(host.clock.now() * 1000)
    parts = [(time, message[at : at + MAX_MESSAGE]) for time, message in events for at in range(0, len(message) or 1, MAX_MESSAGE)]

    async def write_all(tx: Transaction) -> Group:
        into = await find_group(tx, region, group)
        if into is None:
            into = fresh_group
            put_group(tx, region, into)
        found = await find_stream(tx, into, stream)
        if found is None:
            found = copy.copy(fresh_stream)  # this may run again, and `write` moves the record on
            put_stream(tx, into, found)
        if into.subscriptions:
            host.get(Deliveries).put(tx, region, into, found, found.sequence, parts)
        await write(tx, into, found, parts, now)
        return into

    into = await host.store.transact(write_all)
    host.get(Tails).tell(region, group, stream, parts, now)
    await measure(host, region, into, parts)
