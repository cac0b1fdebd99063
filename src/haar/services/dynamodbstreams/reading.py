"""GetShardIterator and GetRecords.

A shard iterator is the stream's ARN, and the shard, position and time that it was made at. It is no secret and gives no right: what is read
is authorised by the ARN in it.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from haar.services.dynamodb import public
from haar.services.dynamodbstreams import errors
from haar.services.dynamodbstreams.face import service
from haar.services.dynamodbstreams.streams import demand, find, on_stream
from haar.services.service import Context, Demand, Input, Output

MOST_RECORDS = 1000
ITERATOR_SECONDS = 900.0
"""How long an iterator can be used."""
NUMBERED = ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER")


class Place(msgspec.Struct, array_like=True):
    """What an iterator says beside the stream."""

    shard: int
    position: int | None
    made: float


def write_iterator(arn: str, place: Place) -> str:
    return f"{arn}|1|{urlsafe_b64encode(msgspec.msgpack.encode(place)).decode()}"


def read_iterator(iterator: str) -> tuple[str, Place]:
    """The stream's ARN and the place. Raises ValidationException."""
    parts = iterator.split("|")
    if len(parts) != 3:
        raise errors.invalid_iterator()
    try:
        return parts[0], msgspec.msgpack.decode(urlsafe_b64decode(parts[2]), type=Place)
    except (ValueError, msgspec.DecodeError):
        raise errors.invalid_iterator() from None


@service.operation("GetShardIterator", on_stream("GetShardIterator"))
async def get_shard_iterator(ctx: Context, input: Input) -> Output:
    arn, kind, given = input["StreamArn"], input["ShardIteratorType"], input.get("SequenceNumber")
    if kind in NUMBERED and given is None:
        raise errors.in_our_words(f"SequenceNumber must be specified when ShardIteratorType is {kind}")
    if kind not in NUMBERED and given is not None:
        raise errors.in_our_words(f"SequenceNumber must not be specified when ShardIteratorType is {kind}")
    if kind != "AT_TIMESTAMP" and input.get("Timestamp") is not None:
        raise errors.in_our_words(f"Timestamp must not be specified when ShardIteratorType is {kind}")
    stream = await find(ctx, arn)
    ids = public.shard_ids(stream)
    if input["ShardId"] not in ids:
        raise errors.no_shard(input["ShardId"])
    shard = ids.index(input["ShardId"])
    position: public.Position = None
    if kind == "LATEST":
        position = await public.last_position(ctx.host, stream, shard)
    elif kind == "AT_TIMESTAMP":
        position = await _at(ctx, stream, shard, input.get("Timestamp"))
    elif given is not None:
        position = await _numbered(ctx, stream, shard, given, kind == "AFTER_SEQUENCE_NUMBER")
    return {"ShardIterator": write_iterator(arn, Place(shard, position, ctx.now()))}


async def _at(ctx: Context, stream: public.StreamInfo, shard: int, given: Any) -> public.Position:
    """The position of a moment; a moment before the oldest record is the trim horizon's."""
    if given is None:
        raise errors.in_our_words("Timestamp must be specified when ShardIteratorType is AT_TIMESTAMP")
    moment = given.timestamp() if isinstance(given, datetime) else float(given)
    if moment > ctx.now():
        raise errors.in_our_words("Timestamp must not be in the future")
    position = await public.position_at(ctx.host, stream, shard, moment)
    try:
        await public.read_stream(ctx.host, ctx.region, stream, shard, position, 1)
    except public.Trimmed:
        return None
    return position


async def _numbered(ctx: Context, stream: public.StreamInfo, shard: int, given: str, after: bool) -> public.Position:
    try:
        position = public.position_of(given, after=after)
    except ValueError:
        raise errors.validation(f"Invalid SequenceNumber: {given}") from None
    latest = await public.last_position(ctx.host, stream, shard)
    if position is not None and position > latest:
        raise errors.validation(f"Invalid SequenceNumber: {given}")
    try:
        await public.read_stream(ctx.host, ctx.region, stream, shard, position, 1)
    except public.Trimmed:
        raise errors.trimmed() from None
    return position


async def _records_demands(ctx: Context, input: Input) -> Sequence[Demand]:
    arn, _ = read_iterator(input["ShardIterator"])
    return (await demand(ctx, "GetRecords", arn),)


@service.operation("GetRecords", _records_demands)
async def get_records(ctx: Context, input: Input) -> Output:
    limit = input.get("Limit", MOST_RECORDS)
    if limit > MOST_RECORDS:
        raise errors.validation(
            f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: "
            f"Member must have value less than or equal to {MOST_RECORDS}"
        )
    arn, place = read_iterator(input["ShardIterator"])
    if ctx.now() - place.made > ITERATOR_SECONDS:
        raise errors.expired_iterator()
    stream = await find(ctx, arn)
    if not 0 <= place.shard < stream.shards or (place.position is not None and place.position < 1):
        raise errors.invalid_iterator()
    try:
        found = await public.read_stream(ctx.host, ctx.region, stream, place.shard, place.position, limit)
    except public.Trimmed:
        raise errors.trimmed() from None
    output: dict[str, Any] = {"Records": found.records}
    if not found.at_end:
        output["NextShardIterator"] = write_iterator(arn, Place(place.shard, found.position, ctx.now()))
    return output
