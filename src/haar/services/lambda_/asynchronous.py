"""Asynchronous invocations: durable events, tried again, and sent on when all is done.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

import logging
from datetime import UTC, datetime

import msgspec
import orjson

from haar.execution.contract import InvocationResult
from haar.services.iam.public import decide, role_principal
from haar.services.lambda_.admission import Slots, ceiling
from haar.services.lambda_.destinations import KINDS, note_lost, service_of
from haar.services.lambda_.directory import Directory, Target
from haar.services.lambda_.lineage import carry
from haar.services.lambda_.names import FunctionName, parse_name
from haar.services.lambda_.running import fresh_trace
from haar.services.lambda_.running import run as run_target
from haar.services.service import Demand, Host
from haar.store.contract import Transaction
from haar.store.queue import Job, Queue
from haar.wire.errors import ServiceError

log = logging.getLogger("haar.lambda")

QUEUE = "lambda.events"
WORKERS = 200
"""Events that are handled at once; each waits for its function in one."""
LEASE_SECONDS = 15.0
"""After a crash, what was being handled is due again when this is over."""
DEFAULT_RETRIES = 2
DEFAULT_AGE = 21_600
FIRST_BACKOFF = 1.0
MAX_BACKOFF = 300.0
"""The wait after an event that was throttled or could not be run: doubled each time up to this."""


class Event(msgspec.Struct, omit_defaults=True):
    """What is known of an event besides its payload."""

    region: str
    account: str
    name: str
    qualifier: str
    accepted: float
    attempts: int = 0
    """How often the function was run for it and failed."""
    delays: int = 0
    """How often it could not be run."""
    away: bool = False
    """Whether it went back into the queue because enough others of its function were waiting."""
    trace_id: str | None = None


_decode = msgspec.json.Decoder(Event).decode


def pack(event: Event, payload: bytes) -> bytes:
    return msgspec.json.encode(event) + b"\n" + payload


def unpack(body: bytes) -> tuple[Event, bytes]:
    head, _, payload = body.partition(b"\n")
    return _decode(head), payload


class Events:
    """The queue of asynchronous invocations; a job's id is the request id."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.queue = Queue(host.store, QUEUE, host.clock)
        self._slots: dict[str, Slots] = {}

    async def accept(self, target: Target, payload: bytes, request_id: str, trace_id: str | None = None) -> None:
        """Keeps an event; it is durable when this answers. A client context is for synchronous invocations only."""
        now = self._host.clock.now()
        event = Event(*target.name, accepted=now, trace_id=trace_id)

        async def put(tx: Transaction) -> None:
            self.queue.put(tx, request_id, pack(event, payload or b"{}"), now)

        await self._host.store.transact(put)

    async def handle(self, job: Job) -> None:
        """One try of one event: it ends, or is given back for later."""
        event, payload = unpack(job.body)
        name = FunctionName(event.region, event.account, event.name, event.qualifier)
        now = self._host.clock.now()
        try:
            target = await self._host.get(Directory).find(name)
        except ServiceError:
            log.info("event %s: %s is gone", job.id, name.qualified)
            await self.queue.finish(job)
            return
        config = target.events
        oldest = event.accepted + (DEFAULT_AGE if config is None or config.age is None else config.age)
        if now > oldest:
            await self._end(job, target, event, payload, "EventAgeExceeded")
            return
        if target.reserved == 0:
            await self._end(job, target, event, payload, "ZeroReservedConcurrency")
            return
        slots = self._slots.setdefault(name.arn, Slots())
        try:
            await self._take_turn(slots, job, target, event, payload, oldest)
        finally:
            if slots.idle and self._slots.get(name.arn) is slots:
                del self._slots[name.arn]

    async def _take_turn(self, slots: Slots, job: Job, target: Target, event: Event, payload: bytes, oldest: float) -> None:
        """Runs the function when it is the event's turn."""
        clock = self._host.clock
        if event.away:
            event.away = False
            slots.away -= 1
        while True:
            most = ceiling(slots, self._slots.values())
            if not await slots.enter(most if target.reserved is None else min(most, target.reserved), len(self._slots)):
                event.away = True
                await self.queue.again(job, clock.now() + slots.turned_away(), pack(event, payload))
                return
            took = None
            try:
                target = await self._host.get(Directory).find(target.name)  # it may have changed while the event waited
                spec, result = await run_target(self._host, target, payload, job.id, trace_id=event.trace_id)
                took = result.duration_ms / 1000  # an initialisation says nothing of those to come
            except ServiceError as error:
                if error.code == "ResourceNotFoundException":
                    await self.queue.finish(job)
                    return
                if error.code == "RecursiveInvocationException":
                    log.warning("event %s: %s is in a loop; the event is dropped", job.id, target.arn)
                    await self._end(job, target, event, payload, "RetriesExhausted")
                    return
                if slots.running > 1 and clock.now() <= oldest:
                    continue  # others of this function run: its turn comes when one of them is done
                await self._delay(job, target, event, payload, oldest, error)
                return
            finally:
                slots.leave(took)
            await self._judge(job, target, event, payload, oldest, spec.version, result)
            return

    async def _judge(
        self, job: Job, target: Target, event: Event, payload: bytes, oldest: float, version: str, result: InvocationResult
    ) -> None:
        """What becomes of an event that the function was run for."""
        config = target.events
        event.attempts += 1
        if result.error is None:
            await self._end(job, target, event, payload, "Success", version, result)
            return
        retries = DEFAULT_RETRIES if config is None or config.retries is None else config.retries
        due = self._host.clock.now() + self._host.config.retry_seconds * event.attempts
        if event.attempts > retries:
            await self._end(job, target, event, payload, "RetriesExhausted", version, result)
        elif due > oldest:
            await self._end(job, target, event, payload, "EventAgeExceeded", version, result)
        else:
            await self.queue.again(job, due, pack(event, payload))

    async def _delay(self, job: Job, target: Target, event: Event, payload: bytes, oldest: float, error: ServiceError) -> None:
        """Gives back an event that could not be run: throttled, or no environment to be had."""
        wait = min(FIRST_BACKOFF * 2**event.delays, MAX_BACKOFF)
        due = self._host.clock.now() + wait
        event.delays += 1
        log.info("event %s: %s: %s; again in %.0f s", job.id, target.arn, error, wait)
        if due > oldest:
            await self._end(job, target, event, payload, "EventAgeExceeded")
        else:
            await self.queue.again(job, due, pack(event, payload))

    async def _end(
        self,
        job: Job,
        target: Target,
        event: Event,
        payload: bytes,
        condition: str,
        version: str = "",
        result: InvocationResult | None = None,
    ) -> None:
        """Finishes an event and, in the same transaction, sends its outcome to the destination."""
        config = target.events
        arn = "" if config is None else config.on_success if condition == "Success" else config.on_failure
        if target.dead_letter and condition != "Success":
            note_lost(self._host, target, target.dead_letter, "DeadLetterErrors")
        if service_of(arn) in KINDS:
            note_lost(self._host, target, arn, "DestinationDeliveryFailures")
            await self.queue.finish(job)
            return
        if not arn or not await self._may_send(target, arn):
            await self.queue.finish(job)
            return
        now, body = self._host.clock.now(), self._record(job, target, event, payload, condition, version, result)
        to = parse_name(arn, event.region, event.account)
        request_id = self._host.ids.uuid()
        trace_id, _ = carry(event.trace_id, target.name.arn, fresh_trace(self._host))

        async def send(tx: Transaction) -> None:
            self.queue.put(tx, request_id, pack(Event(*to, accepted=now, trace_id=trace_id), body), now)

        await self.queue.finish(job, send)

    async def _may_send(self, target: Target, arn: str) -> bool:
        """Whether the function's role may invoke the destination."""
        spec = target.specs[-1][1]
        role = await role_principal(self._host, spec.role_arn, spec.name)
        decision = await decide(self._host, role, Demand("lambda:InvokeFunction", arn), {}) if role else None
        if decision is None or not decision.allowed:
            log.warning("%s: the role %s may not invoke the destination %s", target.arn, spec.role_arn, arn)
            return False
        return True

    def _record(
        self, job: Job, target: Target, event: Event, payload: bytes, condition: str, version: str, result: InvocationResult | None
    ) -> bytes:
        """The invocation record that a destination gets."""
        moment = datetime.fromtimestamp(self._host.clock.now(), UTC)
        record: dict[str, object] = {
            "version": "1.0",
            "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z",
            "requestContext": {
                "requestId": job.id,
                "functionArn": target.arn if target.name.qualifier else f"{target.arn}:$LATEST",
                "condition": condition,
                "approximateInvokeCount": event.attempts,
            },
            "requestPayload": orjson.Fragment(payload),
        }
        if result is not None:
            context: dict[str, object] = {"statusCode": 200, "executedVersion": version}
            if result.error:
                context["functionError"] = result.error
            record |= {"responseContext": context, "responsePayload": orjson.Fragment(result.payload or b"null")}
        return orjson.dumps(record)


async def run(host: Host) -> None:
    """Handles events for as long as the platform stands."""
    events = host.get(Events)
    await events.queue.run(events.handle, workers=WORKERS, lease=LEASE_SECONDS)
