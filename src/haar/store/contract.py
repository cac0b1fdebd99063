"""The contract of the one store (SQLite, PostgreSQL): ordered rows, serialisable transactions, durable answers.

A row is `(space, partition, sort) -> value`. A space is one logical collection; within a partition, rows are ordered by their sort
key's bytes; a whole space can be read in the order of (partition, sort). An answer that depends on a write is given after
that write is on disk. What cannot be done raises one of `haar.store.errors`: then nothing of it was done or acknowledged.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

T = TypeVar("T")

Key = tuple[str, bytes, bytes]
"""(space, partition, sort)"""


class Row(NamedTuple):
    partition: bytes
    sort: bytes
    value: bytes


class Reader(Protocol):
    async def get(self, space: str, partition: bytes, sort: bytes = b"") -> bytes | None: ...

    async def get_many(self, keys: Sequence[Key]) -> list[bytes | None]:
        """As many times `get`; where a read is a round trip, it is one."""
        ...

    async def range(
        self, space: str, partition: bytes, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False, limit: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        """(sort, value) of the rows of one partition with start <= sort < end, in order of sort, or from the end when `reverse`."""
        ...

    async def scan(
        self, space: str, start: bytes = b"", end: bytes | None = None, *, after: tuple[bytes, bytes] | None = None, limit: int = 1000
    ) -> list[Row]:
        """Rows with start <= partition < end in order of (partition, sort), those strictly behind `after` when given."""
        ...


class Transaction(Reader, Protocol):
    """Reads see the writes made through this transaction before them. One object a run, which can be referred to weakly."""

    async def ahead(self, keys: Sequence[Key]) -> None:
        """Says which rows will be read by `get`: where a read is a round trip, they become one."""
        ...

    def put(self, space: str, partition: bytes, sort: bytes, value: bytes) -> None: ...

    def delete(self, space: str, partition: bytes, sort: bytes = b"") -> None: ...


class Store(Reader, Protocol):
    async def transact(self, fn: Callable[[Transaction], Awaitable[T]]) -> T:
        """Runs `fn(tx)` serialisably and answers its result when its writes are durable; an exception undoes them and is passed on.

        `fn` may run more than once: it touches nothing but `tx`. It awaits nothing but `tx`'s reads: on SQLite it never suspends.
        """
        ...

    def watch(self, space: str, callback: Callable[[], None], *, local: bool = False) -> Callable[[], None]:
        """Calls `callback` in the loop, at once after each commit that wrote to `space` in this process and, unless `local`, within
        a second when another process did. Answers the function that ends it."""
        ...

    async def clear(self, space: str, start: bytes = b"", end: bytes | None = None) -> int:
        """Deletes the rows with start <= partition < end, in slices that let others in; how many there were. Runs again after a crash."""
        ...

    async def close(self) -> None: ...
