"""Values: canonical once and for all, sized alike wherever they are sized, never larger than their JSON."""

import copy
from base64 import b64encode
from decimal import Decimal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.dynamodb import BINARIES, NUMBERS, TEXTS, ZEROS, decimals

from haar.services.dynamodb import values
from haar.services.dynamodb.images import Image
from haar.wire.errors import ServiceError

ANY_TEXT = st.one_of(st.just(""), TEXTS, ZEROS)
WRITTEN_NUMBERS = decimals().map(lambda number: f"{number:E}")
LEAVES = st.one_of(
    ANY_TEXT.map(lambda text: {"S": text}),
    st.one_of(NUMBERS, WRITTEN_NUMBERS).map(lambda text: {"N": text}),
    st.one_of(st.just(""), BINARIES).map(lambda text: {"B": text}),
    st.booleans().map(lambda flag: {"BOOL": flag}),
    st.just({"NULL": True}),
    st.lists(TEXTS, min_size=1, unique=True).map(lambda texts: {"SS": texts}),
    st.lists(NUMBERS, min_size=1, unique=True).map(lambda texts: {"NS": texts}),
    st.lists(BINARIES, min_size=1, unique=True).map(lambda texts: {"BS": texts}),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda each: {"L": each}),
        st.dictionaries(ANY_TEXT, inner, max_size=4).map(lambda each: {"M": each}),
    ),
    max_leaves=10,
)
ITEMS = st.dictionaries(TEXTS, VALUES, min_size=1, max_size=5)


@settings(max_examples=50)
@given(ITEMS)
def test_canonical_is_canonical(item):
    size = values.check_item(item)
    again = copy.deepcopy(item)
    assert values.check_item(again) == size and again == item
    assert values.item_size(item) == size


@settings(max_examples=50)
@given(ITEMS)
def test_images_keep_items_and_their_size(item):
    size = values.check_item(item)
    image = Image.of(item)
    assert (image.size, Image(image.data).size, Image(image.data).item) == (size, size, item)
    assert orjson.loads(orjson.dumps({"Item": image.fragment})) == {"Item": item}


@settings(max_examples=50)
@given(ITEMS)
def test_json_is_never_shorter_than_the_size(item):
    """Pages count on it: they measure rows only where their JSON could fill them."""
    assert values.check_item(item) <= len(orjson.dumps(item))


@given(st.lists(decimals(), min_size=2, max_size=6, unique=True))
def test_sets_have_no_order(numbers):
    texts = [f"{number:f}" for number in numbers]
    one, other = {"NS": texts}, {"NS": texts[::-1]}
    values.check(one)
    values.check(other)
    assert one == other and list(map(Decimal, one["NS"])) == sorted(numbers)


@pytest.mark.parametrize(
    "value, message",
    [
        ("x", "Unexpected value type in payload"),
        ([], "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue"),
        ({"S": 1}, "NUMBER_VALUE cannot be converted to String"),
        ({"S": True}, "TRUE_VALUE cannot be converted to String"),
        ({"S": []}, "Unrecognized collection type class java.lang.String"),
        ({"S": {}}, "Start of structure or map found where not expected"),
        ({"N": 5}, "NUMBER_VALUE cannot be converted to String"),
        ({"BOOL": "x"}, "Unexpected token received from parser"),
        ({"B": 1}, "only base-64-encoded strings are convertible to bytes"),
        ({"B": "abc"}, "Base64 encoded length is expected a multiple of 4 bytes but found: 3"),
        ({"B": "a!c="}, "Invalid Base64 character: '!'"),
        ({"L": "x"}, "Unexpected field type"),
        ({"M": [1]}, "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue"),
        ({"SS": [1]}, "NUMBER_VALUE cannot be converted to String"),
        ({"S": "\ud800"}, "Unable to parse: text is not Unicode"),
    ],
)
def test_what_cannot_be_read(value, message):
    with pytest.raises(ServiceError) as refused:
        values.check(value)
    assert (refused.value.code, refused.value.message) == ("Serialization", message)


@pytest.mark.parametrize(
    "value, message",
    [
        ({"SS": ["a", None]}, "An string set may not have a null string as a member"),
        ({"NS": [None, "1"]}, "An number set may not have a null number as a member"),
        ({"BS": [None]}, "Binary sets may not contain null or empty values"),
    ],
)
def test_sets_have_no_nulls(value, message):
    with pytest.raises(ServiceError) as refused:
        values.check(value)
    assert (refused.value.code, refused.value.message) == ("ValidationException", f"One or more parameter values were invalid: {message}")


def test_nulls_and_unknown_members_count_as_not_sent():
    value = {"S": "x", "N": None, "Future": 1}
    assert values.check(value) == 1 and value == {"S": "x"}


def test_binaries_are_sized_by_their_bytes():
    for length in range(5):
        value = {"B": b64encode(b"x" * length).decode()}
        assert values.check(value) == values.value_size(value) == length


@pytest.mark.parametrize("kind", ["SS", "NS", "BS", "L"])
def test_more_elements_than_bytes_are_refused_unread(kind):
    unreadable = [None] * 409_601
    with pytest.raises(ServiceError, match="Item size has exceeded the maximum allowed size"):
        values.check({kind: unreadable})
    with pytest.raises(ServiceError, match="Item size has exceeded the maximum allowed size"):
        values.check({"M": {str(at): None for at in range(409_601)}})
