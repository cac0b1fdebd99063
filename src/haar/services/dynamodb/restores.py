"""RestoreTableFromBackup and RestoreTableToPointInTime: new tables from what was.

A restored table has the settings of its source or backup, or those of the request; streams, time to live, point-in-time recovery, tags,
policies, protection and table class do not come along, as on AWS.
"""

from collections.abc import Sequence
from typing import Any

from haar.services.dynamodb import backups, copies, errors, records, recovery, schema, vectors
from haar.services.dynamodb.access import demand
from haar.services.dynamodb.control import set_encryption
from haar.services.dynamodb.copies import Copying
from haar.services.dynamodb.counts import Count
from haar.services.dynamodb.describe import describe
from haar.services.dynamodb.face import service
from haar.services.dynamodb.history import Stamps
from haar.services.dynamodb.records import IndexRecord, Restored, TableRecord, Throughput
from haar.services.dynamodb.tables import table_arn
from haar.services.service import Context, Demand, Host, Input, Output
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

CANNOT = "Invalid Request: Cannot override ProvisionedThroughput"
TARGET = ("PutItem", "UpdateItem", "DeleteItem", "GetItem", "Query", "Scan", "BatchWriteItem")
"""What the caller of a restore must be allowed to do with the new table.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/backuprestore_IAM.html"""


async def _target_demands(ctx: Context, name: str) -> list[Demand]:
    return [await demand(ctx, action, name) for action in TARGET]


async def _backup_demands(ctx: Context, input: Input) -> Sequence[Demand]:
    backups.parse_arn(ctx, input["BackupArn"])
    name, action = input["TargetTableName"], "RestoreTableFromBackup"
    return [Demand(f"dynamodb:{action}", input["BackupArn"]), await demand(ctx, action, name), *await _target_demands(ctx, name)]


async def _moment_demands(ctx: Context, input: Input) -> Sequence[Demand]:
    action = "RestoreTableToPointInTime"
    return [
        await demand(ctx, action, _source_name(ctx, input)),
        await demand(ctx, action, input["TargetTableName"]),
        *await _target_demands(ctx, input["TargetTableName"]),
    ]


def _source_name(ctx: Context, input: Input) -> str:
    """The table that is restored. Raises ValidationException."""
    latest, at = input.get("UseLatestRestorableTime"), input.get("RestoreDateTime")
    if latest and at is not None:
        raise errors.validation(
            "Invalid Request: Both RestoreDateTime and UseLatestRestorableTime cannot be set for point-in-time restore request. "
            "Please specify either RestoreDateTime time or UseLatestRestorableTime"
        )
    if not latest and at is None:
        raise errors.validation("Invalid Request: Either one of RestoreDateTime or UseLatestRestorableTime must be specified, but not both")
    name, arn = input.get("SourceTableName"), input.get("SourceTableArn")
    if (name is None) == (arn is None):
        raise errors.validation("Invalid Request: Must provide exactly one of: sourceTableArn, sourceTableName")
    if name is not None:
        return str(name)
    parts = str(arn).split(":", 5)
    if len(parts) != 6 or parts[:3] != ["arn", "aws", "dynamodb"] or not parts[5].startswith("table/"):
        raise errors.validation("sourceTableArn is not a valid ARN")
    if parts[4] != ctx.account:
        raise errors.validation("This action is only supported by accounts that match the resource owner\u2019s account.")
    if parts[3] != ctx.region:
        raise errors.no_table(parts[5].removeprefix("table/"))
    return parts[5].removeprefix("table/")


@service.operation("RestoreTableFromBackup", _backup_demands)
async def restore_table_from_backup(ctx: Context, input: Input) -> Output:
    arn, name = input["BackupArn"], input["TargetTableName"]

    async def restore(tx: Transaction) -> TableRecord:
        backup = await backups.find(tx, ctx, arn)
        record = _new(ctx, input, backup.record)
        record.restored = Restored(backup.created, table_arn(ctx.region, ctx.account, backup.record.name), arn)
        await _check_target(tx, ctx, name)
        if backup.status == "CREATING":
            raise errors.backup_in_use(f"Backup is being created: {arn}")
        if backup.restoring:
            raise errors.backup_in_use(f"Backup is being used to restore another table: {arn}")
        backup.restoring = name
        backups.put(tx, backup)
        tx.put(*records.place(ctx.region, name), records.encode(record))
        copies.begin(ctx.host, tx, Copying(ctx.region, backup.space, record.space, table=name, backup=backup.id))
        return record

    record = await ctx.store.transact(restore)
    return {"TableDescription": describe(record, ctx.account, Count(), ctx.now())}


@service.operation("RestoreTableToPointInTime", _moment_demands)
async def restore_table_to_point_in_time(ctx: Context, input: Input) -> Output:
    source_name, name = _source_name(ctx, input), input["TargetTableName"]

    async def restore(tx: Transaction) -> TableRecord:
        data = await tx.get(*records.place(ctx.region, source_name))
        source = None if data is None else records.decode(data)
        if source is None or source.status == "CREATING":
            raise errors.no_table(source_name)
        now = ctx.host.get(Stamps).of(tx)
        at = recovery.wanted_moment(source, input, now)
        record = _new(ctx, input, source)
        record.restored = Restored(at / 1e6, table_arn(ctx.region, ctx.account, source_name))
        await _check_target(tx, ctx, name)
        tx.put(*records.place(ctx.region, name), records.encode(record))
        copies.begin(ctx.host, tx, Copying(ctx.region, source.space, record.space, at, table=name, source_table=source_name))
        return record

    record = await ctx.store.transact(restore)
    return {"TableDescription": describe(record, ctx.account, Count(), ctx.now())}


async def _check_target(tx: Transaction, ctx: Context, name: str) -> None:
    data = await tx.get(*records.place(ctx.region, name))
    if data is None:
        return
    record = records.decode(data)
    if record.status == "CREATING" and record.restored is not None:
        raise ServiceError("TableInUseException", f"Table is already being restored: {name}")
    raise ServiceError("TableAlreadyExistsException", f"Table already exists: {name}")


def _new(ctx: Context, input: Input, source: TableRecord) -> TableRecord:
    """The table that is restored, with what the request overrides. Raises ValidationException."""
    given, units = input.get("BillingModeOverride"), input.get("ProvisionedThroughputOverride")
    billing = given or source.billing
    _check_throughput(given, billing, source, input)
    paid = billing == "PAY_PER_REQUEST"
    record = TableRecord(
        name=input["TargetTableName"],
        region=ctx.region,
        id=ctx.host.ids.uuid(),
        space="dt:" + ctx.host.ids.text(schema.SPACE_LETTERS),
        created=ctx.now(),
        key_schema=source.key_schema,
        attributes=dict(source.attributes),
        status="CREATING",
        billing=billing,
        billing_changed=ctx.now() if paid else None,
        on_demand=schema.ceilings(input.get("OnDemandThroughputOverride"), "table", billing, create=True)
        or (source.on_demand if paid else None),
        sse=source.sse,
    )
    if not paid:
        record.throughput = schema.units(units) if units is not None else Throughput(source.throughput.read, source.throughput.write)
    record.indexes = [
        *_indexes(ctx, source, input.get("LocalSecondaryIndexOverride"), True, billing),
        *_indexes(ctx, source, input.get("GlobalSecondaryIndexOverride"), False, billing),
        *_vector_indexes(ctx, source, input.get("VectorIndexOverride"), billing),
    ]
    taken: set[str] = set()
    for index in record.indexes:
        schema.take(index.name, taken)
    record.collections = schema.collections_space(record.indexes, ctx.host.ids)
    used = {name for keys in (record.key_schema, *(index.key_schema for index in record.indexes)) for name, _ in keys}
    record.attributes = {name: kind for name, kind in source.attributes.items() if name in used}
    set_encryption(ctx, record, input.get("SSESpecificationOverride") or None)
    return record


def _check_throughput(given: str | None, billing: str, source: TableRecord, input: Input) -> None:
    units = input.get("ProvisionedThroughputOverride")
    if units is not None:
        if given == "PAY_PER_REQUEST":
            raise errors.validation(f"{CANNOT} if BillingMode is overridden to PAY_PER_REQUEST")
        if billing != "PROVISIONED":
            raise errors.validation(f"{CANNOT} unless BillingMode is PROVISIONED")
        schema.check_units(units)
    elif given == "PROVISIONED" and source.billing != "PROVISIONED":
        raise errors.validation("Invalid Request: Must override ProvisionedThroughput if BillingMode is overridden to PROVISIONED")
    on_demand = input.get("OnDemandThroughputOverride")
    if on_demand and billing != "PAY_PER_REQUEST":
        name = next(iter(on_demand))
        raise errors.validation(
            f"Invalid Request: Cannot override {name} for OnDemandThroughput unless BillingModeOverride is PAY_PER_REQUEST"
        )


def _indexes(ctx: Context, source: TableRecord, given: list[dict[str, Any]] | None, local: bool, billing: str) -> list[IndexRecord]:
    """The source's indexes of one kind, or those of them that the request names."""
    there = [index for index in source.indexes if index.local is local and index.vector is None and index.status != "DELETING"]
    if given is None:
        chosen: list[tuple[IndexRecord, dict[str, Any]]] = [(index, {}) for index in there]
    else:
        chosen = [(_matching(there, each), each) for each in given]
    made = []
    for index, override in chosen:
        units = override.get("ProvisionedThroughput")
        name = override.get("IndexName", index.name)
        if billing == "PAY_PER_REQUEST" and units is not None:
            raise errors.validation(f"{CANNOT} for index {name} if BillingMode is overridden to PAY_PER_REQUEST")
        throughput = Throughput()
        if not local and billing == "PROVISIONED":
            throughput = schema.units(units) if units is not None else Throughput(index.throughput.read, index.throughput.write)
            if throughput.read == 0:
                raise errors.validation(f"Invalid Request: Must specify provisioned throughput for index {name}")
        on_demand = schema.ceilings(override.get("OnDemandThroughput"), f"index: {name}", billing, create=True) or (
            index.on_demand if billing == "PAY_PER_REQUEST" else None
        )
        space = schema.space(ctx.host.ids)
        made.append(
            IndexRecord(name, space, local, index.key_schema, index.projection, index.non_key, throughput=throughput, on_demand=on_demand)
        )
    return made


def _vector_indexes(ctx: Context, source: TableRecord, given: list[dict[str, Any]] | None, billing: str) -> list[IndexRecord]:
    there = [index for index in source.indexes if index.vector is not None and index.status != "DELETING"]
    if given is None:
        chosen = [(index.name, index) for index in there]
    else:
        chosen = [(each["IndexName"], _matching_vectors(there, each)) for each in given]
    if chosen and billing != "PAY_PER_REQUEST":
        raise errors.in_our_words(errors.INVALID + vectors.ON_DEMAND_ONLY)
    ids = ctx.host.ids
    return [
        IndexRecord(name, schema.space(ids), False, index.key_schema, index.projection, index.non_key, vector=index.vector)
        for name, index in chosen
    ]


def _matching_vectors(there: list[IndexRecord], given: dict[str, Any]) -> IndexRecord:
    for index in there:
        if vectors.configured(index) == given | {"IndexName": index.name}:
            return index
    raise _unmatched(given)


def _unmatched(given: dict[str, Any]) -> ServiceError:
    return errors.validation(
        f"Invalid Request: Index {given['IndexName']} does not match a secondary index that existed in the source table "
        "and cannot be created during the restore operation"
    )


def _matching(there: list[IndexRecord], given: dict[str, Any]) -> IndexRecord:
    projection = given["Projection"]
    for index in there:
        if (
            index.key_schema == schema.key_schema(given["KeySchema"])
            and index.projection == projection.get("ProjectionType")
            and set(index.non_key) == set(projection.get("NonKeyAttributes") or ())
        ):
            return index
    raise _unmatched(given)


async def finish(host: Host, tx: Transaction, work: Copying) -> None:
    """Makes the restored table active, in the copy's last transaction."""
    place = records.place(work.region, work.table)
    data = await tx.get(*place)
    if data is not None and (record := records.decode(data)).space == work.target:
        record.status = "ACTIVE"
        tx.put(*place, records.encode(record))
    if work.backup and (kept := await tx.get(*backups.place(work.region, work.backup))) is not None:
        backup = backups.decode(kept)
        backup.restoring = ""
        backups.put(tx, backup)


async def run_copying(host: Host) -> None:
    """Makes backups and restores tables."""

    async def finished(host: Host, tx: Transaction, work: Copying) -> None:
        await (finish if work.table else backups.finish)(host, tx, work)

    await copies.run_copying(host, finished)
