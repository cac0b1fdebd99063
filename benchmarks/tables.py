"""DynamoDB's operations, on haar and on its peers in turns."""

import random
import string
from collections.abc import Callable
from typing import Any

from benchmarks.load import Signed, check, dynamodb, median, rate
from benchmarks.peers import Target

KEYS = 200
"""Different requests that are replayed in turn."""
VERSIONS = (0, 1)
"""Each key is written with these in turn: a write that changes nothing would cost less."""
PARTITION_ITEMS = 10_000
SCAN_ITEMS = 10_000


def text(size: int, seed: int) -> str:
    return "".join(random.Random(seed).choices(string.ascii_letters, k=size))


def item(number: int, size: int, version: int = 0) -> dict[str, Any]:
    return {"id": {"S": f"key-{number}"}, "text": {"S": text(max(1, size - 40), number + version)}, "n": {"N": str(number)}}


def prepare(target: Target, size: int) -> None:
    """The tables that the operations use."""
    client = target.client("dynamodb")
    hash_only = {
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    }
    for name in (f"items-{size}", f"written-{size}", f"scanned-{size}"):
        client.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", **hash_only)
        client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    client.create_table(
        TableName=f"ranges-{size}",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}, {"AttributeName": "at", "AttributeType": "N"}],
    )
    client.get_waiter("table_exists").wait(TableName=f"ranges-{size}", WaiterConfig={"Delay": 1})
    _fill(client, f"items-{size}", [item(number, size) for number in range(KEYS)])
    _fill(client, f"ranges-{size}", [item(0, size) | {"id": {"S": "p"}, "at": {"N": str(number)}} for number in range(PARTITION_ITEMS)])
    _fill(client, f"scanned-{size}", [item(number, size) for number in range(SCAN_ITEMS)])


def _fill(client: Any, table: str, items: list[dict[str, Any]]) -> None:
    for begin in range(0, len(items), 25):
        puts = [{"PutRequest": {"Item": one}} for one in items[begin : begin + 25]]
        left = client.batch_write_item(RequestItems={table: puts}).get("UnprocessedItems")
        while left:
            left = client.batch_write_item(RequestItems=left).get("UnprocessedItems")


def get_item(target: Target, size: int) -> list[Signed]:
    return [dynamodb(target, "GetItem", {"TableName": f"items-{size}", "Key": {"id": {"S": f"key-{n}"}}}) for n in range(KEYS)]


def put_item(target: Target, size: int) -> list[Signed]:
    puts = [{"TableName": f"written-{size}", "Item": item(n, size, version)} for version in VERSIONS for n in range(KEYS)]
    return [dynamodb(target, "PutItem", put) for put in puts]


def update_item(target: Target, size: int) -> list[Signed]:
    return [
        dynamodb(
            target,
            "UpdateItem",
            {
                "TableName": f"items-{size}",
                "Key": {"id": {"S": f"key-{n}"}},
                "UpdateExpression": "SET #n = :v ADD hits :one",
                "ConditionExpression": "attribute_exists(id) AND #n < :top",
                "ExpressionAttributeNames": {"#n": "n"},
                "ExpressionAttributeValues": {":v": {"N": "7"}, ":one": {"N": "1"}, ":top": {"N": "1000000"}},
            },
        )
        for n in range(KEYS)
    ]


def query(target: Target, size: int) -> list[Signed]:
    return [
        dynamodb(
            target,
            "Query",
            {
                "TableName": f"ranges-{size}",
                "Limit": 20,
                "KeyConditionExpression": "id = :p AND #at >= :from",
                "ExpressionAttributeNames": {"#at": "at"},
                "ExpressionAttributeValues": {":p": {"S": "p"}, ":from": {"N": str(n * 40)}},
            },
        )
        for n in range(KEYS)
    ]


def batch_write(target: Target, size: int) -> list[Signed]:
    return [
        dynamodb(
            target,
            "BatchWriteItem",
            {"RequestItems": {f"written-{size}": [{"PutRequest": {"Item": item(n * 25 + k, size, version)}} for k in range(25)]}},
        )
        for version in VERSIONS
        for n in range(20)
    ]


def scan(target: Target, size: int) -> list[Signed]:
    return [dynamodb(target, "Scan", {"TableName": f"scanned-{size}"})]


def transact_write(target: Target, size: int) -> list[Signed]:
    return [
        dynamodb(
            target,
            "TransactWriteItems",
            {"TransactItems": [{"Put": {"TableName": f"written-{size}", "Item": item(n * 4 + k, size, version)}} for k in range(4)]},
        )
        for version in VERSIONS
        for n in range(KEYS)
    ]


OPERATIONS: dict[str, Callable[[Target, int], list[Signed]]] = {
    "GetItem": get_item,
    "PutItem": put_item,
    "UpdateItem with a condition": update_item,
    "Query of 20 in 10,000": query,
    "BatchWriteItem of 25": batch_write,
    "Scan, a page": scan,
    "TransactWriteItems of 4": transact_write,
}


def measure(
    targets: list[Target], size: int, connections: list[int], seconds: float, rounds: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """One row an operation and number of connections: requests a second of each target, median of the rounds; None where it does not."""
    for target in targets:
        say(f"filling {target.name} with items of {size} bytes")
        prepare(target, size)
    rows = []
    for name, make in OPERATIONS.items():
        for clients in connections:
            rates: dict[str, list[float]] = {target.name: [] for target in targets}
            refused = set()
            for turn in range(rounds):
                for target in targets if turn % 2 == 0 else reversed(targets):
                    try:
                        rates[target.name].append(_rate(target, make(target, size), clients, seconds))
                    except (RuntimeError, OSError) as error:
                        if target.name.startswith("haar"):
                            raise
                        refused.add(target.name)
                        say(f"{target.name}: {error}"[:300])
            row = {"operation": name, "bytes": size, "connections": clients}
            row["rates"] = {target: None if target in refused else median(taken) for target, taken in rates.items()}
            say(f"{name}, {clients} connections: " + ", ".join(f"{k} {v and round(v)}" for k, v in row["rates"].items()))  # type: ignore[attr-defined]
            rows.append(row)
    return rows


def _rate(target: Target, requests: list[Signed], clients: int, seconds: float) -> float:
    status, body = check(target, requests[0])
    if status != 200:
        raise RuntimeError(f"{status}: {body.decode(errors='replace')}")
    return rate(target, requests, clients, seconds)
