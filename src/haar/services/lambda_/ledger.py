"""What functions have used, by the figures of their REPORT lines: requests, errors and billed time, a month at a time."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from haar.execution.contract import FunctionSpec, InvocationResult
from haar.services.service import Host, keep_writing
from haar.store.contract import Transaction
from haar.store.errors import StoreError

log = logging.getLogger("haar.lambda")

USAGE = "lambda.usage"
FLUSH_SECONDS = 2.0
"""What was used is on disk after so long; a crash loses no more."""
SLICE = 1_000
"""Rows of a month that are read at once."""
DAY_SECONDS = 86_400
Key = tuple[int, str, str, int]


class Used(msgspec.Struct, omit_defaults=True):
    requests: int = 0
    errors: int = 0
    billed_ms: int = 0


_decode = msgspec.json.Decoder(Used).decode


class Ledger:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._open: dict[Key, Used] = {}
        """What is not on disk yet: by day, function, architecture and memory."""

    def note(self, spec: FunctionSpec, result: InvocationResult) -> None:
        key = (int(self._host.clock.now() // DAY_SECONDS), spec.arn, spec.architecture, spec.memory_mb)
        used = self._open.get(key)
        if used is None:
            used = self._open[key] = Used()
        used.requests += 1
        used.billed_ms += result.billed_ms
        if result.error is not None:
            used.errors += 1

    async def flush(self) -> None:
        """Adds to what the store has."""
        if not self._open:
            return
        noted, self._open = self._open, {}

        async def write(tx: Transaction) -> None:
            added: dict[tuple[bytes, bytes], Used] = {}
            for (day, arn, architecture, memory), used in noted.items():
                place = (month_of(day * DAY_SECONDS).encode(), f"{arn}|{architecture}|{memory}".encode())
                if place not in added:
                    kept = await tx.get(USAGE, *place)
                    added[place] = Used() if kept is None else _decode(kept)
                total = added[place]
                total.requests, total.errors = total.requests + used.requests, total.errors + used.errors
                total.billed_ms += used.billed_ms
            for place, total in added.items():
                tx.put(USAGE, *place, msgspec.json.encode(total))

        try:
            await self._host.store.transact(write)
        except StoreError as error:
            log.warning("what functions have used is not written down yet: %s", error)
            for key, used in noted.items():
                later = self._open.setdefault(key, Used())
                later.requests, later.errors = later.requests + used.requests, later.errors + used.errors
                later.billed_ms += used.billed_ms

    async def month(self, month: str) -> list[Mapping[str, object]]:
        """A month's rows (`2026-11`): a row a function, architecture and memory size."""
        await self.flush()
        found: list[Mapping[str, object]] = []
        start = b""
        while rows := await self._host.store.range(USAGE, month.encode(), start, limit=SLICE):
            found += [_shown(sort.decode(), _decode(value)) for sort, value in rows]
            start = rows[-1][0] + b"\x00"
            await asyncio.sleep(0)
        return found


def _shown(place: str, used: Used) -> Mapping[str, object]:
    arn, architecture, memory = place.rsplit("|", 2)
    seconds = used.billed_ms / 1000 * int(memory) / 1024
    return {
        "FunctionArn": arn,
        "Architecture": architecture,
        "MemorySize": int(memory),
        "Requests": used.requests,
        "Errors": used.errors,
        "BilledMilliseconds": used.billed_ms,
        "GBSeconds": round(seconds, 6),
    }


def month_of(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m")


async def run(host: Host) -> None:
    await keep_writing(host.get(Ledger).flush, FLUSH_SECONDS)
