"""Whatever is done, in whatever order: the store answers as a sorted dictionary would."""

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from haar.store.contract import Reader, Row, Store, Transaction

Model = dict[tuple[str, bytes, bytes], bytes]
runs = itertools.count()

keys = st.binary(max_size=3) | st.sampled_from([b"", b"\x00", b"a", b"a\x00", b"b", b"\xff", b"\xff\xff"])
spaces = st.sampled_from(["one", "two"])
# Longer than an entry of PostgreSQL's index, and different at the very end only.
long = st.builds(lambda size, end: b"L" * size + end, st.integers(1198, 1202) | st.just(3000), st.binary(max_size=1))
sorts = keys | long
ends = st.none() | keys
sort_ends = st.none() | sorts
limits = st.none() | st.integers(1, 5)

puts = st.tuples(st.just("put"), spaces, keys, sorts, st.binary(max_size=10))
deletes = st.tuples(st.just("delete"), spaces, keys, sorts)
gets = st.tuples(st.just("get"), spaces, keys, sorts)
ranges = st.tuples(st.just("range"), spaces, keys, sorts, sort_ends, st.booleans(), limits)
scans = st.tuples(st.just("scan"), spaces, keys, ends, st.none() | st.tuples(keys, sorts), st.integers(1, 5))
steps = puts | deletes | gets | ranges | scans
transactions = st.tuples(st.just("transact"), st.lists(steps, max_size=8), st.booleans())
clears = st.tuples(st.just("clear"), spaces, keys, ends)


class Undone(Exception):
    pass


def expected(model: Model, step: tuple[Any, ...]) -> Any:
    match step:
        case ("get", space, partition, sort):
            return model.get((space, partition, sort))
        case ("range", space, partition, start, end, reverse, limit):
            found = sorted(
                (key[2], value)
                for key, value in model.items()
                if key[:2] == (space, partition) and start <= key[2] and (end is None or key[2] < end)
            )
            return (found[::-1] if reverse else found)[:limit]
        case ("scan", space, start, end, after, limit):
            rows = sorted(
                Row(*key[1:], value)
                for key, value in model.items()
                if key[0] == space and start <= key[1] and (end is None or key[1] < end) and (after is None or key[1:] > after)
            )
            return rows[:limit]
    raise AssertionError(step)


async def read(reader: Reader, step: tuple[Any, ...], name: Any) -> Any:
    match step:
        case ("get", space, partition, sort):
            return await reader.get(name(space), partition, sort)
        case ("range", space, partition, start, end, reverse, limit):
            return await reader.range(name(space), partition, start, end, reverse=reverse, limit=limit)
        case ("scan", space, start, end, after, limit):
            return await reader.scan(name(space), start, end, after=after, limit=limit)
    raise AssertionError(step)


async def transact(store: Store, model: Model, steps: list[tuple[Any, ...]], fails: bool, name: Any) -> None:
    changed: Model = {}

    async def fn(tx: Transaction) -> None:
        changed.clear()
        changed.update(model)
        for step in steps:
            match step:
                case ("put", space, partition, sort, value):
                    tx.put(name(space), partition, sort, value)
                    changed[space, partition, sort] = value
                case ("delete", space, partition, sort):
                    tx.delete(name(space), partition, sort)
                    changed.pop((space, partition, sort), None)
                case _:
                    assert await read(tx, step, name) == expected(changed, step)
        if fails:
            raise Undone

    try:
        await store.transact(fn)
    except Undone:
        assert fails
        return
    model.clear()
    model.update(changed)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(done=st.lists(transactions | clears | gets | ranges | scans, max_size=12))
async def test_the_store_is_a_sorted_dictionary(store: Store, done: list[tuple[Any, ...]]) -> None:
    run = next(runs)

    def name(space: str) -> str:
        return f"{space}-{run}"

    model: Model = {}
    for step in done:
        match step:
            case ("transact", steps, fails):
                await transact(store, model, steps, fails, name)
            case ("clear", space, start, end):
                gone = [key for key in model if key[0] == space and start <= key[1] and (end is None or key[1] < end)]
                assert await store.clear(name(space), start, end) == len(gone)
                for key in gone:
                    del model[key]
            case _:
                assert await read(store, step, name) == expected(model, step)
    for space in ("one", "two"):
        assert await store.scan(name(space)) == expected(model, ("scan", space, b"", None, None, 1000))


def test_the_model_itself_can_disagree() -> None:
    with pytest.raises(AssertionError):
        assert expected({("one", b"", b""): b"x"}, ("get", "one", b"", b"")) == b"y"
