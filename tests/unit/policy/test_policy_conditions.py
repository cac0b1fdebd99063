"""Condition operators, one row a rule of the reference."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haar.policy.conditions import OPERATORS, parse_date, parse_operator
from haar.policy.decision import AccessRequest
from haar.policy.document import compile_policy
from haar.policy.errors import PolicyError
from haar.policy.evaluate import evaluate

USER = "arn:aws:iam::123456789012:user/bob"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:queue"


def holds(condition: dict[str, Any], context: dict[str, Any], version: str = "2012-10-17") -> bool:
    """Whether an Allow under this condition applies to a request with this context."""
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": condition}
    policy = compile_policy(json.dumps({"Version": version, "Statement": statement}), "p")
    values = {key: value if isinstance(value, list) else [value] for key, value in context.items()}
    request = AccessRequest("s3:GetObject", "arn:aws:s3:::b/k", USER, "123456789012", "user", context=values)
    decision = evaluate(request, identity=[policy])
    assert decision.conditional, "a condition had a part in it"
    return decision.allowed


TABLE: list[tuple[str, Any, Any, bool]] = [
    # operator, the policy's values, the request's value, whether it holds
    ("StringEquals", "a", "a", True),
    ("StringEquals", "a", "A", False),
    ("StringEquals", ["a", "b"], "b", True),
    ("StringEquals", "a*", "ab", False),
    ("StringEquals", "a*", "a*", True),
    ("StringEquals", True, "true", True),
    ("StringEquals", 5, "5", True),
    ("StringNotEquals", "a", "a", False),
    ("StringNotEquals", "a", "b", True),
    ("StringNotEquals", ["a", "b"], "b", False),
    ("StringEqualsIgnoreCase", "Admin", "aDMIN", True),
    ("StringEqualsIgnoreCase", "Admin", "user", False),
    ("StringNotEqualsIgnoreCase", "Admin", "aDMIN", False),
    ("StringNotEqualsIgnoreCase", "Admin", "user", True),
    ("StringLike", "a*c", "abbbc", True),
    ("StringLike", "a*c", "ac", True),
    ("StringLike", "a?c", "abc", True),
    ("StringLike", "a?c", "ac", False),
    ("StringLike", "a?c", "abbc", False),
    ("StringLike", "A*", "abc", False),
    ("StringLike", "a.c", "abc", False),
    ("StringLike", "*", "", True),
    ("StringLike", "a*\n*b", "ax\nyb", True),
    ("StringNotLike", "a*", "abc", False),
    ("StringNotLike", "a*", "bc", True),
    ("NumericEquals", "10", "10.0", True),
    ("NumericEquals", 10, "10", True),
    ("NumericEquals", "10", "11", False),
    ("NumericEquals", "10", "ten", False),
    ("NumericNotEquals", "10", "11", True),
    ("NumericNotEquals", "10", "10", False),
    ("NumericLessThan", "10", "9", True),
    ("NumericLessThan", "10", "10", False),
    ("NumericLessThan", "10", "9.999999999999999999", True),
    ("NumericLessThanEquals", "10", "10", True),
    ("NumericLessThanEquals", "10", "10.1", False),
    ("NumericGreaterThan", "10", "100", True),
    ("NumericGreaterThan", "10", "9", False),
    ("NumericGreaterThanEquals", "10", "10", True),
    ("NumericGreaterThanEquals", "9007199254740993", "9007199254740992", False),
    ("DateEquals", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", True),
    ("DateEquals", "1767225600", "2026-01-01T00:00:00Z", True),
    ("DateNotEquals", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", True),
    ("DateLessThan", "2026-01-01T00:00:00Z", "2025-12-31T23:59:59Z", True),
    ("DateLessThan", "2026-01-01", "2026-01-01T00:00:00Z", False),
    ("DateLessThanEquals", "2026-01-01", "2026-01-01T00:00:00Z", True),
    ("DateGreaterThan", "2026-01", "2026-01-01T00:00:01Z", True),
    ("DateGreaterThanEquals", "2026", "2025-12-31T23:59:59Z", False),
    ("DateGreaterThan", "yesterday", "2026-01-01T00:00:01Z", False),
    ("Bool", "true", "true", True),
    ("Bool", "True", "true", True),
    ("Bool", True, "true", True),
    ("Bool", "false", "true", False),
    ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", True),
    ("BinaryEquals", "QmluYXJ5", "QmluYXJ4", False),
    ("IpAddress", "203.0.113.0/24", "203.0.113.9", True),
    ("IpAddress", "203.0.113.0/24", "203.0.114.9", False),
    ("IpAddress", "203.0.113.9", "203.0.113.9", True),
    ("IpAddress", ["10.0.0.0/8", "203.0.113.7/24"], "203.0.113.9", True),
    ("IpAddress", "2001:db8::/32", "2001:DB8:0:1::1", True),
    ("IpAddress", "2001:db8::/32", "203.0.113.9", False),
    ("IpAddress", "127.0.0.0/8", "::ffff:127.0.0.1", True),
    ("IpAddress", "203.0.113.0/24", "not an address", False),
    ("NotIpAddress", "203.0.113.0/24", "203.0.113.9", False),
    ("NotIpAddress", "203.0.113.0/24", "203.0.114.9", True),
    ("ArnEquals", QUEUE, QUEUE, True),
    ("ArnEquals", "arn:aws:sqs:*:123456789012:queue", QUEUE, True),
    ("ArnLike", "arn:aws:sqs:us-*-1:*:que??", QUEUE, True),
    ("ArnLike", "arn:aws:sqs:*:queue", QUEUE, False),
    ("ArnLike", "arn:aws:sqs:us-east-1:1*5:queue", QUEUE, False),
    ("ArnLike", "arn:aws:execute-api:*:*:id/*/GET/*", "arn:aws:execute-api:us-east-1:1:id/prod/GET/a:b/c", True),
    ("ArnLike", "arn*", QUEUE, False),
    ("ArnLike", "*", QUEUE, True),
    ("ArnNotEquals", QUEUE, QUEUE, False),
    ("ArnNotLike", "arn:aws:sqs:*:*:other", QUEUE, True),
    ("Null", "true", "anything", False),
    ("Null", "false", "anything", True),
    ("Null", True, "", True),
]


@pytest.mark.parametrize(("name", "wanted", "given_value", "expected"), TABLE)
def test_an_operator(name: str, wanted: Any, given_value: str, expected: bool) -> None:
    assert holds({name: {"aws:Key": wanted}}, {"AWS:kEY": given_value}) is expected
    if name != "Null":
        assert holds({name + "IfExists": {"aws:Key": wanted}}, {"aws:key": given_value}) is expected


def test_the_table_has_every_operator() -> None:
    assert {name.lower() for name, *_ in TABLE} == {*OPERATORS, "null"}


@pytest.mark.parametrize("name", sorted({name for name, *_ in TABLE}))
def test_a_key_that_is_missing(name: str) -> None:
    negated = "Not" in name
    for context in ({}, {"aws:Key": []}, {"aws:Other": "a"}):
        if name == "Null":
            assert holds({name: {"aws:Key": "true"}}, context)
            assert not holds({name: {"aws:Key": "false"}}, context)
            continue
        assert holds({name: {"aws:Key": "a"}}, context) is negated
        assert holds({name + "IfExists": {"aws:Key": "a"}}, context)
        assert holds({f"ForAllValues:{name}": {"aws:Key": "a"}}, context)
        assert not holds({f"ForAnyValue:{name}": {"aws:Key": "a"}}, context)
        assert holds({f"ForAnyValue:{name}IfExists": {"aws:Key": "a"}}, context)


@pytest.mark.parametrize(
    ("name", "wanted", "given_values", "expected"),
    [
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False),
        ("ForAllValues:StringEquals", ["a", "b"], [""], True),
        ("ForAllValues:StringLike", ["team-*"], ["team-a", "team-b"], True),
        ("ForAllValues:StringNotEquals", ["a"], ["b", "c"], True),
        ("ForAllValues:StringNotEquals", ["a"], ["a", "c"], False),
        ("ForAnyValue:StringEquals", ["a", "b"], ["c", "b"], True),
        ("ForAnyValue:StringEquals", ["a", "b"], ["c"], False),
        ("ForAnyValue:StringEquals", [""], [""], False),
        ("ForAnyValue:StringNotEquals", ["a"], ["a", "c"], True),
        ("ForAnyValue:StringNotEquals", ["a"], ["a"], False),
        ("foranyvalue:stringequals", ["a"], ["a"], True),
        ("StringEquals", ["a"], ["c", "a"], True),
        ("StringNotEquals", ["a"], ["c", "a"], False),
    ],
)
def test_keys_of_many_values(name: str, wanted: list[str], given_values: list[str], expected: bool) -> None:
    assert holds({name: {"k": wanted}}, {"k": given_values}) is expected


def test_all_operators_and_all_keys_must_hold() -> None:
    condition = {"StringEquals": {"a": "1", "b": "2"}, "Bool": {"c": "true"}}
    assert holds(condition, {"a": "1", "b": "2", "c": "true"})
    for missing in ("a", "b", "c"):
        context = {"a": "1", "b": "2", "c": "true", missing: "no"}
        assert not holds(condition, context)


@pytest.mark.parametrize(
    ("name", "pattern", "value", "context", "expected"),
    [
        ("StringEquals", "${aws:username}", "bob", {"aws:username": "bob"}, True),
        ("StringEquals", "${AWS:UserName}", "bob", {"aws:username": "bob"}, True),
        ("StringEquals", "${aws:username}", "*", {"aws:username": "*"}, True),
        ("StringLike", "${aws:username}/*", "bob/x", {"aws:username": "bob"}, True),
        ("StringLike", "${aws:username}/*", "bobby/x", {"aws:username": "b*"}, False),
        ("StringEqualsIgnoreCase", "home/${aws:username}", "HOME/BOB", {"aws:username": "bob"}, True),
        ("StringEqualsIgnoreCase", "${none, 'Bob'}", "bOB", {}, True),
        ("StringEquals", "${aws:username}", "bob", {}, False),
        ("StringNotEquals", "${aws:username}", "bob", {}, True),
        ("StringEquals", "${aws:username, 'nobody'}", "nobody", {}, True),
        ("StringEquals", "${aws:username, 'nobody'}", "bob", {"aws:username": "bob"}, True),
        ("StringEquals", "${aws:PrincipalTag/team}", "red", {"aws:principaltag/Team": "red"}, True),
        ("StringEquals", "${multi}", "a", {"multi": ["a", "b"]}, False),
        ("StringLike", "a${*}", "a*", {}, True),
        ("StringLike", "a${*}", "ab", {}, False),
        ("StringLike", "a${?}", "ab", {}, False),
        ("StringEquals", "${$}{x}", "${x}", {}, True),
        ("StringEquals", "${unclosed", "${unclosed", {}, True),
        ("ArnLike", "arn:aws:iam::*:role/${aws:username}-*", "arn:aws:iam::1:role/bob-x", {"aws:username": "bob"}, True),
    ],
)
def test_policy_variables(name: str, pattern: str, value: str, context: dict[str, Any], expected: bool) -> None:
    assert holds({name: {"key": pattern}}, {"key": value} | context) is expected


def test_variables_are_text_in_the_old_version() -> None:
    condition = {"StringEquals": {"key": "${aws:username}"}}
    assert holds(condition, {"key": "${aws:username}", "aws:username": "bob"}, "2008-10-17")
    assert not holds(condition, {"key": "bob", "aws:username": "bob"}, "2008-10-17")


@pytest.mark.parametrize("name", ["StringEqualss", "Null:StringEquals", "ForAllValues:Null", "NullIfExists", "ForSome:StringEquals", ""])
def test_unknown_operators_are_no_policy(name: str) -> None:
    with pytest.raises(PolicyError):
        parse_operator(name)
    with pytest.raises(PolicyError):
        holds({name: {"k": "v"}}, {})


@given(st.text(max_size=30))
def test_dates_are_read_or_refused(text: str) -> None:
    assert parse_date(text) is None or isinstance(parse_date(text), float)


def test_keys_that_were_asked_for_and_are_missing_are_told() -> None:
    statement = {
        "Effect": "Allow",
        "Action": "*",
        "Resource": "arn:aws:s3:::${aws:PrincipalTag/bucket}/*",
        "Condition": {"StringEquals": {"aws:Team": "a"}, "Null": {"s3:prefix": "true"}},
    }
    policy = compile_policy(json.dumps({"Version": "2012-10-17", "Statement": statement}), "p")
    request = AccessRequest("s3:GetObject", "arn:aws:s3:::b/k", USER, "123456789012", "user")
    assert set(evaluate(request, identity=[policy]).missing_context) == {"aws:PrincipalTag/bucket", "aws:Team", "s3:prefix"}
