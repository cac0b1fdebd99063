"""Deployed APIs over HTTP: addresses, mocks, templates, gateway responses, keys, signatures and resource policies."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.services.apigateway.conftest import REGION, Api
from tests.support.platform import RunningPlatform


def test_by_path_and_by_host(api: Api, platform: RunningPlatform):
    api.mock("/pets/{id}", template='{"id": "$input.params(\'id\')", "stage": "$context.stage", "domain": "$context.domainName"}')
    api.deploy("v1")
    expected = {"id": "7", "stage": "v1"}
    for url, headers in [
        (f"{platform.endpoint}/restapis/{api.id}/v1/_user_request_/pets/7", {}),
        (f"{platform.endpoint}/_aws/execute-api/{api.id}/v1/pets/7", {}),
        (f"{platform.endpoint}/v1/pets/7", {"Host": api.host}),
        (f"{platform.endpoint}/v1/pets/7/", {"Host": f"{api.id}.execute-api.{REGION}.amazonaws.com"}),
    ]:
        answer = api.session.get(url, headers=headers)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert {name: found[name] for name in expected} == expected and found["domain"].startswith(f"{api.id}.execute-api.{REGION}.")
        assert answer.headers["x-amzn-RequestId"] and re.fullmatch(r"[A-Za-z0-9_-]{15}=", answer.headers["x-amz-apigw-id"])


def test_what_is_not_there(api: Api, platform: RunningPlatform):
    api.mock("/a")
    api.deploy("v1")
    for answer in (api.call("/b"), api.call("/a", "POST"), api.call("/a/b"), api.call("/"), api.call("/a", "OPTIONS")):
        assert answer.status_code == 403 and answer.json() == {"message": "Missing Authentication Token"}
        assert answer.headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"
        assert answer.headers["x-amzn-RequestId"] and answer.headers["x-amz-apigw-id"]
    elsewhere = {"Host": f"{api.id}.execute-api.eu-west-1.localhost"}
    for answer in (api.call("/a", stage="v2"), api.session.get(f"{platform.endpoint}/v1/a", headers=elsewhere)):
        assert answer.status_code == 403 and answer.json() == {"message": "Forbidden"}
        assert answer.headers["x-amzn-ErrorType"] == "ForbiddenException"
    api.gateway.delete_stage(restApiId=api.id, stageName="v1")
    assert api.call("/a").json() == {"message": "Forbidden"}


def test_a_deployment_is_what_it_was(api: Api):
    api.mock("/a", template="1")
    first = api.deploy("v1")
    where = api.at("/a")
    api.gateway.put_integration_response(**where, statusCode="200", responseTemplates={"application/json": "2"})
    assert api.call("/a").text == "1", "a change is not seen before it is deployed"
    api.deploy("v1")
    assert api.call("/a").text == "2"
    api.gateway.update_stage(restApiId=api.id, stageName="v1", patchOperations=[{"op": "replace", "path": "/deploymentId", "value": first}])
    assert api.call("/a").text == "1"
    api.gateway.delete_rest_api(restApiId=api.id)
    assert api.call("/a").status_code == 403


def test_deployed_apis_outlive_a_kill(fresh_platform: Callable[..., RunningPlatform]):
    platform = fresh_platform()
    api = Api(platform)
    api.mock("/a", template="kept")
    api.deploy("v1")
    platform.kill()
    platform.start()
    assert api.call("/a").text == "kept"


def test_a_template_in_full(api: Api):
    template = """\
#set($root = $input.path('$'))
#set($context.responseOverride.status = 202)
#set($context.responseOverride.header.X-Made = "by $context.httpMethod")
{
  "query": "$input.params('q')", "header": "$input.params().header.get('X-One')", "path": "$input.params().path.id",
  "all": #if($input.params().querystring.containsKey('q'))true#{else}false#end,
  "variable": "$stageVariables.name", "missing": "$!stageVariables.nothing",
  "caller": "$context.identity.sourceIp", "resource": "$context.resourcePath",
  "escaped": "$util.escapeJavaScript("it's / \\ é")", "encoded": "$util.urlEncode('a b&c')", "decoded": "$util.urlDecode('a+b%26c')",
  "base64": "$util.base64Encode('hé')", "back": "$util.base64Decode('aMOp')", "parsed": $util.parseJson('{"a": [1, 2]}').a[1],
  "loop": [#foreach($i in [1..3])$i#if($foreach.hasNext), #end#end]
}"""
    where = api.method("/{id}", "GET", requestParameters={"method.request.querystring.q": False})
    api.gateway.put_integration(**where, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    api.gateway.put_method_response(**where, statusCode="200")
    api.gateway.put_integration_response(**where, statusCode="200", responseTemplates={"application/json": template})
    api.deploy("v1", variables={"name": "table-1"})
    answer = api.call("/7?q=1&q=2", headers={"X-One": "one"})
    assert answer.status_code == 202 and answer.headers["X-Made"] == "by GET", answer.text
    text = answer.text.replace("\\'", "'")
    assert json.loads(text) == {
        "query": "2",
        "header": "one",
        "path": "7",
        "all": True,
        "variable": "table-1",
        "missing": "",
        "caller": "127.0.0.1",
        "resource": "/{id}",
        "escaped": "it's / \\ é",
        "encoded": "a+b%26c",
        "decoded": "a b&c",
        "base64": "aMOp",
        "back": "hé",
        "parsed": 2,
        "loop": [1, 2, 3],
    }


def test_a_mock_chooses_its_response(api: Api):
    request = """#if($input.params('fail') != '')
{"statusCode": $input.params('fail')}
#else
{"statusCode": 200}
#end"""
    where = api.method("/", "GET")
    api.gateway.put_integration(**where, type="MOCK", requestTemplates={"application/json": request})
    for status, settings in [
        ("200", {}),
        ("404", {"selectionPattern": "404"}),
        ("503", {"selectionPattern": "5\\d\\d", "responseParameters": {"method.response.header.Retry-After": "'7'"}}),
    ]:
        api.gateway.put_method_response(**where, statusCode=status, responseParameters={"method.response.header.Retry-After": False})
        made = {"responseTemplates": {"application/json": f'{{"status": {status}}}'}} | settings
        api.gateway.put_integration_response(**where, statusCode=status, **made)
    api.deploy()
    assert [(answer.status_code, answer.json()) for answer in (api.call("/"), api.call("/?fail=404"), api.call("/?fail=599"))] == [
        (200, {"status": 200}),
        (404, {"status": 404}),
        (503, {"status": 503}),
    ]
    assert api.call("/?fail=500").headers["Retry-After"] == "7"
    broken = api.call("/?fail=nonsense")
    assert broken.status_code == 500 and broken.json() == {"message": "Internal server error"}


@pytest.mark.parametrize(
    "behavior, templates, content_type, status",
    [
        ("WHEN_NO_MATCH", {"application/json": "{}"}, "text/plain", 200),
        ("WHEN_NO_TEMPLATES", {"application/json": "{}"}, "text/plain", 415),
        ("WHEN_NO_TEMPLATES", {}, "text/plain", 200),
        ("NEVER", {}, "text/plain", 415),
        ("NEVER", {"text/plain": '{"statusCode": 200}'}, "text/plain; charset=utf-8", 200),
    ],
)
def test_what_passes_without_a_template(api: Api, behavior: str, templates: dict[str, str], content_type: str, status: int):
    where = api.method("/", "POST")
    api.gateway.put_integration(**where, type="MOCK", requestTemplates=templates, passthroughBehavior=behavior)
    api.gateway.put_integration_response(**where, statusCode="200", responseTemplates={"application/json": "ok"})
    api.deploy()
    answer = api.call("/", "POST", data='{"statusCode": 200}', headers={"Content-Type": content_type})
    assert answer.status_code == status
    if status == 415:
        assert answer.json() == {"message": "Unsupported Media Type"}


def test_gateway_responses_are_applied(api: Api):
    api.mock("/a")
    api.gateway.put_gateway_response(
        restApiId=api.id,
        responseType="MISSING_AUTHENTICATION_TOKEN",
        statusCode="404",
        responseParameters={
            "gatewayresponse.header.Access-Control-Allow-Origin": "'*'",
            "gatewayresponse.header.X-Q": "method.request.querystring.q",
        },
        responseTemplates={
            "application/json": '{"message":$context.error.messageString,"type":"$context.error.responseType","id":"$context.requestId"}'
        },
    )
    api.deploy()
    answer = api.call("/nothing?q=1")
    assert answer.status_code == 404 and answer.headers["Access-Control-Allow-Origin"] == "*" and answer.headers["X-Q"] == "1"
    assert answer.json() == {
        "message": "Missing Authentication Token",
        "type": "MISSING_AUTHENTICATION_TOKEN",
        "id": answer.headers["x-amzn-RequestId"],
    }


def test_parameters_and_bodies_are_validated(api: Api):
    validator = api.gateway.create_request_validator(
        restApiId=api.id, name="all", validateRequestBody=True, validateRequestParameters=True
    )["id"]
    schema = {
        "type": "object",
        "required": ["title"],
        "properties": {
            "title": {"type": "string"},
            "author": {"$ref": f"https://apigateway.amazonaws.com/restapis/{api.id}/models/Author"},
        },
    }
    api.gateway.create_model(
        restApiId=api.id, name="Author", contentType="application/json", schema='{"type": "object", "required": ["name"]}'
    )
    api.gateway.create_model(restApiId=api.id, name="Book", contentType="application/json", schema=json.dumps(schema))
    api.mock(
        "/books",
        "POST",
        requestParameters={
            "method.request.querystring.q": True,
            "method.request.header.X-Need": True,
            "method.request.header.X-May": False,
        },
        requestModels={"application/json": "Book"},
        requestValidatorId=validator,
    )
    api.deploy()
    missing = api.call("/books", "POST", json={"title": "a"})
    assert (
        missing.status_code == 400 and missing.json() == {"message": "Missing required request parameters: [q, X-Need]"}
    ) or missing.json() == {"message": "Missing required request parameters: [X-Need, q]"}
    good = {"headers": {"x-need": "1"}}
    assert api.call("/books?q=1", "POST", json={"title": "a", "author": {"name": "b"}}, **good).status_code == 200
    for body in ('{"title": 1}', "{}", "not json", '{"title": "a", "author": {}}', "[]"):
        answer = api.call("/books?q=1", "POST", data=body, headers={"x-need": "1", "Content-Type": "application/json"})
        assert answer.status_code == 400 and answer.json() == {"message": "Invalid request body"}, body
        assert answer.headers["x-amzn-ErrorType"] == "BadRequestException"


def test_api_keys_open_the_stages_of_their_plans(api: Api, client: Callable[..., Any]):
    gateway = client("apigateway")
    api.mock("/", apiKeyRequired=True, template='{"key": "$context.identity.apiKeyId"}')
    api.deploy("v1")
    key = gateway.create_api_key(name="k", enabled=True)
    assert re.fullmatch(r"[A-Za-z0-9]{40}", key["value"])
    plan = gateway.create_usage_plan(name="p", apiStages=[{"apiId": api.id, "stage": "v1"}])

    def status(value: str | None) -> int:
        answer = api.call("/", headers={"x-api-key": value} if value else {})
        assert answer.status_code == 200 or answer.json() == {"message": "Forbidden"}
        return answer.status_code

    assert status(None) == status("x" * 40) == status(key["value"]) == 403
    member = gateway.create_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"], keyType="API_KEY")
    assert member["value"] == key["value"] and member["type"] == "API_KEY"
    assert status(key["value"]) == 200
    assert api.call("/", headers={"x-api-key": key["value"]}).json() == {"key": key["id"]}
    shown = gateway.update_api_key(apiKey=key["id"], patchOperations=[{"op": "replace", "path": "/enabled", "value": "false"}])
    assert shown["enabled"] is False and "value" not in shown
    assert status(key["value"]) == 403
    gateway.update_api_key(apiKey=key["id"], patchOperations=[{"op": "replace", "path": "/enabled", "value": "true"}])
    slow = [
        {"op": "replace", "path": "/throttle/burstLimit", "value": "2"},
        {"op": "replace", "path": "/throttle/rateLimit", "value": "0.001"},
    ]
    gateway.update_usage_plan(usagePlanId=plan["id"], patchOperations=slow)
    answers = [api.call("/", headers={"x-api-key": key["value"]}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json() == {"message": "Too Many Requests"}
    gateway.update_usage_plan(usagePlanId=plan["id"], patchOperations=[{"op": "remove", "path": "/apiStages", "value": f"{api.id}:v1"}])
    assert status(key["value"]) == 403
    gateway.delete_usage_plan(usagePlanId=plan["id"])
    gateway.delete_api_key(apiKey=key["id"])


def signed(
    platform: RunningPlatform, url: str, key: str, secret: str, service: str = "execute-api", headers: dict[str, str] | None = None
) -> requests.Response:
    request = AWSRequest("GET", url, headers=headers or {})
    SigV4Auth(Credentials(key, secret), service, REGION).add_auth(request)
    session = requests.Session()
    session.trust_env = False
    return session.get(url, headers=dict(request.headers))


def test_signed_calls(api: Api, client: Callable[..., Any], platform: RunningPlatform, name: str):
    api.mock("/mine", authorizationType="AWS_IAM", template='{"who": "$context.identity.userArn", "key": "$context.identity.accessKey"}')
    api.deploy("v1")
    url = f"{platform.endpoint}/restapis/{api.id}/v1/_user_request_/mine"
    unsigned = api.call("/mine")
    assert unsigned.status_code == 403 and unsigned.json() == {"message": "Missing Authentication Token"}
    iam = client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    pair = (key["AccessKeyId"], key["SecretAccessKey"])
    denied = signed(platform, url, *pair)
    masked = "********" + platform.account[-4:]
    assert denied.status_code == 403 and denied.headers["x-amzn-ErrorType"] == "AccessDeniedException"
    assert denied.json() == {
        "Message": f"User: arn:aws:iam::{platform.account}:user/{name} is not authorized to perform: execute-api:Invoke on resource: "
        f"arn:aws:execute-api:{REGION}:{masked}:{api.id}/v1/GET/mine because no identity-based policy allows the execute-api:Invoke action"
    }
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": f"arn:aws:execute-api:{REGION}:*:{api.id}/v1/GET/mine"}
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    allowed = signed(platform, url, *pair)
    assert allowed.status_code == 200, allowed.text
    assert allowed.json() == {"who": f"arn:aws:iam::{platform.account}:user/{name}", "key": pair[0]}
    wrong = signed(platform, url, pair[0], "x" * 40)
    assert wrong.status_code == 403 and wrong.headers["x-amzn-ErrorType"] == "InvalidSignatureException"
    assert signed(platform, url, *pair, service="dynamodb").status_code == 403
    assert signed(platform, url, "AKIAIOSFODNN7EXAMPLE", "x" * 40).headers["x-amzn-ErrorType"] == "UnrecognizedClientException"
    iam.delete_access_key(UserName=name, AccessKeyId=pair[0])
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.delete_user(UserName=name)


def test_resource_policies(make_api: Callable[..., Api]):
    def policy(*statements: dict[str, Any]) -> str:
        return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})

    everyone = {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"}
    not_posts = {"Effect": "Deny", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/v1/POST/*"}
    far = everyone | {"Condition": {"IpAddress": {"aws:SourceIp": "10.1.0.0/16"}}}
    api = make_api(policy=policy(everyone, not_posts))
    api.mock("/a")
    api.mock("/a", "POST")
    api.deploy()
    assert api.call("/a").status_code == 200
    denied = api.call("/a", "POST")
    assert denied.status_code == 403 and denied.json()["Message"].startswith(
        "User: anonymous is not authorized to perform: execute-api:Invoke"
    )
    assert denied.json()["Message"].endswith(f"{api.id}/v1/POST/a with an explicit deny in a resource-based policy")
    api.gateway.update_rest_api(restApiId=api.id, patchOperations=[{"op": "replace", "path": "/policy", "value": policy(far)}])
    assert api.call("/a").status_code == 200, "a policy is deployed like all else"
    api.deploy()
    assert api.call("/a").status_code == 403


def test_an_api_may_have_no_address_of_its_own(make_api: Callable[..., Api]):
    api = make_api(disableExecuteApiEndpoint=True)
    api.mock("/")
    api.deploy()
    assert api.call("/").status_code == 403 and api.call("/").json() == {"message": "Forbidden"}


def test_binary_is_made_from_text_and_text_from_binary(make_api: Callable[..., Api]):
    api = make_api(binaryMediaTypes=["image/png"])
    png = base64.b64encode(b"\x89PNG\r\n").decode()
    where = api.method("/", "GET")
    api.gateway.put_integration(**where, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    api.gateway.put_method_response(**where, statusCode="200", responseParameters={"method.response.header.Content-Type": True})
    api.gateway.put_integration_response(
        **where,
        statusCode="200",
        contentHandling="CONVERT_TO_BINARY",
        responseTemplates={"application/json": png},
        responseParameters={"method.response.header.Content-Type": "'image/png'"},
    )
    api.deploy()
    answer = api.call("/")
    assert answer.content == b"\x89PNG\r\n" and answer.headers["Content-Type"] == "image/png"


def test_a_method_is_tested_with_its_log(api: Api):
    api.mock("/pets/{petId}", template='{"petId": "$input.params(\'petId\')"}')
    where = api.at("/pets/{petId}")
    tested = api.gateway.test_invoke_method(**where, pathWithQueryString="/pets/123?foo=bar", headers={"X-A": "b"}, body="text")
    assert tested["status"] == 200 and tested["body"] == '{"petId": "123"}' and tested["latency"] >= 0
    assert tested["headers"] == {"Content-Type": "application/json"}
    assert tested["multiValueHeaders"] == {"Content-Type": ["application/json"]}
    first, *lines = tested["log"].split("\n")
    request_id = first.removeprefix("Execution log for request ")
    assert lines.pop() == ""
    assert all(re.match(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d UTC \d{4} : ", line) for line in lines)
    assert [line.split(" : ", 1)[1] for line in lines] == [
        f"Starting execution for request: {request_id}",
        "HTTP Method: GET, Resource Path: /pets/123",
        "Method request path: {petId=123}",
        "Method request query string: {foo=bar}",
        "Method request headers: {X-A=b}",
        "Method request body before transformations: text",
        'Method response body after transformations: {"petId": "123"}',
        "Method response headers: {Content-Type=application/json}",
        "Successfully completed execution",
        "Method completed with status: 200",
    ]
    assert api.gateway.test_invoke_method(**where)["body"] == '{"petId": "{petId}"}'
    assert api.gateway.test_invoke_method(**where, pathWithQueryString="/random/test")["body"] == '{"petId": ""}'


def test_a_test_says_what_went_wrong(api: Api):
    api.mock("/", request="{}")
    tested = api.gateway.test_invoke_method(**api.at("/"))
    assert tested["status"] == 500 and json.loads(tested["body"]) == {"message": "Internal server error"}
    assert "Execution failed due to configuration error: Unable to parse statusCode" in tested["log"]
    assert "Method completed with status: 500" in tested["log"]


def test_a_long_template_lets_others_in(api: Api):
    """What takes many steps is done aside, and comes to the same."""
    template = "#set($sum = 0)#foreach($a in [1..100])#foreach($b in [1..100])#set($sum = $sum + 1)#end#end$sum"
    api.mock("/", template=template)
    api.deploy()
    assert api.call("/").text == "10000"
