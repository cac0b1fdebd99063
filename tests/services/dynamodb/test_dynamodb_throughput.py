"""Provisioned throughput, where the platform is told to enforce it."""

import pytest
from tests.services.dynamodb.conftest import refusal

S = lambda text: {"S": text}


@pytest.fixture
def slow(fresh_platform):
    """A client and a table of one read and one write unit a second."""
    client = fresh_platform(environment={"HAAR_ENFORCE_THROUGHPUT": "1"}).client("dynamodb")
    for name, billing in (
        ("slow", {"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}),
        ("quick", {"BillingMode": "PAY_PER_REQUEST"}),
    ):
        key = {
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        }
        client.create_table(TableName=name, **key, **billing)
    return client


def test_bursts_end(slow):
    large = {"x": S("x" * 390_000)}
    put = lambda name, key: slow.put_item(TableName=name, Item={"id": S(key), **large})
    put("slow", "1")
    code, message = refusal(put, name="slow", key="2")
    assert code == "ProvisionedThroughputExceededException"
    assert message.startswith("The level of configured provisioned throughput for the table was exceeded. Consider increasing")
    for at in range(3):
        put("quick", str(at))
    for _ in range(7):
        slow.get_item(TableName="slow", Key={"id": S("1")})
    assert refusal(slow.get_item, TableName="slow", Key={"id": S("1")})[0] == "ProvisionedThroughputExceededException"
    assert refusal(slow.scan, TableName="slow")[0] == "ProvisionedThroughputExceededException"
    batch = {name: [{"PutRequest": {"Item": {"id": S("b")}}}] for name in ("slow", "quick")}
    assert slow.batch_write_item(RequestItems=batch)["UnprocessedItems"] == {"slow": batch["slow"]}
    keys = {name: {"Keys": [{"id": S("b")}]} for name in ("slow", "quick")}
    answer = slow.batch_get_item(RequestItems=keys)
    assert answer["UnprocessedKeys"] == {"slow": keys["slow"]} and answer["Responses"]["quick"] == [{"id": S("b")}]


def test_conditions_that_fail_cost_as_well(slow):
    large = {"id": S("1"), "x": S("x" * 290_000)}
    slow.put_item(TableName="slow", Item=large)
    condition = {"Item": {"id": S("1")}, "ConditionExpression": "attribute_not_exists(id)"}
    assert refusal(slow.put_item, TableName="slow", **condition)[0] == "ConditionalCheckFailedException"
    assert refusal(slow.put_item, TableName="slow", **condition)[0] == "ProvisionedThroughputExceededException"


def test_who_is_throttled_is_told_why(slow):
    def reasons(work, **parameters):
        with pytest.raises(slow.exceptions.ClientError) as error:
            work(**parameters)
        return error.value.response

    put = lambda name, **item: {"Put": {"TableName": name, "Item": {"id": S("1"), **item}}}
    slow.transact_write_items(TransactItems=[put("slow", x=S("x" * 190_000)), put("quick")])
    arn = slow.describe_table(TableName="slow")["Table"]["TableArn"]
    throttled = reasons(slow.put_item, TableName="slow", Item={"id": S("1")})
    assert throttled["ThrottlingReasons"] == [{"reason": "TableWriteProvisionedThroughputExceeded", "resource": arn}]
    cancelled = reasons(slow.transact_write_items, TransactItems=[put("quick"), put("slow")])
    assert cancelled["Error"]["Code"] == "TransactionCanceledException"
    assert cancelled["Error"]["Message"].endswith("[None, ProvisionedThroughputExceeded]")
    assert cancelled["CancellationReasons"][1] == {"Code": "ProvisionedThroughputExceeded", "Message": throttled["Error"]["Message"]}
    get = {"Get": {"TableName": "slow", "Key": {"id": S("1")}}}
    for _ in range(4):
        slow.transact_get_items(TransactItems=[get])
    cancelled = reasons(slow.transact_get_items, TransactItems=[get])
    assert [each["Code"] for each in cancelled["CancellationReasons"]] == ["ProvisionedThroughputExceeded"]


def test_ceilings_of_on_demand_tables_hold(slow):
    key = {
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    }
    ceiling = {"OnDemandThroughput": {"MaxReadRequestUnits": 1, "MaxWriteRequestUnits": 1}}
    arn = slow.create_table(TableName="ceiling", BillingMode="PAY_PER_REQUEST", **key, **ceiling)["TableDescription"]["TableArn"]
    large = {"id": S("1"), "x": S("x" * 390_000)}
    slow.put_item(TableName="ceiling", Item=large)
    with pytest.raises(slow.exceptions.ClientError) as error:
        slow.put_item(TableName="ceiling", Item=large)
    told = error.value.response
    said = "Throughput exceeds the maximum OnDemandThroughput configured on table or index"
    assert told["Error"] == {"Code": "ThrottlingException", "Message": said} and told["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert told["throttlingReasons"] == [{"reason": "TableWriteMaxOnDemandThroughputExceeded", "resource": arn}]
    put = {"Put": {"TableName": "ceiling", "Item": {"id": S("2")}}}
    code, message = refusal(slow.transact_write_items, TransactItems=[put])
    assert code == "TransactionCanceledException" and message.endswith("[ThrottlingError]")
    for _ in range(7):
        slow.get_item(TableName="ceiling", Key={"id": S("1")})
    assert refusal(slow.get_item, TableName="ceiling", Key={"id": S("1")})[0] == "ThrottlingException"
    batch = {name: [{"PutRequest": {"Item": {"id": S("b")}}}] for name in ("ceiling", "quick")}
    assert slow.batch_write_item(RequestItems=batch)["UnprocessedItems"] == {"ceiling": batch["ceiling"]}
