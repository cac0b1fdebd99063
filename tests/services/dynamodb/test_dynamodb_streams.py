"""Streams: one record a change, in order, with the images asked for."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.services.dynamodb.conftest import eventually, refusal

S = lambda text: {"S": text}
N = lambda number: {"N": str(number)}
HASH = {"AttributeName": "id", "KeyType": "HASH"}
ID = {"AttributeName": "id", "AttributeType": "S"}
INVALID = "One or more parameter values were invalid: "
spec = lambda view: {"StreamEnabled": True, "StreamViewType": view}


@pytest.fixture
def streams(client) -> Any:
    return client("dynamodbstreams")


def shards(streams, arn):
    return streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]


def read_all(streams, arn, kind="TRIM_HORIZON", **more):
    """Every record of the stream that there is now."""
    found = []
    for shard in shards(streams, arn):
        iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=kind, **more)["ShardIterator"]
        while iterator:
            page = streams.get_records(ShardIterator=iterator)
            found += page["Records"]
            iterator = page.get("NextShardIterator") if page["Records"] else None
    return found


def busy(streams, arn):
    """The shard that has records (a distributed platform's streams have several)."""
    for shard in shards(streams, arn):
        where = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        if streams.get_records(ShardIterator=streams.get_shard_iterator(**where)["ShardIterator"], Limit=1)["Records"]:
            return shard
    raise AssertionError("no shard has records")


def arn_of(table):
    return table.describe_table()["Table"]["LatestStreamArn"]


def test_records_are_what_aws_documents(table, streams):
    """The example of the API reference: the same item written, updated and deleted, with the sizes that it shows."""
    made = table("Id:N", StreamSpecification=spec("NEW_AND_OLD_IMAGES"))
    made.put_item(Item={"Id": N(101), "Message": S("New item!")})
    made.update_item(Key={"Id": N(101)}, UpdateExpression="SET Message = :m", ExpressionAttributeValues={":m": S("This item has changed")})
    made.delete_item(Key={"Id": N(101)})
    before = datetime.now(UTC).timestamp()
    first, second, third = read_all(streams, arn_of(made))
    new, old = {"Id": N(101), "Message": S("This item has changed")}, {"Id": N(101), "Message": S("New item!")}
    for record, event, size, images in (
        (first, "INSERT", 26, {"NewImage": old}),
        (second, "MODIFY", 59, {"NewImage": new, "OldImage": old}),
        (third, "REMOVE", 38, {"OldImage": new}),
    ):
        assert (record["eventName"], record["eventVersion"], record["eventSource"], record["awsRegion"]) == (
            event,
            "1.1",
            "aws:dynamodb",
            "us-east-1",
        )
        assert re.fullmatch("[0-9a-f]{32}", record["eventID"]) and "userIdentity" not in record
        body = record["dynamodb"]
        assert abs(body.pop("ApproximateCreationDateTime").timestamp() - before) < 120
        assert re.fullmatch(r"\d{21,40}", body.pop("SequenceNumber"))
        assert body == {"Keys": {"Id": N(101)}, "SizeBytes": size, "StreamViewType": "NEW_AND_OLD_IMAGES", **images}
    assert len({record["eventID"] for record in (first, second, third)}) == 3


@pytest.mark.parametrize("view", ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"])
def test_views(table, streams, view):
    made = table("id:S", StreamSpecification=spec(view))
    made.put_item(Item={"id": S("1"), "x": N(1)})
    made.put_item(Item={"id": S("1"), "x": N(2)})
    made.delete_item(Key={"id": S("1")})
    one, two = ({"id": S("1"), "x": N(x)} for x in (1, 2))
    expected = [("INSERT", one, None), ("MODIFY", two, one), ("REMOVE", None, two)]
    for record, (event, new, old) in zip(read_all(streams, arn_of(made)), expected, strict=True):
        assert record["eventName"] == event and record["dynamodb"]["Keys"] == {"id": S("1")}
        assert record["dynamodb"].get("NewImage") == (new if view in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES") else None)
        assert record["dynamodb"].get("OldImage") == (old if view in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES") else None)


def test_what_changes_nothing_makes_no_record(table, streams, dynamodb):
    made = table("id:S", StreamSpecification=spec("KEYS_ONLY"))
    item = {"id": S("1"), "x": N("1"), "s": {"SS": ["a", "b"]}}
    made.put_item(Item=item)
    made.put_item(Item={"s": {"SS": ["b", "a"]}, "x": N("1.0"), "id": S("1")})
    made.update_item(Key={"id": S("1")}, UpdateExpression="SET x = :x", ExpressionAttributeValues={":x": N(1)})
    made.update_item(Key={"id": S("1")})
    made.delete_item(Key={"id": S("not there")})
    refusal(made.put_item, Item={"id": S("1"), "x": N(2)}, ConditionExpression="attribute_not_exists(id)")
    check = {
        "ConditionCheck": {
            "TableName": made.name,
            "Key": {"id": S("1")},
            "ConditionExpression": "x = :no",
            "ExpressionAttributeValues": {":no": N(9)},
        }
    }
    refusal(dynamodb.transact_write_items, TransactItems=[{"Put": {"TableName": made.name, "Item": {"id": S("2")}}}, check])
    assert [record["eventName"] for record in read_all(streams, arn_of(made))] == ["INSERT"]


def test_batches_and_transactions_make_a_record_of_each_change(table, streams, dynamodb):
    made = table("id:S", StreamSpecification=spec("NEW_IMAGE"))
    dynamodb.batch_write_item(RequestItems={made.name: [{"PutRequest": {"Item": {"id": S(str(at))}}} for at in range(5)]})
    dynamodb.transact_write_items(
        TransactItems=[
            {"Delete": {"TableName": made.name, "Key": {"id": S("0")}}},
            {"Put": {"TableName": made.name, "Item": {"id": S("1"), "x": N(1)}}},
            {
                "Update": {
                    "TableName": made.name,
                    "Key": {"id": S("9")},
                    "UpdateExpression": "SET x = :x",
                    "ExpressionAttributeValues": {":x": N(1)},
                }
            },
        ]
    )
    found = sorted((record["dynamodb"]["Keys"]["id"]["S"], record["eventName"]) for record in read_all(streams, arn_of(made)))
    assert found == [
        ("0", "INSERT"),
        ("0", "REMOVE"),
        ("1", "INSERT"),
        ("1", "MODIFY"),
        ("2", "INSERT"),
        ("3", "INSERT"),
        ("4", "INSERT"),
        ("9", "INSERT"),
    ]


def test_pages_and_iterators(table, streams):
    made = table("id:S", StreamSpecification=spec("NEW_IMAGE"))
    arn = arn_of(made)
    made.put_item(Item={"id": S("same"), "x": N(-1)})
    shard = busy(streams, arn)
    assert re.fullmatch(r"shardId-\d{20}-[0-9a-f]{8}", shard["ShardId"]) and "EndingSequenceNumber" not in shard["SequenceNumberRange"]
    iterator = lambda kind, **more: streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=kind, **more)[
        "ShardIterator"
    ]
    latest = iterator("LATEST")
    assert latest.startswith(arn + "|1|")
    for at in range(7):
        made.put_item(Item={"id": S("same"), "x": N(at)})
    values = lambda page: [int(record["dynamodb"]["NewImage"]["x"]["N"]) for record in page["Records"]]
    page = streams.get_records(ShardIterator=latest, Limit=3)
    assert values(page) == [0, 1, 2]
    page = streams.get_records(ShardIterator=page["NextShardIterator"], Limit=3)
    assert values(page) == [3, 4, 5]
    fifth = page["Records"][1]["dynamodb"]["SequenceNumber"]
    page = streams.get_records(ShardIterator=page["NextShardIterator"], Limit=3)
    assert values(page) == [6]
    page = streams.get_records(ShardIterator=page["NextShardIterator"])
    assert page["Records"] == [] and page["NextShardIterator"]
    assert values(streams.get_records(ShardIterator=iterator("AT_SEQUENCE_NUMBER", SequenceNumber=fifth))) == [4, 5, 6]
    assert values(streams.get_records(ShardIterator=iterator("AFTER_SEQUENCE_NUMBER", SequenceNumber=fifth))) == [5, 6]
    assert values(
        streams.get_records(
            ShardIterator=iterator("AT_SEQUENCE_NUMBER", SequenceNumber=shard["SequenceNumberRange"]["StartingSequenceNumber"])
        )
    ) == list(range(-1, 7))
    assert values(streams.get_records(ShardIterator=iterator("LATEST"))) == []


@pytest.mark.parametrize("kind", ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"])
def test_a_shard_is_read_from_the_number_that_it_begins_with(table, streams, kind):
    made = table("id:S", StreamSpecification=spec("KEYS_ONLY"))
    arn = arn_of(made)
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        asked = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": kind}
        start = shard["SequenceNumberRange"]["StartingSequenceNumber"]
        iterator = streams.get_shard_iterator(**asked, SequenceNumber=start)["ShardIterator"]
        assert streams.get_records(ShardIterator=iterator)["Records"] == []
        assert refusal(streams.get_shard_iterator, **asked, SequenceNumber=str(int(start) + 2))[0] == "ValidationException"
    made.put_item(Item={"id": S("first")})
    shard = busy(streams, arn)
    start = shard["SequenceNumberRange"]["StartingSequenceNumber"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=kind, SequenceNumber=start)
    (record,) = streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    assert int(start) < int(record["dynamodb"]["SequenceNumber"])


def test_a_page_ends_at_a_megabyte(table, streams):
    made = table("id:S", StreamSpecification=spec("NEW_IMAGE"))
    for at in range(5):
        made.put_item(Item={"id": S("same"), "x": S(str(at) * 300_000)})
    shard = busy(streams, arn_of(made))
    iterator = streams.get_shard_iterator(StreamArn=arn_of(made), ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    page = streams.get_records(ShardIterator=iterator)
    assert len(page["Records"]) == 3
    assert len(streams.get_records(ShardIterator=page["NextShardIterator"])["Records"]) == 2


def test_from_enabling_to_disabling_and_again(table, streams):
    made = table("id:S")
    made.put_item(Item={"id": S("before")})
    assert refusal(made.update_table, StreamSpecification={"StreamEnabled": False}) == (
        "ValidationException",
        f"Table has no stream to disable: TableName: {made.name}",
    )
    assert (
        refusal(made.update_table, StreamSpecification={"StreamEnabled": True})[1]
        == INVALID + "If stream is being enabled then UpdateViewType is required"
    )
    assert (
        refusal(made.update_table, StreamSpecification={"StreamEnabled": False, "StreamViewType": "KEYS_ONLY"})[1]
        == INVALID + "If stream is being disabled, then UpdateViewType must not be specified"
    )
    answer = made.update_table(StreamSpecification=spec("KEYS_ONLY"))["TableDescription"]
    first = answer["LatestStreamArn"]
    assert answer["StreamSpecification"] == spec("KEYS_ONLY") and first == f"{answer['TableArn']}/stream/{answer['LatestStreamLabel']}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", answer["LatestStreamLabel"])
    for view in ("KEYS_ONLY", "NEW_IMAGE"):
        assert refusal(made.update_table, StreamSpecification=spec(view)) == (
            "ValidationException",
            f"Table already has an enabled stream: TableName: {made.name}",
        )
    described = streams.describe_stream(StreamArn=first)["StreamDescription"]
    assert (described["TableName"], described["StreamViewType"], described["KeySchema"]) == (made.name, "KEYS_ONLY", [HASH])
    assert described["StreamArn"] == first and described["StreamLabel"] == answer["LatestStreamLabel"]
    eventually(lambda: streams.describe_stream(StreamArn=first)["StreamDescription"]["StreamStatus"] == "ENABLED")
    made.put_item(Item={"id": S("1")})
    made.put_item(Item={"id": S("1"), "x": N(1)})
    made.update_table(StreamSpecification={"StreamEnabled": False})
    table_now = made.describe_table()["Table"]
    assert "StreamSpecification" not in table_now and table_now["LatestStreamArn"] == first
    made.put_item(Item={"id": S("3")})
    eventually(lambda: streams.describe_stream(StreamArn=first)["StreamDescription"]["StreamStatus"] == "DISABLED")
    shard = busy(streams, first)
    iterator = streams.get_shard_iterator(StreamArn=first, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    page = streams.get_records(ShardIterator=iterator, Limit=1)
    assert page["NextShardIterator"]
    page = streams.get_records(ShardIterator=page["NextShardIterator"])
    assert [record["eventName"] for record in page["Records"]] == ["MODIFY"] and "NextShardIterator" not in page
    assert shard["SequenceNumberRange"]["EndingSequenceNumber"] == page["Records"][0]["dynamodb"]["SequenceNumber"]
    second = made.update_table(StreamSpecification=spec("NEW_IMAGE"))["TableDescription"]["LatestStreamArn"]
    assert second != first
    listed = [each["StreamArn"] for each in streams.list_streams(TableName=made.name)["Streams"]]
    assert listed == [first, second]
    page = streams.list_streams(TableName=made.name, Limit=1)
    assert page["LastEvaluatedStreamArn"] == first
    assert [each["StreamArn"] for each in streams.list_streams(TableName=made.name, ExclusiveStartStreamArn=first)["Streams"]] == [second]


def test_a_stream_outlives_its_table(table, streams):
    made = table("id:S", StreamSpecification=spec("KEYS_ONLY"))
    arn = arn_of(made)
    made.put_item(Item={"id": S("1")})
    made.delete_table()
    assert [record["eventName"] for record in read_all(streams, arn)] == ["INSERT"]
    eventually(lambda: streams.describe_stream(StreamArn=arn)["StreamDescription"]["StreamStatus"] == "DISABLED")


def test_refusals(table, streams, dynamodb, name):
    for given, wrong in (
        ({"StreamEnabled": True}, "Table is being created with a stream enabled, UpdateViewType is required"),
        (
            {"StreamEnabled": False, "StreamViewType": "NEW_IMAGE"},
            "Table is being created with a stream disabled, UpdateViewType should not be specified",
        ),
    ):
        assert refusal(
            dynamodb.create_table,
            TableName=name,
            KeySchema=[HASH],
            AttributeDefinitions=[ID],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification=given,
        ) == ("ValidationException", INVALID + wrong)
    made = table("id:S", StreamSpecification=spec("KEYS_ONLY"))
    arn = arn_of(made)
    shard = shards(streams, arn)[0]
    where = {"StreamArn": arn, "ShardId": shard["ShardId"]}
    missing = arn[:-4] + "9999"
    assert refusal(streams.describe_stream, StreamArn=missing) == (
        "ResourceNotFoundException",
        f"Requested resource not found: Stream: {missing} not found",
    )
    assert (
        refusal(streams.get_shard_iterator, StreamArn=arn, ShardId="shardId-" + "1" * 20 + "-aaaaaaaa", ShardIteratorType="LATEST")[0]
        == "ResourceNotFoundException"
    )
    assert refusal(streams.describe_stream, StreamArn="x" * 40)[0] == "ValidationException"
    assert refusal(streams.get_shard_iterator, **where, ShardIteratorType="AT_SEQUENCE_NUMBER")[0] == "ValidationException"
    assert refusal(streams.get_shard_iterator, **where, ShardIteratorType="LATEST", SequenceNumber="1" * 21)[0] == "ValidationException"
    assert (
        refusal(streams.get_shard_iterator, **where, ShardIteratorType="AT_SEQUENCE_NUMBER", SequenceNumber="9" * 30)[0]
        == "ValidationException"
    )
    assert refusal(streams.get_shard_iterator, **where, ShardIteratorType="SOMEWHERE")[0] == "ValidationException"
    for iterator in ("nonsense", "a|b|c", f"{arn}|1|AAAA"):
        assert refusal(streams.get_records, ShardIterator=iterator)[0] == "ValidationException"
    iterator = streams.get_shard_iterator(**where, ShardIteratorType="LATEST")["ShardIterator"]
    assert refusal(streams.get_records, ShardIterator=iterator, Limit=1001)[0] == "ValidationException"
