"""First-class service integrations of HTTP APIs: which API operation each subtype is, and what it takes. Pure.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-aws-services-reference.html
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from haar.services.apigatewayv2 import errors
from haar.services.apigatewayv2.records import Doc

REGION = "Region"


class Subtype(NamedTuple):
    """An operation of a service. Parameters have the operation's own names, as they are written in mappings."""

    service: str
    endpoint: str
    action: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    structures: frozenset[str] = frozenset()
    """Parameters whose text is JSON: lists and maps."""
    numbers: frozenset[str] = frozenset()


_SEND = ("DelaySeconds", "MessageAttributes", "MessageDeduplicationId", "MessageGroupId", "MessageSystemAttributes")
_RECEIVE = (
    "AttributeNames", "MaxNumberOfMessages", "MessageAttributeNames", "ReceiveRequestAttemptId", "VisibilityTimeout", "WaitTimeSeconds",
)  # fmt: skip

SUBTYPES: Mapping[str, Subtype] = {
    "EventBridge-PutEvents": Subtype(
        "Amazon EventBridge", "events", "PutEvents", ("Detail", "DetailType", "Source"),
        ("Time", "EventBusName", "Resources", "TraceHeader"), frozenset(("Resources",)),
    ),
    "SQS-SendMessage": Subtype(
        "Amazon SQS", "sqs", "SendMessage", ("QueueUrl", "MessageBody"), _SEND,
        frozenset(("MessageAttributes", "MessageSystemAttributes")), frozenset(("DelaySeconds",)),
    ),
    "SQS-ReceiveMessage": Subtype(
        "Amazon SQS", "sqs", "ReceiveMessage", ("QueueUrl",), _RECEIVE, frozenset(("AttributeNames", "MessageAttributeNames")),
        frozenset(("MaxNumberOfMessages", "VisibilityTimeout", "WaitTimeSeconds")),
    ),
    "SQS-DeleteMessage": Subtype("Amazon SQS", "sqs", "DeleteMessage", ("ReceiptHandle", "QueueUrl")),
    "SQS-PurgeQueue": Subtype("Amazon SQS", "sqs", "PurgeQueue", ("QueueUrl",)),
    "AppConfig-GetConfiguration": Subtype(
        "AWS AppConfig", "appconfig", "GetConfiguration", ("Application", "Environment", "Configuration", "ClientId"),
        ("ClientConfigurationVersion",),
    ),
    "Kinesis-PutRecord": Subtype(
        "Amazon Kinesis", "kinesis", "PutRecord", ("StreamName", "Data", "PartitionKey"), ("SequenceNumberForOrdering", "ExplicitHashKey")
    ),
    "StepFunctions-StartExecution": Subtype("AWS Step Functions", "states", "StartExecution", ("StateMachineArn",), ("Name", "Input")),
    "StepFunctions-StartSyncExecution": Subtype(
        "AWS Step Functions", "sync-states", "StartSyncExecution", ("StateMachineArn",), ("Name", "Input", "TraceHeader")
    ),
    "StepFunctions-StopExecution": Subtype("AWS Step Functions", "states", "StopExecution", ("ExecutionArn",), ("Cause", "Error")),
}  # fmt: skip

_SOURCE = re.compile(
    r"\$request\.((header|querystring|path)\.[^\s{}]+|path|body(\..+)?)|\$(context|stageVariables)\.[^\s{}]+|[^${}]*(\$\{[^{}]+\}[^${}]*)*"
)


def check(integration: Doc) -> None:
    """Raises BadRequestException unless the subtype is one, with all that it needs and nothing that it has not."""
    name = integration["IntegrationSubtype"]
    subtype = SUBTYPES.get(name)
    if subtype is None:
        raise errors.bad_request(f"Operation {name} is not supported")
    given = integration.get("RequestParameters", {})
    known = {*subtype.required, *subtype.optional, REGION}
    found = [f"Required parameter {one} is missing for {name}" for one in subtype.required if not given.get(one)]
    found += [f"Invalid parameter: {one} is not supported for {name}" for one in given if one not in known]
    found += [
        f"Invalid source: {value} specified for destination: {one}"
        for one, value in given.items()
        if one in known and not _SOURCE.fullmatch(value)
    ]
    if found:
        raise errors.bad_request(f"Invalid selection expression specified: Validation Result: warnings : [], errors : [{', '.join(found)}]")
