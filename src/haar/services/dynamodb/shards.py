"""The records of streams: written in the item's transaction, read by position.

A shard is one partition of its stream's space and has the records of the items whose keys hash to it. Their sort keys are numbers without
gaps: the writer reads the shard's last record and writes the next number in one serialisable transaction, so a number is never seen before
a lower one, on whatever store. For that the last record of an open shard is never trimmed, only no longer shown.
"""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import orjson

from haar.services.dynamodb.images import SIZE_BYTES, Image, Key
from haar.services.dynamodb.keys import HASH_BYTES
from haar.services.dynamodb.limits import STREAM_BYTES, STREAM_SECONDS
from haar.services.dynamodb.values import item_size
from haar.store.contract import Reader, Transaction

if TYPE_CHECKING:
    from haar.services.dynamodb.records import StreamInfo, TableRecord
    from haar.services.dynamodb.tables import ChangeHook, Table
    from haar.services.service import Host

NUMBER_BYTES = 8
START = 0
"""The number that a shard begins with, before those of its records."""
FIRST = 1
SEQUENCE_BASE = 10**20
"""Sequence numbers are shown with 21 digits, the fewest that AWS's have."""
FIRST_CHUNK = 25
"""Records that a read asks the store for before it knows how large they are."""
EVENTS = ("INSERT", "MODIFY", "REMOVE")
TTL_ORIGIN = "ttl"


class Change(msgspec.Struct, array_like=True):
    """One stored stream record."""

    event: int
    at: float
    size: int
    keys: bytes
    new: bytes | None = None
    old: bytes | None = None
    origin: str = ""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Change)


def recorder(host: "Host", record: "TableRecord") -> "ChangeHook | None":
    """Writes a stream record of each change, when the table has a stream."""
    stream = record.stream
    if stream is None or not stream.enabled:
        return None
    space, shards, now = stream.space, stream.shards, host.clock.now
    with_new, with_old = stream.view in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES"), stream.view in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES")

    async def write(tx: Transaction, table: "Table", key: Key, old: Image | None, new: Image | None, origin: str) -> None:
        image = new if new is not None else old
        assert image is not None
        keys = table.key_of(image.item)
        change = Change(2 if new is None else 0 if old is None else 1, now(), item_size(keys), orjson.dumps(keys), origin=origin)
        if with_new and new is not None:
            change.new, change.size = new.data[SIZE_BYTES:], change.size + new.size
        if with_old and old is not None:
            change.old, change.size = old.data[SIZE_BYTES:], change.size + old.size
        shard = shard_of(key.partition, shards)
        tx.put(space, shard, await next_number(tx, space, shard), _ENCODER.encode(change))

    return write


def shard_of(partition: bytes, shards: int) -> bytes:
    """The shard of a table's partition: its hash decides."""
    return bytes([int.from_bytes(partition[:HASH_BYTES]) * shards >> (8 * HASH_BYTES)])


async def next_number(reader: Reader, space: str, shard: bytes) -> bytes:
    """The number of the record that is written next."""
    last = await reader.range(space, shard, reverse=True, limit=1)
    return (int.from_bytes(last[0][0]) + 1 if last else FIRST).to_bytes(NUMBER_BYTES)


def sequence(number: int) -> str:
    return str(SEQUENCE_BASE + number)


def number_of(text: str) -> int | None:
    """The number behind a sequence number; None when it is none of ours."""
    return int(text) - SEQUENCE_BASE if text.isascii() and text.isdigit() and int(text) >= SEQUENCE_BASE + START else None


class Batch(NamedTuple):
    """Some records of a shard in their order, and where to read on."""

    records: list[tuple[int, Change]]
    position: int


class Trimmed(Exception):
    """The record at the position asked for is gone."""


async def read(reader: Reader, stream: "StreamInfo", shard: int, position: int | None, limit: int, now: float) -> Batch:
    """Up to `limit` records and 1 MB from `position` on, or from the oldest one on (None). Raises Trimmed."""
    at = FIRST if position is None else position
    found: list[tuple[int, Change]] = []
    seen = size = 0
    chunk = FIRST_CHUNK
    while seen < limit:
        wanted = min(chunk, limit - seen)
        rows = await reader.range(stream.space, bytes([shard]), at.to_bytes(NUMBER_BYTES), limit=wanted)
        if not seen and position is not None and rows and int.from_bytes(rows[0][0]) > position:
            raise Trimmed
        for sort, value in rows:
            number, change = int.from_bytes(sort), _DECODER.decode(value)
            if change.at <= now - STREAM_SECONDS:
                if position == number:
                    raise Trimmed
            else:
                size += len(value)
                if found and size > STREAM_BYTES:
                    return Batch(found, number)
                found.append((number, change))
            at = number + 1
        seen += len(rows)
        if len(rows) < wanted:
            break
        if found:
            chunk = max(1, min(limit, (STREAM_BYTES - size) * len(found) // size + 1))
    return Batch(found, at)


async def last_number(reader: Reader, stream: "StreamInfo", shard: int) -> int:
    """The number of the shard's last record; one less than the first when it never had any."""
    return int.from_bytes(await next_number(reader, stream.space, bytes([shard]))) - 1


async def number_at(reader: Reader, stream: "StreamInfo", shard: int, moment: float) -> int:
    """The number of the first record written at the moment (seconds since the epoch) or after it; of the next one when none was."""
    low, high = FIRST, await last_number(reader, stream, shard) + 1
    while low < high:
        middle = (low + high) // 2
        # Those before the first that is kept are trimmed: older than any.
        ((sort, value),) = await reader.range(stream.space, bytes([shard]), middle.to_bytes(NUMBER_BYTES), limit=1)
        if _DECODER.decode(value).at >= moment:
            high = middle
        else:
            low = int.from_bytes(sort) + 1
    return low


async def trim(tx: Transaction, stream: "StreamInfo", shard: int, before: float, limit: int) -> int:
    """Deletes up to `limit` records that are too old, but never the shard's last; how many."""
    first = await tx.range(stream.space, bytes([shard]), limit=1)
    if not first or _DECODER.decode(first[0][1]).at > before:
        return 0
    rows = await tx.range(stream.space, bytes([shard]), limit=limit + 1)
    old = [sort for sort, value in rows if _DECODER.decode(value).at <= before]
    if len(old) == len(rows):
        del old[-1:]
    for sort in old[:limit]:
        tx.delete(stream.space, bytes([shard]), sort)
    return min(len(old), limit)


def shown(stream: "StreamInfo", region: str, shard: int, records: Iterable[tuple[int, Change]]) -> list[dict[str, Any]]:
    """Records as GetRecords has them; times are whole seconds since the epoch, items spliced JSON."""
    out = []
    for number, change in records:
        body: dict[str, Any] = {"ApproximateCreationDateTime": int(change.at), "Keys": orjson.Fragment(change.keys)}
        if change.new is not None:
            body["NewImage"] = orjson.Fragment(change.new)
        if change.old is not None:
            body["OldImage"] = orjson.Fragment(change.old)
        body |= {"SequenceNumber": sequence(number), "SizeBytes": change.size, "StreamViewType": stream.view}
        record = {
            "eventID": hashlib.blake2b(f"{stream.space}/{shard}/{number}".encode(), digest_size=16).hexdigest(),
            "eventName": EVENTS[change.event],
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": region,
            "dynamodb": body,
        }
        if change.origin == TTL_ORIGIN:
            record["userIdentity"] = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
        out.append(record)
    return out
