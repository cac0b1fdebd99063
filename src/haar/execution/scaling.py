"""How fast a function may grow: 1,000 environments every 10 seconds
(https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html#scaling-rate)."""

from collections import OrderedDict

BURST = 1000
PER_SECOND = 100.0
FUNCTIONS = 10_000
"""How many are remembered; the one that has not grown for longest is forgotten, and may grow at full speed."""


class Scaling:
    """A bucket of environments for each function, filled all the time."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By ARN: what was left, and when (seconds of a clock that only goes forward)."""

    def another(self, arn: str, now: float) -> bool:
        """Takes one environment; False when the function has had all that it may have for now."""
        left, when = self._left.pop(arn, (float(BURST), now))
        left = min(BURST, left + (now - when) * PER_SECOND)
        allowed = left >= 1
        self._left[arn] = (left - allowed, now)
        if len(self._left) > FUNCTIONS:
            self._left.popitem(last=False)
        return allowed
