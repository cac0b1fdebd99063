"""Several partitions in the order of their sort key: the next row is always the least, or greatest, that any of them has."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from haar.services.dynamodb.images import Key, values_of
from haar.services.dynamodb.keys import KeyPart, ended, scalar, successor
from haar.services.dynamodb.limits import PAGE_BYTES, STATEMENT_PARTITION_ROWS
from haar.services.dynamodb.reads import Filter, Page, Reading, Span, read_page
from haar.services.dynamodb.values import Item, order_key
from haar.store.contract import Reader


def resumed(spans: Sequence[Span], at: int, ranges: tuple[KeyPart, ...], start: Item, closed: bool) -> list[Span]:
    """What is left of the spans behind the row `start` of the span `at`, which itself is already read on behind it.

    Rows of equal sort keys come in the order of the spans. `closed` says that these are the keys of an index.
    """
    if closed:
        least = b"".join(ended(kind, start[name][kind]) for name, kind in ranges)
        beyond = successor(least)
    else:
        ((name, kind),) = ranges
        least = scalar(kind, start[name][kind])
        beyond = least + b"\x00"
    left = []
    for number, span in enumerate(spans):
        if number == at:
            left.append(span)
            continue
        # Those before it have been read up to this sort key, those behind it up to the one before.
        edge = beyond if (number < at) != span.reverse else least
        if span.reverse:
            left.append(replace(span, end=edge if span.end is None or (edge is not None and edge < span.end) else span.end))
        elif edge is not None:
            left.append(replace(span, start=max(span.start, edge)))
    return left


def reading(ranges: tuple[KeyPart, ...], descending: bool) -> Reading:
    """How a page of spans is read in the order of `ranges`."""

    def order(row: bytes) -> tuple[Any, ...]:
        item = values_of(row)
        return tuple(order_key(kind, item[name][kind]) for name, kind in ranges)

    async def read(reader: Reader, spans: Sequence[Span], limit: int | None, keep: Filter | None) -> Page:
        most = STATEMENT_PARTITION_ROWS if limit is None else limit
        pages = [await read_page(reader, span, most) for span in spans]
        waiting = [[(order(row), row) for row in reversed(page.rows)] for page in pages]
        merged = Page()
        while heads := [number for number, rows in enumerate(waiting) if rows]:
            choose = max if descending else min
            number = choose(heads, key=lambda each: waiting[each][-1][0])
            _, row = waiting[number].pop()
            merged.take([row])
            merged.scanned += 1
            if keep is None or keep(values_of(row)):
                merged.rows.append(row)
            more_there = not waiting[number] and pages[number].last is not None
            if merged.scanned == most or merged.most >= PAGE_BYTES or more_there:
                merged.last, merged.last_row = Key(spans[number].partition or b"", b""), row
                break
        return merged

    return read
