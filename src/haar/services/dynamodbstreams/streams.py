"""ListStreams and DescribeStream."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from haar.services.dynamodb import public
from haar.services.dynamodb.public import StreamInfo
from haar.services.dynamodbstreams import errors
from haar.services.dynamodbstreams.face import service
from haar.services.service import Context, Demand, Input, Output

MOST = 100
"""Streams, and shards of a stream, in one answer."""


def anything(ctx: Context, input: Input) -> Sequence[Demand]:
    return (Demand("dynamodb:ListStreams"),)


async def demand(ctx: Context, action: str, arn: str) -> Demand:
    """The action on a stream, with the stream's own policy. Raises ValidationException for what is no stream's ARN."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[:3] != ["arn", "aws", "dynamodb"] or "/stream/" not in parts[5]:
        raise errors.validation(f"Invalid StreamArn: {arn}")
    stream = await public.find_stream(ctx.host, ctx.region, arn)
    return Demand(f"dynamodb:{action}", arn, resource_policy=None if stream is None else stream.policy)


def on_stream(action: str) -> Callable[[Context, Input], Any]:
    async def demands(ctx: Context, input: Input) -> Sequence[Demand]:
        return (await demand(ctx, action, input["StreamArn"]),)

    return demands


async def find(ctx: Context, arn: str) -> StreamInfo:
    """The stream. Raises ResourceNotFoundException."""
    stream = await public.find_stream(ctx.host, ctx.region, arn)
    if stream is None:
        raise errors.no_stream(arn)
    return stream


@service.operation("ListStreams", anything)
async def list_streams(ctx: Context, input: Input) -> Output:
    limit = _limit(input)
    after = None
    if (given := input.get("ExclusiveStartStreamArn")) is not None:
        after = public.parse_stream_arn(ctx.host, ctx.region, given)
        if after is None:
            raise errors.validation(f"Invalid StreamArn: {given}")
    table = input.get("TableName")
    found = await public.list_streams(ctx.host, ctx.region, table, after, limit + 1)
    if table is not None and not found and not await public.table_exists(ctx.host, ctx.region, table):
        raise errors.no_table(table)
    shown = [
        {"StreamArn": public.stream_arn(ctx.host, ctx.region, each), "TableName": each.table, "StreamLabel": each.label} for each in found
    ]
    output: dict[str, Any] = {"Streams": shown[:limit]}
    if len(shown) > limit:
        output["LastEvaluatedStreamArn"] = shown[limit - 1]["StreamArn"]
    return output


def _limit(input: Input) -> int:
    limit: int = input.get("Limit", MOST)
    if limit > MOST:
        raise errors.validation(
            f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: "
            f"Member must have value less than or equal to {MOST}"
        )
    return limit


@service.operation("DescribeStream", on_stream("DescribeStream"))
async def describe_stream(ctx: Context, input: Input) -> Output:
    arn, limit = input["StreamArn"], _limit(input)
    stream = await find(ctx, arn)
    ids = public.shard_ids(stream)
    start = 0
    if (after := input.get("ExclusiveStartShardId")) is not None:
        if after not in ids:
            raise errors.no_shard(after)
        start = ids.index(after) + 1
    if (filter := input.get("ShardFilter")) is not None:
        # A stream's shards are never split, so none has children.
        if filter.get("Type") is None or filter.get("ShardId") is None:
            raise errors.in_our_words("ShardFilter must have both a Type and a ShardId")
        if filter["ShardId"] not in ids:
            raise errors.no_shard(filter["ShardId"])
        start = len(ids)
    description: dict[str, Any] = {
        "StreamArn": arn,
        "StreamLabel": stream.label,
        "StreamStatus": public.status(stream, ctx.now()),
        "StreamViewType": stream.view,
        "CreationRequestDateTime": datetime.fromtimestamp(stream.created, UTC),
        "TableName": stream.table,
        "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in stream.key_schema],
        "Shards": [await _shard(ctx, stream, at, ids[at]) for at in range(start, min(start + limit, len(ids)))],
    }
    if start + limit < len(ids):
        description["LastEvaluatedShardId"] = ids[start + limit - 1]
    return {"StreamDescription": description}


async def _shard(ctx: Context, stream: StreamInfo, shard: int, id: str) -> dict[str, Any]:
    numbers = {"StartingSequenceNumber": public.start_of_shard()}
    if public.ended(stream, ctx.now()):
        numbers["EndingSequenceNumber"] = public.sequence(await public.last_position(ctx.host, stream, shard) - 1)
    return {"ShardId": id, "SequenceNumberRange": numbers}
