"""An item as it is stored: its size, then its DynamoDB-JSON. What is answered whole is spliced, never parsed."""

from typing import NamedTuple

import orjson

from haar.services.dynamodb.values import Item, item_size

SIZE_BYTES = 4


class Key(NamedTuple):
    """Where an item is in its table's space."""

    partition: bytes
    sort: bytes


class Image:
    """One item: the bytes of its row, and its values once somebody asks."""

    __slots__ = ("_item", "data")

    def __init__(self, data: bytes, item: Item | None = None) -> None:
        self.data = data
        self._item = item

    @classmethod
    def of(cls, item: Item, size: int | None = None) -> "Image":
        """Of canonical values; `size` where it is known."""
        return cls((item_size(item) if size is None else size).to_bytes(SIZE_BYTES) + orjson.dumps(item), item)

    @property
    def item(self) -> Item:
        """The values. Shared: never change them in place."""
        found = self._item
        if found is None:
            found = self._item = orjson.loads(self.data[SIZE_BYTES:])
        return found

    @property
    def size(self) -> int:
        """Bytes as DynamoDB counts them."""
        return int.from_bytes(self.data[:SIZE_BYTES])

    @property
    def fragment(self) -> orjson.Fragment:
        return orjson.Fragment(self.data[SIZE_BYTES:])


def size_of(data: bytes) -> int:
    """The item's size from its row."""
    return int.from_bytes(data[:SIZE_BYTES])


def values_of(data: bytes) -> Item:
    """The item's values from its row; a fresh copy."""
    values: Item = orjson.loads(data[SIZE_BYTES:])
    return values
