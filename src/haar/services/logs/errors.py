"""The errors of CloudWatch Logs, in its words."""

from haar.wire.errors import ServiceError


def no_group() -> ServiceError:
    return ServiceError("ResourceNotFoundException", "The specified log group does not exist.")


def no_stream() -> ServiceError:
    return ServiceError("ResourceNotFoundException", "The specified log stream does not exist.")


def no_resource() -> ServiceError:
    return ServiceError("ResourceNotFoundException", "The specified resource does not exist.")


def group_exists() -> ServiceError:
    return ServiceError("ResourceAlreadyExistsException", "The specified log group already exists")


def stream_exists() -> ServiceError:
    return ServiceError("ResourceAlreadyExistsException", "The specified log stream already exists")


def invalid(message: str) -> ServiceError:
    return ServiceError("InvalidParameterException", message)


def bad_token() -> ServiceError:
    return invalid("The specified nextToken is invalid.")


def no_filter(kind: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", f"The specified {kind} filter does not exist.")


def limit_exceeded() -> ServiceError:
    return ServiceError("LimitExceededException", "Resource limit exceeded.")
