"""docs/compatibility.md says what is registered, and what is registered exists in AWS."""

from tests.support.compatibility import FILE, render

from haar.policy.actions import known_action
from haar.services.registry import services
from haar.wire import load


def test_the_page_is_what_is_registered() -> None:
    assert FILE.read_text() == render(), "run: make docs"


def test_operations_are_of_the_model() -> None:
    for service in services():
        assert set(service.operations) <= load(service.name, service.opaque).operations, service.name


def test_the_prefix_of_each_service_has_actions() -> None:
    known = {"apigateway": "apigateway:GET", "dynamodb": "dynamodb:GetItem", "iam": "iam:GetUser", "lambda": "lambda:GetFunction"}
    assert all(known_action(action) for action in known.values())
    assert not known_action("dynamodb:GetNothing")
