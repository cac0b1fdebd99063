"""The one way that items are read in order: pages of Query and Scan."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from haar.services.dynamodb import keys
from haar.services.dynamodb.images import Key, size_of, values_of
from haar.services.dynamodb.limits import PAGE_BYTES, READ_CHUNK_MOST, READ_CHUNK_ROWS
from haar.services.dynamodb.values import Item
from haar.store.contract import Reader

Filter = Callable[[Item], bool]


@dataclass(slots=True)
class Span:
    """The part of a space that a page is read from: one partition, or a slice of all of them."""

    space: str
    partition: bytes | None = None
    """The partition of a query; None for a scan."""
    start: bytes = b""
    end: bytes | None = None
    """Sort keys of a query, partitions of a scan."""
    reverse: bool = False
    after: Key | None = None
    """Read on behind this row."""


@dataclass(slots=True)
class Page:
    rows: list[bytes] = field(default_factory=list)
    """The stored rows that passed the filter."""
    scanned: int = 0
    most: int = 0
    """At least the size of all rows read: their JSON is never shorter than what DynamoDB counts."""
    unmeasured: list[bytes] = field(default_factory=list)
    measured: int = 0
    last: Key | None = None
    """The last row that was read, when there may be more behind it."""
    last_row: bytes = b""

    @property
    def size(self) -> int:
        """The size of all rows read, as DynamoDB counts it."""
        if self.unmeasured:
            self.measured += sum(map(size_of, self.unmeasured))
            self.unmeasured = []
            self.most = self.measured
        return self.measured

    def take(self, values: list[bytes]) -> int:
        """How many of these rows fit into the page."""
        most = self.most + sum(map(len, values))
        if most < PAGE_BYTES:
            self.most = most
            self.unmeasured += values
            return len(values)
        size, taken = self.size, 0
        for value in values:
            size += size_of(value)
            taken += 1
            if size >= PAGE_BYTES:
                break
        self.measured = self.most = size
        return taken


async def read_page(reader: Reader, span: Span, limit: int | None, keep: Filter | None = None, page: Page | None = None) -> Page:
    """Reads until `limit` rows, 1 MB or the end. Not inside a transaction: it lets others in.

    Goes on with `page` where an earlier span has begun it.
    """
    page = Page() if page is None else page
    after = span.after
    chunk = READ_CHUNK_ROWS
    while True:
        wanted = chunk if limit is None else min(chunk, limit - page.scanned)
        places, values = await _read(reader, span, after, wanted)
        taken = page.take(values) if values else 0
        page.scanned += taken
        read = values if taken == len(values) else values[:taken]
        if keep is None:
            page.rows += read
        else:
            page.rows += [value for value in read if keep(values_of(value))]
        if taken and (page.most >= PAGE_BYTES or page.scanned == limit):
            page.last, page.last_row = places(taken - 1), values[taken - 1]
            return page
        if len(values) < wanted:
            return page
        # A page is a moment's work for SQLite, which answers without waiting: others come first now.
        await asyncio.sleep(0)
        after = places(-1)
        left = PAGE_BYTES - page.most
        chunk = max(1, min(READ_CHUNK_MOST, left * page.scanned // max(page.most, 1) + 1))


async def read_pages(reader: Reader, spans: Sequence[Span], limit: int | None, keep: Filter | None = None) -> Page:
    """One page of several spans, one after the other."""
    page = Page()
    for span in spans:
        await read_page(reader, span, limit, keep, page)
        if page.last is not None:
            break
    return page


Reading = Callable[[Reader, Sequence[Span], int | None, Filter | None], Awaitable[Page]]


async def _read(reader: Reader, span: Span, after: Key | None, limit: int) -> tuple[Callable[[int], Key], list[bytes]]:
    """Rows behind `after`: where each is, and their values."""
    partition = span.partition
    if partition is None:
        rows = await reader.scan(span.space, span.start, span.end, after=after, limit=limit)
        return lambda at: Key(rows[at].partition, rows[at].sort), [row.value for row in rows]
    start, end = span.start, span.end
    if after is not None and span.reverse:
        end = after.sort if end is None else min(end, after.sort)
    elif after is not None:
        start = max(start, after.sort + b"\x00")
    if end is not None and start >= end:
        return _nowhere, []
    found = await reader.range(span.space, partition, start, end, reverse=span.reverse, limit=limit)
    return lambda at: Key(partition, found[at][0]), [value for _, value in found]


def _nowhere(at: int) -> Key:
    raise IndexError(at)


def bounds(
    prefix: bytes, operator: str, component: Callable[[int], bytes], begun: Callable[[int], bytes], closed: bool
) -> tuple[bytes, bytes | None]:
    """Sort keys behind `prefix` that meet a comparison with the component `component(0)` (and `component(1)` for BETWEEN).

    `closed` components end themselves and others follow; open ones are the last of a key.
    """
    everything = keys.successor(prefix)

    def after(at: int) -> bytes | None:
        value = prefix + component(at)
        return keys.successor(value) if closed else value + b"\x00"

    if operator == "EQ":
        return prefix + component(0), after(0)
    if operator == "LT":
        return prefix, prefix + component(0)
    if operator == "LE":
        return prefix, after(0)
    if operator == "GT":
        return after(0) or prefix, everything
    if operator == "GE":
        return prefix + component(0), everything
    if operator == "BETWEEN":
        return prefix + component(0), after(1)
    start = prefix + begun(0)
    return start, keys.successor(start) if start else None
