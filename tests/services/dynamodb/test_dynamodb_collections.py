"""Item collections: their sizes are counted with every write, and bounded on tables with local indexes."""

import asyncio
import random

import pytest

from haar.services.dynamodb import collections, restores
from haar.services.dynamodb.images import size_of
from haar.services.dynamodb.limits import GB
from haar.services.dynamodb.tables import Tables
from haar.services.dynamodb.values import item_size
from haar.wire.errors import ServiceError

S = lambda text: {"S": text}
N = lambda number: {"N": str(number)}
SIZE = {"ReturnItemCollectionMetrics": "SIZE"}
TOO_LARGE = "Collection size exceeded."


async def table(ask, local=True):
    keys = lambda sort: [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]
    index = lambda name, projection: {"IndexName": f"by-{name}", "KeySchema": keys(name), "Projection": projection}
    indexes = [
        index("a", {"ProjectionType": "ALL"}),
        index("b", {"ProjectionType": "KEYS_ONLY"}),
        index("c", {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["x"]}),
    ]
    await ask(
        "CreateTable",
        TableName="items",
        KeySchema=keys("s"),
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in zip("psabc", "SNSNS", strict=True)],
        **{"LocalSecondaryIndexes" if local else "GlobalSecondaryIndexes": indexes},
    )


async def refused(work):
    with pytest.raises(ServiceError) as error:
        await work
    return error.value


async def there(host, made, partition):
    spaces = (made.space, *(index.space for index in made.indexes))
    return sum([size_of(value) for space in spaces for _, value in await host.store.range(space, partition)])


async def counted(host, made, partition):
    return int.from_bytes(await host.store.get(made.record.collections, partition))


async def test_what_is_counted_is_what_is_there(host, ask):
    await table(ask)
    chance = random.Random(7)
    made = await host.get(Tables).live("us-east-1", "items")
    some = lambda **values: {name: value for name, value in values.items() if chance.random() < 0.6}
    for _ in range(150):
        key = {"p": S(chance.choice("PQ")), "s": N(chance.randrange(6))}
        more = some(a=S("a" * chance.randrange(1, 40)), b=N(chance.randrange(3)), c=S("c"), x=S("x" * chance.randrange(90)))
        kind = chance.randrange(4)
        if kind == 0:
            await ask("DeleteItem", TableName="items", Key=key)
        elif kind == 1:
            update = {name: {"Action": "PUT", "Value": value} for name, value in more.items()} | {"y": {"Action": "ADD", "Value": N(1)}}
            await ask("UpdateItem", TableName="items", Key=key, AttributeUpdates=update)
        elif kind == 2:
            await ask("TransactWriteItems", TransactItems=[{"Put": {"TableName": "items", "Item": key | more}}])
        else:
            await ask("BatchWriteItem", RequestItems={"items": [{"PutRequest": {"Item": key | more}}]})
    for letter in "PQ":
        partition = made.key({"p": S(letter), "s": N(0)}).partition
        assert await counted(host, made, partition) == await there(host, made, partition) > 0
        for s in range(6):
            await ask("DeleteItem", TableName="items", Key={"p": S(letter), "s": N(s)})
        assert await host.store.get(made.record.collections, partition) is None


async def test_a_full_collection_takes_no_more(ask, monkeypatch):
    monkeypatch.setattr(collections, "COLLECTION_BYTES", 1000)
    await table(ask)
    item = lambda s, size=300, **more: {"p": S("P"), "s": N(s), "x": S("x" * size), **more}
    put = lambda given, **more: ask("PutItem", TableName="items", Item=given, **more)
    for s in range(1, 4):
        await put(item(s))
    error = await refused(put(item(4)))
    assert (error.code, error.message) == ("ItemCollectionSizeLimitExceededException", TOO_LARGE)
    # An entry of an index counts as well as the item.
    assert (await refused(put(item(1, 200, a=S("a"))))).message == TOO_LARGE
    larger = {"UpdateExpression": "SET y = :y", "ExpressionAttributeValues": {":y": S("y" * 100)}}
    assert (await refused(ask("UpdateItem", TableName="items", Key={"p": S("P"), "s": N(1)}, **larger))).message == TOO_LARGE
    assert (await refused(ask("BatchWriteItem", RequestItems={"items": [{"PutRequest": {"Item": item(5)}}]}))).message == TOO_LARGE
    actions = [{"Put": {"TableName": "items", "Item": item(6)}}, {"Put": {"TableName": "items", "Item": item(6) | {"p": S("Q")}}}]
    error = await refused(ask("TransactWriteItems", TransactItems=actions))
    assert error.code == "TransactionCanceledException"
    assert error.fields["CancellationReasons"] == [{"Code": "ItemCollectionSizeLimitExceeded", "Message": TOO_LARGE}, {"Code": "None"}]
    statement = {"Statement": "INSERT INTO items VALUE {'p': 'P', 's': 7, 'x': ?}", "Parameters": [S("x" * 300)]}
    assert (await refused(ask("ExecuteStatement", **statement))).message == TOO_LARGE
    done = await ask("BatchExecuteStatement", Statements=[statement])
    assert done["Responses"][0]["Error"] == {"Code": "ItemCollectionSizeLimitExceeded", "Message": TOO_LARGE}
    # What shrinks it is taken, and then there is room again; other collections are not concerned.
    await put(item(1, 100))
    await ask("DeleteItem", TableName="items", Key={"p": S("P"), "s": N(2)})
    await put(item(4))
    await put(item(1) | {"p": S("Q")})


async def test_tables_without_local_indexes_have_no_collections(ask, monkeypatch):
    monkeypatch.setattr(collections, "COLLECTION_BYTES", 10)
    await table(ask, local=False)
    assert await ask("PutItem", TableName="items", Item={"p": S("P"), "s": N(1), "x": S("x" * 300)}, **SIZE) == {}


async def test_the_estimate_is_of_the_collection(host, ask):
    await table(ask)
    made = await host.get(Tables).live("us-east-1", "items")
    item = {"p": S("P"), "s": N(1)}
    estimate = lambda whole: {"ItemCollectionKey": {"p": S("P")}, "SizeEstimateRangeGB": [float(whole), float(whole + 1)]}
    put = {"TransactItems": [{"Put": {"TableName": "items", "Item": item}}]}
    for whole in (0, 1, 7):

        async def grown(tx, size=whole * GB + 5):
            tx.put(made.record.collections, made.key(item).partition, b"", size.to_bytes(8))

        await host.store.transact(grown)
        assert (await ask("PutItem", TableName="items", Item=dict(item), **SIZE))["ItemCollectionMetrics"] == estimate(whole)
        assert (await ask("DeleteItem", TableName="items", Key=dict(item), **SIZE))["ItemCollectionMetrics"] == estimate(whole)
        # Once a collection, whatever many of its items are written.
        batch = {"items": [{"PutRequest": {"Item": dict(item)}}, {"DeleteRequest": {"Key": item | {"s": N(9)}}}]}
        assert (await ask("BatchWriteItem", RequestItems=batch, **SIZE))["ItemCollectionMetrics"] == {"items": [estimate(whole)]}
        assert (await ask("TransactWriteItems", **put, **SIZE))["ItemCollectionMetrics"] == {"items": [estimate(whole)]}


async def test_restored_collections_are_counted(host, ask):
    await table(ask)
    item = {"p": S("P"), "s": N(1), "a": S("aa"), "b": N(3), "c": S("c"), "x": S("x")}
    await ask("PutItem", TableName="items", Item=item)
    task = asyncio.get_running_loop().create_task(restores.run_copying(host))
    arn = (await ask("CreateBackup", TableName="items", BackupName="kept"))["BackupDetails"]["BackupArn"]
    while (await ask("DescribeBackup", BackupArn=arn))["BackupDescription"]["BackupDetails"]["BackupStatus"] != "AVAILABLE":
        await asyncio.sleep(0.05)
    await ask("RestoreTableFromBackup", TargetTableName="restored", BackupArn=arn)
    while (await ask("DescribeTable", TableName="restored"))["Table"]["TableStatus"] != "ACTIVE":
        await asyncio.sleep(0.05)
    task.cancel()
    made = await host.get(Tables).live("us-east-1", "restored")
    partition = made.key({"p": S("P"), "s": N(1)}).partition
    assert await counted(host, made, partition) == await there(host, made, partition) > 0


async def test_an_item_and_its_entries_in_local_indexes_have_400_kilobytes(ask):
    await table(ask)
    limit = 400 * 1024
    too_large = "Item size has exceeded the maximum allowed size"

    def item(size, **more):
        found = {"p": S("P"), "s": N(1), **more}
        return found | {"x": S("x" * (size - item_size(found) - 1))}

    put = lambda given: ask("PutItem", TableName="items", Item=given)
    # Without an entry an item may be as large as in other tables; an entry that is as large as the item halves that.
    await put(item(limit))
    await put(item(limit // 2, a=S("a")))
    assert (await refused(put(item(limit // 2 + 1, a=S("a"))))).message == too_large
    # A smaller entry has the keys, and what is projected.
    keys = item_size({"p": S("P"), "s": N(1), "b": N(7)})
    await put(item(limit - keys, b=N(7)))
    assert (await refused(put(item(limit - keys + 1, b=N(7))))).message == too_large
    assert (await refused(put(item(limit // 2 + 1, c=S("c"))))).message == too_large
    batch = {"items": [{"PutRequest": {"Item": item(limit // 2 + 1, a=S("a"))}}]}
    assert (await refused(ask("BatchWriteItem", RequestItems=batch))).message == too_large
    actions = [{"Put": {"TableName": "items", "Item": item(limit // 2 + 1, a=S("a"))}}]
    reasons = (await refused(ask("TransactWriteItems", TransactItems=actions))).fields["CancellationReasons"]
    assert reasons == [{"Code": "ValidationError", "Message": too_large}]
    await put(item(limit // 2 + 1))
    update = {"UpdateExpression": "SET a = :a", "ExpressionAttributeValues": {":a": S("a")}}
    error = await refused(ask("UpdateItem", TableName="items", Key={"p": S("P"), "s": N(1)}, **update))
    assert error.message == "Item size to update has exceeded the maximum allowed size"
