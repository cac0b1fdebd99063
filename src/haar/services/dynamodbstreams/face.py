"""The service object, apart so that every module can register operations with it."""

from haar.services.service import Service

service = Service(
    "dynamodbstreams", signing_name="dynamodb", prefix="dynamodb", opaque=frozenset({"AttributeValue"}), long_ids=True, malformed_first=True
)
