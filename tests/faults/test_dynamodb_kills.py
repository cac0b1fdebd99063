"""kill -9 during indexed and transactional writes: what was answered is there, and items, indexes and counts agree."""

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
S = lambda text: {"S": text}
N = lambda number: {"N": str(number)}
GONE = (botocore.exceptions.EndpointConnectionError, botocore.exceptions.ConnectionClosedError, botocore.exceptions.ReadTimeoutError,
        botocore.exceptions.HTTPClientError)  # fmt: skip


def everything(client: Any, **where: Any) -> list[dict[str, Any]]:
    found, start = [], None
    while True:
        answer = client.scan(**where, **({"ExclusiveStartKey": start} if start else {}))
        found += answer["Items"]
        start = answer.get("LastEvaluatedKey")
        if start is None:
            return found


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
    )
    client.create_table(
        TableName="sums",
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
        self.dice = random.Random(seed)
        self.known = known
        self.doubtful: tuple[int, int | None] | None = None
        self.failed: Exception | None = None

    def run(self) -> None:
        step = 0
        try:
            while True:
                step += 1
                at, value = self.dice.randrange(KEYS), self.dice.randrange(5)
                gone = self.dice.random() < 0.25
                self.doubtful = (at, None if gone else value)
                self.write(at, value, gone)
                self.known[at] = None if gone else value
                self.doubtful = None
        except GONE:
            return
        except Exception as error:
            self.failed = error

    def write(self, at: int, value: int, gone: bool) -> None:
        key = {"id": S(f"w{self.number}"), "at": N(at)}
        if gone:
            self.client.delete_item(TableName="items", Key=key)
        elif self.dice.random() < 0.5:
            self.client.put_item(TableName="items", Item={**key, "n": N(value)})
        else:
            one, other = self.dice.sample(range(4), 2)
            move = lambda which, by: {
                "Update": {
                    "TableName": "sums",
                    "Key": {"id": S(str(which))},
                    "UpdateExpression": "ADD n :by",
                    "ExpressionAttributeValues": {":by": N(by)},
                }
            }
            self.client.transact_write_items(
                TransactItems=[{"Put": {"TableName": "items", "Item": {**key, "n": N(value)}}}, move(one, 1), move(other, -1)]
            )


def assert_all_agrees(client: Any, known: list[dict[int, int | None]], writers: list[Writer]) -> None:
    items = everything(client, TableName="items")
    by_key = {(item["id"]["S"], int(item["at"]["N"])): int(item["n"]["N"]) for item in items}
    for writer in writers:
        assert writer.failed is None, writer.failed
        for at in range(KEYS):
            found = by_key.get((f"w{writer.number}", at))
            allowed = {known[writer.number].get(at)} | ({writer.doubtful[1]} if writer.doubtful and writer.doubtful[0] == at else set())
            assert found in allowed, f"w{writer.number}/{at}: {found}, answered was {allowed}"
            known[writer.number][at] = found
    text = lambda found: sorted(repr(sorted(item.items())) for item in found)
    for index in ("all", "local", "keys"):
        assert text(everything(client, TableName="items", IndexName=index)) == text(items), f"index {index} and its table differ"
    assert sum(int(item["n"]["N"]) for item in everything(client, TableName="sums")) == 0, "half a transaction"
    described = client.describe_table(TableName="items")["Table"]
    assert described["ItemCount"] == len(items)
    assert all(index["ItemCount"] == len(items) for index in described["GlobalSecondaryIndexes"])


@pytest.mark.timeout(1200)  # CI asks for many rounds
def test_kills_lose_nothing_and_tear_nothing(fresh_platform):
    running = fresh_platform()
    make_tables(running.client("dynamodb"))
    known: list[dict[int, int | None]] = [{} for _ in range(WRITERS)]
    dice = random.Random(4)
    for round_number in range(ROUNDS):
        writers = [Writer(running.client("dynamodb"), number, round_number * 10 + number, known[number]) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        time.sleep(0.1 + dice.random() * 0.4)
        running.kill()
        for writer in writers:
            writer.join(60)
        running.start()
        assert_all_agrees(running.client("dynamodb"), known, writers)
    assert any(known), "nothing was written"


def test_a_backfill_goes_on_after_a_kill(fresh_platform):
    running = fresh_platform()
    client = running.client("dynamodb")
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
        running.kill()
        client = running.start().client("dynamodb")
    end = time.monotonic() + 90
    while status() != "ACTIVE":
        assert time.monotonic() < end, "the index was not filled"
        time.sleep(0.2)
    text = lambda found: sorted(repr(sorted(item.items())) for item in found)
    indexed = [item for item in everything(client, TableName="items") if "kind" in item]
    assert len(indexed) == 300 and text(everything(client, TableName="items", IndexName="late")) == text(indexed)
