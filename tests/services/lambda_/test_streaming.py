"""Responses that are streamed: InvokeWithResponseStream and function URLs."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from tests.services.lambda_.conftest import zip_of
from tests.services.lambda_.test_urls import TIMEOUT, allow_everyone

Make = Callable[..., Any]
NODE = {"Runtime": "nodejs20.x", "Timeout": 20}

SLOW = """
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  for (const part of event.parts) { stream.write(part); await new Promise((done) => setTimeout(done, event.wait ?? 0)); }
  if (event.fail) throw new TypeError("broken");
  stream.end();
});
"""
HTTP = """
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  if (event.rawPath === "/plain") { stream.setContentType("text/plain"); stream.write("plain"); stream.end(); return; }
  if (event.rawPath === "/early") throw new Error("early");
  const headers = { "X-A": "b", "Content-Type": "text/css" };
  const out = awslambda.HttpResponseStream.from(stream, { statusCode: 202, headers, cookies: ["c=1"] });
  out.write("first;");
  await new Promise((done) => setTimeout(done, 400));
  out.write("second");
  if (event.rawPath === "/late") throw new Error("late");
  out.end();
});
"""


def invoke(lambda_: Any, name: str, event: Any, **more: Any) -> tuple[list[bytes], dict[str, str], Any]:
    answer = lambda_.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event).encode(), **more)
    chunks: list[bytes] = []
    complete: dict[str, str] = {}
    for event in answer["EventStream"]:
        if "PayloadChunk" in event:
            chunks.append(event["PayloadChunk"]["Payload"])
        else:
            complete = event["InvokeComplete"]
    return chunks, complete, answer


def test_a_streamed_response(lambda_: Any, function: Make, name: str) -> None:
    function(Code={"ZipFile": zip_of(app_js=SLOW)}, **NODE)
    chunks, complete, answer = invoke(lambda_, name, {"parts": ["a", "b", "c"], "wait": 60}, LogType="Tail")
    assert b"".join(chunks) == b"abc" and len(chunks) > 1
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "ErrorCode" not in complete and b"REPORT RequestId" in base64.b64decode(complete["LogResult"])
    chunks, complete, _ = invoke(lambda_, name, {"parts": ["x"], "fail": True})
    assert chunks == [b"x"] and complete["ErrorCode"] == "Unhandled"
    assert json.loads(complete["ErrorDetails"])["errorMessage"] == "broken"
    large = "y" * 3_000_000
    chunks, complete, _ = invoke(lambda_, name, {"parts": [large, large[:2_000_000]]})
    assert sum(len(chunk) for chunk in chunks) == 5_000_000
    whole = lambda_.invoke(FunctionName=name, Payload=b'{"parts": ["a", "b"]}')
    assert whole["Payload"].read() == b"ab"
    assert invoke(lambda_, name, {"parts": []}, InvocationType="DryRun")[2]["StatusCode"] == 204


def test_the_first_part_comes_before_the_last_is_written(lambda_: Any, function: Make, name: str) -> None:
    function(Code={"ZipFile": zip_of(app_js=SLOW)}, **NODE)
    invoke(lambda_, name, {"parts": ["warm"]})
    payload = json.dumps({"parts": ["a", "b"], "wait": 1500}).encode()
    answer = lambda_.invoke_with_response_stream(FunctionName=name, Payload=payload)
    began, events = time.monotonic(), iter(answer["EventStream"])
    assert next(events)["PayloadChunk"]["Payload"] == b"a"
    first = time.monotonic() - began
    assert [next(iter(event)) for event in events] == ["PayloadChunk", "InvokeComplete"]
    assert time.monotonic() - began > first + 1


def test_a_response_that_is_not_streamed(lambda_: Any, function: Make, name: str) -> None:
    function("def handler(event, context):\n    if event == 'fail':\n        raise KeyError('k')\n    return {'got': event}\n")
    chunks, complete, _ = invoke(lambda_, name, [1])
    assert json.loads(b"".join(chunks)) == {"got": [1]} and "ErrorCode" not in complete
    chunks, complete, _ = invoke(lambda_, name, "fail")
    assert chunks == [] and complete["ErrorCode"] == "Unhandled" and "KeyError" in complete["ErrorDetails"]


def test_a_timeout_ends_the_stream(lambda_: Any, function: Make, name: str) -> None:
    function(Code={"ZipFile": zip_of(app_js=SLOW)}, Runtime="nodejs20.x", Timeout=1)
    chunks, complete, _ = invoke(lambda_, name, {"parts": ["a", "b"], "wait": 5000})
    assert b"".join(chunks) == b"a" and "timed out" in complete["ErrorDetails"]


@pytest.fixture
def url(lambda_: Any, function: Make, name: str) -> str:
    function(Code={"ZipFile": zip_of(app_js=HTTP)}, **NODE)
    allow_everyone(lambda_, name)
    made: str = lambda_.create_function_url_config(FunctionName=name, AuthType="NONE", InvokeMode="RESPONSE_STREAM")["FunctionUrl"]
    return made


def test_a_url_that_streams(url: str) -> None:
    answer = requests.get(url, stream=True, timeout=TIMEOUT)
    assert (answer.status_code, answer.headers["X-A"], answer.headers["Content-Type"]) == (202, "b", "text/css")
    assert answer.headers["Transfer-Encoding"] == "chunked" and answer.cookies.get_dict() == {"c": "1"}
    assert list(answer.iter_content(None)) == [b"first;", b"second"]
    plain = requests.get(f"{url}plain", timeout=TIMEOUT)
    assert (plain.status_code, plain.headers["Content-Type"], plain.text) == (200, "text/plain", "plain")


def test_a_url_whose_function_fails(url: str) -> None:
    assert requests.get(f"{url}early", timeout=TIMEOUT).status_code == 502
    late = requests.get(f"{url}late", stream=True, timeout=TIMEOUT)
    assert late.status_code == 202
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        list(late.iter_content(None))


def test_a_reader_that_leaves_stops_nothing(url: str) -> None:
    for _ in range(3):
        answer = requests.get(url, stream=True, timeout=TIMEOUT)
        assert answer.status_code == 202
        answer.close()
    assert requests.get(f"{url}plain", timeout=TIMEOUT).text == "plain"
