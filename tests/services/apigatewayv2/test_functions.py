"""HTTP APIs in front of Lambda: events of formats 1.0 and 2.0, responses, permissions, errors."""

import base64
from collections.abc import Callable

import requests

from .conftest import REGION, HttpApi


def test_quick_create_serves_at_once(make_api: Callable[..., HttpApi], echo: str) -> None:
    api = make_api(stage=None, Target=echo)
    assert api.made["ApiEndpoint"].startswith("http://")
    for answer in (api.call("/any/path"), api.by_host("/any/path")):
        assert answer.status_code == 200
        event = answer.json()["event"]
        assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "$default", "/any/path")
        assert event["requestContext"]["stage"] == "$default"
        assert answer.headers["Apigw-Requestid"] == event["requestContext"]["requestId"]
    [route] = api.gateway.get_routes(ApiId=api.id)["Items"]
    [integration] = api.gateway.get_integrations(ApiId=api.id)["Items"]
    [stage] = api.gateway.get_stages(ApiId=api.id)["Items"]
    assert route["ApiGatewayManaged"] and integration["ApiGatewayManaged"] and stage["ApiGatewayManaged"]
    assert integration["PayloadFormatVersion"] == "2.0"
    assert (stage["StageName"], stage["AutoDeploy"]) == ("$default", True)
    # where the API says that it is, it is
    assert requests.get(api.made["ApiEndpoint"] + "/x", timeout=60).json()["event"]["rawPath"] == "/x"


def test_the_event_of_format_2(api: HttpApi, echo: str, platform: object) -> None:
    api.gateway.update_stage(ApiId=api.id, StageName="$default", StageVariables={"colour": "red"})
    api.function("POST /pets/{id}/{rest+}", echo)
    answer = api.call(
        "/pets/7/a/b%20c?x=1&x=2&y=%C3%A9&flag",
        "POST",
        data=b'{"a": 1}',
        headers={"Content-Type": "application/json", "X-Custom": "One", "Cookie": "a=1; b=2", "User-Agent": "tester"},
    )
    event = answer.json()["event"]
    assert list(event) == [
        "version", "routeKey", "rawPath", "rawQueryString", "cookies", "headers", "queryStringParameters", "requestContext", "body",
        "pathParameters", "isBase64Encoded", "stageVariables",
    ]  # fmt: skip
    assert event["routeKey"] == "POST /pets/{id}/{rest+}"
    assert event["rawPath"] == "/pets/7/a/b c"
    assert event["rawQueryString"] == "x=1&x=2&y=%C3%A9&flag"
    assert event["queryStringParameters"] == {"x": "1,2", "y": "é", "flag": ""}
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["headers"]["x-custom"] == "One"
    assert event["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert event["headers"]["x-forwarded-proto"] == "http"
    assert event["headers"]["content-length"] == "8"
    assert "cookie" not in event["headers"] and all(name == name.lower() for name in event["headers"])
    assert event["pathParameters"] == {"id": "7", "rest": "a/b c"}
    assert event["stageVariables"] == {"colour": "red"}
    assert (event["body"], event["isBase64Encoded"]) == ('{"a": 1}', False)
    context = event["requestContext"]
    assert context["http"] == {
        "method": "POST",
        "path": "/pets/7/a/b c",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "tester",
    }
    assert context["domainName"] == f"{api.id}.execute-api.{REGION}.amazonaws.com"
    assert (context["domainPrefix"], context["apiId"], context["stage"]) == (api.id, api.id, "$default")
    assert "authorizer" not in context and isinstance(context["timeEpoch"], int)


def test_what_a_request_has_not_is_not_in_the_event(api: HttpApi, echo: str) -> None:
    api.function("GET /", echo)
    event = api.call("/").json()["event"]
    assert not {"cookies", "queryStringParameters", "body", "pathParameters", "stageVariables"} & set(event)
    assert event["isBase64Encoded"] is False


def test_binary_bodies_are_base64(api: HttpApi, echo: str) -> None:
    api.function("POST /", echo)
    event = api.call("/", "POST", data=b"\x00\xff", headers={"Content-Type": "image/png"}).json()["event"]
    assert (event["isBase64Encoded"], base64.b64decode(event["body"])) == (True, b"\x00\xff")


def test_a_named_stage_is_in_the_path(make_api: Callable[..., HttpApi], echo: str) -> None:
    api = make_api(stage="dev")
    api.function("GET /a", echo)
    assert api.call("/a").status_code == 404
    event = api.call("/dev/a").json()["event"]
    assert (event["rawPath"], event["requestContext"]["http"]["path"], event["requestContext"]["stage"]) == ("/dev/a", "/dev/a", "dev")
    assert api.by_host("/dev/a").status_code == 200
    url = f"{api.platform.endpoint}/_aws/execute-api/{api.id}/dev/a"
    assert api.session.get(url, timeout=60).status_code == 200


def test_the_event_of_format_1(api: HttpApi, make_function: Callable[..., str]) -> None:
    code = "import json\ndef handler(event, context):\n    return {'statusCode': 201, 'body': json.dumps(event)}\n"
    api.function("ANY /pets/{id}", make_function(code), "1.0")
    answer = api.call("/pets/7?x=1&x=2", headers={"X-Many": "one"})
    assert answer.status_code == 201 and answer.headers["Content-Type"] == "text/plain;charset=UTF-8"
    event = answer.json()
    assert (event["version"], event["resource"], event["path"], event["httpMethod"]) == ("1.0", "/pets/{id}", "/pets/7", "GET")
    assert event["queryStringParameters"] == {"x": "2"}
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"]}
    assert event["multiValueHeaders"]["X-Many"] == ["one"] and event["headers"]["X-Many"] == "one"
    assert event["pathParameters"] == {"id": "7"} and event["stageVariables"] is None and event["body"] is None
    assert event["requestContext"]["resourceId"] == "ANY /pets/{id}"
    assert event["headers"]["Content-Length"] == "0" and event["multiValueHeaders"]["Content-Length"] == ["0"]


RESPONSES = """
def handler(event, context):
    kind = event["rawPath"][1:]
    if kind == "text": return "plain"
    if kind == "object": return {"a": 1}
    if kind == "list": return [1, 2]
    if kind == "none": return None
    if kind == "full":
        return {"statusCode": 418, "headers": {"X-A": "1", "X-N": 2}, "cookies": ["c=1; Path=/", "d=2"], "body": "tea"}
    if kind == "binary": return {"statusCode": 200, "isBase64Encoded": True, "body": "AP8=", "headers": {"content-type": "image/png"}}
    if kind == "bad": return {"statusCode": "no", "body": "x"}
    if kind == "badbody": return {"statusCode": 200, "body": {"a": 1}}
    raise ValueError("broken")
"""


def test_responses_of_format_2(api: HttpApi, make_function: Callable[..., str]) -> None:
    api.function("$default", make_function(RESPONSES))
    text = api.call("/text")
    assert (text.status_code, text.text, text.headers["Content-Type"]) == (200, "plain", "application/json")
    assert api.call("/object").json() == {"a": 1}
    assert api.call("/list").json() == [1, 2]
    assert api.call("/none").text == "null"
    full = api.call("/full")
    assert (full.status_code, full.text, full.headers["X-A"], full.headers["X-N"]) == (418, "tea", "1", "2")
    assert full.headers["Content-Type"] == "text/plain;charset=UTF-8"
    assert full.raw.headers.getlist("Set-Cookie") == ["c=1; Path=/", "d=2"]
    binary = api.call("/binary")
    assert (binary.content, binary.headers["Content-Type"]) == (b"\x00\xff", "image/png")
    for broken in ("/bad", "/badbody", "/error"):
        answer = api.call(broken)
        assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})
        assert answer.headers["Content-Type"] == "application/json" and answer.headers["Apigw-Requestid"]


def test_a_function_must_allow_the_api(api: HttpApi, make_function: Callable[..., str]) -> None:
    api.function("GET /none", make_function(allow=None))
    api.function("GET /other", make_function(allow="other/*"))
    api.function("GET /exact/{id}", make_function(allow=f"{api.id}/$default/GET/exact/{{id}}"))
    api.function("GET /any/{id}", make_function(allow=f"{api.id}/*/*/any/{{id}}"))
    for path in ("/none", "/other"):
        assert (api.call(path).status_code, api.call(path).json()) == (500, {"message": "Internal Server Error"})
    assert api.call("/exact/1").status_code == 200
    assert api.call("/any/1").status_code == 200


def test_a_function_that_takes_too_long(api: HttpApi, make_function: Callable[..., str]) -> None:
    slow = make_function("import time\ndef handler(event, context):\n    time.sleep(5)\n")
    api.route("GET /", api.integration(slow, TimeoutInMillis=200))
    answer = api.call("/")
    assert (answer.status_code, answer.json()) == (503, {"message": "Service Unavailable"})


def test_stage_variables_name_functions(api: HttpApi, echo: str) -> None:
    name = echo.rpartition(":")[2]
    uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{echo.replace(name, '${stageVariables.fn}')}/invocations"
    api.function("GET /", uri)
    assert api.call("/").status_code == 500
    api.gateway.update_stage(ApiId=api.id, StageName="$default", StageVariables={"fn": name})
    assert api.call("/").json()["event"]["stageVariables"] == {"fn": name}


def test_headers_of_format_1_are_merged(api: HttpApi, make_function: Callable[..., str]) -> None:
    headers = {"X-A": "1", "x-b": "3", "Content-Type": "text/html"}
    answer = {"statusCode": 200, "headers": headers, "multiValueHeaders": {"x-a": ["1", "2"]}}
    code = f"def handler(event, context):\n    return {answer}\n"
    api.function("GET /", make_function(code), "1.0")
    found = api.call("/")
    assert found.raw.headers.getlist("x-a") == ["1", "2"]
    assert (found.headers["x-b"], found.headers["Content-Type"]) == ("3", "text/html")
