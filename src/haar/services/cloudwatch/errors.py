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


def no_alarm() -> ServiceError:
    return ServiceError("ResourceNotFound", "Alarm does not exist", 404)


def not_found(message: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", message, 404)
