"""Destinations and dead letter queues of services that haar does not have: queues, topics, event buses.

They are settings that a function's role must be allowed to send to, as at AWS. Nothing arrives there: what would be sent is lost, which is
logged and counted as AWS counts a destination that cannot be reached (DestinationDeliveryFailures, DeadLetterErrors).
"""

import logging
from typing import NamedTuple

from haar.services.cloudwatch.public import Measures
from haar.services.iam.public import decide, role_principal
from haar.services.lambda_.directory import Target
from haar.services.lambda_.errors import invalid
from haar.services.lambda_.metrics import subject
from haar.services.service import Demand, Host

log = logging.getLogger("haar.lambda")


class Kind(NamedTuple):
    service: str
    call: str
    """What sends to it."""


KINDS = {"sqs": Kind("SQS", "SendMessage"), "sns": Kind("SNS", "Publish"), "events": Kind("EventBridge", "PutEvents")}
DEAD_LETTERS = ("sqs", "sns")


def service_of(arn: str) -> str:
    """`sqs` of `arn:aws:sqs:…`."""
    return arn.split(":")[2] if arn.count(":") >= 5 else ""


async def may_send(host: Host, role: str, session: str, arn: str) -> bool:
    """Whether a function's role may send to a queue, a topic or an event bus."""
    principal = await role_principal(host, role, session)
    if principal is None:
        return False
    action = f"{service_of(arn)}:{KINDS[service_of(arn)].call}"
    return (await decide(host, principal, Demand(action, arn), {})).allowed


async def check_dead_letter(host: Host, role: str, session: str, arn: str) -> None:
    """Raises unless `arn` may be the dead letter queue of a function with this role; an empty one takes it away."""
    if not arn:
        return
    if service_of(arn) not in DEAD_LETTERS:
        raise invalid(f"The dead letter target {arn} is neither an SQS queue nor an SNS topic.")
    if not await may_send(host, role, session, arn):
        kind = KINDS[service_of(arn)]
        raise invalid(f"The provided execution role does not have permissions to call {kind.call} on {kind.service}")


async def check_destination(host: Host, role: str, session: str, arn: str) -> None:
    """Raises unless the function's role may send to the destination."""
    if not await may_send(host, role, session, arn):
        raise invalid(f"The function's execution role does not have permissions to call {KINDS[service_of(arn)].call} on {arn}")


def note_lost(host: Host, target: Target, arn: str, metric: str) -> None:
    log.warning("%s: what was to be sent to %s is lost: haar does not have %s", target.arn, arn, KINDS[service_of(arn)].service)
    host.get(Measures).note(subject(target.name, target.specs[-1][1].version), ((metric, "Count", 1.0),))
