"""The action reference and AWS managed policies."""

from datetime import datetime

import pytest

from haar.policy.actions import actions_of, condition_key_type, find_action, known_action
from haar.policy.document import compile_policy
from haar.policy.managed import PREFIX, find_managed, managed_arns
from haar.policy.validate import validate_identity_policy

TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/t"


@pytest.mark.parametrize(
    "action", ["dynamodb:GetItem", "DYNAMODB:getitem", "lambda:InvokeFunction", "iam:PassRole", "apigateway:GET", "sts:AssumeRole"]
)
def test_known_actions(action: str) -> None:
    assert known_action(action)


@pytest.mark.parametrize("action", ["dynamodb:Nothing", "nothing:GetItem", "dynamodb:*", "GetItem", "", ":", "../x:y", "dynamodb:"])
def test_unknown_actions(action: str) -> None:
    assert not known_action(action)


def test_what_an_action_is_on() -> None:
    action = find_action("dynamodb:getitem")
    assert action is not None
    assert (action.name, action.access_level) == ("dynamodb:GetItem", "Read")
    assert [kind.name for kind in action.resource_types] == ["table"]
    assert "dynamodb:LeadingKeys" in action.condition_keys
    assert action.takes(TABLE)
    assert not action.takes("arn:aws:s3:::b")
    assert not action.takes("*")
    listing = find_action("dynamodb:ListTables")
    assert listing is not None
    assert listing.takes("*")
    assert not listing.takes(TABLE)
    assert len(actions_of("lambda")) > 50
    assert actions_of("nothing") == {}


def test_condition_keys_have_types() -> None:
    assert condition_key_type("dynamodb:leadingkeys") == "ArrayOfString"
    assert condition_key_type("dynamodb:Nothing") is None


def test_every_managed_policy_is_a_good_policy() -> None:
    arns = list(managed_arns())
    assert len(arns) > 100
    assert arns == sorted(arns)
    for arn in arns:
        policy = find_managed(arn)
        assert policy is not None
        assert arn == f"{PREFIX.removesuffix('/')}{policy.path}{policy.name}"
        assert policy.version[0] == "v"
        assert datetime.fromisoformat(policy.created) <= datetime.fromisoformat(policy.updated)
        validate_identity_policy(policy.text, managed=True)
        assert compile_policy(policy.text, arn).statements


def test_administrator_access_is_there_and_others_are_not() -> None:
    administrator = find_managed("arn:aws:iam::aws:policy/AdministratorAccess")
    assert administrator is not None
    assert '"Action":"*"' in administrator.text.replace(" ", "")
    assert find_managed("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole") is not None
    assert find_managed("arn:aws:iam::aws:policy/Nothing") is None
    assert find_managed("arn:aws:iam::123456789012:policy/AdministratorAccess") is None
