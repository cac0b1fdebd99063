"""What state an alarm is in, by the points of its last periods. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

OK, ALARM, INSUFFICIENT = "OK", "ALARM", "INSUFFICIENT_DATA"
EXTRA_PERIODS = 2
"""Further back than what is evaluated: points that stand for missing ones."""
MISSING, IGNORE, BREACHING, NOT_BREACHING = "missing", "ignore", "breaching", "notBreaching"
TREATMENTS = (BREACHING, NOT_BREACHING, IGNORE, MISSING)
COMPARISONS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (lambda value, threshold: value >= threshold, "greater than or equal to"),
    "GreaterThanThreshold": (lambda value, threshold: value > threshold, "greater than"),
    "LessThanThreshold": (lambda value, threshold: value < threshold, "less than"),
    "LessThanOrEqualToThreshold": (lambda value, threshold: value <= threshold, "less than or equal to"),
}


class Rule(NamedTuple):
    comparison: str
    threshold: float
    periods: int
    """How many are evaluated."""
    needed: int
    """How many of them must breach."""
    missing: str


class Verdict(NamedTuple):
    state: str | None
    """None leaves it as it is."""
    points: list[tuple[int, float]]
    """What it was decided by, the latest first."""
    reason: str


def evaluate(rule: Rule, points: Sequence[tuple[int, float]], state: str) -> Verdict:
    """`points` are (epoch seconds, value) of the evaluation range, the latest first; `state` is the alarm's present one."""
    breaches, _ = COMPARISONS[rule.comparison]
    decided = list(points[: rule.periods])
    breaching = sum(breaches(value, rule.threshold) for _, value in decided)
    absent = rule.periods - len(decided)
    if absent == 0:
        found: str | None = ALARM if breaching >= rule.needed else OK
    elif rule.missing == BREACHING:
        found = ALARM if breaching + absent >= rule.needed else OK
    elif rule.missing == NOT_BREACHING:
        found = ALARM if breaching >= rule.needed else OK
    elif not decided:
        found = None if rule.missing == IGNORE else INSUFFICIENT
    elif breaching < min(rule.needed, len(decided)):
        found = OK
    else:
        # What is there breaches, and would do so if what is missing were like it.
        found = ALARM if breaching >= rule.needed or rule.missing == MISSING else None
    return Verdict(found, decided, _reason(rule, decided, absent, found or state, state))


def _reason(rule: Rule, decided: Sequence[tuple[int, float]], absent: int, found: str, before: str) -> str:
    if found == INSUFFICIENT:
        return f"Insufficient Data: {absent} datapoint{'s were' if absent > 1 else ' was'} unknown."
    if not decided:
        count = f"{absent} datapoint{'s' if absent > 1 else ''}"
        return f"Threshold Crossed: no datapoints were received for {count} and {count} were treated as [{_treated(rule)}]."
    _, words = COMPARISONS[rule.comparison]
    told = ", ".join(f"{value} ({datetime.fromtimestamp(time, UTC):%d/%m/%y %H:%M:%S})" for time, value in decided)
    verb = "was" if len(decided) == 1 else "were"
    if found == ALARM:
        first = OK if before == ALARM else before
        least = f" (minimum {rule.needed} datapoint{'s' if rule.needed > 1 else ''} for {first} -> ALARM transition)"
        return (
            f"Threshold Crossed: {len(decided)} out of the last {rule.periods} datapoints [{told}] {verb} {words} "
            f"the threshold ({float(rule.threshold)}){least}."
        )
    plural = "s" if len(decided) > 1 else ""
    return f"Threshold Crossed: {len(decided)} datapoint{plural} [{told}] {verb} not {words} the threshold ({float(rule.threshold)})."


def _treated(rule: Rule) -> str:
    return "Breaching" if rule.missing == BREACHING else "NonBreaching"
