"""Large bodies are read as small ones are, a slice at a time."""

import base64
import os
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haar.wire import load
from haar.wire.errors import CommonError
from haar.wire.http import Request
from haar.wire.large import SLICE, STEP, decode, long_texts, parse_large


def parse(body: bytes) -> dict[str, Any]:
    return load("lambda").parse("CreateFunction", Request.of("POST", "/2015-03-31/functions", body=body))


async def read(document: Any) -> dict[str, Any]:
    return await parse_large(bytearray(orjson.dumps(document)), parse, os.urandom)


async def test_a_package_is_taken_out_and_put_back() -> None:
    package = os.urandom(3 * SLICE + 1)
    for text in ({"Description": 'a \\" b'}, {}):
        found = await read({"FunctionName": "f", "Code": {"ZipFile": base64.b64encode(package).decode()}, "Handler": "h"} | text)
        assert found == {"FunctionName": "f", "Code": {"ZipFile": package}, "Handler": "h"} | text
        assert type(found["Code"]["ZipFile"]) is bytearray


async def test_long_texts_that_are_no_blobs_stay_texts() -> None:
    long = "A" * (4 * STEP)
    assert (await read({"FunctionName": "f", "Description": long}))["Description"] == long
    spaced = "A b" * STEP
    assert (await read({"FunctionName": "f", "Description": spaced}))["Description"] == spaced
    quoted = 'say \\"' + "A" * (4 * STEP) + '\\"'
    assert (await read({"FunctionName": "f", "Description": quoted}))["Description"] == quoted


@pytest.mark.parametrize(
    "wrong", [lambda text: text[:-1] + "!", lambda text: text[: SLICE - 1] + "=" + text[SLICE:], lambda text: text + "A"]
)
async def test_what_is_not_base64_is_refused_as_ever(wrong: Any) -> None:
    text = wrong(base64.b64encode(b"x" * 3 * SLICE).decode())
    with pytest.raises(CommonError) as refused:
        await read({"FunctionName": "f", "Code": {"ZipFile": text}})
    with pytest.raises(CommonError) as usual:
        parse(orjson.dumps({"FunctionName": "f", "Code": {"ZipFile": text}}))
    assert refused.value.args == usual.value.args


async def test_what_is_not_json_is_refused() -> None:
    for body in (b'"a"' + b"A" * 4 * STEP + b'"b"', b"A" * 4 * STEP, b'{"a": "' + b"A" * 4 * STEP):
        with pytest.raises(CommonError):
            await parse_large(body, parse, os.urandom)


@settings(deadline=None, max_examples=20)
@given(st.binary(min_size=0, max_size=64), st.integers(0, 5))
async def test_decoding_is_that_of_the_whole(start: bytes, more: int) -> None:
    package = start + b"z" * (more * SLICE)
    text = b'"' + base64.b64encode(package) + b'"'
    assert await decode(text, 1, len(text) - 1) == package


async def test_only_long_texts_are_found() -> None:
    body = orjson.dumps({"a": "x" * (STEP // 2), "b": ["y" * 10] * 100_000})
    assert await long_texts(body) == []
