"""The service object, apart from the operations that register themselves on it."""

from haar.services.apigatewayv2 import errors
from haar.services.service import Input, Service
from haar.wire import load
from haar.wire.errors import CommonError

OWN_WORDS = ("TimeoutInMillis",)
"""Members whose bounds depend on more than the model says: the operations check them."""


def check(operation: str, input: Input) -> None:
    """Input against the model; what does not fit is a BadRequestException here."""
    try:
        load("apigatewayv2", frozenset()).validate(operation, {name: value for name, value in input.items() if name not in OWN_WORDS})
    except CommonError as error:
        raise errors.bad_request(error.message or "") from None


service = Service("apigatewayv2", signing_name="apigateway", prefix="apigateway", check=check)
