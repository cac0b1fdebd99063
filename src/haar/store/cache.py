"""Decoded metadata in memory, dropped the moment that its rows change."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from haar.store.contract import Store

T = TypeVar("T")

LOAD_TRIES = 3
"""How often a value is loaded anew because its rows changed meanwhile; the last one is answered and not kept."""


class Cached(Generic[T]):
    """Values by key, loaded on first use and valid until a watched space is written (by anyone).

    A value loaded from rows that were older than a change is never kept. Holds at most `bound` values.
    """

    def __init__(self, store: Store, spaces: Iterable[str], load: Callable[[str], Awaitable[T]], bound: int = 10_000) -> None:
        self._load = load
        self._bound = bound
        self._values: dict[str, T] = {}
        self._version = 0
        self.peek: Callable[[str], T | None] = self._values.get
        """peek(key): the value if it is here (None when not); no I/O, for hot paths."""
        for space in spaces:
            store.watch(space, self._changed)

    async def get(self, key: str) -> T:
        """The value, loaded if it is not here. What `load` raises is passed on and not kept."""
        values = self._values
        if key in values:
            return values[key]
        for _ in range(LOAD_TRIES):
            version = self._version
            value = await self._load(key)
            if version == self._version:
                if len(values) >= self._bound:
                    del values[next(iter(values))]
                values[key] = value
                break
        return value

    def _changed(self) -> None:
        self._version += 1
        self._values.clear()
