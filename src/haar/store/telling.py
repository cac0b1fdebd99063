"""Saying what lasts, and not every second."""

import math
import time

SECONDS = 60.0


class Seldom:
    """For what would be logged at each try while the store cannot be reached: true when it was not for a minute."""

    def __init__(self) -> None:
        self._at = -math.inf

    def now(self) -> bool:
        moment = time.monotonic()
        if moment - self._at < SECONDS:
            return False
        self._at = moment
        return True
