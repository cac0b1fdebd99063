"""DynamoDB Streams: reading what changed. The records are DynamoDB's; this is their own endpoint's face."""

from haar.services.dynamodbstreams import reading, streams
from haar.services.dynamodbstreams.face import service

__all__ = ["service"]
