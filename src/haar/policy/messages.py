"""What a refused caller is told."""

from haar.policy.decision import Decision


def access_denied_message(principal_arn: str, action: str, resource: str, decision: Decision) -> str:
    """AWS's access-denied text. An empty `principal_arn` is an unsigned caller."""
    message = f"User: {principal_arn or 'anonymous'} is not authorized to perform: {action} on resource: {resource}"
    return f"{message} {decision.reason}" if decision.reason else message
