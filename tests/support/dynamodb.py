"""Hypothesis strategies for DynamoDB's values, and what its tests share."""

from base64 import b64encode
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from haar.services.dynamodb import numbers

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
ZEROS = st.lists(st.sampled_from(["\x00", "\x00\x00", "\x01", "\xff", "a"]), min_size=1, max_size=4).map("".join)
BINARIES = st.binary(min_size=1, max_size=8).map(lambda data: b64encode(data).decode())


@st.composite
def decimals(draw: Any) -> Decimal:
    """Every number that DynamoDB can hold."""
    digits = str(draw(st.integers(0, 10**38 - 1)))
    exponent = draw(st.integers(-130, 125 - len(digits) + 1))
    # From its parts: arithmetic would round to the context's 28 digits.
    return Decimal((draw(st.integers(0, 1)), tuple(map(int, digits)), exponent))


NUMBERS = decimals().map(lambda number: numbers.normalise(str(number)))
SCALARS = st.one_of(st.tuples(st.just("S"), st.one_of(TEXTS, ZEROS)), st.tuples(st.just("N"), NUMBERS), st.tuples(st.just("B"), BINARIES))
