"""Batches and transactions: tables called by name and by ARN, what counts as one item, sizes, conflicts."""

from typing import Any

import pytest
from tests.services.dynamodb.conftest import refusal

from haar.services.dynamodb import errors, items, records, transactions
from haar.services.dynamodb.prepare import PREPARED, Prepared
from haar.services.dynamodb.records import TableRecord
from haar.services.service import Context, Host
from haar.store.contract import Transaction
from haar.store.errors import StoreBusy
from haar.wire.errors import ServiceError

S = lambda text: {"S": text}
KEY = {"id": S("1")}
TWICE = ("ValidationException", "Provided list of item keys contains duplicates")


def test_a_table_called_by_its_arn_is_told_by_its_arn(table, dynamodb):
    things = table("id:S")
    arn = things.arn
    told = lambda answer: answer["ConsumedCapacity"]["TableName"]
    more: dict[str, Any] = {"TableName": arn, "ReturnConsumedCapacity": "TOTAL"}
    assert told(dynamodb.put_item(Item=KEY, **more)) == arn
    assert told(dynamodb.update_item(Key=KEY, **more)) == arn
    assert told(dynamodb.get_item(Key=KEY, **more)) == arn
    assert told(dynamodb.scan(**more)) == arn
    assert told(dynamodb.query(KeyConditionExpression="id = :id", ExpressionAttributeValues={":id": S("1")}, **more)) == arn
    assert told(dynamodb.delete_item(Key=KEY, **more)) == arn
    assert told(dynamodb.get_item(Key=KEY, **more | {"TableName": things.name})) == things.name
    every = lambda answer: [each["TableName"] for each in answer["ConsumedCapacity"]]
    capacity = {"ReturnConsumedCapacity": "TOTAL"}
    assert every(dynamodb.batch_write_item(RequestItems={arn: [{"PutRequest": {"Item": KEY}}]}, **capacity)) == [arn]
    assert every(dynamodb.batch_get_item(RequestItems={arn: {"Keys": [KEY]}}, **capacity)) == [arn]
    assert every(dynamodb.transact_write_items(TransactItems=[{"Put": {"TableName": arn, "Item": KEY}}], **capacity)) == [arn]
    assert every(dynamodb.transact_get_items(TransactItems=[{"Get": {"TableName": arn, "Key": KEY}}], **capacity)) == [arn]


@pytest.mark.parametrize("end", ["/index/byKind", "/", ";"])
def test_what_is_no_tables_arn_names_no_table(table, end):
    things = table("id:S", indexes={"byKind": ("kind:S",)})
    code, message = refusal(things.client.get_item, TableName=things.arn + end, Key=KEY)
    assert code == "ValidationException" and message.startswith("Invalid table ARN")


def test_one_item_of_a_table_with_two_names_is_one_item(table, dynamodb):
    things = table("id:S")
    put = {"PutRequest": {"Item": KEY}}
    other = {"PutRequest": {"Item": {"id": S("2")}}}
    assert refusal(dynamodb.batch_write_item, RequestItems={things.name: [put], things.arn: [{"DeleteRequest": {"Key": KEY}}]}) == TWICE
    assert refusal(dynamodb.batch_get_item, RequestItems={things.name: {"Keys": [KEY]}, things.arn: {"Keys": [KEY]}}) == TWICE
    both = [{"Put": {"TableName": called, "Item": KEY}} for called in (things.name, things.arn)]
    assert refusal(dynamodb.transact_write_items, TransactItems=both)[1] == transactions.TWICE
    dynamodb.batch_write_item(RequestItems={things.name: [put], things.arn: [other]})
    got = dynamodb.batch_get_item(RequestItems={things.name: {"Keys": [KEY]}, things.arn: {"Keys": [{"id": S("2")}]}})
    assert got["Responses"] == {things.name: [KEY], things.arn: [{"id": S("2")}]}


def test_a_large_batch_is_written_whole(table, dynamodb):
    things = table("id:S", indexes={"byKind": ("kind:S",)})
    sent = [{"id": S(str(at)), "kind": S("k"), "a": S("x" * 60_000)} for at in range(25)]
    answer = dynamodb.batch_write_item(
        RequestItems={things.name: [{"PutRequest": {"Item": item}} for item in sent]}, ReturnConsumedCapacity="TOTAL"
    )
    assert answer["UnprocessedItems"] == {} and answer["ConsumedCapacity"][0]["CapacityUnits"] == 25 * 2 * 59
    assert things.scan(Select="COUNT")["Count"] == 18
    counted = things.query(
        IndexName="byKind", KeyConditionExpression="kind = :k", ExpressionAttributeValues={":k": S("k")}, ProjectionExpression="id"
    )
    assert counted["Count"] == 18 and "LastEvaluatedKey" in counted
    got = dynamodb.batch_get_item(RequestItems={things.name: {"Keys": [{"id": item["id"]} for item in sent]}})
    assert sorted(got["Responses"][things.name], key=lambda item: int(item["id"]["S"])) == sent


def test_what_updates_make_counts_for_the_size_of_a_transaction(table, dynamodb):
    things = table("id:S")
    for at in range(11):
        things.put_item(Item={"id": S(str(at)), "a": S("x" * 390_000)})
    touch = lambda at: {
        "Update": {
            "TableName": things.name,
            "Key": {"id": S(str(at))},
            "UpdateExpression": "SET b = :b",
            "ExpressionAttributeValues": {":b": S("b")},
        }
    }
    assert refusal(dynamodb.transact_write_items, TransactItems=[touch(at) for at in range(11)])[1] == transactions.TOO_LARGE
    assert "b" not in things.get_item(Key={"id": S("0")})["Item"]
    dynamodb.transact_write_items(TransactItems=[touch(at) for at in range(10)])
    assert things.get_item(Key={"id": S("0")})["Item"]["b"] == S("b")


NAMES = (
    "Map keys must satisfy constraint: [Member must have length less than or equal to 255, "
    "Member must have length greater than or equal to 3, Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+]"
)


def test_names_that_no_table_can_have(dynamodb):
    code, message = refusal(dynamodb.batch_write_item, RequestItems={"a;": [{"DeleteRequest": {"Key": KEY}}]})
    assert code == "ValidationException" and message.endswith(f"' at 'requestItems' failed to satisfy constraint: {NAMES}")
    assert refusal(dynamodb.batch_get_item, RequestItems={"a": {"Keys": [KEY]}})[1].endswith(NAMES)
    short = "failed to satisfy constraint: Member must have length greater than or equal to 3"
    found = refusal(dynamodb.transact_get_items, TransactItems=[{"Get": {"TableName": "a", "Key": KEY}}])[1]
    assert found == f"1 validation error detected: Value 'a' at 'transactItems.1.member.get.tableName' {short}"
    found = refusal(dynamodb.transact_write_items, TransactItems=[{"Delete": {"TableName": "bc", "Key": KEY}}])[1]
    assert found == f"1 validation error detected: Value 'bc' at 'transactItems.1.member.delete.tableName' {short}"


def test_far_too_many_are_refused_soon(table, dynamodb):
    things = table("id:S")
    many = [{"id": S(str(at))} for at in range(20_000)]
    for work, given in (
        (dynamodb.batch_get_item, {"RequestItems": {things.name: {"Keys": many}}}),
        (dynamodb.batch_write_item, {"RequestItems": {things.name: [{"DeleteRequest": {"Key": key}} for key in many]}}),
        (dynamodb.transact_write_items, {"TransactItems": [{"Delete": {"TableName": things.name, "Key": key}} for key in many]}),
    ):
        code, message = refusal(work, **given)
        assert code == "ValidationException" and "Member must have length less than or equal to" in message
        assert len(message) < 200_000, "not all that is too much has to be told"


@pytest.fixture
async def busy(host: Host, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A call on the table `things` while other writers keep every transaction from committing."""
    record = TableRecord("things", "us-east-1", "t", "s", 0.0, [("id", "HASH")], {"id": "S"})

    async def make(tx: Transaction) -> None:
        tx.put(*records.place(record.region, record.name), records.encode(record))

    async def kept(fn: Any) -> Any:
        raise StoreBusy("conflicts do not end")

    await host.store.transact(make)
    monkeypatch.setattr(host.store, "transact", kept)
    return Context(host, None, "us-east-1", "r", "TransactWriteItems")  # type: ignore[arg-type]


async def test_conflicts_that_do_not_end_are_told_as_conflicts(busy):
    request = {"TableName": "things", "Key": KEY, PREPARED: Prepared()}
    with pytest.raises(ServiceError) as refused:
        await items.delete_item(busy, request)
    assert (refused.value.code, refused.value.message) == ("TransactionConflictException", errors.CONFLICT)
    given = [{"Delete": request}, {"Delete": request | {"Key": {"id": S("2")}}}]
    for work in (transactions.commit(busy, {}, given, b""), transactions.transact_get_items(busy, {"TransactItems": [{"Get": request}]})):
        with pytest.raises(ServiceError) as cancelled:
            await work
        assert {"Code": "TransactionConflict", "Message": errors.CONFLICT} in cancelled.value.fields["CancellationReasons"]
        assert cancelled.value.code == "TransactionCanceledException"
