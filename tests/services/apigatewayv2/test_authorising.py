"""Who may call a route: tokens, functions, signatures."""

import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .conftest import REGION, HttpApi, refused
from .test_jwt import jwks, sign


class Issuer(ThreadingHTTPServer):
    """Serves discovery and keys, and counts how often."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/pool"


class _Handler(BaseHTTPRequestHandler):
    server: Issuer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        documents = {"/pool/.well-known/openid-configuration": {"jwks_uri": self.server.url + "/keys"}, "/pool/keys": jwks()}
        document = documents.get(self.path)
        self.send_response(200 if document else 404)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    server = Issuer()
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def token_api(api: HttpApi, echo: str, issuer: str, **more: Any) -> str:
    made = api.gateway.create_authorizer(
        ApiId=api.id,
        Name="tokens",
        AuthorizerType="JWT",
        IdentitySource=["$request.header.Authorization"],
        JwtConfiguration={"Issuer": issuer, "Audience": ["app"]},
    )
    api.function("GET /", echo, AuthorizationType="JWT", AuthorizerId=made["AuthorizerId"], **more)
    return str(made["AuthorizerId"])


def claims(issuer: Issuer, **more: Any) -> dict[str, Any]:
    return {"iss": issuer.url, "aud": "app", "exp": int(time.time()) + 300, "sub": "me"} | more


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_lets_in(api: HttpApi, echo: str, issuer: Issuer) -> None:
    token_api(api, echo, issuer.url)
    answer = api.call("/", headers=bearer(sign(claims(issuer, groups=["a", "b"]))))
    assert answer.status_code == 200
    found = answer.json()["event"]["requestContext"]["authorizer"]["jwt"]
    assert found["scopes"] is None
    assert (found["claims"]["sub"], found["claims"]["groups"], found["claims"]["aud"]) == ("me", "[a b]", "app")
    assert found["claims"]["exp"].isdecimal()
    asked = len(issuer.asked)
    assert api.call("/", headers={"Authorization": sign(claims(issuer))}).status_code == 200
    assert len(issuer.asked) == asked


def test_tokens_that_do_not_let_in(api: HttpApi, echo: str, issuer: Issuer) -> None:
    token_api(api, echo, issuer.url)
    missing = api.call("/")
    assert (missing.status_code, missing.json(), missing.headers["www-authenticate"]) == (401, {"message": "Unauthorized"}, "Bearer")
    assert "Content-Type" not in missing.headers
    good = sign(claims(issuer))
    for token, problem in (
        (sign(claims(issuer, exp=1)), "the token has expired"),
        (sign(claims(issuer, aud="other")), "the token does not have a valid audience"),
        (sign(claims(issuer, iss="http://other")), "issuer"),
        (sign(claims(issuer), kid="unknown"), "signing key"),
        (good[:-8] + "AAAAAAAA", "signature"),
        (sign(claims(issuer), "ES256", "e"), "signing method ES256 is invalid"),
        ("nothing", "segments"),
    ):
        answer = api.call("/", headers=bearer(token))
        assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})
        assert 'error="invalid_token"' in answer.headers["www-authenticate"] and problem in answer.headers["www-authenticate"]


def test_scopes(api: HttpApi, echo: str, issuer: Issuer) -> None:
    token_api(api, echo, issuer.url, AuthorizationScopes=["read", "admin"])
    answer = api.call("/", headers=bearer(sign(claims(issuer, scope="write read"))))
    assert answer.json()["event"]["requestContext"]["authorizer"]["jwt"]["scopes"] == ["write", "read"]
    for scope in ({}, {"scope": "write"}):
        answer = api.call("/", headers=bearer(sign(claims(issuer, **scope))))
        assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


def test_an_issuer_that_cannot_be_asked(api: HttpApi, echo: str, issuer: Issuer) -> None:
    token_api(api, echo, issuer.url + "/elsewhere")
    answer = api.call("/", headers=bearer(sign(claims(issuer))))
    assert answer.status_code == 401
    assert "OIDC discovery endpoint communication error" in answer.headers["www-authenticate"]


SIMPLE = """
import uuid
def handler(event, context):
    token = event["identitySource"][0]
    if token == "unauthorized": raise Exception("Unauthorized")
    if token == "broken": raise Exception("x")
    if token == "odd": return {"allowed": True}
    seen = {"type": event["type"], "arn": event["routeArn"], "once": str(uuid.uuid4()), "deep": {"a": [1]}}
    return {"isAuthorized": token == "yes", "context": seen}
"""
POLICY = """
def handler(event, context):
    effect = "Allow" if event["authorizationToken"] == "yes" else "Deny"
    statement = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": event["methodArn"]}
    return {"principalId": "me", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}, "context": {"n": 1, "l": ["a"]}}
"""


def lambda_authorizer(api: HttpApi, arn: str, **more: Any) -> str:
    settings = {"AuthorizerPayloadFormatVersion": "2.0", "EnableSimpleResponses": True, "IdentitySource": ["$request.header.X-Token"]}
    uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}/invocations"
    made: str = api.gateway.create_authorizer(ApiId=api.id, Name="f", AuthorizerType="REQUEST", AuthorizerUri=uri, **(settings | more))[
        "AuthorizerId"
    ]
    return made


def test_a_function_with_simple_responses(api: HttpApi, echo: str, make_function: Callable[..., str]) -> None:
    authorizer = lambda_authorizer(api, make_function(SIMPLE, allow="*/authorizers/*"))
    api.function("GET /pets/{id}", echo, AuthorizationType="CUSTOM", AuthorizerId=authorizer)
    answer = api.call("/pets/1", headers={"X-Token": "yes"})
    found = answer.json()["event"]["requestContext"]["authorizer"]["lambda"]
    assert found["type"] == "REQUEST" and found["deep"] == {"a": [1]}
    assert found["arn"] == f"arn:aws:execute-api:{REGION}:{api.platform.account}:{api.id}/$default/GET/pets/1"
    # remembered, until the cache is emptied
    again = api.call("/pets/2", headers={"X-Token": "yes"}).json()["event"]["requestContext"]["authorizer"]["lambda"]
    assert again["once"] == found["once"]
    api.gateway.reset_authorizers_cache(ApiId=api.id, StageName="$default")
    third = api.call("/pets/2", headers={"X-Token": "yes"}).json()["event"]["requestContext"]["authorizer"]["lambda"]
    assert third["once"] != found["once"]
    for token, status, message in (
        ("no", 403, "Forbidden"),
        (None, 401, "Unauthorized"),
        ("unauthorized", 401, "Unauthorized"),
        ("broken", 500, "Internal Server Error"),
        ("odd", 500, "Internal Server Error"),
    ):
        answer = api.call("/pets/1", headers={"X-Token": token} if token else {})
        assert (answer.status_code, answer.json()) == (status, {"message": message}), token


def test_a_function_that_says_no_more_than_yes(api: HttpApi, echo: str, make_function: Callable[..., str]) -> None:
    authorizer = lambda_authorizer(api, make_function("def handler(event, context):\n    return {'isAuthorized': True}\n"))
    api.function("GET /", echo, AuthorizationType="CUSTOM", AuthorizerId=authorizer)
    answer = api.call("/", headers={"X-Token": "yes"})
    assert answer.json()["event"]["requestContext"]["authorizer"] == {"lambda": None}


def test_a_preflight_passes_the_authorizer_of_its_route(api: HttpApi, echo: str, issuer: Issuer) -> None:
    api.gateway.update_api(ApiId=api.id, CorsConfiguration={"AllowOrigins": ["*"], "AllowMethods": ["GET"]})
    authorizer = token_api(api, echo, issuer.url)
    api.function("ANY /any", echo, AuthorizationType="JWT", AuthorizerId=authorizer)
    asks = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    for path, status in (("/any", 401), ("/nothing", 204)):
        answer = api.call(path, "OPTIONS", headers=asks)
        assert answer.status_code == status and answer.headers["access-control-allow-origin"] == "*", path
    plain = api.call("/nothing", "OPTIONS")
    assert plain.status_code == 204 and "access-control-allow-methods" not in plain.headers


def test_a_function_with_a_policy(api: HttpApi, echo: str, make_function: Callable[..., str]) -> None:
    settings = {"AuthorizerPayloadFormatVersion": "1.0", "EnableSimpleResponses": False}
    authorizer = lambda_authorizer(api, make_function(POLICY), **settings)
    api.function("GET /", echo, AuthorizationType="CUSTOM", AuthorizerId=authorizer)
    found = api.call("/", headers={"X-Token": "yes"}).json()["event"]["requestContext"]["authorizer"]["lambda"]
    assert found == {"principalId": "me", "n": 1, "l": ["a"]}
    answer = api.call("/", headers={"X-Token": "no"})
    assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})


def signed(api: HttpApi, path: str, key: dict[str, str], region: str = REGION) -> requests.Response:
    url = f"{api.platform.endpoint}/_haar/http-api/{api.id}{path}"
    request = AWSRequest("GET", url)
    SigV4Auth(Credentials(key["AccessKeyId"], key["SecretAccessKey"]), "execute-api", region).add_auth(request)
    return api.session.get(url, headers=dict(request.headers), timeout=60)


def test_signatures(api: HttpApi, echo: str, name: str) -> None:
    api.function("GET /pets/{id}", echo, AuthorizationType="AWS_IAM")
    iam = api.platform.client("iam")
    user = iam.create_user(UserName=name)["User"]
    key = iam.create_access_key(UserName=name)["AccessKey"]
    assert (api.call("/pets/1").status_code, api.call("/pets/1").json()) == (403, {"message": "Forbidden"})
    assert signed(api, "/pets/1", key).status_code == 403
    resource = f"arn:aws:execute-api:{REGION}:{api.platform.account}:{api.id}/$default/GET/pets/1"
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource}
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    answer = signed(api, "/pets/1", key)
    assert answer.status_code == 200
    found = answer.json()["event"]["requestContext"]["authorizer"]["iam"]
    assert (found["userArn"], found["userId"], found["accessKey"]) == (user["Arn"], user["UserId"], key["AccessKeyId"])
    assert signed(api, "/pets/2", key).status_code == 403
    assert signed(api, "/pets/1", key, "eu-west-1").status_code == 403
    assert signed(api, "/pets/1", key | {"SecretAccessKey": "wrong"}).status_code == 403


def test_authorizers_are_kept(api: HttpApi, echo: str) -> None:
    made = token_api(api, echo, "https://issuer.example")
    assert api.gateway.get_authorizer(ApiId=api.id, AuthorizerId=made)["JwtConfiguration"]["Audience"] == ["app"]
    changed = api.gateway.update_authorizer(ApiId=api.id, AuthorizerId=made, JwtConfiguration={"Audience": ["a", "b"]})
    assert changed["JwtConfiguration"] == {"Issuer": "https://issuer.example", "Audience": ["a", "b"]}
    assert [one["AuthorizerId"] for one in api.gateway.get_authorizers(ApiId=api.id)["Items"]] == [made]
    assert refused(api.gateway.delete_authorizer, ApiId=api.id, AuthorizerId=made)[::2] == ("ConflictException", 409)
    assert refused(api.gateway.get_authorizer, ApiId=api.id, AuthorizerId="nothere")[::2] == ("NotFoundException", 404)
    assert refused(api.gateway.create_route, ApiId=api.id, RouteKey="GET /x", AuthorizationType="JWT") == (
        "BadRequestException",
        "Invalid authorizer ID specified. Setting the authorization type to JWT requires a valid JWT authorizer.",
        400,
    )


def test_why_an_authorizer_failed_is_in_the_access_log(api: HttpApi, echo: str, make_function: Callable[..., str], name: str) -> None:
    logs = api.platform.client("logs")
    logs.create_log_group(logGroupName=name)
    settings = {
        "DestinationArn": f"arn:aws:logs:{REGION}:{api.platform.account}:log-group:{name}",
        "Format": "$context.requestId $context.status $context.authorizer.error",
    }
    api.gateway.update_stage(ApiId=api.id, StageName="$default", AccessLogSettings=settings)
    authorizer = lambda_authorizer(api, make_function("def handler(event, context):\n    raise ValueError('why')\n"))
    api.function("GET /", echo, AuthorizationType="CUSTOM", AuthorizerId=authorizer)
    request = api.call("/", headers={"X-Token": "yes"}).headers["Apigw-Requestid"]
    end = time.monotonic() + 60
    while not (found := logs.filter_log_events(logGroupName=name)["events"]) and time.monotonic() < end:
        time.sleep(0.1)
    assert [event["message"] for event in found] == [f"{request} 500 The authorizer failed: why"]
    logs.delete_log_group(logGroupName=name)
