# ruff: noqa: E501 - messages are as long as they are
"""PutItem, GetItem, UpdateItem, DeleteItem: values, conditions, what is returned, what is refused."""

import pytest
from tests.services.dynamodb.conftest import refusal

S = lambda text: {"S": text}
N = lambda number: {"N": str(number)}
ENVELOPE = "1 validation error detected: "
INVALID = "One or more parameter values were invalid: "


def nested(levels):
    value = S("x")
    for _ in range(levels):
        value = {"L": [value]}
    return value


def test_every_type_comes_back(table):
    items = table("id:S")
    item = {
        "id": S("1"), "text": S("häß 😀\x00"), "empty": S(""), "number": N("-12.340"), "large": N("1E20"), "bytes": {"B": b"\x00\xff"}, "none": {"B": b""},
        "yes": {"BOOL": True}, "no": {"BOOL": False}, "null": {"NULL": True}, "strings": {"SS": ["b", "a"]}, "numbers": {"NS": ["10", "9.0", "-1"]},
        "binaries": {"BS": [b"b", b"a"]}, "list": {"L": [S("x"), {"L": []}, {"M": {}}]}, "map": {"M": {"k": {"M": {"deep": N(1)}}, "": S("")}},
    }  # fmt: skip
    items.put_item(Item=item)
    found = items.get_item(Key={"id": S("1")})["Item"]
    canonical = item | {
        "number": N("-12.34"), "large": N("1" + "0" * 20), "strings": {"SS": ["a", "b"]}, "numbers": {"NS": ["-1", "9", "10"]}, "binaries": {"BS": [b"a", b"b"]}
    }  # fmt: skip
    assert found == canonical
    assert "Item" not in items.get_item(Key={"id": S("2")})


@pytest.mark.parametrize(
    "value, message",
    [
        ({}, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
        (
            {"S": "a", "N": "1"},
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
        ),
        ({"N": "one"}, "The parameter cannot be converted to a numeric value: one"),
        ({"N": "1" * 39}, "Attempting to store more than 38 significant digits in a Number"),
        ({"NULL": False}, INVALID + "Null attribute value types must have the value of true"),
        ({"SS": []}, INVALID + "An string set  may not be empty"),
        ({"NS": []}, INVALID + "An number set  may not be empty"),
        ({"BS": []}, INVALID + "Binary sets should not be empty"),
        ({"SS": ["a", "a"]}, INVALID + "Input collection [a, a] contains duplicates."),
        ({"NS": ["1", "1.0"]}, "Input collection contains duplicates"),
    ],
)
def test_values_that_are_refused(table, value, message):
    items = table("id:S")
    assert refusal(items.put_item, Item={"id": S("1"), "a": value}) == ("ValidationException", ENVELOPE + message)
    code, said = refusal(items.client.batch_write_item, RequestItems={items.name: [{"PutRequest": {"Item": {"id": S("1"), "a": value}}}]})
    assert (code, said) == ("ValidationException", message)
    assert "Item" not in items.get_item(Key={"id": S("1")})


def test_values_may_be_empty_wherever_they_are_no_keys(table):
    items = table("id:S")
    item = {
        "id": S("1"),
        "s": S(""),
        "b": {"B": b""},
        "ss": {"SS": ["", "a"]},
        "bs": {"BS": [b"", b"a"]},
        "l": {"L": [S("")]},
        "m": {"M": {"k": S("")}},
    }
    items.put_item(Item=item)
    assert items.get_item(Key={"id": S("1")})["Item"] == item
    taken = {"ExpressionAttributeValues": {":e": {"SS": [""]}}, "ReturnValues": "UPDATED_NEW"}
    assert items.update_item(Key={"id": S("1")}, UpdateExpression="DELETE ss :e", **taken)["Attributes"] == {"ss": {"SS": ["a"]}}
    assert items.update_item(Key={"id": S("1")}, UpdateExpression="ADD more :e", **taken)["Attributes"] == {"more": {"SS": [""]}}
    assert items.scan(FilterExpression="contains(more, :e)", ExpressionAttributeValues={":e": S("")})["Count"] == 1


def test_nesting_as_deep_as_allowed(table):
    items = table("id:S")
    items.put_item(Item={"id": S("1"), "a": nested(31)})
    assert items.get_item(Key={"id": S("1")})["Item"]["a"] == nested(31)
    for levels in (32, 33, 100):
        message = refusal(items.put_item, Item={"id": S("1"), "a": nested(levels)})[1]
        assert message == "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"


def test_a_key_is_never_looked_into(table):
    items = table("id:S", indexes={"byX": ("x:S",)})
    said = "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: "
    assert refusal(items.get_item, Key={"id": S("1")}, ProjectionExpression="id.a")[1] == said + "Key: id"
    assert refusal(items.put_item, Item={"id": S("1")}, ConditionExpression="attribute_exists(x[0])")[1] == said + "IndexKey: x"
    assert refusal(items.update_item, Key={"id": S("1")}, UpdateExpression="REMOVE x.a")[1] == said + "IndexKey: x"
    assert refusal(items.scan, FilterExpression="attribute_exists(id.b)")[1] == said + "Key: id"
    assert refusal(items.update_item, Key={"id": S("1")}, UpdateExpression="SET a = if_not_exists(id.b, x)")[1] == said + "Key: id"


def test_attributes_have_names(table, dynamodb):
    items = table("id:S")
    nameless = {"id": S("1"), "": S("x")}
    said = INVALID + "An attribute name must have at least one character"
    assert refusal(items.put_item, Item=nameless)[1].endswith(said)
    assert refusal(dynamodb.batch_write_item, RequestItems={items.name: [{"PutRequest": {"Item": nameless}}]})[1] == said
    assert refusal(items.update_item, Key={"id": S("1")}, AttributeUpdates={"": {"Value": S("x")}})[1].endswith(said)
    names = {"ExpressionAttributeNames": {"#n": ""}, "ExpressionAttributeValues": {":v": S("x")}}
    assert refusal(items.update_item, Key={"id": S("1")}, UpdateExpression="SET #n = :v", **names)[1].endswith(said)
    assert items.scan()["Count"] == 0


@pytest.mark.parametrize(
    "item, message",
    [
        ({}, INVALID + "Missing the key id in the item"),
        ({"id": S("1")}, INVALID + "Missing the key at in the item"),
        ({"id": N(1), "at": N(1)}, INVALID + "Type mismatch for key id expected: S actual: N"),
        (
            {"id": S(""), "at": N(1)},
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: id",
        ),
        ({"id": S("x" * 2049), "at": N(1)}, INVALID + "Size of hashkey has exceeded the maximum size limit of2048 bytes"),
        ({"id": S("1"), "at": N(1), "a": S("x" * 409600)}, "Item size has exceeded the maximum allowed size"),
    ],
)
def test_items_that_are_refused(table, item, message):
    assert refusal(table("id:S", "at:N").put_item, Item=item) == ("ValidationException", message)


@pytest.mark.parametrize(
    "key", [{}, {"id": S("1")}, {"id": N(1), "at": N(1)}, {"id": S("1"), "at": N(1), "more": N(1)}, {"id": S("1"), "other": N(1)}]
)
def test_keys_that_do_not_match(table, key):
    items = table("id:S", "at:N")
    for operation in (items.get_item, items.delete_item, items.update_item):
        assert refusal(operation, Key=key) == ("ValidationException", "The provided key element does not match the schema")


def test_largest_item(table):
    items = table("id:S")
    fits = "x" * (400 * 1024 - 4)
    items.put_item(Item={"id": S("1"), "a": S(fits)})
    assert len(items.get_item(Key={"id": S("1")})["Item"]["a"]["S"]) == len(fits)
    assert refusal(items.put_item, Item={"id": S("1"), "a": S(fits + "x")}) == (
        "ValidationException",
        "Item size has exceeded the maximum allowed size",
    )
    message = refusal(items.update_item, Key={"id": S("1")}, UpdateExpression="SET b = :b", ExpressionAttributeValues={":b": S("x")})
    assert message == ("ValidationException", "Item size to update has exceeded the maximum allowed size")


def test_conditions_and_what_they_return(table, dynamodb):
    items = table("id:S")
    put = lambda text, **more: items.put_item(Item={"id": S("1"), "v": S(text)}, **more)
    put("first", ConditionExpression="attribute_not_exists(id)")
    code, message = refusal(put, text="second", ConditionExpression="attribute_not_exists(id)")
    assert (code, message) == ("ConditionalCheckFailedException", "The conditional request failed")
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as failed:
        put("second", ConditionExpression="attribute_not_exists(id)", ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert failed.value.response["Item"] == {"id": S("1"), "v": S("first")}
    old = put("third", ConditionExpression="v = :v", ExpressionAttributeValues={":v": S("first")}, ReturnValues="ALL_OLD")
    assert old["Attributes"]["v"] == S("first")
    assert (
        refusal(items.delete_item, Key={"id": S("1")}, ConditionExpression="v = :v", ExpressionAttributeValues={":v": S("x")})[0]
        == "ConditionalCheckFailedException"
    )
    assert items.delete_item(Key={"id": S("1")}, ReturnValues="ALL_OLD")["Attributes"] == {"id": S("1"), "v": S("third")}
    assert "Attributes" not in items.delete_item(Key={"id": S("1")}, ReturnValues="ALL_OLD")
    assert refusal(put, text="x", ReturnValues="ALL_NEW") == ("ValidationException", ENVELOPE + "ReturnValues can only be ALL_OLD or NONE")


def test_update_returns(table):
    items = table("id:S")
    values = {":v": S("new"), ":n": N(1)}

    def update(returned, expression="SET m.a = :v, fresh = :n"):
        items.put_item(Item={"id": S("1"), "m": {"M": {"a": S("old"), "b": S("kept")}}, "other": N(7)})
        return items.update_item(Key={"id": S("1")}, UpdateExpression=expression, ExpressionAttributeValues=values, ReturnValues=returned)

    whole = {"id": S("1"), "m": {"M": {"a": S("new"), "b": S("kept")}}, "other": N(7), "fresh": N(1)}
    assert update("ALL_NEW")["Attributes"] == whole
    assert update("ALL_OLD")["Attributes"] == {"id": S("1"), "m": {"M": {"a": S("old"), "b": S("kept")}}, "other": N(7)}
    assert update("UPDATED_NEW")["Attributes"] == {"m": {"M": {"a": S("new")}}, "fresh": N(1)}
    assert update("UPDATED_OLD")["Attributes"] == {"m": {"M": {"a": S("old")}}}
    assert "Attributes" not in update("NONE")


def test_update_makes_what_is_not_there(table):
    items = table("id:S")
    assert "Attributes" not in items.update_item(Key={"id": S("1")}, ReturnValues="ALL_OLD")
    assert items.get_item(Key={"id": S("1")})["Item"] == {"id": S("1")}
    message = refusal(items.update_item, Key={"id": S("1")}, UpdateExpression="SET id = :x", ExpressionAttributeValues={":x": S("x")})
    assert message == ("ValidationException", INVALID + "Cannot update attribute id. This attribute is part of the key")


def test_projection_of_a_get(table):
    items = table("id:S")
    items.put_item(Item={"id": S("1"), "l": {"L": [N(1), N(2), {"M": {"x": N(3), "y": N(4)}}]}, "status": S("s")})
    found = items.get_item(Key={"id": S("1")}, ProjectionExpression="l[2].y, l[0], #s", ExpressionAttributeNames={"#s": "status"})
    assert found["Item"] == {"l": {"L": [N(1), {"M": {"y": N(4)}}]}, "status": S("s")}


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"ConditionExpression": "a = :a", "Expected": {}}, "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}"),
        ({"ExpressionAttributeNames": {"#a": "a"}}, "ExpressionAttributeNames can only be specified when using expressions"),
        ({"ExpressionAttributeValues": {":a": S("a")}}, "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null"),
        ({"ConditionExpression": "attribute_exists(a)", "ExpressionAttributeValues": {":a": S("a")}}, "Value provided in ExpressionAttributeValues unused in expressions: keys: {:a}"),
        ({"Expected": {"a": {}}}, INVALID + "Value must be provided when Exists is null for Attribute: a"),
        ({"Expected": {"a": {"Exists": False, "Value": S("a")}}}, INVALID + "Value cannot be used when Exists is false for Attribute: a"),
        ({"Expected": {"a": {"ComparisonOperator": "EQ"}}}, INVALID + "Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: a"),
        ({"ConditionalOperator": "OR"}, "ConditionalOperator cannot be used without Filter or Expected"),
        ({"ConditionalOperator": "OR", "ConditionExpression": "a = b"}, "ConditionalOperator cannot be used without Filter or Expected"),
    ],
)  # fmt: skip
def test_parameters_that_do_not_go_together(table, parameters, message):
    assert refusal(table("id:S").put_item, Item={"id": S("1")}, **parameters) == ("ValidationException", ENVELOPE + message)


def test_legacy_parameters(table):
    items = table("id:S")
    key = {"id": S("1")}
    items.put_item(Item=key | {"n": N(1), "ss": {"SS": ["a"]}}, Expected={"id": {"Exists": False}})
    assert refusal(items.put_item, Item=key, Expected={"n": {"Value": N(2)}})[0] == "ConditionalCheckFailedException"
    updates = {"n": {"Value": N(5), "Action": "ADD"}, "ss": {"Value": {"SS": ["b"]}, "Action": "ADD"}, "new": {"Value": S("x")}}
    expected = {"n": {"ComparisonOperator": "GE", "AttributeValueList": [N(9)]}, "id": {"ComparisonOperator": "NOT_NULL"}}
    changed = items.update_item(Key=key, AttributeUpdates=updates, Expected=expected, ConditionalOperator="OR", ReturnValues="ALL_NEW")
    assert changed["Attributes"] == {"id": S("1"), "n": N(6), "ss": {"SS": ["a", "b"]}, "new": S("x")}
    items.update_item(Key=key, AttributeUpdates={"new": {"Action": "DELETE"}, "ss": {"Action": "DELETE", "Value": {"SS": ["a", "b"]}}})
    assert items.get_item(Key=key, AttributesToGet=["n", "new", "ss"])["Item"] == {"n": N(6)}
    assert refusal(items.update_item, Key=key, AttributeUpdates={"a": {"Action": "ADD"}}) == (
        "ValidationException",
        ENVELOPE + INVALID + "Only DELETE action is allowed when no attribute value is specified",
    )


def test_consumed_capacity(table):
    items = table("id:S", indexes={"byX": ("x:S",)})
    item = {"id": S("1"), "x": S("x"), "a": S("y" * 3000)}
    used = items.put_item(Item=item, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    assert used == {
        "TableName": items.name,
        "CapacityUnits": 6.0,
        "Table": {"CapacityUnits": 3.0},
        "GlobalSecondaryIndexes": {"byX": {"CapacityUnits": 3.0}},
    }
    assert items.put_item(Item={"id": S("1")}, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"] == {
        "TableName": items.name,
        "CapacityUnits": 6.0,
    }
    read = lambda **more: items.get_item(Key={"id": S("1")}, ReturnConsumedCapacity="TOTAL", **more)["ConsumedCapacity"]["CapacityUnits"]
    assert (read(), read(ConsistentRead=True)) == (0.5, 1.0)
    items.put_item(Item={"id": S("1"), "a": S("y" * 9000)})
    assert (read(), read(ConsistentRead=True)) == (1.5, 3.0)
    assert "ConsumedCapacity" not in items.get_item(Key={"id": S("1")}, ReturnConsumedCapacity="NONE")
