"""Item collections: the items of a table with local indexes that share a partition key."""

from typing import Any

from haar.services.dynamodb.tables import Table


def collection_metrics(table: Table, item: dict[str, Any]) -> dict[str, Any] | None:
    """ItemCollectionMetrics for one item or key; None for tables without local indexes, which have no collections."""
    values = item.get("Item") or item.get("Key") or item
    if not any(index.local for index in table.indexes):
        return None
    return {"ItemCollectionKey": {table.hash.name: values[table.hash.name]}, "SizeEstimateRangeGB": [0.0, 1.0]}
