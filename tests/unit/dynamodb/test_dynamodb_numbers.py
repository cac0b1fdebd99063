# ruff: noqa: E501 - messages are as long as they are
"""Numbers: canonical text, exact arithmetic, order of the encoding."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.dynamodb import decimals

from haar.services.dynamodb import numbers
from haar.wire.errors import ServiceError


@pytest.mark.parametrize(
    "text, plain",
    [
        ("0", "0"), ("-0", "0"), ("0.000", "0"), ("1.0", "1"), ("007", "7"), ("+5", "5"), ("1E2", "100"), ("-1.50e-3", "-0.0015"),
        (".5", "0.5"), ("5.", "5"), ("1e125", "1" + "0" * 125), ("1e-130", "0." + "0" * 129 + "1"), ("9" * 38, "9" * 38), ("0e999999999999", "0"),
    ],
)  # fmt: skip
def test_canonical_text(text, plain):
    assert numbers.normalise(text) == plain
    assert numbers.normalise(plain) == plain


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "The parameter cannot be converted to a numeric value"),
        ("abc", "The parameter cannot be converted to a numeric value: abc"),
        ("1_000", "The parameter cannot be converted to a numeric value: 1_000"),
        (" 1", "The parameter cannot be converted to a numeric value:  1"),
        ("١", "The parameter cannot be converted to a numeric value: ١"),
        ("NaN", "The parameter cannot be converted to a numeric value: NaN"),
        ("1" * 39, "Attempting to store more than 38 significant digits in a Number"),
        ("1e126", "Number overflow. Attempting to store a number with magnitude larger than supported range"),
        ("-1e99999999999", "Number overflow. Attempting to store a number with magnitude larger than supported range"),
        ("1e-131", "Number underflow. Attempting to store a number with magnitude smaller than supported range"),
    ],
)
def test_what_is_no_number(text, message):
    with pytest.raises(ServiceError) as refused:
        numbers.normalise(text)
    assert refused.value.message == message


@given(decimals())
def test_normalising_keeps_the_value(number):
    plain = numbers.normalise(str(number))
    assert Decimal(plain) == number and "E" not in plain.upper()


@given(st.from_regex(r"-?[0-9]{1,3}\.[0-9]{0,40}", fullmatch=True))
def test_decimals_that_are_plain_already_are_what_they_would_be_made(text):
    try:
        expected = numbers.canonical(Decimal(text))
    except ServiceError as error:
        expected = error.message
    try:
        assert numbers.normalise(text) == expected
    except ServiceError as error:
        assert error.message == expected


@given(decimals(), decimals())
def test_encoded_numbers_are_ordered_as_numbers(left, right):
    first, second = (numbers.encode(numbers.normalise(str(each))) for each in (left, right))
    assert (first < second, first == second) == (left < right, left == right)


@given(decimals(), st.binary())
def test_an_encoded_number_ends_itself(number, rest):
    plain = numbers.normalise(str(number))
    data = numbers.encode(plain)
    assert numbers.decode(data + rest) == (plain, len(data))


@given(decimals(), decimals())
def test_sums_are_exact_or_refused(left, right):
    first, second = (numbers.normalise(str(each)) for each in (left, right))
    with localcontext() as context:
        context.prec = 400
        exact = left + right
    digits = len(exact.normalize(context).as_tuple().digits) if exact else 1
    if digits > 38 or (exact and not -130 <= exact.adjusted() <= 125):
        with pytest.raises(ServiceError):
            numbers.add(first, second)
    else:
        assert Decimal(numbers.add(first, second)) == exact


@pytest.mark.parametrize(
    "text, size", [("0", 1), ("1", 2), ("-1", 3), ("12", 2), ("123", 3), ("100", 2), ("0.5", 2), ("1.5", 3), ("9" * 38, 20), ("-0.001", 3)]
)
def test_sizes(text, size):
    assert numbers.size(text) == size
