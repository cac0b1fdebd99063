"""UpdateTable: throughput, billing, encryption, protection, and global indexes while the table is written."""

from typing import Any

from haar.services.dynamodb import errors, rates, records, replicas, schema, streams, vectors
from haar.services.dynamodb.access import on_table
from haar.services.dynamodb.control import set_encryption
from haar.services.dynamodb.counts import Count, Counts
from haar.services.dynamodb.describe import describe, moment
from haar.services.dynamodb.face import service
from haar.services.dynamodb.jobs import Indexing, put_indexing
from haar.services.dynamodb.limits import DECREASE_SECONDS, FREE_DECREASES, GLOBAL_INDEXES, VECTOR_INDEXES
from haar.services.dynamodb.records import IndexRecord, TableRecord, Throughput
from haar.services.service import Context, Input, Output
from haar.store.contract import Transaction

NOTHING = (
    "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
    "SSESpecification or ReplicaUpdates is required"
)
BLOCKED = (
    "This operation cannot be performed with given input values. "
    "Please contact DynamoDB service team for more info: Action Blocked: IndexUpdate"
)
ONE_INDEX = "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
STANDARD = "STANDARD"
"""The class of a table that nothing was said of."""
SETTINGS = (
    "ProvisionedThroughput",
    "BillingMode",
    "StreamSpecification",
    "GlobalSecondaryIndexUpdates",
    "VectorIndexUpdates",
    "SSESpecification",
    "ReplicaUpdates",
    "TableClass",
    "DeletionProtectionEnabled",
    "OnDemandThroughput",
    "WarmThroughput",
)


@service.operation("UpdateTable", on_table("UpdateTable"))
async def update_table(ctx: Context, input: Input) -> Output:
    _check(input)
    place = records.place(ctx.region, input["TableName"])

    async def update(tx: Transaction) -> tuple[TableRecord, TableRecord]:
        data = await tx.get(*place)
        if data is None:
            raise errors.table_not_found(input["TableName"])
        before, record = records.decode(data), records.decode(data)
        if record.status == "CREATING":
            raise errors.being("created", record.name)
        work = _change(ctx, input, record)
        await streams.change(ctx.host, tx, record, input.get("StreamSpecification"))
        tx.put(*place, records.encode(record))
        for each in work:
            put_indexing(ctx.host, tx, each)
        return before, record

    before, record = await ctx.store.transact(update)
    count = await ctx.host.get(Counts).of(record)
    return {"TableDescription": _on_its_way(ctx, input, before, record, count)}


def _on_its_way(ctx: Context, input: Input, before: TableRecord, record: TableRecord, count: Count) -> dict[str, Any]:
    """The answer shows new indexes and settings, but the throughput that the table and its indexes still have, and that it changes."""
    record.throughput = _still(before.throughput, record.throughput)
    updates = {each["Update"]["IndexName"]: each["Update"] for each in input.get("GlobalSecondaryIndexUpdates") or () if each.get("Update")}
    for index in record.indexes:
        if index.name in updates:
            index.status, index.throughput = "UPDATING", _still(_find(before, index.name).throughput, index.throughput)
    shown = describe(record, ctx.account, count, ctx.now(), "UPDATING")
    warming = [shown] if input.get("WarmThroughput") else []
    warming += [each for each in shown.get("GlobalSecondaryIndexes", ()) if updates.get(each["IndexName"], {}).get("WarmThroughput")]
    for each in warming:
        each["WarmThroughput"]["Status"] = "UPDATING"
    if record.sse != before.sse:
        shown["SSEDescription"] = {**(record.sse or before.sse or {}), "Status": "UPDATING"}
    return shown


def _still(old: Throughput, new: Throughput) -> Throughput:
    return Throughput(old.read, old.write, new.increased, new.decreased, old.decreases)


def _check(input: Input) -> None:
    replicas.refuse(input)
    if all(input.get(name) in (None, []) for name in SETTINGS):
        raise errors.validation(NOTHING)
    throughput = input.get("ProvisionedThroughput")
    if throughput is None and input.get("BillingMode") == "PROVISIONED":
        raise errors.invalid("ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
    if throughput is not None:
        if input.get("BillingMode") == "PAY_PER_REQUEST":
            raise errors.invalid("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
        schema.check_units(throughput)
    _check_stream(input)
    seen: set[str] = set()
    for each in input.get("GlobalSecondaryIndexUpdates") or ():
        kinds = [kind for kind in ("Create", "Update", "Delete") if each.get(kind) is not None]
        if len(kinds) != 1:
            raise errors.invalid(
                "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
                f"GlobalSecondaryIndexUpdate.Delete must {'not be null' if not kinds else 'be given, not several'}"
            )
        name = each[kinds[0]]["IndexName"]
        if name in seen:
            raise errors.invalid(f"Only one global secondary index update per index is allowed simultaneously. Index: {name}")
        seen.add(name)
    for each in input.get("VectorIndexUpdates") or ():
        if (each.get("Create") is None) == (each.get("Delete") is None):
            raise errors.in_our_words(
                errors.INVALID + "One of VectorIndexUpdate.Create, VectorIndexUpdate.Delete must be given, and not both"
            )


def _check_stream(input: Input) -> None:
    stream = input.get("StreamSpecification")
    if stream is None:
        return
    streams.check_updated(stream)
    if input.get("ProvisionedThroughput") is not None:
        raise errors.invalid("You cannot modify stream status while updating table IOPS")
    changes = [*(input.get("GlobalSecondaryIndexUpdates") or ()), *(input.get("VectorIndexUpdates") or ())]
    if any(each.get("Create") or each.get("Delete") for each in changes):
        raise errors.invalid("You cannot create or delete index while changing stream status")


def _change(ctx: Context, input: Input, record: TableRecord) -> list[Indexing]:
    """Changes the record; the work on indexes that follows."""
    updates, vector_updates = input.get("GlobalSecondaryIndexUpdates") or [], input.get("VectorIndexUpdates") or []
    _check_free(record, updates + vector_updates)
    _change_billing(ctx, input, record)
    _change_encryption(ctx, record, input.get("SSESpecification"))
    if input.get("DeletionProtectionEnabled") is not None:
        record.protected = bool(input["DeletionProtectionEnabled"])
    if (table_class := input.get("TableClass")) is not None:
        if table_class != (record.table_class or STANDARD):
            rates.changes_class(record, ctx.now())
        record.table_class = table_class
    record.on_demand = _limited(record, record.on_demand, input.get("OnDemandThroughput"), "table")
    record.warm = _warmed(record, record.warm, input.get("WarmThroughput"), record.throughput, "table")
    # A new index's keys are defined in the request, even those that the table has defined before.
    given = schema.definitions(input.get("AttributeDefinitions") or [])
    defined = record.attributes | given
    for name, kind in record.attributes.items():
        if defined[name] != kind:
            raise errors.in_our_words(f"{errors.INVALID}Attribute type of key {name} cannot be changed")
    work = []
    for each in updates:
        if each.get("Create") is not None:
            work.append(_create(ctx, record, each["Create"], given))
        elif each.get("Update") is not None:
            _update(ctx, record, each["Update"])
        else:
            work.append(_delete(record, _find(record, each["Delete"]["IndexName"])))
    for each in vector_updates:
        if each.get("Create") is not None:
            work.append(_create_vector(ctx, record, each["Create"], defined))
        else:
            work.append(_delete(record, _find(record, each["Delete"]["IndexName"], vector=True)))
    used = {name for keys in (record.key_schema, *(index.key_schema for index in record.indexes)) for name, _ in keys}
    record.attributes = {name: kind for name, kind in defined.items() if name in used}
    return work


def _check_free(record: TableRecord, updates: list[dict[str, Any]]) -> None:
    """One index is made or taken away at a time, and nothing else changes meanwhile; one that is being filled may be given up.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.OnlineOps.html
    """
    made = sum(each.get("Create") is not None or each.get("Delete") is not None for each in updates)
    if made > 1:
        raise errors.limit_exceeded(ONE_INDEX)
    if record.settling:
        raise errors.being("updated", record.name)
    if record.indexing and any(each.get("Create") is not None for each in updates):
        raise errors.limit_exceeded(ONE_INDEX)


def _change_billing(ctx: Context, input: Input, record: TableRecord) -> None:
    billing, throughput = input.get("BillingMode"), input.get("ProvisionedThroughput")
    if billing == "PAY_PER_REQUEST" and record.billing != billing:
        rates.becomes_on_demand(record, ctx.now())
        record.billing, record.billing_changed = billing, ctx.now()
        record.throughput = _given_up(ctx, record.throughput)
        for index in record.indexes:
            index.throughput = _given_up(ctx, index.throughput)
        return
    if throughput is None:
        return
    if record.billing == "PAY_PER_REQUEST" and billing != "PROVISIONED":
        raise errors.invalid("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
    old = record.throughput
    if record.billing == "PROVISIONED" and (old.read, old.write) == (throughput["ReadCapacityUnits"], throughput["WriteCapacityUnits"]):
        if any(input.get(name) is not None for name in SETTINGS if name not in ("ProvisionedThroughput", "BillingMode")):
            return
        raise errors.validation(_unchanged("table", old))
    if record.billing != "PROVISIONED":
        # What it can take at once, it can still.
        record.warm = schema.warm_units(record.warm, record.billing, old)
        for index in record.indexes:
            index.warm, index.on_demand = schema.warm_units(index.warm, record.billing, index.throughput), None
        if any(index.vector is not None for index in record.indexes):
            raise errors.in_our_words(errors.INVALID + vectors.ON_DEMAND_ONLY)
        record.billing = "PROVISIONED"
        _check_provisioned(input, record)
    record.throughput = _changed(ctx, old, throughput)


def _change_encryption(ctx: Context, record: TableRecord, given: dict[str, Any] | None) -> None:
    before = record.sse
    set_encryption(ctx, record, given)
    if record.sse != before:
        rates.changes_encryption(record, ctx.now())
    elif given is not None and before is not None:
        raise errors.invalid("Table is already encrypted by given KMSMasterKeyId")


def _given_up(ctx: Context, old: Throughput) -> Throughput:
    """Of what becomes on-demand: that is a decrease, but none that is counted."""
    return old if old.read == 0 else Throughput(increased=old.increased, decreased=ctx.now())


def _check_provisioned(input: Input, record: TableRecord) -> None:
    """A table that becomes a provisioned one says what each of its global indexes is to have."""
    updates = [each["Update"] for each in input.get("GlobalSecondaryIndexUpdates") or () if each.get("Update") is not None]
    given = {each["IndexName"] for each in updates if each.get("ProvisionedThroughput") is not None}
    for index in record.indexes:
        if not index.local and index.name not in given:
            raise errors.invalid(f"ProvisionedThroughput is not specified for index: {index.name}")


def _unchanged(what: str, old: Throughput) -> str:
    return (
        f"The provisioned throughput for the {what} will not change. The requested value equals the current value. "
        f"Current ReadCapacityUnits provisioned for the {what}: {old.read}. Requested ReadCapacityUnits: {old.read}. "
        f"Current WriteCapacityUnits provisioned for the {what}: {old.write}. Requested WriteCapacityUnits: {old.write}. "
        "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
    )


def _changed(ctx: Context, old: Throughput, given: dict[str, Any]) -> Throughput:
    new = schema.units(given)
    lower = new.read < old.read or new.write < old.write
    higher = new.read > old.read or new.write > old.write
    now = ctx.now()
    decreases = old.decreases_on(now)
    if lower and decreases >= FREE_DECREASES and old.decreased is not None and now < old.decreased + DECREASE_SECONDS:
        last, following = (f"{moment(at):%A, %B %-d, %Y %-I:%M:%S %p} UTC" for at in (old.decreased, old.decreased + DECREASE_SECONDS))
        raise errors.limit_exceeded(
            "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. "
            f"After the first {FREE_DECREASES} decreases, each subsequent decrease in the same UTC day can be performed at most once every "
            f"{DECREASE_SECONDS:.0f} seconds. Number of decreases today: {decreases}. Last decrease at {last}. "
            f"Next decrease can be made at {following}"
        )
    return Throughput(
        new.read,
        new.write,
        increased=now if higher else old.increased,
        decreased=now if lower else old.decreased,
        decreases=decreases + lower,
    )


def _create(ctx: Context, record: TableRecord, given: dict[str, Any], defined: dict[str, str]) -> Indexing:
    name = given["IndexName"]
    if any(index.name == name for index in record.indexes):
        raise errors.validation("Attempting to create an index which already exists")
    if sum(not index.local and index.vector is None for index in record.indexes) >= GLOBAL_INDEXES:
        raise errors.limit_exceeded(
            f"Subscriber limit exceeded: GlobalSecondaryIndex count exceeds the per-table limit of {GLOBAL_INDEXES}"
        )
    index = schema.global_index(given, defined, record.billing, set(), ctx.host.ids)
    return _fill(record, index)


def _create_vector(ctx: Context, record: TableRecord, given: dict[str, Any], defined: dict[str, str]) -> Indexing:
    if any(index.name == given["IndexName"] for index in record.indexes):
        raise errors.validation("Attempting to create an index which already exists")
    if sum(index.vector is not None for index in record.indexes) >= VECTOR_INDEXES:
        raise errors.limit_exceeded(f"Subscriber limit exceeded: {vectors.TOO_MANY}")
    keys = [name for name, _ in record.key_schema]
    return _fill(record, vectors.vector_index(given, keys, defined, record.billing, record.indexes, ctx.host.ids))


def _fill(record: TableRecord, index: IndexRecord) -> Indexing:
    index.status = "CREATING"
    record.indexes.append(index)
    schema.check_projected(record.indexes)
    return Indexing(record.region, record.name, index.space, fill=True)


def _find(record: TableRecord, name: str, vector: bool = False) -> IndexRecord:
    for index in record.indexes:
        if index.name == name and not index.local and (index.vector is not None) is vector:
            return index
    raise errors.resource_not_found()


def _update(ctx: Context, record: TableRecord, given: dict[str, Any]) -> None:
    index = _find(record, given["IndexName"])
    throughput = given.get("ProvisionedThroughput")
    if throughput is not None:
        if record.billing == "PAY_PER_REQUEST":
            raise errors.invalid(
                f"ProvisionedThroughput should not be specified for index: {index.name} when BillingMode is PAY_PER_REQUEST"
            )
        if max(throughput.values()) > schema.MOST_UNITS:
            raise errors.validation(BLOCKED)
        old = index.throughput
        if (old.read, old.write) == (throughput["ReadCapacityUnits"], throughput["WriteCapacityUnits"]):
            raise errors.validation(_unchanged(f"index {index.name}", old))
        index.throughput = _changed(ctx, old, throughput)
    what = f"index: {index.name}"
    index.on_demand = _limited(record, index.on_demand, given.get("OnDemandThroughput"), what)
    index.warm = _warmed(record, index.warm, given.get("WarmThroughput"), index.throughput, what)


def _limited(record: TableRecord, have: dict[str, int] | None, given: dict[str, int] | None, what: str) -> dict[str, int] | None:
    """On-demand ceilings after a change: those that are not given stay, -1 takes one away, and provisioned tables have none."""
    changed = (have or {}) | schema.ceilings(given, what, record.billing, create=False)
    kept = {name: units for name, units in changed.items() if units != -1}
    return kept if kept and record.billing != "PROVISIONED" else None


def _warmed(
    record: TableRecord, have: dict[str, int] | None, given: dict[str, int] | None, throughput: Throughput, what: str
) -> dict[str, int] | None:
    if not given:
        return have
    schema.check_warm(given, schema.warm_units(have, record.billing, throughput), what)
    return (have or {}) | {name: units for name, units in given.items() if units is not None}


def _delete(record: TableRecord, index: IndexRecord) -> Indexing:
    index.status = "DELETING"
    return Indexing(record.region, record.name, index.space, fill=False)
