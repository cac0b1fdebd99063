# ruff: noqa: E501 - messages are as long as they are
"""Secondary indexes: kept with every write, sparse, projected, read in order; made and taken away while the table is written."""

import random
import threading

import pytest
from tests.services.dynamodb.conftest import eventually, refusal

S = lambda text: {"S": text}
N = lambda number: {"N": str(number)}
INVALID = "One or more parameter values were invalid: "


def ask(items, index, condition, values, **more):
    return items.query(IndexName=index, KeyConditionExpression=condition, ExpressionAttributeValues=values, **more)


def everything(items, **where):
    found, start = [], None
    while True:
        answer = items.scan(**where, **({"ExclusiveStartKey": start} if start else {}))
        found += answer["Items"]
        start = answer.get("LastEvaluatedKey")
        if start is None:
            return found


def assert_index_agrees(items, index, keys):
    """Every item that has the index's keys is in it once, as it is; and nothing else is."""
    text = lambda item: repr(sorted(item.items()))
    expected = [item for item in everything(items) if all(name in item and kind in item[name] for name, kind in keys.items())]
    assert sorted(map(text, everything(items, IndexName=index))) == sorted(map(text, expected))


def test_a_global_index_follows_its_items(table):
    items = table("id:S", indexes={"byKind": ("kind:S", "n:N")})
    for at in range(12):
        items.put_item(Item={"id": S(str(at)), "kind": S("even" if at % 2 == 0 else "odd"), "n": N(-at)})
    items.put_item(Item={"id": S("sparse"), "kind": S("even")})
    even = lambda **more: [item["id"]["S"] for item in ask(items, "byKind", "kind = :k", {":k": S("even")}, **more)["Items"]]
    assert even() == ["10", "8", "6", "4", "2", "0"]
    items.update_item(Key={"id": S("4")}, UpdateExpression="SET n = :n", ExpressionAttributeValues={":n": N(7)})
    items.update_item(Key={"id": S("6")}, UpdateExpression="REMOVE n")
    items.delete_item(Key={"id": S("8")})
    items.put_item(Item={"id": S("0"), "kind": S("odd"), "n": N(0)})
    assert even() == ["10", "2", "4"]
    assert even(ScanIndexForward=False) == ["4", "2", "10"]
    assert_index_agrees(items, "byKind", {"kind": "S", "n": "N"})


def test_pages_of_an_index_with_equal_keys(table):
    items = table("id:S", "at:N", indexes={"byKind": ("kind:S",)})
    for at in range(10):
        items.put_item(Item={"id": S(str(at % 3)), "at": N(at), "kind": S("same")})
    for forward in (True, False):
        found, start = [], None
        while True:
            answer = ask(
                items,
                "byKind",
                "kind = :k",
                {":k": S("same")},
                Limit=3,
                ScanIndexForward=forward,
                **({"ExclusiveStartKey": start} if start else {}),
            )
            found += [item["at"]["N"] for item in answer["Items"]]
            start = answer.get("LastEvaluatedKey")
            if start is None:
                break
            assert set(start) == {"id", "at", "kind"}
        assert sorted(map(int, found)) == list(range(10))


def test_projections_of_indexes(dynamodb, name):
    keys = [{"AttributeName": "kind", "KeyType": "HASH"}]
    make = lambda name, **projection: {"IndexName": name, "KeySchema": keys, "Projection": projection}
    dynamodb.create_table(
        TableName=name, KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}, {"AttributeName": "kind", "AttributeType": "S"}],
        GlobalSecondaryIndexes=[make("keys", ProjectionType="KEYS_ONLY"), make("some", ProjectionType="INCLUDE", NonKeyAttributes=["a"])],
    )  # fmt: skip
    dynamodb.put_item(TableName=name, Item={"id": S("1"), "kind": S("k"), "a": N(1), "b": N(2)})
    query = lambda index, **more: dynamodb.query(
        TableName=name, IndexName=index, KeyConditionExpression="kind = :k", ExpressionAttributeValues={":k": S("k")}, **more
    )
    assert query("keys")["Items"] == [{"id": S("1"), "kind": S("k")}]
    assert query("some")["Items"] == [{"id": S("1"), "kind": S("k"), "a": N(1)}]
    assert (
        refusal(query, index="keys", Select="ALL_ATTRIBUTES")[1]
        == INVALID + "Select type ALL_ATTRIBUTES is not supported for global secondary index keys because its projection type is not ALL"
    )
    assert refusal(query, index="keys", ConsistentRead=True)[1] == "Consistent reads are not supported on global secondary indexes"
    assert refusal(query, index="keys", ProjectionExpression="a")[0] == "ValidationException"
    dynamodb.delete_table(TableName=name)


def test_local_indexes(table):
    items = table("id:S", "at:N", local={"byWord": ("id:S", "word:S")})
    for at, word in enumerate(["pear", "apple", "quince", "fig"]):
        items.put_item(Item={"id": S("1"), "at": N(at), "word": S(word)})
    items.put_item(Item={"id": S("1"), "at": N(9)})
    found = ask(items, "byWord", "id = :i AND word > :w", {":i": S("1"), ":w": S("b")}, ConsistentRead=True)
    assert [item["word"]["S"] for item in found["Items"]] == ["fig", "pear", "quince"]
    assert_index_agrees(items, "byWord", {"word": "S"})
    written = items.put_item(
        Item={"id": S("1"), "at": N(0), "word": S("plum")}, ReturnConsumedCapacity="INDEXES", ReturnItemCollectionMetrics="SIZE"
    )
    assert written["ConsumedCapacity"]["LocalSecondaryIndexes"] == {"byWord": {"CapacityUnits": 2.0}}
    assert written["ItemCollectionMetrics"] == {"ItemCollectionKey": {"id": S("1")}, "SizeEstimateRangeGB": [0.0, 1.0]}


def test_keys_of_several_attributes(dynamodb, name):
    attribute = lambda each, kind: {"AttributeName": each, "AttributeType": kind}
    key = lambda each, kind: {"AttributeName": each, "KeyType": kind}
    dynamodb.create_table(
        TableName=name, KeySchema=[key("id", "HASH")], BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[attribute("id", "S"), attribute("a", "S"), attribute("b", "N"), attribute("c", "S"), attribute("d", "N")],
        GlobalSecondaryIndexes=[{"IndexName": "wide", "KeySchema": [key("a", "HASH"), key("b", "HASH"), key("c", "RANGE"), key("d", "RANGE")], "Projection": {"ProjectionType": "ALL"}}],
    )  # fmt: skip
    try:
        for at in range(20):
            dynamodb.put_item(TableName=name, Item={"id": S(str(at)), "a": S("a"), "b": N(at % 2), "c": S("xy"[at % 4 // 2]), "d": N(at)})
        query = lambda condition, **values: [
            int(item["id"]["S"])
            for item in dynamodb.query(
                TableName=name, IndexName="wide", KeyConditionExpression=condition, ExpressionAttributeValues={f":{each}": value for each, value in values.items()}
            )["Items"]
        ]  # fmt: skip
        assert query("a = :a AND b = :b", a=S("a"), b=N(0)) == [0, 4, 8, 12, 16, 2, 6, 10, 14, 18]
        assert query("a = :a AND b = :b AND c = :c AND d > :d", a=S("a"), b=N(1), c=S("y"), d=N(7)) == [11, 15, 19]
        assert query("a = :a AND b = :b AND begins_with(c, :c)", a=S("a"), b=N(1), c=S("y")) == [3, 7, 11, 15, 19]
        refused = lambda condition, **values: refusal(query, condition=condition, **values)[1]
        assert refused("a = :a", a=S("a")) == "Query condition missed key schema element: b"
        assert refused("a = :a AND b = :b AND d = :d", a=S("a"), b=N(1), d=N(1)) == "Query condition missed key schema element: c"
        assert refused("a = :a AND b = :b AND c > :c AND d = :d", a=S("a"), b=N(1), c=S("x"), d=N(1)) == "Query key condition not supported"
    finally:
        dynamodb.delete_table(TableName=name)


EMPTY = "The AttributeValue for a key attribute cannot contain an empty string value. IndexName: byKind, IndexKey: kind"
NOT_VALID = "One or more parameter values are not valid. "
TOO_LONG = INVALID + "Size of hashkey has exceeded the maximum size limit of2048 bytes"


@pytest.mark.parametrize(
    "value, when_put, when_updated",
    [
        (
            N(1),
            INVALID + "Type mismatch for Index Key kind Expected: S Actual: N IndexName: byKind",
            "The update expression attempted to update the secondary index key to unsupported type",
        ),
        (
            S(""),
            f"{NOT_VALID}A value specified for a secondary index key is not supported. {EMPTY}",
            f"{NOT_VALID}The update expression attempted to update a secondary index key to a value that is not supported. {EMPTY}",
        ),
        (S("x" * 2049), TOO_LONG, "The update expression attempted to update the secondary index key beyond allowed size limits"),
    ],
)
def test_values_that_an_index_cannot_have(table, value, when_put, when_updated):
    items = table("id:S", indexes={"byKind": ("kind:S",)})
    assert refusal(items.put_item, Item={"id": S("1"), "kind": value}) == ("ValidationException", when_put)
    items.put_item(Item={"id": S("1")})
    code, said = refusal(items.update_item, Key={"id": S("1")}, UpdateExpression="SET kind = :k", ExpressionAttributeValues={":k": value})
    assert (code, said) == ("ValidationException", when_updated)


def test_parts_of_a_sort_key_are_measured_together(dynamodb, name):
    kinds = {"id": "S", "a": "S", "c": "S", "d": "S"}
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": each, "AttributeType": kind} for each, kind in kinds.items()],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[
            {
                "IndexName": "wide",
                "KeySchema": [{"AttributeName": each, "KeyType": kind} for each, kind in (("a", "HASH"), ("c", "RANGE"), ("d", "RANGE"))],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    dynamodb.put_item(TableName=name, Item={"id": S("1"), "a": S("a"), "c": S("c" * 600)})
    update = lambda length: dynamodb.update_item(
        TableName=name, Key={"id": S("1")}, UpdateExpression="SET d = :d", ExpressionAttributeValues={":d": S("d" * length)}
    )
    refused = refusal(update, length=425)[1]
    assert refused == "The update expression attempted to update the secondary index key beyond allowed size limits"
    update(424)
    dynamodb.delete_table(TableName=name)


def test_an_index_is_filled_while_the_table_is_written(table, client):
    items = table("id:S")
    for at in range(150):
        items.put_item(Item={"id": S(str(at)), "kind": [S("a"), S("b"), N(1), S("x" * 3000)][at % 4]})
    stop = threading.Event()
    failures = []

    def write():
        mine, dice = client("dynamodb"), random.Random(7)
        while not stop.is_set():
            key = {"id": S(str(dice.randrange(200)))}
            try:
                if dice.random() < 0.3:
                    mine.delete_item(TableName=items.name, Key=key)
                else:
                    mine.put_item(TableName=items.name, Item=key | {"kind": S(dice.choice("abc"))})
            except Exception as error:
                failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        create = {
            "IndexName": "byKind",
            "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
        made = items.update_table(
            AttributeDefinitions=[{"AttributeName": "kind", "AttributeType": "S"}], GlobalSecondaryIndexUpdates=[{"Create": create}]
        )
        assert made["TableDescription"]["TableStatus"] == "UPDATING"
        assert items.index("byKind")["IndexStatus"] == "CREATING"
        assert refusal(ask, items=items, index="byKind", condition="kind = :k", values={":k": S("a")})[0] == "ValidationException"
        another = create | {"IndexName": "second"}
        updating = f"Attempt to change a resource which is still in use: Table is being updated: {items.name}"
        assert refusal(items.update_table, GlobalSecondaryIndexUpdates=[{"Create": another}]) == ("ResourceInUseException", updating)
        assert refusal(items.delete_table) == ("ResourceInUseException", updating)
        assert items.describe_table()["Table"]["TableStatus"] == "UPDATING"
        eventually(lambda: items.index("byKind")["IndexStatus"] == "ACTIVE")
    finally:
        stop.set()
        writer.join()
    assert failures == []
    in_index = [item["id"]["S"] for item in everything(items, IndexName="byKind")]
    wanted = [item["id"]["S"] for item in everything(items) if 0 < len(item.get("kind", {}).get("S", "")) <= 2048]
    assert sorted(in_index) == sorted(wanted)
    gone = items.update_table(GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "byKind"}}])["TableDescription"]
    assert gone["GlobalSecondaryIndexes"][0]["IndexStatus"] == "DELETING"
    eventually(lambda: items.index("byKind") is None)
    assert [each["AttributeName"] for each in items.describe_table()["Table"]["AttributeDefinitions"]] == ["id"]
