"""What is refused when a policy is stored, and in which words."""

import json
from typing import Any

import pytest

from haar.policy.document import compile_policy
from haar.policy.validate import PolicyError, validate_identity_policy, validate_resource_policy, validate_trust_policy

SYNTAX = "Syntax errors in policy."
VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
QUALIFIED = "Resource vendor must be fully qualified and cannot contain regexes."


def document(change: dict[str, Any] | None = None, **top: Any) -> str:
    """A good identity policy with a change to its statement (None as a value takes the element away) or to its top."""
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"} | (change or {})
    whole = {"Version": "2012-10-17", "Statement": {key: value for key, value in statement.items() if value is not None}} | top
    return json.dumps({key: value for key, value in whole.items() if value is not None})


def refusal(validate: Any, text: str, **options: Any) -> str | None:
    try:
        validate(text, **options)
    except PolicyError as error:
        return error.message
    return None


@pytest.mark.parametrize(
    "text",
    [
        document(),
        document(Version="2008-10-17"),
        document(Version=None),
        document(Id="mine"),
        document(Statement=[{"Effect": "Deny", "NotAction": ["iam:*", "sts:*"], "NotResource": ["arn:aws:s3:::b/*"]}]),
        document({"Sid": ""}),
        document({"Sid": "Read1", "Action": "*"}),
        document({"Action": "*:*"}),
        document({"Action": "S3:get*"}),
        document({"Resource": "arn:aws:s3"}),
        document({"Resource": "arn:aws:iam::*:role/*"}),
        document({"Resource": "arn:aws:iam::123456789012:u*"}),
        document({"Resource": "arn:aws:iam::123456789012:root"}),
        document({"Resource": "arn:aws:s3:::${aws:username}/*"}),
        document({"Resource": "arn:*:lambda:us-east-1:123456789012:function:f"}),
        document({"Resource": "arn:aws-cn:dynamodb:*:*:table/t"}),
        document({"Condition": {}}),
        document({"Condition": {"StringEquals": {"a": "b"}, "ForAnyValue:StringLikeIfExists": {"c": ["d", "e"]}, "Bool": {"e": True}}}),
        document({"Condition": {"Null": {"a": "true"}, "NumericLessThan": {"b": 5}}}),
    ],
)
def test_good_identity_policies(text: str) -> None:
    assert refusal(validate_identity_policy, text) is None
    compile_policy(text, "p")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", SYNTAX),
        ("not json", SYNTAX),
        ("[]", SYNTAX),
        ("{}", SYNTAX),
        (document(Version="2020-01-01"), SYNTAX),
        (document(Version=2012), SYNTAX),
        (document(Statement=None), SYNTAX),
        (document(Statement=[]), SYNTAX),
        (document(Statement="x"), SYNTAX),
        (document(Statement=["x"]), SYNTAX),
        (document(Extra=1), SYNTAX),
        (document(Id=1), SYNTAX),
        (document({"Effect": None}), SYNTAX),
        (document({"Effect": "allow"}), SYNTAX),
        (document({"Extra": 1}), SYNTAX),
        (document({"Sid": 1}), SYNTAX),
        (document({"Action": 1}), SYNTAX),
        (document({"Action": ["s3:GetObject", 1]}), SYNTAX),
        (document({"Resource": {"a": "b"}}), SYNTAX),
        (document({"NotAction": "s3:PutObject"}), SYNTAX),
        (document({"NotResource": "*"}), SYNTAX),
        (document({"Condition": "x"}), SYNTAX),
        (document({"Condition": {"StringEquals": "x"}}), SYNTAX),
        (document({"Condition": {"StringEqual": {"a": "b"}}}), SYNTAX),
        (document({"Condition": {"StringEquals": {"a": {"b": "c"}}}}), SYNTAX),
        (document({"Condition": {"StringEquals": {"a": None}}}), SYNTAX),
        (document({"Action": None}), "Policy statement must contain actions."),
        (document({"Action": []}), "Policy statement must contain actions."),
        (document({"Resource": None}), "Policy statement must contain resources."),
        (document({"Resource": []}), "Policy statement must contain resources."),
        (document({"Action": ""}), VENDOR),
        (document({"Action": "GetObject"}), VENDOR),
        (document({"Action": None, "NotAction": "GetObject"}), VENDOR),
        (document({"Action": ["s3:GetObject", "invalid"]}), VENDOR),
        (document({"Action": ":GetObject"}), "Vendor  is not valid"),
        (document({"Action": "iam :Get"}), "Vendor iam  is not valid"),
        (document({"Action": "s3:a:b"}), "Actions/Condition can contain only one colon."),
        (document({"Resource": "invalid"}), 'Resource invalid must be in ARN format or "*".'),
        (
            document({"Action": None, "NotAction": "s3:x", "Resource": None, "NotResource": "invalid"}),
            'Resource invalid must be in ARN format or "*".',
        ),
        (document({"Resource": ["*", ""]}), 'Resource  must be in ARN format or "*".'),
        (document({"Resource": "s3::example-bucket/*"}), 'Partition "" is not valid for resource "arn::example-bucket/*:*:*:*".'),
        (document({"Resource": "arn:aws2:s3:::b/*"}), 'Partition "aws2" is not valid for resource "arn:aws2:s3:::b/*".'),
        (document({"Resource": "arn:awss3::example-bucket/*"}), "The policy failed legacy parsing"),
        (document({"Resource": "arn:aws"}), "The policy failed legacy parsing"),
        (document({"Resource": "arn:aws:s3*:::b"}), QUALIFIED),
        (document({"Resource": "arn:aws:*"}), None),
        (
            document({"Resource": "arn:aws:iam:us-east-1:1:role/x"}),
            "IAM resource arn:aws:iam:us-east-1:1:role/x cannot contain region information.",
        ),
        (document({"Resource": "arn:aws:s3:us-east-1::b"}), "Resource arn:aws:s3:us-east-1::b can not contain region information."),
        (document({"Principal": "*"}), "Policy document should not specify a principal."),
        (document({"NotPrincipal": {"AWS": "*"}}), "Policy document should not specify a principal."),
        (
            document({"Sid": "a-b"}),
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
        ),
        (
            document(Statement=[{"Sid": "A", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}] * 2),
            "Statement IDs (SID) in a single policy must be unique.",
        ),
    ],
)
def test_refused_identity_policies(text: str, message: str | None) -> None:
    assert refusal(validate_identity_policy, text) == message


def test_the_iam_path() -> None:
    message = refusal(validate_identity_policy, document({"Resource": "arn:aws:iam::123456789012:robot/x"}))
    assert (message or "").startswith('IAM resource path must either be "*", root, or start with user/, federated-user/, role/,')


def test_a_managed_policy_has_the_current_version() -> None:
    message = "Policy document must be version 2012-10-17 or greater."
    assert refusal(validate_identity_policy, document(), managed=True) is None
    assert refusal(validate_identity_policy, document(Version=None), managed=True) == message
    assert refusal(validate_identity_policy, document(Version="2008-10-17"), managed=True) == message


def trust(change: dict[str, Any] | None = None, **top: Any) -> str:
    return document(
        {"Action": "sts:AssumeRole", "Resource": None, "Principal": {"Service": "lambda.amazonaws.com"}} | (change or {}), **top
    )


@pytest.mark.parametrize(
    "text",
    [
        trust(),
        trust(Version=None),
        trust(Version="2008-10-17"),
        trust({"Principal": {"AWS": ["123456789012", "arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:user/a/b"]}}),
        trust(
            {
                "Principal": {
                    "AWS": "arn:aws:iam::123456789012:role/service-role/x",
                    "Service": ["ec2.amazonaws.com", "edgelambda.amazonaws.com"],
                }
            }
        ),
        trust({"Principal": {"AWS": "arn:aws:sts::123456789012:assumed-role/r/s"}}),
        trust({"Principal": {"AWS": "*"}}),
        trust({"Principal": {"Federated": "cognito-identity.amazonaws.com"}, "Action": "sts:AssumeRoleWithWebIdentity"}),
        trust({"Action": ["sts:AssumeRole", "sts:TagSession"], "Sid": ""}),
        trust({"Action": "STS:assumerole", "Effect": "Deny"}),
    ],
)
def test_good_trust_policies(text: str) -> None:
    assert refusal(validate_trust_policy, text) is None
    compile_policy(text, "p")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "This policy contains invalid Json"),
        ("{", "This policy contains invalid Json"),
        ("[]", "This policy contains invalid Json"),
        (trust(Version="x"), "The policy must contain a valid version string"),
        (trust(Statement=[]), "Could not parse the policy: Statement is empty!"),
        (trust(Statement=None), "Could not parse the policy: Statement is empty!"),
        (trust({"Effect": None}), "Missing required field Effect"),
        (trust({"Effect": "Maybe"}), "Invalid effect: Maybe"),
        (trust({"Principal": None}), "Missing required field Principal"),
        (trust({"Principal": {}}), "Missing required field Principal cannot be empty!"),
        (trust({"Principal": {"AWS": []}}), "Missing required field Principal cannot be empty!"),
        (trust({"Principal": {"Robot": "x"}}), 'Invalid principal in policy: "Robot"'),
        (trust({"Principal": {"AWS": "bob"}}), 'Invalid principal in policy: "AWS":"bob"'),
        (
            trust({"Principal": {"AWS": "arn:aws:iam::123456789012:user/*"}}),
            'Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:user/*"',
        ),
        (trust({"Principal": {"Service": "lambda"}}), 'Invalid principal in policy: "SERVICE":"lambda"'),
        (trust({"Principal": {"Service": "*"}}), 'Invalid principal in policy: "SERVICE":"*"'),
        (trust({"Principal": None, "NotPrincipal": {"AWS": "*"}}), "Allow with NotPrincipal is not allowed."),
        (
            trust({"Principal": None, "NotPrincipal": {"AWS": "*"}, "Effect": "Deny"}),
            "AssumeRole policy must not contain NotPrincipal field.",
        ),
        (trust({"Action": None}), "Missing required field Action"),
        (trust({"Action": "*"}), "AssumeRole policy may only specify STS AssumeRole actions."),
        (trust({"Action": ["sts:AssumeRole", "s3:GetObject"]}), "AssumeRole policy may only specify STS AssumeRole actions."),
        (trust({"Resource": "*"}), "Has prohibited field Resource"),
        (trust({"NotResource": "*"}), "AssumeRole policy must not contain resources."),
        (trust({"Condition": {"Nope": {"a": "b"}}}), "Syntax error in policy."),
        (trust({"Extra": 1}), "Syntax error in policy."),
        (
            trust(Statement=[{"Sid": "A", "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}] * 2),
            "The Statement Ids in the policy are not unique",
        ),
    ],
)
def test_refused_trust_policies(text: str, message: str) -> None:
    assert refusal(validate_trust_policy, text) == message


def test_resource_policies_name_principals() -> None:
    assert refusal(validate_resource_policy, document({"Principal": "*", "Sid": "a-b_c"})) is None
    assert refusal(validate_resource_policy, document({"Principal": {"AWS": "123456789012"}})) is None
    assert refusal(validate_resource_policy, document()) == "Missing required field Principal"
    assert refusal(validate_resource_policy, document({"Principal": {"AWS": "x"}})) == 'Invalid principal in policy: "AWS":"x"'
    assert refusal(validate_resource_policy, document({"Principal": "*", "Action": "x"})) == VENDOR
    assert refusal(validate_resource_policy, document({"Principal": "*", "Resource": None})) == "Policy statement must contain resources."
    assert refusal(validate_resource_policy, "{") == SYNTAX
