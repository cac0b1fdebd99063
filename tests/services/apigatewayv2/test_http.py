"""HTTP_PROXY, parameter mapping, CORS, speeds."""

import json
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from .conftest import REGION, HttpApi, refused


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        said = json.dumps({"method": self.command, "path": self.path, "headers": headers, "body": body}).encode()
        self.send_response(404 if self.path.startswith("/gone") else 200)
        self.send_header("X-Backend", "yes")
        self.send_header("Access-Control-Allow-Origin", "backend")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do_PUT = do_OPTIONS = _answer

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_a_request_goes_through(api: HttpApi, backend: str) -> None:
    api.route("ANY /pets/{proxy+}", api.integration(backend + "/x/{proxy}"))
    answer = api.call("/pets/a/b%20c?q=1&q=2", "POST", data="body", headers={"X-Custom": "1", "Cookie": "a=1"})
    assert (answer.status_code, answer.headers["X-Backend"]) == (200, "yes")
    assert len(answer.raw.headers.getlist("Date")) == 1
    said = answer.json()
    assert (said["method"], said["path"], said["body"]) == ("POST", "/x/a/b%20c?q=1&q=2", "body")
    assert said["headers"]["x-custom"] == "1" and said["headers"]["cookie"] == "a=1"
    assert said["headers"]["host"] == backend.removeprefix("http://")
    host = f"{api.id}.execute-api.{REGION}.amazonaws.com"
    assert said["headers"]["forwarded"] == f"by=127.0.0.1;for=127.0.0.1;host={host};proto=http"
    assert not [name for name in said["headers"] if name.startswith("x-forwarded-")]
    assert said["headers"]["via"] == "HTTP/1.1 AmazonAPIGateway"
    assert api.call("/pets/../gone").status_code in (200, 404)


def test_who_forwarded_a_request_before(api: HttpApi, backend: str) -> None:
    api.route("GET /", api.integration(backend + "/"))
    api.route("GET /mapped", api.integration(backend + "/", RequestParameters={"overwrite:header.x-a": "1"}))
    for path in ("/", "/mapped"):
        headers = api.call(path, headers={"X-Forwarded-For": "192.0.2.1, 2001:db8::1"}).json()["headers"]
        assert headers["forwarded"].startswith('for=192.0.2.1,for="[2001:db8::1]",by=127.0.0.1;for=127.0.0.1;host=')
        assert "x-forwarded-for" not in headers


def test_a_mapping_may_name_the_host(api: HttpApi, backend: str) -> None:
    api.route("GET /", api.integration(backend + "/", RequestParameters={"overwrite:header.Host": "shop.example"}))
    assert api.call("/").json()["headers"]["host"] == "shop.example"


def test_headers_that_are_too_long(api: HttpApi, backend: str) -> None:
    api.route("GET /", api.integration(backend + "/"))
    assert api.call("/", headers={"X-A": "a" * 9_000}).status_code == 200
    answer = api.call("/", headers={"X-A": "a" * 10_240})
    assert (answer.status_code, answer.json()) == (431, {"message": "Request Header Fields Too Large"})


def test_the_integrations_own_method_and_status(api: HttpApi, backend: str) -> None:
    api.route("GET /a", api.integration(backend + "/gone", IntegrationMethod="PUT"))
    answer = api.call("/a")
    assert (answer.status_code, answer.json()["method"]) == (404, "PUT")


def test_what_is_too_large_or_too_slow(api: HttpApi, backend: str) -> None:
    api.route("POST /a", api.integration(backend))
    answer = api.call("/a", "POST", data=b"x" * (10 * 1024 * 1024 + 1))
    assert (answer.status_code, answer.json()) == (413, {"message": "Request Entity Too Large"})
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        api.route("GET /slow", api.integration(address, TimeoutInMillis=50))
        answer = api.call("/slow")
        assert (answer.status_code, answer.json()) == (503, {"message": "Service Unavailable"})


def test_an_endpoint_that_is_not_there(api: HttpApi) -> None:
    api.route("GET /", api.integration("http://127.0.0.1:1/"))
    answer = api.call("/")
    assert (answer.status_code, answer.json()) == (503, {"message": "Service Unavailable"})


def test_parameters_of_the_request(api: HttpApi, backend: str) -> None:
    api.gateway.update_stage(ApiId=api.id, StageName="$default", StageVariables={"v": "var"})
    parameters = {
        "append:header.x-many": "static",
        "overwrite:header.x-mixed": "${request.method}-${context.stage}-$ {x}-${stageVariables.v}",
        "remove:header.x-gone": "''",
        "overwrite:querystring.id": "$request.path.id",
        "append:querystring.h": "$request.header.X-In",
        "remove:querystring.drop": "''",
        "overwrite:header.x-body": "$request.body.a.b",
        "overwrite:path": "/new/${request.querystring.p}",
    }
    api.route("POST /old/{id}", api.integration(backend + "/old", RequestParameters=parameters))
    headers = {"X-Many": "own", "X-Gone": "1", "X-In": "in", "Content-Type": "application/json"}
    said = api.call("/old/7?p=q&drop=1", "POST", data='{"a": {"b": 5}}', headers=headers).json()
    assert said["path"] == "/new/q?p=q&id=7&h=in"
    assert said["headers"]["x-many"] == "own,static"
    assert said["headers"]["x-mixed"] == "POST-$default-$ {x}-var"
    assert said["headers"]["x-body"] == "5" and "x-gone" not in said["headers"]
    assert said["body"] == '{"a": {"b": 5}}'


def test_a_path_around_a_variable(api: HttpApi, backend: str) -> None:
    for key, path in {"/v1/{proxy+}": "/$request.path.proxy", "/two/{a}/{b}": "/$request.path.b/$request.path.a-$context.stage"}.items():
        api.route(f"GET {key}", api.integration(backend, RequestParameters={"overwrite:path": path}))
    assert api.call("/v1/user/add").json()["path"] == "/user/add"
    assert api.call("/two/1/2").json()["path"] == "/2/1-$default"


def test_parameters_of_the_response(api: HttpApi, backend: str) -> None:
    mapped = {
        "404": {"overwrite:statuscode": "403", "append:header.x-why": "$response.header.x-backend", "remove:header.x-backend": "''"},
        "200": {"overwrite:header.x-path": "$response.body.path"},
    }
    api.route("GET /gone", api.integration(backend + "/gone", ResponseParameters=mapped))
    api.route("GET /here", api.integration(backend + "/here", ResponseParameters=mapped))
    gone = api.call("/gone")
    assert (gone.status_code, gone.headers["x-why"], "X-Backend" in gone.headers) == (403, "yes", False)
    assert api.call("/here").headers["x-path"] == "/here"


def test_parameters_reach_functions(api: HttpApi, echo: str) -> None:
    parameters = {"overwrite:header.x-a": "$request.path.id", "append:querystring.q": "2"}
    api.route("GET /{id}", api.integration(echo, RequestParameters=parameters))
    event = api.call("/7?q=1").json()["event"]
    assert event["headers"]["x-a"] == "7" and event["queryStringParameters"] == {"q": "1,2"}


@pytest.mark.parametrize(
    "parameters",
    [
        {"overwrite:header.Authorization": "x"},
        {"append:header.x-amz-a": "x"},
        {"append:path": "x"},
        {"set:header.a": "x"},
        {"append:header.a": "$foo.bar"},
        {"append:header.a": "$response.header.b"},
    ],
)
def test_parameters_that_may_not_be(api: HttpApi, parameters: dict[str, str]) -> None:
    code, _, status = refused(
        api.gateway.create_integration,
        ApiId=api.id,
        IntegrationType="HTTP_PROXY",
        IntegrationMethod="GET",
        IntegrationUri="http://127.0.0.1/",
        RequestParameters=parameters,
    )
    assert (code, status) == ("BadRequestException", 400)


CORS = {
    "AllowOrigins": ["https://a.example"],
    "AllowMethods": ["GET", "POST"],
    "AllowHeaders": ["x-a"],
    "ExposeHeaders": ["x-b"],
    "AllowCredentials": True,
    "MaxAge": 60,
}


def test_preflights_are_answered_by_the_api(make_api: Callable[..., HttpApi], backend: str) -> None:
    api = make_api(CorsConfiguration=CORS)
    api.route("ANY /{proxy+}", api.integration(backend + "/"))
    asks = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    answer = api.call("/x", "OPTIONS", headers=asks)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert answer.headers["access-control-allow-methods"] == "GET,POST"
    assert answer.headers["access-control-allow-headers"] == "x-a"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-max-age"] == "60"
    other = api.call("/x", "OPTIONS", headers=asks | {"Origin": "https://b.example"})
    assert other.status_code == 204 and "access-control-allow-origin" not in other.headers
    # no preflight: the route answers, and the API's headers stand in place of the backend's
    assert api.call("/x", "OPTIONS").json()["method"] == "OPTIONS"
    answer = api.call("/x", headers={"Origin": "https://a.example"})
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert answer.headers["access-control-expose-headers"] == "x-b"
    assert "access-control-allow-origin" not in api.call("/x", headers={"Origin": "https://b.example"}).headers
    assert api.call("/", headers={"Origin": "https://a.example"}).headers["access-control-allow-origin"] == "https://a.example"


def test_cors_that_is_taken_away(make_api: Callable[..., HttpApi], backend: str) -> None:
    api = make_api(CorsConfiguration={"AllowOrigins": ["*"]})
    api.route("ANY /{proxy+}", api.integration(backend + "/"))
    assert api.call("/x", headers={"Origin": "https://b.example"}).headers["access-control-allow-origin"] == "*"
    api.gateway.delete_cors_configuration(ApiId=api.id)
    assert "CorsConfiguration" not in api.gateway.get_api(ApiId=api.id)
    assert api.call("/x", headers={"Origin": "https://b.example"}).headers["Access-Control-Allow-Origin"] == "backend"


def test_a_route_is_held_to_its_speed(api: HttpApi, backend: str) -> None:
    api.route("GET /slow", api.integration(backend + "/"))
    api.route("GET /free", api.integration(backend + "/"))
    settings = {"GET /slow": {"ThrottlingRateLimit": 0.001, "ThrottlingBurstLimit": 2}}
    api.gateway.update_stage(ApiId=api.id, StageName="$default", RouteSettings=settings)
    assert [api.call("/slow").status_code for _ in range(3)] == [200, 200, 429]
    assert api.call("/slow").json() == {"message": "Too Many Requests"}
    assert api.call("/free").status_code == 200
