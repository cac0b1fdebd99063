"""Boxes that wait for a function with their interpreter already started: what a cold start mostly waits for."""

import asyncio
from collections.abc import Mapping

from haar.execution.box import Box, Boxes
from haar.execution.contract import FunctionSpec, Unavailable
from haar.execution.package import Tree
from haar.execution.runtimes import Runtime

KEPT: Mapping[str, int] = {"python": 1, "node": 1}
"""How many boxes wait, by kind, once a function of the kind has run."""
MEMORY_MB, EPHEMERAL_MB = 128, 512
ENTRIES = 2000
"""A package with more files than this goes into a box of its own: giving each a second name would take longer than a start."""
BEFORE_START = ("LD_", "NODE_", "PYTHON", "MALLOC_", "GLIBC_", "AWS_LAMBDA_EXEC_WRAPPER", "UV_", "SSL_", "OPENSSL_")
"""A function that sets such variables needs its interpreter started with them."""


class Standby:
    def __init__(self, boxes: Boxes) -> None:
        self._boxes = boxes
        self._ready: dict[str, list[Box]] = {kind: [] for kind in KEPT}
        self._opening: dict[str, asyncio.Task[None]] = {}
        self._stopped = False

    async def take(self, spec: FunctionSpec, runtime: Runtime, code: Tree, layers: Tree | None) -> Box | None:
        """A waiting box with the function's code in it, or None."""
        if not self.suits(spec, runtime, code, layers):
            return None
        ready = self._ready[runtime.kind]
        while ready:
            box = ready.pop()
            if box.child.ended.done():
                await self._boxes.end(box)
                continue
            if code.entries > 50 or (layers is not None and layers.entries > 50):
                await asyncio.to_thread(self._boxes.fill, box, code, layers)
            else:
                self._boxes.fill(box, code, layers)
            if box.group is not None:
                box.group.set_memory(spec.memory_mb, spec.ephemeral_mb)
            return box
        return None

    def suits(self, spec: FunctionSpec, runtime: Runtime, code: Tree, layers: Tree | None) -> bool:
        if not self._boxes.isolated or runtime.kind not in KEPT or spec.ephemeral_mb != EPHEMERAL_MB:
            return False
        if code.entries + (layers.entries if layers is not None else 0) > ENTRIES:
            return False
        return not any(name.startswith(BEFORE_START) for name, _ in spec.environment)

    def want(self, runtime: Runtime) -> None:
        """Sees to it that a box waits for the next function of this kind."""
        kind = runtime.kind
        if self._stopped or kind not in KEPT or kind in self._opening or not self._boxes.isolated or len(self._ready[kind]) >= KEPT[kind]:
            return
        task = self._opening[kind] = asyncio.ensure_future(self._open(runtime))
        task.add_done_callback(lambda _: self._opening.pop(kind, None))

    async def _open(self, runtime: Runtime) -> None:
        while len(self._ready[runtime.kind]) < KEPT[runtime.kind] and not self._stopped:
            try:
                box = await self._boxes.open(runtime, MEMORY_MB, EPHEMERAL_MB, None, None)
            except Unavailable:
                return  # the next function starts its own, and hears why it cannot
            self._ready[runtime.kind].append(box)

    async def stop(self) -> None:
        self._stopped = True
        await asyncio.gather(*self._opening.values(), return_exceptions=True)  # what they open is ended below
        await asyncio.gather(*(self._boxes.end(box) for boxes in self._ready.values() for box in boxes), return_exceptions=True)
        for boxes in self._ready.values():
            boxes.clear()
