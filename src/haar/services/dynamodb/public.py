"""What other rooms may ask of DynamoDB: its streams."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from haar.services.dynamodb import shards, streams
from haar.services.dynamodb.records import StreamInfo
from haar.services.dynamodb.shards import Trimmed, number_of, sequence
from haar.services.dynamodb.streams import Streams, ended, status
from haar.services.dynamodb.tables import Tables
from haar.services.service import Host

__all__ = [
    "Position",
    "Read",
    "StreamInfo",
    "Trimmed",
    "ended",
    "find_stream",
    "last_position",
    "list_streams",
    "number_of",
    "parse_stream_arn",
    "position_at",
    "position_of",
    "read_stream",
    "sequence",
    "shard_ids",
    "start_of_shard",
    "status",
    "stream_arn",
    "table_exists",
    "watch_stream",
]

Position = int | None
"""Where a shard is read: the number of the next record; None is the oldest that there is."""


@dataclass(frozen=True, slots=True)
class Read:
    """Some records of a shard."""

    records: Sequence[dict[str, Any]]
    """As GetRecords has them; ApproximateCreationDateTime is in seconds and items are `orjson.Fragment`s."""
    position: int
    """Where to read on."""
    at_end: bool
    """Whether the shard is closed and nothing will ever follow."""


def parse_stream_arn(host: Host, region: str, arn: str) -> tuple[str, str] | None:
    """(table, label) of a stream's ARN in this account and region; None when it is no such ARN."""
    parts = arn.split(":", 5)
    named = parts[5].split("/", 3) if len(parts) == 6 else []
    if parts[:5] != ["arn", "aws", "dynamodb", region, host.account] or len(named) != 4 or (named[0], named[2]) != ("table", "stream"):
        return None
    return named[1], named[3]


def stream_arn(host: Host, region: str, stream: StreamInfo) -> str:
    return f"arn:aws:dynamodb:{region}:{host.account}:table/{stream.table}/stream/{stream.label}"


async def find_stream(host: Host, region: str, arn: str) -> StreamInfo | None:
    """The stream that the ARN names, as long as it can be read: until a day after it was closed."""
    named = parse_stream_arn(host, region, arn)
    return None if named is None else await host.get(Streams).find(region, *named)


async def table_exists(host: Host, region: str, name: str) -> bool:
    return await host.get(Tables).find(region, name) is not None


async def list_streams(host: Host, region: str, table: str | None, after: tuple[str, str] | None, limit: int) -> list[StreamInfo]:
    """Streams in the order of (table, label), of one table when it is given, those behind `after` when given."""
    return await host.get(Streams).list(region, table, after, limit)


def shard_ids(stream: StreamInfo) -> list[str]:
    """The names of the stream's shards; a shard's number is its place here."""
    milliseconds = round(stream.created * 1000)
    return [f"shardId-{milliseconds:020d}-{streams.mark(stream, shard)}" for shard in range(stream.shards)]


def start_of_shard() -> str:
    """The sequence number that a shard begins with, before those of its records."""
    return sequence(shards.START)


async def last_position(host: Host, stream: StreamInfo, shard: int) -> int:
    """The position behind all records that are there now (LATEST)."""
    return await shards.last_number(host.store, stream, shard) + 1


def position_of(sequence_number: str, *, after: bool = False) -> Position:
    """The position at a record, or behind it, by its sequence number. Raises ValueError for what is no sequence number."""
    number = number_of(sequence_number)
    if number is None:
        raise ValueError(sequence_number)
    return max(number + after, shards.FIRST)


async def position_at(host: Host, stream: StreamInfo, shard: int, moment: float) -> int:
    """The position of the first record that was written at the moment (seconds since the epoch) or after it."""
    return await shards.number_at(host.store, stream, shard, moment)


async def read_stream(host: Host, region: str, stream: StreamInfo, shard: int, position: Position, limit: int) -> Read:
    """Up to `limit` records and 1 MB. Raises Trimmed when the record at the position is older than a day."""
    now = host.clock.now()
    found = await shards.read(host.store, stream, shard, position, limit, now)
    at_end = ended(stream, now) and await last_position(host, stream, shard) <= found.position
    return Read(shards.shown(stream, region, shard, found.records), found.position, at_end)


def watch_stream(host: Host, stream: StreamInfo, wake: Callable[[], None]) -> Callable[[], None]:
    """Calls `wake` when there may be new records: at once for writes of this process, within a second for others'. Answers what ends it."""
    return host.store.watch(stream.space, wake)
