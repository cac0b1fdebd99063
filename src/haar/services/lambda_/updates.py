"""Changes of functions that are under way: one at a time each; another that comes meanwhile is refused, as at AWS.

A change is done, on disk and in effect, when it is answered, and the answer says Pending or InProgress, as AWS's does. The function then
counts as changing for the setting `settle_seconds` more, so that what would not wait for a function at AWS is found out here. That is kept
in memory: a platform that was killed starts with functions that have settled.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from haar.services.lambda_.errors import conflict
from haar.services.lambda_.names import FunctionName
from haar.services.service import Host

CANNOT = "The operation cannot be performed at this time."


class Change:
    """One change: of a function that is being created, or of one that is there."""

    def __init__(self, *, creates: bool) -> None:
        self.creates = creates
        self.done = False
        self.settled = asyncio.Event()


class Updates:
    """The functions that this process is changing."""

    def __init__(self, host: Host) -> None:
        self._seconds, self._ids = host.config.settle_seconds, host.ids
        self._changes: dict[str, Change] = {}

    def check(self, name: FunctionName) -> None:
        """Raises ResourceConflictException while the function is changing."""
        change = self._changes.get(name.arn)
        if change is not None and change.creates:
            raise conflict(f"{CANNOT} The function is currently in the following state: Pending")
        if change is not None:
            raise conflict(f"{CANNOT} An update is in progress for resource: {name.arn}")

    @contextmanager
    def begin(self, name: FunctionName, *, settles: bool = True) -> Iterator[None]:
        """Holds the function, and on until it has settled. Raises ResourceConflictException while another change does."""
        self.check(name)
        change = self._changes[name.arn] = Change(creates=False)
        try:
            yield
        except BaseException:
            self._over(name.arn, change)
            raise
        self._settle(name.arn, change, self._seconds if settles else 0.0)

    @contextmanager
    def creating(self, name: FunctionName) -> Iterator[None]:
        """Holds a function that has just been created, and on until it has settled."""
        change = self._changes[name.arn] = Change(creates=True)
        try:
            yield
        finally:
            self._settle(name.arn, change, self._seconds)

    def answered(self, shown: dict[str, Any]) -> dict[str, Any]:
        """The answer to a change, with a RevisionId of the moment: the function has another once it has settled, as GetFunction tells."""
        return shown | {"RevisionId": self._ids.uuid()} if self._seconds > 0 else shown

    def under_way(self, name: FunctionName) -> Change | None:
        return self._changes.get(name.arn)

    async def settled(self, name: FunctionName) -> None:
        """Waits until a change that is done has settled: whoever asks for the function's state learns it when it is final."""
        change = self._changes.get(name.arn)
        if change is not None and change.done:
            await change.settled.wait()

    def forget(self, name: FunctionName) -> None:
        """The function is deleted."""
        if (change := self._changes.get(name.arn)) is not None:
            self._over(name.arn, change)

    def _settle(self, arn: str, change: Change, seconds: float) -> None:
        change.done = True
        if seconds > 0:
            asyncio.get_running_loop().call_later(seconds, self._over, arn, change)
        else:
            self._over(arn, change)

    def _over(self, arn: str, change: Change) -> None:
        change.settled.set()
        if self._changes.get(arn) is change:
            del self._changes[arn]
