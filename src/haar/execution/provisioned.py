"""Environments that are kept ready for functions with provisioned concurrency."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from haar.execution.contract import FunctionSpec, Throttled, Unavailable
from haar.wire.errors import ServiceError

LOOK_SECONDS = 1.0
AGAIN_SECONDS = 10.0
"""The wait after one that could not be started."""
STARTING = 4
"""How many are started at once: functions that are called come first."""

log = logging.getLogger("haar.execution")


class Provisioned:
    """`count` says how many environments of a spec are there; `start` starts one, and answers why it could not."""

    def __init__(self, count: Callable[[FunctionSpec], int], start: Callable[[FunctionSpec], Awaitable[str | None]]) -> None:
        self._count, self._start = count, start
        self._wanted: dict[FunctionSpec, int] = {}
        self._failures: dict[FunctionSpec, str] = {}
        self._again: dict[FunctionSpec, float] = {}
        """When one that could not be started is tried again."""
        self._wake = asyncio.Event()

    def want(self, wanted: Mapping[FunctionSpec, int]) -> None:
        self._wanted = dict(wanted)
        self._failures = {spec: failure for spec, failure in self._failures.items() if spec in self._wanted}
        self._again.clear()
        self._wake.set()

    def wanted(self, spec: FunctionSpec) -> int:
        return self._wanted.get(spec, 0)

    def failure(self, spec: FunctionSpec) -> str:
        """Why the last environment could not be started; empty when it could."""
        return self._failures.get(spec, "")

    def moved(self) -> None:
        """An environment has gone."""
        if self._wanted:
            self._wake.set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            for spec in list(self._wanted):
                if self._again.get(spec, 0.0) > loop.time():
                    continue
                while (missing := self.wanted(spec) - self._count(spec)) > 0:
                    outcomes = await asyncio.gather(*(self._one(spec) for _ in range(min(missing, STARTING))))
                    if not all(outcomes):
                        self._again[spec] = loop.time() + AGAIN_SECONDS
                        break
            try:
                async with asyncio.timeout(LOOK_SECONDS if self._wanted else None):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _one(self, spec: FunctionSpec) -> bool:
        try:
            failure = await self._start(spec)
        except (Throttled, Unavailable, ServiceError, OSError) as error:
            failure = str(error)
        if failure is None:
            self._failures.pop(spec, None)
            return True
        if self._failures.get(spec) != failure:
            log.warning("%s:%s: provisioned concurrency: %s", spec.arn, spec.version, failure)
        self._failures[spec] = failure
        return False
