"""What an operation costs as the table grows, and what global indexes cost a write: haar alone."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.load import Signed, dynamodb, rate
from benchmarks.peers import Target
from benchmarks.tables import KEYS, VERSIONS, item

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ITEM_BYTES = 300
WRITERS = 4
ATTRIBUTES = [f"a{n}" for n in range(5)]
"""Each is the key of a global index."""


def measure(target: Target, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Requests a second at 16 connections for each number of items, and with and without indexes."""
    return {"items": _grow(target, seconds, say), "indexes": _index(target, seconds, say)}


def _grow(target: Target, seconds: float, say: Callable[[str], None]) -> list[dict[str, Any]]:
    _table(target, "curve", [])
    rows, filled = [], 0
    for size in SIZES:
        _fill(target, filled, size)
        filled = size
        step = size // KEYS
        reads = [dynamodb(target, "GetItem", {"TableName": "curve", "Key": {"id": {"S": f"key-{n * step}"}}}) for n in range(KEYS)]
        items = [item(n * step, ITEM_BYTES, version) for version in VERSIONS for n in range(KEYS)]
        writes = [dynamodb(target, "PutItem", {"TableName": "curve", "Item": each}) for each in items]
        row = {"items": size, "GetItem": rate(target, reads, 16, seconds), "PutItem": rate(target, writes, 16, seconds)}
        say(json.dumps(row))
        rows.append(row)
    return rows


def _fill(target: Target, begin: int, end: int) -> None:
    client = target.client("dynamodb")

    def write(first: int) -> None:
        puts = [{"PutRequest": {"Item": item(n, ITEM_BYTES)}} for n in range(first, min(first + 25, end))]
        client.batch_write_item(RequestItems={"curve": puts})

    with ThreadPoolExecutor(WRITERS) as writers:
        for _ in writers.map(write, range(begin, end, 25)):
            pass


def _index(target: Target, seconds: float, say: Callable[[str], None]) -> dict[str, float]:
    _table(target, "bare", [])
    _table(target, "indexed", ATTRIBUTES)
    rates = {
        "no index": rate(target, _puts(target, "bare", moved=True), 16, seconds),
        "five, entries replaced": rate(target, _puts(target, "indexed", moved=False), 16, seconds),
        "five, entries moved": rate(target, _puts(target, "indexed", moved=True), 16, seconds),
    }
    say(json.dumps(rates))
    return rates


def _puts(target: Target, table: str, *, moved: bool) -> list[Signed]:
    """Every item is replaced by one with another text; when `moved`, with other index keys too."""
    items = [
        item(n, ITEM_BYTES, version) | {name: {"S": f"{name}-{n}-{version * moved}"} for name in ATTRIBUTES}
        for version in VERSIONS
        for n in range(KEYS)
    ]
    return [dynamodb(target, "PutItem", {"TableName": table, "Item": one}) for one in items]


def _table(target: Target, name: str, indexed: list[str]) -> None:
    indexes = [
        {"IndexName": f"by-{one}", "KeySchema": [{"AttributeName": one, "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}
        for one in indexed
    ]
    client = target.client("dynamodb")
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": one, "AttributeType": "S"} for one in ["id", *indexed]],
        **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
