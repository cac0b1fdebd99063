"""TransactWriteItems and TransactGetItems: all or nothing, reasons, tokens, isolation."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.services.dynamodb.conftest import refusal

S = lambda text: {"S": text}
N = lambda number: {"N": str(number)}


@pytest.fixture
def two(table):
    first, second = table("id:S", indexes={"byN": ("n:N",)}), table("id:S")
    first.put_item(Item={"id": S("a"), "n": N(1)})
    second.put_item(Item={"id": S("b"), "n": N(2)})
    return first, second


def put(items, item, **more):
    return {"Put": {"TableName": items.name, "Item": item, **more}}


def update(items, key, expression, values, **more):
    return {
        "Update": {
            "TableName": items.name,
            "Key": {"id": S(key)},
            "UpdateExpression": expression,
            "ExpressionAttributeValues": values,
            **more,
        }
    }


def reasons(dynamodb, actions, **more):
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as cancelled:
        dynamodb.transact_write_items(TransactItems=actions, **more)
    response = cancelled.value.response
    codes = ", ".join(reason["Code"] for reason in response["CancellationReasons"])
    assert response["Error"]["Message"] == f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    return response["CancellationReasons"]


def test_all_kinds_over_tables(two, dynamodb):
    first, second = two
    dynamodb.transact_write_items(
        TransactItems=[
            put(first, {"id": S("new"), "n": N(9)}, ConditionExpression="attribute_not_exists(id)"),
            update(first, "a", "SET n = n + :one", {":one": N(1)}),
            {
                "Delete": {
                    "TableName": second.name,
                    "Key": {"id": S("b")},
                    "ConditionExpression": "n = :n",
                    "ExpressionAttributeValues": {":n": N(2)},
                }
            },
            {"ConditionCheck": {"TableName": second.name, "Key": {"id": S("other")}, "ConditionExpression": "attribute_not_exists(id)"}},
        ]
    )
    got = dynamodb.transact_get_items(
        TransactItems=[
            {"Get": {"TableName": items.name, "Key": {"id": S(key)}}} for items, key in ((first, "new"), (first, "a"), (second, "b"))
        ]
    )
    assert got["Responses"] == [{"Item": {"id": S("new"), "n": N(9)}}, {"Item": {"id": S("a"), "n": N(2)}}, {}]
    by_n = first.query(IndexName="byN", KeyConditionExpression="n = :n", ExpressionAttributeValues={":n": N(2)})
    assert [item["id"] for item in by_n["Items"]] == [S("a")]


def test_nothing_is_written_when_one_condition_fails(two, dynamodb):
    first, second = two
    found = reasons(
        dynamodb,
        [
            put(first, {"id": S("new")}),
            put(first, {"id": S("a")}, ConditionExpression="attribute_not_exists(id)", ReturnValuesOnConditionCheckFailure="ALL_OLD"),
            {
                "Delete": {
                    "TableName": second.name,
                    "Key": {"id": S("b")},
                    "ConditionExpression": "n = :n",
                    "ExpressionAttributeValues": {":n": N(3)},
                }
            },
            update(second, "nobody", "SET n = nothing + :one", {":one": N(1)}),
        ],
    )
    failed = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
    assert found == [
        {"Code": "None"}, failed | {"Item": {"id": S("a"), "n": N(1)}}, failed,
        {"Code": "ValidationError", "Message": "The provided expression refers to an attribute that does not exist in the item"},
    ]  # fmt: skip
    assert first.scan()["Count"] == 1 and second.scan()["Count"] == 1


@pytest.mark.parametrize(
    "make, error",
    [
        (
            lambda first: [put(first, {"id": S("x")}), put(first, {"id": S("x")})],
            ("ValidationException", "Transaction request cannot include multiple operations on one item"),
        ),
        (
            lambda first: [put(first, {"id": S("x")}) | {"Delete": {"TableName": first.name, "Key": {"id": S("y")}}}],
            ("ValidationException", "TransactItems can only contain one of Check, Put, Update or Delete"),
        ),
        (
            lambda first: [{"Put": {"TableName": "no-such-table", "Item": {"id": S("x")}}}],
            ("ResourceNotFoundException", "Requested resource not found"),
        ),
        (
            lambda first: [update(first, "a", "SET n = :u", {":one": N(1)})],
            (
                "ValidationException",
                "Invalid UpdateExpression: An expression attribute value used in expression is not defined; attribute value: :u",
            ),
        ),
    ],
)
def test_transactions_that_are_refused(two, dynamodb, make, error):
    first, _ = two
    assert refusal(dynamodb.transact_write_items, TransactItems=make(first)) == error
    assert first.scan()["Count"] == 1


def test_a_hundred_and_no_more(two, dynamodb):
    first, _ = two
    dynamodb.transact_write_items(TransactItems=[put(first, {"id": S(str(at))}) for at in range(100)])
    assert first.scan(Select="COUNT")["Count"] == 101
    code, message = refusal(dynamodb.transact_write_items, TransactItems=[put(first, {"id": S(str(at))}) for at in range(101)])
    assert code == "ValidationException" and "Member must have length less than or equal to 100" in message


def test_a_token_makes_it_once(two, dynamodb, name):
    first, _ = two
    again = lambda step: dynamodb.transact_write_items(
        TransactItems=[update(first, "a", "ADD n :one", {":one": N(step)})], ClientRequestToken=name, ReturnConsumedCapacity="TOTAL"
    )["ConsumedCapacity"][0]
    written, read = again(1), again(1)
    assert written["WriteCapacityUnits"] == 4.0 and read["ReadCapacityUnits"] == 2.0
    assert first.get_item(Key={"id": S("a")})["Item"]["n"] == N(2)
    assert refusal(again, step=5)[0] == "IdempotentParameterMismatchException"


def test_transfers_keep_the_sum(table, client):
    accounts = table("id:S")
    for at in range(4):
        accounts.put_item(Item={"id": S(str(at)), "n": N(100)})
    keys = [{"Get": {"TableName": accounts.name, "Key": {"id": S(str(at))}}} for at in range(4)]

    def work(worker):
        mine = client("dynamodb")
        for at in range(20):
            one, other = str((worker + at) % 4), str((worker + at + 1 + at % 3) % 4)
            enough = {"ConditionExpression": "n >= :ten"}
            values = {":ten": N(10)}
            try:
                mine.transact_write_items(
                    TransactItems=[
                        update(accounts, one, "SET n = n - :ten", values, **enough),
                        update(accounts, other, "SET n = n + :ten", values),
                    ]
                )
            except mine.exceptions.TransactionCanceledException:
                continue
            seen = [int(each["Item"]["n"]["N"]) for each in mine.transact_get_items(TransactItems=keys)["Responses"]]
            assert sum(seen) == 400, seen

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


def test_reads_are_refused_with_reasons(two, dynamodb):
    first, _ = two
    get = lambda key: {"Get": {"TableName": first.name, "Key": key}}
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as cancelled:
        dynamodb.transact_get_items(TransactItems=[get({"id": S("a")}), get({"id": N(1)})])
    wrong = {"Code": "ValidationError", "Message": "The provided key element does not match the schema"}
    assert cancelled.value.response["CancellationReasons"] == [{"Code": "None"}, wrong]
    twice = [get({"id": S("a")}), get({"id": S("a")})]
    assert refusal(dynamodb.transact_get_items, TransactItems=twice) == (
        "ValidationException",
        "Transaction request cannot include multiple operations on one item",
    )
