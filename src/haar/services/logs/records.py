"""What CloudWatch Logs keeps, and under which keys.

A group and a stream each have an id of their own, and their contents are keyed by it: what is made under a deleted name starts empty,
and what was deleted is cleared away later, in slices.

    logs.groups   region        name           Group
    logs.streams  group id      name           Stream
    logs.events   group/stream  time, sequence ingestion time, message
    logs.usage    group id                     stored bytes
    logs.garbage  id                           a group's or stream's prefix in logs.events to be cleared
"""

from typing import NamedTuple

import msgspec

from haar.services.service import Host
from haar.store.cache import Cached
from haar.store.contract import Reader, Transaction

GROUPS = "logs.groups"
STREAMS = "logs.streams"
EVENTS = "logs.events"
USAGE = "logs.usage"
GARBAGE = "logs.garbage"

EVENT_OVERHEAD = 26
"""Bytes that an event counts besides its message."""
DAY_MS = 86_400_000
LATEST = b"\xff" * 16
"""Behind every position."""
CACHED_GROUPS = 2_000


class Subscription(msgspec.Struct, omit_defaults=True):
    """A subscription filter."""

    name: str
    pattern: str
    destination: str
    created: int
    distribution: str = "ByLogStream"


class MetricFilter(msgspec.Struct, omit_defaults=True):
    name: str
    pattern: str
    created: int
    namespace: str
    metric: str
    value: str
    """A number, or a selector of one."""
    default: float | None = None
    """What is measured when events come of which none matches."""
    unit: str = "None"
    dimensions: dict[str, str] = {}
    """Selectors of their values by their names."""


class Group(msgspec.Struct, omit_defaults=True):
    name: str
    id: str
    created: int
    """Epoch milliseconds."""
    retention: int = 0
    """Days; 0 is for ever."""
    tags: dict[str, str] = {}
    kms: str = ""
    log_class: str = "STANDARD"
    protected: bool = False
    subscriptions: list[Subscription] = []
    """In order of their names, as `metrics`."""
    metrics: list[MetricFilter] = []

    def floor(self, now: float) -> int:
        """The oldest time (epoch ms) whose events are still kept."""
        return int(now * 1000) - self.retention * DAY_MS if self.retention else 0


class Stream(msgspec.Struct, omit_defaults=True):
    name: str
    id: str
    created: int
    first: int | None = None
    last: int | None = None
    ingested: int | None = None
    sequence: int = 0
    """Of the next event: unique within the stream, in order of arrival."""
    bytes: int = 0
    """Stored: the messages and the overhead of each event."""


class Event(NamedTuple):
    time: int
    sequence: int
    ingested: int
    message: str


_group = msgspec.json.Decoder(Group)
_stream = msgspec.json.Decoder(Stream)
encode = msgspec.json.Encoder().encode


def group_arn(region: str, account: str, name: str) -> str:
    return f"arn:aws:logs:{region}:{account}:log-group:{name}"


def events_partition(group: Group, stream: Stream) -> bytes:
    return f"{group.id}/{stream.id}".encode()


def position(time: int, sequence: int) -> bytes:
    """An event's sort key: its time, then its order of arrival."""
    return time.to_bytes(8, "big") + sequence.to_bytes(8, "big")


def event_id(stream: Stream, time: int, sequence: int) -> str:
    return f"{time:020d}{int(stream.id, 36) % 10**20:020d}{sequence:016d}"


def pack(ingested: int, message: str) -> bytes:
    return ingested.to_bytes(8, "big") + message.encode("utf-8", "surrogatepass")


def unpack(sort: bytes, value: bytes) -> Event:
    return Event(
        int.from_bytes(sort[:8], "big"),
        int.from_bytes(sort[8:], "big"),
        int.from_bytes(value[:8], "big"),
        value[8:].decode("utf-8", "replace"),
    )


async def find_group(reader: Reader, region: str, name: str) -> Group | None:
    found = await reader.get(GROUPS, region.encode(), name.encode())
    return None if found is None else _group.decode(found)


async def find_stream(reader: Reader, group: Group, name: str) -> Stream | None:
    found = await reader.get(STREAMS, group.id.encode(), name.encode())
    return None if found is None else _stream.decode(found)


def put_group(tx: Transaction, region: str, group: Group) -> None:
    tx.put(GROUPS, region.encode(), group.name.encode(), encode(group))


def put_stream(tx: Transaction, group: Group, stream: Stream) -> None:
    tx.put(STREAMS, group.id.encode(), stream.name.encode(), encode(stream))


def decode_group(value: bytes) -> Group:
    return _group.decode(value)


def decode_stream(value: bytes) -> Stream:
    return _stream.decode(value)


async def add_usage(tx: Transaction, group: Group, count: int) -> None:
    tx.put(USAGE, group.id.encode(), b"", str(max(0, await usage(tx, group) + count)).encode())


async def usage(reader: Reader, group: Group) -> int:
    return int(await reader.get(USAGE, group.id.encode()) or b"0")


def behind(prefix: bytes) -> bytes | None:
    """The first key behind all that start with `prefix`; None when there is none."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else None


class Groups:
    """The groups by region and name, in memory."""

    def __init__(self, host: Host) -> None:
        self._store = host.store
        self._cached: Cached[Group | None] = Cached(host.store, [GROUPS], self._load, CACHED_GROUPS)

    async def _load(self, key: str) -> Group | None:
        region, _, name = key.partition("|")
        return await find_group(self._store, region, name)

    async def find(self, region: str, name: str) -> Group | None:
        return await self._cached.get(f"{region}|{name}")
