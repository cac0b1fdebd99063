"""HTTP and HTTP_PROXY integrations with a real server behind them."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.services.apigateway.conftest import Api


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if "slow" in self.path:
            time.sleep(3)
        if "hang-up" in self.path:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        seen = {"method": self.command, "path": self.path, "headers": dict(self.headers.items()), "body": body}
        text = json.dumps(seen).encode()
        self.send_response(418 if "teapot" in self.path else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Server", "mine")
        if "chunked" in self.path:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (text[:10], text[10:]):
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = answer

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}"
    listening.shutdown()
    listening.server_close()


@pytest.fixture
def proxied(api: Api, server: str) -> Callable[..., Api]:
    def make(path: str = "/{proxy+}", uri: str = "/{proxy}", method: str = "ANY", **settings: Any) -> Api:
        where = api.method(path, method, requestParameters={"method.request.path.proxy": True, "method.request.header.X-In": False})
        given = {"requestParameters": {"integration.request.path.proxy": "method.request.path.proxy"}} | settings
        api.gateway.put_integration(**where, type="HTTP_PROXY", integrationHttpMethod=method, uri=server + uri, **given)
        api.deploy()
        return api

    return make


def test_a_proxy_hands_through(proxied: Callable[..., Api]):
    api = proxied()
    answer = api.call("/a/b%20c?q=1&q=2", "POST", data="é".encode(), headers={"X-In": "1", "Content-Type": "text/plain"})
    seen = answer.json()
    assert answer.status_code == 200 and answer.headers["X-Server"] == "mine" and "x-amzn-Remapped-Date" in answer.headers
    assert seen["method"] == "POST" and seen["path"] == "/a/b%20c?q=1&q=2" and seen["body"] == "é"
    assert seen["headers"]["X-In"] == "1" and seen["headers"]["Content-Type"] == "text/plain"
    assert seen["headers"]["X-Forwarded-For"] == "127.0.0.1"
    assert api.call("/teapot").status_code == 418
    assert api.call("/chunked").json()["path"] == "/chunked"
    assert api.call("/a", "HEAD").status_code == 200


def test_a_proxy_may_add(proxied: Callable[..., Api]):
    parameters = {
        "integration.request.path.proxy": "method.request.path.proxy",
        "integration.request.header.X-Static": "'fixed'",
        "integration.request.header.X-Id": "context.requestId",
        "integration.request.querystring.extra": "method.request.header.X-In",
    }
    answer = proxied(requestParameters=parameters).call("/a?q=1", headers={"X-In": "v w"})
    seen = answer.json()
    assert seen["headers"]["X-Static"] == "fixed" and seen["headers"]["X-Id"] == answer.headers["x-amzn-RequestId"]
    assert seen["path"] == "/a?q=1&extra=v+w"


def test_a_mapped_endpoint(api: Api, server: str):
    where = api.method("/{id}", "PUT", requestParameters={"method.request.querystring.q": False})
    api.gateway.put_integration(
        **where,
        type="HTTP",
        integrationHttpMethod="POST",
        uri=f"{server}/${{stageVariables.base}}/{{item}}",
        requestParameters={
            "integration.request.path.item": "method.request.path.id",
            "integration.request.querystring.page": "method.request.querystring.q",
            "integration.request.header.X-Body": "method.request.body.name",
        },
        requestTemplates={"application/json": '{"wrapped": $input.json("$")}'},
    )
    template = '{"path": "$input.path(\'$.path\')", "body": "$util.escapeJavaScript($input.path(\'$.body\'))"}'
    for status, settings in [
        (
            "200",
            {
                "responseTemplates": {"application/json": template},
                "responseParameters": {"method.response.header.X-From": "integration.response.header.X-Server"},
            },
        ),
        ("400", {"selectionPattern": "4\\d\\d", "responseTemplates": {"application/json": "$input.params('id')"}}),
    ]:
        declared = dict.fromkeys(settings.get("responseParameters", {}), False)
        api.gateway.put_method_response(**where, statusCode=status, responseParameters=declared)
        api.gateway.put_integration_response(**where, statusCode=status, **settings)
    api.deploy("v1", variables={"base": "items"})
    answer = api.call("/7?q=2&r=3", "PUT", json={"name": "n"})
    assert answer.status_code == 200 and answer.headers["X-From"] == "mine"
    assert answer.json() == {"path": "/items/7?page=2", "body": '{"wrapped": {"name":"n"}}'}
    refused = api.call("/teapot", "PUT", json={"name": "n"})
    assert (refused.status_code, refused.text) == (400, "teapot")


def test_endpoints_that_do_not_answer(proxied: Callable[..., Api], api: Api):
    proxied(timeoutInMillis=1000)
    late = api.call("/slow")
    assert (late.status_code, late.json()) == (504, {"message": "Endpoint request timed out"})
    gone = api.call("/hang-up")
    assert gone.status_code == 504 and "message" in gone.json()


def test_an_endpoint_that_is_not_there(api: Api):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        where = api.method("/")
        api.gateway.put_integration(
            **where, type="HTTP_PROXY", integrationHttpMethod="GET", uri=f"http://127.0.0.1:{taken.getsockname()[1]}/"
        )
        api.deploy()
        answer = api.call("/")
    assert answer.status_code == 504 and answer.headers["x-amzn-ErrorType"] == "InternalServerErrorException"
