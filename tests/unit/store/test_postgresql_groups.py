"""What transactions that are committed together may have read."""

import pytest

from haar.store.postgresql_groups import Again, Group, RangeKey, _Range, _statement, _Tx

KEY: RangeKey = ("s", b"p", b"", None, False)
BACK: RangeKey = ("s", b"p", b"", None, True)
Rows = list[tuple[bytes, bytes]]


def reader(key: RangeKey, rows: Rows, last: bytes | None = None) -> _Tx:
    tx = _Tx(None)  # type: ignore[arg-type]
    tx.ranges[key] = _Range(key, rows, last, [])
    return tx


def rows(*names: str) -> Rows:
    return [(name.encode(), b"value") for name in names]


def test_ranges_that_are_the_same_as_far_as_both_know_go_together():
    group = Group()
    group.expect(reader(KEY, rows("a", "b"), b"b"))
    group.expect(reader(KEY, rows("a"), b"a"))
    group.expect(reader(KEY, rows("a", "b", "c", "d"), b"d"))
    group.expect(reader(KEY, rows("a", "b", "c", "d", "e")))
    group.expect(reader(BACK, rows("e"), b"e"))
    assert group.ranges[KEY].rows == rows("a", "b", "c", "d", "e")
    assert group.ranges[BACK].bounds()[0] == b"e"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (reader(KEY, rows("a", "b")), reader(KEY, rows("a"))),
        (reader(KEY, rows("a")), reader(KEY, rows("a", "b"))),
        (reader(KEY, rows("a", "c"), b"c"), reader(KEY, rows("a", "b", "c"), b"c")),
        (reader(KEY, rows("a", "c"), b"c"), reader(KEY, rows("a", "b"), b"b")),
        (reader(KEY, [(b"a", b"old")]), reader(KEY, [(b"a", b"new")])),
        (reader(BACK, rows("b"), b"b"), reader(BACK, rows("c"), b"c")),
    ],
)
def test_one_that_read_another_range_runs_again(first: _Tx, second: _Tx) -> None:
    group = Group()
    group.expect(first)
    with pytest.raises(Again):
        group.expect(second)


def test_one_that_read_another_row_runs_again_and_leaves_nothing() -> None:
    one, other = _Tx(None), _Tx(None)  # type: ignore[arg-type]
    one.gets = {("s", b"p", b"a"): b"old"}
    other.gets = {("s", b"p", b"b"): b"x", ("s", b"p", b"a"): b"new"}
    group = Group()
    group.expect(one)
    with pytest.raises(Again):
        group.expect(other)
    assert group.known == one.gets


def test_what_an_earlier_group_wrote_is_expected_and_what_this_one_wrote_is_not() -> None:
    earlier, group = Group(), Group()
    tx = _Tx(None)  # type: ignore[arg-type]
    layers = [(earlier, {b"b": b"earlier", b"a": None, b"z": b"beyond"}), (group, {b"c": b"own", b"b": None})]
    tx.ranges[KEY] = _Range(KEY, rows("a", "b", "d"), b"d", layers)
    group.expect(tx)
    assert group.ranges[KEY].rows == [(b"b", b"earlier"), (b"d", b"value")]
    _, values, wrong = _statement(group, "token", [])
    assert values[-1] == [2]
    assert wrong([(1,), (-1,)]) == {("s", b"p", b"b"), KEY}
    assert wrong([]) == set()
