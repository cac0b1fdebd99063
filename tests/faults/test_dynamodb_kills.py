"""kill -9 during indexed and transactional writes: what was answered is there, and items, indexes, streams and counts agree."""

import os
import random
import threading
import time
from typing import Any

import botocore.exceptions
import pytest

pytestmark = pytest.mark.faults

ROUNDS = int(os.environ.get("HAAR_KILL_ROUNDS", "3"))
WRITERS = 3
KEYS = 40
Item = dict[str, Any]
S = lambda text: {"S": text}
N = lambda number: {"N": str(number)}
GONE = (botocore.exceptions.EndpointConnectionError, botocore.exceptions.ConnectionClosedError, botocore.exceptions.ReadTimeoutError,
        botocore.exceptions.HTTPClientError)  # fmt: skip


def everything(client: Any, **where: Any) -> list[Item]:
    found, start = [], None
    while True:
        answer = client.scan(**where, **({"ExclusiveStartKey": start} if start else {}))
        found += answer["Items"]
        start = answer.get("LastEvaluatedKey")
        if start is None:
            return found


def place(item: Item) -> tuple[str, int]:
    return item["id"]["S"], int(item["at"]["N"])


def make_tables(client: Any) -> None:
    key = lambda name, kind: {"AttributeName": name, "KeyType": kind}
    client.create_table(
        TableName="items",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[key("id", "HASH"), key("at", "RANGE")],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in (("id", "S"), ("at", "N"), ("n", "N"))],
        GlobalSecondaryIndexes=[
            {"IndexName": "all", "KeySchema": [key("n", "HASH")], "Projection": {"ProjectionType": "ALL"}},
            {"IndexName": "keys", "KeySchema": [key("n", "HASH"), key("id", "RANGE")], "Projection": {"ProjectionType": "KEYS_ONLY"}},
        ],
        LocalSecondaryIndexes=[
            {"IndexName": "local", "KeySchema": [key("id", "HASH"), key("n", "RANGE")], "Projection": {"ProjectionType": "ALL"}}
        ],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    for name in ("sums", "receipts"):
        client.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[key("id", "HASH")],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
    for at in range(4):
        client.put_item(TableName="sums", Item={"id": S(str(at)), "n": N(0)})


class Writer(threading.Thread):
    """Writes until the process is gone; remembers what was answered about its own keys."""

    def __init__(self, client: Any, number: int, seed: int, known: dict[int, int | None]) -> None:
        super().__init__()
        self.client = client
        self.number = number
        self.seed = seed
        self.dice = random.Random(seed)
        self.known = known
        self.doubtful: tuple[int, int | None] | None = None
        self.receipts: set[str] = set()
        """Of the transactions that were answered."""
        self.failed: Exception | None = None

    def run(self) -> None:
        step = 0
        try:
            while True:
                step += 1
                at, value = self.dice.randrange(KEYS), self.dice.randrange(5)
                gone = self.dice.random() < 0.25
                self.doubtful = (at, None if gone else value)
                self.write(at, value, gone, f"{self.seed}-{step}")
                self.known[at] = None if gone else value
                self.doubtful = None
        except GONE:
            return
        except Exception as error:
            self.failed = error

    def write(self, at: int, value: int, gone: bool, receipt: str) -> None:
        key = {"id": S(f"w{self.number}"), "at": N(at)}
        if gone:
            self.client.delete_item(TableName="items", Key=key)
        elif self.dice.random() < 0.5:
            self.client.put_item(TableName="items", Item={**key, "n": N(value)})
        else:
            self.move(key, value, receipt)
            self.receipts.add(receipt)

    def move(self, key: Item, value: int, receipt: str) -> None:
        """One item, two sums and a receipt of it all, in one transaction."""
        one, other = self.dice.sample(range(4), 2)
        add = lambda which, by: {
            "Update": {
                "TableName": "sums",
                "Key": {"id": S(str(which))},
                "UpdateExpression": "ADD n :by",
                "ExpressionAttributeValues": {":by": N(by)},
            }
        }
        put = lambda table, item: {"Put": {"TableName": table, "Item": item}}
        written = {**key, "n": N(value), "receipt": S(receipt)}
        signed = {"id": S(receipt), "from": N(other), "to": N(one)}
        self.client.transact_write_items(TransactItems=[put("items", written), add(one, 1), add(other, -1), put("receipts", signed)])


class Replay:
    """The table as its stream tells it, from the first record on; goes on where it stopped."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, int], Item] = {}
        self.receipts: set[str] = set()
        self.read: dict[str, str] = {}
        """The last sequence number of each shard."""

    def go_on(self, client: Any, streams: Any) -> None:
        arn = client.describe_table(TableName="items")["Table"]["LatestStreamArn"]
        for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
            id = shard["ShardId"]
            where = (
                {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": self.read[id]}
                if id in self.read
                else {"ShardIteratorType": "TRIM_HORIZON"}
            )
            iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=id, **where)["ShardIterator"]
            while (page := streams.get_records(ShardIterator=iterator))["Records"]:
                for record in page["Records"]:
                    self.apply(id, record)
                iterator = page["NextShardIterator"]

    def apply(self, shard: str, record: dict[str, Any]) -> None:
        """Each record begins with what the one before it left."""
        change = record["dynamodb"]
        number = change["SequenceNumber"]
        assert int(number) > int(self.read.get(shard, "0")), "records out of order"
        self.read[shard] = number
        at = place(change["Keys"])
        old, new = change.get("OldImage"), change.get("NewImage")
        assert old == self.items.get(at), f"{at}: a record between is missing, or was never"
        assert old != new, f"{at}: a record of no change"
        assert record["eventName"] == ("INSERT" if old is None else "REMOVE" if new is None else "MODIFY")
        if new is None:
            del self.items[at]
            return
        self.items[at] = new
        if "receipt" in new:
            self.receipts.add(new["receipt"]["S"])


def check_answered(items: list[Item], known: list[dict[int, int | None]], writers: list[Writer]) -> None:
    """Every key has the value of the last write that was answered, or of the one that was not."""
    by_key = {place(item): int(item["n"]["N"]) for item in items}
    for writer in writers:
        assert writer.failed is None, writer.failed
        for at in range(KEYS):
            found = by_key.get((f"w{writer.number}", at))
            allowed = {known[writer.number].get(at)} | ({writer.doubtful[1]} if writer.doubtful and writer.doubtful[0] == at else set())
            assert found in allowed, f"w{writer.number}/{at}: {found}, answered was {allowed}"
            known[writer.number][at] = found


def check_transactions(client: Any, items: list[Item], answered: set[str]) -> set[str]:
    """Every transaction is whole: its receipt says what it did to the sums; the receipts."""
    receipts = everything(client, TableName="receipts")
    found = {receipt["id"]["S"] for receipt in receipts}
    assert answered <= found, "a transaction that was answered is gone"
    assert {item["receipt"]["S"] for item in items if "receipt" in item} <= found, "an item of a transaction without the rest of it"
    sums = dict.fromkeys(range(4), 0)
    for receipt in receipts:
        sums[int(receipt["to"]["N"])] += 1
        sums[int(receipt["from"]["N"])] -= 1
    kept = {int(item["id"]["S"]): int(item["n"]["N"]) for item in everything(client, TableName="sums")}
    assert kept == sums, "half a transaction"
    return found


def check_indexes_and_counts(client: Any, items: list[Item]) -> None:
    text = lambda found: sorted(repr(sorted(item.items())) for item in found)
    for index in ("all", "local", "keys"):
        projected = [{name: item[name] for name in ("id", "at", "n")} for item in items] if index == "keys" else items
        assert text(everything(client, TableName="items", IndexName=index)) == text(projected), f"index {index} and its table differ"
    described = client.describe_table(TableName="items")["Table"]
    assert described["ItemCount"] == len(items)
    assert all(index["ItemCount"] == len(items) for kind in ("Global", "Local") for index in described[f"{kind}SecondaryIndexes"])


@pytest.mark.timeout(1200)  # CI asks for many rounds
def test_kills_lose_nothing_and_tear_nothing(killable):
    make_tables(killable.client("dynamodb"))
    known: list[dict[int, int | None]] = [{} for _ in range(WRITERS)]
    answered: set[str] = set()
    replay = Replay()
    dice = random.Random(4)
    for round_number in range(ROUNDS):
        writers = [Writer(killable.client("dynamodb"), number, round_number * 10 + number, known[number]) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        time.sleep(0.1 + dice.random() * 0.4)
        killable.kill()
        for writer in writers:
            writer.join(60)
            answered |= writer.receipts
        client = killable.start().client("dynamodb")
        items = everything(client, TableName="items")
        check_answered(items, known, writers)
        receipts = check_transactions(client, items, answered)
        check_indexes_and_counts(client, items)
        replay.go_on(client, killable.client("dynamodbstreams"))
        assert replay.items == {place(item): item for item in items}, "the stream and the table differ"
        assert replay.receipts == receipts, "the stream and the transactions differ"
    assert any(known) and answered, "nothing was written"


def test_a_backfill_goes_on_after_a_kill(killable):
    client = killable.client("dynamodb")
    key = {"AttributeName": "id", "KeyType": "HASH"}
    client.create_table(
        TableName="items",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[key],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    for at in range(400):
        client.put_item(TableName="items", Item={"id": S(str(at)), **({"kind": S("k" + str(at % 3))} if at % 4 else {})})
    create = {"IndexName": "late", "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}
    client.update_table(
        TableName="items",
        AttributeDefinitions=[{"AttributeName": "kind", "AttributeType": "S"}],
        GlobalSecondaryIndexUpdates=[{"Create": create}],
    )
    status = lambda: client.describe_table(TableName="items")["Table"]["GlobalSecondaryIndexes"][0]["IndexStatus"]
    for wait in (0.1, 2.5):
        time.sleep(wait)
        killable.kill()
        client = killable.start().client("dynamodb")
    end = time.monotonic() + 90
    while status() != "ACTIVE":
        assert time.monotonic() < end, "the index was not filled"
        time.sleep(0.2)
    text = lambda found: sorted(repr(sorted(item.items())) for item in found)
    indexed = [item for item in everything(client, TableName="items") if "kind" in item]
    assert len(indexed) == 300 and text(everything(client, TableName="items", IndexName="late")) == text(indexed)
