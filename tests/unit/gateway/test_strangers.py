"""Services that haar has not: whatever protocol a client speaks, its error names them."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.identity import refused

from haar.gateway.strangers import nobody
from haar.wire.http import Request


@pytest.mark.parametrize(
    ("service", "operation", "named"),
    [
        ("s3", "list_buckets", "s3"),
        ("route53", "list_hosted_zones", "route53"),
        ("ec2", "describe_instances", "ec2"),
        ("cloudformation", "list_stacks", "cloudformation"),
        ("sqs", "list_queues", "sqs"),
        ("sns", "list_topics", "sns"),
        ("stepfunctions", "list_state_machines", "states"),
        ("batch", "list_scheduling_policies", "batch"),
    ],
)
def test_the_error_names_the_service(client: Callable[..., Any], service: str, operation: str, named: str) -> None:
    code, message, status = refused(getattr(client(service), operation))
    assert code in ("NotImplemented", "InvalidAction", "UnknownOperationException")
    assert status in (400, 404, 501)
    assert message == f"haar does not have the service {named} (docs/compatibility.md lists what it has)"


def test_an_operation_that_takes_no_signature_is_named_too(client: Callable[..., Any]) -> None:
    input = {"RoleArn": "arn:aws:iam::123456789012:role/r", "PrincipalArn": "arn:aws:iam::123456789012:saml/x"}
    code, message, _ = refused(client("sts").assume_role_with_saml, **input, SAMLAssertion="abcd")
    assert (code, message) == ("InvalidAction", "haar does not have sts:AssumeRoleWithSAML (docs/compatibility.md lists what it has)")


def test_unsigned_requests() -> None:
    assert nobody(Request.of("GET"), "id").status == 200
    answer = nobody(Request.of("GET", "/x"), "id")
    assert (answer.status, dict(answer.headers)["x-amzn-ErrorType"]) == (404, "UnknownOperationException")
    assert nobody(Request.of("POST", "/", headers={"X-Amz-Target": "Nope.Nope"}), "id").status == 400


def test_what_is_claimed_is_escaped() -> None:
    scope = "AWS4-HMAC-SHA256 Credential=A/20260101/r/<b>/aws4_request, SignedHeaders=host, Signature=0"
    answer = nobody(Request.of("POST", "/", "Action=x", {"Authorization": scope}), "id")
    assert isinstance(answer.body, bytes) and b"<b>" not in answer.body and b"&lt;b&gt;" in answer.body
