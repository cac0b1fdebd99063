"""Writers that race on the same items by conditions: no update is lost, and none is half done."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

RACES = int(os.environ.get("HAAR_RACES", "300"))
"""Tries of a race; `make races` makes ten thousand."""
S = lambda text: {"S": text}
N = lambda number: {"N": str(number)}


class Tries:
    """Shares the tries of a race among the writers."""

    def __init__(self, left: int) -> None:
        self._left = left
        self._lock = threading.Lock()

    def take(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left >= 0


def race(writers: int, attempt: Callable[[int], bool]) -> int:
    """How many of the tries came about."""
    tries = Tries(RACES)

    def run(number: int) -> int:
        done = 0
        while tries.take():
            done += attempt(number)
        return done

    with ThreadPoolExecutor(writers) as pool:
        return sum(pool.map(run, range(writers)))


@pytest.mark.timeout(1200)
def test_two_writers_on_one_item(table, client):
    items = table("id:S")
    items.put_item(Item={"id": S("1"), "n": N(0)})
    clients = [client("dynamodb") for _ in range(2)]
    won: list[int] = []

    def attempt(number: int) -> bool:
        writer: Any = clients[number]
        seen = int(writer.get_item(TableName=items.name, Key={"id": S("1")}, ConsistentRead=True)["Item"]["n"]["N"])
        try:
            writer.update_item(
                TableName=items.name,
                Key={"id": S("1")},
                UpdateExpression="SET n = :new",
                ConditionExpression="n = :old",
                ExpressionAttributeValues={":old": N(seen), ":new": N(seen + 1)},
            )
        except writer.exceptions.ConditionalCheckFailedException:
            return False
        won.append(seen + 1)
        return True

    done = race(2, attempt)
    assert items.get_item(Key={"id": S("1")}, ConsistentRead=True)["Item"]["n"] == N(done), "an update was lost"
    assert sorted(won) == list(range(1, done + 1)), "two writers had the same turn"


@pytest.mark.timeout(1200)
def test_four_writers_of_transactions_on_two_items(table, client):
    items = table("id:S")
    for each in "ab":
        items.put_item(Item={"id": S(each), "n": N(0)})
    clients = [client("dynamodb") for _ in range(4)]
    get = {each: {"Get": {"TableName": items.name, "Key": {"id": S(each)}}} for each in "ab"}

    def attempt(number: int) -> bool:
        writer: Any = clients[number]
        change = lambda each, seen, by: {
            "Update": {
                "TableName": items.name,
                "Key": {"id": S(each)},
                "UpdateExpression": "SET n = :new",
                "ConditionExpression": "n = :old",
                "ExpressionAttributeValues": {":old": N(seen), ":new": N(seen + by)},
            }
        }
        try:
            read = writer.transact_get_items(TransactItems=[get["a"], get["b"]])["Responses"]
            a, b = (int(each["Item"]["n"]["N"]) for each in read)
            assert a + b == 0, f"half a transaction was read: {a} and {b}"
            writer.transact_write_items(TransactItems=[change("a", a, 1), change("b", b, -1)])
        except writer.exceptions.TransactionCanceledException:
            return False
        return True

    done = race(4, attempt)
    a, b = (items.get_item(Key={"id": S(each)}, ConsistentRead=True)["Item"]["n"] for each in "ab")
    assert (a, b) == (N(done), N(-done)), "an update was lost"
