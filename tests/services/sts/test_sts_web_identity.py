"""AssumeRoleWithWebIdentity: tokens of an OpenID Connect provider whose keys are served over HTTP."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from tests.services.apigatewayv2.test_jwt import jwks, sign
from tests.support.identity import policy, refused, statement
from tests.support.platform import RunningPlatform

ISSUER = "token.actions.githubusercontent.com"
BROKEN = "broken.example.com"
TAGS = "https://aws.amazon.com/tags"


class Provider:
    """An issuer, a role that trusts it, and a client that has no keys."""

    def __init__(self, platform: RunningPlatform, asked: list[str]) -> None:
        self.platform = platform
        self.asked = asked
        """What was asked for keys."""
        self.iam = platform.client("iam")
        self.arn = self.iam.create_open_id_connect_provider(Url=f"https://{ISSUER}", ClientIDList=["sts.amazonaws.com"])[
            "OpenIDConnectProviderArn"
        ]
        self.role = self.iam.create_role(RoleName="deployer", AssumeRolePolicyDocument=self.trust())["Role"]["Arn"]
        settings = Config(signature_version=UNSIGNED, retries={"max_attempts": 0})
        self.sts = boto3.client("sts", endpoint_url=platform.endpoint, region_name="us-east-1", config=settings)

    def trust(self, actions: Any = "sts:AssumeRoleWithWebIdentity", subject: str = "repo:me/shop:*", **more: Any) -> str:
        condition = {"StringLike": {f"{ISSUER}:sub": subject}, "StringEquals": {f"{ISSUER}:aud": "sts.amazonaws.com", **more}}
        allowed = {"Effect": "Allow", "Action": actions, "Principal": {"Federated": self.arn}, "Condition": condition}
        return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})

    def trusts(self, *arguments: Any, **more: Any) -> None:
        self.iam.update_assume_role_policy(RoleName="deployer", PolicyDocument=self.trust(*arguments, **more))

    def token(self, **claims: Any) -> str:
        now = time.time()
        plain = {"iss": f"https://{ISSUER}", "aud": "sts.amazonaws.com", "sub": "repo:me/shop:ref:refs/heads/main"}
        return sign(plain | {"iat": int(now), "exp": int(now) + 300, "actor": "me"} | claims)

    def assume(self, token: str, **more: Any) -> Any:
        given = {"RoleArn": self.role, "RoleSessionName": "ci", "WebIdentityToken": token}
        return self.sts.assume_role_with_web_identity(**given | more)


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    asked: list[str] = []

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = json.dumps(jwks()).encode()
            self.send_response(200 if self.path == "/keys" else 500)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    directory: Path = tmp_path_factory.mktemp("web-identity")
    settings = {"HAAR_JWKS": f"{ISSUER}=http://127.0.0.1:{server.server_port}/keys,{BROKEN}=http://127.0.0.1:{server.server_port}/broken"}
    platform = RunningPlatform(directory, environment=settings).start()
    yield Provider(platform, asked)
    platform.stop()
    server.shutdown()


@pytest.fixture
def trusting(provider: Provider) -> Provider:
    provider.trusts()
    return provider


def test_a_token_becomes_a_session_of_the_role(trusting: Provider) -> None:
    made = trusting.assume(trusting.token())
    account = trusting.platform.account
    assert made["Provider"] == trusting.arn and made["Audience"] == "sts.amazonaws.com"
    assert made["SubjectFromWebIdentityToken"] == "repo:me/shop:ref:refs/heads/main"
    assert made["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{account}:assumed-role/deployer/ci"
    assert "PackedPolicySize" not in made and "SourceIdentity" not in made
    keys = made["Credentials"]
    mine = {
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
        "aws_session_token": keys["SessionToken"],
    }
    assert trusting.platform.client("sts", **mine).get_caller_identity()["Arn"] == made["AssumedRoleUser"]["Arn"]
    tables = trusting.platform.client("dynamodb", **mine)
    assert refused(tables.list_tables)[0] == "AccessDeniedException"
    federated = {"StringEquals": {"aws:FederatedProvider": trusting.arn}}
    allowed = policy(statement("dynamodb:ListTables", Condition=federated))
    trusting.iam.put_role_policy(RoleName="deployer", PolicyName="p", PolicyDocument=allowed)
    assert tables.list_tables()["TableNames"] == []


DENIED = ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403)


def test_the_trust_policy_decides(trusting: Provider) -> None:
    assert refused(trusting.assume, trusting.token(sub="repo:you/shop:x")) == DENIED
    assert refused(trusting.assume, trusting.token(), RoleArn=trusting.role + "x") == DENIED
    trusting.trusts(**{f"{ISSUER}:actor": "somebody"})
    assert refused(trusting.assume, trusting.token()) == DENIED
    trusting.trusts(**{f"{ISSUER}:actor": "me"})
    trusting.assume(trusting.token())
    trusting.trusts("sts:AssumeRole")
    assert refused(trusting.assume, trusting.token()) == DENIED


def test_tags_and_source_identity_come_with_the_token(trusting: Provider) -> None:
    tags = {"principal_tags": {"team": ["shop"]}, "transitive_tag_keys": ["team"]}
    token = trusting.token(**{TAGS: tags, "https://aws.amazon.com/source_identity": "me"})
    assert refused(trusting.assume, token) == DENIED, "sts:TagSession is not allowed"
    trusting.trusts(["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"], **{"aws:RequestTag/team": "shop"})
    made = trusting.assume(token)
    assert made["SourceIdentity"] == "me" and made["PackedPolicySize"] > 0


def invalid(message: str) -> tuple[str, str, int]:
    return "InvalidIdentityToken", message, 400


def test_tokens_that_are_not_believed(trusting: Provider) -> None:
    no_jwt = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
    assert refused(trusting.assume, "no.token.at-all") == invalid(no_jwt)
    other = trusting.token(iss="https://elsewhere.example.com")
    no_provider = "No OpenIDConnect provider found in your account for https://elsewhere.example.com"
    assert refused(trusting.assume, other) == invalid(no_provider)
    assert refused(trusting.assume, trusting.token(aud="somebody")) == invalid("Incorrect token audience")
    code, message, status = refused(trusting.assume, trusting.token(exp=1_700_000_000))
    assert (code, status) == ("ExpiredTokenException", 400) and message.endswith("must be before the expiration date/time 1700000000")
    head, claims, _ = trusting.token().split(".")
    _, _, signature = trusting.token(sub="repo:me/shop:another").split(".")
    assert refused(trusting.assume, f"{head}.{claims}.{signature}")[0] == "InvalidIdentityToken"
    unknown = sign({"iss": f"https://{ISSUER}", "aud": "sts.amazonaws.com", "sub": "s", "iat": 1, "exp": time.time() + 60}, kid="unknown")
    assert refused(trusting.assume, unknown) == invalid(
        "Couldn't retrieve verification key from your identity provider,  "
        "please reference AssumeRoleWithWebIdentity documentation for requirements"
    )


def test_strangers_do_not_have_the_issuer_asked_again_and_again(trusting: Provider) -> None:
    for number in range(20):
        trusting.assume(trusting.token(iss=f"https://{ISSUER}{'/' * number}"))
    assert trusting.asked.count("/keys") == 1
    trusting.iam.create_open_id_connect_provider(Url=f"https://{BROKEN}", ClientIDList=["sts.amazonaws.com"])
    for _ in range(10):
        code, message, _ = refused(trusting.assume, trusting.token(iss=f"https://{BROKEN}"))
        assert code == "InvalidIdentityToken" and message.startswith("Couldn't retrieve verification key")
    assert trusting.asked.count("/broken") == 1


def test_limits(trusting: Provider) -> None:
    token = trusting.token()
    too_long = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    assert refused(trusting.assume, token, DurationSeconds=7200) == ("ValidationError", too_long, 400)
    narrowed = trusting.assume(token, Policy=policy(statement("s3:*")), DurationSeconds=900)
    assert narrowed["PackedPolicySize"] > 0


def test_other_operations_still_take_a_signature(trusting: Provider) -> None:
    call: Callable[..., Any] = trusting.sts.get_caller_identity
    assert refused(call)[0] == "MissingAuthenticationToken"
