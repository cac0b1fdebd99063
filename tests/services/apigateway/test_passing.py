"""What passes between callers and integrations: headers by the table of the Developer Guide's important notes, templates, limits."""

import gzip
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .conftest import Api, refused

PROGRAMMED = "import json\ndef handler(event, context): return json.loads(event['body'])"
SHOWN = "import json\ndef handler(event, context): return {'statusCode': 200, 'body': json.dumps(event)}"
BROKEN = "def handler(event, context): raise Exception('kaputt')"


class Upstream(http.server.BaseHTTPRequestHandler):
    """Tells what it was asked, with headers that do not all come through."""

    protocol_version = "HTTP/1.1"
    sent = (
        ("Via", "1.1 up"),
        ("WWW-Authenticate", "Basic"),
        ("Connection", "keep-alive"),
        ("Trailer", "X"),
        ("Host", "up"),
        ("X-Own", "1"),
    )

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        told = json.dumps({"method": self.command, "path": self.path, "headers": dict(self.headers.items())}).encode()
        self.send_response(200)
        for name, value in (*self.sent, ("Content-Type", "application/json"), ("Content-Length", str(len(told)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(told)

    do_PUT = do_POST

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def programmed(make_function: Callable[..., str]) -> str:
    return make_function(PROGRAMMED)


@pytest.fixture(scope="module")
def shown(make_function: Callable[..., str]) -> str:
    return make_function(SHOWN)


def test_a_server_is_passed_through(api: Api, upstream: str) -> None:
    where = api.method("/up", "ANY")
    api.gateway.put_integration(**where, type="HTTP_PROXY", integrationHttpMethod="ANY", uri=upstream)
    api.deploy()
    sent = {"Content-Encoding": "identity", "Via": "v", "Max-Forwards": "1", "Server": "s", "X-Mine": "1", "Authorization": "mine"}
    answer = api.call("/up", "POST", data="{}", headers=sent)
    got = answer.json()["headers"]
    assert got["X-Mine"] == "1" and got["Authorization"] == "mine" and got["x-amzn-apigateway-api-id"] == api.id
    assert not {"Content-Encoding", "Via", "Max-Forwards", "Server"} & set(got)
    for name in ("WWW-Authenticate", "Connection", "Content-Length", "Date", "Server"):
        assert f"x-amzn-Remapped-{name}" in answer.headers, name
    assert answer.headers["X-Own"] == "1" and not {"Via", "Trailer", "WWW-Authenticate", "X-Amzn-Trace-Id"} & set(answer.headers)
    overridden = api.call("/up", "POST", data="{}", headers={"X-HTTP-Method-Override": "PUT"}).json()
    assert overridden["method"] == "PUT" and "X-HTTP-Method-Override" not in overridden["headers"]
    for name in ("GET /elsewhere HTTP/1.1", "PUT/public", "NONE", ""):
        refused = api.call("/up", "POST", data="{}", headers={"X-HTTP-Method-Override": name})
        assert (refused.status_code, refused.json()) == (403, {"message": "Missing Authentication Token"}), name


def test_a_mapped_server_belongs_to_a_trace(api: Api, upstream: str) -> None:
    where = api.method("/up", "POST")
    api.gateway.put_integration(**where, type="HTTP", integrationHttpMethod="POST", uri=upstream)
    api.gateway.put_method_response(**where, statusCode="200", responseParameters={"method.response.header.WWW-Authenticate": False})
    source = {"method.response.header.WWW-Authenticate": "integration.response.header.WWW-Authenticate"}
    api.gateway.put_integration_response(**where, statusCode="200", responseParameters=source)
    api.deploy()
    answer = api.call("/up", "POST", data="{}")
    trace = answer.json()["headers"]["X-Amzn-Trace-Id"]
    assert answer.headers["X-Amzn-Trace-Id"] == f"{trace};Parent={trace[-16:]};Sampled=0"
    for sent, got in [
        ("Root=1-a-b;Parent=cd;Sampled=0", "Root=1-a-b;Parent=cd;Sampled=0"),
        ("Root=1-a-b;Parent=cd", "Root=1-a-b;Parent=cd;Sampled=1"),
    ]:
        assert api.call("/up", "POST", headers={"X-Amzn-Trace-Id": sent}).headers["X-Amzn-Trace-Id"] == got
    assert api.call("/up", "POST", headers={"X-Amzn-Trace-Id": "x=Root=1"}).headers["X-Amzn-Trace-Id"].startswith("Root=1-")
    assert answer.headers["x-amzn-Remapped-WWW-Authenticate"] == "Basic" and "WWW-Authenticate" not in answer.headers


def test_what_a_function_gets(api: Api, shown: str) -> None:
    api.function("/f", shown, "POST")
    api.deploy()
    signature = {"Authorization": "AWS4-HMAC-SHA256 Credential=x", "Content-MD5": "m", "Via": "v", "WWW-Authenticate": "w", "TE": "t"}
    event = api.call("/f?a=1;b=2", "POST", data="{}", headers=signature).json()
    assert event["headers"]["Via"] == "v" and not {"Authorization", "Content-MD5", "WWW-Authenticate", "TE"} & set(event["headers"])
    assert event["queryStringParameters"] == {"a": "1", "b": "2"}


def test_what_a_function_may_not_answer(api: Api, programmed: str) -> None:
    api.function("/f", programmed, "POST")
    api.deploy()
    for wrong in (
        {"statusCode": 200, "cookies": ["a=b"]},
        {"statusCode": 200, "headers": []},
        {"statusCode": 200, "multiValueHeaders": []},
    ):
        answer = api.call("/f", "POST", json=wrong)
        assert (answer.status_code, answer.json()) == (502, {"message": "Internal server error"}), wrong
    answer = api.call("/f", "POST", json={"statusCode": 200, "headers": {"User-Agent": "u", "Via": "v", "Content-MD5": "m"}})
    assert answer.headers["x-amzn-Remapped-User-Agent"] == "u" and answer.headers["x-amzn-Remapped-Content-MD5"] == "m"
    assert "Via" not in answer.headers and "x-amzn-Remapped-Via" not in answer.headers


def test_more_than_a_function_may_be_sent(api: Api, shown: str) -> None:
    api.function("/f", shown, "POST")
    api.gateway.put_gateway_response(restApiId=api.id, responseType="REQUEST_TOO_LARGE", statusCode="400")
    api.deploy()
    answer = api.call("/f", "POST", data=b"x" * 7_000_000)
    assert (answer.status_code, answer.json()) == (413, {"message": "Request Too Long"})
    assert answer.headers["x-amzn-ErrorType"] == "BadRequestException"


def test_the_log_of_a_function_that_fails(api: Api, make_function: Callable[..., str]) -> None:
    api.function("/f", make_function(BROKEN))
    tested = api.gateway.test_invoke_method(**api.at("/f"))
    assert tested["status"] == 502
    assert "Lambda execution failed with status 200 due to customer function error: kaputt. Lambda request id: " in tested["log"]


def test_a_media_type_without_a_template(api: Api) -> None:
    where = api.method("/m", "POST")
    api.gateway.put_integration(
        **where, type="MOCK", passthroughBehavior="NEVER", requestTemplates={"application/json": '{"statusCode": 200}'}
    )
    api.gateway.put_method_response(**where, statusCode="200")
    api.gateway.put_integration_response(**where, statusCode="200")
    api.deploy()
    answer = api.call("/m", "POST", data="x", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()) == (415, {"message": "Unsupported Media Type"})
    assert answer.headers["x-amzn-ErrorType"] == "BadRequestException"


def test_one_model_for_all_media_types(api: Api) -> None:
    schema = '{"type": "object", "required": ["name"]}'
    api.gateway.create_model(restApiId=api.id, name="Named", contentType="application/json", schema=schema)
    validator = api.gateway.create_request_validator(restApiId=api.id, name="body", validateRequestBody=True)["id"]
    api.mock("/m", "POST", requestModels={"$default": "Named"}, requestValidatorId=validator)
    api.deploy()
    for media in ("application/json", "text/plain"):
        refusal = api.call("/m", "POST", data="{}", headers={"Content-Type": media})
        assert (refusal.status_code, refusal.json()) == (400, {"message": "Invalid request body"}), media
    assert api.call("/m", "POST", data='{"name": 1}').status_code == 200


def test_lists_of_a_body_are_printed_as_json(api: Api, upstream: str) -> None:
    where = api.method("/m", "POST")
    template = "$input.path('$.list')|$input.path('$')|$input.path('$..x')|#set($made = [1, 'a'])$made"
    api.gateway.put_integration(
        **where, type="HTTP", integrationHttpMethod="POST", uri=upstream, requestTemplates={"application/json": template}
    )
    log = api.gateway.test_invoke_method(**where, body='{"a": "b", "list": [1, "s", {"x": null}]}')["log"]
    said = next(line for line in log.splitlines() if "Endpoint request body after transformations: " in line)
    assert said.endswith(': [1,"s",{"x":null}]|{a=b, list=[1,"s",{"x":null}]}|[null]|[1, a]')


def test_empty_templates_are_null(api: Api) -> None:
    where = api.method("/m")
    api.gateway.put_integration(**where, type="MOCK", requestTemplates={"application/json": ""})
    assert api.gateway.get_integration(**where)["requestTemplates"] == {"application/json": None}
    api.gateway.put_method_response(**where, statusCode="200")
    api.gateway.put_integration_response(**where, statusCode="200", responseTemplates={"application/json": "", "text/xml": "x"})
    shown = api.gateway.get_integration_response(**where, statusCode="200")
    assert shown["responseTemplates"] == {"application/json": None, "text/xml": "x"}


def test_constraints_name_the_body_they_are_broken_in(api: Api) -> None:
    where = api.at("/m", "GET")
    missing = "Value null at 'putMethodInput.authorizationType' failed to satisfy constraint: Member must not be null"
    assert refused(api.gateway.put_method, **where) == ("ValidationException", f"1 validation error detected: {missing}", 400)
    api.method("/m")
    kinds = "Member must satisfy enum value set: [HTTP, MOCK, AWS_PROXY, HTTP_PROXY, AWS]"
    code, message, _ = refused(api.gateway.put_integration, **where, type="FOO")
    assert message == f"1 validation error detected: Value 'FOO' at 'putIntegrationInput.type' failed to satisfy constraint: {kinds}"
    code, message, _ = refused(api.gateway.put_method_response, **where, statusCode="999")
    assert code == "ValidationException" and "Value '999' at 'statusCode' failed" in message


def test_what_is_patched_is_checked(api: Api) -> None:
    where = api.method("/m")
    api.gateway.put_integration(**where, type="MOCK")
    for path in ("/type", "/contentHandling"):
        code, message, _ = refused(
            api.gateway.update_integration, **where, patchOperations=[{"op": "replace", "path": path, "value": "FOO"}]
        )
        assert code == "BadRequestException" and "Valid options are " in message
    api.gateway.put_method_response(**where, statusCode="200")
    patch = [{"op": "replace", "path": "/statusCode", "value": "201"}]
    assert api.gateway.update_method_response(**where, statusCode="200", patchOperations=patch) | {"ResponseMetadata": 0} == {
        "ResponseMetadata": 0,
        "statusCode": "201",
    }
    assert list(api.gateway.get_method(**where)["methodResponses"]) == ["201"]


def test_a_body_that_is_not_packed_as_it_says(make_api: Callable[..., Api]) -> None:
    api = make_api(minimumCompressionSize=0)
    api.mock("/m", "POST")
    api.deploy()
    for body in (b"plain", gzip.compress(b"{}")[:-4]):
        answer = api.call("/m", "POST", data=body, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})
        assert (answer.status_code, answer.json()) == (415, {"message": "Unsupported Media Type"})


def test_what_a_request_s_template_overrides_is_there_for_the_response(api: Api) -> None:
    """How mocks get at a request's body, and at its status."""
    kept = "#set($context.requestOverride.path.body = $input.body)#set($context.responseOverride.header.X-Set = 'early')"
    where = api.method("/m", "POST")
    api.gateway.put_integration(**where, type="MOCK", requestTemplates={"application/json": kept + '{"statusCode": 200,}'})
    api.gateway.put_method_response(**where, statusCode="200")
    said = "$util.parseJson($context.requestOverride.path.body).message#set($context.responseOverride.status = 299)"
    api.gateway.put_integration_response(**where, statusCode="200", responseTemplates={"application/json": said})
    where = api.method("/plain")
    early = '#set($context.responseOverride.status = 444){"statusCode": 200}'
    api.gateway.put_integration(**where, type="MOCK", requestTemplates={"application/json": early})
    api.gateway.put_method_response(**where, statusCode="200")
    api.gateway.put_integration_response(**where, statusCode="200", responseTemplates={"application/json": "constant"})
    api.deploy()
    answer = api.call("/m", "POST", json={"message": "hello"})
    assert (answer.status_code, answer.text, answer.headers["X-Set"]) == (299, "hello", "early")
    assert (api.call("/plain").status_code, api.call("/plain").text) == (444, "constant")


def test_a_gateway_response_maps_what_there_is(api: Api) -> None:
    put = api.gateway.put_gateway_response
    where = {"restApiId": api.id, "responseType": "UNAUTHORIZED"}
    wrong = (
        "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression specified: nonsense]"
    )
    given = {"gatewayresponse.header.X": "nonsense"}
    assert refused(put, **where, responseParameters=given) == ("BadRequestException", wrong, 400)
    kept = {
        "gatewayresponse.header.X": "'a'",
        "gatewayresponse.header.Y": "method.request.header.Z",
        "gatewayresponse.header.Q": "context.path",
    }
    assert put(**where, responseParameters=kept)["responseParameters"] == kept


def test_settings_that_are_not_there_are_not_removed(api: Api) -> None:
    api.mock("/m")
    api.deploy()
    patch = [{"op": "remove", "path": "/*/*"}]
    message = "Cannot remove method setting */* because there is no method setting for this method "
    asked = {"restApiId": api.id, "stageName": "v1", "patchOperations": patch}
    assert refused(api.gateway.update_stage, **asked) == ("BadRequestException", message, 400)


def test_no_body_is_an_empty_object_as_json_and_nothing_as_a_path(api: Api, upstream: str) -> None:
    where = api.method("/m", "POST")
    template = "[$input.body][$input.path('$')][$input.json('$')][$input.json('$.a')]"
    api.gateway.put_integration(
        **where, type="HTTP", integrationHttpMethod="POST", uri=upstream, requestTemplates={"application/json": template}
    )
    assert 'Endpoint request body after transformations: [][][{}][""]\n' in api.gateway.test_invoke_method(**where)["log"]


def test_of_several_patterns_the_one_for_the_status_itself_is_taken(api: Api) -> None:
    where = api.method("/m", "POST")
    request = "{\"statusCode\": $input.params('status')}"
    api.gateway.put_integration(**where, type="MOCK", requestTemplates={"application/json": request})
    for status, settings in (("200", {}), ("400", {"selectionPattern": r"4\d\d"}), ("404", {"selectionPattern": r"4\d\d"})):
        api.gateway.put_method_response(**where, statusCode=status)
        api.gateway.put_integration_response(**where, statusCode=status, **settings)
    api.deploy()
    for status, answered in ((200, 200), (404, 404), (400, 400), (499, 400), (500, 200)):
        assert api.call(f"/m?status={status}", "POST").status_code == answered


def test_who_calls_is_told_to_templates_without_nulls(api: Api, upstream: str) -> None:
    where = api.method("/m", "POST")
    template = "#foreach($name in $context.identity.keySet())$name=$util.escapeJavaScript($context.identity.get($name));#end"
    api.gateway.put_integration(
        **where, type="HTTP", integrationHttpMethod="POST", uri=upstream, requestTemplates={"application/json": template}
    )
    log = api.gateway.test_invoke_method(**where)["log"]
    assert "cognitoIdentityId=;" in log and "sourceIp=test-invoke-source-ip;" in log and "=null;" not in log
