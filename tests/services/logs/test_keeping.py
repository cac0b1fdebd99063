"""What is kept, what expires, and what is cleared away: in process, with the test's own clock."""

from haar.services.logs.public import append, missing
from haar.services.logs.records import DAY_MS, EVENTS, GARBAGE, STREAMS, find_group, find_stream, put_group, usage
from haar.services.logs.streams import streams_of
from haar.services.logs.sweep import collect_garbage, expire
from haar.services.service import Host
from haar.store.contract import Transaction

REGION = "us-east-1"


class Clock:
    def __init__(self, now: float) -> None:
        self.seconds = now

    def now(self) -> float:
        return self.seconds


async def test_append_makes_what_is_missing(host: Host) -> None:
    assert await missing(host, REGION, "/g", "s") == "group"
    await append(host, REGION, "/g", "s", [(5, "b"), (3, "a")])
    assert await missing(host, REGION, "/g", "s") is None
    assert await missing(host, REGION, "/g", "t") == "stream"
    assert await missing(host, "eu-west-1", "/g", "s") == "group"
    await append(host, REGION, "/g", "s", [(4, "x" * 300_000)])
    group = await find_group(host.store, REGION, "/g")
    assert group
    stream = await find_stream(host.store, group, "s")
    assert stream and (stream.first, stream.last, stream.sequence) == (3, 5, 4), "a long message is several events"
    assert await usage(host.store, group) == stream.bytes == 300_002 + 4 * 26


async def test_events_expire(host: Host) -> None:
    clock = host.clock = Clock(100 * 86_400)
    now = int(clock.now() * 1000)
    await append(host, REGION, "/g", "s", [(now - 2 * DAY_MS + index, f"old {index}") for index in range(1200)] + [(now, "new")])
    await append(host, REGION, "/g", "t", [(now - 2 * DAY_MS, "old")])
    group = await find_group(host.store, REGION, "/g")
    assert group
    await expire(host)
    assert len(await host.store.scan(EVENTS, limit=5000)) == 1202, "for ever, as long as nothing else is said"
    group.retention = 1

    async def keep(tx: Transaction) -> None:
        put_group(tx, REGION, group)

    await host.store.transact(keep)
    await expire(host)
    assert [row.value[8:] for row in await host.store.scan(EVENTS)] == [b"new"]
    assert await usage(host.store, group) == 3 + 26
    streams = {stream.name: (stream.first, stream.last) for stream in await streams_of(host.store, group)}
    assert streams == {"s": (now, now), "t": (None, None)}


async def test_what_is_deleted_is_cleared_away(host: Host) -> None:
    from haar.auth.principal import Principal
    from haar.services.logs import service
    from haar.services.service import Context

    context = Context(host, Principal("root", host.account, f"arn:aws:iam::{host.account}:root", host.account), REGION, "r")
    for name in ("/a", "/b"):
        for stream in ("s", "t"):
            await append(host, REGION, name, stream, [(index, "x") for index in range(50)])
    await service.operations["DeleteLogGroup"].handler(context, {"logGroupName": "/a"})
    await service.operations["DeleteLogStream"].handler(context, {"logGroupName": "/b", "logStreamName": "s"})
    await append(host, REGION, "/a", "s", [(1, "new")])
    assert len(await host.store.scan(GARBAGE)) == 2
    await collect_garbage(host)
    assert await host.store.scan(GARBAGE) == []
    assert len(await host.store.scan(EVENTS)) == 51
    assert len(await host.store.scan(STREAMS)) == 2
    group = await find_group(host.store, REGION, "/b")
    assert group and await usage(host.store, group) == 50 * 27
