"""Small things in which DynamoDB differs from what one would guess."""

from typing import Any

import pytest
from tests.services.dynamodb.conftest import Table, refusal

S = lambda text: {"S": text}
N = lambda number: {"N": str(number)}
KEY = {"id": S("1")}
KEYS = {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}
ON_DEMAND = {"BillingMode": "PAY_PER_REQUEST"}
PROVISIONED = {"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}
INVALID = "One or more parameter values were invalid: "


def test_an_attribute_is_defined_once(dynamodb, table, name):
    twice = [{"AttributeName": "id", "AttributeType": kind} for kind in ("S", "N")]
    wrong = ("ValidationException", "Attribute Name is duplicated: id")
    assert refusal(dynamodb.create_table, TableName=name, **{**KEYS, "AttributeDefinitions": twice}, **ON_DEMAND) == wrong
    assert refusal(table("id:S").update_table, AttributeDefinitions=twice, **ON_DEMAND) == wrong


def limited(**units: int) -> dict[str, Any]:
    return {"OnDemandThroughput": {f"Max{kind}RequestUnits": most for kind, most in units.items()}}


def test_ceilings_of_on_demand_tables(dynamodb, table, name):
    outside = INVALID + "Requested MaxWriteRequestUnits for OnDemandThroughput for table is outside of valid range"
    assert refusal(dynamodb.create_table, TableName=name, **KEYS, **ON_DEMAND, **limited(Read=5, Write=0))[1] == outside
    assert refusal(dynamodb.create_table, TableName=name, **KEYS, **ON_DEMAND, **limited(Write=-1))[1] == outside
    refused = refusal(dynamodb.create_table, TableName=name, **KEYS, **PROVISIONED, **limited(Read=5))[1]
    assert refused == INVALID + "MaxReadRequestUnits for OnDemandThroughput cannot be specified when table BillingMode is PROVISIONED."
    items = table("id:S", **limited(Read=20, Write=15))
    shown = lambda: items.describe_table()["Table"].get("OnDemandThroughput")
    assert shown() == {"MaxReadRequestUnits": 20, "MaxWriteRequestUnits": 15}
    items.update_table(**limited(Read=40))
    assert shown() == {"MaxReadRequestUnits": 40, "MaxWriteRequestUnits": 15}
    items.update_table(**limited(Write=-1))
    assert shown() == {"MaxReadRequestUnits": 40}
    items.update_table(BillingMode="PROVISIONED", **PROVISIONED)
    assert shown() is None
    refused = refusal(items.update_table, **limited(Read=5))[1]
    assert refused == INVALID + "MaxReadRequestUnits for OnDemandThroughput cannot be specified when the table BillingMode is PROVISIONED"


def test_warm_throughput_only_rises(dynamodb, table, name):
    lower = INVALID + (
        "Requested ReadUnitsPerSecond for WarmThroughput for table is lower than current WarmThroughput, "
        "decreasing WarmThroughput is not supported"
    )
    warm = lambda read: {"WarmThroughput": {"ReadUnitsPerSecond": read, "WriteUnitsPerSecond": 4001}}
    assert refusal(dynamodb.create_table, TableName=name, **KEYS, **ON_DEMAND, **warm(11_999))[1] == lower
    items = table("id:S", **warm(12_001))
    items.update_table(**warm(12_005))
    assert refusal(items.update_table, **warm(12_004))[1] == lower
    assert items.describe_table()["Table"]["WarmThroughput"] == {**warm(12_005)["WarmThroughput"], "Status": "ACTIVE"}


def test_no_index_updates_are_no_update(table):
    assert refusal(table("id:S").update_table, GlobalSecondaryIndexUpdates=[])[1].startswith("At least one of ProvisionedThroughput")


@pytest.mark.parametrize("index, where", [(None, "Key: id"), ("by-kind", "IndexName: by-kind, IndexKey: kind")])
def test_empty_values_in_key_conditions(table, index, where):
    items = table("id:S", indexes={"by-kind": ("kind:S",)})
    more = {} if index is None else {"IndexName": index}
    condition = "id = :v" if index is None else "kind = :v"
    message = refusal(items.query, KeyConditionExpression=condition, ExpressionAttributeValues={":v": S("")}, **more)[1]
    secondary = "" if index is None else "A value specified for a secondary index key is not supported. "
    assert message == (
        f"One or more parameter values are not valid. {secondary}"
        f"The AttributeValue for a key attribute cannot contain an empty string value. {where}"
    )


def test_what_is_removed_is_not_returned_as_new(table):
    items = table("id:S")
    items.put_item(Item={**KEY, "l": {"L": [N(1), N(2), N(3)]}})
    removed = items.update_item(Key=KEY, UpdateExpression="REMOVE l[0]", ReturnValues="UPDATED_NEW")
    assert "Attributes" not in removed
    both = items.update_item(
        Key=KEY, UpdateExpression="SET a = :a REMOVE l[0]", ExpressionAttributeValues={":a": N(1)}, ReturnValues="UPDATED_NEW"
    )
    assert both["Attributes"] == {"a": N(1)}
    assert items.get_item(Key=KEY)["Item"]["l"] == {"L": [N(3)]}
    old = items.update_item(Key=KEY, UpdateExpression="REMOVE l[0]", ReturnValues="UPDATED_OLD")
    assert old["Attributes"] == {"l": {"L": [N(3)]}}


def test_an_empty_key_refuses_a_transaction_before_its_reasons(table, dynamodb):
    items = table("id:S")
    put = lambda key: {"Put": {"TableName": items.name, "Item": {"id": key}}}
    code, message = refusal(dynamodb.transact_write_items, TransactItems=[put(S("1")), put(S(""))])
    assert code == "ValidationException" and message.endswith("cannot contain an empty string value. Key: id")
    code, message = refusal(dynamodb.transact_write_items, TransactItems=[put(S("1")), put(N(1))])
    assert code == "TransactionCanceledException" and message.endswith("[None, ValidationError]")


@pytest.mark.parametrize(
    "update, made",
    [
        ({"AttributeUpdates": {"a": {"Action": "DELETE"}}}, False),
        ({"UpdateExpression": "REMOVE a"}, False),
        ({"UpdateExpression": "DELETE a :a", "ExpressionAttributeValues": {":a": {"SS": ["x"]}}}, False),
        ({"UpdateExpression": "REMOVE a ADD b :b", "ExpressionAttributeValues": {":b": N(1)}}, True),
        ({"AttributeUpdates": {}}, True),
        ({}, True),
    ],
)
def test_taking_away_makes_no_item(table, update, made):
    items = table("id:S")
    answer = items.update_item(Key=KEY, ReturnValues="ALL_NEW", **update)
    assert ("Attributes" in answer) is made
    assert ("Item" in items.get_item(Key=KEY)) is made


def test_a_local_index_filters_what_it_does_not_keep_when_items_are_fetched(dynamodb, name):
    keys = lambda sort: [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]
    dynamodb.create_table(
        TableName=name,
        KeySchema=keys("sk"),
        AttributeDefinitions=[{"AttributeName": each, "AttributeType": kind} for each, kind in (("pk", "S"), ("sk", "N"), ("x", "N"))],
        LocalSecondaryIndexes=[{"IndexName": "by-x", "KeySchema": keys("x"), "Projection": {"ProjectionType": "KEYS_ONLY"}}],
        **ON_DEMAND,
    )
    items = Table(dynamodb, name)
    for number in range(4):
        items.put_item(Item={"pk": S("p"), "sk": N(number), "x": N(-number), "y": N(number % 2)})
    asked = {
        "IndexName": "by-x",
        "KeyConditionExpression": "pk = :p",
        "FilterExpression": "y = :y",
        "ExpressionAttributeValues": {":p": S("p"), ":y": N(1)},
    }
    found = items.query(**asked, Select="ALL_ATTRIBUTES")
    assert [item["sk"] for item in found["Items"]] == [N(3), N(1)]
    assert (found["Count"], found["ScannedCount"]) == (2, 4)
    found = items.query(**asked, ProjectionExpression="sk, y")
    assert found["Items"] == [{"sk": N(3), "y": N(1)}, {"sk": N(1), "y": N(1)}]
    items.delete_table()


def test_paths_do_not_nest_deeper_than_values(table):
    def nested(levels: int, inside: dict[str, Any]) -> dict[str, Any]:
        for _ in range(levels):
            inside = {"L": [inside]}
        return inside

    items = table("id:S")
    items.put_item(Item={**KEY, "a": nested(20, {"M": {}})})
    path = "a" + "[0]" * 20 + ".m"
    put = {"Key": KEY, "UpdateExpression": f"SET {path} = :v"}
    message = refusal(items.update_item, **put, ExpressionAttributeValues={":v": nested(11, S("x"))})[1]
    assert message.startswith("Nesting Levels have exceeded supported limits")
    message = refusal(items.update_item, Key=KEY, UpdateExpression=f"SET {path} = a")[1]
    assert message.startswith("Nesting Levels have exceeded supported limits")
    items.update_item(**put, ExpressionAttributeValues={":v": nested(10, S("x"))})
    assert items.get_item(Key=KEY)["Item"]["a"] == nested(20, {"M": {"m": nested(10, S("x"))}})


MISMATCH = "The provided key element does not match the schema"


@pytest.mark.parametrize("item", [{"id": N(1)}, {"other": S("1")}])
def test_a_batch_tells_of_wrong_keys_in_one_way(dynamodb, table, item):
    name = table("id:S").name
    assert refusal(dynamodb.batch_write_item, RequestItems={name: [{"PutRequest": {"Item": item}}]}) == ("ValidationException", MISMATCH)


def test_what_an_index_cannot_have_is_told_before_the_condition_fails(table):
    items = table("id:S", indexes={"by-kind": ("kind:S",)})
    values = {"ExpressionAttributeValues": {":v": N(1)}, "ConditionExpression": "attribute_exists(nothing)"}
    unsupported = "The update expression attempted to update the secondary index key to unsupported type"
    for change in ("SET kind = :v", "ADD kind :v"):
        assert refusal(items.update_item, Key=KEY, UpdateExpression=change, **values)[1] == unsupported
    legacy = {"AttributeUpdates": {"kind": {"Value": N(1)}}, "Expected": {"nothing": {"Value": N(1)}}}
    found = refusal(items.update_item, Key=KEY, **legacy)[1]
    assert found == INVALID + "Type mismatch for Index Key kind Expected: S Actual: N IndexName: by-kind"


def test_a_key_that_is_looked_into_is_told_before_one_that_is_changed(table):
    found = refusal(table("id:S").update_item, Key=KEY, UpdateExpression="SET id.x = :v", ExpressionAttributeValues={":v": N(1)})[1]
    assert found == "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: id"


def test_two_conditions_where_the_key_has_one_attribute(table):
    query = {"KeyConditionExpression": "id = :v AND kind = :v", "ExpressionAttributeValues": {":v": S("1")}}
    assert refusal(table("id:S").query, **query)[1] == "Query key condition not supported"


def test_empty_sets_are_told_without_the_value_that_they_are(table):
    items = table("id:S")
    given = {"ExpressionAttributeValues": {":v": {"SS": []}}}
    empty = INVALID + "An string set  may not be empty"
    assert refusal(items.update_item, Key=KEY, UpdateExpression="SET tags = :v", **given)[1] == "1 validation error detected: " + empty
    assert refusal(items.query, KeyConditionExpression="id = :v", **given)[1] == empty
    assert (
        refusal(items.scan, FilterExpression="id = :v", **given)[1]
        == f"ExpressionAttributeValues contains invalid value: {empty} for key :v"
    )


def test_starting_keys_that_are_not_of_the_schema(table):
    items = table("id:S", indexes={"by-kind": ("kind:S",)})
    bare = "The provided starting key is invalid"
    query = {"KeyConditionExpression": "id = :v", "ExpressionAttributeValues": {":v": S("1")}}
    for start in ({"other": S("1")}, {"id": N(1)}, {"id": S("1"), "other": S("1")}):
        assert refusal(items.query, **query, ExclusiveStartKey=start)[1] == bare
        assert refusal(items.scan, ExclusiveStartKey=start)[1] == f"{bare}: {MISMATCH}"
    for start in (KEY, {**KEY, "kind": N(1)}, {"id": N(1), "kind": S("x")}):
        assert refusal(items.scan, IndexName="by-kind", ExclusiveStartKey=start)[1] == bare


def test_names_of_attributes_have_a_length(table, dynamodb):
    items, long = table("id:S"), "n" * 65_536
    told = "Attribute name is too large, must be less than 65536 bytes"
    enveloped = "1 validation error detected: " + told
    items.put_item(Item={**KEY, long[1:]: {"M": {long[1:]: N(1)}}})
    for item in ({**KEY, long: N(1)}, {**KEY, "m": {"M": {long: N(1)}}}, {**KEY, "é" * 32_768: N(1)}):
        assert refusal(items.put_item, Item=item)[1] == enveloped
    nested = {"UpdateExpression": "SET m = :v", "ExpressionAttributeValues": {":v": {"M": {long: N(1)}}}}
    named = {"UpdateExpression": "REMOVE #n", "ExpressionAttributeNames": {"#n": long}}
    for update in (nested, named, {"AttributeUpdates": {long: {"Value": N(1)}}}):
        assert refusal(items.update_item, Key=KEY, **update)[1] == enveloped
    assert refusal(dynamodb.batch_write_item, RequestItems={items.name: [{"PutRequest": {"Item": {**KEY, long: N(1)}}}]})[1] == told


def test_operators_are_counted_until_there_are_too_many(table):
    delete = {"Key": KEY, "ExpressionAttributeValues": {":v": N(1)}}
    found = refusal(table("id:S").delete_item, **delete, ConditionExpression=" OR ".join(["a = :v"] * 300))[1]
    assert found.endswith("Invalid ConditionExpression: The expression contains too many operators; operator count: 301")


def test_a_transaction_asked_for_again_costs_reading_what_it_wrote(dynamodb, table, name):
    items = table("id:S")
    items.put_item(Item={**KEY, "text": S("x" * 9_000)})
    delete = {"Delete": {"TableName": items.name, "Key": KEY}}
    put = {"Put": {"TableName": items.name, "Item": {"id": S("2"), "text": S("x" * 1_500)}}}
    ask = lambda: dynamodb.transact_write_items(TransactItems=[delete, put], ClientRequestToken=name[-36:], ReturnConsumedCapacity="TOTAL")[
        "ConsumedCapacity"
    ]
    assert ask() == [{"TableName": items.name, "CapacityUnits": 22.0, "WriteCapacityUnits": 22.0}]
    assert ask() == [{"TableName": items.name, "CapacityUnits": 8.0, "ReadCapacityUnits": 8.0}]


SIZE = "Expression size has exceeded the maximum allowed size;"


def test_what_the_functions_of_expressions_cannot_do(table):
    items = table("id:S")
    ask = lambda condition, **values: refusal(
        items.delete_item,
        Key=KEY,
        ConditionExpression=condition,
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
    )[1].removeprefix("1 validation error detected: Invalid ConditionExpression: ")
    twice = "The function is not allowed to be used this way in an expression; function: "
    assert ask("size(size(a)) > :n", n=N(1)) == twice + "size"
    assert ask(f"a IN ({', '.join([':n'] * 101)})", n=N(1)) == "The IN operator is provided with too many operands; number of operands: 101"
    assert ask("attribute_type(a, :t)", t=S("Q")).endswith("type: Q, valid types: {S,SS,N,NS,B,BS,BOOL,NULL,L,M}")
    inner = "HD,DOUBLE,FLOAT,HDS,FS,DOUBLESET,DICT,DECIMAL,INT,DECIMALSET,INTSET"
    assert ask("attribute_type(a, b) AND c = :n", n=N(1)).endswith(f"operand type: {{S,SS,N,NS,B,BS,BOOL,NULL,L,M,{inner}}}")
    assert ask("a = :n" + " " * 4096, n=N(1)) == SIZE
    values = {":v": {"L": []}}
    nested = "SET a = list_append(list_append(a, :v), :v)"
    assert refusal(items.update_item, Key=KEY, UpdateExpression=nested, ExpressionAttributeValues=values)[1].endswith(twice + "list_append")
    filtered = {"FilterExpression": "a = :v" + " " * 4096, "ExpressionAttributeValues": {":v": N(1)}}
    assert refusal(items.scan, **filtered)[1] == f"Invalid FilterExpression: {SIZE} expression size: 4102"


def test_placeholders_have_a_length(table):
    items, long = table("id:S"), "a" * 255
    told = "contains invalid key: The expression attribute map contains a key that is too long; size of key: 256"
    found = refusal(items.get_item, Key=KEY, ProjectionExpression="a", ExpressionAttributeNames={f"#{long}": "a"})
    assert found[1] == f"ExpressionAttributeNames {told}"
    found = refusal(items.scan, FilterExpression="a = :a", ExpressionAttributeValues={f":{long}": N(1)})
    assert found[1] == f"ExpressionAttributeValues {told}"


def test_requests_for_nothing(dynamodb, table):
    items = table("id:S")
    length = "failed to satisfy constraint: Member must have length"
    found = refusal(dynamodb.batch_get_item, RequestItems={})[1]
    assert found == f"1 validation error detected: Value at 'RequestItems' {length} greater than or equal to 1"
    keys = f"1 validation error detected: Value at 'RequestItems.{items.name}.member.Keys' {length}"
    many = [{"id": S(f"{at}" + "' at 'requestItems." * 1000)} for at in range(101)]
    assert refusal(dynamodb.batch_get_item, RequestItems={items.name: {"Keys": many}})[1] == f"{keys} less than or equal to 100"
    assert refusal(dynamodb.batch_write_item, RequestItems={})[1] == "The requestItems parameter is required for BatchWriteItem"
    nothing = "Invalid Request: TransactWriteRequest should contain Delete or Put or Update request"
    assert refusal(dynamodb.transact_write_items, TransactItems=[{}])[1] == nothing
    found = refusal(items.put_item, Item=KEY, ReturnItemCollectionMetrics="ALL")[1]
    assert found == "1 validation error detected: ReturnItemCollectionMetrics can only be SIZE or NONE"


def test_a_transaction_tells_nothing_of_items_that_have_nothing_of_it(dynamodb, table):
    items = table("id:S")
    items.put_item(Item={**KEY, "n": N(1)})
    get = lambda **more: {"Get": {"TableName": items.name, "Key": KEY, **more}}
    assert dynamodb.transact_get_items(TransactItems=[get(ProjectionExpression="m")])["Responses"] == [{}]
    assert dynamodb.transact_get_items(TransactItems=[get(ProjectionExpression="n, m")])["Responses"] == [{"Item": {"n": N(1)}}]
    assert items.get_item(Key=KEY, ProjectionExpression="m")["Item"] == {}
