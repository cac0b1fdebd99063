"""Item collections: the items of a table with local indexes that share a partition key, with their entries in those indexes.

Their sizes are counted in the transactions of their items: a row a collection, for tables with local indexes only.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LSI.html#LSI.ItemCollections.SizeLimit
"""

from typing import Any

from haar.services.dynamodb import errors
from haar.services.dynamodb.limits import COLLECTION_BYTES, GB
from haar.services.dynamodb.tables import Table
from haar.store.contract import Reader, Transaction

LENGTH = 8
"""Bytes of a collection's size as it is kept."""


async def grow(tx: Transaction, space: str, partition: bytes, more: int) -> None:
    """Counts the bytes that a collection gains or loses. Raises ItemCollectionSizeLimitExceededException when it gets too large."""
    if more and await count(tx, space, partition, more) > COLLECTION_BYTES and more > 0:
        raise errors.collection_too_large()


async def count(tx: Transaction, space: str, partition: bytes, more: int) -> int:
    """The same without a limit; the collection's size."""
    size = max(0, await _size(tx, space, partition) + more)
    if size:
        tx.put(space, partition, b"", size.to_bytes(LENGTH))
    else:
        tx.delete(space, partition, b"")
    return size


async def _size(reader: Reader, space: str, partition: bytes) -> int:
    return int.from_bytes(await reader.get(space, partition, b"") or b"")


async def collection_metrics(reader: Reader, table: Table, partition: bytes, item: dict[str, Any]) -> dict[str, Any] | None:
    """ItemCollectionMetrics of the collection in `partition`; None for tables without local indexes, which have none.

    `item` has its key.
    """
    if not any(index.local for index in table.indexes):
        return None
    whole = await _size(reader, table.record.collections, partition) // GB
    return {"ItemCollectionKey": {table.hash.name: item[table.hash.name]}, "SizeEstimateRangeGB": [float(whole), float(whole + 1)]}
