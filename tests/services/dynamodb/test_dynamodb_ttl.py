"""Time to live: expired items leave, and their stream records say who deleted them."""

import time

import pytest
from tests.services.dynamodb.conftest import eventually, refusal

from haar.services.dynamodb import expiries

S = lambda text: {"S": text}
N = lambda number: {"N": str(number)}
STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


def switch(table, on=True, attribute="ttl"):
    return table.update_time_to_live(TimeToLiveSpecification={"Enabled": on, "AttributeName": attribute})


def status(table):
    return table.describe_time_to_live()["TimeToLiveDescription"]["TimeToLiveStatus"]


def test_from_disabled_to_enabled_and_back(table):
    made = table("id:S")
    assert made.describe_time_to_live()["TimeToLiveDescription"] == {"TimeToLiveStatus": "DISABLED"}
    assert refusal(switch, table=made, on=False) == ("ValidationException", "TimeToLive is already disabled")
    assert switch(made)["TimeToLiveSpecification"] == {"Enabled": True, "AttributeName": "ttl"}
    assert made.describe_time_to_live()["TimeToLiveDescription"]["AttributeName"] == "ttl"
    assert refusal(switch, table=made) == ("ValidationException", "TimeToLive is already enabled")
    different = "TimeToLive is active on a different AttributeName: current AttributeName is ttl"
    assert refusal(switch, table=made, attribute="other") == ("ValidationException", different)
    assert refusal(switch, table=made, on=False, attribute="other") == ("ValidationException", different)
    twice = "Time to live has been modified multiple times within a fixed interval"
    assert refusal(switch, table=made, on=False) == ("ValidationException", twice)
    eventually(lambda: status(made) == "ENABLED")
    switch(made, on=False)
    assert status(made) == "DISABLING"
    eventually(lambda: status(made) == "DISABLED")
    switch(made, attribute="other")


def test_unknown_tables(dynamodb, name):
    missing = ("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")
    assert refusal(dynamodb.describe_time_to_live, TableName=name) == missing
    assert refusal(dynamodb.update_time_to_live, TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "a"}) == missing


def test_expired_items_leave_and_others_stay(table, client):
    made = table("id:S", indexes={"byX": ("x:S",)}, StreamSpecification=STREAM)
    now = int(time.time())
    kept = {
        "later": N(now + 10_000),
        "text": S(str(now - 100)),
        "never": None,
        "ancient": N(now - 6 * 366 * 86_400),
        "negative": N(-5),
        "huge": N("9" * 38),
    }
    put = lambda key, value: made.put_item(Item={"id": S(key), "x": S("x"), **({} if value is None else {"ttl": value})})
    for key, value in kept.items():
        put(key, value)
    for at in range(60):
        put(f"before-{at}", N(now - at))
    switch(made)
    eventually(lambda: status(made) == "ENABLED")
    put("after", N(now - 5))
    put("rescued", N(now + 10_000))
    made.update_item(
        Key={"id": S("rescued")},
        UpdateExpression="SET #t = :t",
        ExpressionAttributeNames={"#t": "ttl"},
        ExpressionAttributeValues={":t": N(f"{now - 3}.5")},
    )
    items = eventually(lambda: (found := made.scan()["Items"]) and len(found) <= len(kept) and found)
    assert {item["id"]["S"] for item in items} == set(kept)
    assert made.scan(IndexName="byX", Select="COUNT")["Count"] == len(kept)
    streams = client("dynamodbstreams")
    arn = made.describe_table()["Table"]["LatestStreamArn"]
    records = []
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        where = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        records += streams.get_records(ShardIterator=streams.get_shard_iterator(**where)["ShardIterator"])["Records"]
    removed = [record for record in records if record["eventName"] == "REMOVE"]
    assert len(removed) == 62 and all(record["dynamodb"]["OldImage"]["x"] == S("x") for record in removed)
    assert {tuple(sorted(record["userIdentity"].items())) for record in removed} == {
        (("PrincipalId", "dynamodb.amazonaws.com"), ("Type", "Service"))
    }
    assert not any("userIdentity" in record for record in records if record["eventName"] != "REMOVE")


def test_a_time_to_live_survives_a_kill(fresh_platform):
    running = fresh_platform()
    dynamodb = running.client("dynamodb")
    dynamodb.create_table(
        TableName="kept",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    for at in range(5):
        dynamodb.put_item(TableName="kept", Item={"id": S(str(at)), "ttl": N(int(time.time()) - at)})
    dynamodb.update_time_to_live(TableName="kept", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})
    running.kill()
    running.start()
    dynamodb = running.client("dynamodb")
    eventually(lambda: dynamodb.scan(TableName="kept", Select="COUNT")["Count"] == 0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [({"N": "7"}, 7), ({"N": "7.9"}, 7), ({"N": "0"}, None), ({"N": "-1"}, None), ({"N": "1E+30"}, None), ({"S": "7"}, None), (None, None)],
)
def test_expiry(value, expected):
    assert expiries.expiry({} if value is None else {"t": value}, "t") == expected
