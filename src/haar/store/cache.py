"""Decoded metadata in memory, dropped the moment that its rows change."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from haar.store.contract import Store

T = TypeVar("T")


class Cached(Generic[T]):
    """Values by key, loaded on first use and valid until a watched space is written (by anyone).

    A value loaded from rows that were older than a change is never kept. Holds at most `bound` values.
    """

    def __init__(self, store: Store, spaces: Iterable[str], load: Callable[[str], Awaitable[T]], bound: int = 10_000) -> None:
        raise NotImplementedError

    def peek(self, key: str) -> T | None:
        """The value if it is here; no I/O (hot paths)."""
        raise NotImplementedError

    async def get(self, key: str) -> T:
        """The value, loaded if it is not here. What `load` raises is passed on and not kept."""
        raise NotImplementedError
