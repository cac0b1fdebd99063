"""The errors of CloudWatch, in its words."""

from haar.wire.errors import ServiceError


def invalid_value(message: str) -> ServiceError:
    return ServiceError("InvalidParameterValueException", message)


def invalid_combination(message: str) -> ServiceError:
    return ServiceError("InvalidParameterCombinationException", message)


def missing(message: str) -> ServiceError:
    return ServiceError("MissingRequiredParameterException", message)


def invalid(message: str) -> ServiceError:
    return ServiceError("ValidationError", message, 400)


def bad_token() -> ServiceError:
    return ServiceError("InvalidNextToken", "Invalid nextToken")
