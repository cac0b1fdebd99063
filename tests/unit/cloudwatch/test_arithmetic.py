"""Metric math: what expressions mean, their order, and what is refused."""

import pytest

from haar.services.cloudwatch import arithmetic
from haar.wire.errors import ServiceError

M1 = {60: 1.0, 120: 3.0}


@pytest.mark.parametrize(
    "text",
    [
        "not " * 500 + "m1",
        "9" * 400,
        "-" * 2000 + "m1",
        "m1+" * 500 + "m1",
        "m1 ** m1",
        "1j * m1",
        "m1 + LOG(0)",
        "m1 + 1e400",
        "m1 + CEIL(1e308 * 10)",
        "m1 + FLOOR(0 ^ -1)",
    ],
)
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


M2 = {60: 2.0, 120: 2.0, 180: 8.0}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("m1 ^ 2 + 1", {60: 2.0, 120: 10.0}),
        ("m1 > m2", {60: 0.0, 120: 1.0}),
        ("m1 >= 1 AND m2 < 3", {60: 1.0, 120: 1.0}),
        ("m1 == 3 || m2 == 2", {60: 1.0, 120: 1.0}),
        ("IF(m1 > 2, m1, 0)", {60: 0.0, 120: 3.0}),
        ("IF(m2 > 2, m2)", {180: 8.0}),
        ("ABS(m1 - m2)", {60: 1.0, 120: 1.0}),
        ("CEIL(m1 / 2)", {60: 1.0, 120: 2.0}),
        ("FLOOR(m1 / 2)", {60: 0.0, 120: 1.0}),
        ("LOG10(m1 * 0)", {}),
        ("DIFF(m2)", {120: 0.0, 180: 6.0}),
        ("DIFF_TIME(m2)", {120: 60.0, 180: 60.0}),
        ("RATE(m2)", {120: 0.0, 180: 0.1}),
        ("RUNNING_SUM(m2)", {60: 2.0, 120: 4.0, 180: 12.0}),
        ("m1 / PERIOD(m1) * 60", {60: 1.0, 120: 3.0}),
        ("SUM(METRICS())", {60: 3.0, 120: 5.0, 180: 8.0}),
        ("MAX([m1, m2])", {60: 2.0, 120: 3.0, 180: 8.0}),
        ("m1 * METRIC_COUNT(METRICS())", {60: 2.0, 120: 6.0}),
        ("m1 + AVG(m2)", {60: 5.0, 120: 7.0}),
        ("m1 * 0 + STDDEV(m1)", {60: 1.0, 120: 1.0}),
        ("m1 * 0 + DATAPOINT_COUNT(m2)", {60: 3.0, 120: 3.0}),
        ("FILL(m1, 0)", {60: 1.0, 120: 3.0, 180: 0.0}),
        ("FIRST(METRICS())", M1),
        ("m1 ^ 4000", {60: 1.0}),
        ("(m1 - 1) ^ -1", {120: 0.5}),
        ("CEIL(RUNNING_SUM(m1 * 1e308))", {60: 1e308}),
        ("STDDEV([m1 * 1e308, m1 * -1e308])", {60: 1e308}),
        ("SUM([m1 * 1e308, m1 * 1e308])", {}),
    ],
)
def test_values(text: str, wanted: dict[int, float]) -> None:
    assert arithmetic.evaluate("e", text, {"m1": M1, "m2": M2}, {"m1": 60, "m2": 60}) == pytest.approx(wanted)
