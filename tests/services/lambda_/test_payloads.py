"""What is said of a payload that is no JSON, and how functions are named."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haar.services.lambda_.names import parse_name
from haar.services.lambda_.payloads import check_payload
from haar.wire.errors import ServiceError

VALUE = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


@pytest.mark.parametrize(
    "payload, message",
    [
        (b"foo", f"Unrecognized token 'foo': was expecting {VALUE}\n at [Source: (byte[])\"foo\"; line: 1, column: 4]"),
        (
            b"{not json",
            "Unexpected character ('n' (code 110)): was expecting double-quote to start field name\n"
            ' at [Source: (byte[])"{not json"; line: 1, column: 3]',
        ),
        (
            b'{"a" 1}',
            "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value\n"
            ' at [Source: (byte[])"{"a" 1}"; line: 1, column: 7]',
        ),
        (
            b'{"a":1 "b":2}',
            "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries\n"
            ' at [Source: (byte[])"{"a":1 "b":2}"; line: 1, column: 9]',
        ),
        (
            b"[1\n2]",
            "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries\n"
            ' at [Source: (byte[])"[1\n2]"; line: 2, column: 2]',
        ),
        (
            b'{"a":1',
            'Unexpected end-of-input: expected close marker for Object (start marker at [Source: (byte[])"{"a":1"; line: 1, column: 1])\n'
            ' at [Source: (byte[])"{"a":1"; line: 1, column: 7]',
        ),
        (b'{"a"', 'Unexpected end-of-input within/between Object entries\n at [Source: (byte[])"{"a""; line: 1, column: 5]'),
        (b'{"a":', 'Unexpected end-of-input within/between Object entries\n at [Source: (byte[])"{"a":"; line: 1, column: 6]'),
        (b'{"a":1,', 'Unexpected end-of-input within/between Object entries\n at [Source: (byte[])"{"a":1,"; line: 1, column: 8]'),
        (b"[1, ", 'Unexpected end-of-input within/between Array entries\n at [Source: (byte[])"[1, "; line: 1, column: 5]'),
        (
            b"[",
            'Unexpected end-of-input: expected close marker for Array (start marker at [Source: (byte[])"["; line: 1, column: 1])\n'
            ' at [Source: (byte[])"["; line: 1, column: 2]',
        ),
        (b'"abc', 'Unexpected end-of-input in VALUE_STRING\n at [Source: (byte[])""abc"; line: 1, column: 5]'),
        (b'{"abc', 'Unexpected end-of-input in field name\n at [Source: (byte[])"{"abc"; line: 1, column: 6]'),
        (b'"\xff"', 'Invalid UTF-8 start byte 0xff\n at [Source: (byte[])""\ufffd""; line: 1, column: 3]'),
        (b'"\xc3x"', 'Invalid UTF-8 middle byte 0x78\n at [Source: (byte[])""\ufffdx""; line: 1, column: 4]'),
        (b"]", f"Unexpected character (']' (code 93)): expected a valid value {VALUE}\n at [Source: (byte[])\"]\"; line: 1, column: 2]"),
    ],
)
def test_the_parser_s_words(payload: bytes, message: str) -> None:
    with pytest.raises(ServiceError) as caught:
        check_payload(payload)
    assert caught.value.code == "InvalidRequestContentException"
    assert caught.value.message == f"Could not parse request body into json: Could not parse payload into json: {message}"


def test_a_long_payload_is_shown_in_part() -> None:
    with pytest.raises(ServiceError) as caught:
        check_payload(b"[" + b"1," * 500)
    assert caught.value.message and '1,1"[truncated 501 bytes]; line: 1, column: 1002]' in caught.value.message


@given(st.binary(max_size=40) | st.text('{}[]",:truefalsn0123-.eE\\ \n', max_size=20).map(str.encode))
def test_any_bytes_are_taken_or_refused(payload: bytes) -> None:
    try:
        json.loads(payload.decode("utf-8"), parse_constant=lambda name: 1 / 0)
        good = True
    except (ValueError, ZeroDivisionError):
        good = False
    try:
        check_payload(payload)
    except ServiceError as error:
        assert error.code == "InvalidRequestContentException" and error.message
        # orjson also refuses numbers and surrogates that Python takes; never the other way round
    else:
        assert good or not payload


ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"


@pytest.mark.parametrize(
    "text, qualifier, expected",
    [
        ("f", None, ARN),
        ("f:1", None, ARN + ":1"),
        ("f", "live", ARN + ":live"),
        ("function:f", None, ARN),
        ("123456789012:function:f", None, ARN),
        ("123456789012:function:f:$LATEST", None, ARN + ":$LATEST"),
        ("123456789012:f", None, ARN),
        (ARN, None, ARN),
        (ARN + ":live", "live", ARN + ":live"),
        ("210987654321:function:f", None, ARN.replace("123456789012", "210987654321")),
    ],
)
def test_names(text: str, qualifier: str | None, expected: str) -> None:
    assert parse_name(text, "us-east-1", "123456789012", qualifier).qualified == expected


@pytest.mark.parametrize("text", ["", "a b", "arn:aws:lambda:us-east-1:123456789012:layer:f", "f:1:2", "arn:aws:s3:::f"])
def test_what_names_nothing(text: str) -> None:
    with pytest.raises(ServiceError):
        parse_name(text, "us-east-1", "123456789012")
