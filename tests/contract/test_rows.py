"""What is written is read back, in the order of its bytes."""

import os

import pytest

from haar.store.contract import Row, Store, Transaction


async def put(store: Store, *rows: tuple[str, bytes, bytes, bytes]) -> None:
    async def fn(tx: Transaction) -> None:
        for row in rows:
            tx.put(*row)

    await store.transact(fn)


async def delete(store: Store, *keys: tuple[str, bytes, bytes]) -> None:
    async def fn(tx: Transaction) -> None:
        for key in keys:
            tx.delete(*key)

    await store.transact(fn)


async def test_what_was_put_is_read(store: Store) -> None:
    await put(store, ("s", b"p", b"k", b"v"), ("s", b"p", b"", b""), ("t", b"p", b"k", b"other space"))
    assert await store.get("s", b"p", b"k") == b"v"
    assert await store.get("s", b"p") == b""
    assert await store.get("t", b"p", b"k") == b"other space"
    assert await store.get("s", b"q", b"k") is None
    assert await store.get("never seen", b"p") is None


async def test_a_second_put_replaces_and_delete_removes(store: Store) -> None:
    await put(store, ("s", b"p", b"k", b"1"))
    await put(store, ("s", b"p", b"k", b"2"))
    assert await store.get("s", b"p", b"k") == b"2"
    await delete(store, ("s", b"p", b"k"), ("s", b"p", b"never there"), ("no such space", b"", b""))
    assert await store.get("s", b"p", b"k") is None


@pytest.mark.parametrize("size", [1, 1000, 4096, 70_000, 400_000, 5_000_000])
async def test_values_of_any_size(store: Store, size: int) -> None:
    value = os.urandom(size)
    await put(store, ("s", b"p", b"k", value))
    assert await store.get("s", b"p", b"k") == value


async def test_keys_hold_every_byte(store: Store) -> None:
    sorts = [bytes([byte]) for byte in range(256)] + [b"\x00\x00", b"\xff\xff", "é𝄞".encode(), b"", b"k" * 2000]
    await put(store, *(("s", b"\x00\xff", sort, sort + b"!") for sort in sorts))
    assert await store.range("s", b"\x00\xff") == [(sort, sort + b"!") for sort in sorted(sorts)]


async def test_a_range_has_its_start_and_not_its_end(store: Store) -> None:
    await put(store, *(("s", b"p", key, b"") for key in (b"a", b"b", b"ba", b"c", b"d")), ("s", b"o", b"b", b""), ("s", b"p2", b"b", b""))

    async def sorts(*bounds: bytes | None, **options: object) -> list[bytes]:
        return [sort for sort, _ in await store.range("s", b"p", *bounds, **options)]  # type: ignore[arg-type]

    assert await sorts() == [b"a", b"b", b"ba", b"c", b"d"]
    assert await sorts(b"b", b"d") == [b"b", b"ba", b"c"]
    assert await sorts(b"b", b"b") == []
    assert await sorts(b"d", b"b") == []
    assert await sorts(b"aa", None) == [b"b", b"ba", b"c", b"d"]
    assert await sorts(reverse=True) == [b"d", b"c", b"ba", b"b", b"a"]
    assert await sorts(b"b", b"d", reverse=True, limit=2) == [b"c", b"ba"]
    assert await sorts(limit=2) == [b"a", b"b"]
    assert await sorts(limit=0) == []
    assert await store.range("never seen", b"p") == []


async def test_a_scan_goes_through_partitions_in_order(store: Store) -> None:
    keys = [(b"a", b""), (b"a", b"1"), (b"b", b""), (b"b\x00", b"z"), (b"c", b"2"), (b"c", b"3")]
    await put(store, *(("s", *key, b"v") for key in reversed(keys)), ("s2", b"a", b"", b"v"))
    rows = [Row(*key, b"v") for key in keys]
    assert await store.scan("s") == rows
    assert await store.scan("s", b"b", b"c") == rows[2:4]
    assert await store.scan("s", b"b") == rows[2:]
    assert await store.scan("s", b"", b"b") == rows[:2]
    assert await store.scan("s", after=(b"a", b"1"), limit=2) == rows[2:4]
    assert await store.scan("s", after=(b"a", b"0")) == rows[1:]
    assert await store.scan("s", b"b", b"c", after=(b"b", b"")) == rows[3:4]
    assert await store.scan("s", b"b", b"c", after=(b"a", b"")) == rows[2:4]
    assert await store.scan("s", b"b", b"c", after=(b"c", b"")) == []
    assert await store.scan("s", limit=1) == rows[:1]
    assert await store.scan("never seen") == []
    assert isinstance((await store.scan("s"))[0], Row)


async def test_a_scan_page_by_page_meets_every_row_once(store: Store) -> None:
    keys = [(b"p%02d" % (number % 7), b"%03d" % number) for number in range(100)]
    await put(store, *(("s", *key, b"") for key in keys))
    seen: list[tuple[bytes, bytes]] = []
    after = None
    while page := await store.scan("s", after=after, limit=9):
        after = (page[-1].partition, page[-1].sort)
        seen += [(row.partition, row.sort) for row in page]
    assert seen == sorted(keys)


async def test_clear_deletes_exactly_its_partitions(store: Store) -> None:
    await put(store, *(("s", b"%04d" % number, b"x", b"v") for number in range(1700)), ("t", b"0000", b"", b"kept"))
    assert await store.clear("s", b"0100", b"0200") == 100
    assert await store.clear("s", b"0100", b"0200") == 0
    assert len(await store.scan("s", limit=5000)) == 1600
    assert await store.get("s", b"0099", b"x") == b"v"
    assert await store.get("s", b"0200", b"x") == b"v"
    assert await store.clear("s") == 1600
    assert await store.scan("s") == []
    assert await store.get("t", b"0000") == b"kept"
    assert await store.clear("never seen") == 0


async def test_clear_goes_through_one_large_partition(store: Store) -> None:
    await put(store, *(("s", b"p", b"%04d" % number, b"v") for number in range(1200)), ("s", b"q", b"", b"v"))
    assert await store.clear("s", b"p", b"q") == 1200
    assert [row.partition for row in await store.scan("s")] == [b"q"]


async def test_clear_deletes_large_values(store: Store) -> None:
    for number in range(12):
        await put(store, ("s", b"p%d" % (number % 3), b"%d" % number, bytes(400_000)))
    assert await store.clear("s", b"p1") == 8
    assert [row.sort for row in await store.scan("s")] == [b"0", b"3", b"6", b"9"]
    assert await store.clear("s") == 4


async def test_what_one_wrote_the_other_reads(store: Store, other: Store) -> None:
    assert await other.get("s", b"p") is None
    await put(store, ("s", b"p", b"", b"1"))
    assert await other.get("s", b"p") == b"1"
    await put(other, ("s", b"p", b"", b"2"), ("new", b"p", b"", b"3"))
    assert await store.get("s", b"p") == b"2"
    assert await store.get("new", b"p") == b"3"
    await put(store, ("new", b"q", b"", b"4"))
    assert [row.value for row in await other.scan("new")] == [b"3", b"4"]


async def test_keys_longer_than_dynamodbs_keep_apart_and_in_order(store: Store) -> None:
    """A partition key has 2048 bytes there and a sort key 1024; an index entry of a secondary index has several of them."""
    partitions = [b"p" * 2048 + bytes([end]) for end in range(3)]
    sorts = [b"s" * size + bytes([end]) for size in (1023, 1199, 1200, 1201, 3999) for end in range(3)]
    await put(store, *(("s", partition, sort, partition[-1:] + sort) for partition in partitions for sort in reversed(sorts)))
    for partition in partitions:
        expected = [(sort, partition[-1:] + sort) for sort in sorted(sorts)]
        assert await store.range("s", partition) == expected
        assert await store.range("s", partition, reverse=True, limit=7) == expected[::-1][:7]
        assert await store.range("s", partition, expected[4][0], expected[11][0]) == expected[4:11]
        for sort in sorts:
            assert await store.get("s", partition, sort) == partition[-1:] + sort
    seen, after = [], None
    while page := await store.scan("s", after=after, limit=4):
        after = (page[-1].partition, page[-1].sort)
        seen += [(row.partition, row.sort) for row in page]
    assert sorted(seen) == [(partition, sort) for partition in partitions for sort in sorted(sorts)]
    assert len(await store.scan("s", partitions[0][:50], b"q")) == 45
    await delete(store, ("s", partitions[1], sorts[-1]), ("s", partitions[1], sorts[0]))
    assert await store.get("s", partitions[1], sorts[-1]) is None
    assert await store.get("s", partitions[2], sorts[-1]) is not None
    assert await store.clear("s", b"p") == 43
