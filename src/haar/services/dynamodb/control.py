"""CreateTable, DescribeTable, ListTables, DeleteTable."""

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from haar.services.dynamodb import backups, errors, policies, records, replicas, schema, streams, vectors
from haar.services.dynamodb.access import on_table, tag_conditions
from haar.services.dynamodb.counts import Count, Counts
from haar.services.dynamodb.describe import describe
from haar.services.dynamodb.face import service
from haar.services.dynamodb.history import log_spaces
from haar.services.dynamodb.jobs import clearing
from haar.services.dynamodb.limits import LIST_TABLES, SETTLE_SECONDS
from haar.services.dynamodb.records import TableRecord
from haar.services.dynamodb.tables import Tables, table_arn
from haar.services.service import Context, Demand, Input, Output
from haar.store.contract import Transaction

EMPTY = Count()
OWN_KEY = "alias/aws/dynamodb"


async def _create_demands(ctx: Context, input: Input) -> Sequence[Demand]:
    demands = list(await on_table("CreateTable")(ctx, input))
    demands[0].conditions = tag_conditions(input)
    if input.get("Tags"):
        demands.append(Demand("dynamodb:TagResource", demands[0].resource, demands[0].conditions))
    if input.get("ResourcePolicy"):
        demands.append(Demand("dynamodb:PutResourcePolicy", demands[0].resource))
    return demands


@service.operation("CreateTable", _create_demands)
async def create_table(ctx: Context, input: Input) -> Output:
    record = new_table(ctx, input)
    if (given := input.get("ResourcePolicy")) is not None:
        resource = policies.Resource(table_arn(ctx.region, ctx.account, record.name), record.name, None)
        record.policy, record.policy_revision = policies.checked(ctx, resource, given), policies.new_revision(ctx)
        await policies.check_lockout(ctx, resource.arn, record.policy)

    async def create(tx: Transaction) -> None:
        place = records.place(ctx.region, record.name)
        if await tx.get(*place) is not None:
            raise errors.table_exists(record.name)
        if (stream := input.get("StreamSpecification")) is not None and stream["StreamEnabled"]:
            await streams.open_stream(ctx.host, tx, record, stream["StreamViewType"], ctx.now())
        tx.put(*place, records.encode(record))

    await ctx.store.transact(create)
    return {"TableDescription": describe(record, ctx.account, EMPTY, ctx.now(), "CREATING")}


def new_table(ctx: Context, input: Input) -> TableRecord:
    """The record of a table that is to be made. Raises ValidationException for a schema that cannot be."""
    replicas.refuse(input)
    billing = input.get("BillingMode", "PROVISIONED")
    throughput = input.get("ProvisionedThroughput")
    schema.check_billing(billing, throughput)
    on_demand = schema.ceilings(input.get("OnDemandThroughput"), "table", billing, create=True)
    schema.check_warm(input.get("WarmThroughput"), schema.warm_units(None, billing, schema.units(throughput)), "table")
    streams.check_created(input.get("StreamSpecification"))
    defined = schema.definitions(input.get("AttributeDefinitions") or [])
    keys = schema.key_schema(input.get("KeySchema") or [])
    schema.check_table_keys(keys, defined)
    local, others, vectored = (input.get(kind) for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes", "VectorIndexes"))
    if local is None and others is None and vectored is None:
        schema.check_used(defined, [keys], indexed=False)
    taken: set[str] = set()
    ids = ctx.host.ids
    indexes = []
    if local is not None:
        indexes += schema.local_indexes(local, keys, defined, taken, ids)
    if others is not None:
        indexes += schema.global_indexes(others, defined, billing, taken, ids)
    if vectored is not None:
        indexes += vectors.vector_indexes(vectored, [name for name, _ in keys], defined, billing, taken, ids)
    schema.check_used(defined, [keys, *(index.key_schema for index in indexes)], indexed=True)
    schema.check_projected(indexes)
    record = TableRecord(
        name=input["TableName"],
        region=ctx.region,
        id=ids.uuid(),
        space="dt:" + ids.text(schema.SPACE_LETTERS),
        created=ctx.now(),
        key_schema=keys,
        attributes=defined,
        indexes=indexes,
        collections=schema.collections_space(indexes, ids),
        billing=billing,
        billing_changed=ctx.now() if billing == "PAY_PER_REQUEST" else None,
        throughput=schema.units(throughput),
        on_demand=on_demand or None,
        warm=input.get("WarmThroughput"),
        table_class=input.get("TableClass"),
        protected=bool(input.get("DeletionProtectionEnabled")),
        tags=schema.tags(input.get("Tags")),
    )
    set_encryption(ctx, record, input.get("SSESpecification"))
    return record


def set_encryption(ctx: Context, record: TableRecord, given: dict[str, Any] | None) -> None:
    """SSESpecification: a setting that the platform keeps and shows; the data directory's encryption is its owner's."""
    if given is None:
        return
    if not given.get("Enabled"):
        if given.get("KMSMasterKeyId"):
            raise errors.in_our_words(errors.INVALID + "KMSMasterKeyId can be specified only when SSE is enabled")
        record.sse = None
        return
    if given.get("SSEType", "KMS") != "KMS":
        raise errors.in_our_words(f"{errors.INVALID}SSEType {given['SSEType']} is not supported")
    # An account's own key for DynamoDB has a name, and an id that never changes.
    named = given.get("KMSMasterKeyId") or OWN_KEY
    key = named if named != OWN_KEY else str(uuid5(NAMESPACE_URL, f"{ctx.region}:{ctx.account}:{OWN_KEY}"))
    arn = key if key.startswith("arn:") else f"arn:aws:kms:{ctx.region}:{ctx.account}:{key if key.startswith('alias/') else f'key/{key}'}"
    record.sse = {"SSEType": "KMS", "KMSMasterKeyArn": arn}


@service.operation("DescribeTable", on_table("DescribeTable"))
async def describe_table(ctx: Context, input: Input) -> Output:
    table = await ctx.host.get(Tables).find(ctx.region, input["TableName"])
    if table is None:
        raise errors.table_not_found(input["TableName"])
    count = await ctx.host.get(Counts).of(table.record)
    return {"Table": describe(table.record, ctx.account, count, ctx.now())}


def _list_demands(ctx: Context, input: Input) -> Sequence[Demand]:
    """All tables are the resource, as AWS has it in its messages: a policy about `table/*` is enough."""
    return [Demand("dynamodb:ListTables", table_arn(ctx.region, ctx.account, "*"))]


@service.operation("ListTables", _list_demands)
async def list_tables(ctx: Context, input: Input) -> Output:
    limit = input.get("Limit", LIST_TABLES)
    after = input.get("ExclusiveStartTableName")
    start = b"" if after is None else after.encode() + b"\x00"
    found = await ctx.store.range(records.TABLES, ctx.region.encode(), start, limit=limit + 1)
    names = [sort.decode() for sort, _ in found]
    output: dict[str, Any] = {"TableNames": names[:limit]}
    if len(names) > limit:
        output["LastEvaluatedTableName"] = names[limit - 1]
    return output


@service.operation("DeleteTable", on_table("DeleteTable"))
async def delete_table(ctx: Context, input: Input) -> Output:
    name = input["TableName"]
    place = records.place(ctx.region, name)
    known = await ctx.host.get(Tables).find(ctx.region, name)
    recoverable = known is not None and known.record.history is not None
    count = await ctx.host.get(Counts).of(known.record) if known is not None and recoverable else EMPTY

    async def delete(tx: Transaction) -> TableRecord:
        data = await tx.get(*place)
        if data is None:
            raise errors.table_not_found(name)
        record = records.decode(data)
        if record.status == "CREATING":
            raise errors.being("created", name)
        if record.settling:
            raise errors.being("updated", name)
        if record.protected:
            raise errors.validation(
                "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."
            )
        await streams.close_stream(ctx.host, tx, record)
        tx.delete(*place)
        spaces = [*record.spaces, *log_spaces(record.space, record.history, ctx.now())]
        if record.history is not None and record.history.days is not None:
            backups.keep_deleted(ctx.host, tx, record, count)
            spaces.remove(record.space)
        for space in spaces:
            clearing(ctx.host).put(tx, space, space.encode(), ctx.now() + SETTLE_SECONDS)
        return record

    record = await ctx.store.transact(delete)
    counts = ctx.host.get(Counts)
    for space in record.spaces:
        counts.forget(space)
    return {"TableDescription": describe(record, ctx.account, EMPTY, ctx.now(), "DELETING")}
