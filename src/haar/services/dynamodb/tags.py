"""TagResource, UntagResource, ListTagsOfResource; DescribeLimits, DescribeEndpoints."""

from collections.abc import Callable, Sequence
from typing import Any

from haar.services.dynamodb import errors, records, schema
from haar.services.dynamodb.access import demand, nowhere, tag_conditions
from haar.services.dynamodb.face import service
from haar.services.dynamodb.limits import TAGS
from haar.services.dynamodb.records import TableRecord
from haar.services.dynamodb.tables import Tables
from haar.services.service import Context, Demand, Input, Output
from haar.store.contract import Transaction


def table_of(ctx: Context, arn: str) -> str:
    """The name of the table that the ARN names. Raises ValidationException or AccessDeniedException."""
    parts = arn.split(":", 5)
    named = parts[-1].split("/")
    if len(parts) != 6 or parts[:3] != ["arn", "aws", "dynamodb"] or named[0] != "table" or len(named) != 2:
        raise errors.validation(f"Invalid TableArn: Invalid ResourceArn provided as input {arn}")
    if parts[3] != ctx.region or parts[4] != ctx.account:
        raise errors.foreign(ctx, arn)
    return named[1]


def on_arn(action: str) -> Callable[[Context, Input], Any]:
    async def demands(ctx: Context, input: Input) -> Sequence[Demand]:
        asked = tag_conditions(input)
        return (await demand(ctx, action, table_of(ctx, input["ResourceArn"]), lambda _: asked),)

    return demands


async def change_record(ctx: Context, arn: str, change: Callable[[TableRecord], None]) -> None:
    """Changes the record of the table that the ARN names. Raises ResourceNotFoundException."""
    place = records.place(ctx.region, table_of(ctx, arn))

    async def run(tx: Transaction) -> None:
        data = await tx.get(*place)
        if data is None:
            raise errors.arn_not_found(arn)
        record = records.decode(data)
        if record.status == "CREATING":
            raise errors.table_not_found(record.name)
        change(record)
        tx.put(*place, records.encode(record))

    await ctx.store.transact(run)


@service.operation("TagResource", on_arn("TagResource"))
async def tag_resource(ctx: Context, input: Input) -> Output:
    added = schema.tags(input["Tags"])
    if not added:
        raise errors.validation("Atleast one Tag needs to be provided as input.")

    def change(record: TableRecord) -> None:
        record.tags = record.tags | added
        if len(record.tags) > TAGS:
            raise errors.limit_exceeded(f"Subscriber limit exceeded: Number of tags exceeds the per-resource limit of {TAGS}")

    await change_record(ctx, input["ResourceArn"], change)
    return {}


@service.operation("UntagResource", on_arn("UntagResource"))
async def untag_resource(ctx: Context, input: Input) -> Output:
    if not input["TagKeys"]:
        raise errors.validation("Atleast one Tag Key needs to be provided as input.")

    def change(record: TableRecord) -> None:
        record.tags = {key: value for key, value in record.tags.items() if key not in input["TagKeys"]}

    await change_record(ctx, input["ResourceArn"], change)
    return {}


@service.operation("ListTagsOfResource", on_arn("ListTagsOfResource"))
async def list_tags_of_resource(ctx: Context, input: Input) -> Output:
    """All of them at once: there are never so many that AWS would give a NextToken (github.com/aws/aws-sdk/issues/583)."""
    arn = input["ResourceArn"]
    table = await ctx.host.get(Tables).find(ctx.region, table_of(ctx, arn))
    if table is None:
        raise errors.arn_not_found(arn)
    if input.get("NextToken"):
        raise errors.in_our_words("Invalid NextToken")
    return {"Tags": [{"Key": key, "Value": value} for key, value in sorted(table.record.tags.items())]}


@service.operation("DescribeLimits", nowhere("DescribeLimits"))
async def describe_limits(ctx: Context, input: Input) -> Output:
    """AWS's default quotas; the platform itself has none."""
    return {
        "AccountMaxReadCapacityUnits": 80000,
        "AccountMaxWriteCapacityUnits": 80000,
        "TableMaxReadCapacityUnits": 40000,
        "TableMaxWriteCapacityUnits": 40000,
    }


@service.operation("DescribeEndpoints", nowhere("DescribeEndpoints"))
async def describe_endpoints(ctx: Context, input: Input) -> Output:
    address = ctx.headers.get("host") or f"dynamodb.{ctx.region}.amazonaws.com"
    return {"Endpoints": [{"Address": address, "CachePeriodInMinutes": 1440}]}
