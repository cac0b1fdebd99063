"""Point-in-time recovery: DescribeContinuousBackups, UpdateContinuousBackups, and what is too old to be restored.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Point-in-time-recovery.html
"""

import asyncio
from datetime import datetime
from functools import partial
from typing import Any, NoReturn

from haar.services.dynamodb import backups, copies, errors, history, records
from haar.services.dynamodb.access import on_table
from haar.services.dynamodb.describe import moment
from haar.services.dynamodb.face import service
from haar.services.dynamodb.jobs import clearing, copied_space
from haar.services.dynamodb.limits import DAY_SECONDS, READ_CHUNK_MOST, RECOVERY_DAYS, SETTLE_SECONDS, TIDY_SECONDS
from haar.services.dynamodb.records import History, TableRecord
from haar.services.dynamodb.tables import Tables
from haar.services.service import Context, Host, Input, Output
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError


def earliest(kept: History, now: float) -> float:
    """The first moment that can be restored."""
    return max(kept.since, now - (kept.days or 0) * DAY_SECONDS)


def wanted_moment(source: TableRecord, input: Input, now: int) -> int:
    """The moment that RestoreTableToPointInTime asks for, in microseconds. Raises what AWS does when it cannot be restored."""
    kept = source.history
    if kept is None or kept.days is None:
        raise ServiceError("PointInTimeRecoveryUnavailableException", f"Point in time recovery is not enabled for table '{source.name}'")
    if input.get("UseLatestRestorableTime"):
        return now
    given = input["RestoreDateTime"]
    at = given.timestamp() if isinstance(given, datetime) else float(given)
    first, last = earliest(kept, now / 1e6), now / 1e6
    # A time that is written in whole seconds means the first second, too.
    if not int(first) <= at <= last:
        shown = [f"'{moment(each):%Y-%m-%dT%H:%M:%SZ}'" for each in (at, first, last)]
        raise ServiceError(
            "InvalidRestoreTimeException",
            f"RestoreDateTime {shown[0]} must be within EarliestRestorableDateTime {shown[1]} and LatestRestorableDateTime {shown[2]}",
        )
    return int(max(at, first) * 1e6)


def _described(record: TableRecord, now: float) -> dict[str, Any]:
    recovery: dict[str, Any] = {"PointInTimeRecoveryStatus": "DISABLED"}
    kept = record.history
    if kept is not None and kept.days is not None:
        recovery = {
            "PointInTimeRecoveryStatus": "ENABLED",
            "RecoveryPeriodInDays": kept.days,
            "EarliestRestorableDateTime": moment(int(earliest(kept, now))),
            "LatestRestorableDateTime": moment(int(now)),
        }
    return {"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery}}


@service.operation("DescribeContinuousBackups", on_table("DescribeContinuousBackups"))
async def describe_continuous_backups(ctx: Context, input: Input) -> Output:
    table = await ctx.host.get(Tables).find(ctx.region, input["TableName"])
    if table is None or table.record.status == "CREATING":
        raise errors.no_table(input["TableName"])
    return _described(table.record, ctx.now())


@service.operation("UpdateContinuousBackups", on_table("UpdateContinuousBackups"))
async def update_continuous_backups(ctx: Context, input: Input) -> Output:
    wanted = input["PointInTimeRecoverySpecification"]
    on, days = wanted["PointInTimeRecoveryEnabled"], wanted.get("RecoveryPeriodInDays")
    if not on and days is not None:
        raise errors.validation("Invalid Request: Cannot specify RecoveryPeriodInDays when disabling point-in-time recovery.")
    place = records.place(ctx.region, input["TableName"])

    async def update(tx: Transaction) -> TableRecord:
        data = await tx.get(*place)
        record = None if data is None else records.decode(data)
        if record is None or record.status == "CREATING":
            raise errors.no_table(input["TableName"])
        await (_switch_on(ctx, record, days) if on else _switch_off(ctx, tx, record))
        tx.put(*place, records.encode(record))
        return record

    record = await ctx.store.transact(update)
    if record.history is not None and record.history.since > ctx.now():
        # Answered once every writer elsewhere logs what it changes: from then on the table can be restored.
        await asyncio.sleep(record.history.since - ctx.now())
        # A sleep may end a moment early.
        return _described(record, max(ctx.now(), record.history.since))
    return _described(record, ctx.now())


async def _switch_on(ctx: Context, record: TableRecord, days: int | None) -> None:
    now = ctx.now()
    kept = record.history
    if kept is not None and kept.days is not None:
        kept.days = days or kept.days
        return
    first_day = int(now // DAY_SECONDS) if kept is None else kept.first_day
    # Writers elsewhere may not know for a moment that changes are logged.
    since = now if not ctx.host.config.store else now + SETTLE_SECONDS
    record.history = History(first_day, since, days or RECOVERY_DAYS)


async def _switch_off(ctx: Context, tx: Transaction, record: TableRecord) -> None:
    if record.history is None:
        return
    record.history.days = None
    if not await tx.range(records.COPIED, copied_space(record.space), limit=1):
        copies.end_history(ctx.host, tx, record)


async def run_tidying(host: Host) -> NoReturn:
    """Deletes change logs that are older than their recovery period, and backups that have expired."""
    while True:
        await tidy(host)
        await asyncio.sleep(TIDY_SECONDS)


async def tidy(host: Host) -> None:
    now = host.clock.now()
    after: tuple[bytes, bytes] | None = None
    while True:
        rows = await host.store.scan(records.TABLES, after=after, limit=READ_CHUNK_MOST)
        for row in rows:
            record = records.decode(row.value)
            kept = record.history
            if kept is None:
                continue
            if kept.days is None and kept.since < now - TIDY_SECONDS:
                await host.store.transact(partial(_end_unused, host, record))
            elif kept.days is not None and kept.first_day < _first_day(kept, now):
                await _trim(host, record.region, record.name, now)
        if len(rows) < READ_CHUNK_MOST:
            break
        after = (rows[-1].partition, rows[-1].sort)
    await _expire_backups(host, now)


async def _end_unused(host: Host, seen: TableRecord, tx: Transaction) -> None:
    """Ends the log of a backup that was never begun: haar ended before."""
    await copies.release(host, tx, copies.Copying(seen.region, seen.space, "", source_table=seen.name))


def _first_day(kept: History, now: float) -> int:
    return int(earliest(kept, now) // DAY_SECONDS)


async def _trim(host: Host, region: str, name: str, now: float) -> None:
    place = records.place(region, name)

    async def trim(tx: Transaction) -> None:
        data = await tx.get(*place)
        record = None if data is None else records.decode(data)
        kept = None if record is None else record.history
        if record is None or kept is None or kept.days is None:
            return
        first = _first_day(kept, now)
        for day in range(kept.first_day, first):
            space = history.log_space(record.space, day)
            clearing(host).put(tx, space, space.encode(), now)
        kept.first_day = max(first, kept.first_day)
        tx.put(*place, records.encode(record))

    await host.store.transact(trim)


async def _expire_backups(host: Host, now: float) -> None:
    after: tuple[bytes, bytes] | None = None
    while True:
        rows = await host.store.scan(records.BACKUPS, after=after, limit=READ_CHUNK_MOST)
        for row in rows:
            backup = backups.decode(row.value)
            if backup.expires is not None and backup.expires <= now and not backup.restoring:
                await host.store.transact(partial(_expire, host, backup))
        if len(rows) < READ_CHUNK_MOST:
            return
        after = (rows[-1].partition, rows[-1].sort)


async def _expire(host: Host, backup: backups.Backup, tx: Transaction) -> None:
    tx.delete(*backups.place(backup.record.region, backup.id))
    clearing(host).put(tx, backup.space, backup.space.encode(), host.clock.now())
