"""The log of what items were leads back to every moment, whatever the keys are and however it is read."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from haar.services.dynamodb import history
from haar.services.dynamodb.images import Key

DAY = history.DAY_MICROS
SORTS = st.lists(st.sampled_from([b"\x00", b"\x00\x00", b"\x01", b"\xff", b"a", b""]), max_size=3).map(b"".join)
KEYS = st.builds(Key, st.sampled_from([b"p", b"p\x00", b"q"]), SORTS)


class Rows:
    """Spaces in memory, as far as the log reads them."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[tuple[bytes, bytes], bytes]] = {}

    async def scan(self, space: str, start: bytes = b"", end: bytes | None = None, *, after: Any = None, limit: int = 1000) -> list[Any]:
        from haar.store.contract import Row

        found = sorted(self.rows.get(space, {}).items())
        return [Row(*key, value) for key, value in found if after is None or key > after][:limit]

    async def range(
        self, space: str, partition: bytes, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False, limit: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        found = sorted((key[1], value) for key, value in self.rows.get(space, {}).items() if key[0] == partition)
        return [row for row in found if start <= row[0] and (end is None or row[0] < end)][:limit]

    async def get(self, space: str, partition: bytes, sort: bytes = b"") -> bytes | None:
        return self.rows.get(space, {}).get((partition, sort))


@settings(max_examples=150, deadline=None)
@given(
    changes=st.lists(st.tuples(KEYS, st.binary(max_size=2)), max_size=40),
    steps=st.lists(st.integers(1, DAY), min_size=40, max_size=40),
    limit=st.integers(1, 5),
    data=st.data(),
)
async def test_every_moment_is_found_again(changes: list[tuple[Key, bytes]], steps: list[int], limit: int, data: st.DataObject) -> None:
    store, items, stamp = Rows(), {}, 20_000 * DAY
    states = [(stamp, dict(items))]
    for (key, value), step in zip(changes, steps, strict=False):
        stamp += step
        space = store.rows.setdefault(history.log_space("s", history.day_of(stamp)), {})
        space[key.partition, history._item(key.sort) + history.STAMP.pack(stamp)] = items.get(key, b"")
        items[key] = value
        if not value:
            del items[key]
        states.append((stamp, dict(items)))
    moment, state = data.draw(st.sampled_from(states))
    copy = dict(items)
    for day in history.days_back(moment, stamp / 1e6):
        after = None
        while True:
            found, after = await history.before(store, "s", day, moment, after, limit)
            for key, was in found:
                copy[key] = was
            if after is None:
                break
    assert {key: value for key, value in copy.items() if value} == state
