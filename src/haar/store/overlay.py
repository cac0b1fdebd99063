"""The writes of one transaction, kept aside until its end and merged into what it reads."""

from collections.abc import Iterator
from typing import Final

from haar.store.contract import Row

Key = tuple[bytes, bytes]


class Missing:
    """No write of this key (None is a deletion)."""


MISSING: Final = Missing()


class Overlay:
    """What a transaction has written so far: a value, or None for a deleted row, by space and key."""

    __slots__ = ("spaces",)

    def __init__(self) -> None:
        self.spaces: dict[str, dict[Key, bytes | None]] = {}

    def __bool__(self) -> bool:
        return bool(self.spaces)

    def write(self, space: str, partition: bytes, sort: bytes, value: bytes | None) -> None:
        if type(partition) is not bytes or type(sort) is not bytes or (value is not None and type(value) is not bytes):
            raise TypeError(f"{space}: keys and values are bytes, not {type(partition)}, {type(sort)}, {type(value)}")
        rows = self.spaces.get(space)
        if rows is None:
            rows = self.spaces[space] = {}
        rows[partition, sort] = value

    def look(self, space: str, partition: bytes, sort: bytes) -> bytes | Missing | None:
        rows = self.spaces.get(space)
        return MISSING if rows is None else rows.get((partition, sort), MISSING)

    def in_range(self, space: str, partition: bytes, start: bytes, end: bytes | None) -> dict[bytes, bytes | None]:
        """The writes to start <= sort < end of one partition, by sort key."""
        rows = self.spaces.get(space)
        if rows is None:
            return {}
        return {key[1]: value for key, value in rows.items() if key[0] == partition and start <= key[1] and (end is None or key[1] < end)}

    def in_scan(self, space: str, start: bytes, end: bytes | None, after: Key | None) -> dict[Key, bytes | None]:
        """The writes to start <= partition < end that are behind `after`, by key."""
        rows = self.spaces.get(space)
        if rows is None:
            return {}
        return {
            key: value
            for key, value in rows.items()
            if start <= key[0] and (end is None or key[0] < end) and (after is None or key > after)
        }

    def rows(self) -> Iterator[tuple[str, bytes, bytes, bytes | None]]:
        for space, rows in self.spaces.items():
            for (partition, sort), value in rows.items():
                yield space, partition, sort, value


def merge_range(
    stored: list[tuple[bytes, bytes]], written: dict[bytes, bytes | None], reverse: bool, limit: int | None
) -> list[tuple[bytes, bytes]]:
    """`stored` was read with `limit + len(written)`: so many of its rows may have been deleted or replaced."""
    merged: dict[bytes, bytes | None] = dict(stored)
    merged.update(written)
    rows = [(sort, value) for sort, value in merged.items() if value is not None]
    rows.sort(key=lambda row: row[0], reverse=reverse)
    return rows if limit is None else rows[:limit]


def merge_scan(stored: list[Row], written: dict[Key, bytes | None], limit: int) -> list[Row]:
    """As `merge_range`, over partitions."""
    merged: dict[Key, bytes | None] = {(row.partition, row.sort): row.value for row in stored}
    merged.update(written)
    return [Row(key[0], key[1], value) for key, value in sorted(merged.items(), key=lambda item: item[0]) if value is not None][:limit]
