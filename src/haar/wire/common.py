"""The errors that every service answers, as each family of protocols names them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Common:
    """One common error in one family of protocols."""

    code: str
    status: int
    message: str | None = None
    """What AWS says when nothing more particular is known."""
    key: str = "message"
    """The name of the message's member in JSON bodies."""


_UNSIGNED = "Missing Authentication Token"
_BAD_SIGNATURE = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)
_BAD_KEY = "The security token included in the request is invalid."
_EXPIRED = "The security token included in the request is expired"
_INTERNAL = "The request processing has failed because of an unknown error, exception or failure."
_RATE = "Rate exceeded"

_JSON = {
    "AccessDenied": Common("AccessDeniedException", 400, None, "Message"),
    "MissingAuthenticationToken": Common("MissingAuthenticationTokenException", 400, "Request is missing Authentication Token"),
    "SignatureDoesNotMatch": Common("InvalidSignatureException", 400, _BAD_SIGNATURE),
    "UnrecognizedClient": Common("UnrecognizedClientException", 400, _BAD_KEY),
    "ExpiredToken": Common("ExpiredTokenException", 400, _EXPIRED),
    "IncompleteSignature": Common("IncompleteSignatureException", 400),
    "RequestExpired": Common("InvalidSignatureException", 400),
    "UnknownOperation": Common("UnknownOperationException", 400),
    "Serialization": Common("SerializationException", 400, None, "Message"),
    "Validation": Common("ValidationException", 400),
    "InternalFailure": Common("InternalFailure", 500, _INTERNAL),
    "Throttling": Common("ThrottlingException", 400, _RATE),
    "RequestTooLarge": Common("RequestEntityTooLarge", 413, "Request size exceeded the limit"),
}

_REST_JSON = {
    "AccessDenied": Common("AccessDeniedException", 403, None, "Message"),
    "MissingAuthenticationToken": Common("MissingAuthenticationTokenException", 403, _UNSIGNED),
    "SignatureDoesNotMatch": Common("InvalidSignatureException", 403, _BAD_SIGNATURE),
    "UnrecognizedClient": Common("UnrecognizedClientException", 403, _BAD_KEY),
    "ExpiredToken": Common("ExpiredTokenException", 403, _EXPIRED),
    "IncompleteSignature": Common("IncompleteSignatureException", 403),
    "RequestExpired": Common("InvalidSignatureException", 403),
    "UnknownOperation": Common("UnknownOperationException", 404),
    "Serialization": Common("SerializationException", 400, None, "Message"),
    "Validation": Common("ValidationException", 400),
    "InternalFailure": Common("InternalFailure", 500, _INTERNAL),
    "Throttling": Common("ThrottlingException", 429, _RATE),
    "RequestTooLarge": Common("RequestEntityTooLargeException", 413, "Request size exceeded the limit"),
}

_QUERY = {
    "AccessDenied": Common("AccessDenied", 403),
    "MissingAuthenticationToken": Common("MissingAuthenticationToken", 403, "Request is missing Authentication Token"),
    "SignatureDoesNotMatch": Common("SignatureDoesNotMatch", 403, _BAD_SIGNATURE),
    "UnrecognizedClient": Common("InvalidClientTokenId", 403, "The security token included in the request is invalid"),
    "ExpiredToken": Common("ExpiredToken", 403, _EXPIRED),
    "IncompleteSignature": Common("IncompleteSignature", 403),
    "RequestExpired": Common("SignatureDoesNotMatch", 403),
    "UnknownOperation": Common("InvalidAction", 400),
    "Serialization": Common("MalformedInput", 400),
    "Validation": Common("ValidationError", 400),
    "InternalFailure": Common("InternalFailure", 500, _INTERNAL),
    "Throttling": Common("Throttling", 400, _RATE),
    "RequestTooLarge": Common("RequestEntityTooLarge", 413, "Request size exceeded the limit"),
}

_REST_XML = {
    "AccessDenied": Common("AccessDenied", 403, "Access Denied"),
    "MissingAuthenticationToken": Common("AccessDenied", 403, "Access Denied"),
    "SignatureDoesNotMatch": Common("SignatureDoesNotMatch", 403, _BAD_SIGNATURE),
    "UnrecognizedClient": Common("InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records."),
    "ExpiredToken": Common("ExpiredToken", 400, "The provided token has expired."),
    "IncompleteSignature": Common("AuthorizationHeaderMalformed", 400),
    "RequestExpired": Common("RequestTimeTooSkewed", 403, "The difference between the request time and the current time is too large."),
    "UnknownOperation": Common("MethodNotAllowed", 405, "The specified method is not allowed against this resource."),
    "Serialization": Common("MalformedXML", 400),
    "Validation": Common("InvalidArgument", 400),
    "InternalFailure": Common("InternalError", 500, "We encountered an internal error. Please try again."),
    "Throttling": Common("SlowDown", 503, "Please reduce your request rate."),
    "RequestTooLarge": Common("EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed size"),
}

_FAMILIES = {"json": _JSON, "rest-json": _REST_JSON, "query": _QUERY, "rest-xml": _REST_XML, "smithy-rpc-v2-cbor": _JSON}

# Where a service does not speak as its family does.
_SERVICES = {
    ("dynamodb", "MissingAuthenticationToken"): Common(
        "MissingAuthenticationTokenException", 400, "Request is missing Authentication Token"
    ),
    ("dynamodb", "InternalFailure"): Common("InternalServerError", 500, "The request processing has failed because of an internal error."),
    ("lambda", "InternalFailure"): Common("ServiceException", 500, "The Lambda service encountered an internal error."),
    ("lambda", "Throttling"): Common("TooManyRequestsException", 429, "Rate exceeded"),
    ("apigateway", "Throttling"): Common("TooManyRequestsException", 429, "Too Many Requests"),
}
_SAME_AS = {"dynamodbstreams": "dynamodb"}


def common(service: str, protocol: str, code: str) -> Common:
    """The common error `code` (`AccessDenied`) as `service` answers it. A code that is none of them is answered as it is, with 400."""
    found = _SERVICES.get((_SAME_AS.get(service, service), code))
    return found or _FAMILIES[protocol].get(code) or Common(code, 400)
