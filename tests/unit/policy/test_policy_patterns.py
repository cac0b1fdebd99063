"""Wildcards and variables in actions and resources."""

import json
import time
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haar.policy.decision import AccessRequest
from haar.policy.document import compile_policy
from haar.policy.evaluate import evaluate
from haar.policy.patterns import Patterns

TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/orders"


def applies(statement: dict[str, Any], action: str = "dynamodb:GetItem", resource: str = TABLE, **context: str) -> bool:
    policy = compile_policy(json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow"} | statement}), "p")
    given_context = {key.replace("__", ":"): [value] for key, value in context.items()}
    request = AccessRequest(action, resource, "arn:aws:iam::123456789012:user/bob", "123456789012", "user", context=given_context)
    return evaluate(request, identity=[policy]).allowed


@pytest.mark.parametrize(
    ("pattern", "action", "expected"),
    [
        ("*", "dynamodb:GetItem", True),
        ("*:*", "dynamodb:GetItem", True),
        ("dynamodb:*", "dynamodb:GetItem", True),
        ("DynamoDB:getitem", "dynamodb:GetItem", True),
        ("dynamodb:Get*", "dynamodb:GetItem", True),
        ("dynamodb:*Item", "dynamodb:BatchGetItem", True),
        ("dynamodb:*Item", "dynamodb:GetItems", False),
        ("dynamodb:Get????", "dynamodb:GetItem", True),
        ("dynamodb:Get???", "dynamodb:GetItem", False),
        ("dyn*:GetItem", "dynamodb:GetItem", True),
        ("d?namodb:GetItem", "dynamodb:GetItem", True),
        ("s3:*", "dynamodb:GetItem", False),
        ("dynamodb:GetItem", "dynamodb:GetItems", False),
        ("dynamodb:G*t*m", "dynamodb:GetItem", True),
        ("", "dynamodb:GetItem", False),
    ],
)
def test_actions(pattern: str, action: str, expected: bool) -> None:
    assert applies({"Action": pattern, "Resource": "*"}, action) is expected
    assert applies({"Action": ["s3:Nothing", pattern], "Resource": "*"}, action) is expected
    assert applies({"NotAction": pattern, "Resource": "*"}, action) is not expected


@pytest.mark.parametrize(
    ("pattern", "resource", "expected"),
    [
        ("*", TABLE, True),
        ("*", "*", True),
        (TABLE, TABLE, True),
        (TABLE, "*", False),
        (TABLE, TABLE.upper(), False),
        (TABLE + "*", TABLE + "/index/i", True),
        (TABLE, TABLE + "/index/i", False),
        ("arn:aws:dynamodb:*:*:table/*", TABLE, True),
        ("arn:aws:dynamodb:*:123456789012:table/ord?rs", TABLE, True),
        ("arn:aws:dynamodb:us-*-1:*:table/orders", TABLE, True),
        ("arn:aws:dynamodb:us-west-?:*:table/orders", TABLE, False),
        ("arn:aws:dynamodb:*:table/orders", TABLE, True),
        ("arn:aws:dynamodb:us*:table/orders", TABLE, True),
        ("arn:aws:dynamodb:us*1:table/orders", TABLE, False),
        ("arn:aws:dynamodb:*:table/o*s", TABLE, True),
        ("arn:aws:dynamodb:*:table/o*", TABLE, True),
        ("arn:aws:dynamodb:us-east-1:1?/orders", TABLE, False),
        ("arn:aws:dynamodb:us-east-1:1*/orders", TABLE, False),
        ("arn:*:dynamodb:*:*:*", TABLE, True),
        ("arn:aws:dynamodb", TABLE, True),
        ("arn:aws:dynamodb:us-east-1", TABLE, True),
        ("arn:aws:dynamodb:eu-west-1", TABLE, False),
        ("arn:aws:s3", TABLE, False),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/a:b/c", True),
        ("arn:aws:logs:*:*:log-group:/aws/lambda/*:*", "arn:aws:logs:us-east-1:1:log-group:/aws/lambda/f:log-stream:x", True),
    ],
)
def test_resources(pattern: str, resource: str, expected: bool) -> None:
    assert applies({"Action": "*", "Resource": pattern}, resource=resource) is expected
    assert applies({"Action": "*", "Resource": ["arn:aws:none:::x", pattern]}, resource=resource) is expected
    assert applies({"Action": "*", "NotResource": pattern}, resource=resource) is not expected


@pytest.mark.parametrize(
    ("pattern", "context", "expected"),
    [
        ("arn:aws:dynamodb:*:*:table/${aws:username}", {"aws__username": "orders"}, True),
        ("arn:aws:dynamodb:*:*:table/${AWS:USERNAME}", {"aws__username": "orders"}, True),
        ("arn:aws:dynamodb:*:*:table/${aws:username}*", {"aws__username": "ord"}, True),
        ("arn:aws:dynamodb:*:*:table/${aws:username}", {"aws__username": "ord*"}, False),
        ("arn:aws:dynamodb:*:*:table/${aws:username}", {}, False),
        ("arn:aws:dynamodb:*:*:table/${aws:username, 'orders'}", {}, True),
        ("arn:aws:dynamodb:${aws:RequestedRegion}:*:table/*", {"aws__RequestedRegion": "us-east-1"}, True),
        ("arn:aws:dynamodb:*:*:table/${*}", {}, False),
    ],
)
def test_variables_in_resources(pattern: str, context: dict[str, str], expected: bool) -> None:
    assert applies({"Action": "*", "Resource": pattern}, **context) is expected
    assert applies({"Action": "*", "NotResource": pattern}, **context) is not expected


def test_an_old_policy_has_no_variables() -> None:
    policy = compile_policy(json.dumps({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::${aws:username}"}}), "p")
    for resource, expected in (("arn:aws:s3:::bob", False), ("arn:aws:s3:::${aws:username}", True)):
        request = AccessRequest("s3:x", resource, "arn:aws:iam::1:user/bob", "1", "user", context={"aws:username": ["bob"]})
        decision = evaluate(request, identity=[policy])
        assert (decision.allowed, decision.conditional) == (expected, False)


def reference(pattern: str, text: str) -> bool:
    """Wildcards by their definition: a table over both lengths."""
    rows = [[False] * (len(text) + 1) for _ in range(len(pattern) + 1)]
    rows[0][0] = True
    for at, char in enumerate(pattern, 1):
        for end in range(len(text) + 1):
            if char == "*":
                rows[at][end] = rows[at - 1][end] or (end > 0 and rows[at][end - 1])
            elif end > 0:
                rows[at][end] = rows[at - 1][end - 1] and char in ("?", text[end - 1])
    return rows[-1][-1]


@given(st.text("ab*?.[", max_size=12), st.text("ab.[\n", max_size=16))
def test_wildcards_match_as_they_are_defined(pattern: str, text: str) -> None:
    assert Patterns([pattern]).matches(text) is reference(pattern, text)


def reference_arn(pattern: str, text: str, crossing: bool) -> bool:
    """ARN wildcards by their definition; `crossing`: a `*` at the end of a field goes on beyond the colon."""

    @lru_cache(None)
    def fits(at: int, end: int) -> bool:
        if at == len(pattern):
            return end == len(text)
        within = pattern.count(":", 0, at) < 5
        char = pattern[at]
        if char == "*":
            ends_field = at + 1 == len(pattern) or pattern[at + 1] == ":"
            goes_on = end < len(text) and (not within or text[end] != ":" or (crossing and ends_field))
            return fits(at + 1, end) or (goes_on and fits(at, end + 1))
        if end == len(text):
            return False
        matches = (not within or text[end] != ":") if char == "?" else char == text[end]
        return matches and fits(at + 1, end + 1)

    return fits(0, 0)


arn_patterns = st.lists(st.text("ab*?", max_size=5), min_size=6, max_size=8).map(lambda fields: ":".join(["arn", *fields[1:]]))
arn_texts = st.lists(st.text("ab", max_size=5), min_size=6, max_size=10).map(lambda fields: ":".join(["arn", *fields[1:]]))


@given(arn_patterns, arn_texts)
def test_arn_wildcards_match_as_they_are_defined(pattern: str, text: str) -> None:
    assert Patterns([pattern], scope="segments").matches(text) is reference_arn(pattern, text, crossing=False)
    assert Patterns([pattern], scope="resource").matches(text) is reference_arn(pattern, text, crossing=True)


@given(st.text("ab*?:", max_size=14), st.text("ab:", max_size=14))
def test_wildcards_of_short_arns_go_beyond_colons(pattern: str, text: str) -> None:
    if pattern.count(":") < 4 and not pattern.startswith("n:"):
        expected = reference_arn("n:" + pattern, "n:" + text, crossing=True)
        assert Patterns(["n:" + pattern], scope="resource").matches("n:" + text) is expected


def test_no_pattern_takes_long() -> None:
    started = time.process_time()
    assert not Patterns(["*a" * 200 + "b"]).matches("a" * 5000)
    assert not Patterns(["arn:aws:s3:::" + "*a?" * 200 + "b"], scope="segments").matches("arn:aws:s3:::" + "a" * 5000)
    assert not Patterns(["arn:" + "*:a*b" * 4 + "c"], scope="resource").matches("arn:" + ":aab" * 1500)
    assert time.process_time() - started < 20, "a backtracking matcher would not end at all"
