"""Whoever replays a stream has the table: with many writers at once, and over kills."""

import random
import threading
import time
from typing import Any

import botocore.exceptions
import pytest

S = lambda text: {"S": text}
N = lambda number: {"N": str(number)}
KEY = {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}
STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
GONE = (botocore.exceptions.ConnectionError, botocore.exceptions.HTTPClientError)
WRITERS = 4
KEYS = 12
"""Few, so that writers meet."""


class Writer(threading.Thread):
    """Writes at random, alone, in batches and in transactions, until it is told to stop or the platform is gone."""

    def __init__(self, client: Any, table: str, seed: int, steps: int | None) -> None:
        super().__init__()
        self.client, self.table, self.dice, self.steps = client, table, random.Random(seed), steps
        self.failed: Exception | None = None

    def run(self) -> None:
        step = 0
        while self.steps is None or step < self.steps:
            step += 1
            try:
                self.write()
            except GONE:
                return
            except botocore.exceptions.ClientError as error:
                if error.response["Error"]["Code"] not in ("TransactionCanceledException", "TransactionConflictException"):
                    self.failed = error
                    return

    def write(self) -> None:
        one, other = (str(each) for each in self.dice.sample(range(KEYS), 2))
        value = N(self.dice.randrange(3))
        kind = self.dice.randrange(5)
        if kind == 0:
            self.client.put_item(TableName=self.table, Item={"id": S(one), "n": value})
        elif kind == 1:
            self.client.delete_item(TableName=self.table, Key={"id": S(one)})
        elif kind == 2:
            change = {"UpdateExpression": "ADD n :n", "ExpressionAttributeValues": {":n": value}}
            self.client.update_item(TableName=self.table, Key={"id": S(one)}, **change)
        elif kind == 3:
            requests = [{"PutRequest": {"Item": {"id": S(one), "n": value}}}, {"DeleteRequest": {"Key": {"id": S(other)}}}]
            self.client.batch_write_item(RequestItems={self.table: requests})
        else:
            put = {"Put": {"TableName": self.table, "Item": {"id": S(one), "n": value}}}
            check = {"TableName": self.table, "Key": {"id": S(other)}, "ConditionExpression": "attribute_exists(id)"}
            self.client.transact_write_items(TransactItems=[put, {"Delete": check}])


def replay(streams: Any, arn: str) -> dict[str, Any]:
    """The items that the stream leads to; every record has to fit to what was there before it."""
    items: dict[str, Any] = {}
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        where = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator, before = streams.get_shard_iterator(**where)["ShardIterator"], 0
        while True:
            page = streams.get_records(ShardIterator=iterator)
            for record in page["Records"]:
                body = record["dynamodb"]
                key, old, new = body["Keys"]["id"]["S"], body.get("OldImage"), body.get("NewImage")
                assert int(body["SequenceNumber"]) > before, "out of order"
                before = int(body["SequenceNumber"])
                assert items.get(key) == old and old != new
                assert record["eventName"] == ("INSERT" if old is None else "REMOVE" if new is None else "MODIFY")
                if new is None:
                    del items[key]
                else:
                    items[key] = new
            if not page["Records"]:
                break
            iterator = page["NextShardIterator"]
    return items


def items_of(client: Any, table: str) -> dict[str, Any]:
    return {item["id"]["S"]: item for item in client.scan(TableName=table, ConsistentRead=True)["Items"]}


def test_a_stream_is_the_table_s_history(client, table):
    made = table("id:S", StreamSpecification=STREAM)
    writers = [Writer(client("dynamodb"), made.name, seed, 60) for seed in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.failed is None, writer.failed
    arn = made.describe_table()["Table"]["LatestStreamArn"]
    assert replay(client("dynamodbstreams"), arn) == items_of(client("dynamodb"), made.name)


@pytest.mark.faults
def test_a_stream_is_the_table_s_history_over_kills(fresh_platform):
    running = fresh_platform()
    made = {"TableName": "kept", "BillingMode": "PAY_PER_REQUEST", "StreamSpecification": STREAM, **KEY}
    arn = running.client("dynamodb").create_table(**made)["TableDescription"]["LatestStreamArn"]
    dice = random.Random(7)
    for round_number in range(3):
        writers = [Writer(running.client("dynamodb"), "kept", 10 * round_number + seed, None) for seed in range(WRITERS)]
        for writer in writers:
            writer.start()
        time.sleep(0.2 + dice.random() * 0.3)
        running.kill()
        for writer in writers:
            writer.join(60)
            assert writer.failed is None, writer.failed
        running.start()
        assert replay(running.client("dynamodbstreams"), arn) == items_of(running.client("dynamodb"), "kept")
    assert items_of(running.client("dynamodb"), "kept"), "nothing was written"
