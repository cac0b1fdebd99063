"""What of a table can be changed only so often; what its description says meanwhile."""

import pytest
from tests.services.dynamodb.conftest import refusal

from haar.clock import SystemClock
from haar.wire.errors import ServiceError

START = 1_800_000_000.0
HOUR, DAY = 3600.0, 86_400.0
PROVISIONED = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}}


class Clock(SystemClock):
    at = START

    def now(self):
        return self.at


@pytest.fixture
async def change(host, ask):
    """change(at=seconds, **parameters) -> the TableDescription of an UpdateTable at that moment"""
    host.clock = Clock()
    key = {
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    }
    await ask("CreateTable", TableName="changing", **key, **PROVISIONED)

    async def work(at=0.0, **parameters):
        host.clock.at = START + at
        return (await ask("UpdateTable", TableName="changing", **parameters))["TableDescription"]

    return work


async def _refused(work):
    with pytest.raises(ServiceError) as error:
        await work
    return error.value.code, error.value.message


async def test_a_table_becomes_on_demand_four_times_a_day(change):
    for hour in range(4):
        await change(hour * HOUR, BillingMode="PAY_PER_REQUEST")
        await change(hour * HOUR, **PROVISIONED)
    assert await _refused(change(5 * HOUR, BillingMode="PAY_PER_REQUEST")) == (
        "LimitExceededException",
        "Subscriber limit exceeded: Update to PayPerRequest mode are limited to 4 times in 1 day(s). "
        "Last update at Fri Jan 15 11:00:00 UTC 2027. Next update can be made at Sat Jan 16 08:00:00 UTC 2027",
    )
    await change(DAY, BillingMode="PAY_PER_REQUEST")
    await change(DAY, BillingMode="PAY_PER_REQUEST")
    await change(DAY, **PROVISIONED)
    assert (await _refused(change(DAY, BillingMode="PAY_PER_REQUEST")))[0] == "LimitExceededException"


async def test_a_table_changes_its_class_twice_in_thirty_days(change):
    await change(TableClass="STANDARD")
    rare = "STANDARD_INFREQUENT_ACCESS"
    shown = await change(HOUR, TableClass=rare)
    assert shown["TableClassSummary"]["TableClass"] == rare
    assert shown["TableClassSummary"]["LastUpdateDateTime"].timestamp() == START + HOUR
    await change(DAY, TableClass=rare)
    await change(DAY, TableClass="STANDARD")
    code, message = await _refused(change(29 * DAY, TableClass=rare))
    assert code == "LimitExceededException" and message.startswith("Subscriber limit exceeded: ")
    await change(30 * DAY + HOUR, TableClass=rare)


async def test_a_table_changes_its_encryption_four_times_a_day_and_then_once_in_six_hours(change):
    on, off = {"SSESpecification": {"Enabled": True}}, {"SSESpecification": {"Enabled": False}}
    shown = await change(**on)
    assert shown["SSEDescription"]["Status"] == "UPDATING" and shown["SSEDescription"]["SSEType"] == "KMS"
    same = "One or more parameter values were invalid: Table is already encrypted by given KMSMasterKeyId"
    assert await _refused(change(**on)) == ("ValidationException", same)
    await change(HOUR, **off)
    await change(2 * HOUR, **on)
    await change(3 * HOUR, **off)
    assert await _refused(change(9 * HOUR - 1, **on)) == (
        "LimitExceededException",
        "Subscriber limit exceeded: Encryption mode changes are limited in the 24h window ending at 2027-01-16T08:00:00.000Z. "
        "After the first 4 change, each subsequent change in the same window can be performed at most once every 21600 seconds. "
        "Number of updates today: 4",
    )
    await change(9 * HOUR, **on)
    assert (await _refused(change(10 * HOUR, **off)))[0] == "LimitExceededException"


async def test_what_a_table_can_take_at_once_only_rises(change):
    assert (await change(BillingMode="PAY_PER_REQUEST"))["WarmThroughput"]["ReadUnitsPerSecond"] == 12_000
    warm = {"ReadUnitsPerSecond": 12_000, "WriteUnitsPerSecond": 4000}
    assert (await change(**PROVISIONED))["WarmThroughput"] == {**warm, "Status": "ACTIVE"}
    shown = await change(WarmThroughput={"ReadUnitsPerSecond": 12_001})
    assert shown["WarmThroughput"] == {**warm, "ReadUnitsPerSecond": 12_001, "Status": "UPDATING"}


def test_what_was_changed_is_there_when_it_is_described(table):
    made = table("id:S", SSESpecification={"Enabled": True})
    assert made.update_table(SSESpecification={"Enabled": False})["TableDescription"]["SSEDescription"]["Status"] == "UPDATING"
    assert "SSEDescription" not in made.describe_table()["Table"]
    assert "LastUpdateDateTime" not in made.update_table(TableClass="STANDARD")["TableDescription"]["TableClassSummary"]
    assert refusal(made.update_table, TableClass="OTHER")[0] == "ValidationException"
