"""One lane of a mapping: reads its share of a shard, hands it to the function batch by batch, and remembers how far it got.

A shard has as many lanes as the mapping's parallelization factor; each has the records of some keys, so that those of one item stay
in order. What a lane has done is written after the function has done it: a crash in between means that it does it again.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from zlib import crc32

import orjson

from haar.execution.contract import InvocationResult
from haar.services.iam.public import decide, decide_cached, role_principal
from haar.services.lambda_.directory import Directory, Target
from haar.services.lambda_.filters import Predicate, compile_filters
from haar.services.lambda_.mappingrecords import LANES, STATES, Checkpoint, Mapping, decode_checkpoint, encode, find_mapping, lane_key
from haar.services.lambda_.progress import Step, again, failed, first_failure, next_state, succeeded
from haar.services.lambda_.running import run
from haar.services.lambda_.sources import Record, Source, Trimmed
from haar.services.service import Demand, Host
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

READ_RECORDS = 200
"""Most records in one reading, and fewest: no reading keeps others waiting for long."""
FEW_RECORDS = 25
READINGS = 50
"""How often a batch is added to before what was passed over is remembered."""
BATCH_BYTES = 6_000_000
"""Of a batch's records: with the rest of the event it is within what an invocation takes."""
POLL_SECONDS = 5.0
"""How often a lane looks for records though nobody woke it."""
LEASE_SECONDS = 15.0
WINDOW_GRACE = 1.0
"""Seconds that a tumbling window stays open for records written at its end."""
FIRST_BACKOFF, MAX_BACKOFF = 0.25, 30.0
PROBLEM_SECONDS = 2.0
"""The wait while a role may not read or a function is not there."""
OK = "OK"

log = logging.getLogger("haar.lambda")


class Lost(Exception):
    """The lane is another's now, or its mapping was changed."""


class Results:
    """What came of each mapping's last batch, written when it changes."""

    def __init__(self, host: Host) -> None:
        self._store = host.store
        self._known: dict[str, str] = {}

    async def put(self, region: str, uuid: str, text: str) -> None:
        if self._known.get(uuid) == text:
            return

        async def write(tx: Transaction) -> None:
            if await find_mapping(tx, region, uuid) is not None:
                tx.put(STATES, uuid.encode(), b"", text.encode())

        await self._store.transact(write)
        self._known[uuid] = text

    def forget(self, uuid: str) -> None:
        self._known.pop(uuid, None)


@dataclass(slots=True)
class Batch:
    records: list[Record]
    behind: int
    """Where reading goes on when the batch is done."""
    window: int = 0
    """Where its tumbling window begins, in epoch seconds."""
    final: bool = False
    """Whether its window ends with it: it has no records."""


async def may_read(host: Host, target: Target, source: Source) -> bool:
    """Whether the function's role may read the source."""
    spec = target.specs[-1][1]
    role = await role_principal(host, spec.role_arn, spec.name)
    if role is None:
        return False
    for action in source.actions:
        known = None if source.policy else decide_cached(host, role, action, source.arn)
        if known is None:
            known = await decide(host, role, Demand(action, source.arn, resource_policy=source.policy), {})
        if not known.allowed:
            return False
    return True


class Lane:
    def __init__(self, host: Host, region: str, mapping: Mapping, source: Source, shard: int, lane: int) -> None:
        self._host, self._region, self._mapping, self._source = host, region, mapping, source
        self._shard, self._lane = shard, lane
        self._matches: Predicate | None = compile_filters(mapping.filters or ())
        self._key = lane_key(shard, lane)
        self._owner = host.ids.text(16)
        self._shared = bool(host.config.store)
        """Whether other processes may have the lane; without, a lease of one that is gone need not run out."""
        self._checkpoint = Checkpoint(position=None)
        self._wake = asyncio.Event()
        self._failures = 0

    async def run(self) -> None:
        """Works until it is cancelled. Raises Lost."""
        await self._take()
        unwatch = self._source.watch(self._wake.set)
        try:
            async with asyncio.TaskGroup() as group:
                if self._shared:
                    group.create_task(self._renew())
                group.create_task(self._work())
        except ExceptionGroup as group:
            raise group.exceptions[0] from None  # the one that failed first has ended the other
        finally:
            unwatch()

    async def _work(self) -> None:
        results = self._host.get(Results)
        while True:
            self._wake.clear()
            target = await self._target()
            if target is None:
                await asyncio.sleep(PROBLEM_SECONDS)
                continue
            batch = await self._gather()
            if batch is None:
                await self._sleep_until_woken(min(POLL_SECONDS, self._window_left()))
            elif not batch.records and not batch.final:
                await self._write(succeeded(self._checkpoint, batch.behind))
            else:
                await results.put(self._region, self._mapping.uuid, await self._deliver(target, batch))

    async def _target(self) -> Target | None:
        """The function, when it is there and its role may read the source."""
        results, uuid = self._host.get(Results), self._mapping.uuid
        try:
            target = await self._host.get(Directory).find(self._mapping.name(self._region, self._host.account))
        except ServiceError:
            await results.put(self._region, uuid, "PROBLEM: Function not found")
            return None
        if not await may_read(self._host, target, self._source):
            await results.put(self._region, uuid, "PROBLEM: The function's role may not read the event source")
            return None
        return target

    async def _sleep_until_woken(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    # Reading.

    async def _gather(self) -> Batch | None:
        """The next batch; None when there is nothing to read. Its records may all have been passed over."""
        mapping, loop = self._mapping, asyncio.get_running_loop()
        end = self._checkpoint.ends[0] if self._checkpoint.ends else None
        first = self._checkpoint.position
        batch: Batch | None = None
        size, deadline, readings = 0, None, 0
        while True:
            self._wake.clear()
            missing = mapping.batch - (len(batch.records) if batch else 0)
            limit = min(READ_RECORDS, max(FEW_RECORDS, missing * mapping.factor))
            try:
                found = await self._source.read(self._shard, first if batch is None else batch.behind, limit)
            except Trimmed:
                if batch is not None:
                    return batch
                log.warning("event source mapping %s: records were too old before they were handled", mapping.uuid)
                self._checkpoint.position, self._checkpoint.ends = None, []
                first = end = None
                continue
            if batch is None:
                if not found.records and (first is None or found.position <= first):
                    over = self._checkpoint.window and self._window_left() <= 0
                    return Batch([], found.position, self._checkpoint.window, final=True) if over else None
                batch = Batch([], found.position)
            for record in found.records:
                if end is not None and record.number >= end:
                    batch.behind = end
                    return batch
                if self._is_mine(record):
                    if mapping.tumbling and self._cut(batch, record):
                        return batch
                    size += len(record.data)
                    if batch.records and size > BATCH_BYTES:
                        batch.behind = record.number
                        return batch
                    batch.records.append(record)
                    deadline = deadline or loop.time() + mapping.window
                batch.behind = record.number + 1
                if len(batch.records) >= mapping.batch and end is None:
                    return batch
            batch.behind = max(batch.behind, found.position)
            readings += 1
            if found.records and readings < READINGS:
                await asyncio.sleep(0)
                continue
            if end is not None and not found.records:
                batch.behind = max(batch.behind, end)
            if end is not None or found.records or not batch.records or not mapping.window or deadline is None or loop.time() >= deadline:
                return batch
            await self._sleep_until_woken(max(0.0, deadline - loop.time()))

    def _cut(self, batch: Batch, record: Record) -> bool:
        """Whether the record is of another tumbling window than the batch, which ends before it."""
        window = max(self._checkpoint.window, int(record.created) // self._mapping.tumbling * self._mapping.tumbling)
        if not batch.records and window > self._checkpoint.window > 0:
            batch.behind, batch.window, batch.final = record.number, self._checkpoint.window, True
            return True
        if batch.records and window > batch.window:
            batch.behind = record.number
            return True
        batch.window = window
        return False

    def _window_left(self) -> float:
        """Seconds until the open tumbling window is over."""
        window, size = self._checkpoint.window, self._mapping.tumbling
        return window + size + WINDOW_GRACE - self._host.clock.now() if window and size else POLL_SECONDS

    def _is_mine(self, record: Record) -> bool:
        mapping = self._mapping
        if mapping.factor > 1 and crc32(record.key) % mapping.factor != self._lane:
            return False
        if mapping.age >= 0 and record.created < self._host.clock.now() - mapping.age:
            return False
        return self._matches is None or self._matches(orjson.loads(record.data))

    # Handing over.

    async def _deliver(self, target: Target, batch: Batch) -> str:
        """Runs the function on the batch, and remembers what came of it; LastProcessingResult."""
        mapping, records = self._mapping, batch.records
        payload = b'{"Records":[' + b",".join(record.data for record in records) + b"]" + self._about_window(batch) + b"}"
        try:
            _, result = await run(self._host, target, payload, self._host.ids.uuid())
        except ServiceError as error:
            log.info("event source mapping %s: %s", mapping.uuid, error)
            await self._write(again(self._checkpoint, records[0].number if records else batch.behind, batch.behind))
            await self._back_off()
            return "PROBLEM: Function call failed"
        at = self._failed_at(result, records)
        state = next_state(result.payload) if batch.window and at is None else b""
        if at is None and state is not None:
            self._failures = 0
            kept = ("" if batch.final else state.decode()) if batch.window else ""
            await self._write(succeeded(self._checkpoint, batch.behind), 0 if batch.final else batch.window, kept)
            return OK
        at = at or 0
        if batch.final:
            return await self._final_failed(batch)
        numbers = [record.number for record in records]
        step = failed(self._checkpoint, numbers, batch.behind, at, mapping.retries, bisect=mapping.bisect)
        await self._write(step)
        if step.given_up:
            lost = f", and {mapping.on_failure} is not told: haar has no such service" if mapping.on_failure else ""
            log.warning("event source mapping %s: %d records are given up%s", mapping.uuid, len(step.given_up), lost)
            self._failures = 0
        elif at > 0:
            self._failures = 0
        else:
            await self._back_off()
        return "PROBLEM: Function call failed"

    async def _final_failed(self, batch: Batch) -> str:
        """A window's last invocation failed: it is made again as often as a batch would be, and then the window is given up."""
        attempts = self._checkpoint.attempts + 1
        if 0 <= self._mapping.retries < attempts:
            log.warning("event source mapping %s: a window is given up", self._mapping.uuid)
            await self._write(succeeded(self._checkpoint, batch.behind), 0, "")
        else:
            await self._write(Step(batch.behind, self._checkpoint.ends, attempts))
            await self._back_off()
        return "PROBLEM: Function call failed"

    def _about_window(self, batch: Batch) -> bytes:
        """What an event says of its tumbling window, to be added to it."""
        if not batch.window:
            return b""
        moments = (batch.window, batch.window + self._mapping.tumbling)
        start, end = (datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for moment in moments)
        said = orjson.dumps(
            {
                "window": {"start": start, "end": end},
                "state": orjson.Fragment(self._checkpoint.state or "{}"),
                "shardId": self._source.shard_id(self._shard),
                "eventSourceARN": self._source.arn,
                "isFinalInvokeForWindow": batch.final,
                "isWindowTerminatedEarly": False,
            }
        )
        return b"," + said[1:-1]

    def _failed_at(self, result: InvocationResult, records: list[Record]) -> int | None:
        if result.error is not None:
            return 0
        return first_failure(result.payload, [record.id for record in records]) if self._mapping.partial else None

    async def _back_off(self) -> None:
        wait = min(FIRST_BACKOFF * 2**self._failures, MAX_BACKOFF)
        self._failures = min(self._failures + 1, 16)
        await asyncio.sleep(wait)

    # Remembering.

    async def _take(self) -> None:
        """Makes the lane this worker's, when its former one has given it up."""

        async def take(tx: Transaction) -> Checkpoint | None:
            now, found = self._host.clock.now(), await self._own(tx)
            if self._shared and found.owner not in ("", self._owner) and found.until > now:
                return None
            found.owner, found.until = self._owner, now + LEASE_SECONDS
            self._put(tx, found)
            return found

        while True:
            taken = await self._host.store.transact(take)
            if taken is not None:
                self._checkpoint = taken
                return
            await asyncio.sleep(LEASE_SECONDS / 15)

    async def _write(self, step: Step, window: int | None = None, state: str = "") -> None:
        """Remembers a step, and the window and its state when they are given. Raises Lost when the lane is not this worker's any more."""
        position, ends, attempts, _ = step

        async def write(tx: Transaction) -> Checkpoint:
            found = await self._own(tx, held=True)
            found.position, found.ends, found.attempts = position, ends, attempts
            if window is not None:
                found.window, found.state = window, state
            found.until = self._host.clock.now() + LEASE_SECONDS
            self._put(tx, found)
            return found

        self._checkpoint = await self._host.store.transact(write)

    async def _renew(self) -> None:
        async def renew(tx: Transaction) -> None:
            found = await self._own(tx, held=True)
            found.until = self._host.clock.now() + LEASE_SECONDS
            self._put(tx, found)

        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            await self._host.store.transact(renew)

    async def _own(self, tx: Transaction, *, held: bool = False) -> Checkpoint:
        row = await tx.get(LANES, self._mapping.uuid.encode(), self._key)
        if row is None:
            raise Lost(f"event source mapping {self._mapping.uuid} was changed")
        found = decode_checkpoint(row)
        if held and found.owner != self._owner:
            raise Lost(f"event source mapping {self._mapping.uuid}: lane {self._lane} is another's now")
        return found

    def _put(self, tx: Transaction, checkpoint: Checkpoint) -> None:
        tx.put(LANES, self._mapping.uuid.encode(), self._key, encode(checkpoint))
