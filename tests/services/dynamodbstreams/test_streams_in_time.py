"""What a day does to streams, tables and logs: with a clock of the tests' own."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from haar.auth.principal import Principal
from haar.services.dynamodb import backups, control, items, prepare, recovery, restores, streams, ttl, update
from haar.services.dynamodb.public import Trimmed, find_stream, last_position, position_of, read_stream, sequence
from haar.services.dynamodb.tables import Tables
from haar.services.dynamodbstreams import reading
from haar.services.dynamodbstreams.streams import describe_stream
from haar.services.lambda_.sources import find_source
from haar.services.service import Context, Host
from haar.wire.errors import ServiceError

DAY = 86_400.0
START = 1_800_000_000.0
S = lambda text: {"S": text}
N = lambda number: {"N": str(number)}


class Clock:
    def __init__(self) -> None:
        self.at = START

    def now(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def ctx(host: Host, clock: Clock) -> Context:
    host.clock = clock
    root = Principal("root", host.account, f"arn:aws:iam::{host.account}:root", host.account)
    made = Context(host, root, "us-east-1", "request")
    await control.create_table(
        made,
        {
            "TableName": "tab",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
        },
    )
    return made


async def put(ctx: Context, **item: Any) -> None:
    given = {"TableName": "tab", "Item": item}
    prepare.check("PutItem", given)
    await items.put_item(ctx, given)


async def arn_of(ctx: Context) -> str:
    table = await ctx.host.get(Tables).find("us-east-1", "tab")
    assert table is not None and table.record.stream is not None
    return f"{table.arn}/stream/{table.record.stream.label}"


async def iterator(ctx: Context, kind: str, **more: Any) -> str:
    arn = await arn_of(ctx)
    stream = await find_stream(ctx.host, "us-east-1", arn)
    assert stream is not None
    given = {"StreamArn": arn, "ShardId": reading.public.shard_ids(stream)[0], "ShardIteratorType": kind, **more}
    answer = await reading.get_shard_iterator(ctx, given)
    return str(answer["ShardIterator"])


async def keys(ctx: Context, given: str) -> list[str]:
    records = (await reading.get_records(ctx, {"ShardIterator": given}))["Records"]
    return [record["dynamodb"]["SequenceNumber"] for record in records]


async def code(work: Any) -> str:
    with pytest.raises(ServiceError) as error:
        await work
    return error.value.code


async def test_records_are_readable_for_a_day(ctx: Context, clock: Clock) -> None:
    await put(ctx, id=S("1"))
    clock.at += DAY / 2
    await put(ctx, id=S("2"))
    assert await keys(ctx, await iterator(ctx, "TRIM_HORIZON")) == [sequence(1), sequence(2)]
    at_first = await iterator(ctx, "AT_SEQUENCE_NUMBER", SequenceNumber=sequence(1))
    clock.at = START + DAY - 60
    at_first = await iterator(ctx, "AT_SEQUENCE_NUMBER", SequenceNumber=sequence(1))
    clock.at = START + DAY + 1
    for trimmed_by_then in range(2):
        assert await keys(ctx, await iterator(ctx, "TRIM_HORIZON")) == [sequence(2)]
        assert await code(reading.get_records(ctx, {"ShardIterator": at_first})) == "TrimmedDataAccessException"
        assert await code(iterator(ctx, "AT_SEQUENCE_NUMBER", SequenceNumber=sequence(1))) == "TrimmedDataAccessException"
        assert await keys(ctx, await iterator(ctx, "AFTER_SEQUENCE_NUMBER", SequenceNumber=sequence(1))) == [sequence(2)]
        if not trimmed_by_then:
            await streams.trim_all(ctx.host)
    clock.at += DAY
    await streams.trim_all(ctx.host)
    assert await keys(ctx, await iterator(ctx, "TRIM_HORIZON")) == []
    await put(ctx, id=S("3"))
    assert await keys(ctx, await iterator(ctx, "TRIM_HORIZON")) == [sequence(3)]


async def test_iterators_at_a_moment(ctx: Context, clock: Clock) -> None:
    moments = []
    for at in range(7):
        clock.at += 1.5
        moments.append(clock.at)
        await put(ctx, id=S(str(at)))
    clock.at += 10
    at = lambda moment: iterator(ctx, "AT_TIMESTAMP", Timestamp=moment)
    for number, moment in enumerate(moments, 1):
        assert (await keys(ctx, await at(moment)))[0] == sequence(number)
        assert (await keys(ctx, await at(moment - 1)))[0] == sequence(number)
    assert await keys(ctx, await at(moments[-1] + 1)) == []
    assert await keys(ctx, await at(0.0)) == [sequence(number) for number in range(1, 8)]
    assert await code(at(clock.at + 1)) == "ValidationException"
    assert await code(iterator(ctx, "AT_TIMESTAMP")) == "ValidationException"
    assert await code(iterator(ctx, "LATEST", Timestamp=clock.at)) == "ValidationException"
    clock.at = moments[3] + DAY
    for _ in range(2):
        assert (await keys(ctx, await at(moments[0])))[0] == sequence(5)
        await streams.trim_all(ctx.host)


async def test_throughput_is_lowered_four_times_a_day_and_then_once_an_hour(ctx: Context, clock: Clock) -> None:
    clock.at = START - START % DAY
    units = lambda count: {"ReadCapacityUnits": count, "WriteCapacityUnits": 1}
    change = lambda count, **more: update.update_table(ctx, {"TableName": "tab", "ProvisionedThroughput": units(count), **more})
    decreases = lambda made: made["Table"]["ProvisionedThroughput"]["NumberOfDecreasesToday"]
    described = lambda: control.describe_table(ctx, {"TableName": "tab"})
    await change(100, BillingMode="PROVISIONED")
    for lowered in range(4):
        clock.at += 60
        await change(99 - lowered)
        assert decreases(await described()) == lowered + 1
    await change(100)
    with pytest.raises(ServiceError) as error:
        await change(50)
    assert error.value.code == "LimitExceededException"
    assert error.value.message.endswith(
        "Number of decreases today: 4. Last decrease at Friday, January 15, 2027 12:04:00 AM UTC. "
        "Next decrease can be made at Friday, January 15, 2027 1:04:00 AM UTC"
    )
    clock.at += 3600
    await change(50)
    assert decreases(await described()) == 5
    clock.at += DAY
    assert decreases(await described()) == 0
    await change(40)
    assert decreases(await described()) == 1


async def test_iterators_expire(ctx: Context, clock: Clock) -> None:
    given = await iterator(ctx, "LATEST")
    clock.at += 899
    given = str((await reading.get_records(ctx, {"ShardIterator": given}))["NextShardIterator"])
    clock.at += 901
    assert await code(reading.get_records(ctx, {"ShardIterator": given})) == "ExpiredIteratorException"


async def test_closed_streams_go_after_a_day(ctx: Context, clock: Clock) -> None:
    await put(ctx, id=S("1"))
    arn = await arn_of(ctx)
    await control.delete_table(ctx, {"TableName": "tab"})
    clock.at += DAY - 1
    await streams.trim_all(ctx.host)
    stream = await find_stream(ctx.host, "us-east-1", arn)
    assert stream is not None
    assert len((await read_stream(ctx.host, "us-east-1", stream, 0, None, 10)).records) == 1
    clock.at += 2
    assert await find_stream(ctx.host, "us-east-1", arn) is None
    await streams.trim_all(ctx.host)
    assert await ctx.store.scan(stream.space) == []


async def test_other_rooms_read_by_position(ctx: Context, clock: Clock) -> None:
    stream = await find_stream(ctx.host, "us-east-1", await arn_of(ctx))
    assert stream is not None
    woken: list[bool] = []
    end = reading.public.watch_stream(ctx.host, stream, lambda: woken.append(True))
    for at in range(5):
        await put(ctx, id=S(str(at)))
    end()
    assert woken and await last_position(ctx.host, stream, 0) == 6
    first = await read_stream(ctx.host, "us-east-1", stream, 0, None, 3)
    assert [record["dynamodb"]["SequenceNumber"] for record in first.records] == [sequence(number) for number in (1, 2, 3)]
    rest = await read_stream(ctx.host, "us-east-1", stream, 0, first.position, 100)
    assert len(rest.records) == 2 and not rest.at_end
    assert position_of(sequence(3), after=True) == first.position
    clock.at += 2 * DAY
    with pytest.raises(Trimmed):
        await read_stream(ctx.host, "us-east-1", stream, 0, first.position, 100)


async def test_the_moment_of_expiry(ctx: Context, clock: Clock) -> None:
    """An item leaves once its second is over, and not before; one that expired five years ago stays."""
    await ttl.update_time_to_live(ctx, {"TableName": "tab", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "t"}})
    table = await ctx.host.get(Tables).find("us-east-1", "tab")
    assert table is not None and table.record.ttl is not None
    work = ttl.Switching("us-east-1", "tab", table.record.ttl.space)
    await put(ctx, id=S("1"), t=N(int(START) + 10))
    await put(ctx, id=S("2"), t=N(int(START) + 20))
    await put(ctx, id=S("old"), t=N(int(START) - 1827 * int(DAY)))
    await ctx.store.transact(lambda tx: ttl._switched(ctx.host, tx, work))
    left = lambda: ctx.store.scan(table.space)
    for seconds, expected in ((10.0, 3), (10.5, 2), (20.0, 2), (21.0, 1)):
        clock.at = START + seconds
        await ttl.expire(ctx.host, "us-east-1", "tab")
        assert len(await left()) == expected, seconds


async def test_events_say_who_deleted_an_expired_item(ctx: Context, clock: Clock) -> None:
    await ttl.update_time_to_live(ctx, {"TableName": "tab", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "t"}})
    table = await ctx.host.get(Tables).find("us-east-1", "tab")
    assert table is not None and table.record.ttl is not None
    work = ttl.Switching("us-east-1", "tab", table.record.ttl.space)
    await put(ctx, id=S("1"), t=N(int(START) + 10))
    await ctx.store.transact(lambda tx: ttl._switched(ctx.host, tx, work))
    clock.at += 20
    await ttl.expire(ctx.host, "us-east-1", "tab")
    source = await find_source(ctx.host, "us-east-1", await arn_of(ctx))
    assert source is not None
    made, gone = [orjson.loads(record.data) for record in (await source.read(0, None, 10)).records]
    assert "userIdentity" not in made and gone["eventName"] == "REMOVE"
    assert gone["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


async def test_logs_are_kept_for_the_recovery_period(ctx: Context, clock: Clock) -> None:
    spec = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 2}
    await recovery.update_continuous_backups(ctx, {"TableName": "tab", "PointInTimeRecoverySpecification": spec})
    restore = lambda at: restores.restore_table_to_point_in_time(
        ctx, {"SourceTableName": "tab", "TargetTableName": "new", "RestoreDateTime": at}
    )
    for _ in range(6):
        await put(ctx, id=S("1"), at=N(int(clock.at)))
        clock.at += DAY
    await recovery.tidy(ctx.host)
    table = await ctx.host.get(Tables).find("us-east-1", "tab")
    assert table is not None and table.record.history is not None
    assert table.record.history.first_day == int((clock.at - 2 * DAY) // DAY)
    assert await code(restore(clock.at - 2 * DAY - 2)) == "InvalidRestoreTimeException"
    assert await code(restore(clock.at + 1)) == "InvalidRestoreTimeException"
    answer = await restore(clock.at - 2 * DAY + 1)
    assert answer["TableDescription"]["TableStatus"] == "CREATING"


async def test_the_backup_of_a_deleted_table_expires(ctx: Context, clock: Clock) -> None:
    spec = {"PointInTimeRecoveryEnabled": True}
    await recovery.update_continuous_backups(ctx, {"TableName": "tab", "PointInTimeRecoverySpecification": spec})
    await put(ctx, id=S("1"))
    await control.delete_table(ctx, {"TableName": "tab"})
    listed = lambda: backups.list_backups(ctx, {"BackupType": "SYSTEM"})
    (kept,) = (await listed())["BackupSummaries"]
    clock.at += 35 * DAY + 1
    assert (await listed())["BackupSummaries"] == []
    assert await code(backups.describe_backup(ctx, {"BackupArn": kept["BackupArn"]})) == "BackupNotFoundException"
    await recovery.tidy(ctx.host)
    assert await ctx.store.scan("dynamodb/backups") == []


async def test_shards_in_pages(ctx: Context, clock: Clock) -> None:
    """On a distributed store a stream has several shards; each item is in one of them, in order."""
    ctx.host.config = replace(ctx.host.config, store="postgresql://elsewhere")
    await control.delete_table(ctx, {"TableName": "tab"})
    stream = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    key = {
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    }
    await control.create_table(ctx, {"TableName": "tab", "BillingMode": "PAY_PER_REQUEST", "StreamSpecification": stream, **key})
    for at in range(60):
        await put(ctx, id=S(str(at % 20)), n=N(at))
    arn = await arn_of(ctx)
    ids: list[str] = []
    page: dict[str, Any] = {}
    while not ids or "LastEvaluatedShardId" in page:
        more = {"ExclusiveStartShardId": ids[-1]} if ids else {}
        page = (await describe_stream(ctx, {"StreamArn": arn, "Limit": 3, **more}))["StreamDescription"]
        ids += [shard["ShardId"] for shard in page["Shards"]]
    assert len(ids) == len(set(ids)) == 4
    assert (await describe_stream(ctx, {"StreamArn": arn, "ShardFilter": {"Type": "CHILD_SHARDS", "ShardId": ids[0]}}))[
        "StreamDescription"
    ]["Shards"] == []
    seen: dict[str, list[int]] = {}
    for shard in ids:
        given = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        answer = await reading.get_shard_iterator(ctx, given)
        records = (await reading.get_records(ctx, {"ShardIterator": answer["ShardIterator"]}))["Records"]
        assert records, "a shard without records"
        here = [orjson.loads(orjson.dumps(record["dynamodb"]["NewImage"])) for record in records]
        assert not {item["id"]["S"] for item in here} & set(seen)
        for item in here:
            seen.setdefault(item["id"]["S"], []).append(int(item["n"]["N"]))
    assert seen == {str(each): [each, each + 20, each + 40] for each in range(20)}
