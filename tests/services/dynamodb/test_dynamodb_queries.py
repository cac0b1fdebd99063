# ruff: noqa: E501 - messages are as long as they are
"""Query and Scan: order, ranges, pages, filters, projections, segments, what is refused; batches."""

from decimal import Decimal

import pytest
from tests.services.dynamodb.conftest import refusal

S = lambda text: {"S": text}
N = lambda number: {"N": str(number)}
INVALID = "One or more parameter values were invalid: "
ENVELOPE = "1 validation error detected: "
NUMBERS = ["-1E+20", "-100", "-99.5", "-1", "-0.5", "-1E-20", "0", "1E-20", "0.5", "1", "9", "10", "99.5", "100", "1E+20"]


def fill(items, requests):
    for at in range(0, len(requests), 25):
        made = items.client.batch_write_item(RequestItems={items.name: [{"PutRequest": {"Item": item}} for item in requests[at : at + 25]]})
        assert made["UnprocessedItems"] == {}


@pytest.fixture
def numbered(table):
    items = table("id:S", "at:N")
    fill(items, [{"id": S("1"), "at": N(number), "odd": {"BOOL": at % 2 == 1}} for at, number in enumerate(NUMBERS)])
    fill(items, [{"id": S("2"), "at": N(1)}])
    return items


def ask(items, condition="id = :id", **more):
    values = {":id": S("1")} | more.pop("values", {})
    return items.query(KeyConditionExpression=condition, ExpressionAttributeValues=values, **more)


def ats(answer):
    return [Decimal(item["at"]["N"]) for item in answer["Items"]]


def test_numbers_in_order(numbered):
    assert ats(ask(numbered)) == [Decimal(number) for number in NUMBERS]
    assert ats(ask(numbered, ScanIndexForward=False)) == [Decimal(number) for number in reversed(NUMBERS)]


@pytest.mark.parametrize(
    "condition, test",
    [
        ("at = :a", lambda at: at == Decimal("-0.5")),
        ("at < :a", lambda at: at < Decimal("-0.5")),
        ("at <= :a", lambda at: at <= Decimal("-0.5")),
        ("at > :a", lambda at: at > Decimal("-0.5")),
        (":a <= at", lambda at: at >= Decimal("-0.5")),
        ("at BETWEEN :a AND :b", lambda at: Decimal("-0.5") <= at <= 10),
    ],
)
def test_ranges(numbered, condition, test):
    values = {":a": N("-0.5")} | ({":b": N(10)} if ":b" in condition else {})
    for forward in (True, False):
        answer = ask(numbered, "#id = :id AND " + condition.replace("at", "#at"), values=values, ScanIndexForward=forward, ExpressionAttributeNames={"#id": "id", "#at": "at"})  # fmt: skip
        assert ats(answer) == sorted(filter(test, map(Decimal, NUMBERS)), reverse=not forward)


def test_strings_and_binaries_in_order_of_bytes(table):
    texts = ["a", "a\x00", "aa", "ab", "b", "é", "\uffff", "😀"]
    items = table("id:S", "text:S")
    fill(items, [{"id": S("1"), "text": S(text)} for text in texts])
    found = [item["text"]["S"] for item in ask(items)["Items"]]
    assert found == sorted(texts, key=str.encode)
    begun = ask(items, "id = :id AND begins_with(#t, :a)", values={":a": S("a")}, ExpressionAttributeNames={"#t": "text"})
    assert [item["text"]["S"] for item in begun["Items"]] == ["a", "a\x00", "aa", "ab"]
    blobs = table("id:S", "data:B")
    data = [b"\x00", b"\x00\xff", b"\x01", b"\x7f", b"\x80", b"\xff"]
    fill(blobs, [{"id": S("1"), "data": {"B": each}} for each in data])
    assert [item["data"]["B"] for item in ask(blobs)["Items"]] == data


@pytest.mark.parametrize("forward", [True, False])
def test_pages(numbered, forward):
    found, start = [], None
    for _ in range(6):
        answer = ask(numbered, Limit=3, ScanIndexForward=forward, **({"ExclusiveStartKey": start} if start else {}))
        found += ats(answer)
        start = answer.get("LastEvaluatedKey")
        if start is None:
            break
    assert found == sorted(map(Decimal, NUMBERS), reverse=not forward)
    assert len(ask(numbered, Limit=15)["Items"]) == 15 and "LastEvaluatedKey" in ask(numbered, Limit=15)
    assert "LastEvaluatedKey" not in ask(numbered, Limit=16)


def test_filter_counts_what_it_leaves_out(numbered):
    answer = ask(numbered, FilterExpression="odd = :odd", values={":odd": {"BOOL": True}}, Limit=4)
    assert (answer["Count"], answer["ScannedCount"]) == (2, 4)
    assert answer["LastEvaluatedKey"] == {"id": S("1"), "at": N(-1)}
    counted = ask(numbered, Select="COUNT")
    assert (counted["Count"], counted["ScannedCount"]) == (15, 15) and "Items" not in counted


def test_one_megabyte_pages(table):
    items = table("id:S", "at:N")
    fill(items, [{"id": S("1"), "at": N(at), "x": S("x" * 100_000)} for at in range(25)])
    sizes, start = [], None
    while True:
        answer = ask(items, **({"ExclusiveStartKey": start} if start else {}))
        sizes.append(answer["Count"])
        start = answer.get("LastEvaluatedKey")
        if start is None:
            break
    assert sizes == [11, 11, 3]
    scanned = items.scan(ProjectionExpression="id")
    assert scanned["Count"] == 11 and scanned["Items"][0] == {"id": S("1")}


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({}, "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."),
        ({"KeyConditionExpression": "#at = :n"}, "Query condition missed key schema element: id"),
        ({"KeyConditionExpression": "id > :s"}, "Query key condition not supported"),
        ({"KeyConditionExpression": "id = :n"}, INVALID + "Condition parameter type does not match schema type"),
        ({"KeyConditionExpression": "id = :s AND another = :n"}, "Query condition missed key schema element: at"),
        ({"KeyConditionExpression": "id = :s AND begins_with(#at, :n)"}, "Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or function: begins_with, operand type: N"),
        ({"KeyConditionExpression": "id = :s", "FilterExpression": "#at = :n"}, "Filter Expression can only contain non-primary key attributes: Primary key attribute: at"),
        ({"KeyConditionExpression": "id = :s", "IndexName": "nothing"}, "The table does not have the specified index: nothing"),
        ({"KeyConditionExpression": "id = :s", "ExclusiveStartKey": {"id": S("1")}}, "The provided starting key is invalid"),
        ({"KeyConditionExpression": "id = :s", "ExclusiveStartKey": {"id": S("2"), "at": N(1)}}, "The provided starting key is outside query boundaries based on provided conditions"),
        ({"KeyConditionExpression": "id = :s AND #at > :n", "ExclusiveStartKey": {"id": S("s"), "at": N(1)}}, "The provided starting key does not match the range key predicate"),
        ({"KeyConditionExpression": "id = :s", "Select": "SPECIFIC_ATTRIBUTES"}, ENVELOPE + "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"),
        ({"KeyConditionExpression": "id = :s", "Select": "ALL_ATTRIBUTES", "ProjectionExpression": "a"}, ENVELOPE + "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES"),
        ({"KeyConditionExpression": "id = :s", "Select": "ALL_PROJECTED_ATTRIBUTES"}, ENVELOPE + INVALID + "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"),
        ({"KeyConditionExpression": "id = :s", "Limit": 0}, "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"),
    ],
)  # fmt: skip
def test_queries_that_are_refused(table, parameters, message):
    items = table("id:S", "at:N")
    text = " ".join(str(value) for value in parameters.values() if isinstance(value, str))
    values = {name: value for name, value in {":s": S("s"), ":n": N(2)}.items() if name in text}
    more = {"ExpressionAttributeValues": values} if values else {}
    if "#at" in text:
        more["ExpressionAttributeNames"] = {"#at": "at"}
    assert refusal(items.query, **parameters, **more) == ("ValidationException", message)


def test_legacy_query_and_scan(numbered):
    equals = lambda value: {"ComparisonOperator": "EQ", "AttributeValueList": [value]}
    answer = numbered.query(
        KeyConditions={"id": equals(S("1")), "at": {"ComparisonOperator": "GT", "AttributeValueList": [N(9)]}},
        QueryFilter={"odd": equals({"BOOL": True})},
        AttributesToGet=["at"],
    )
    assert answer["Items"] == [{"at": N(10)}, {"at": N(100)}]
    assert numbered.scan(ScanFilter={"odd": {"ComparisonOperator": "NULL"}})["Items"] == [{"id": S("2"), "at": N(1)}]
    either = {"odd": {"ComparisonOperator": "NULL"}, "at": {"ComparisonOperator": "IN", "AttributeValueList": [N(9), N(10)]}}
    assert numbered.scan(ScanFilter=either, ConditionalOperator="OR")["Count"] == 3


def test_segments_share_a_table(table):
    items = table("id:S")
    fill(items, [{"id": S(f"item-{at}")} for at in range(200)])
    found = []
    for segment in range(5):
        start = None
        while True:
            answer = items.scan(Segment=segment, TotalSegments=5, Limit=7, **({"ExclusiveStartKey": start} if start else {}))
            found += [item["id"]["S"] for item in answer["Items"]]
            start = answer.get("LastEvaluatedKey")
            if start is None:
                break
    assert sorted(found) == sorted(f"item-{at}" for at in range(200))
    one = items.scan()
    assert one["Count"] == 200 and "LastEvaluatedKey" not in one


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"Segment": 1}, "The TotalSegments parameter is required but was not present in the request when Segment parameter is present"),
        (
            {"TotalSegments": 1},
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is present",
        ),
        (
            {"Segment": 2, "TotalSegments": 2},
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 2 is not less than TotalSegments: 2",
        ),
        (
            {"FilterExpression": "a = :a"},
            "Invalid FilterExpression: An expression attribute value used in expression is not defined; attribute value: :a",
        ),
    ],
)
def test_scans_that_are_refused(table, parameters, message):
    assert refusal(table("id:S").scan, **parameters) == ("ValidationException", message)


def test_read_capacity_of_pages(numbered):
    assert ask(numbered, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]["CapacityUnits"] == 0.5
    assert ask(numbered, ReturnConsumedCapacity="TOTAL", ConsistentRead=True)["ConsumedCapacity"]["CapacityUnits"] == 1.0
    nothing = ask(numbered, values={":id": S("nobody")}, ReturnConsumedCapacity="TOTAL")
    assert (nothing["Count"], nothing["Items"], nothing["ConsumedCapacity"]["CapacityUnits"]) == (0, [], 0.5)


def test_batches(table, dynamodb):
    first, second = table("id:S"), table("id:S", "at:N")
    put = lambda item: {"PutRequest": {"Item": item}}
    dynamodb.batch_write_item(
        RequestItems={first.name: [put({"id": S("1")}), put({"id": S("2")})], second.name: [put({"id": S("1"), "at": N(1)})]}
    )
    dynamodb.batch_write_item(RequestItems={first.name: [{"DeleteRequest": {"Key": {"id": S("2")}}}, put({"id": S("3"), "a": S("x")})]})
    answer = dynamodb.batch_get_item(
        RequestItems={
            first.name: {"Keys": [{"id": S(str(at))} for at in range(4)]},
            second.arn: {
                "Keys": [{"id": S("1"), "at": N("1.0")}],
                "ProjectionExpression": "#at",
                "ExpressionAttributeNames": {"#at": "at"},
            },
        }
    )
    assert sorted(item["id"]["S"] for item in answer["Responses"][first.name]) == ["1", "3"]
    assert answer["Responses"][second.arn] == [{"at": N(1)}]
    assert answer["UnprocessedKeys"] == {}


def test_batches_that_are_refused(table, dynamodb):
    items = table("id:S")
    keys = lambda count: [{"id": S(str(at))} for at in range(count)]
    put = lambda key: {"PutRequest": {"Item": key}}
    twice = "Provided list of item keys contains duplicates"
    assert refusal(dynamodb.batch_get_item, RequestItems={items.name: {"Keys": keys(2) + keys(1)}}) == ("ValidationException", twice)
    assert refusal(dynamodb.batch_write_item, RequestItems={items.name: [put(key) for key in keys(2) + keys(1)]}) == (
        "ValidationException",
        twice,
    )
    code, message = refusal(dynamodb.batch_get_item, RequestItems={items.name: {"Keys": keys(101)}})
    assert code == "ValidationException" and "Member must have length less than or equal to 100" in message
    code, message = refusal(dynamodb.batch_write_item, RequestItems={items.name: [put(key) for key in keys(26)]})
    assert code == "ValidationException" and "Member must have length less than or equal to 25" in message
    assert refusal(dynamodb.batch_get_item, RequestItems={"no-such-table": {"Keys": keys(1)}}) == (
        "ResourceNotFoundException",
        "Requested resource not found",
    )
    # Nothing of a refused batch is written.
    assert (
        refusal(dynamodb.batch_write_item, RequestItems={items.name: [put({"id": S("new")}), put({"id": N(1)})]})[0]
        == "ValidationException"
    )
    assert items.scan()["Count"] == 0


def test_large_batches_leave_the_rest_unprocessed(table, dynamodb):
    items = table("id:S")
    for at in range(45):
        items.put_item(Item={"id": S(str(at)), "x": S("x" * 390_000)})
    wanted, found = [{"id": S(str(at))} for at in range(45)], []
    for _ in range(3):
        answer = dynamodb.batch_get_item(RequestItems={items.name: {"Keys": wanted, "ProjectionExpression": "id"}})
        found += answer["Responses"][items.name]
        left = answer["UnprocessedKeys"]
        if not left:
            break
        assert left[items.name]["ProjectionExpression"] == "id"
        wanted = left[items.name]["Keys"]
    assert sorted(int(item["id"]["S"]) for item in found) == list(range(45))
    assert len(found) - len(wanted) < 45, "more than 16 MB in one answer"
