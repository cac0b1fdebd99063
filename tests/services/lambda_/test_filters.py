"""Filter patterns of event source mappings."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haar.services.lambda_.filters import BadPattern, compile_filters, compile_pattern

RECORD = {
    "eventName": "INSERT",
    "dynamodb": {
        "NewImage": {"Name": {"S": "Anna"}, "Age": {"N": "41"}, "Flag": {"BOOL": True}, "None": {"NULL": True}},
        "Keys": {"id": {"S": "user#1"}},
    },
    "body": {"price": 10, "tags": ["a", "b"], "rows": [{"x": 1}, {"x": 2}], "empty": "", "nothing": None, "none": []},
}


@pytest.mark.parametrize(
    "pattern, matches",
    [
        ({"eventName": ["INSERT"]}, True),
        ({"eventName": ["MODIFY", "REMOVE"]}, False),
        ({"eventName": ["MODIFY", "INSERT"]}, True),
        ({"eventName": ["insert"]}, False),
        ({"eventName": [{"equals-ignore-case": "insert"}]}, True),
        ({"eventName": [{"anything-but": ["REMOVE"]}]}, True),
        ({"eventName": [{"anything-but": "INSERT"}]}, False),
        ({"eventName": [{"anything-but": {"prefix": "INS"}}]}, False),
        ({"eventName": [{"anything-but": {"suffix": ["X", "Y"]}}]}, True),
        ({"gone": [{"anything-but": ["x"]}]}, False),
        ({"dynamodb": {"NewImage": {"Name": {"S": [{"prefix": "An"}]}}}}, True),
        ({"dynamodb": {"NewImage": {"Name": {"S": [{"prefix": {"equals-ignore-case": "aN"}}]}}}}, True),
        ({"dynamodb": {"NewImage": {"Name": {"S": [{"suffix": "x"}, {"suffix": "na"}]}}}}, True),
        ({"dynamodb": {"NewImage": {"Age": {"N": ["41"]}}}}, True),
        ({"dynamodb": {"NewImage": {"Age": {"N": [41]}}}}, False),
        ({"dynamodb": {"NewImage": {"Age": {"N": [{"numeric": [">", 1]}]}}}}, False),
        ({"dynamodb": {"NewImage": {"Flag": {"BOOL": [True]}}}}, True),
        ({"dynamodb": {"NewImage": {"Flag": {"BOOL": [1]}}}}, False),
        ({"dynamodb": {"NewImage": {"Gone": {"S": [{"exists": False}]}}}}, True),
        ({"dynamodb": {"OldImage": {"Name": {"S": [{"exists": False}]}}}}, True),
        ({"dynamodb": {"OldImage": {"Name": {"S": [{"exists": True}]}}}}, False),
        ({"dynamodb": {"NewImage": {"Name": {"S": [{"exists": True}]}}}}, True),
        ({"dynamodb": {"NewImage": {"Name": [{"exists": True}]}}}, False),
        ({"body": {"price": [{"numeric": ["=", 10.0]}]}}, True),
        ({"body": {"price": [{"numeric": [">", 5, "<=", 10]}]}}, True),
        ({"body": {"price": [{"numeric": [">", 10, "<", 20]}]}}, False),
        ({"body": {"price": [10.0]}}, True),
        ({"body": {"tags": ["b"]}}, True),
        ({"body": {"tags": ["c"]}}, False),
        ({"body": {"rows": {"x": [2]}}}, True),
        ({"body": {"empty": [""]}}, True),
        ({"body": {"nothing": [None]}}, True),
        ({"body": {"nothing": [{"exists": True}]}}, True),
        ({"body": {"none": [{"exists": False}]}}, True),
        ({"$or": [{"eventName": ["REMOVE"]}, {"body": {"price": [10]}}]}, True),
        ({"$or": [{"eventName": ["REMOVE"]}, {"body": {"price": [11]}}]}, False),
        ({"eventName": ["INSERT"], "body": {"price": [11]}}, False),
    ],
)
def test_patterns(pattern: Any, matches: bool) -> None:
    assert compile_pattern(json.dumps(pattern))(RECORD) is matches


@pytest.mark.parametrize(
    "pattern",
    [
        "no",
        "[]",
        "{}",
        '"text"',
        '{"a": "b"}',
        '{"a": 1}',
        '{"a": []}',
        '{"a": {}}',
        '{"a": [["b"]]}',
        '{"a": [{"unknown": 1}]}',
        '{"a": [{"prefix": 1}]}',
        '{"a": [{"prefix": "x", "suffix": "y"}]}',
        '{"a": [{"exists": "yes"}]}',
        '{"a": [{"numeric": ["!", 1]}]}',
        '{"a": [{"numeric": [">", 5, "<", 1]}]}',
        '{"a": [{"numeric": []}]}',
        '{"a": [{"anything-but": []}]}',
        '{"a": [{"anything-but": [null]}]}',
        '{"$or": [{"a": ["b"]}]}',
        '{"a": ["' + "x" * 4096 + '"]}',
    ],
)
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(BadPattern):
        compile_pattern(pattern)


def test_any_of_several_patterns_is_enough() -> None:
    assert compile_filters([]) is None
    both = compile_filters(['{"a": [1]}', '{"b": [2]}'])
    assert both is not None and both({"a": 1}) and both({"b": 2}) and not both({"a": 2, "b": 1})


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)


@given(values, values)
def test_no_pattern_or_record_is_too_odd(pattern: Any, record: Any) -> None:
    try:
        matches = compile_pattern(json.dumps(pattern))
    except BadPattern:
        return
    assert matches(record) in (True, False)


@given(st.dictionaries(st.sampled_from("abc"), st.text(max_size=3) | st.integers(-5, 5) | st.booleans() | st.none(), min_size=1))
def test_a_record_matches_its_own_values_and_nothing_but_them(record: dict[str, Any]) -> None:
    assert compile_pattern(json.dumps({name: [value] for name, value in record.items()}))(record)
    for name, value in record.items():
        if isinstance(value, str):
            assert not compile_pattern(json.dumps({name: [{"anything-but": value}]}))(record)
