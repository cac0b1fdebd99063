"""What is refused or counted whatever the items are: operand types, sizes, depths, Select, capacity, compressed requests."""

import gzip
import json
import zlib

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.services.dynamodb.conftest import refusal

S = lambda text: {"S": text}
N = lambda number: {"N": str(number)}
KEY = {"id": S("1")}


@pytest.mark.parametrize(
    "condition, values",
    [
        ("attribute_exists(nobody) AND begins_with(a, :v)", {":v": N(1)}),
        ("attribute_not_exists(nobody) OR size(a) > :v AND contains(a, :w)", {":v": N(1), ":w": {"SS": ["x"]}}),
        ("attribute_exists(nobody) AND a < :v", {":v": {"BOOL": True}}),
        ("attribute_exists(nobody) AND a BETWEEN :v AND :w", {":v": N(2), ":w": N(1)}),
        ("attribute_exists(nobody) AND attribute_type(a, :v)", {":v": S("X")}),
        ("attribute_exists(nobody) AND NOT size(:v) > size(a)", {":v": N(1)}),
    ],
)
def test_operand_types_are_checked_where_they_do_not_matter(table, condition, values):
    items = table("id:S")
    for item in (None, {**KEY, "a": S("x")}):
        if item is not None:
            items.put_item(Item=item)
        more = {"ExpressionAttributeValues": values}
        code, message = refusal(items.put_item, Item=KEY, ConditionExpression=condition, **more)
        assert code == "ValidationException" and "Invalid ConditionExpression: " in message
        code, message = refusal(items.scan, FilterExpression=condition, **more)
        assert code == "ValidationException" and "Invalid FilterExpression: " in message


def test_expressions_have_sizes(table):
    items = table("id:S")
    put = lambda **more: refusal(items.put_item, Item=KEY, **more)[1]
    assert "Expression size has exceeded the maximum allowed size" in put(ConditionExpression="a".ljust(4097, "a") + " = a")
    operators = " OR ".join(["attribute_exists(a)"] * 151)
    assert "The expression contains too many operators" in put(ConditionExpression=operators)
    operands = {f":v{number}": N(number) for number in range(101)}
    too_many = put(ConditionExpression=f"a IN ({', '.join(operands)})", ExpressionAttributeValues=operands)
    assert "The IN operator is provided with too many operands" in too_many
    name = "#" + "n" * 300
    assert "too long" in put(ConditionExpression=f"attribute_exists({name})", ExpressionAttributeNames={name: "a"})
    value = ":" + "v" * 300
    assert "too long" in put(ConditionExpression=f"a = {value}", ExpressionAttributeValues={value: N(1)})


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 1300 + "a = a" + ")" * 1300,
        "NOT " * 1000 + "attribute_exists(a)",
        "size(" * 700 + "a" + ")" * 700 + " = a",
        "a" + "[0]" * 1300 + " = b",
    ],
)
def test_what_is_nested_too_deeply_is_refused_and_hurts_nobody(table, expression):
    items = table("id:S")
    items.put_item(Item=KEY)
    assert refusal(items.scan, FilterExpression=expression)[0] == "ValidationException"
    assert refusal(items.delete_item, Key=KEY, ConditionExpression=expression)[0] == "ValidationException"
    value = S("x")
    for level in range(40):
        value = {"L": [value]} if level % 2 else {"M": {"k": value}}
    assert refusal(items.put_item, Item=KEY | {"a": value})[0] == "ValidationException"
    assert refusal(items.scan, FilterExpression="a = :v", ExpressionAttributeValues={":v": value})[0] == "ValidationException"
    assert items.scan()["Count"] == 1


@pytest.mark.parametrize("levels", [500, 5_000, 100_000])
def test_bodies_that_nest_without_end_are_refused(table, raw, levels):
    items = table("id:S")
    deep = '{"L":[' * levels + '{"S":"x"}' + "]}" * levels
    for operation, body in (
        ("PutItem", '{"TableName":"' + items.name + '","Item":{"id":{"S":"1"},"a":' + deep + "}}"),
        ("ExecuteStatement", '{"Statement":"SELECT * FROM t WHERE a = ?","Parameters":[' + deep + "]}"),
    ):
        answer = raw(operation, body.encode())
        assert answer.status_code == 400 and answer.json()["__type"].endswith(("#ValidationException", "#SerializationException"))
    assert items.scan()["Count"] == 0


def test_select(table):
    items = table("id:S", indexes={"byX": ("x:S",)})
    scan = lambda **more: refusal(items.scan, **more)[1]
    assert scan(Select="SPECIFIC_ATTRIBUTES") == (
        "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
    )
    assert scan(Select="ALL_ATTRIBUTES", ProjectionExpression="id") == (
        "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES"
    )
    assert scan(Select="COUNT", ProjectionExpression="id") == "Cannot specify the ProjectionExpression when choosing to get only the Count"
    assert scan(Select="ALL_PROJECTED_ATTRIBUTES").endswith("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
    items.put_item(Item=KEY | {"x": S("x"), "a": N(1)})
    assert items.scan(IndexName="byX", Select="ALL_PROJECTED_ATTRIBUTES")["Items"] == [KEY | {"x": S("x"), "a": N(1)}]
    assert items.scan(Select="SPECIFIC_ATTRIBUTES", ProjectionExpression="a")["Items"] == [{"a": N(1)}]
    assert "Items" not in items.scan(Select="COUNT")


def test_nested_return_values(table):
    items = table("id:S")
    items.put_item(Item=KEY | {"l": {"L": [N(1), N(2), {"M": {"a": S("old"), "b": S("kept")}}]}})
    update = lambda text, returned, **values: items.update_item(
        Key=KEY,
        UpdateExpression=text,
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
        ReturnValues=returned,
    )["Attributes"]
    assert update("SET l[1] = :v, l[2].a = :w", "UPDATED_NEW", v=N(9), w=S("new")) == {"l": {"L": [N(9), {"M": {"a": S("new")}}]}}
    assert update("SET l[1] = :v, l[2].a = :w", "UPDATED_OLD", v=N(8), w=S("x")) == {"l": {"L": [N(9), {"M": {"a": S("new")}}]}}


def test_capacity_of_transactions(table, dynamodb):
    items = table("id:S", indexes={"byX": ("x:S",)})
    put = lambda size, **more: dynamodb.transact_write_items(
        TransactItems=[{"Put": {"TableName": items.name, "Item": KEY | {"x": S("x"), "a": S("y" * size)}}}],
        ReturnConsumedCapacity="INDEXES",
        **more,
    )["ConsumedCapacity"]
    write = lambda units: {"CapacityUnits": units, "WriteCapacityUnits": units}
    assert put(3000, ClientRequestToken=items.name) == [
        {"TableName": items.name, **write(9.0), "Table": write(6.0), "GlobalSecondaryIndexes": {"byX": write(3.0)}}
    ]
    (again,) = put(3000, ClientRequestToken=items.name)
    assert (again["CapacityUnits"], again["ReadCapacityUnits"]) == (2.0, 2.0)
    get = {"Get": {"TableName": items.name, "Key": KEY}}
    missing = {"Get": {"TableName": items.name, "Key": {"id": S("nobody")}}}
    (read,) = dynamodb.transact_get_items(TransactItems=[get, missing], ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]
    assert read == {"TableName": items.name, "CapacityUnits": 4.0, "ReadCapacityUnits": 4.0}


def test_a_transaction_has_four_megabytes_at_most(table, dynamodb):
    items = table("id:S")
    puts = [{"Put": {"TableName": items.name, "Item": {"id": S(str(at)), "a": S("x" * 390_000)}}} for at in range(11)]
    code, message = refusal(dynamodb.transact_write_items, TransactItems=puts)
    assert code == "ValidationException" and "4 MB" in message
    dynamodb.transact_write_items(TransactItems=puts[:10])
    assert items.scan(Select="COUNT")["Count"] > 0


def test_statements_make_stream_records(table, client):
    items = table("id:S", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    streams = client("dynamodbstreams")
    run = lambda text: items.client.execute_statement(Statement=text.replace("{t}", f'"{items.name}"'))
    run("INSERT INTO {t} VALUE {'id': '1', 'n': 1}")
    run("UPDATE {t} SET n = 1 WHERE id = '1'")
    run("UPDATE {t} SET n = 2 WHERE id = '1'")
    run("DELETE FROM {t} WHERE id = '1'")
    run("DELETE FROM {t} WHERE id = '1'")
    arn = items.describe_table()["Table"]["LatestStreamArn"]
    records = []
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        records += streams.get_records(ShardIterator=iterator)["Records"]
    assert [record["eventName"] for record in records] == ["INSERT", "MODIFY", "REMOVE"]


@pytest.fixture
def raw(platform):
    """send(operation, body, **headers) -> the HTTP answer to a body that is sent and signed just as it is."""

    def send(operation, body, method="POST", **headers):
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"DynamoDB_20120810.{operation}", **headers}
        request = AWSRequest(method, platform.endpoint + "/", headers=headers, data=body)
        keys = Credentials(platform.described["access_key_id"], platform.described["secret_access_key"])
        SigV4Auth(keys, "dynamodb", "us-east-1").add_auth(request)
        return requests.request(method, platform.endpoint + "/", data=body, headers=dict(request.headers), stream=True, timeout=60)

    return send


def test_compressed_requests_and_answers(table, raw):
    items = table("id:S")
    text = json.dumps({"TableName": items.name, "Item": KEY | {"a": S("x" * 5000)}}).encode()
    raw_deflate = zlib.compressobj(wbits=-15)
    for encoding, body in (
        ("gzip", gzip.compress(text)),
        ("deflate", zlib.compress(text)),
        ("deflate", raw_deflate.compress(text) + raw_deflate.flush()),
    ):
        assert raw("PutItem", body, **{"Content-Encoding": encoding}).status_code == 200
    asked = json.dumps({"TableName": items.name, "Key": KEY}).encode()
    for accepted, packed in (("gzip", True), ("identity", False)):
        answer = raw("GetItem", asked, **{"Accept-Encoding": accepted})
        sent = answer.raw.read(decode_content=False)
        assert answer.headers["x-amz-crc32"] == str(zlib.crc32(sent)) and (answer.headers.get("Content-Encoding") == "gzip") == packed
        assert json.loads(gzip.decompress(sent) if packed else sent)["Item"]["a"] == S("x" * 5000)
    broken = raw("PutItem", gzip.compress(text)[:-20], **{"Content-Encoding": "gzip"})
    assert broken.status_code == 400 and broken.json()["__type"].endswith("#SerializationException")


def test_a_request_has_sixteen_megabytes_at_most(table, raw):
    items = table("id:S")
    item = lambda size: json.dumps({"TableName": items.name, "Item": KEY, "Unknown": "x" * size}).encode()
    refused = raw("PutItem", item(16 * 1024 * 1024))
    assert (refused.status_code, refused.json()["__type"].partition("#")[2]) == (413, "RequestEntityTooLarge")
    assert raw("PutItem", item(15 * 1024 * 1024)).status_code == 200


@pytest.mark.parametrize(
    "method, content_type", [("POST", "text/plain"), ("POST", ""), ("GET", "application/x-amz-json-1.0"), ("PUT", "application/json")]
)
def test_what_is_not_in_its_protocol(raw, method, content_type):
    answer = raw("ListTables", b"{}", method, **{"Content-Type": content_type})
    assert (answer.status_code, answer.content) == (404, b"<UnknownOperationException/>\n")
    assert answer.headers["x-amz-crc32"] == str(zlib.crc32(answer.content)) and answer.headers["x-amzn-RequestId"]


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "application/x-amz-json-1.1"])
def test_json_by_its_other_names(raw, content_type):
    assert raw("ListTables", b"{}", **{"Content-Type": content_type}).status_code == 200


def test_a_batch_on_a_table_without_a_name_is_refused_once(raw):
    for operation, part in (("BatchGetItem", {"Keys": [KEY]}), ("BatchWriteItem", [{"DeleteRequest": {"Key": KEY}}])):
        message = raw(operation, json.dumps({"RequestItems": {"": part}}).encode()).json()["message"]
        assert message.startswith("1 validation error detected: ") and message.count("Map keys must satisfy constraint") == 1


def test_what_a_name_does_not_match_is_told_before_its_length(raw):
    wrong = "Value 'a;' at 'indexName' failed to satisfy constraint: Member must "
    assert raw("Scan", json.dumps({"TableName": "some-table", "IndexName": "a;"}).encode()).json()["message"] == (
        f"2 validation errors detected: {wrong}satisfy regular expression pattern: [a-zA-Z0-9_.-]+; "
        f"{wrong}have length greater than or equal to 3"
    )
