"""When an alarm is in which state: the documented tables of missing points, and the words for it."""

import pytest

from haar.services.cloudwatch.evaluation import Rule, evaluate

END = 1_700_000_000


def points(drawn: str) -> list[tuple[int, float]]:
    """`0 - X`, the oldest first: a point that is good, one that is missing, one that breaches."""
    values = {"0": 0.0, "X": 9.0}
    marks = drawn.split()
    found = [(END - 60 * (len(marks) - at), values[mark]) for at, mark in enumerate(marks) if mark != "-"]
    return found[::-1]


@pytest.mark.parametrize(
    ("drawn", "needed", "missing", "ignore", "breaching", "not_breaching"),
    [
        ("0 - X - X", 3, "OK", "OK", "OK", "OK"),
        ("0 - - - -", 3, "OK", "OK", "OK", "OK"),
        ("- - - - -", 3, "INSUFFICIENT_DATA", None, "ALARM", "OK"),
        ("0 X X - X", 3, "ALARM", "ALARM", "ALARM", "ALARM"),
        ("- - X - -", 3, "ALARM", None, "ALARM", "OK"),
        ("0 - X - X", 2, "ALARM", "ALARM", "ALARM", "ALARM"),
        ("0 0 X 0 X", 2, "ALARM", "ALARM", "ALARM", "ALARM"),
        ("0 - X - -", 2, "OK", "OK", "ALARM", "OK"),
        ("- - - - 0", 2, "OK", "OK", "ALARM", "OK"),
        ("- - - X -", 2, "ALARM", None, "ALARM", "OK"),
    ],
)
def test_missing_points(
    drawn: str, needed: int, missing: str | None, ignore: str | None, breaching: str | None, not_breaching: str | None
) -> None:
    wanted = {"missing": missing, "ignore": ignore, "breaching": breaching, "notBreaching": not_breaching}
    found = {how: evaluate(Rule("GreaterThanThreshold", 5.0, 3, needed, how), points(drawn), "OK").state for how in wanted}
    assert found == wanted


@pytest.mark.parametrize(
    ("comparison", "states"),
    [
        ("GreaterThanThreshold", ["OK", "OK", "ALARM"]),
        ("GreaterThanOrEqualToThreshold", ["OK", "ALARM", "ALARM"]),
        ("LessThanThreshold", ["ALARM", "OK", "OK"]),
        ("LessThanOrEqualToThreshold", ["ALARM", "ALARM", "OK"]),
    ],
)
def test_comparisons(comparison: str, states: list[str]) -> None:
    rule = Rule(comparison, 5.0, 1, 1, "missing")
    assert [evaluate(rule, [(END, value)], "OK").state for value in (4.0, 5.0, 6.0)] == states


def test_words() -> None:
    rule = Rule("GreaterThanThreshold", 5.0, 1, 1, "missing")
    assert evaluate(rule, [(END, 9.0)], "OK").reason == (
        "Threshold Crossed: 1 out of the last 1 datapoints [9.0 (14/11/23 22:13:20)] was greater than the threshold (5.0) "
        "(minimum 1 datapoint for OK -> ALARM transition)."
    )
    good = "Threshold Crossed: 1 datapoint [1.0 (14/11/23 22:13:20)] was not greater than the threshold (5.0)."
    assert evaluate(rule, [(END, 1.0)], "ALARM").reason == good
    assert evaluate(rule, [], "OK").reason == "Insufficient Data: 1 datapoint was unknown."
