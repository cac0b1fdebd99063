"""The last invocations with their events and results, so that one can be run again (`haar replay`).

Bounded in number, size and age, and off where the setting `record_hours` is 0. Events may hold secrets: they are in the store only, never
in a log, and nobody but the root user sees them who has not been given haar:GetRecording.
"""

import logging
from functools import partial
from typing import Any

import msgspec

from haar.execution.contract import FunctionSpec, InvocationResult
from haar.services.service import Host, keep_writing
from haar.store.contract import Transaction
from haar.store.errors import StoreError

log = logging.getLogger("haar.lambda")

RECORDINGS = "lambda.recordings"
TIMES = "lambda.recordingtimes"
MAX_RECORDINGS = 1000
MAX_BYTES = 262_144
"""Of an event, and of a result; what is larger is not recorded."""
MAX_PENDING = 100
"""Invocations between two writings that are recorded: the first ones."""
FLUSH_SECONDS = 1.0
WRITE_SLICE = 10
PRUNE_SLICE = 50
"""Rows written and taken away in one piece: others' invocations go on in between."""
LISTED = 50


class Recording(msgspec.Struct, omit_defaults=True, kw_only=True):
    id: str
    """The request id."""
    at: float
    """Epoch seconds, at its end."""
    arn: str
    version: str
    code_sha256: str
    event: bytes
    payload: bytes
    error: str = ""
    duration_ms: float = 0.0
    billed_ms: int = 0
    max_memory_mb: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Recording).decode


class Recordings:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._pending: list[Recording] = []
        self.seconds = host.config.record_hours * 3600

    def note(self, spec: FunctionSpec, request_id: str, event: bytes, result: InvocationResult) -> None:
        if not self.seconds or len(self._pending) >= MAX_PENDING or len(event) > MAX_BYTES or len(result.payload) > MAX_BYTES:
            return
        self._pending.append(
            Recording(
                id=request_id,
                at=self._host.clock.now(),
                arn=spec.arn,
                version=spec.version,
                code_sha256=spec.code_sha256,
                event=event,
                payload=result.payload,
                error=result.error or "",
                duration_ms=result.duration_ms,
                billed_ms=result.billed_ms,
                max_memory_mb=result.max_memory_mb,
            )
        )

    async def flush(self) -> None:
        if not self._pending:
            return
        noted, self._pending = self._pending, []

        async def write(tx: Transaction, begin: int) -> None:
            for each in noted[begin : begin + WRITE_SLICE]:
                tx.put(RECORDINGS, each.id.encode(), b"", _encode(each))
                tx.put(TIMES, b"", _place(each.at, each.id), b"")

        try:
            for begin in range(0, len(noted), WRITE_SLICE):
                await self._host.store.transact(partial(write, begin=begin))
            while await self._host.store.transact(self._prune):
                pass
        except StoreError as error:
            log.warning("%d invocations are not recorded: %s", len(noted), error)

    async def _prune(self, tx: Transaction) -> bool:
        """Takes away a slice of what is too old or too much; whether there may be more."""
        rows = await tx.range(TIMES, b"", limit=MAX_RECORDINGS + PRUNE_SLICE)
        old = _place(self._host.clock.now() - self.seconds, "")
        gone = [sort for number, (sort, _) in enumerate(rows) if sort < old or number < len(rows) - MAX_RECORDINGS][:PRUNE_SLICE]
        for sort in gone:
            tx.delete(TIMES, b"", sort)
            tx.delete(RECORDINGS, sort[8:], b"")
        return len(gone) == PRUNE_SLICE

    async def find(self, request_id: str) -> Recording | None:
        await self.flush()
        found = await self._host.store.get(RECORDINGS, request_id.encode(), b"")
        recording = None if found is None else _decode(found)
        return recording if recording is not None and recording.at >= self._host.clock.now() - self.seconds else None

    async def latest(self) -> list[Recording]:
        """The newest first."""
        await self.flush()
        rows = await self._host.store.range(TIMES, b"", reverse=True, limit=LISTED)
        found = [await self.find(sort[8:].decode()) for sort, _ in rows]
        return [each for each in found if each is not None]


def _place(at: float, request_id: str) -> bytes:
    return max(0, int(at * 1_000_000)).to_bytes(8, "big") + request_id.encode()


def shown(recording: Recording) -> dict[str, Any]:
    """Without the event and the result."""
    return {
        "RequestId": recording.id,
        "FunctionArn": recording.arn,
        "Version": recording.version,
        "CodeSha256": recording.code_sha256,
        "Time": recording.at,
        "FunctionError": recording.error or None,
        "DurationMilliseconds": recording.duration_ms,
        "BilledMilliseconds": recording.billed_ms,
        "MaxMemoryUsed": recording.max_memory_mb,
    }


async def run(host: Host) -> None:
    await keep_writing(host.get(Recordings).flush, FLUSH_SECONDS)
