"""Vector indexes and SearchVectors.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/VectorSearchWorkingWith.html
"""

import json
import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.services.dynamodb.conftest import Table, eventually, refusal, schema
from tests.support.users import iam, user  # noqa: F401 - fixtures

from haar.services.dynamodb import search

S = lambda text: {"S": text}
INVALID = "One or more parameter values were invalid: "
UNITS = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
TENANT = [
    {"AttributeName": "tenant", "SearchSchemaElementType": "HASH"},
    {"AttributeName": "brand", "SearchSchemaElementType": "INLINE_FILTER"},
]
vector = lambda *numbers: [{"N": str(number)} for number in numbers]
L = lambda *numbers: {"L": vector(*numbers)}


def index(name="near", distance="COSINE", dimensions=3, projection="ALL", attribute="embedding", **more):
    projected = projection if isinstance(projection, dict) else {"ProjectionType": projection}
    return {
        "IndexName": name,
        "VectorAttribute": {"AttributeName": attribute},
        "Projection": projected,
        "Dimensions": dimensions,
        "DistanceFunction": distance,
        **more,
    }


@pytest.fixture
def make(dynamodb, name):
    """make(index, …, names=("id", …), **parameters) -> Table with these vector indexes"""

    def made(*indexes, names=("id",), **parameters):
        definitions = [{"AttributeName": each, "AttributeType": "S"} for each in names]
        given = {"BillingMode": "PAY_PER_REQUEST", **({"VectorIndexes": list(indexes)} if indexes else {}), **parameters}
        dynamodb.create_table(TableName=name, KeySchema=schema("id"), AttributeDefinitions=definitions, **given)
        return Table(dynamodb, name)

    yield made
    try:
        dynamodb.delete_table(TableName=name)
    except (dynamodb.exceptions.ResourceNotFoundException, dynamodb.exceptions.ResourceInUseException):
        return


def settled(items):
    """The table's description once nothing is under way."""
    return eventually(lambda: (now := items.describe_table()["Table"])["TableStatus"] == "ACTIVE" and now)


def found(items, name="near", numbers=(1, 0, 0), most=10, **more):
    """Keys and scores, in order."""
    results = items.search_vectors(IndexName=name, SearchVector=vector(*numbers), TopK=most, **more)["SearchResults"]
    return [(each["Item"]["id"]["S"], each["Score"]) for each in results]


def test_the_nearest_come_first_by_each_distance(make):
    items = make(*[index(each.lower(), each) for each in search.SCORES])
    shown = settled(items)["VectorIndexes"]
    assert [each["IndexStatus"] for each in shown] == ["ACTIVE"] * 3 and "Backfilling" not in shown[0]
    assert shown[0]["IndexArn"] == f"{items.arn}/index/cosine"
    for key, numbers in {"same": (1, 0, 0), "long": (10, 0, 0), "across": (0, 1, 0), "back": (-1, 0, 0)}.items():
        items.put_item(Item={"id": S(key), "embedding": L(*numbers)})
    items.put_item(Item={"id": S("none")})
    assert sorted(found(items, "cosine")[:2]) == [("long", 0.0), ("same", 0.0)]
    assert found(items, "cosine")[2:] == [("across", 1.0), ("back", 2.0)]
    assert found(items, "euclidean") == [("same", 0.0), ("across", pytest.approx(math.sqrt(2))), ("back", 2.0), ("long", 9.0)]
    assert found(items, "dot_product", most=3) == [("long", 10.0), ("same", 1.0), ("across", 0.0)]
    items.update_item(Key={"id": S("long")}, UpdateExpression="REMOVE embedding")
    items.delete_item(Key={"id": S("same")})
    assert [key for key, _ in found(items, "euclidean")] == ["across", "back"]
    assert [each["ItemCount"] for each in items.describe_table()["Table"]["VectorIndexes"]] == [2, 2, 2]


def test_searches_are_narrowed_by_equality(make):
    items = make(index(SearchSchema=TENANT), names=("id", "tenant", "brand"))
    for key, more in {"1": {"brand": S("x")}, "2": {"brand": S("y")}, "3": {}}.items():
        items.put_item(Item={"id": S(key), "tenant": S("a"), "embedding": L(1, 0, int(key)), **more})
    items.put_item(Item={"id": S("other"), "tenant": S("b"), "embedding": L(1, 0, 0)})
    items.put_item(Item={"id": S("of nobody"), "embedding": L(1, 0, 0)})
    ask = lambda text, **values: [
        key
        for key, _ in found(
            items, SearchConditionExpression=text, ExpressionAttributeValues={f":{each}": S(value) for each, value in values.items()}
        )
    ]
    assert ask("tenant = :t", t="a") == ["1", "2", "3"] and ask("tenant = :t", t="c") == []
    assert ask(":b = brand AND (tenant = :t)", t="a", b="y") == ["2"]
    required = "SearchConditionExpression must be provided when SearchSchema has a HASH key"
    assert refusal(found, items=items) == ("ValidationException", required)
    wrong = "Invalid SearchConditionExpression: Invalid comparator used in SearchConditionExpression"
    for text in ("tenant < :t", "tenant = :t OR brand = :t", "begins_with(tenant, :t)", "NOT tenant = :t", "tenant IN (:t)"):
        assert refusal(ask, text=text, t="a") == ("ValidationException", wrong)
    for text in ("tenant = :t AND id = :t", "tenant = :t AND brand.x = :t", "tenant = :t AND tenant = :t"):
        code, message = refusal(ask, text=text, t="a")
        assert code == "ValidationException" and message.startswith("Invalid SearchConditionExpression: ")


def test_what_a_search_answers(make):
    items = make(index(projection={"ProjectionType": "INCLUDE", "NonKeyAttributes": ["title"]}), index("keys", projection="KEYS_ONLY"))
    items.put_item(Item={"id": S("1"), "embedding": L(0.1, 0, 0), "title": S("t"), "unseen": S("x")})
    ask = lambda **more: items.search_vectors(**{"IndexName": "near", "SearchVector": vector(1, 0, 0), "TopK": 1, **more})
    (result,) = ask()["SearchResults"]
    assert result["Item"] == {"id": S("1"), "title": S("t")} and result["Score"] == pytest.approx(0)
    assert ask(IndexName="keys")["SearchResults"][0]["Item"] == {"id": S("1")}
    (result,) = ask(ProjectionExpression="#e, title, unseen", ExpressionAttributeNames={"#e": "embedding"})["SearchResults"]
    assert result["Item"] == {"embedding": L(0.1, 0, 0), "title": S("t")}
    assert "ConsumedCapacity" not in ask()
    assert ask(ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"] == {"VectorSearchRequestBytes": 1024.0}
    wrote = items.put_item(Item={"id": S("2"), "embedding": L(1, 1, 1)}, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    assert wrote["CapacityUnits"] == 1 and wrote["VectorIndexes"]["keys"] == {"VectorWriteRequestBytes": 1024.0}


def test_what_a_search_cannot_ask(make):
    items = make(index(), GlobalSecondaryIndexes=[{"IndexName": "byX", "KeySchema": schema("x"), "Projection": {"ProjectionType": "ALL"}}],
                 names=("id", "x"))  # fmt: skip
    wrong = lambda **more: refusal(items.search_vectors, **{"IndexName": "near", "SearchVector": vector(1, 0, 0), "TopK": 1, **more})[1]
    assert wrong(TopK=101) == "Provided TopK value '101' is out of valid range. The value must be between 1 and 100 inclusive"
    assert wrong(SearchVector=vector(1, 2)) == "Input search vector dimension 2 does not match vector index dimension 3"
    assert wrong(IndexName="nowhere") == "The table does not have the specified index: nowhere"
    assert wrong(SearchVector=[S("a")]).startswith(INVALID + "Invalid type for parameter SearchVector[0]")
    assert wrong(SearchVector=vector("1e40", 0, 0)).startswith(INVALID + "Invalid value for parameter SearchVector[0]")
    assert found(items, numbers=("3.4028235e38", 0, 0)) == [], "the largest number of 32 bits, as it is written"
    assert "not supported on this index type" in wrong(IndexName="byX")
    for ask, operation in ((items.scan, "Scan"), (items.query, "Query")):
        more = {} if operation == "Scan" else {"KeyConditionExpression": "id = :i", "ExpressionAttributeValues": {":i": S("1")}}
        unsupported = ("ValidationException", f"{operation} operation not supported on this index type.")
        assert refusal(ask, IndexName="near", **more) == unsupported
    missing = refusal(items.client.search_vectors, TableName="nowhere", IndexName="near", SearchVector=vector(1), TopK=1)
    assert missing == ("ResourceNotFoundException", "Requested resource not found")


def test_vectors_that_do_not_fit_are_not_written(make):
    items = make(index(SearchSchema=TENANT[:1]), names=("id", "tenant"))
    put = lambda **item: refusal(items.put_item, Item={"id": S("1"), **item})
    size = "Invalid size for parameter embedding, Expected: 3, Actual: 2. IndexName: near"
    assert put(embedding=L(1, 2)) == ("ValidationException", INVALID + size)
    for value in (S("x"), {"N": "1"}, {"NS": ["1", "2", "3"]}, {"L": [S("x")] * 3}, L("1e40", 0, 0)):
        code, message = put(embedding=value)
        assert code == "ValidationException" and message.startswith(INVALID + "Invalid ") and message.endswith("IndexName: near")
    assert put(embedding=L(1, 2, 3), tenant={"N": "1"})[1].startswith(INVALID + "Type mismatch for Index Key tenant")
    items.put_item(Item={"id": S("1"), "embedding": L(1, 2, 3)})
    short = {"Key": {"id": S("1")}, "UpdateExpression": "REMOVE embedding[0]"}
    assert refusal(items.update_item, **short) == ("ValidationException", INVALID + size)
    items.update_item(Key={"id": S("1")}, UpdateExpression="SET embedding[0] = :n, tenant = :t",
                      ExpressionAttributeValues={":n": {"N": "9"}, ":t": S("a")})  # fmt: skip
    condition = {"SearchConditionExpression": "tenant = :t", "ExpressionAttributeValues": {":t": S("a")}}
    assert [key for key, _ in found(items, **condition)] == ["1"]


def test_indexes_of_tables_that_are_there(make):
    items = make(index("first"))
    items.put_item(Item={"id": S("1"), "embedding": L(1, 0, 0), "other": L(1)})
    items.put_item(Item={"id": S("2"), "other": L(1, 2)})
    update = lambda *changes: items.update_table(VectorIndexUpdates=list(changes))["TableDescription"]
    one = "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
    assert refusal(lambda: update({"Create": index("two")}, {"Create": index("three")})) == ("LimitExceededException", one)
    assert refusal(lambda: update({"Create": index("first")}))[1] == "Attempting to create an index which already exists"
    assert refusal(lambda: update({"Delete": {"IndexName": "nowhere"}}))[0] == "ResourceNotFoundException"
    assert refusal(lambda: update({}))[0] == "ValidationException"
    stream = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}}
    both = refusal(items.update_table, VectorIndexUpdates=[{"Delete": {"IndexName": "first"}}], **stream)
    assert both == ("ValidationException", INVALID + "You cannot create or delete index while changing stream status")
    answer = update({"Create": index("later", dimensions=2, attribute="other")})
    (shown,) = [each for each in answer["VectorIndexes"] if each["IndexName"] == "later"]
    assert answer["TableStatus"] == "UPDATING" and shown["IndexStatus"] == "CREATING" and not shown.get("Backfilling")
    early = refusal(found, items=items, name="later", numbers=(1, 2))
    assert early == ("ValidationException", "Cannot search backfilling vector index: later")
    settled(items)
    assert found(items, "later", (1, 2)) == [("2", pytest.approx(0))]
    update({"Delete": {"IndexName": "first"}})
    assert refusal(found, items=items, name="first")[1] == "The table does not have the specified index: first"
    assert [each["IndexName"] for each in settled(items)["VectorIndexes"]] == ["later"]
    on_demand = refusal(items.update_table, BillingMode="PROVISIONED", ProvisionedThroughput=UNITS)
    assert on_demand[0] == "ValidationException" and "PAY_PER_REQUEST" in on_demand[1]


@pytest.mark.parametrize(
    ("indexes", "message"),
    [
        ([index(f"near{at}") for at in range(6)], "VectorIndex count exceeds the per-table limit of 5"),
        ([index(SearchSchema=TENANT)], "One element in SearchSchema is not defined in attribute definitions"),
        ([index(), index()], "Duplicate index name: near"),
        ([index(projection={"ProjectionType": "INCLUDE"})], "ProjectionType is INCLUDE, but NonKeyAttributes is not specified"),
        ([index(), index("far", dimensions=4)], None),
        ([index(dimensions=4097)], None),
        ([index(attribute="id")], None),
    ],
)
def test_indexes_that_cannot_be(make, indexes, message):
    code, told = refusal(lambda: make(*indexes))
    assert code == "ValidationException" and (told == INVALID + message if message else told.startswith(INVALID))


def test_a_provisioned_table_has_no_vector_indexes(make):
    assert refusal(lambda: make(index(), BillingMode="PROVISIONED", ProvisionedThroughput=UNITS))[0] == "ValidationException"


def test_a_restored_table_has_its_vector_indexes(make, dynamodb, name):
    items = make(index(SearchSchema=TENANT[:1]), names=("id", "tenant"))
    items.put_item(Item={"id": S("1"), "tenant": S("a"), "embedding": L(1, 0, 0)})
    arn = items.create_backup(BackupName="one-backup")["BackupDetails"]["BackupArn"]
    kept = eventually(
        lambda: (
            (each := dynamodb.describe_backup(BackupArn=arn)["BackupDescription"])["BackupDetails"]["BackupStatus"] == "AVAILABLE" and each
        )
    )
    (shown,) = kept["SourceTableFeatureDetails"]["VectorIndexes"]
    assert shown == index(SearchSchema=TENANT[:1])
    restore = lambda **more: dynamodb.restore_table_from_backup(BackupArn=arn, TargetTableName=f"{name}-r", **more)
    units = {"BillingModeOverride": "PROVISIONED", "ProvisionedThroughputOverride": UNITS}
    assert refusal(restore, **units)[0] == "ValidationException"
    assert "does not match a secondary index" in refusal(restore, VectorIndexOverride=[index()])[1]
    restore(VectorIndexOverride=[shown | {"IndexName": "renamed"}])
    restored = Table(dynamodb, f"{name}-r")
    settled(restored)
    condition = {"SearchConditionExpression": "tenant = :t", "ExpressionAttributeValues": {":t": S("a")}}
    assert found(restored, "renamed", **condition) == [("1", 0.0)]
    restored.delete_table()


def test_who_may_search(make, platform, user):  # noqa: F811
    items = make(index())
    items.put_item(Item={"id": S("1"), "embedding": L(1, 0, 0)})
    theirs = Table(platform.client("dynamodb", **user.keys), items.name)
    resource = f"{items.arn}/index/near"
    user.may("reads", {"Effect": "Allow", "Action": "dynamodb:Query", "Resource": "*"})
    code, message = refusal(found, items=theirs)
    assert code == "AccessDeniedException" and f"dynamodb:SearchVectors on resource: {resource}" in message
    user.may("searches", {"Effect": "Allow", "Action": "dynamodb:SearchVectors", "Resource": resource})
    eventually(lambda: found_or_none(theirs) == [("1", 0.0)])


def found_or_none(items):
    try:
        return found(items)
    except items.client.exceptions.ClientError:
        return None


numbers = st.lists(st.floats(-1e3, 1e3, width=32), min_size=4, max_size=4)


@given(numbers, numbers)
def test_scores_are_symmetric_and_bounded(left, right):
    for score in search.SCORES.values():
        assert score(left)(right) == pytest.approx(score(right)(left))
    assert 0 <= search.SCORES["COSINE"](left)(right) <= 2
    assert search.SCORES["COSINE"](left)(left) == pytest.approx(0 if math.hypot(*left) else 1, abs=1e-6)
    assert search.SCORES["EUCLIDEAN"](left)(left) == 0


def test_a_search_looks_at_every_vector(make):
    """More of them, and larger entries, than are read at once."""
    items = make(index(distance="EUCLIDEAN"))
    for at in range(0, 300, 25):
        puts = [{"PutRequest": {"Item": {"id": S(f"{key}"), "embedding": L(key, 0, 0)}}} for key in range(at, at + 25)]
        items.client.batch_write_item(RequestItems={items.name: puts})
    for key in range(300, 304):
        items.put_item(Item={"id": S(f"{key}"), "embedding": L(key, 0, 0), "large": S("x" * 390_000)})
    for wanted in (0, 150, 303):
        assert found(items, numbers=(wanted, 0, 0), most=1) == [(str(wanted), 0.0)]
    assert [float(key) for key, _ in found(items, numbers=(-1, 0, 0), most=100)] == list(range(100))
    large = items.search_vectors(IndexName="near", SearchVector=vector(303, 0, 0), TopK=4)["SearchResults"]
    assert [len(each["Item"]["large"]["S"]) for each in large] == [390_000] * 4


async def test_searches_find_what_comparing_all_items_finds(ask):
    """After every kind of write, with items that are not in the index among them."""
    random = Random(7)
    key = {"KeySchema": schema("id"), "BillingMode": "PAY_PER_REQUEST"}
    definitions = [{"AttributeName": each, "AttributeType": "S"} for each in ("id", "tenant", "brand")]
    indexes = [index("one", "EUCLIDEAN", 2, SearchSchema=TENANT), index("all", "DOT_PRODUCT", 2, "KEYS_ONLY")]
    await ask("CreateTable", TableName="random", AttributeDefinitions=definitions, VectorIndexes=indexes, **key)
    made = lambda: L(random.randint(-3, 3), random.randint(-3, 3))
    items = {}
    for _ in range(300):
        id = S(str(random.randrange(20)))
        more = {"tenant": S(random.choice("ab")), "brand": S(random.choice("xy")), "embedding": made()}
        item = {"id": id} | {name: value for name, value in more.items() if random.random() < 0.8}
        if (kind := random.randrange(3)) == 0:
            await ask("PutItem", TableName="random", Item=json.loads(json.dumps(item)))
            items[id["S"]] = item
        elif kind == 1:
            gone = [name for name in more if name not in item]
            given = {f":{name}": item[name] for name in more if name in item}
            text = ", ".join(f"{name[1:]} = {name}" for name in given)
            update = (f"SET {text} " if given else "") + (f"REMOVE {', '.join(gone)}" if gone else "")
            await ask("UpdateItem", TableName="random", Key={"id": dict(id)}, UpdateExpression=update,
                      **({"ExpressionAttributeValues": json.loads(json.dumps(given))} if given else {}))  # fmt: skip
            items[id["S"]] = item
        else:
            await ask("DeleteItem", TableName="random", Key={"id": dict(id)})
            items.pop(id["S"], None)
    wanted = (1.0, -2.0)
    numbers_of = lambda item: [float(each["N"]) for each in item["embedding"]["L"]]
    ask_for = {"TableName": "random", "SearchVector": vector(1, -2), "TopK": 100}
    near = await ask("SearchVectors", IndexName="one", SearchConditionExpression="tenant = :t AND brand = :b",
                     ExpressionAttributeValues={":t": S("a"), ":b": S("x")}, **ask_for)  # fmt: skip
    inside = [each for each in items.values() if "embedding" in each and each.get("tenant") == S("a") and each.get("brand") == S("x")]
    assert inside and [each["Score"] for each in near["SearchResults"]] == sorted(math.dist(wanted, numbers_of(each)) for each in inside)
    scored = {
        each["id"]["S"]: sum(a * b for a, b in zip(wanted, numbers_of(each), strict=True)) for each in items.values() if "embedding" in each
    }
    far = await ask("SearchVectors", IndexName="all", **ask_for)
    assert {each["Item"]["id"]["S"]: each["Score"] for each in far["SearchResults"]} == scored
    assert [each["Score"] for each in far["SearchResults"]] == sorted(scored.values(), reverse=True)
