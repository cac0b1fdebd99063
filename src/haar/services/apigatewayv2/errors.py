"""API Gateway's errors, with AWS's own words."""

from haar.wire.errors import ServiceError


def not_found(message: str) -> ServiceError:
    return ServiceError("NotFoundException", message, 404)


def bad_request(message: str) -> ServiceError:
    return ServiceError("BadRequestException", message, 400)


def conflict(message: str) -> ServiceError:
    return ServiceError("ConflictException", message, 409)


def too_many(message: str) -> ServiceError:
    return ServiceError("TooManyRequestsException", message, 429)


def missing(kind: str, name: str) -> ServiceError:
    """`Invalid Route identifier specified abc1234`"""
    return not_found(f"Invalid {kind} identifier specified {name}")


def full(kind: str) -> ServiceError:
    """An API has as many `Routes` as it may."""
    return too_many(f"Maximum number of {kind} for this API has been reached.  Please contact AWS if you need additional {kind}.")
