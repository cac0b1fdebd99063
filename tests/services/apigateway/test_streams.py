"""Responses that are streamed through REST APIs."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from tests.services.apigateway.conftest import REGION, Api, refused

NODE = """
export const handler = awslambda.streamifyResponse(async (event, stream, context) => {
  const how = (event.queryStringParameters || {}).how;
  if (how === "fails") throw new Error("no");
  if (how === "plain") { stream.write("no metadata here"); stream.end(); return; }
  const head = { statusCode: 201, headers: { "x-foo": "bar" }, multiValueHeaders: { "Set-Cookie": ["c1=blue", "c2=red"] } };
  stream = awslambda.HttpResponseStream.from(stream, head);
  stream.write("first " + event.httpMethod + " ");
  await new Promise((done) => setTimeout(done, 700));
  if (how === "breaks") throw new Error("later");
  stream.write("second");
  if (how === "large") for (let n = 0; n < 12; n++) stream.write("x".repeat(1024 * 1024));
  stream.end();
});
"""


def streaming_uri(arn: str) -> str:
    return f"arn:aws:apigateway:{REGION}:lambda:path/2021-11-15/functions/{arn}/response-streaming-invocations"


@pytest.fixture(scope="module")
def function(make_function: Callable[..., str]) -> str:
    return make_function(NODE, Runtime="nodejs20.x", Handler="app.handler", file="app.mjs")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(203)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        for part in (b"one ", b"two"):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            self.wfile.flush()
            if "breaks" in self.path:
                self.close_connection = True
                return
            time.sleep(0.7)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def arrivals(answer: requests.Response) -> list[tuple[float, bytes]]:
    """When the parts of a body came, and what they were."""
    began = time.monotonic()
    return [(time.monotonic() - began, part) for part in answer.iter_content(None)]


def test_a_function_streams(api: Api, function: str) -> None:
    where = api.method("/s")
    settings = {"type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": streaming_uri(function)}
    made = api.gateway.put_integration(**where, responseTransferMode="STREAM", timeoutInMillis=90_000, **settings)
    assert (made["responseTransferMode"], made["timeoutInMillis"]) == ("STREAM", 90_000)
    api.deploy()
    answer = api.call("/s", stream=True)
    assert (answer.status_code, answer.headers["x-foo"], answer.headers["Transfer-Encoding"]) == (201, "bar", "chunked")
    assert [value for name, value in answer.raw.headers.items() if name == "Set-Cookie"] == ["c1=blue", "c2=red"]
    parts = arrivals(answer)
    assert b"".join(part for _, part in parts) == b"first GET second"
    assert parts[-1][0] - parts[0][0] > 0.3, "it came all at once"
    assert len(api.call("/s?how=large").content) == 16 + 12 * 1024 * 1024
    for how in ("fails", "plain"):
        failed = api.call(f"/s?how={how}")
        assert (failed.status_code, failed.json()) == (502, {"message": "Internal server error"}), how
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        arrivals(api.call("/s?how=breaks", stream=True))
    tested = api.gateway.test_invoke_method(**where)
    assert (tested["status"], tested["body"]) == (201, "first GET second")


def test_a_server_streams(api: Api, backend: str) -> None:
    for path in ("/h", "/breaks"):
        settings = {"type": "HTTP_PROXY", "integrationHttpMethod": "GET", "uri": backend + path}
        api.gateway.put_integration(**api.method(path), responseTransferMode="STREAM", **settings)
    api.deploy()
    answer = api.call("/h", stream=True)
    parts = arrivals(answer)
    assert (answer.status_code, answer.headers["Content-Type"], b"".join(part for _, part in parts)) == (203, "text/plain", b"one two")
    assert parts[-1][0] - parts[0][0] > 0.3, "it came all at once"
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        arrivals(api.call("/breaks", stream=True))


def test_nobody_reads_the_body_of_a_head(api: Api, function: str) -> None:
    settings = {"type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": streaming_uri(function)}
    api.gateway.put_integration(**api.method("/s", "HEAD"), responseTransferMode="STREAM", **settings)
    api.mock("/m")
    api.deploy()
    for _ in range(2):  # on one connection: nothing of a body may be on it
        answer = api.call("/s", "HEAD")
        assert (answer.status_code, answer.headers["x-foo"], answer.content) == (201, "bar", b"")
        assert api.call("/m").status_code == 200


def test_what_can_be_streamed(api: Api, function: str) -> None:
    where = api.method("/s")
    put = api.gateway.put_integration
    code, _, status = refused(put, **where, type="MOCK", responseTransferMode="STREAM")
    assert (code, status) == ("BadRequestException", 400)
    http = {"type": "HTTP_PROXY", "integrationHttpMethod": "GET", "uri": "http://localhost/"}
    assert refused(put, **where, timeoutInMillis=30_000, **http)[1] == "Timeout should be between 50 ms and 29000 ms"
    made = put(**where, **http, responseTransferMode="STREAM", timeoutInMillis=900_000)
    assert made["timeoutInMillis"] == 900_000
    patch = [{"op": "replace", "path": "/responseTransferMode", "value": "BUFFERED"}]
    assert refused(api.gateway.update_integration, **where, patchOperations=patch)[1].startswith("Timeout should be between")
    patch.append({"op": "replace", "path": "/timeoutInMillis", "value": "1000"})
    assert api.gateway.update_integration(**where, patchOperations=patch)["responseTransferMode"] == "BUFFERED"


def test_a_definition_of_what_is_streamed(api: Api) -> None:
    integration = {
        "type": "http_proxy",
        "httpMethod": "GET",
        "uri": "http://localhost/",
        "responseTransferMode": "STREAM",
        "timeoutInMillis": 60_000,
    }
    paths = {"/s": {"get": {"responses": {}, "x-amazon-apigateway-integration": integration}}}
    body = json.dumps({"openapi": "3.0.1", "info": {"title": "streams"}, "paths": paths}).encode()
    api.gateway.put_rest_api(restApiId=api.id, mode="overwrite", body=body)
    resource = next(one["id"] for one in api.gateway.get_resources(restApiId=api.id)["items"] if one["path"] == "/s")
    found = api.gateway.get_integration(restApiId=api.id, resourceId=resource, httpMethod="GET")
    assert (found["responseTransferMode"], found["timeoutInMillis"]) == ("STREAM", 60_000)
    api.deploy()
    exported = api.gateway.get_export(restApiId=api.id, stageName="v1", exportType="oas30", parameters={"extensions": "integrations"})
    shown = json.loads(exported["body"].read())["paths"]["/s"]["get"]["x-amazon-apigateway-integration"]
    assert (shown["responseTransferMode"], shown["timeoutInMillis"]) == ("STREAM", 60_000)
