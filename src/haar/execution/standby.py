"""Boxes that wait for a function with their interpreter already started: what a cold start mostly waits for."""

import asyncio

from haar.execution.box import Box, Boxes, Wanted
from haar.execution.contract import FunctionSpec, Unavailable
from haar.execution.package import Tree
from haar.execution.runtimes import Runtime

KEPT = 3
"""How many boxes wait at most: one for each kind that functions were last started of."""
KINDS = ("python", "node")
MEMORY_MB, EPHEMERAL_MB = 128, 512
ENTRIES = 2000
"""A package with more files than this goes into a box of its own: giving each a second name would take longer than a start."""
BEFORE_START = ("LD_", "NODE_", "PYTHON", "MALLOC_", "GLIBC_", "AWS_LAMBDA_EXEC_WRAPPER", "UV_", "SSL_", "OPENSSL_")
"""A function that sets such variables needs its interpreter started with them."""
SMALL = 50
REFILL_SECONDS = 0.2
"""The function that took a box starts first; the next box is made when it runs."""

Key = tuple[str, int]
"""The kind, and for Node.js the memory size: its heap is bounded when it starts."""


def key(runtime: Runtime, memory_mb: int) -> Key:
    return (runtime.kind, memory_mb if runtime.kind == "node" else MEMORY_MB)


class Standby:
    def __init__(self, boxes: Boxes) -> None:
        self._boxes = boxes
        self._ready: dict[Key, Box] = {}
        """The one asked for longest ago first."""
        self._opening: dict[Key, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[object]] = set()
        self._stopped = False

    async def take(self, spec: FunctionSpec, runtime: Runtime, code: Tree, layers: Tree | None) -> Box | None:
        """A waiting box with the function's code in it, or None."""
        if not self._suits(spec, runtime, code, layers):
            return None
        box = self._ready.pop(key(runtime, spec.memory_mb), None)
        if box is None:
            return None
        if box.child.ended.done():
            await self._boxes.end(box)
            return None
        if code.entries > SMALL or (layers is not None and layers.entries > SMALL):
            await asyncio.to_thread(self._boxes.fill, box, code, layers)
        else:
            self._boxes.fill(box, code, layers)
        if box.group is not None:
            box.group.weigh(waiting=False)
            box.group.set_memory(spec.memory_mb, spec.ephemeral_mb)
        return box

    def _suits(self, spec: FunctionSpec, runtime: Runtime, code: Tree, layers: Tree | None) -> bool:
        if spec.ephemeral_mb != EPHEMERAL_MB or code.entries + (layers.entries if layers is not None else 0) > ENTRIES:
            return False
        return not any(name.startswith(BEFORE_START) for name, _ in spec.environment)

    def want(self, runtime: Runtime, memory_mb: int = MEMORY_MB, *, sdk: bool = True) -> None:
        """Sees to it that a box waits for the next function of this kind; with `sdk`, the AWS SDK is imported in it."""
        wanted = key(runtime, memory_mb)
        if self._stopped or runtime.kind not in KINDS or wanted in self._opening or not self._boxes.isolated:
            return
        if (waiting := self._ready.pop(wanted, None)) is not None:
            self._ready[wanted] = waiting
            return
        task = self._opening[wanted] = asyncio.ensure_future(self._open(wanted, runtime, sdk))
        task.add_done_callback(lambda _: self._opening.pop(wanted, None))

    async def _open(self, wanted: Key, runtime: Runtime, sdk: bool) -> None:
        await asyncio.sleep(REFILL_SECONDS)
        if self._stopped:
            return
        try:
            self._ready[wanted] = box = await self._boxes.open(Wanted(runtime, wanted[1], EPHEMERAL_MB, sdk=sdk))
        except Unavailable:
            return  # the next function starts its own, and hears why it cannot
        if box.group is not None:
            box.group.weigh(waiting=True)
        while len(self._ready) > KEPT:
            self._end(self._ready.pop(next(iter(self._ready))))

    def _end(self, box: Box) -> None:
        task: asyncio.Task[object] = asyncio.ensure_future(self._boxes.end(box))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def stop(self) -> None:
        self._stopped = True
        for task in self._opening.values():
            task.cancel()
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        for box in self._ready.values():
            self._end(box)
        self._ready.clear()
        await asyncio.gather(*self._ending, return_exceptions=True)
