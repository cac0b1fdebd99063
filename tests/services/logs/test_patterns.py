"""Filter patterns, as the documentation's examples have them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haar.services.logs.patterns import compile_pattern
from haar.wire.errors import ServiceError

EVENT = json.dumps(
    {
        "eventType": "UpdateTrail",
        "sourceIPAddress": "111.111.111.111",
        "arrayKey": ["value", "another value"],
        "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
        "SomeObject": None,
        "ThisFlag": True,
        "latency": 50.5,
        "code": "404",
        "a.b": {"c-d": "x"},
    }
)


def matches(pattern: str, message: str) -> bool:
    return compile_pattern(pattern).matches(message)


@pytest.mark.parametrize(
    "pattern, message, expected",
    [
        ("", "anything", True),
        ("   ", "anything", True),
        ("ERROR", "[ERROR 400] BAD REQUEST", True),
        ("ERROR", "[error] x", False),
        ("ERROR ARGUMENTS", "[ERROR] INVALID ARGUMENTS", True),
        ("ERROR ARGUMENTS", "[ERROR] INVALID", False),
        ("?ERROR ?ARGUMENTS", "[ERROR 401] UNAUTHORIZED", True),
        ("?ERROR ?ARGUMENTS", "ok", False),
        ("?ERROR ok", "ok", True),
        ("ERROR -ARGUMENTS", "[ERROR] INVALID ARGUMENTS", False),
        ("ERROR -ARGUMENTS", "[ERROR] OTHER", True),
        ("-ERROR", "fine", True),
        ('"INTERNAL SERVER ERROR"', "[ERROR 500] INTERNAL SERVER ERROR", True),
        ('"INTERNAL ERROR"', "INTERNAL SERVER ERROR", False),
        (r'"a \"b\""', 'say a "b"', True),
        ('-"a b"', "a b", False),
        ("%AUTHORIZED%", "UNAUTHORIZED", True),
        ("%^AUTHORIZED%", "UNAUTHORIZED", False),
        (r"%[45]\d\d%", "HTTP 503", True),
        (r"ERROR %x{2}%", "ERROR xx", True),
    ],
)
def test_terms(pattern: str, message: str, expected: bool) -> None:
    assert matches(pattern, message) is expected


@pytest.mark.parametrize(
    "pattern, expected",
    [
        ('{ $.eventType = "UpdateTrail" }', True),
        ("{ $.eventType = UpdateTrail }", True),
        ('{$.eventType="Update*"}', True),
        ('{ $.eventType = "*Trail" }', True),
        ('{ $.eventType = "*date*" }', True),
        ('{ $.eventType = "Up*Trailer" }', False),
        ('{ $.eventType != "UpdateTrail" }', False),
        ('{ $.sourceIPAddress != "123.123.*" }', True),
        ('{ $.sourceIPAddress = "111.111.*" }', True),
        ("{ $.sourceIPAddress = %111.\\d+.111% }", True),
        ('{ $.arrayKey[0] = "value" }', True),
        ('{ $.arrayKey[1] = "value" }', False),
        ('{ $.arrayKey[*] = "another value" }', True),
        ("{ $.objectList[1].id = 2 }", True),
        ("{ $.objectList[*].id > 1 }", True),
        ("{ $.SomeObject IS NULL }", True),
        ("{ $.eventType IS NULL }", False),
        ("{ $.SomeOtherObject NOT EXISTS }", True),
        ("{ $.SomeObject NOT EXISTS }", False),
        ("{ $.SomeObject EXISTS }", True),
        ("{ $.ThisFlag IS TRUE }", True),
        ("{ $.ThisFlag IS FALSE }", False),
        ("{ $.latency > 50 }", True),
        ("{ $.latency >= 50.5 && $.latency <= 5.05e1 }", True),
        ("{ $.latency < 50 }", False),
        ("{ $.code = 404 }", True),
        ("{ $.nothing > 1 }", False),
        ('{ $.nothing != "x" }', False),
        ('{ ($.eventType = "x" || $.latency = 50.5) && $.ThisFlag IS TRUE }', True),
        ('{ $.eventType = "x" || $.latency = 50.5 && $.ThisFlag IS FALSE }', False),
        ("{ $.['a.b'].c-d = x }", True),
        ('{ $["a.b"]["c-d"] = "x" }', True),
    ],
)
def test_json(pattern: str, expected: bool) -> None:
    assert matches(pattern, EVENT) is expected
    assert not matches(pattern, "no JSON at all")


LINE = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'


@pytest.mark.parametrize(
    "pattern, expected",
    [
        ("[ip, server, username, timestamp, request, status_code, bytes]", True),
        ("[ip, server, username, timestamp, request, status_code]", False),
        ("[ip, server, username, timestamp, request, status_code = 4*, bytes > 1000]", True),
        ("[ip, server, username, timestamp, request, status_code = 5* || status_code = 4*, bytes]", True),
        ("[ip, server, username, timestamp, request, status_code != 404, bytes]", False),
        ('[ip, server, username, timestamp, request = "*GET*html*", status_code, bytes < 2000]', True),
        ("[..., status_code = 404, bytes]", True),
        ("[ip = %^127%, ...]", True),
        ("[ip, ..., bytes = 1534]", True),
        ("[ip != 127.*, ...]", False),
        ("[ip, server = Prod && server != Test, ...]", True),
    ],
)
def test_fields(pattern: str, expected: bool) -> None:
    assert matches(pattern, LINE) is expected


def test_extracted_values() -> None:
    assert compile_pattern("[ip, ..., bytes]").extract(LINE) == {"$ip": "127.0.0.1", "$bytes": "1534"}
    assert compile_pattern("{ $.latency > 1 && $.code = 404 }").extract(EVENT) == {"$.latency": "50.5", "$.code": "404"}


@pytest.mark.parametrize(
    "pattern",
    [
        "a-b",
        '"unclosed',
        "{ $.a }",
        "{ $.a = }",
        "{ a = 1 }",
        "{ $.a = 1",
        "{ $.a > x }",
        "[a, b",
        "[..., b, ...]",
        "{ ($.a = 1 }",
        "%(%",
        "%a% %b% %c%",
        "{ $.a ! 1 }",
        "[]",
    ],
)
def test_refused(pattern: str) -> None:
    with pytest.raises(ServiceError) as caught:
        compile_pattern(pattern)
    assert caught.value.code == "InvalidParameterException"


@given(st.text(max_size=30))
def test_any_text_is_a_pattern_or_is_refused(text: str) -> None:
    try:
        compile_pattern(text).matches('{"a": [1, "b"]}')
    except ServiceError as error:
        assert error.code == "InvalidParameterException"


@given(st.lists(st.text("ab\n", max_size=4), min_size=2, max_size=4), st.text("ab\n", max_size=12))
def test_wildcards_are_as_a_regular_expression_has_them(pieces: list[str], text: str) -> None:
    import re

    pattern = "{ $.x = " + json.dumps("*".join(pieces)).replace("\\n", "\n") + " }"
    expected = re.fullmatch(".*".join(map(re.escape, pieces)), text, re.DOTALL) is not None
    assert matches(pattern, json.dumps({"x": text})) is expected


def test_a_hostile_expression_takes_no_time() -> None:
    assert not matches("%(a+)+$%", "a" * 50_000 + "b")
