"""Errors as each protocol writes them, and as botocore reads them."""

from typing import Any
from xml.etree import ElementTree

import orjson
import pytest

from haar.wire import load
from haar.wire.errors import CommonError, ServiceError
from haar.wire.http import Response


def answer(service: str, error: ServiceError) -> Response:
    return load(service, frozenset({"AttributeValue"})).serialise_error(error, "request-id")


def body_of(response: Response) -> dict[str, Any]:
    assert isinstance(response.body, bytes)
    found: dict[str, Any] = orjson.loads(response.body)
    return found


def test_dynamodb_names_its_errors_with_their_namespace() -> None:
    modelled = answer("dynamodb", ServiceError("ResourceNotFoundException", "Requested resource not found"))
    assert modelled.status == 400
    assert body_of(modelled) == {
        "__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
        "message": "Requested resource not found",
    }
    cancelled = ServiceError("TransactionCanceledException", "Transaction cancelled", CancellationReasons=[{"Code": "None"}])
    assert body_of(answer("dynamodb", cancelled)) == {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled",
        "CancellationReasons": [{"Code": "None"}],
    }
    item = orjson.Fragment(b'{"pk":{"S":"x"}}')
    failed = body_of(answer("dynamodb", ServiceError("ConditionalCheckFailedException", "The conditional request failed", Item=item)))
    assert failed["Item"] == {"pk": {"S": "x"}}
    streams = body_of(answer("dynamodbstreams", ServiceError("ExpiredIteratorException", "old")))
    assert streams["__type"] == "com.amazonaws.dynamodb.v20120810#ExpiredIteratorException"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("Validation", {"__type": "com.amazon.coral.validate#ValidationException", "message": "m"}),
        ("AccessDenied", {"__type": "com.amazon.coral.service#AccessDeniedException", "Message": "m"}),
        ("Serialization", {"__type": "com.amazon.coral.service#SerializationException", "Message": "m"}),
        ("UnrecognizedClient", {"__type": "com.amazon.coral.service#UnrecognizedClientException", "message": "m"}),
        ("MissingAuthenticationToken", {"__type": "com.amazon.coral.service#MissingAuthenticationTokenException", "message": "m"}),
        ("SignatureDoesNotMatch", {"__type": "com.amazon.coral.service#InvalidSignatureException", "message": "m"}),
        ("ExpiredToken", {"__type": "com.amazon.coral.service#ExpiredTokenException", "message": "m"}),
        ("UnknownOperation", {"__type": "com.amazon.coral.service#UnknownOperationException", "message": "m"}),
    ],
)
def test_common_errors_of_dynamodb(code: str, expected: dict[str, str]) -> None:
    response = answer("dynamodb", CommonError(code, "m"))
    assert (response.status, body_of(response)) == (400, expected)


def test_an_error_without_a_message_says_none() -> None:
    assert body_of(answer("dynamodb", CommonError("Serialization", None))) == {"__type": "com.amazon.coral.service#SerializationException"}


def test_a_validation_exception_of_the_service_is_named_as_the_common_one() -> None:
    response = answer("dynamodb", ServiceError("ValidationException", "m"))
    assert body_of(response) == {"__type": "com.amazon.coral.validate#ValidationException", "message": "m"}


def test_internal_failures_are_the_servers() -> None:
    for service in ("dynamodb", "logs", "lambda", "apigateway", "iam"):
        assert answer(service, CommonError("InternalFailure", None)).status == 500


def test_other_json_services_name_their_errors_bare() -> None:
    response = answer("logs", ServiceError("ResourceNotFoundException", "The specified log group does not exist."))
    assert body_of(response) == {"__type": "ResourceNotFoundException", "message": "The specified log group does not exist."}


def test_lambda() -> None:
    response = answer("lambda", ServiceError("ResourceNotFoundException", "Function not found: x"))
    assert response.status == 404
    assert ("x-amzn-ErrorType", "ResourceNotFoundException") in response.headers
    assert body_of(response) == {"Type": "User", "Message": "Function not found: x"}
    busy = answer(
        "lambda",
        ServiceError("TooManyRequestsException", "Rate Exceeded.", Reason="ConcurrentInvocationLimitExceeded", retryAfterSeconds="1"),
    )
    assert busy.status == 429
    assert ("Retry-After", "1") in busy.headers
    assert body_of(busy) == {"Type": "User", "message": "Rate Exceeded.", "Reason": "ConcurrentInvocationLimitExceeded"}
    denied = answer("lambda", CommonError("AccessDenied", "User: x"))
    assert (denied.status, body_of(denied)) == (403, {"Message": "User: x"})
    unsigned = answer("lambda", CommonError("MissingAuthenticationToken", None))
    assert (unsigned.status, body_of(unsigned)) == (403, {"message": "Missing Authentication Token"})


def test_api_gateway() -> None:
    response = answer("apigateway", ServiceError("NotFoundException", "Invalid API identifier specified 123456789012:abc"))
    assert (response.status, body_of(response)) == (404, {"message": "Invalid API identifier specified 123456789012:abc"})
    newer = answer("apigatewayv2", ServiceError("NotFoundException", "Invalid API identifier specified 123456789012:abc"))
    assert (newer.status, body_of(newer)) == (404, {"message": "Invalid API identifier specified 123456789012:abc"})


def test_query() -> None:
    response = answer("iam", ServiceError("NoSuchEntityException", "The user with name <x> & y cannot be found."))
    assert response.status == 404
    assert isinstance(response.body, bytes)
    space = "{https://iam.amazonaws.com/doc/2010-05-08/}"
    root = ElementTree.fromstring(response.body)
    assert root.tag == f"{space}ErrorResponse"
    assert root.findtext(f"{space}RequestId") == "request-id"
    error = root.find(f"{space}Error")
    assert error is not None
    assert [(child.tag.removeprefix(space), child.text) for child in error] == [
        ("Type", "Sender"),
        ("Code", "NoSuchEntity"),
        ("Message", "The user with name <x> & y cannot be found."),
    ]


@pytest.mark.parametrize(
    ("code", "status", "named"),
    [
        ("AccessDenied", 403, b"<Code>AccessDenied</Code>"),
        ("MissingAuthenticationToken", 403, b"<Code>MissingAuthenticationToken</Code>"),
        ("SignatureDoesNotMatch", 403, b"<Code>SignatureDoesNotMatch</Code>"),
        ("UnrecognizedClient", 403, b"<Code>InvalidClientTokenId</Code>"),
        ("ExpiredToken", 403, b"<Code>ExpiredToken</Code>"),
        ("UnknownOperation", 400, b"<Code>InvalidAction</Code>"),
        ("Validation", 400, b"<Code>ValidationError</Code>"),
    ],
)
def test_common_errors_of_query_services(code: str, status: int, named: bytes) -> None:
    response = answer("sts", CommonError(code, "m"))
    assert response.status == status
    assert isinstance(response.body, bytes)
    assert named in response.body


def test_s3_has_errors_without_a_wrapper() -> None:
    response = answer("s3", ServiceError("NoSuchBucket", "The specified bucket does not exist", 404))
    assert response.status == 404
    assert response.body == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message>'
        b"<RequestId>request-id</RequestId></Error>"
    )


def test_a_status_that_is_given_wins() -> None:
    assert answer("lambda", ServiceError("ResourceNotFoundException", "m", 418)).status == 418
    assert answer("lambda", ServiceError("Unheard", "m")).status == 400


def test_a_message_cannot_break_out_of_the_document_or_a_header() -> None:
    response = answer("iam", ServiceError("NoSuchEntityException", "</Message>\x00\ud800"))
    assert isinstance(response.body, bytes)
    assert "&lt;/Message&gt;\ufffd\ufffd".encode() in response.body
    split = answer("lambda", ServiceError("TooManyRequestsException", "m", retryAfterSeconds="1\r\nX: y"))
    assert ("Retry-After", "1  X: y") in split.headers
