"""While a table is being restored: what can be done with it, and with its backup. In process, so that the restore waits for the test."""

import asyncio
from typing import Any

import pytest

from haar.auth.principal import Principal
from haar.services.dynamodb import backups, control, jobs, policies, recovery, restores, tags, ttl, update
from haar.services.service import Context, Host
from haar.wire.errors import ServiceError

STREAM = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}


async def made(ctx: Context, name: str, **more: Any) -> None:
    await control.create_table(
        ctx,
        {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            **more,
        },
    )


@pytest.fixture
async def ctx(host: Host) -> Context:
    root = Principal("root", host.account, f"arn:aws:iam::{host.account}:root", host.account)
    context = Context(host, root, "us-east-1", "request")
    await made(context, "tab")
    return context


async def failure(work: Any) -> tuple[str, str | None]:
    with pytest.raises(ServiceError) as error:
        await work
    return error.value.code, error.value.message


async def until(host: Host, work: Any, done: Any) -> None:
    """Runs background work until something is so."""
    task = asyncio.create_task(work(host))
    try:
        async with asyncio.timeout(30):
            while not await done():
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_table_that_is_being_restored(ctx: Context) -> None:
    arn = (await backups.create_backup(ctx, {"TableName": "tab", "BackupName": "one"}))["BackupDetails"]["BackupArn"]
    describe = lambda: backups.describe_backup(ctx, {"BackupArn": arn})
    restore = lambda name: restores.restore_table_from_backup(ctx, {"TargetTableName": name, "BackupArn": arn})
    assert await failure(backups.delete_backup(ctx, {"BackupArn": arn})) == ("BackupInUseException", f"Backup is being created: {arn}")

    async def available() -> bool:
        return bool((await describe())["BackupDescription"]["BackupDetails"]["BackupStatus"] == "AVAILABLE")

    await until(ctx.host, restores.run_copying, available)
    await restore("new")
    using = "Backup is being used to restore"
    assert await failure(restore("newer")) == ("BackupInUseException", f"{using} another table: {arn}")
    assert await failure(backups.delete_backup(ctx, {"BackupArn": arn})) == ("BackupInUseException", f"{using} table: {arn}")
    assert (await failure(restore("new")))[0] == "TableInUseException"
    assert (await failure(made(ctx, "new")))[0] == "ResourceInUseException"
    assert (await failure(control.delete_table(ctx, {"TableName": "new"})))[0] == "ResourceInUseException"
    missing = ("ResourceNotFoundException", "Requested resource not found: Table: new not found")
    table_arn = f"arn:aws:dynamodb:us-east-1:{ctx.account}:table/new"
    assert (await failure(update.update_table(ctx, {"TableName": "new", "StreamSpecification": STREAM})))[0] == "ResourceInUseException"
    for work in (
        tags.tag_resource(ctx, {"ResourceArn": table_arn, "Tags": [{"Key": "a", "Value": "b"}]}),
        ttl.describe_time_to_live(ctx, {"TableName": "new"}),
        ttl.update_time_to_live(ctx, {"TableName": "new", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "a"}}),
        policies.get_resource_policy(ctx, {"ResourceArn": table_arn}),
    ):
        assert await failure(work) == missing
    for other in (
        backups.create_backup(ctx, {"TableName": "new", "BackupName": "two"}),
        recovery.describe_continuous_backups(ctx, {"TableName": "new"}),
    ):
        assert await failure(other) == ("TableNotFoundException", "Table not found: new")

    async def active() -> bool:
        return bool((await control.describe_table(ctx, {"TableName": "new"}))["Table"]["TableStatus"] == "ACTIVE")

    await until(ctx.host, restores.run_copying, active)
    await backups.delete_backup(ctx, {"BackupArn": arn})


async def test_a_table_that_is_deleted_while_it_is_copied_stays_until_it_is(ctx: Context) -> None:
    """Its rows, and its log, are emptied only when the backup has them."""
    store, place = ctx.store, b"p"
    record = (await backups.create_backup(ctx, {"TableName": "tab", "BackupName": "one"}))["BackupDetails"]
    (row,) = await store.scan("dynamodb/tables")
    space = backups.records.decode(row.value).space

    async def write(tx: Any) -> None:
        tx.put(space, place, b"", b"\0\0\0\1{}")

    await store.transact(write)
    await control.delete_table(ctx, {"TableName": "tab"})

    task = asyncio.create_task(jobs.run_clearing(ctx.host))
    await asyncio.sleep(3.0)
    assert await store.get(space, place) is not None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    async def available() -> bool:
        found = await backups.describe_backup(ctx, {"BackupArn": record["BackupArn"]})
        return bool(found["BackupDescription"]["BackupDetails"]["BackupStatus"] == "AVAILABLE")

    await until(ctx.host, restores.run_copying, available)
    found = await backups.describe_backup(ctx, {"BackupArn": record["BackupArn"]})
    assert found["BackupDescription"]["SourceTableDetails"]["ItemCount"] == 1

    async def empty() -> bool:
        return await store.get(space, place) is None

    await until(ctx.host, jobs.run_clearing, empty)
