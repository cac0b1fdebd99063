"""Functions behind methods: proxy and mapped integrations, permissions, time-outs, authorizers."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.services.apigateway.conftest import REGION, Api, function_uri
from tests.support.platform import RunningPlatform

SHOW = """\
import json, time
def handler(event, context):
    do = (event.get('queryStringParameters') or {}).get('do')
    if do == 'fail': raise ValueError('no')
    if do == 'sleep': time.sleep(3)
    if do == 'none': return None
    if do == 'list': return [1]
    if do == 'object': return {'statusCode': 200, 'body': {'a': 1}}
    if do == 'bytes': return {'statusCode': 201, 'headers': {'Content-Type': 'image/png'}, 'isBase64Encoded': True, 'body': 'iVBORw0KGgo='}
    return {'statusCode': '201', 'headers': {'X-Function': context.function_name, 'Content-Length': '9'},
            'multiValueHeaders': {'Set-Cookie': ['a=1', 'b=2']}, 'body': json.dumps(event)}
"""
MAPPED = """\
def handler(event, context):
    if event.get('fail'): raise Exception('BadRequest: ' + event['fail'])
    return {'got': event}
"""
AUTHORIZER = """\
import time
def handler(event, context):
    token = event.get('authorizationToken') or event['headers'].get('X-Token')
    if token == 'nobody': raise Exception('Unauthorized')
    if token == 'broken': raise Exception('boom')
    if token == 'malformed': return {'principalId': 1}
    effect = 'Deny' if token == 'denied' else 'Allow'
    resource = event['methodArn'] if token != 'elsewhere' else 'arn:aws:execute-api:us-east-1:*:other/*'
    statement = {'Action': 'execute-api:Invoke', 'Effect': effect, 'Resource': resource}
    return {'principalId': 'user-' + token, 'context': {'n': 5, 'b': True, 's': event['type'], 'at': str(time.time())},
            'policyDocument': {'Version': '2012-10-17', 'Statement': [statement]}}
"""


@pytest.fixture(scope="module")
def show(make_function: Callable[..., str]) -> str:
    return make_function(SHOW)


def test_the_request_goes_in_and_the_answer_comes_out(api: Api, show: str, platform: RunningPlatform):
    api.function("/books/{id}", show, "ANY")
    deployment = api.deploy("v1", variables={"table": "t"})
    answer = api.call("/books/a%20b?q=1&q=2", "POST", data='{"title": "é"}'.encode(), headers={"X-One": "1", "Authorization": "mine"})
    assert answer.status_code == 201 and answer.headers["Content-Type"] == "application/json"
    assert answer.headers["x-amzn-Remapped-Content-Length"] == "9"
    assert answer.raw.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    event = answer.json()
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/books/{id}", "/books/a%20b", "POST")
    assert event["pathParameters"] == {"id": "a%20b"} and event["stageVariables"] == {"table": "t"}
    assert event["queryStringParameters"] == {"q": "2"} and event["multiValueQueryStringParameters"] == {"q": ["1", "2"]}
    assert event["headers"]["X-One"] == "1" and event["headers"]["Authorization"] == "mine"
    assert event["headers"]["X-Forwarded-For"] == "127.0.0.1" and event["headers"]["X-Forwarded-Port"] == str(platform.port)
    assert event["body"] == '{"title": "é"}' and event["isBase64Encoded"] is False
    context = event["requestContext"]
    assert context["requestId"] == answer.headers["x-amzn-RequestId"] and context["extendedRequestId"] == answer.headers["x-amz-apigw-id"]
    assert (
        context["deploymentId"] == deployment and context["path"] == "/v1/books/a%20b" and context["resourceId"] == api.ids["/books/{id}"]
    )
    assert answer.headers["X-Amzn-Trace-Id"].startswith(event["headers"]["X-Amzn-Trace-Id"] + ";Parent=")
    for host in (api.host, f"{api.id}.execute-api.{REGION}.elsewhere.example"):
        by_host = api.session.get(f"{platform.endpoint}/v1/books/1", headers={"Host": host}).json()
        assert by_host["requestContext"]["domainName"] == f"{api.id}.execute-api.{REGION}.amazonaws.com"
        assert by_host["headers"]["Host"] == host


def test_what_is_no_answer(api: Api, show: str):
    api.function("/", show)
    api.deploy()
    for what in ("fail", "none", "list", "object"):
        answer = api.call(f"/?do={what}")
        assert answer.status_code == 502 and answer.json() == {"message": "Internal server error"}, what
        assert answer.headers["x-amzn-ErrorType"] == "InternalServerErrorException"


def test_pictures(make_api: Callable[..., Api], show: str):
    api = make_api(binaryMediaTypes=["image/png"])
    api.function("/", show, "ANY")
    api.deploy()
    assert api.call("/?do=bytes", headers={"Accept": "image/png"}).content == base64.b64decode("iVBORw0KGgo=")
    assert api.call("/?do=bytes", headers={"Accept": "text/html"}).text == "iVBORw0KGgo="
    event = api.call("/", "POST", data=b"\xff\x00", headers={"Content-Type": "image/png"}).json()
    assert event["isBase64Encoded"] is True and event["body"] == base64.b64encode(b"\xff\x00").decode()


def test_the_function_must_let_the_api_in(
    make_function: Callable[..., str], make_api: Callable[..., Api], client: Callable[..., Any], platform: RunningPlatform
):
    arn = make_function(SHOW, allow=None)
    api = make_api()
    api.function("/a", arn)
    api.function("/b/{id}", arn)
    api.deploy()
    refused = api.call("/a")
    assert refused.status_code == 500 and refused.json() == {"message": "Internal server error"}
    tested = api.gateway.test_invoke_method(**api.at("/a"))
    assert tested["status"] == 500 and "Invalid permissions on Lambda function" in tested["log"]
    source = f"arn:aws:execute-api:{REGION}:{platform.account}:{api.id}/*/GET/b/*"
    platform.client("lambda").add_permission(
        FunctionName=arn, StatementId="b", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com", SourceArn=source
    )
    assert api.call("/b/1").status_code == 201
    assert api.call("/a").status_code == 500, "the permission is for another resource"
    assert api.gateway.test_invoke_method(**api.at("/b/{id}"), pathWithQueryString="/b/7")["status"] == 201


def test_a_function_that_is_not_there(api: Api, platform: RunningPlatform):
    api.function("/", f"arn:aws:lambda:{REGION}:{platform.account}:function:nobody")
    api.deploy()
    assert api.call("/").status_code == 500


def test_an_integration_ends_in_time(api: Api, show: str):
    api.function("/", show, more={"timeoutInMillis": 1500})
    api.deploy()
    assert api.call("/").status_code == 201
    late = api.call("/?do=sleep")
    assert late.status_code == 504 and late.json() == {"message": "Endpoint request timed out"}


def test_stage_variables_name_the_function(api: Api, show: str):
    api.function("/", show.replace(show.rpartition(":")[2], "${stageVariables.fn}"))
    api.deploy("v1", variables={"fn": show.rpartition(":")[2]})
    api.deploy("v2", variables={"fn": "nobody"})
    assert api.call("/").status_code == 201
    assert api.call("/", stage="v2").status_code == 500


def test_the_test_button(api: Api, show: str):
    api.function("/books", show)
    tested = api.gateway.test_invoke_method(**api.at("/books"), pathWithQueryString="/books?q=1", headers={"X-A": "b"})
    event = json.loads(tested["body"])
    assert tested["status"] == 201 and event["requestContext"]["stage"] == "test-invoke-stage"
    assert event["headers"] == {"X-A": "b"} and event["queryStringParameters"] == {"q": "1"}
    assert event["requestContext"]["identity"]["sourceIp"] == "test-invoke-source-ip" and "deploymentId" not in event["requestContext"]
    assert event["requestContext"]["identity"]["userAgent"].startswith("Boto3/")
    for part in (
        "Endpoint request URI: https://lambda.us-east-1.amazonaws.com/2015-03-31/functions/arn:aws:lambda:",
        "Endpoint request headers: {x-amzn-lambda-integration-tag=",
        "Received response. Status: 200, Integration latency: ",
        "Successfully completed",
    ):
        assert part in tested["log"], tested["log"]


def test_a_mapped_integration(api: Api, make_function: Callable[..., str]):
    arn = make_function(MAPPED)
    where = api.method("/{id}", "POST", requestParameters={"method.request.header.X-Kind": False})
    fail = "#if($input.params('fail') != ''), \"fail\": \"$input.params('fail')\"#end"
    template = '{"id": "$input.params(\'id\')", "name": $input.json(\'$.name\')' + fail + "}"
    api.gateway.put_integration(
        **where, type="AWS", integrationHttpMethod="POST", uri=function_uri(arn), requestTemplates={"application/json": template}
    )
    for status, settings in [
        ("200", {"responseTemplates": {"application/json": '{"result": $input.json("$.got")}'}}),
        (
            "400",
            {
                "selectionPattern": "BadRequest.*",
                "responseParameters": {"method.response.header.X-Why": "integration.response.body.errorMessage"},
                "responseTemplates": {"application/json": '{"error": "$input.path(\'$.errorMessage\')"}'},
            },
        ),
    ]:
        declared = dict.fromkeys(settings.get("responseParameters", {}), False)
        api.gateway.put_method_response(**where, statusCode=status, responseParameters=declared)
        api.gateway.put_integration_response(**where, statusCode=status, **settings)
    api.deploy()
    answer = api.call("/7", "POST", json={"name": "n"})
    assert (answer.status_code, answer.json()) == (200, {"result": {"id": "7", "name": "n"}})
    failed = api.call("/7?fail=so", "POST", json={"name": "n"})
    assert (failed.status_code, failed.json()) == (400, {"error": "BadRequest: so"})
    assert failed.headers["X-Why"] == "BadRequest: so"


def test_a_function_that_is_not_waited_for(api: Api, make_function: Callable[..., str]):
    arn = make_function(MAPPED)
    where = api.method("/", "POST")
    parameters = {"integration.request.header.X-Amz-Invocation-Type": "'Event'"}
    api.gateway.put_integration(**where, type="AWS", integrationHttpMethod="POST", uri=function_uri(arn), requestParameters=parameters)
    api.gateway.put_integration_response(**where, statusCode="202")
    api.deploy()
    answer = api.call("/", "POST", json={"a": 1})
    assert answer.status_code == 202 and answer.text in ("", "{}")


@pytest.fixture
def guarded(api: Api, show: str, make_function: Callable[..., str]) -> Callable[..., Api]:
    def make(**settings: Any) -> Api:
        arn = make_function(AUTHORIZER, allow=f"{api.id}/authorizers/*")
        authorizer = api.gateway.create_authorizer(restApiId=api.id, name="a", authorizerUri=function_uri(arn), **settings)
        api.function("/mine", show, authorizationType="CUSTOM", authorizerId=authorizer["id"])
        api.deploy()
        return api

    return make


def test_a_token_authorizer(guarded: Callable[..., Api]):
    api = guarded(type="TOKEN", identitySource="method.request.header.X-Token", identityValidationExpression="[a-z]+")

    def call(token: str | None) -> Any:
        return api.call("/mine", headers={} if token is None else {"X-Token": token})

    allowed = call("me")
    assert allowed.status_code == 201
    said = allowed.json()["requestContext"]["authorizer"]
    assert {name: said[name] for name in ("principalId", "n", "b", "s")} == {"principalId": "user-me", "n": "5", "b": "true", "s": "TOKEN"}
    again = call("me").json()["requestContext"]["authorizer"]
    assert again["at"] == said["at"], "the verdict is remembered"
    assert (again["integrationLatency"], said["integrationLatency"] >= 0) == (0, True)
    for token in (None, "nobody", "NOT-OF-THE-FORM"):
        answer = call(token)
        assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"}), token
        assert answer.headers["x-amzn-ErrorType"] == "UnauthorizedException"
    denied = call("denied")
    assert (denied.status_code, denied.json()) == (
        403,
        {"Message": "User is not authorized to access this resource with an explicit deny in an identity-based policy"},
    )
    assert call("elsewhere").json() == {"Message": "User is not authorized to access this resource"}
    assert call("broken").status_code == call("malformed").status_code == 500
    (authorizer,) = api.gateway.get_authorizers(restApiId=api.id)["items"]
    which = {"restApiId": api.id, "authorizerId": authorizer["id"]}
    tested = api.gateway.test_invoke_authorizer(**which, headers={"X-Token": "me"})
    assert tested["clientStatus"] == 200 and tested["principalId"] == "user-me" and tested["authorization"]["n"] == ["5"]
    assert json.loads(tested["policy"])["Statement"][0]["Effect"] == "Allow" and "Execution log for request" in tested["log"]
    for line in (
        "Incoming identity: **",
        'Endpoint request body after transformations: {"type":"TOKEN","methodArn":"arn:aws:execute-api:',
        'Authorizer result body before parsing: {"principalId": "user-me"',
        "Using valid authorizer policy for principal: *ser-me",
        "Successfully completed authorizer execution",
    ):
        assert f" : {line}" in tested["log"], tested["log"]
    nobody = api.gateway.test_invoke_authorizer(**which, headers={"X-Token": "nobody"})
    assert nobody["clientStatus"] == 401 and " : Unauthorized request: " in nobody["log"]
    api.gateway.flush_stage_authorizers_cache(restApiId=api.id, stageName="v1")
    assert call("me").json()["requestContext"]["authorizer"]["at"] != said["at"], "the verdicts are forgotten"


def test_a_request_authorizer(guarded: Callable[..., Api]):
    api = guarded(
        type="REQUEST", identitySource="method.request.header.X-Token,method.request.querystring.q", authorizerResultTtlInSeconds=0
    )
    assert api.call("/mine?q=1", headers={"X-Token": "me"}).json()["requestContext"]["authorizer"]["s"] == "REQUEST"
    assert api.call("/mine", headers={"X-Token": "me"}).status_code == 401
    assert api.call("/mine?q=1", headers={"X-Token": "denied"}).status_code == 403


def test_an_authorizer_in_use_stays(guarded: Callable[..., Api]):
    from tests.services.apigateway.conftest import refused

    api = guarded(type="TOKEN")
    (authorizer,) = api.gateway.get_authorizers(restApiId=api.id)["items"]
    assert authorizer["authType"] == "custom" and authorizer["authorizerResultTtlInSeconds"] == 300
    assert authorizer["identitySource"] == "method.request.header.Authorization" and re.fullmatch(r"[a-z0-9]{6}", authorizer["id"])
    assert refused(api.gateway.delete_authorizer, restApiId=api.id, authorizerId=authorizer["id"])[0] == "ConflictException"
