"""Constraint errors in AWS's words."""

import re
from typing import Any

import pytest

from haar.wire import compiled, load
from haar.wire.errors import CommonError
from haar.wire.model import Model
from haar.wire.pattern import compile_pattern


def problem(service: str, operation: str, input: dict[str, Any], opaque: frozenset[str] = frozenset()) -> str:
    with pytest.raises(CommonError) as caught:
        load(service, opaque).validate(operation, input)
    assert caught.value.code == "Validation"
    assert caught.value.message is not None
    return caught.value.message


def test_required() -> None:
    said = problem("dynamodb", "GetItem", {"TableName": "abc"})
    assert said == "1 validation error detected: Value null at 'key' failed to satisfy constraint: Member must not be null"


def test_length_of_a_text() -> None:
    said = problem("sts", "AssumeRole", {"RoleArn": "arn:aws:iam::123456789012:role/x", "RoleSessionName": "a"})
    assert said == (
        "1 validation error detected: Value 'a' at 'roleSessionName' failed to satisfy constraint: "
        "Member must have length greater than or equal to 2"
    )


def test_problems_are_collected() -> None:
    said = problem("sts", "AssumeRole", {"RoleSessionName": "!", "DurationSeconds": 1})
    first, rest = said.split(": ", 1)
    assert first == "4 validation errors detected"
    problems = rest.split("; ")
    assert len(problems) == 4
    assert "Value null at 'roleArn' failed to satisfy constraint: Member must not be null" in problems
    assert "Value '!' at 'roleSessionName' failed to satisfy constraint: Member must have length greater than or equal to 2" in problems
    assert (
        r"Value '!' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*"
        in problems
    )
    assert "Value '1' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900" in problems


def test_no_more_than_ten_are_named() -> None:
    definitions = [{"AttributeName": "a", "AttributeType": "X"}] * 20
    table = {"TableName": "abc", "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}], "AttributeDefinitions": definitions}
    said = problem("dynamodb", "CreateTable", table)
    assert said.startswith("10 validation errors detected: ")
    assert said.count("Member must satisfy") == 10


def test_elements_have_numbered_paths() -> None:
    table = {
        "TableName": "abc",
        "AttributeDefinitions": [{"AttributeName": "a", "AttributeType": "S"}, {"AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "a", "KeyType": "X"}],
    }
    assert problem("dynamodb", "CreateTable", table) == (
        "2 validation errors detected: "
        "Value null at 'attributeDefinitions.2.member.attributeName' failed to satisfy constraint: Member must not be null; "
        "Value 'X' at 'keySchema.1.member.keyType' failed to satisfy constraint: Member must satisfy enum value set: [HASH, RANGE]"
    )


def test_structures_are_printed_as_aws_prints_them() -> None:
    transaction = [{"Get": {"TableName": "abc", "Key": {"a": {"S": "x"}}}}] * 101
    said = problem("dynamodb", "TransactGetItems", {"TransactItems": transaction})
    assert "Value '[TransactGetItem(get=Get(key={a=AttributeValue(s=x, n=null," in said
    assert said.endswith("at 'transactItems' failed to satisfy constraint: Member must have length less than or equal to 100")


def test_simple_elements_are_told_of_together() -> None:
    said = problem("logs", "PutMetricFilter", {"logGroupName": "g", "filterName": "f", "filterPattern": "p", "metricTransformations": []})
    assert said == (
        "1 validation error detected: Value '[]' at 'metricTransformations' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1"
    )
    said = problem("logs", "StartLiveTail", {"logGroupIdentifiers": ["$"]})
    assert said.startswith(
        "1 validation error detected: Value '[$]' at 'logGroupIdentifiers' failed to satisfy constraint: "
        "Member must satisfy constraint: [Member must have length less than or equal to 2048, "
        "Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: "
    )


def test_maps() -> None:
    said = problem("dynamodb", "BatchWriteItem", {"RequestItems": {"abc": []}}, frozenset({"AttributeValue"}))
    assert said == (
        "1 validation error detected: Value '{abc=[]}' at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: "
        "[Member must have length less than or equal to 25, Member must have length greater than or equal to 1]"
    )
    said = problem("dynamodb", "BatchGetItem", {"RequestItems": {"abc": {}}}, frozenset({"AttributeValue"}))
    assert said == (
        "1 validation error detected: Value null at 'requestItems.abc.member.keys' failed to satisfy constraint: Member must not be null"
    )


def test_secrets_are_not_repeated() -> None:
    said = problem("iam", "ChangePassword", {"OldPassword": "hunter1\x00", "NewPassword": "hunter2"})
    assert said.startswith(
        "1 validation error detected: Value at 'oldPassword' failed to satisfy constraint: Member must satisfy regular expression pattern: "
    )


def test_a_union_has_one_member() -> None:
    description = {
        "metadata": {"protocol": "json", "apiVersion": "2020-01-01"},
        "operations": {"Do": {"http": {"method": "POST", "requestUri": "/"}, "input": {"shape": "Input"}}},
        "shapes": {
            "Input": {"type": "structure", "members": {"Choice": {"shape": "Choice"}}},
            "Choice": {"type": "structure", "union": True, "members": {"a": {"shape": "Text"}, "b": {"shape": "Text"}}},
            "Text": {"type": "string"},
        },
    }
    codec = compiled(Model("example", description))
    codec.validate("Do", {"Choice": {"a": "x"}})
    for choice in ({}, {"a": "x", "b": "y"}):
        with pytest.raises(CommonError, match="at 'choice'"):
            codec.validate("Do", {"Choice": choice})


def test_opaque_shapes_are_not_checked() -> None:
    load("dynamodb", frozenset({"AttributeValue"})).validate("GetItem", {"TableName": "abc", "Key": {"a": {"nonsense": 1}}})


def test_long_texts_do_not_hold_up_the_matcher() -> None:
    # This pattern takes a minute for 2,500 digits: it has three repetitions of the same characters.
    export = {"TableArn": "arn:aws:dynamodb:us-east-1:123456789012:table/abc", "S3Bucket": "1" * 1_000_000 + "!"}
    said = problem("dynamodb", "ExportTableToPointInTime", export)
    assert said.startswith("1 validation error detected")
    assert said.endswith("at 's3Bucket' failed to satisfy constraint: Member must have length less than or equal to 255")
    # With one repetition there is nothing to fear, and both problems are told.
    said = problem("sts", "AssumeRole", {"RoleArn": "arn:aws:iam::123456789012:role/x", "RoleSessionName": "!" * 65})
    assert said.startswith("2 validation errors detected")


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"[\u0020-\u007E]+", "abc", "é"),
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "naïve tag 1", "tab\t"),
        (r"\p{Alnum}+", "a1", "-"),
        (r"[\P{M}\p{M}]+", "e\u0301", ""),
        (r"(?<year>\d{4})", "2020", "20"),
        (r"[\w-_]+", "a-b", "."),
        (r"[\uD800\uDC00-\uDBFF\uDFFF]", "\U0001f600", "a"),
        (r"[\x{41}-\x{43}]", "B", "D"),
    ],
)
def test_java_patterns(pattern: str, good: str, bad: str) -> None:
    compiled_pattern = compile_pattern(pattern)
    assert compiled_pattern.fullmatch(good)
    assert not compiled_pattern.fullmatch(bad)


@pytest.mark.parametrize("service", ["dynamodb", "dynamodbstreams", "lambda", "iam", "apigateway", "logs", "sts"])
def test_every_pattern_of_our_services_is_understood(service: str) -> None:
    codec = load(service)
    for shape in codec.model.shapes.values():  # type: ignore[attr-defined]
        if "pattern" in shape:
            assert compile_pattern(shape["pattern"]).pattern != r"[\s\S]*" or shape["pattern"] in (r"[\s\S]*", ".*"), shape["pattern"]


def test_pattern_is_java_not_python() -> None:
    with pytest.raises(re.error):
        re.compile(r"\p{L}")
