"""CreateBackup, DescribeBackup, ListBackups, DeleteBackup; the backup that a deleted table leaves.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Backup.Tutorial.html
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from haar.services.dynamodb import copies, errors, history, records, vectors
from haar.services.dynamodb.access import nowhere, on_table
from haar.services.dynamodb.copies import Copying
from haar.services.dynamodb.counts import Count, Counts
from haar.services.dynamodb.describe import key_schema, moment
from haar.services.dynamodb.face import service
from haar.services.dynamodb.history import Stamps
from haar.services.dynamodb.jobs import clearing
from haar.services.dynamodb.limits import DAY_SECONDS, LIST_BACKUPS, RECOVERY_DAYS, SETTLE_SECONDS
from haar.services.dynamodb.records import History, IndexRecord, TableRecord
from haar.services.dynamodb.tables import table_arn
from haar.services.service import Context, Demand, Host, Input, Output
from haar.store.contract import Reader, Transaction

SPACE_LETTERS = 12
MARK = "0123456789abcdef"
SYSTEM_MARK = "00000000"
PAGE = 200
"""Backups that are read at once."""


class Backup(msgspec.Struct):
    id: str
    name: str
    created: float
    record: TableRecord
    """The table as it was."""
    space: str
    type: str = "USER"
    status: str = "CREATING"
    items: int = 0
    bytes: int = 0
    expires: float | None = None
    restoring: str = ""
    """The table that is being restored from it."""


def place(region: str, id: str) -> tuple[str, bytes, bytes]:
    return records.BACKUPS, region.encode(), id.encode()


def decode(data: bytes) -> Backup:
    return msgspec.msgpack.decode(data, type=Backup)


def put(tx: Transaction, backup: Backup) -> None:
    tx.put(*place(backup.record.region, backup.id), msgspec.msgpack.encode(backup))


def arn_of(backup: Backup, account: str) -> str:
    return f"{table_arn(backup.record.region, account, backup.record.name)}/backup/{backup.id}"


def parse_arn(ctx: Context, arn: str) -> tuple[str, str]:
    """(table, id) of a backup's ARN; its region does not matter, as on AWS. Raises ValidationException or AccessDeniedException."""
    parts = arn.split(":", 5)
    named = parts[5].split("/") if len(parts) == 6 else []
    if len(named) != 4 or (named[0], named[2]) != ("table", "backup"):
        raise errors.validation("Invalid Backup ARN")
    if parts[:3] != ["arn", "aws", "dynamodb"]:
        raise errors.validation("Invalid Request: BackupArn is not valid")
    if parts[4] != ctx.account:
        raise errors.access_denied("Access is denied")
    return named[1], named[3]


async def find(reader: Reader, ctx: Context, arn: str) -> Backup:
    """The backup. Raises BackupNotFoundException."""
    table, id = parse_arn(ctx, arn)
    data = await reader.get(*place(ctx.region, id))
    backup = None if data is None else decode(data)
    if backup is None or backup.record.name != table or _expired(backup, ctx.now()):
        raise errors.backup_not_found(arn)
    return backup


def _expired(backup: Backup, now: float) -> bool:
    return backup.expires is not None and backup.expires <= now


def on_backup(action: str) -> Callable[[Context, Input], Sequence[Demand]]:
    def demands(ctx: Context, input: Input) -> Sequence[Demand]:
        parse_arn(ctx, input["BackupArn"])
        return (Demand(f"dynamodb:{action}", input["BackupArn"]),)

    return demands


@service.operation("CreateBackup", on_table("CreateBackup"))
async def create_backup(ctx: Context, input: Input) -> Output:
    """The backup is of a moment between the request and its answer."""
    host = ctx.host
    backup = await ctx.store.transact(lambda tx: _begin(ctx, tx, input, settled=not host.config.store))
    if backup is None:
        # Only now does every writer elsewhere log what it changes.
        await asyncio.sleep(SETTLE_SECONDS)
        backup = await ctx.store.transact(lambda tx: _begin(ctx, tx, input, settled=True))
    assert backup is not None
    count = await host.get(Counts).of(backup.record)
    backup.bytes, backup.items = count.bytes, count.items
    return {"BackupDetails": details(backup, ctx.account)}


async def _begin(ctx: Context, tx: Transaction, input: Input, settled: bool) -> Backup | None:
    """Starts the backup; None when changes are logged from now on, and have to be for a while first."""
    name, host = input["TableName"], ctx.host
    table_place = records.place(ctx.region, name)
    data = await tx.get(*table_place)
    record = None if data is None else records.decode(data)
    if record is None or record.status == "CREATING":
        raise errors.no_table(name)
    backup = Backup(await _fresh_id(ctx, tx), input["BackupName"], ctx.now(), records.decode(records.encode(record)), "")
    stamp = host.get(Stamps).of(tx)
    if record.history is None:
        record.history = History(history.day_of(stamp), ctx.now())
        tx.put(*table_place, records.encode(record))
        if not settled:
            return None
    elif not settled and ctx.now() < record.history.since + SETTLE_SECONDS:
        return None
    backup.space = "db:" + host.ids.text(SPACE_LETTERS)
    put(tx, backup)
    copies.begin(host, tx, Copying(ctx.region, record.space, backup.space, stamp, backup=backup.id, source_table=name))
    return backup


async def _fresh_id(ctx: Context, tx: Transaction) -> str:
    while True:
        id = f"{int(ctx.now() * 1000):014d}-{ctx.host.ids.text(8, MARK)}"
        if not id.endswith(SYSTEM_MARK) and await tx.get(*place(ctx.region, id)) is None:
            return id


async def finish(host: Host, tx: Transaction, work: Copying) -> None:
    """Makes the backup available, in the copy's last transaction."""
    data = await tx.get(*place(work.region, work.backup))
    if data is None:
        clearing(host).put(tx, work.target, work.target.encode(), host.clock.now())
        return
    backup = decode(data)
    backup.status, backup.items, backup.bytes = "AVAILABLE", work.items, work.bytes
    put(tx, backup)


def keep_deleted(host: Host, tx: Transaction, record: TableRecord, count: Count) -> None:
    """The items of a table that is deleted while it can be restored to any moment stay, as a backup, for 35 days."""
    now = host.clock.now()
    id = f"{int(now * 1000):014d}-{SYSTEM_MARK}"
    expires = now + RECOVERY_DAYS * DAY_SECONDS
    kept = Backup(
        id, f"{record.name}$DeletedTableBackup", now, record, record.space, "SYSTEM", "AVAILABLE", count.items, count.bytes, expires
    )
    put(tx, kept)


@service.operation("DescribeBackup", on_backup("DescribeBackup"))
async def describe_backup(ctx: Context, input: Input) -> Output:
    return {"BackupDescription": description(await find(ctx.store, ctx, input["BackupArn"]), ctx.account)}


@service.operation("DeleteBackup", on_backup("DeleteBackup"))
async def delete_backup(ctx: Context, input: Input) -> Output:
    arn = input["BackupArn"]

    async def delete(tx: Transaction) -> Backup:
        backup = await find(tx, ctx, arn)
        if backup.type == "SYSTEM":
            assert backup.expires is not None
            raise errors.validation(
                f"Invalid Request: User is not allowed to delete the system backup with arn {arn}. "
                f"It will automatically expire on {moment(backup.expires):%a %b %d %H:%M:%S UTC %Y}"
            )
        if backup.status == "CREATING":
            raise errors.backup_in_use(f"Backup is being created: {arn}")
        if backup.restoring:
            raise errors.backup_in_use(f"Backup is being used to restore table: {arn}")
        tx.delete(*place(ctx.region, backup.id))
        clearing(ctx.host).put(tx, backup.space, backup.space.encode(), ctx.now())
        return backup

    backup = await ctx.store.transact(delete)
    backup.status = "DELETED"
    return {"BackupDescription": description(backup, ctx.account)}


@service.operation("ListBackups", nowhere("ListBackups"))
async def list_backups(ctx: Context, input: Input) -> Output:
    lower, upper = (_seconds(input.get(f"TimeRange{bound}Bound")) for bound in ("Lower", "Upper"))
    if lower is not None and upper is not None and lower > upper:
        raise errors.invalid("Time range lower bound must be less than or equal to upper bound")
    start = b""
    if (after := input.get("ExclusiveStartBackupArn")) is not None:
        start = parse_arn(ctx, after)[1].encode() + b"\0"
        if after.split(":")[3] != ctx.region:
            raise errors.validation("Invalid Request: The supplied ExclusiveStartBackupArn does not match the region")
    limit, wanted = input.get("Limit", LIST_BACKUPS), input.get("BackupType", "USER")
    table = input["TableName"].rpartition("/")[2] if "TableName" in input else None
    now = ctx.now()

    def shown(backup: Backup) -> bool:
        at = round(backup.created, 3)
        return (
            (table is None or backup.record.name == table)
            and (wanted in ("ALL", backup.type))
            and not _expired(backup, now)
            and (lower is None or at >= lower)
            and (upper is None or at < upper)
        )

    found: list[Backup] = []
    while len(found) <= limit:
        rows = await ctx.store.range(records.BACKUPS, ctx.region.encode(), start, limit=PAGE)
        found += [backup for _, value in rows if shown(backup := decode(value))]
        if len(rows) < PAGE:
            break
        start = rows[-1][0] + b"\0"
    output: dict[str, Any] = {"BackupSummaries": [_summary(backup, ctx.account) for backup in found[:limit]]}
    if len(found) > limit:
        output["LastEvaluatedBackupArn"] = arn_of(found[limit - 1], ctx.account)
    return output


def _seconds(given: Any) -> float | None:
    return given.timestamp() if isinstance(given, datetime) else given


def _milliseconds(at: float) -> datetime:
    return moment(round(at, 3))


def details(backup: Backup, account: str) -> dict[str, Any]:
    out = {
        "BackupArn": arn_of(backup, account),
        "BackupName": backup.name,
        "BackupSizeBytes": backup.bytes,
        "BackupStatus": backup.status,
        "BackupType": backup.type,
        "BackupCreationDateTime": _milliseconds(backup.created),
    }
    if backup.expires is not None:
        out["BackupExpiryDateTime"] = _milliseconds(backup.expires)
    return out


def _summary(backup: Backup, account: str) -> dict[str, Any]:
    record = backup.record
    table = {"TableName": record.name, "TableId": record.id, "TableArn": table_arn(record.region, account, record.name)}
    return {**table, **details(backup, account)}


def description(backup: Backup, account: str) -> dict[str, Any]:
    record = backup.record
    source: dict[str, Any] = {
        "TableName": record.name,
        "TableId": record.id,
        "TableArn": table_arn(record.region, account, record.name),
        "TableSizeBytes": backup.bytes,
        "KeySchema": key_schema(record.key_schema),
        "TableCreationDateTime": moment(record.created),
        "ProvisionedThroughput": {"ReadCapacityUnits": record.throughput.read, "WriteCapacityUnits": record.throughput.write},
        "ItemCount": backup.items,
        "BillingMode": record.billing,
    }
    if record.on_demand is not None:
        source["OnDemandThroughput"] = record.on_demand
    return {"BackupDetails": details(backup, account), "SourceTableDetails": source, "SourceTableFeatureDetails": _features(record)}


def _features(record: TableRecord) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for index in record.indexes:
        if index.vector is not None:
            out.setdefault("VectorIndexes", []).append(vectors.configured(index))
        else:
            out.setdefault("LocalSecondaryIndexes" if index.local else "GlobalSecondaryIndexes", []).append(_index(index))
    if record.stream is not None and record.stream.enabled:
        out["StreamDescription"] = {"StreamEnabled": True, "StreamViewType": record.stream.view}
    if record.ttl is not None:
        out["TimeToLiveDescription"] = {"TimeToLiveStatus": record.ttl.status, "AttributeName": record.ttl.attribute}
    if record.sse is not None:
        out["SSEDescription"] = {"Status": "ENABLED", **record.sse}
    return out


def _index(index: IndexRecord) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": index.projection}
    if index.projection == "INCLUDE":
        projection["NonKeyAttributes"] = index.non_key
    out: dict[str, Any] = {"IndexName": index.name, "KeySchema": key_schema(index.key_schema), "Projection": projection}
    if not index.local:
        out["ProvisionedThroughput"] = {"ReadCapacityUnits": index.throughput.read, "WriteCapacityUnits": index.throughput.write}
    return out
