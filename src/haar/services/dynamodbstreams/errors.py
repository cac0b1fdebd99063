"""The errors of DynamoDB Streams, with the messages that AWS gives them."""

from haar.wire.errors import ServiceError


def validation(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)


def in_our_words(message: str) -> ServiceError:
    """What AWS refuses, too; how it says so is not known."""
    return validation(message)


def no_stream(arn: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", f"Requested resource not found: Stream: {arn} not found")


def no_table(name: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")


def no_shard(shard: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", f"Requested resource not found: Shard: {shard} not found")


def invalid_iterator() -> ServiceError:
    return validation("Invalid ShardIterator")


def expired_iterator() -> ServiceError:
    return ServiceError("ExpiredIteratorException", "The shard iterator has expired and can no longer be used to retrieve stream records")


def trimmed() -> ServiceError:
    return ServiceError("TrimmedDataAccessException", "The data you are trying to access has been trimmed")
