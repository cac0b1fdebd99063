"""Running a target: the one way from every kind of invocation to the executor."""

import base64
import random

from haar.execution.contract import FunctionSpec, InvocationResult, NotRestored, Sink, Throttled, Unavailable
from haar.services.lambda_.development import Development
from haar.services.lambda_.directory import Target
from haar.services.lambda_.errors import conflict, invalid, recursive, snap_start_failed, snap_start_timed_out, throttled, unavailable
from haar.services.lambda_.ledger import Ledger
from haar.services.lambda_.lineage import MAX_LOOPS, carry, complete, is_whole
from haar.services.lambda_.metrics import note_run, note_throttle
from haar.services.lambda_.recordings import Recordings
from haar.services.service import Host

RESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded"
MAX_CLIENT_CONTEXT = 3583
TRACE = "X-Amzn-Trace-Id"
"""Told with an answer, though no member says so."""


async def run(
    host: Host, target: Target, payload: bytes, request_id: str, client_context: str | None = None, trace_id: str | None = None
) -> tuple[FunctionSpec, InvocationResult]:
    """Runs one invocation. Raises TooManyRequestsException, ServiceException."""
    spec = choose(target)
    return spec, await execute(host, target, spec, payload, request_id, client_context=client_context, trace_id=trace_id)


def choose(target: Target) -> FunctionSpec:
    """The version for one invocation."""
    return target.specs[0][1] if len(target.specs) == 1 else target.choose(random.random())  # noqa: S311 - a share, not a secret


async def execute(
    host: Host,
    target: Target,
    spec: FunctionSpec,
    payload: bytes,
    request_id: str,
    *,
    client_context: str | None = None,
    trace_id: str | None = None,
    sink: Sink | None = None,
) -> InvocationResult:
    """Runs the chosen version once; what it streams goes to the sink. Raises as `run`, and RecursiveInvocationException."""
    if target.state:
        raise conflict(f"The operation cannot be performed at this time. The function is currently in the following state: {target.state}")
    if target.reserved == 0:
        note_throttle(host, target.name, spec)
        raise throttled(RESERVED)
    if host.executor is None:
        raise unavailable("Functions cannot run: the platform has not started its executor.")
    trace_id, before = carry(trace_id, target.name.arn, "" if is_whole(trace_id) else fresh_trace(host))
    if before >= MAX_LOOPS and target.loops != "Allow":
        raise recursive()
    if (development := host.get(Development)).mounted:
        spec = await development.current(spec)
    more = {} if sink is None else {"sink": sink}
    try:
        result = await host.executor.invoke(
            spec, payload or b"{}", request_id=request_id, invoked_arn=target.arn, client_context=client_context, trace_id=trace_id, **more
        )
        host.get(Ledger).note(spec, result)
        host.get(Recordings).note(spec, request_id, payload, result)
        note_run(host, target.name, spec, result)
        return result
    except Throttled as error:
        note_throttle(host, target.name, spec)
        raise throttled(error.reason) from None
    except NotRestored as error:
        raise snap_start_timed_out() if error.timed_out else snap_start_failed() from None
    except Unavailable as error:
        raise unavailable(str(error)) from None


def fresh_trace(host: Host) -> str:
    """The header of a new trace. Its numbers are no secret."""
    numbers = random.getrandbits(160)
    return f"Root=1-{int(host.clock.now()):08x}-{numbers >> 64:024x};Parent={numbers & 0xFFFFFFFFFFFFFFFF:016x};Sampled=0"


def traced(host: Host, header: str | None) -> str:
    """The trace that a request belongs to, as its header says, or a new one."""
    return header if header is not None and is_whole(header) else complete(header, fresh_trace(host))


def decode_client_context(header: str | None) -> str | None:
    """The JSON of an X-Amz-Client-Context header."""
    if not header:
        return None
    if len(header) > MAX_CLIENT_CONTEXT:
        raise invalid(f"Client context must be smaller than {MAX_CLIENT_CONTEXT} bytes.")
    try:
        return base64.b64decode(header, validate=True).decode()
    except ValueError:
        raise invalid("Client context must be a valid Base64-encoded JSON object.") from None
