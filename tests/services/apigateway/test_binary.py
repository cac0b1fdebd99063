"""What becomes of text and blobs: the tables of "Content type conversions in API Gateway"."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.services.apigateway.conftest import Api, function_uri

BLOB = b"\xff\x00blob"
IN_BASE64 = base64.b64encode(BLOB).decode()
ECHO = "def handler(event, context):\n    return event['data']\n"


@pytest.fixture(scope="module")
def echo(make_function: Callable[..., str]) -> str:
    return make_function(ECHO)


def mapped(api: Api, path: str, echo: str, request: dict[str, Any], response: dict[str, Any]) -> None:
    where = api.method(path, "POST")
    templates = dict.fromkeys(("text/plain", "image/png"), '{"data": "$input.body"}')
    uri = function_uri(echo)
    api.gateway.put_integration(**where, type="AWS", integrationHttpMethod="POST", uri=uri, requestTemplates=templates, **request)
    api.gateway.put_method_response(**where, statusCode="200")
    api.gateway.put_integration_response(**where, statusCode="200", **response)


def test_requests_with_a_template(make_api: Callable[..., Api], echo: str):
    api = make_api(binaryMediaTypes=["image/png"])
    mapped(api, "/text", echo, {"contentHandling": "CONVERT_TO_TEXT"}, {})
    mapped(api, "/as-is", echo, {}, {})
    api.deploy()

    def call(path: str, content_type: str, body: bytes) -> tuple[int, Any]:
        answer = api.call(path, "POST", data=body, headers={"Content-Type": content_type})
        return answer.status_code, answer.json()

    assert call("/text", "image/png", BLOB) == (200, IN_BASE64)
    assert call("/text", "text/plain", b"plain") == call("/as-is", "text/plain", b"plain") == (200, "plain")
    assert call("/as-is", "image/png", BLOB) == (500, {"message": "Internal server error"})


def test_responses_of_text(make_api: Callable[..., Api], echo: str):
    api = make_api(binaryMediaTypes=["image/png"])
    for path, response in {
        "/none": {},
        "/binary": {"contentHandling": "CONVERT_TO_BINARY"},
        "/text": {"contentHandling": "CONVERT_TO_TEXT"},
    }.items():
        mapped(api, path, echo, {}, response)
    api.deploy()

    def call(path: str, accept: str, body: str = IN_BASE64) -> bytes:
        return api.call(path, "POST", data=body, headers={"Content-Type": "text/plain", "Accept": accept}).content

    quoted = json.dumps(IN_BASE64).encode()
    assert [call("/none", "text/plain"), call("/none", "image/png"), call("/none", "text/plain,image/png")] == [quoted, BLOB, quoted]
    assert [call("/binary", accept) for accept in ("text/plain", "image/png")] == [BLOB, BLOB]
    assert [call("/text", accept) for accept in ("text/plain", "image/png")] == [quoted, quoted]
    assert call("/binary", "text/plain", "not Base64!") == b'{"message":"Internal server error"}'


def test_everything_binary_breaks_a_template_that_does_not_ask_for_text(api: Api):
    api.mock("/", "OPTIONS")
    change = {"op": "add", "path": "/binaryMediaTypes/*~1*"}
    api.gateway.update_rest_api(restApiId=api.id, patchOperations=[change])
    api.deploy()
    assert api.call("/", "OPTIONS").status_code == 500
    log = api.gateway.test_invoke_method(**api.at("/", "OPTIONS"))["log"]
    assert "Method request body before transformations: [Binary Data]\n" in log
    assert "Execution failed due to configuration error: Unable to transform request\n" in log
    text = {"op": "add", "path": "/contentHandling", "value": "CONVERT_TO_TEXT"}
    api.gateway.update_integration(**api.at("/", "OPTIONS"), patchOperations=[text])
    api.deploy()
    answer = api.call("/", "OPTIONS")
    assert (answer.status_code, answer.text) == (200, "{}")
