"""Transactions of one process, one after another in memory, and many of them in one statement of the database.

Each `fn` reads what is committed, and over it what the transactions before it wrote, be that on disk or not. When it is through and
nothing that it read was written meanwhile, it takes its place behind them: its writes join the open group, and with them what it
expects to find in the database. A group is one statement: it compares what was expected and writes, in one SERIALIZABLE
transaction, so that it does what it would have done had all of it run inside. Then all are answered, also those that only read.
Where another process wrote meanwhile nothing is done, and all of the group run again.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from haar.eager import Later
from haar.store import postgresql_rows as sql
from haar.store.contract import Key, Row, Transaction
from haar.store.errors import StoreError
from haar.store.overlay import Missing, Overlay, merge_range
from haar.store.postgresql_changes import Changes
from haar.store.postgresql_connections import FAILURES, Connections
from haar.store.postgresql_reads import Reads, conflicts, translate, values_of
from haar.store.watching import Watchers

T = TypeVar("T")
Place = tuple[str, bytes]
"""(space, partition)"""
Writes = dict[bytes, bytes | None]

GROUP_ROWS = 1000
GROUP_BYTES = 4 << 20
"""A group that has more rows or bytes, written and expected, takes no further transaction."""
PAUSE_SECONDS = 0.001
"""How long to wait at most after a conflict with another process, and twice as long after the next."""
DOUBLINGS = 6
RANGE_ROWS = 200
READ_BYTES = 4 << 20
"""A transaction that reads more than this has a transaction of the database's to itself."""

RangeKey = tuple[str, bytes, bytes, bytes | None, bool]
"""(space, partition, start, end, reverse)"""

UNKNOWN: Final = Missing()


class Alone(Exception):
    """This transaction cannot be part of a group."""


class Again(Exception):
    """It has to run again: nothing of it was done."""

    def __init__(self, reason: str, *, pause: Later | None = None, overtaken: bool = False) -> None:
        super().__init__(reason)
        self.pause = pause
        """To be waited for, because another process wrote what it read: all of a group go on together."""
        self.overtaken = overtaken
        """Another transaction of this process wrote what it read."""


class _Range:
    """A range as it was read: rows, below some groups' writes."""

    __slots__ = ("key", "last", "layers", "rows")

    def __init__(self, key: RangeKey, rows: list[tuple[bytes, bytes]], last: bytes | None, layers: list[tuple["Group", Writes]]) -> None:
        self.key = key
        self.rows = rows
        self.last = last
        """Nothing is known behind this sort key; None when all of the range is known."""
        self.layers = layers
        """What groups wrote there, oldest first."""

    def enough(self, deleted: int, limit: int | None) -> bool:
        return self.last is None or (limit is not None and len(self.rows) - deleted >= limit)

    def writes(self) -> Writes:
        merged: Writes = {}
        for _, writes in self.layers:
            merged.update(writes)
        return merged

    def below(self, group: "Group") -> "_Range":
        """The same as it is before all of `group`."""
        earlier: Writes = {}
        for each, writes in self.layers:
            if each is not group:
                earlier.update(writes)
        if not earlier:
            return _Range(self.key, self.rows, self.last, [])
        low, high = self.bounds()
        earlier = {sort: value for sort, value in earlier.items() if low <= sort < high}
        return _Range(self.key, merge_range(self.rows, earlier, self.key[4], None), self.last, [])

    def inside(self, other: "_Range") -> bool:
        """Whether `other` knows all of the same range that this one knows."""
        (low, high), (lowest, highest) = self.bounds(), other.bounds()
        return lowest <= low and high <= highest

    def agrees(self, other: "_Range") -> bool:
        """Whether both have the same rows where both know."""
        low, high = max(self.bounds()[0], other.bounds()[0]), min(self.bounds()[1], other.bounds()[1])
        mine, others = ([row for row in each.rows if low <= row[0] < high] for each in (self, other))
        return mine == others

    def bounds(self) -> tuple[bytes, bytes]:
        """(low, high) of what is known: low <= sort < high."""
        _, _, start, end, reverse = self.key
        if self.last is None:
            return start, sql.BEHIND_ALL if end is None else end
        return (self.last, sql.BEHIND_ALL if end is None else end) if reverse else (start, self.last + b"\0")


class Group:
    """Transactions that are committed together, in the order of their ends."""

    __slots__ = ("blamed", "bytes", "done", "failure", "known", "overlay", "ranges", "rows", "sealed")

    def __init__(self) -> None:
        self.overlay = Overlay()
        self.known: dict[Key, bytes | None] = {}
        """Rows as they are expected before all of it."""
        self.ranges: dict[RangeKey, _Range] = {}
        self.rows = 0
        self.bytes = 0
        self.sealed = False
        self.done = Later()
        self.failure: Exception | None = None
        self.blamed: set[Key | RangeKey] = set()
        """What was not as expected."""

    def full(self) -> bool:
        return self.sealed or self.bytes > GROUP_BYTES or self.rows > GROUP_ROWS

    def expect(self, tx: "_Tx") -> None:
        """Takes over what `tx` read. Raises Again when others in it read something else."""
        look = self.overlay.look
        for key, value in tx.gets.items():
            if self.known.get(key, value) != value and isinstance(look(*key), Missing):
                raise Again("it read another row than others", overtaken=True)
        ranges = {place: found.below(self) for place, found in tx.ranges.items()}
        for place, found in ranges.items():
            if place in self.ranges and not found.agrees(self.ranges[place]):
                raise Again("it read another range than others", overtaken=True)
        for key, value in tx.gets.items():
            if key not in self.known and isinstance(look(*key), Missing):
                self.known[key] = value
                self.rows += 1
                self.bytes += len(value or b"")
        for place, found in ranges.items():
            there = self.ranges.get(place)
            if there is None or there.inside(found):
                self.ranges[place] = found
                self.rows += len(found.rows)
                self.bytes += sum(len(value) for _, value in found.rows)

    def write(self, overlay: Overlay) -> None:
        for space, rows in overlay.spaces.items():
            self.overlay.spaces.setdefault(space, {}).update(rows)
            self.rows += len(rows)
            self.bytes += sum(len(value) for value in rows.values() if value is not None)


class _Tx:
    """One run of one `fn`."""

    __slots__ = ("__weakref__", "_groups", "alone", "failed", "gets", "overlay", "ranges", "read", "shared", "stale")

    def __init__(self, groups: "Groups") -> None:
        self._groups = groups
        self.overlay = Overlay()
        self.gets: dict[Key, bytes | None] = {}
        self.ranges: dict[RangeKey, _Range] = {}
        self.read = 0
        self.shared = False
        """Whether it read what others wrote or read, and not the database."""
        self.stale = False
        """Whether something that was read has been written since."""
        self.alone = False
        self.failed: StoreError | None = None

    async def get(self, space: str, partition: bytes, sort: bytes = b"") -> bytes | None:
        if self.overlay.spaces:
            written = self.overlay.look(space, partition, sort)
            if not isinstance(written, Missing):
                return written
        key = (space, partition, sort)
        if key not in self.gets:
            await self._fetch([key])
        return self.gets[key]

    async def get_many(self, keys: Sequence[Key]) -> list[bytes | None]:
        await self.ahead(keys)
        return [await self.get(*key) for key in keys]

    async def ahead(self, keys: Sequence[Key]) -> None:
        look = self.overlay.look
        wanted = dict.fromkeys(key for key in keys if key not in self.gets and isinstance(look(*key), Missing))
        if wanted:
            await self._fetch(list(wanted))

    async def range(
        self, space: str, partition: bytes, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False, limit: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        key = (space, partition, start, end, reverse)
        own = self.overlay.in_range(space, partition, start, end)
        found = self.ranges.get(key)
        if found is None or not found.enough(_deleted(found.writes() | own), limit):
            found = self.ranges[key] = await self._range(key, own, limit)
        written = found.writes() | own
        return merge_range(found.rows, written, reverse, limit) if written else found.rows[:limit]

    async def scan(
        self, space: str, start: bytes = b"", end: bytes | None = None, *, after: tuple[bytes, bytes] | None = None, limit: int = 1000
    ) -> list[Row]:
        self.alone = True
        raise Alone

    def put(self, space: str, partition: bytes, sort: bytes, value: bytes) -> None:
        self.overlay.write(space, partition, sort, value)

    def delete(self, space: str, partition: bytes, sort: bytes = b"") -> None:
        self.overlay.write(space, partition, sort, None)

    def covers(self, space: str, partition: bytes, sort: bytes) -> bool:
        return any(key[0] == space and key[1] == partition and key[2] <= sort and (key[3] is None or sort < key[3]) for key in self.ranges)

    async def _fetch(self, keys: list[Key]) -> None:
        """Rows as the transactions before have left them, into `gets`."""
        unknown = []
        for key in keys:
            self.gets[key] = None
            self._groups.reads_key(key, self)
            for group in reversed(self._groups.chain):
                found = group.overlay.look(*key)
                if isinstance(found, Missing):
                    found = group.known.get(key, UNKNOWN)
                if not isinstance(found, Missing):
                    self.shared = True
                    self.gets[key] = found
                    break
            else:
                unknown.append(key)
        if not unknown:
            return
        try:
            values = await self._groups.reads.get_many(unknown)
        except StoreError as error:
            self.failed = error
            raise
        self.gets.update(zip(unknown, values, strict=True))
        self._count(sum(len(value) for value in values if value is not None))

    async def _range(self, key: RangeKey, own: Writes, limit: int | None) -> _Range:
        space, partition, start, end, reverse = key
        if len(start) > sql.SORT_BYTES or (end is not None and len(end) > sql.SORT_BYTES):
            self._too_much()
        self._groups.reads_range(key, self)
        chain = self._groups.chain
        layers: list[tuple[Group, Writes]] = []
        for group in reversed(chain):
            writes = group.overlay.in_range(space, partition, start, end)
            if writes:
                layers.insert(0, (group, writes))
            known = group.ranges.get(key)
            if known is not None:
                found = _Range(key, known.rows, known.last, layers)
                if found.enough(_deleted(found.writes() | own), limit):
                    return found
        found = self.ranges[key] = _Range(key, [], start, layers)  # registers what is being read
        more = RANGE_ROWS + 1 if limit is None else min(RANGE_ROWS + 1, limit + _deleted(found.writes() | own))
        try:
            rows = await self._groups.reads.range(space, partition, start, end, reverse, more)
        except StoreError as error:
            self.failed = error
            raise
        if len(rows) > RANGE_ROWS or any(len(sort) > sql.SORT_BYTES for sort, _ in rows):
            self._too_much()
        self._count(sum(len(value) for _, value in rows))
        return _Range(key, rows, rows[-1][0] if rows and len(rows) == more else None, layers)

    def _count(self, size: int) -> None:
        self.read += size
        if self.read > READ_BYTES:
            self._too_much()

    def _too_much(self) -> None:
        self.alone = True
        raise Alone


def _deleted(writes: Writes) -> int:
    return sum(value is None for value in writes.values())


class Groups:
    """The groups that are not committed: at most one is under way, the others gather."""

    def __init__(self, reads: Reads, writers: Connections, changes: Changes, watchers: Watchers) -> None:
        self.reads = reads
        self.chain: list[Group] = []
        """Oldest first; the first may be under way."""
        self.turn = asyncio.Lock()
        """Held while a group is committed."""
        self._writers = writers
        self._changes = changes
        self._watchers = watchers
        self._loop = asyncio.get_running_loop()
        self._by_key: dict[Key, set[_Tx]] = {}
        self._by_place: dict[Place, set[_Tx]] = {}
        """Transactions that are not through, by what they read."""
        self._sender: asyncio.Task[None] | None = None
        self._scheduled = False
        self._failures = 0
        """How many groups have failed since the last that did not."""

    async def run(self, fn: Callable[[Transaction], Awaitable[T]]) -> T:
        """Raises Again and Alone; what `fn` raises, once that was true."""
        tx = _Tx(self)
        failure: Exception | None = None
        result: Any = None
        try:
            try:
                result = await fn(tx)
            except Exception as error:  # noqa: BLE001 - passed on when what it read is known to be true
                failure = error
            if tx.alone:
                raise Alone
            if tx.failed is not None:
                raise tx.failed
            if tx.stale:
                raise Again("it was overtaken", overtaken=True)
        finally:
            self._forget(tx)
        group = self._place(tx, failure is None)
        if group is not None:
            await group.done.wait()
            if group.failure is not None:
                raise _told(group, tx)
        if failure is not None:
            raise failure
        answer: T = result
        return answer

    def reads_key(self, key: Key, tx: _Tx) -> None:
        self._by_key.setdefault(key, set()).add(tx)

    def reads_range(self, key: RangeKey, tx: _Tx) -> None:
        self._by_place.setdefault(key[:2], set()).add(tx)

    def wrote(self, overlay: Overlay) -> None:
        """Whoever has read what is written here has to read it again."""
        if not self._by_key and not self._by_place:
            return
        for space, rows in overlay.spaces.items():
            for partition, sort in rows:
                for tx in self._by_key.get((space, partition, sort), ()):
                    tx.stale = True
                for tx in self._by_place.get((space, partition), ()):
                    if tx.covers(space, partition, sort):
                        tx.stale = True

    def _place(self, tx: _Tx, writes: bool) -> Group | None:
        """The group that the transaction joins; None when there is nothing to wait for."""
        if (not writes or not tx.overlay) and not tx.ranges and len(tx.gets) < 2 and not tx.shared:
            return None  # a single row was what it is when it was read
        group = self.chain[-1] if self.chain else None
        if group is None or group.full():
            group = Group()
            self.chain.append(group)
            if self._sender is None and not self._scheduled:
                self._scheduled = True
                self._loop.call_soon(self._start)
        group.expect(tx)
        if writes:
            group.write(tx.overlay)
            self.wrote(tx.overlay)
        return group

    def _forget(self, tx: _Tx) -> None:
        for key in tx.gets:
            _take_out(self._by_key, key, tx)
        for place in {key[:2] for key in tx.ranges}:
            _take_out(self._by_place, place, tx)

    def _start(self) -> None:
        self._scheduled = False
        self._sender = self._loop.create_task(self._send())

    async def _send(self) -> None:
        """Commits group after group. Answers are given when the next one is on its way, so that the database works meanwhile."""
        while self.chain:
            async with self.turn:
                group = self.chain[0]
                group.sealed = True
                try:
                    told = await self._commit(group)
                except Exception as error:  # noqa: BLE001 - told to everybody in it
                    self._fail(group, error)
                    continue
                self.chain.remove(group)
                self._failures = 0
            self._watchers.tell(group.overlay.spaces)
            if told:
                self._changes.hint()
            self._loop.call_soon(group.done.happen)
        self._sender = None

    def _fail(self, group: Group, error: Exception) -> None:
        """Nothing of the group is done; whatever follows was built upon it."""
        if isinstance(error, Again | StoreError):
            group.failure = error
        elif conflicts(error):
            group.failure = Again(str(error), pause=self.pause())
        elif isinstance(error, ValueError) or getattr(error, "severity_en", None) == "ERROR":
            # Not sent, or undone. One of them is the reason: each finds out by itself.
            group.failure = Alone()
        else:
            group.failure = translate(error) if isinstance(error, FAILURES) else error
        failed, self.chain = self.chain, []
        for transactions in (*self._by_key.values(), *self._by_place.values()):
            for tx in transactions:
                tx.stale = True
        for each in failed:
            if each is not group:
                each.failure = Again("a transaction before it failed")
            self._loop.call_soon(each.done.happen)

    def pause(self) -> Later:
        """Longer from failure to failure."""
        pause = Later()
        longest = PAUSE_SECONDS * 2 ** min(self._failures, DOUBLINGS)
        self._failures += 1
        self._loop.call_later(random.uniform(0, longest), pause.happen)  # noqa: S311 - spreads processes that conflict
        return pause

    async def _commit(self, group: Group) -> bool:
        """Whether others were told. Raises Again when something is not as expected."""
        watched = await self._changes.watched() if group.overlay else frozenset()
        told = [space for space in group.overlay.spaces if space in watched]
        statement, values, wrong = _statement(group, self._changes.token(), told)
        connection = await self._writers.take()
        try:
            rows = await connection.fetch(statement, *values)
        finally:
            self._writers.give(connection)
        group.blamed = wrong(rows)
        if group.blamed:
            raise Again("another process wrote", pause=self.pause())
        return bool(told)


def _take_out(index: dict[Any, set[_Tx]], key: Any, tx: _Tx) -> None:
    there = index.get(key)
    if there is not None:
        there.discard(tx)
        if not there:
            del index[key]


def _told(group: Group, tx: _Tx) -> Exception:
    """The failure of a group, for one of its transactions."""
    failure = group.failure
    assert failure is not None
    if isinstance(failure, Again) and group.blamed:
        mine = any(key in group.blamed for key in (*tx.gets, *tx.ranges))
        rows = any(key[:2] == each[:2] for key in tx.ranges for each in group.blamed)
        return Again(str(failure), pause=failure.pause if mine or rows else None)
    return failure


Wrong = Callable[[list[Any]], set[Key | RangeKey]]
"""From a statement's answer: what was not as expected."""


def _statement(group: Group, token: str, told: list[str]) -> tuple[str, list[Any], Wrong]:
    if not group.known and not group.ranges:
        return (*write_values(group.overlay, token, told), lambda _rows: set())
    if not told and not group.ranges and len(group.known) == 1:
        ((key, before),) = group.known.items()
        single = _single(group.overlay)
        if single is not None and single[0] == key and (before is not None or single[1] is not None):
            return (*_replacement(key, before, single[1]), lambda rows: set() if rows else {key})
    expected = [(*key, value) for key, value in group.known.items()]
    places: list[RangeKey] = list(group.ranges)
    ranges = []
    for (space, partition, *_), found in group.ranges.items():
        expected += [(space, partition, sort, value) for sort, value in found.rows]
        ranges.append((space, sql.fold(partition), *found.bounds(), len(found.rows)))

    def wrong(rows: list[Any]) -> set[Key | RangeKey]:
        return {expected[number - 1][:3] if number > 0 else places[-number - 1] for (number,) in rows}

    rows = [(space, *sql.place(partition, sort)[:3], value) for space, partition, sort, value in expected]
    checks = [*values_of(rows, 5), *values_of(ranges, 5)]
    if not group.overlay:
        return sql.CHECK, checks, wrong
    return sql.APPLY_CHECKED, [*apply_values(group.overlay, token, told), *checks], wrong


def _replacement(key: Key, before: bytes | None, after: bytes | None) -> tuple[str, list[Any]]:
    """One row that was read is written: the commonest group where writers are few."""
    space, partition, sort = key
    where = sql.place(partition, sort)
    if before is None:
        return sql.CREATE, [space, *where, after]
    if after is None:
        return sql.REMOVE, [space, *where[:3], before]
    return sql.REPLACE, [space, *where[:3], before, after]


def _single(overlay: Overlay) -> tuple[Key, bytes | None] | None:
    """The only row that is written, if it is the only one."""
    if len(overlay.spaces) != 1:
        return None
    ((space, rows),) = overlay.spaces.items()
    if len(rows) != 1:
        return None
    (((partition, sort), value),) = rows.items()
    return (space, partition, sort), value


def write_values(overlay: Overlay, token: str, told: list[str]) -> tuple[str, list[Any]]:
    """One statement that writes all of it."""
    single = None if told else _single(overlay)
    if single is None:
        return sql.APPLY, apply_values(overlay, token, told)
    (space, partition, sort), value = single
    where = sql.place(partition, sort)
    return (sql.DELETE, [space, *where[:3]]) if value is None else (sql.PUT, [space, *where, value])


def apply_values(overlay: Overlay, token: str, told: list[str]) -> list[Any]:
    # In order, so that writers of two processes do not wait for each other's rows.
    rows = sorted(overlay.rows(), key=lambda row: row[:3])
    put = [(space, *sql.place(partition, sort), value) for space, partition, sort, value in rows if value is not None]
    gone = [(space, *sql.place(partition, sort)[:3]) for space, partition, sort, value in rows if value is None]
    return [*values_of(put, 7), *values_of(gone, 4), token, told]
