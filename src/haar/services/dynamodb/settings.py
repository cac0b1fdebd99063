"""Contributor insights and Kinesis destinations: settings that are kept and shown. No Kinesis is here, and nothing is delivered to one."""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from haar.services.dynamodb import errors, records
from haar.services.dynamodb.access import demand, nowhere, on_table
from haar.services.dynamodb.describe import moment
from haar.services.dynamodb.face import service
from haar.services.dynamodb.records import Destination, Insights, TableRecord
from haar.services.dynamodb.tables import Tables, table_name
from haar.services.service import Context, Demand, Demands, Input, Output
from haar.store.contract import Transaction

T = TypeVar("T")
KINESIS_STREAM = re.compile(r"arn:aws:kinesis:[a-z0-9-]+:\d{12}:stream/[a-zA-Z0-9_.-]{1,128}", re.ASCII)
DEFAULT_MODE = "ACCESSED_AND_THROTTLED_KEYS"
NOT_DELIVERED = "haar keeps this setting; changes are not delivered to Kinesis. Use DynamoDB Streams."
PAGE = 100


def _on_table_or_index(action: str) -> Demands:
    async def demands(ctx: Context, input: Input) -> Sequence[Demand]:
        name = input["TableName"] = table_name(ctx, input["TableName"])
        return (await demand(ctx, action, name, index=input.get("IndexName")),)

    return demands


async def _record(ctx: Context, name: str) -> TableRecord:
    table = await ctx.host.get(Tables).find(ctx.region, name)
    if table is None:
        raise errors.table_not_found(name)
    return table.record


async def _change(ctx: Context, name: str, change: Callable[[TableRecord], T]) -> T:
    place = records.place(ctx.region, name)

    async def run(tx: Transaction) -> T:
        data = await tx.get(*place)
        if data is None:
            raise errors.table_not_found(name)
        record = records.decode(data)
        if record.status == "CREATING":
            raise errors.table_not_found(name)
        result = change(record)
        tx.put(*place, records.encode(record))
        return result

    return await ctx.store.transact(run)


def _check_index(record: TableRecord, index: str) -> None:
    if index and all(each.name != index for each in record.indexes):
        raise errors.resource_not_found()


@service.operation("UpdateContributorInsights", _on_table_or_index("UpdateContributorInsights"))
async def update_contributor_insights(ctx: Context, input: Input) -> Output:
    index, enabled = input.get("IndexName", ""), input["ContributorInsightsAction"] == "ENABLE"

    def change(record: TableRecord) -> tuple[Insights, bool]:
        _check_index(record, index)
        before = record.insights.get(index) or Insights(False, DEFAULT_MODE, 0.0)
        mode = input.get("ContributorInsightsMode") or (DEFAULT_MODE if enabled else before.mode)
        if before.enabled == enabled and before.mode == mode:
            return before, False
        record.insights[index] = Insights(enabled, mode, ctx.now())
        return record.insights[index], True

    made, changed = await _change(ctx, input["TableName"], change)
    # What is so already is answered as it is, and not as on its way.
    status = ("ENABLING" if enabled else "DISABLING") if changed else ("ENABLED" if enabled else "DISABLED")
    return {**_named(input), "ContributorInsightsStatus": status, "ContributorInsightsMode": made.mode}


@service.operation("DescribeContributorInsights", _on_table_or_index("DescribeContributorInsights"))
async def describe_contributor_insights(ctx: Context, input: Input) -> Output:
    record, index = await _record(ctx, input["TableName"]), input.get("IndexName", "")
    _check_index(record, index)
    found = record.insights.get(index)
    output: dict[str, Any] = {**_named(input), "ContributorInsightsStatus": "DISABLED"}
    if found is not None:
        output |= {"LastUpdateDateTime": moment(found.at), "ContributorInsightsStatus": "ENABLED" if found.enabled else "DISABLED"}
        if found.enabled:
            output |= {"ContributorInsightsMode": found.mode, "ContributorInsightsRuleList": _rules(record, index, found.mode)}
    return output


def _rules(record: TableRecord, index: str, mode: str) -> list[str]:
    """The names that CloudWatch's rules would have."""
    name = record.name if not index else f"{record.name}-{index}"
    keys = ("PKC", "PKT") if len(record.key_schema) == 1 else ("PKC", "PKT", "SKC", "SKT")
    return [
        f"DynamoDBContributorInsights-{kind}-{name}-{int(record.created * 1000)}"
        for kind in keys
        if mode == DEFAULT_MODE or kind.endswith("T")
    ]


def _named(input: Input) -> dict[str, Any]:
    return {name: input[name] for name in ("TableName", "IndexName") if name in input}


async def _list_demands(ctx: Context, input: Input) -> Sequence[Demand]:
    return nowhere("ListContributorInsights")(ctx, input)


@service.operation("ListContributorInsights", _list_demands)
async def list_contributor_insights(ctx: Context, input: Input) -> Output:
    names = [table_name(ctx, input["TableName"])] if input.get("TableName") else await _names(ctx)
    found = []
    for name in names:
        record = await _record(ctx, name)
        for index, insights in sorted(record.insights.items()):
            place = {"TableName": name, **({"IndexName": index} if index else {})}
            if insights.enabled:
                found.append({**place, "ContributorInsightsStatus": "ENABLED", "ContributorInsightsMode": insights.mode})
    start = _page_start(input.get("NextToken"))
    limit = input.get("MaxResults") or PAGE
    output: dict[str, Any] = {"ContributorInsightsSummaries": found[start : start + limit]}
    if start + limit < len(found):
        output["NextToken"] = str(start + limit)
    return output


def _page_start(token: str | None) -> int:
    if token is None:
        return 0
    if not token.isdecimal():
        raise errors.in_our_words("Invalid NextToken")
    return int(token)


async def _names(ctx: Context) -> list[str]:
    return [sort.decode() for sort, _ in await ctx.store.range(records.TABLES, ctx.region.encode())]


@service.operation("EnableKinesisStreamingDestination", on_table("EnableKinesisStreamingDestination"))
async def enable_kinesis_streaming_destination(ctx: Context, input: Input) -> Output:
    if KINESIS_STREAM.fullmatch(input["StreamArn"]) is None:
        raise errors.in_our_words(f"Not the ARN of a Kinesis data stream: {input['StreamArn']}")
    given = input.get("EnableKinesisStreamingConfiguration") or {}
    made = Destination(True, given.get("ApproximateCreationDateTimePrecision", "MILLISECOND"))

    def change(record: TableRecord) -> None:
        before = record.destinations.get(input["StreamArn"])
        if before is not None and before.enabled:
            raise errors.validation(
                "Table is not in a valid state to enable Kinesis Streaming Destination: "
                "KinesisStreamingDestination must be DISABLED or ENABLE_FAILED to perform ENABLE operation."
            )
        record.destinations[input["StreamArn"]] = made

    await _change(ctx, input["TableName"], change)
    return _destination(input, "ENABLING", "EnableKinesisStreamingConfiguration", made)


@service.operation("DisableKinesisStreamingDestination", on_table("DisableKinesisStreamingDestination"))
async def disable_kinesis_streaming_destination(ctx: Context, input: Input) -> Output:
    def change(record: TableRecord) -> Destination:
        before = _enabled(record, input["StreamArn"], "disable", "DISABLE")
        before.enabled = False
        return before

    made = await _change(ctx, input["TableName"], change)
    return _destination(input, "DISABLING", "EnableKinesisStreamingConfiguration", made)


@service.operation("UpdateKinesisStreamingDestination", on_table("UpdateKinesisStreamingDestination"))
async def update_kinesis_streaming_destination(ctx: Context, input: Input) -> Output:
    precision = (input.get("UpdateKinesisStreamingConfiguration") or {}).get("ApproximateCreationDateTimePrecision")
    if precision is None:
        raise errors.in_our_words("Precision must be specified")

    def change(record: TableRecord) -> Destination:
        before = _enabled(record, input["StreamArn"], "update", "UPDATE")
        before.precision = precision
        return before

    made = await _change(ctx, input["TableName"], change)
    return _destination(input, "UPDATING", "UpdateKinesisStreamingConfiguration", made)


@service.operation("DescribeKinesisStreamingDestination", on_table("DescribeKinesisStreamingDestination"))
async def describe_kinesis_streaming_destination(ctx: Context, input: Input) -> Output:
    record = await _record(ctx, input["TableName"])
    found = [
        {
            "StreamArn": arn,
            "DestinationStatus": "ACTIVE" if each.enabled else "DISABLED",
            "DestinationStatusDescription": NOT_DELIVERED,
            "ApproximateCreationDateTimePrecision": each.precision,
        }
        for arn, each in record.destinations.items()
    ]
    return {"TableName": record.name, "KinesisDataStreamDestinations": found}


def _enabled(record: TableRecord, arn: str, verb: str, operation: str) -> Destination:
    found = record.destinations.get(arn)
    if found is None or not found.enabled:
        raise errors.validation(
            f"Table is not in a valid state to {verb} Kinesis Streaming Destination: "
            f"KinesisStreamingDestination must be ACTIVE to perform {operation} operation."
        )
    return found


def _destination(input: Input, status: str, member: str, made: Destination) -> Output:
    return {
        "TableName": input["TableName"],
        "StreamArn": input["StreamArn"],
        "DestinationStatus": status,
        member: {"ApproximateCreationDateTimePrecision": made.precision},
    }
