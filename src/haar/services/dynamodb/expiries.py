"""Which items expire when: a space by time for each table with a time to live, written in the item's transaction."""

import struct
from decimal import Decimal
from typing import TYPE_CHECKING

from haar.services.dynamodb.images import Image, Key
from haar.services.dynamodb.values import Item
from haar.store.contract import Transaction

if TYPE_CHECKING:
    from haar.services.dynamodb.records import TableRecord
    from haar.services.dynamodb.tables import ChangeHook, Table

HEAD = struct.Struct(">QH")
"""Expiry (seconds since the epoch) and the length of the partition; partition and sort key follow."""
TIME = struct.Struct(">Q")
LATEST = 1 << 63


def expiry(item: Item, attribute: str) -> int | None:
    """The second after which the item has expired; None when its attribute is not there, not a number, or no time."""
    value = item.get(attribute)
    content = None if value is None else value.get("N")
    if content is None:
        return None
    number = Decimal(content)
    return int(number) if 0 < number < LATEST else None


def place(second: int, key: Key) -> bytes:
    return HEAD.pack(second, len(key.partition)) + key.partition + key.sort


def read_place(place: bytes) -> tuple[int, Key]:
    second, length = HEAD.unpack_from(place)
    return second, Key(place[HEAD.size : HEAD.size + length], place[HEAD.size + length :])


def keeper(record: "TableRecord") -> "ChangeHook | None":
    """Keeps the expiry of each item, when the table has a time to live."""
    ttl = record.ttl
    if ttl is None or ttl.status == "DISABLING":
        return None
    space, attribute = ttl.space, ttl.attribute

    async def keep(tx: Transaction, table: "Table", key: Key, old: Image | None, new: Image | None, origin: str) -> None:
        before = None if old is None else expiry(old.item, attribute)
        after = None if new is None else expiry(new.item, attribute)
        if before == after:
            return
        if before is not None:
            tx.delete(space, b"", place(before, key))
        if after is not None:
            tx.put(space, b"", place(after, key), b"")

    return keep
