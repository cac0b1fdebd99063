"""Function URLs: made, shown, and called over HTTP."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from tests.support.identity import policy, refused, statement
from tests.support.platform import RunningPlatform

from haar.services.lambda_.urlevents import BadAnswer, allowed_origin, response_of

Make = Callable[..., Any]
TIMEOUT = 60


@pytest.fixture
def open_url(lambda_: Any, function: Make, name: str) -> Make:
    """open_url(code, **settings) -> the URL of a new function that anyone may call."""

    def make(code: str, **settings: Any) -> str:
        function(code)
        allow_everyone(lambda_, name)
        url: str = lambda_.create_function_url_config(FunctionName=name, AuthType="NONE", **settings)["FunctionUrl"]
        return url

    return make


def allow_everyone(lambda_: Any, name: str, **more: Any) -> None:
    url = {"StatementId": "url", "Action": "lambda:InvokeFunctionUrl", "Principal": "*", "FunctionUrlAuthType": "NONE"}
    lambda_.add_permission(FunctionName=name, **url, **more)
    invoke = {"StatementId": "invoke", "Action": "lambda:InvokeFunction", "Principal": "*", "InvokedViaFunctionUrl": True}
    lambda_.add_permission(FunctionName=name, **invoke, **more)


def test_a_configuration(lambda_: Any, function: Make, name: str) -> None:
    arn = function()["FunctionArn"]
    missing = ("ResourceNotFoundException", "The resource you requested does not exist.", 404)
    for call in (lambda_.get_function_url_config, lambda_.delete_function_url_config, lambda_.update_function_url_config):
        assert refused(call, FunctionName=name) == missing
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "MaxAge": 10}
    made = lambda_.create_function_url_config(FunctionName=name, AuthType="AWS_IAM", Cors=cors)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (made["FunctionArn"], made["AuthType"], made["InvokeMode"], made["Cors"]) == (arn, "AWS_IAM", "BUFFERED", cors)
    again = refused(lambda_.create_function_url_config, FunctionName=name, AuthType="NONE")
    assert again[0] == "ResourceConflictException" and "FunctionUrlConfig exists for this Lambda function" in again[1]
    got = lambda_.get_function_url_config(FunctionName=name)
    assert (got["FunctionUrl"], got["CreationTime"]) == (made["FunctionUrl"], made["CreationTime"])
    changed = lambda_.update_function_url_config(FunctionName=name, AuthType="NONE", InvokeMode="RESPONSE_STREAM")
    assert (changed["AuthType"], changed["InvokeMode"], changed["Cors"]) == ("NONE", "RESPONSE_STREAM", cors)
    assert changed["FunctionUrl"] == made["FunctionUrl"] and changed["LastModifiedTime"] >= made["CreationTime"]
    version = lambda_.publish_version(FunctionName=name)["Version"]
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    alias = lambda_.create_function_url_config(FunctionName=name, Qualifier="live", AuthType="NONE")
    assert alias["FunctionArn"] == f"{arn}:live" and alias["FunctionUrl"] != made["FunctionUrl"]
    listed = lambda_.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]
    assert [one["FunctionArn"] for one in listed] == [arn, f"{arn}:live"]
    page = lambda_.list_function_url_configs(FunctionName=name, MaxItems=1)
    page = lambda_.list_function_url_configs(FunctionName=name, MaxItems=1, Marker=page["NextMarker"])
    assert [one["FunctionArn"] for one in page["FunctionUrlConfigs"]] == [f"{arn}:live"] and "NextMarker" not in page
    lambda_.delete_function_url_config(FunctionName=name)
    assert refused(lambda_.get_function_url_config, FunctionName=name) == missing
    gone = ("ResourceNotFoundException", "Function does not exist", 404)
    assert refused(lambda_.create_function_url_config, FunctionName=name, Qualifier="no", AuthType="NONE") == gone
    assert refused(lambda_.create_function_url_config, FunctionName="nowhere", AuthType="NONE") == gone
    assert refused(lambda_.list_function_url_configs, FunctionName="nowhere") == gone
    lambda_.delete_alias(FunctionName=name, Name="live")
    assert requests.get(alias["FunctionUrl"], timeout=TIMEOUT).status_code == 404
    lambda_.delete_function(FunctionName=name)
    assert requests.get(made["FunctionUrl"], timeout=TIMEOUT).status_code == 404


def test_the_event(open_url: Make, platform: RunningPlatform) -> None:
    url = open_url("def handler(event, context):\n    return {'event': event, 'id': context.aws_request_id}\n")
    headers = {"Content-Type": "application/json", "Cookie": "a=1; b=2", "X-Two": "x", "User-Agent": "me"}
    answer = requests.post(f"{url}a%20b/c?q=1&q=2&r=%C3%A9", data='{"k": "v"}', headers=headers, timeout=TIMEOUT)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
    event, context = answer.json()["event"], answer.json()["event"]["requestContext"]
    url_id = context["apiId"]
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "$default", "/a%20b/c")
    assert event["rawQueryString"] == "q=1&q=2&r=%C3%A9" and event["queryStringParameters"] == {"q": "1,2", "r": "é"}
    assert (event["body"], event["isBase64Encoded"], event["cookies"]) == ('{"k": "v"}', False, ["a=1", "b=2"])
    assert event["headers"]["x-two"] == "x" and event["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert event["headers"]["x-forwarded-proto"] == "http" and event["headers"]["x-amzn-trace-id"].startswith("Root=1-")
    http = {"method": "POST", "path": "/a%20b/c", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "me"}
    assert context["http"] == http and context["accountId"] == "anonymous" and "authorizer" not in context
    assert context["requestId"] == answer.json()["id"] == answer.headers["x-amzn-RequestId"]
    at_aws = f"{url_id}.lambda-url.us-east-1.on.aws"
    for domain in (f"{url_id}.lambda-url.us-east-1.localhost:{platform.port}", at_aws, at_aws.upper()):
        by_host = requests.get(f"{platform.endpoint}/p", headers={"Host": domain}, timeout=TIMEOUT).json()["event"]
        assert by_host["rawPath"] == "/p" and "body" not in by_host
        assert by_host["requestContext"]["domainName"] == domain.partition(":")[0].lower()
        assert by_host["requestContext"]["domainPrefix"] == url_id
    elsewhere = {"Host": f"{url_id}.lambda-url.eu-west-1.on.aws"}
    assert requests.get(f"{platform.endpoint}/p", headers=elsewhere, timeout=TIMEOUT).status_code == 404
    binary = requests.put(url, data=b"\xff\x00", headers={"Content-Type": "image/png"}, timeout=TIMEOUT).json()["event"]
    assert base64.b64decode(binary["body"]) == b"\xff\x00" and binary["isBase64Encoded"] is True


ANSWERS = """
import base64
ANSWERS = {
    "/text": "hello",
    "/nothing": None,
    "/list": [1, 2],
    "/whole": {"statusCode": 201, "headers": {"X-A": "b", "Content-Type": "text/html"}, "cookies": ["c=1", "d=2; Secure"], "body": "<p>"},
    "/binary": {"statusCode": 200, "body": base64.b64encode(bytes(range(256))).decode(), "isBase64Encoded": True},
    "/empty": {"statusCode": 204},
    "/bad": {"statusCode": "many", "body": "x"},
    "/number": {"statusCode": "404", "body": "gone"},
}
def handler(event, context):
    if event["rawPath"] == "/raise":
        raise ValueError("no")
    return ANSWERS[event["rawPath"]]
"""


def test_answers(open_url: Make) -> None:
    url = open_url(ANSWERS)[:-1]
    text = requests.get(f"{url}/text", timeout=TIMEOUT)
    assert (text.status_code, text.headers["Content-Type"], text.text) == (200, "application/json", '"hello"')
    assert requests.get(f"{url}/nothing", timeout=TIMEOUT).text == "null"
    assert requests.get(f"{url}/list", timeout=TIMEOUT).json() == [1, 2]
    whole = requests.get(f"{url}/whole", timeout=TIMEOUT)
    assert (whole.status_code, whole.headers["X-A"], whole.headers["Content-Type"], whole.text) == (201, "b", "text/html", "<p>")
    assert whole.cookies.get_dict()["c"] == "1" and "d=2; Secure" in whole.headers["Set-Cookie"]
    assert requests.get(f"{url}/binary", timeout=TIMEOUT).content == bytes(range(256))
    assert requests.get(f"{url}/empty", timeout=TIMEOUT).status_code == 204
    number = requests.get(f"{url}/number", timeout=TIMEOUT)
    assert (number.status_code, number.text) == (404, "gone")
    for path in ("/bad", "/raise"):
        failed = requests.get(url + path, timeout=TIMEOUT)
        assert (failed.status_code, failed.text) == (502, "Internal Server Error"), path


def test_nobody_may_call_what_no_policy_opens(lambda_: Any, function: Make, name: str) -> None:
    function()
    url = lambda_.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
    closed = requests.get(url, timeout=TIMEOUT)
    assert closed.status_code == 403 and closed.json()["Message"].startswith("Forbidden.")
    assert closed.headers["x-amzn-ErrorType"] == "AccessDeniedException"
    lambda_.add_permission(
        FunctionName=name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE"
    )
    assert requests.get(url, timeout=TIMEOUT).status_code == 403  # lambda:InvokeFunction is needed, too
    lambda_.remove_permission(FunctionName=name, StatementId="url")
    allow_everyone(lambda_, name)
    assert requests.get(url, timeout=TIMEOUT).status_code == 200
    lambda_.update_function_url_config(FunctionName=name, AuthType="AWS_IAM")
    assert requests.get(url, timeout=TIMEOUT).status_code == 403
    lambda_.update_function_url_config(FunctionName=name, AuthType="NONE")
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    throttled = requests.get(url, timeout=TIMEOUT)
    assert throttled.status_code == 429 and throttled.json()["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


def signed(url: str, key: dict[str, str], method: str = "GET", service: str = "lambda") -> requests.Response:
    request = AWSRequest(method, url, headers={"Host": urlsplit(url).netloc})
    SigV4Auth(Credentials(key["AccessKeyId"], key["SecretAccessKey"]), service, "us-east-1").add_auth(request)
    return requests.request(method, url, headers=dict(request.headers), timeout=TIMEOUT)


def test_signed_requests(client: Make, lambda_: Any, function: Make, name: str, platform: RunningPlatform) -> None:
    arn = function()["FunctionArn"]
    url = lambda_.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")["FunctionUrl"]
    iam = client("iam")
    user = iam.create_user(UserName=name)["User"]
    key = iam.create_access_key(UserName=name)["AccessKey"]
    assert signed(url, key).status_code == 403
    actions = ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"]
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy(statement(actions, arn)))
    answer = signed(f"{url}x?a=b", key)
    assert answer.status_code == 200, answer.text
    about = answer.json()["requestContext"]
    assert about["accountId"] == platform.account
    assert about["authorizer"]["iam"]["userArn"] == user["Arn"] and about["authorizer"]["iam"]["accessKey"] == key["AccessKeyId"]
    wrong = signed(url, key | {"SecretAccessKey": "x" * 40})
    assert wrong.status_code == 403 and wrong.headers["x-amzn-ErrorType"] == "InvalidSignatureException"
    assert signed(url, key, service="execute-api").status_code == 403
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy(statement(actions[0], arn)))
    assert signed(url, key).status_code == 403


def test_an_alias_has_its_own_url_and_policy(lambda_: Any, function: Make, name: str) -> None:
    function("def handler(event, context): return context.function_version")
    version = lambda_.publish_version(FunctionName=name)["Version"]
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    url = lambda_.create_function_url_config(FunctionName=name, Qualifier="live", AuthType="NONE")["FunctionUrl"]
    allow_everyone(lambda_, name)
    assert requests.get(url, timeout=TIMEOUT).status_code == 403
    allow_everyone(lambda_, name, Qualifier="live")
    assert requests.get(url, timeout=TIMEOUT).json() == version


def test_cross_origin(open_url: Make) -> None:
    cors = {"AllowOrigins": ["https://*.example.com"], "AllowMethods": ["GET", "PUT"], "AllowHeaders": ["x-a"], "MaxAge": 60}
    cors |= {"ExposeHeaders": ["x-b"], "AllowCredentials": True}
    url = open_url("def handler(e, c): return {'statusCode': 200, 'headers': {'Access-Control-Allow-Origin': 'mine'}}", Cors=cors)
    ask = {"Origin": "https://a.example.com", "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-a"}
    before = requests.options(url, headers=ask, timeout=TIMEOUT)
    assert before.status_code == 200 and before.headers["Access-Control-Allow-Origin"] == "https://a.example.com"
    assert (before.headers["Access-Control-Allow-Methods"], before.headers["Access-Control-Allow-Headers"]) == ("GET,PUT", "x-a")
    assert (before.headers["Access-Control-Max-Age"], before.headers["Access-Control-Allow-Credentials"]) == ("60", "true")
    answer = requests.get(url, headers={"Origin": "https://a.example.com"}, timeout=TIMEOUT)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example.com"
    assert answer.headers["Access-Control-Expose-Headers"] == "x-b"
    other = requests.get(url, headers={"Origin": "https://b.example"}, timeout=TIMEOUT)
    assert "Access-Control-Allow-Origin" not in other.headers


@pytest.mark.parametrize(
    "cors, origin, allowed",
    [
        ({"AllowOrigins": ["*"]}, "https://a", "*"),
        ({"AllowOrigins": ["*"], "AllowCredentials": True}, "https://a", "https://a"),
        ({"AllowOrigins": ["https://a"]}, "https://a", "https://a"),
        ({"AllowOrigins": ["https://a"]}, "https://b", None),
        ({"AllowOrigins": ["https://*.a"]}, "https://x.a", "https://x.a"),
        ({"AllowOrigins": ["http://localhost:*"]}, "http://localhost:3000", "http://localhost:3000"),
        ({}, "https://a", None),
    ],
)
def test_origins(cors: dict[str, Any], origin: str, allowed: str | None) -> None:
    assert allowed_origin(cors, origin) == allowed


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@given(
    st.fixed_dictionaries(
        {}, optional={"statusCode": json_values, "headers": json_values, "body": json_values, "cookies": json_values, "x": json_values}
    )
    | json_values
)
def test_any_answer_is_a_response_or_bad(answer: Any) -> None:
    try:
        response = response_of(json.dumps(answer).encode())
    except BadAnswer:
        return
    assert 100 <= response.status <= 599 and isinstance(response.body, bytes)
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in response.headers)
