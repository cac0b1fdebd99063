"""Who comes next when functions want more than there is: turns at starting environments, and memory. Pure but for its futures."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

ROOM_SECONDS = 5.0
"""How long a function that has less than its share waits for memory before it is throttled."""
WARM_SECONDS = 10.0
"""A function that has its share takes no environment of others that was used so lately."""
MAX_WAITING = 1000
"""Environments that wait for memory, of all functions together."""
SPARE = 10
"""A function that has more than half of the memory leaves the last part of so many to others: those that run long give nothing back."""


class Turns:
    """A lock that goes round: to the function that has waited longest since its last turn."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._taken = False

    @asynccontextmanager
    async def of(self, function: str) -> AsyncIterator[None]:
        if self._taken:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(function, deque()).append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():
                    self._pass_on()
                raise
        self._taken = True
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            function, turns = next(iter(self._waiting.items()))
            turn = turns.popleft()
            if turns:
                self._waiting.move_to_end(function)
            else:
                del self._waiting[function]
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False


class Memory:
    """The memory that functions may have together, in MB."""

    def __init__(self, budget_mb: int) -> None:
        self.budget_mb = budget_mb
        self.used_mb = 0
        self._held: Counter[str] = Counter()
        """What each function has, by ARN."""
        self._waiting: OrderedDict[str, deque[tuple[int, asyncio.Future[None]]]] = OrderedDict()

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for some."""
        return bool(self._waiting)

    def _has_most(self, function: str) -> bool:
        return self._held[function] * 2 > self.budget_mb

    def fits(self, function: str, mb: int) -> bool:
        spare = self.budget_mb // SPARE if self._has_most(function) else 0
        return self.used_mb + mb <= self.budget_mb - spare

    def take(self, function: str, mb: int) -> None:
        self.used_mb += mb
        self._held[function] += mb

    def give(self, function: str, mb: int) -> None:
        self.used_mb -= mb
        self._held[function] -= mb
        if not self._held[function]:
            del self._held[function]
        self._hand_out()

    def is_over(self, function: str, mb: int) -> bool:
        """Whether a function with environments of this size has more than its share, and more than one of them."""
        return self._held[function] > max(self._share(function), mb)

    def has_share(self, function: str, mb: int) -> bool:
        """Whether another environment of this size, unless it is the first, would be more than the function's share."""
        return self._held[function] + mb > max(self._share(function), mb)

    async def wait(self, function: str, mb: int) -> bool:
        """Takes it as soon as there is some; False, and at once, for a function that has its share already."""
        if self.has_share(function, mb) or self._has_most(function) or sum(map(len, self._waiting.values())) >= MAX_WAITING:
            return False
        room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(function, deque()).append((mb, room))
        try:
            async with asyncio.timeout(ROOM_SECONDS):
                await room
        except (TimeoutError, asyncio.CancelledError) as error:
            if room.done() and not room.cancelled():
                if isinstance(error, TimeoutError):
                    return True
                self.give(function, mb)
            self._withdraw(function, room)
            if isinstance(error, asyncio.CancelledError):
                raise
            return False
        return True

    def _share(self, function: str) -> int:
        return self.budget_mb // len({function, *self._held, *self._waiting})

    def _withdraw(self, function: str, room: "asyncio.Future[None]") -> None:
        if function in self._waiting:
            left = deque(entry for entry in self._waiting[function] if entry[1] is not room)
            if left:
                self._waiting[function] = left  # its place in the round is kept
            else:
                del self._waiting[function]

    def _hand_out(self) -> None:
        """To those who wait, a function at a time, while there is some."""
        functions = deque(self._waiting)
        while functions:
            function = functions.popleft()
            mb, room = self._waiting[function][0]
            if not room.done():
                if not self.fits(function, mb):
                    continue
                self.take(function, mb)
                room.set_result(None)
            self._waiting[function].popleft()
            if self._waiting[function]:
                self._waiting.move_to_end(function)
                functions.append(function)
            else:
                del self._waiting[function]
