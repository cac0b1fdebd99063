"""What other services may ask of Lambda."""

from dataclasses import dataclass
from typing import Literal

from haar.auth.principal import Principal
from haar.execution.contract import InvocationResult
from haar.policy.messages import access_denied_message
from haar.services.iam.public import decide
from haar.services.lambda_.asynchronous import Events
from haar.services.lambda_.directory import Directory, Target
from haar.services.lambda_.invocations import check_size
from haar.services.lambda_.names import parse_name
from haar.services.lambda_.payloads import check_payload
from haar.services.lambda_.running import run
from haar.services.lambda_.streaming import Streaming, start
from haar.services.lambda_.urlevents import is_text
from haar.services.service import Demand, Host
from haar.wire.errors import ServiceError

__all__ = ["Source", "Streaming", "invoke", "is_text", "may_invoke", "stream"]


ALLOWED_SECONDS = 1.0
"""How long a service's call counts as allowed by a policy that may speak of the time; one that changes is looked at anew at once."""
MAX_SOURCES = 1000


@dataclass(frozen=True, slots=True)
class Source:
    """On whose behalf a service invokes: checked against the function's resource policy."""

    service: str
    """`apigateway.amazonaws.com`"""
    arn: str
    """aws:SourceArn"""
    account: str
    """aws:SourceAccount"""


async def invoke(
    host: Host,
    function: str,
    payload: bytes,
    *,
    caller: Source | Principal,
    request_id: str,
    region: str,
    kind: Literal["RequestResponse", "Event"] = "RequestResponse",
) -> InvocationResult:
    """Invokes `function` (an ARN, with or without qualifier) for another service.

    A `Source` must be allowed by the function's resource policy, a `Principal` by its own policies. Raises ServiceError as Invoke does
    (ResourceNotFoundException, AccessDeniedException, TooManyRequestsException, …). `Event` answers when the event is durably queued.
    """
    target = await host.get(Directory).find(parse_name(function, region, host.account))
    await _authorise(host, target, caller, region)
    check_size(payload, kind)
    check_payload(payload)
    if kind == "Event":
        await host.get(Events).accept(target, payload, request_id)
        return InvocationResult(b"")
    return (await run(host, target, payload, request_id))[1]


async def may_invoke(host: Host, function: str, caller: Source, region: str) -> bool:
    """Whether there is such a function, and its resource policy lets the service invoke it."""
    try:
        target = await host.get(Directory).find(parse_name(function, region, host.account))
        await _authorise(host, target, caller, region)
    except ServiceError:
        return False
    return True


async def stream(host: Host, function: str, payload: bytes, *, caller: Source | Principal, request_id: str, region: str) -> Streaming:
    """As `invoke`; answers when the function begins to stream, or is over."""
    target = await host.get(Directory).find(parse_name(function, region, host.account))
    await _authorise(host, target, caller, region)
    check_size(payload, "RequestResponse")
    check_payload(payload)
    return await start(host, target, payload, request_id)


async def _authorise(host: Host, target: Target, caller: Source | Principal, region: str) -> None:
    """Raises AccessDeniedException unless the caller may invoke the function."""
    key, now = (caller.service, caller.arn, caller.account) if isinstance(caller, Source) else None, host.clock.now()
    if key is not None and target.sources.get(key, 0.0) > now:
        return
    if isinstance(caller, Source):
        principal = Principal("service", caller.account, caller.service, caller.service)
        context = {"aws:SourceArn": [caller.arn], "aws:SourceAccount": [caller.account], "aws:PrincipalIsAWSService": ["true"]}
        policy = target.policy
    else:
        principal, policy = caller, target.policy_for_callers
        context = {"aws:RequestedRegion": [region], "aws:ViaAWSService": ["true"]}
    action = "lambda:InvokeFunction"
    decision = await decide(host, principal, Demand(action, target.arn, {}, policy, target.tags), context)
    if not decision.allowed:
        message = access_denied_message(principal.arn, action, target.arn, decision)
        raise ServiceError("AccessDeniedException", message, 403, Type="User")
    if key is not None:
        if len(target.sources) >= MAX_SOURCES:
            target.sources.clear()
        target.sources[key] = now + ALLOWED_SECONDS
