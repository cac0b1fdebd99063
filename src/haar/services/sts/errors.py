"""STS's errors, in its words."""

from collections.abc import Mapping
from typing import Any

from haar.wire.errors import ServiceError


def access_denied(message: str) -> ServiceError:
    return ServiceError("AccessDenied", message, 403)


def validation(message: str) -> ServiceError:
    return ServiceError("ValidationError", message, 400)


def malformed(message: str) -> ServiceError:
    return ServiceError("MalformedPolicyDocument", message, 400)


def packed_too_large(percent: int) -> ServiceError:
    return ServiceError("PackedPolicyTooLarge", f"Packed policy consumes {percent}% of allotted space, please use smaller policy.", 400)


def invalid_parameter(message: str) -> ServiceError:
    return ServiceError("InvalidParameterValue", message, 400)


def refuse_unbuilt(input: Mapping[str, Any], *names: str) -> None:
    """Raises ValidationError for parameters that haar does not have: none is passed over in silence."""
    for name in names:
        if input.get(name):
            raise validation(f"haar does not have the parameter {name}.")
