"""What items were before they changed: a log that any moment within it can be restored from.

Each change of an item, while its table has a log, writes what was there before under (item, time of the transaction), into a space for each
day. What an item was at a moment is then what the first entry behind that moment says, or what the item is now when there is none: whenever
and in whatever order items are read, and whoever writes meanwhile. All changes of one transaction have one time, so none is ever torn.
"""

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from haar.services.dynamodb.images import Image, Key
from haar.services.dynamodb.keys import successor
from haar.services.dynamodb.limits import DAY_SECONDS
from haar.store.contract import Reader, Transaction

if TYPE_CHECKING:
    from haar.services.dynamodb.records import History, TableRecord
    from haar.services.dynamodb.tables import ChangeHook, Table
    from haar.services.service import Host

STAMP = struct.Struct(">Q")
"""Microseconds since the epoch."""
DAY_MICROS = DAY_SECONDS * 1_000_000
END = b"\x00\x00"


class Stamps:
    """The times of transactions: `host.get(Stamps)`. They only go up, whatever the clock does."""

    def __init__(self, host: "Host") -> None:
        self._now = host.clock.now
        self._last = 0
        self._known: WeakKeyDictionary[Transaction, int] = WeakKeyDictionary()

    def of(self, tx: Transaction) -> int:
        """The transaction's time in microseconds; the same whenever it is asked for."""
        found = self._known.get(tx)
        if found is None:
            found = self._last = self._known[tx] = max(self._last + 1, int(self._now() * 1e6))
        return found


def logger(host: "Host", record: "TableRecord") -> "ChangeHook | None":
    """Logs what was there before each change, when the table has a log."""
    if record.history is None:
        return None
    stamps = host.get(Stamps)

    async def log(tx: Transaction, table: "Table", key: Key, old: Image | None, new: Image | None, origin: str) -> None:
        stamp = stamps.of(tx)
        tx.put(log_space(table.space, day_of(stamp)), key.partition, _item(key.sort) + STAMP.pack(stamp), b"" if old is None else old.data)

    return log


def log_space(space: str, day: int) -> str:
    """The log of one day of the items in `space`."""
    return f"{space}@{day}"


def day_of(stamp: int) -> int:
    return stamp // DAY_MICROS


def log_spaces(space: str, history: "History | None", now: float) -> list[str]:
    """Every space that there may be entries in."""
    if history is None:
        return []
    return [log_space(space, day) for day in range(history.first_day, int(now // DAY_SECONDS) + 2)]


def _item(sort: bytes) -> bytes:
    return sort.replace(b"\x00", b"\x00\xff") + END


def _read_item(entry: bytes) -> bytes:
    return entry[: -STAMP.size - len(END)].replace(b"\x00\xff", b"\x00")


def days_back(moment: int, now: float) -> Iterator[int]:
    """The days whose logs tell of the moment, the latest first: what an earlier one says stands."""
    return reversed(range(day_of(moment), int(now // DAY_SECONDS) + 2))


async def before(
    reader: Reader, space: str, day: int, moment: int, after: tuple[bytes, bytes] | None, limit: int
) -> tuple[list[tuple[Key, bytes]], tuple[bytes, bytes] | None]:
    """What some items were at the moment (empty: not there), by `limit` entries of a day's log, and where to read on (None: at the end)."""
    log = log_space(space, day)
    rows = await reader.scan(log, after=after, limit=limit)
    found: dict[Key, bytes] = {}
    last: tuple[bytes, bytes] | None = None
    for row in rows:
        key = Key(row.partition, _read_item(row.sort))
        last = (row.partition, row.sort[: -STAMP.size] + b"\xff" * (STAMP.size + 1))
        if key not in found and STAMP.unpack_from(row.sort, len(row.sort) - STAMP.size)[0] > moment:
            found[key] = row.value
    if rows and (key := Key(rows[-1].partition, _read_item(rows[-1].sort))) not in found:
        # The item's entries behind the moment are further on; those of one item may be many, so they are skipped.
        prefix = rows[-1].sort[: -STAMP.size]
        first = await reader.range(log, key.partition, prefix + STAMP.pack(moment + 1), successor(prefix), limit=1)
        if first:
            found[key] = first[0][1]
    return list(found.items()), last if len(rows) == limit else None
