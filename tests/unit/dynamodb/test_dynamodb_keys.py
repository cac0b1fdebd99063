"""Keys as bytes: order, round trip, ranges."""

from hypothesis import given
from hypothesis import strategies as st
from tests.support.dynamodb import SCALARS, TEXTS, ZEROS

from haar.services.dynamodb import keys
from haar.services.dynamodb.reads import bounds


@given(SCALARS, st.binary(max_size=4))
def test_components_are_read_back(scalar, rest):
    kind, content = scalar
    data = keys.ended(kind, content)
    assert keys.read_ended(kind, data + rest, 0) == (content, len(data))
    assert keys.read_scalar(kind, keys.scalar(kind, content)) == content


@given(st.one_of(TEXTS, ZEROS), st.one_of(TEXTS, ZEROS), st.binary(max_size=3), st.binary(max_size=3))
def test_composites_are_ordered_by_their_first_component_first(left, right, left_rest, right_rest):
    first = keys.ended("S", left) + left_rest
    second = keys.ended("S", right) + right_rest
    if left != right:
        assert (first < second) == (left.encode() < right.encode())


@given(st.one_of(TEXTS, ZEROS), st.one_of(TEXTS, ZEROS))
def test_beginning_is_kept_by_escaping(prefix, rest):
    assert keys.ended("S", prefix + rest).startswith(keys.begun("S", prefix))


@given(st.integers(1, 1000).flatmap(lambda total: st.tuples(st.just(total), st.binary())))
def test_every_partition_is_in_one_segment(total_and_key):
    total, key = total_and_key
    partition = keys.hashed(key)
    spans = [keys.segment(number, total) for number in range(total)]
    assert sum(start <= partition and (end is None or partition < end) for start, end in spans) == 1
    assert all(spans[at][1] == spans[at + 1][0] for at in range(total - 1))


TESTS = {
    "EQ": lambda value, low, high: value == low,
    "LT": lambda value, low, high: value < low,
    "LE": lambda value, low, high: value <= low,
    "GT": lambda value, low, high: value > low,
    "GE": lambda value, low, high: value >= low,
    "BETWEEN": lambda value, low, high: low <= value <= high,
    "BEGINS_WITH": lambda value, low, high: value.startswith(low),
}


@given(
    st.sampled_from(sorted(TESTS)), *[st.one_of(TEXTS, ZEROS, TEXTS.map(lambda text: text[:1]))] * 3, st.binary(max_size=3), st.booleans()
)
def test_bounds_hold_what_the_comparison_holds(operator, value, low, high, rest, closed):
    given_values = [low, high]
    encode = keys.ended if closed else keys.scalar
    start, end = bounds(
        b"p\xff", operator, lambda at: encode("S", given_values[at]),
        lambda at: (keys.begun if closed else keys.scalar)("S", given_values[at]), closed,
    )  # fmt: skip
    key = b"p\xff" + encode("S", value) + (rest if closed else b"")
    inside = start <= key and (end is None or key < end)
    assert inside == TESTS[operator](value.encode(), low.encode(), high.encode())
