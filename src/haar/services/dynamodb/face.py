"""The service object, apart so that every module can register operations with it."""

from haar.services.dynamodb import prepare
from haar.services.dynamodb.limits import REQUEST_BYTES
from haar.services.service import Service

service = Service(
    "dynamodb",
    opaque=prepare.OPAQUE,
    check=prepare.check,
    eager=True,
    long_ids=True,
    malformed_first=True,
    most_bytes=REQUEST_BYTES,
)
