"""What other services may ask of Lambda."""

from dataclasses import dataclass
from typing import Literal

from haar.auth.principal import Principal
from haar.execution.contract import InvocationResult
from haar.services.service import Host


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
    raise NotImplementedError
