"""What DynamoDB keeps about tables, and under which keys. Items are in a space of their own for each table and index."""

import msgspec

from haar.services.dynamodb.limits import DAY_SECONDS

TABLES = "dynamodb/tables"
"""partition = region, sort = table name: `TableRecord`."""
CLEARING = "dynamodb/clear"
"""Queue of spaces to be emptied."""
INDEXING = "dynamodb/indexing"
"""Queue of indexes to be filled or taken away."""
BACKUPS = "dynamodb/backups"
"""partition = region, sort = the backup's id (which begins with the time): `haar.services.dynamodb.backups.Backup`."""
COPYING = "dynamodb/copying"
"""Queue of backups and restores under way."""
COPIED = "dynamodb/copied"
"""partition = a space that is being copied, sort = the copy's id: neither it nor its change log is emptied meanwhile."""
EXPIRING = "dynamodb/expiring"
"""Queue of tables whose time to live is being switched on or off."""
STREAMS = "dynamodb/streams"
"""partition = region, sort = table name, zero byte, label: `StreamInfo`. It stays for a day after its stream has ended."""
TOKENS = "dynamodb/tokens"
"""partition = a stretch of ten minutes, sort = region and client request token: what a transaction was asked to do, and when."""

ON_DEMAND, CLASS, ENCRYPTION = "on-demand", "class", "encryption"
"""What of a table can be changed only so often."""


class Throughput(msgspec.Struct, frozen=True):
    read: int = 0
    write: int = 0
    increased: float | None = None
    decreased: float | None = None
    decreases: int = 0
    """How often it was lowered on the (UTC) day that it was last lowered on."""

    def decreases_on(self, now: float) -> int:
        """How often it was lowered on the day of `now`."""
        return self.decreases if self.decreased is not None and self.decreased // DAY_SECONDS == now // DAY_SECONDS else 0


class Vector(msgspec.Struct):
    """What makes an index one of vectors."""

    attribute: str
    dimensions: int
    distance: str
    """COSINE, EUCLIDEAN or DOT_PRODUCT."""


class IndexRecord(msgspec.Struct):
    name: str
    space: str
    """The space of its entries; unique for ever, so that an index of the same name made later starts empty."""
    local: bool
    key_schema: list[tuple[str, str]]
    """(attribute, HASH or RANGE), in order; of a vector index the search schema: (attribute, HASH or INLINE_FILTER)."""
    projection: str
    """ALL, KEYS_ONLY or INCLUDE."""
    non_key: list[str] = []
    status: str = "ACTIVE"
    backfilling: bool = False
    throughput: Throughput = Throughput()
    on_demand: dict[str, int] | None = None
    warm: dict[str, int] | None = None
    vector: Vector | None = None


class StreamRecord(msgspec.Struct):
    """The stream that a table has, or had last."""

    view: str
    label: str
    """The ISO 8601 time that names the stream in its ARN."""
    enabled: bool = True
    space: str = ""
    """The space of its records; unique for ever."""
    shards: int = 1


class StreamInfo(msgspec.Struct):
    """What is known of a stream even when its table is gone."""

    table: str
    label: str
    view: str
    space: str
    shards: int
    key_schema: list[tuple[str, str]]
    created: float
    settled: float
    """From when on every writer knows of it."""
    closed: float | None = None
    """When it was disabled or its table was deleted."""
    policy: str | None = None
    policy_revision: str = ""


class TimeToLive(msgspec.Struct):
    """The attribute that says when an item expires."""

    attribute: str
    space: str
    """The space of (expiry, item) in the order of time; unique for ever."""
    status: str = "ENABLING"


class Insights(msgspec.Struct):
    """Contributor insights of a table or index: a setting."""

    enabled: bool
    mode: str
    at: float


class Destination(msgspec.Struct):
    """A Kinesis stream that a table's changes are meant for: a setting."""

    enabled: bool
    precision: str = "MILLISECOND"


class History(msgspec.Struct):
    """The log of what a table's items were before each change: for point-in-time recovery, and while a backup is made."""

    first_day: int
    """The oldest day (since the epoch) that there may be a log of."""
    since: float
    """From when on every change is logged."""
    days: int | None = None
    """RecoveryPeriodInDays; None when point-in-time recovery is off."""


class Restored(msgspec.Struct):
    """Where a restored table comes from."""

    at: float
    table_arn: str
    backup_arn: str | None = None


class TableRecord(msgspec.Struct):
    name: str
    region: str
    id: str
    """The TableId: a UUID, fresh for a table that is made again under an old name."""
    space: str
    """The space of its items; unique for ever."""
    created: float
    key_schema: list[tuple[str, str]]
    attributes: dict[str, str]
    """Attribute definitions: name -> S, N or B."""
    indexes: list[IndexRecord] = []
    collections: str = ""
    """The space of the sizes of its item collections; unique for ever. Empty without local indexes."""
    status: str = "ACTIVE"
    billing: str = "PROVISIONED"
    billing_changed: float | None = None
    """When the table last became on-demand."""
    throughput: Throughput = Throughput()
    on_demand: dict[str, int] | None = None
    warm: dict[str, int] | None = None
    table_class: str | None = None
    changes: dict[str, list[float]] = {}
    """When it became on-demand, changed its class or its encryption lately."""
    protected: bool = False
    sse: dict[str, str] | None = None
    """SSEType and KMSMasterKeyArn of a table with its own key."""
    tags: dict[str, str] = {}
    stream: StreamRecord | None = None
    policy: str | None = None
    """The resource policy (JSON)."""
    policy_revision: str = ""
    insights: dict[str, Insights] = {}
    """By index name; the table's own under the empty one."""
    destinations: dict[str, Destination] = {}
    """By the ARN of the Kinesis stream."""
    ttl: TimeToLive | None = None
    history: History | None = None
    restored: Restored | None = None

    @property
    def indexing(self) -> bool:
        """Whether an index is being made or taken away."""
        return any(index.status in ("CREATING", "DELETING") for index in self.indexes)

    @property
    def settling(self) -> bool:
        """Whether nothing else of the table may be changed for that: until an index is being filled, or is gone."""
        return any(index.status == "DELETING" or (index.status == "CREATING" and not index.backfilling) for index in self.indexes)

    @property
    def spaces(self) -> list[str]:
        """Every space that is emptied when the table is deleted."""
        more = [self.collections] if self.collections else []
        if self.ttl is not None:
            more.append(self.ttl.space)
        return [self.space, *(index.space for index in self.indexes), *more]


def stream_place(region: str, table: str, label: str) -> tuple[str, bytes, bytes]:
    """Where a `StreamInfo` is."""
    return STREAMS, region.encode(), f"{table}\0{label}".encode()


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(TableRecord)


def encode(record: TableRecord) -> bytes:
    return _ENCODER.encode(record)


def decode(data: bytes) -> TableRecord:
    return _DECODER.decode(data)


def place(region: str, name: str) -> tuple[str, bytes, bytes]:
    """Where a table's record is."""
    return TABLES, region.encode(), name.encode()
