"""IAM's lists: Marker, MaxItems, IsTruncated, PathPrefix."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

from haar.services.iam import errors
from haar.services.iam.entities import decode
from haar.services.iam.records import Entity
from haar.services.service import Input
from haar.store.contract import Reader

E = TypeVar("E", bound=Entity)
T = TypeVar("T")

DEFAULT_ITEMS = 100
SCAN_SLICE = 100
"""Rows read at once: the loop is let go between slices."""


def _encode(position: str) -> str:
    return base64.urlsafe_b64encode(position.encode()).decode()


def _decode(marker: str) -> str:
    try:
        return base64.b64decode(marker, altchars=b"-_", validate=True).decode()
    except ValueError:  # of base64, of UTF-8, or of characters outside ASCII
        raise errors.validation(f"Invalid Marker: {marker}") from None


def _more(position: str | None) -> dict[str, Any]:
    return {"IsTruncated": False} if position is None else {"IsTruncated": True, "Marker": _encode(position)}


def page(items: Sequence[T], input: Input, key: Callable[[T], str], *, default: int = DEFAULT_ITEMS) -> tuple[list[T], dict[str, Any]]:
    """The page of `items` that the input asks for, and what says whether there is more. Keys are unique and stay as they are."""
    start = 0
    if marker := input.get("Marker"):
        last = _decode(marker)
        start = next((index + 1 for index, item in enumerate(items) if key(item) == last), -1)
        if start < 0:
            start = next((index for index, item in enumerate(items) if key(item) > last), len(items))
    end = start + input.get("MaxItems", default)
    chosen = list(items[start:end])
    return chosen, _more(key(chosen[-1]) if chosen and end < len(items) else None)


async def page_of(
    reader: Reader, kind: type[E], input: Input, keep: Callable[[E], bool] | None = None, *, default: int = DEFAULT_ITEMS
) -> tuple[list[E], dict[str, Any]]:
    """The page of all entities of a kind under the input's PathPrefix that `keep` keeps, in order of name."""
    prefix, limit = input.get("PathPrefix", "/"), input.get("MaxItems", default)
    after = (_decode(marker).encode(), b"") if (marker := input.get("Marker")) else None
    found: list[E] = []
    while True:
        rows = await reader.scan(kind.space, after=after, limit=SCAN_SLICE)
        for row in rows:
            entity = decode(row.value, kind)
            if not entity.path.startswith(prefix) or (keep is not None and not keep(entity)):
                continue
            if len(found) == limit:
                return found, _more(found[-1].name.lower())
            found.append(entity)
        if len(rows) < SCAN_SLICE:
            return found, _more(None)
        await asyncio.sleep(0)
        after = (rows[-1].partition, rows[-1].sort)


async def everything(reader: Reader, kind: type[E]) -> AsyncIterator[E]:
    """All entities of a kind in order of name, read in slices that let others in: not for use in a transaction."""
    after = None
    while rows := await reader.scan(kind.space, after=after, limit=SCAN_SLICE):
        for row in rows:
            yield decode(row.value, kind)
        await asyncio.sleep(0)
        after = (rows[-1].partition, rows[-1].sort)
