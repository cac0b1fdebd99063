"""Backups, restoring them, and restoring tables to a point in time."""

import json
import os
import random
import re
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.exceptions
import pytest
from tests.services.dynamodb.conftest import eventually, refusal

S = lambda text: {"S": text}
N = lambda number: {"N": str(number)}
INVALID = "One or more parameter values were invalid: "
UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
KILLED = (botocore.exceptions.ConnectionError, botocore.exceptions.HTTPClientError)


def everything(client: Any, name: str, **more: Any) -> dict[str, Any]:
    """The items of a table by id."""
    found, start = {}, {}
    while True:
        page = client.scan(TableName=name, ConsistentRead=not more, **more, **start)
        found |= {item["id"]["S"]: item for item in page["Items"]}
        if "LastEvaluatedKey" not in page:
            return found
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def fill(client: Any, name: str, count: int, **more: Any) -> None:
    for start in range(0, count, 25):
        requests = [
            {"PutRequest": {"Item": {"id": S(str(at)), "x": S(f"x{at % 7}"), **more}}} for at in range(start, min(start + 25, count))
        ]
        client.batch_write_item(RequestItems={name: requests})


def back_up(table: Any, name: str = "a-backup") -> str:
    arn = table.create_backup(BackupName=name)["BackupDetails"]["BackupArn"]
    eventually(lambda: table.client.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]["BackupStatus"] == "AVAILABLE")
    return str(arn)


def active(client: Any, name: str) -> dict[str, Any]:
    def described() -> Any:
        table = client.describe_table(TableName=name)["Table"]
        return table if table["TableStatus"] == "ACTIVE" else None

    return eventually(described)


def recover(table: Any, on: bool = True, **more: Any) -> dict[str, Any]:
    spec = {"PointInTimeRecoveryEnabled": on, **more}
    return table.update_continuous_backups(PointInTimeRecoverySpecification=spec)["ContinuousBackupsDescription"]


@pytest.fixture
def target(dynamodb):
    """target() -> the name of a table that is deleted in the end."""
    names = []

    def make():
        names.append("r-" + uuid.uuid4().hex[:10])
        return names[-1]

    yield make
    for name in names:
        try:
            active(dynamodb, name)
            dynamodb.delete_table(TableName=name)
        except dynamodb.exceptions.ResourceNotFoundException:
            continue


def test_a_backup_from_making_to_deleting(table, dynamodb):
    stream = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    made = table("id:S", "at:N", local={"local": ("id:S", "x:S")}, StreamSpecification=stream)
    for at in range(3):
        made.put_item(Item={"id": S("1"), "at": N(at)})
    answer = made.create_backup(BackupName="first")["BackupDetails"]
    arn = answer["BackupArn"]
    assert re.fullmatch(re.escape(made.arn) + r"/backup/\d{14}-[0-9a-f]{8}", arn)
    assert (answer["BackupName"], answer["BackupStatus"], answer["BackupType"]) == ("first", "CREATING", "USER")
    eventually(lambda: dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]["BackupStatus"] == "AVAILABLE")
    described = dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]
    assert described["BackupDetails"] == answer | {"BackupStatus": "AVAILABLE", "BackupSizeBytes": 20}
    source = described["SourceTableDetails"]
    live = made.describe_table()["Table"]
    assert (source["ItemCount"], source["TableSizeBytes"], source["BillingMode"]) == (3, 20, "PAY_PER_REQUEST")
    assert all(source[name] == live[name] for name in ("TableName", "TableId", "TableArn", "KeySchema"))
    assert source["TableCreationDateTime"] == live["CreationDateTime"] and source["ProvisionedThroughput"]["ReadCapacityUnits"] == 0
    features = described["SourceTableFeatureDetails"]
    assert set(features) == {"LocalSecondaryIndexes", "StreamDescription"} and features["StreamDescription"] == stream
    made.delete_table()
    assert dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]["SourceTableDetails"] == source
    gone = dynamodb.delete_backup(BackupArn=arn)["BackupDescription"]
    assert gone["BackupDetails"]["BackupStatus"] == "DELETED" and gone["SourceTableDetails"] == source
    for operation in (dynamodb.describe_backup, dynamodb.delete_backup):
        assert refusal(operation, BackupArn=arn) == ("BackupNotFoundException", f"Backup not found: {arn}")


def test_lists_of_backups(table, dynamodb):
    made = table("id:S")
    recover(made)
    arns = [back_up(made, "same") for _ in range(3)]
    other = back_up(table("id:S"))
    listed = lambda **more: dynamodb.list_backups(**{"TableName": made.name, **more})
    names = lambda page: [each["BackupArn"] for each in page["BackupSummaries"]]
    page = listed()
    assert names(page) == arns and "LastEvaluatedBackupArn" not in page
    assert {each["TableId"] for each in page["BackupSummaries"]} == {made.describe_table()["Table"]["TableId"]}
    page = listed(Limit=2)
    assert names(page) == arns[:2] and page["LastEvaluatedBackupArn"] == arns[1]
    assert names(listed(ExclusiveStartBackupArn=arns[1])) == arns[2:]
    assert "LastEvaluatedBackupArn" not in listed(Limit=3)
    at = listed()["BackupSummaries"][1]["BackupCreationDateTime"]
    assert arns[1] in names(listed(TimeRangeLowerBound=at)) and arns[0] not in names(listed(TimeRangeLowerBound=at))
    assert names(listed(TimeRangeUpperBound=at)) == arns[:1]
    wrong = refusal(listed, TimeRangeLowerBound=at, TimeRangeUpperBound=at - timedelta(seconds=1))
    assert wrong[1] == "One or more parameter values were invalid: Time range lower bound must be less than or equal to upper bound"
    assert names(listed(BackupType="SYSTEM")) == [] and names(listed(BackupType="ALL")) == arns
    assert names(listed(TableName="no-such-table")) == []
    found, start = [], {}
    while True:
        page = dynamodb.list_backups(Limit=100, **start)
        found += names(page)
        if "LastEvaluatedBackupArn" not in page:
            break
        start = {"ExclusiveStartBackupArn": page["LastEvaluatedBackupArn"]}
    assert {*arns, other} <= set(found) and found == sorted(found, key=lambda arn: arn.rpartition("/")[2])


def test_a_restored_backup_is_the_table_at_its_moment(table, dynamodb, target):
    made = table("id:S", indexes={"byX": ("x:S",)}, StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    fill(dynamodb, made.name, 330)
    before = everything(dynamodb, made.name)
    answer = made.create_backup(BackupName="moment")["BackupDetails"]["BackupArn"]
    for at in range(0, 330, 3):
        made.update_item(Key={"id": S(str(at))}, UpdateExpression="SET x = :x", ExpressionAttributeValues={":x": S("later")})
    made.delete_item(Key={"id": S("1")})
    made.put_item(Item={"id": S("new"), "x": S("later")})
    eventually(lambda: dynamodb.describe_backup(BackupArn=answer)["BackupDescription"]["BackupDetails"]["BackupStatus"] == "AVAILABLE")
    assert dynamodb.describe_backup(BackupArn=answer)["BackupDescription"]["SourceTableDetails"]["ItemCount"] == 330
    name = target()
    restoring = dynamodb.restore_table_from_backup(TargetTableName=name, BackupArn=answer)["TableDescription"]
    assert restoring["TableStatus"] == "CREATING" and restoring["TableId"] != made.describe_table()["Table"]["TableId"]
    summary = restoring["RestoreSummary"]
    assert (summary["SourceBackupArn"], summary["SourceTableArn"], summary["RestoreInProgress"]) == (answer, made.arn, True)
    live = active(dynamodb, name)
    assert (
        live["RestoreSummary"] == {**summary, "RestoreInProgress": False}
        and "StreamSpecification" not in live
        and live["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    )
    assert everything(dynamodb, name) == before
    assert everything(dynamodb, name, IndexName="byX") == before
    page = dynamodb.query(TableName=name, IndexName="byX", KeyConditionExpression="x = :x", ExpressionAttributeValues={":x": S("later")})
    assert page["Count"] == 0
    dynamodb.put_item(TableName=name, Item={"id": S("more"), "x": S("x1")})
    assert set(everything(dynamodb, name, IndexName="byX")) == {*before, "more"}


def test_a_backup_is_whole_while_transactions_go_on(table, dynamodb, target):
    """Every transaction moves between two items; a copy that saw half of one would have another sum."""
    made = table("id:S")
    fill(dynamodb, made.name, 400)
    for at in range(400):
        dynamodb.update_item(
            TableName=made.name, Key={"id": S(str(at))}, UpdateExpression="SET n = :n", ExpressionAttributeValues={":n": N(0)}
        )
    stop = threading.Event()
    failed: list[Exception] = []

    def move():
        dice = random.Random(1)
        change = lambda at, by: {
            "Update": {
                "TableName": made.name,
                "Key": {"id": S(str(at))},
                "UpdateExpression": "ADD n :by",
                "ExpressionAttributeValues": {":by": N(by)},
            }
        }
        try:
            while not stop.is_set():
                one, other = dice.sample(range(400), 2)
                dynamodb.transact_write_items(TransactItems=[change(one, 1), change(other, -1)])
        except Exception as error:
            failed.append(error)

    recover(made)
    writer = threading.Thread(target=move)
    writer.start()
    try:
        time.sleep(0.3)
        arn = back_up(made)
        names = [target(), target()]
        dynamodb.restore_table_to_point_in_time(SourceTableName=made.name, TargetTableName=names[1], UseLatestRestorableTime=True)
        active(dynamodb, names[1])
    finally:
        stop.set()
        writer.join(30)
    assert not failed
    dynamodb.restore_table_from_backup(TargetTableName=names[0], BackupArn=arn)
    active(dynamodb, names[0])
    for name in names:
        numbers = [int(item["n"]["N"]) for item in everything(dynamodb, name).values()]
        assert len(numbers) == 400 and sum(numbers) == 0
    numbers = [int(item["n"]["N"]) for item in everything(dynamodb, names[0]).values()]
    assert any(numbers), "nothing was written before the backup"


def test_overrides_of_a_restore(table, dynamodb, target):
    made = table("id:S", indexes={"byX": ("x:S",), "byY": ("y:S",)})
    arn = back_up(made)
    restore = lambda **more: dynamodb.restore_table_from_backup(BackupArn=arn, **{"TargetTableName": target(), **more})["TableDescription"]
    cannot = "Invalid Request: Cannot override ProvisionedThroughput"
    wrong = lambda **more: refusal(restore, **more)[1]
    assert wrong(ProvisionedThroughputOverride=UNITS) == cannot + " unless BillingMode is PROVISIONED"
    assert (
        wrong(BillingModeOverride="PAY_PER_REQUEST", ProvisionedThroughputOverride=UNITS)
        == cannot + " if BillingMode is overridden to PAY_PER_REQUEST"
    )
    assert wrong(BillingModeOverride="PROVISIONED") == (
        "Invalid Request: Must override ProvisionedThroughput if BillingMode is overridden to PROVISIONED"
    )
    index = {"IndexName": "other", "KeySchema": [{"AttributeName": "x", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}
    assert wrong(GlobalSecondaryIndexOverride=[index, index]) == f"{INVALID}Duplicate index name: {index['IndexName']}"
    outside = "Requested MaxReadRequestUnits for OnDemandThroughput for {} is outside of valid range"
    none = {"MaxReadRequestUnits": 0}
    assert wrong(OnDemandThroughputOverride=none) == INVALID + outside.format("table")
    assert wrong(GlobalSecondaryIndexOverride=[index | {"OnDemandThroughput": none}]) == INVALID + outside.format(
        f"index: {index['IndexName']}"
    )
    assert wrong(GlobalSecondaryIndexOverride=[index | {"Projection": {"ProjectionType": "KEYS_ONLY"}}]) == (
        "Invalid Request: Index other does not match a secondary index that existed in the source table "
        "and cannot be created during the restore operation"
    )
    made_of_it = restore(
        BillingModeOverride="PROVISIONED",
        ProvisionedThroughputOverride=UNITS,
        GlobalSecondaryIndexOverride=[index | {"ProvisionedThroughput": UNITS}],
    )
    assert made_of_it["ProvisionedThroughput"]["WriteCapacityUnits"] == 6
    live = active(dynamodb, made_of_it["TableName"])
    assert [each["IndexName"] for each in live["GlobalSecondaryIndexes"]] == ["other"]
    assert {each["AttributeName"] for each in live["AttributeDefinitions"]} == {"id", "x"}
    eventually(lambda: "GlobalSecondaryIndexes" not in active(dynamodb, restore(GlobalSecondaryIndexOverride=[])["TableName"]))


def test_refusals(table, dynamodb, name, target):
    made = table("id:S")
    arn = back_up(made)
    assert refusal(dynamodb.create_backup, TableName=name, BackupName="abc") == ("TableNotFoundException", f"Table not found: {name}")
    for given in (made.arn, "x" * 40):
        assert refusal(dynamodb.describe_backup, BackupArn=given) == ("ValidationException", "Invalid Backup ARN")
    other = arn.replace(":dynamodb:us-east-1:", ":dynamodb:us-east-1:9")[: len(arn) + 1]
    assert refusal(dynamodb.describe_backup, BackupArn=re.sub(r":\d{12,13}:", ":000000000000:", other))[0] == "AccessDeniedException"
    missing = arn.rpartition("/")[0] + "/01234567890123-aaaaaaaa"
    for operation in (dynamodb.describe_backup, dynamodb.delete_backup):
        assert refusal(operation, BackupArn=missing) == ("BackupNotFoundException", f"Backup not found: {missing}")
    restore = dynamodb.restore_table_from_backup
    assert refusal(restore, TargetTableName=target(), BackupArn=missing)[0] == "BackupNotFoundException"
    exists = ("TableAlreadyExistsException", f"Table already exists: {made.name}")
    assert refusal(restore, TargetTableName=made.name, BackupArn=arn) == exists
    restore = dynamodb.restore_table_to_point_in_time
    times = lambda **more: refusal(restore, **{"TargetTableName": made.name, "SourceTableName": made.name, **more})
    either = "Invalid Request: Either one of RestoreDateTime or UseLatestRestorableTime must be specified, but not both"
    assert times() == ("ValidationException", either)
    now = datetime.now(UTC)
    assert times(UseLatestRestorableTime=True, RestoreDateTime=now)[1].startswith("Invalid Request: Both RestoreDateTime and UseLatest")
    unavailable = f"Point in time recovery is not enabled for table '{made.name}'"
    assert times(UseLatestRestorableTime=True) == ("PointInTimeRecoveryUnavailableException", unavailable)
    assert times(SourceTableName=name, UseLatestRestorableTime=True) == ("TableNotFoundException", f"Table not found: {name}")
    recover(made)
    assert times(UseLatestRestorableTime=True) == exists
    code, message = times(RestoreDateTime=now - timedelta(days=2))
    assert code == "InvalidRestoreTimeException"
    shown = r"'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ'"
    assert re.fullmatch(
        f"RestoreDateTime {shown} must be within EarliestRestorableDateTime {shown} and LatestRestorableDateTime {shown}", message
    )
    assert times(RestoreDateTime=now + timedelta(days=2))[0] == "InvalidRestoreTimeException"


def test_continuous_backups(table, dynamodb, name):
    made = table("id:S")
    described = lambda: made.describe_continuous_backups()["ContinuousBackupsDescription"]
    off = {"PointInTimeRecoveryStatus": "DISABLED"}
    assert described() == {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": off}
    on = recover(made, RecoveryPeriodInDays=7)["PointInTimeRecoveryDescription"]
    assert (on["PointInTimeRecoveryStatus"], on["RecoveryPeriodInDays"]) == ("ENABLED", 7)
    assert on["EarliestRestorableDateTime"] <= on["LatestRestorableDateTime"]
    assert recover(made)["PointInTimeRecoveryDescription"]["EarliestRestorableDateTime"] == on["EarliestRestorableDateTime"]
    message = "Invalid Request: Cannot specify RecoveryPeriodInDays when disabling point-in-time recovery."
    assert refusal(recover, table=made, on=False, RecoveryPeriodInDays=7) == ("ValidationException", message)
    assert refusal(recover, table=made, RecoveryPeriodInDays=36)[0] == "ValidationException"
    recover(made, on=False)
    assert described()["PointInTimeRecoveryDescription"] == off
    assert recover(made)["PointInTimeRecoveryDescription"]["RecoveryPeriodInDays"] == 35
    assert refusal(dynamodb.describe_continuous_backups, TableName=name) == ("TableNotFoundException", f"Table not found: {name}")


def test_any_moment_can_be_restored(table, dynamodb, target):
    made = table("id:S", indexes={"byX": ("x:S",)})
    fill(dynamodb, made.name, 30)
    recover(made)
    moments = []
    dice = random.Random(3)
    for step in range(3):
        for _ in range(25):
            key = str(dice.randrange(40))
            if dice.random() < 0.3:
                made.delete_item(Key={"id": S(key)})
            else:
                made.put_item(Item={"id": S(key), "x": S(f"x{dice.randrange(5)}"), "step": N(step)})
        time.sleep(0.02)
        moments.append((datetime.now(UTC), everything(dynamodb, made.name)))
        time.sleep(0.02)
    assert len({repr(state) for _, state in moments}) == 3
    restored = []
    for at, state in moments:
        name = target()
        restore = {"SourceTableArn": made.arn, "TargetTableName": name, "RestoreDateTime": at.timestamp()}
        summary = dynamodb.restore_table_to_point_in_time(**restore)["TableDescription"]["RestoreSummary"]
        assert summary["SourceTableArn"] == made.arn and abs((summary["RestoreDateTime"] - at).total_seconds()) < 0.01
        restored.append((name, state))
    for name, state in restored:
        active(dynamodb, name)
        assert everything(dynamodb, name) == state
        assert everything(dynamodb, name, IndexName="byX") == {key: item for key, item in state.items() if "x" in item}


def test_a_deleted_table_leaves_a_backup_when_it_was_recoverable(table, dynamodb, target):
    made = table("id:S")
    fill(dynamodb, made.name, 10)
    recover(made)
    before = everything(dynamodb, made.name)
    made.delete_table()
    assert dynamodb.list_backups(TableName=made.name)["BackupSummaries"] == []
    (kept,) = dynamodb.list_backups(TableName=made.name, BackupType="SYSTEM")["BackupSummaries"]
    assert (kept["BackupName"], kept["BackupStatus"], kept["BackupType"]) == (f"{made.name}$DeletedTableBackup", "AVAILABLE", "SYSTEM")
    assert kept["BackupExpiryDateTime"] - kept["BackupCreationDateTime"] == timedelta(days=35) and kept["BackupArn"].endswith("-00000000")
    code, message = refusal(dynamodb.delete_backup, BackupArn=kept["BackupArn"])
    assert code == "ValidationException" and f"not allowed to delete the system backup with arn {kept['BackupArn']}" in message
    name = target()
    dynamodb.restore_table_from_backup(TargetTableName=name, BackupArn=kept["BackupArn"])
    active(dynamodb, name)
    assert everything(dynamodb, name) == before


@pytest.mark.faults
def test_backups_and_restores_survive_kills(fresh_platform):
    running = fresh_platform()
    dynamodb = running.client("dynamodb")
    key = {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST"}
    index = {"IndexName": "byX", "KeySchema": [{"AttributeName": "x", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}
    names = [{"AttributeName": each, "AttributeType": "S"} for each in ("id", "x")]
    dynamodb.create_table(TableName="kept", AttributeDefinitions=names, GlobalSecondaryIndexes=[index], **key)
    fill(dynamodb, "kept", 1500)
    before = everything(dynamodb, "kept")
    spec = {"PointInTimeRecoveryEnabled": True}
    dynamodb.update_continuous_backups(TableName="kept", PointInTimeRecoverySpecification=spec)
    dice = random.Random(os.environ.get("PYTEST_XDIST_WORKER", ""))
    moment = time.time()
    arn = dynamodb.create_backup(TableName="kept", BackupName="kept")["BackupDetails"]["BackupArn"]
    for at in range(50):
        dynamodb.put_item(TableName="kept", Item={"id": S(f"later-{at}"), "x": S("x0")})
    time.sleep(dice.random() * 0.1)
    running.kill()
    dynamodb = running.start().client("dynamodb")
    available = lambda: dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]["BackupStatus"] == "AVAILABLE"
    eventually(available)
    dynamodb.restore_table_from_backup(TargetTableName="from-backup", BackupArn=arn)
    dynamodb.restore_table_to_point_in_time(SourceTableName="kept", TargetTableName="from-log", RestoreDateTime=moment)
    time.sleep(dice.random() * 0.2)
    running.kill()
    dynamodb = running.start().client("dynamodb")
    for name in ("from-backup", "from-log"):
        active(dynamodb, name)
        assert everything(dynamodb, name) == before
        assert everything(dynamodb, name, IndexName="byX") == before


def test_who_may_back_up_and_restore(table, dynamodb, client, name, target):
    """A restore needs both the source's permission and those on the new table."""
    made = table("id:S")
    recover(made)
    iam = client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    mine = client("dynamodb", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    new = target()
    new_arn = made.arn.replace(made.name, new)

    def allow(*statements: tuple[Any, Any]) -> None:
        document = [{"Effect": "Allow", "Action": actions, "Resource": resources} for actions, resources in statements]
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": document}))

    def denied(work: Any, **more: Any) -> str:
        code, message = refusal(work, **more)
        assert code == "AccessDeniedException"
        return message.split("perform: ")[1].split(" because")[0]

    assert denied(mine.create_backup, TableName=made.name, BackupName="mine") == f"dynamodb:CreateBackup on resource: {made.arn}"
    allow(("dynamodb:CreateBackup", made.arn))
    arn = eventually(lambda: mine.create_backup(TableName=made.name, BackupName="mine")["BackupDetails"]["BackupArn"])
    assert denied(mine.describe_backup, BackupArn=arn) == f"dynamodb:DescribeBackup on resource: {arn}"
    assert denied(mine.list_backups) == "dynamodb:ListBackups on resource: *"
    assert denied(mine.delete_backup, BackupArn=arn) == f"dynamodb:DeleteBackup on resource: {arn}"
    restore = {"TargetTableName": new, "BackupArn": arn}
    allow(("dynamodb:RestoreTableFromBackup", [arn, new_arn]))
    eventually(lambda: denied(mine.restore_table_from_backup, **restore) == f"dynamodb:PutItem on resource: {new_arn}")
    again = {"TargetTableName": new, "SourceTableName": made.name, "UseLatestRestorableTime": True}
    assert denied(mine.restore_table_to_point_in_time, **again) == f"dynamodb:RestoreTableToPointInTime on resource: {made.arn}"
    items = [f"dynamodb:{each}" for each in ("PutItem", "UpdateItem", "DeleteItem", "GetItem", "Query", "Scan", "BatchWriteItem")]
    allow(("dynamodb:RestoreTableToPointInTime", [made.arn, new_arn]), (items, new_arn))
    eventually(lambda: mine.restore_table_to_point_in_time(**again)["TableDescription"]["TableStatus"] == "CREATING")
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.delete_user(UserName=name)
