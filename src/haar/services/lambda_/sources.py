"""Event sources that are read by position: what a poller needs of one. A further kind of stream is a further class here.

DynamoDB streams are read through DynamoDB's public functions, as the function's role may.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import orjson

from haar.services.dynamodb import public as dynamodb
from haar.services.service import Host


class Record(NamedTuple):
    number: int
    """Its place in the shard; later ones have higher numbers."""
    id: str
    """What the function names it by when it reports failures."""
    key: bytes
    """Records of one key are handled in order."""
    created: float
    data: bytes
    """JSON, as the function gets it."""


class Read(NamedTuple):
    records: list[Record]
    position: int
    """Where to read on."""


class Trimmed(Exception):
    """The record at the position is too old to be read: reading goes on at the oldest one."""


class Source(Protocol):
    arn: str
    actions: tuple[str, ...]
    """What the function's role must be allowed, on the source."""
    policy: str | None
    """The source's own policy."""
    shards: int

    async def latest(self, shard: int) -> int:
        """The position behind all records that are there now."""
        ...

    async def read(self, shard: int, position: int | None, limit: int) -> Read:
        """Some records from a position on, None being the oldest. Raises Trimmed."""
        ...

    def shard_id(self, shard: int) -> str: ...

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Calls `wake` when there may be new records; answers what ends it."""
        ...


class DynamoDBStream:
    actions: tuple[str, ...] = ("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator")

    def __init__(self, host: Host, region: str, arn: str, stream: dynamodb.StreamInfo) -> None:
        self.arn = arn
        self.policy = stream.policy
        self.shards = stream.shards
        self._host, self._region, self._stream = host, region, stream

    def shard_id(self, shard: int) -> str:
        return dynamodb.shard_ids(self._stream)[shard]

    async def latest(self, shard: int) -> int:
        return await dynamodb.last_position(self._host, self._stream, shard)

    async def read(self, shard: int, position: int | None, limit: int) -> Read:
        try:
            found = await dynamodb.read_stream(self._host, self._region, self._stream, shard, position, limit)
        except dynamodb.Trimmed:
            raise Trimmed from None
        return Read([self._record(record) for record in found.records], found.position)

    def _record(self, record: dict[str, Any]) -> Record:
        body = record["dynamodb"]
        number = dynamodb.number_of(body["SequenceNumber"])
        assert number is not None
        event = record | {"eventSourceARN": self.arn}
        if (identity := record.get("userIdentity")) is not None:
            # Events write it otherwise than the streams' own API, and filters of expired items look for it so.
            event["userIdentity"] = {"type": identity["Type"], "principalId": identity["PrincipalId"]}
        data = orjson.dumps(event)
        return Record(number, body["SequenceNumber"], orjson.dumps(body["Keys"]), body["ApproximateCreationDateTime"], data)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        return dynamodb.watch_stream(self._host, self._stream, wake)


def is_dynamodb(arn: str) -> bool:
    return arn.startswith("arn:") and arn.split(":")[2:3] == ["dynamodb"]


async def find_source(host: Host, region: str, arn: str) -> Source | None:
    """The source that an ARN names, or None when it is not there."""
    if not is_dynamodb(arn):
        return None
    stream = await dynamodb.find_stream(host, region, arn)
    return None if stream is None else DynamoDBStream(host, region, arn, stream)
