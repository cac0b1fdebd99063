"""What is kept of an event source mapping."""

import msgspec

from haar.services.lambda_.names import FunctionName
from haar.store.contract import Reader, Transaction

MAPPINGS = "lambda.mappings"
LANES = "lambda.lanes"
STATES = "lambda.mappingstates"
LANE_BYTES = 2


class Mapping(msgspec.Struct, omit_defaults=True, kw_only=True):
    uuid: str
    function: str
    qualifier: str = ""
    source: str
    """The event source's ARN."""
    start: str
    """TRIM_HORIZON or LATEST."""
    enabled: bool = True
    batch: int = 100
    window: int = 0
    """Seconds that a batch waits to be full."""
    tumbling: int = 0
    """Seconds of a window whose batches share a state; 0 without."""
    factor: int = 1
    """Batches of a shard that are handled at once."""
    filters: list[str] | None = None
    retries: int = -1
    age: int = -1
    bisect: bool = False
    partial: bool = False
    """Whether the function reports which records failed."""
    on_failure: str = ""
    """The ARN of a queue or topic for what is given up: destinations.py."""
    metrics: list[str] = []
    kms: str = ""
    tags: dict[str, str] = {}
    modified: float
    revision: str
    """Moves with every change: pollers start anew."""

    def name(self, region: str, account: str) -> FunctionName:
        return FunctionName(region, account, self.function, self.qualifier)


class Checkpoint(msgspec.Struct, omit_defaults=True, kw_only=True):
    """How far one lane of a shard has got: everything before `position` is done."""

    position: int | None
    """None is the oldest record that there is."""
    ends: list[int] = []
    """Where batches that are tried again end, the next first: what a failed batch was cut into."""
    attempts: int = 0
    """How often the next batch has failed."""
    window: int = 0
    """Where the open tumbling window begins, in epoch seconds; 0 when none is open."""
    state: str = ""
    """What the function gave for its next batch of the window: JSON."""
    owner: str = ""
    until: float = 0.0
    """When the owner's lease ends."""


encode = msgspec.json.Encoder().encode
decode_mapping = msgspec.json.Decoder(Mapping).decode
decode_checkpoint = msgspec.json.Decoder(Checkpoint).decode


async def find_mapping(reader: Reader, region: str, uuid: str) -> Mapping | None:
    found = await reader.get(MAPPINGS, region.encode(), uuid.encode())
    return None if found is None else decode_mapping(found)


def put_mapping(tx: Transaction, region: str, mapping: Mapping) -> None:
    tx.put(MAPPINGS, region.encode(), mapping.uuid.encode(), encode(mapping))


def lane_key(shard: int, lane: int) -> bytes:
    return shard.to_bytes(LANE_BYTES, "big") + lane.to_bytes(LANE_BYTES, "big")


async def put_lanes(tx: Transaction, mapping: Mapping, positions: list[int | None]) -> None:
    """Replaces the mapping's checkpoints; a position for each shard."""
    await delete_lanes(tx, mapping.uuid)
    for shard, position in enumerate(positions):
        for lane in range(mapping.factor):
            tx.put(LANES, mapping.uuid.encode(), lane_key(shard, lane), encode(Checkpoint(position=position)))


async def delete_lanes(tx: Transaction, uuid: str) -> None:
    for sort, _ in await tx.range(LANES, uuid.encode()):
        tx.delete(LANES, uuid.encode(), sort)


async def positions_of(reader: Reader, uuid: str) -> list[int | None]:
    """Where each shard must be read from so that no lane misses anything."""
    found: dict[int, int | None] = {}
    for sort, value in await reader.range(LANES, uuid.encode()):
        shard, position = int.from_bytes(sort[:LANE_BYTES], "big"), decode_checkpoint(value).position
        known = found.get(shard, position)
        found[shard] = None if position is None or known is None else min(known, position)
    return [found[shard] for shard in sorted(found)]


async def result_of(reader: Reader, uuid: str) -> str:
    """LastProcessingResult."""
    found = await reader.get(STATES, uuid.encode())
    return "No records processed" if found is None else found.decode()
