"""Metric math: what expressions mean, their order, and what is refused."""

import pytest

from haar.services.cloudwatch import arithmetic
from haar.wire.errors import ServiceError

M1 = {60: 1.0, 120: 3.0}


@pytest.mark.parametrize("text", ["not " * 500 + "m1", "9" * 400, "-" * 2000 + "m1", "m1+" * 500 + "m1", "m1 ** m1", "1j * m1"])
def test_what_cannot_be_calculated_is_refused(text: str) -> None:
    with pytest.raises(ServiceError) as refused:
        arithmetic.evaluate("e", text, {"m1": M1})
    assert refused.value.code == "ValidationError"


def test_expressions_come_behind_what_they_use() -> None:
    chain = [{"Id": f"e{at}", "Expression": f"e{at + 1} * m1"} for at in range(499)] + [{"Id": "e499", "Expression": "m1 + m1"}]
    found = [query["Id"] for query in arithmetic.ordered(chain, {"m1"})]
    assert found == [f"e{at}" for at in reversed(range(500))]


@pytest.mark.parametrize(
    ("expressions", "told"),
    [
        ({"a": "m1", "b": "c + d + a"}, "'b': Unresolved dependencies [c, d]."),
        ({"a": "b", "b": "a"}, "'a': Unresolved dependencies [b]."),
        ({"a": "a"}, "'a': Unresolved dependencies [a]."),
    ],
)
def test_what_is_not_there_is_named(expressions: dict[str, str], told: str) -> None:
    queries = [{"Id": name, "Expression": text} for name, text in expressions.items()]
    with pytest.raises(ServiceError) as refused:
        arithmetic.ordered(queries, {"m1"})
    assert refused.value.message == f"Error in expression {told}"
