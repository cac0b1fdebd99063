"""How many events of one function are handled at once: started gently, grown while all goes well, cut back when it is throttled.

Without it, a thousand events would start as many environments as the host has room for, and the rest would be throttled
and wait for minutes though the function is free again at once.
"""

import asyncio
from collections import deque
from collections.abc import Collection

FIRST_LIMIT = 8
MAX_CONCURRENT = 64
"""Of one function."""
MAX_ALL = 120
"""Of all functions together: when more are wanted, only who has less than its share may have another."""
MAX_WAITING = 48
"""Events that wait here for their turn, of all functions; further ones go back into the queue."""
FEW_WAITING = 2
"""Of one function, however many there are."""
GROW_SECONDS = 1.0
"""Every event that has waited so long lets one more run at once: slow functions are not served one after another."""
SHORT_SECONDS = 0.05
"""Events that take less are through sooner than another environment has started."""
MIN_AWAY = 0.05
MAX_AWAY = 10.0
"""How long an event that goes back into the queue stays there."""


class Slots:
    """The events of one function that run and that wait for their turn."""

    def __init__(self) -> None:
        self.running = 0
        self.limit = FIRST_LIMIT
        self.away = 0
        """How many are back in the queue."""
        self._seconds = 0.1
        """What an invocation takes, lately."""
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def idle(self) -> bool:
        return not self.running and not self._waiting and self.away <= 0

    async def enter(self, ceiling: int, functions: int = 1) -> bool:
        """Waits for a turn, which `leave` ends; False when too many wait already. At most `ceiling` run at once.

        `functions` have events now: they share the places to wait.
        """
        if not self._waiting and self.running < min(self.limit, ceiling):
            self.running += 1
            return True
        if len(self._waiting) >= max(FEW_WAITING, MAX_WAITING // functions):
            return False
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            while self.running >= min(self.limit, ceiling):
                try:
                    async with asyncio.timeout(GROW_SECONDS):
                        await asyncio.shield(turn)
                except TimeoutError:
                    self.limit = min(self.limit + 1, MAX_CONCURRENT)
                else:
                    turn = asyncio.get_running_loop().create_future()
                    self._waiting.appendleft(turn)
            self.running += 1
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)
            self._wake()
        return True

    def leave(self, seconds: float | None) -> None:
        """Ends a turn that took so long; None when the function was throttled."""
        self.running -= 1
        if seconds is None:
            self.limit = max(1, self.running)
        else:
            self._seconds = 0.8 * self._seconds + 0.2 * seconds
            if seconds >= SHORT_SECONDS or self.limit < FIRST_LIMIT:
                self.limit = min(self.limit + 1, MAX_CONCURRENT)
        self._wake()

    def turned_away(self) -> float:
        """One more goes back into the queue; the seconds after which its turn may come."""
        self.away += 1
        return min(max(self.away * self._seconds / max(1, self.limit), MIN_AWAY), MAX_AWAY)

    def _wake(self) -> None:
        if self._waiting and self.running < self.limit:
            self._waiting.popleft().set_result(None)


def ceiling(mine: Slots, all: Collection[Slots]) -> int:
    """How many events of a function may run at once beside those of the others."""
    left = MAX_ALL - sum(slots.running for slots in all)
    return min(MAX_CONCURRENT, max(1, MAX_ALL // len(all), mine.running + left))
