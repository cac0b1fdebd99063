"""HTTPS as clients use it: deployed APIs over HTTP/2, the AWS CLI, custom domains that ask for certificates, tokens of user pools."""

import base64
import json
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from tests.services.apigateway.conftest import Api
from tests.services.apigatewayv2.sockets import Client as SocketClient
from tests.support.http2 import Http2Client
from tests.support.platform import RunningPlatform
from wsproto.events import Pong

from haar.tls import Authority

POOL = "us-east-1_Pool12345"


def _text(number: int | bytes) -> str:
    data = number if isinstance(number, bytes) else number.to_bytes((number.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """What stands for a user pool: a key, and a server that shows its public half."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        numbers = self._key.public_key().public_numbers()
        jwks = {"keys": [{"kid": "k1", "kty": "RSA", "alg": "RS256", "use": "sig", "n": _text(numbers.n), "e": _text(numbers.e)}]}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(jwks).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/{{pool}}/jwks.json"

    def token(self, *, pool: str = POOL, **claims: Any) -> str:
        now = int(time.time())
        whole = {
            "iss": f"https://cognito-idp.us-east-1.amazonaws.com/{pool}",
            "sub": "u1",
            "aud": "app",
            "token_use": "id",
            "iat": now,
            "exp": now + 600,
        }
        head = _text(json.dumps({"alg": "RS256", "kid": "k1"}).encode())
        text = head + "." + _text(json.dumps(whole | claims).encode())
        return text + "." + _text(self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.server.shutdown()


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[RunningPlatform]:
    directory = tmp_path_factory.mktemp("secure")
    settings = {"HAAR_TRUSTSTORES": str(directory / "s3"), "HAAR_JWKS": f"*={issuer.url}"}
    theirs = Authority.ensure(directory / "theirs")
    (directory / "s3" / "trust").mkdir(parents=True)
    (directory / "s3" / "trust" / "store.pem").write_bytes(theirs.path.read_bytes())
    chain, key = theirs.issue(["a client"])
    (directory / "client.pem").write_bytes(chain + key)
    running = RunningPlatform(directory, "--https-port", "0", environment=settings).start()
    yield running
    running.stop()


def port(platform: RunningPlatform) -> int:
    return int(platform.described["https_endpoint"].rpartition(":")[2])


def authority(platform: RunningPlatform) -> Path:
    return platform.data / "authority.pem"


ECHO = (
    '{"cert": "$context.identity.clientCert.subjectDN", "since": "$context.identity.clientCert.validity.notBefore",'
    ' "serial": "$context.identity.clientCert.serialNumber", "n": "$input.params("n")"}'
)


@pytest.fixture(scope="module")
def deployed(secure: RunningPlatform) -> Api:
    api = Api(secure)
    api.mock("/echo", "POST", ECHO)
    api.mock("/echo", "GET", ECHO)
    api.deploy()
    return api


def test_a_deployed_api_over_http_2(secure: RunningPlatform, deployed: Api) -> None:
    name = f"{deployed.id}.execute-api.us-east-1.localhost"
    with Http2Client(port(secure), authority(secure), name) as client:
        asked = [client.begin(f"/v1/echo?n={n}", method="POST", headers={"content-type": "application/json"}, end=False) for n in range(20)]
        for stream in asked:
            client.send_body(stream, json.dumps({"stream": stream}).encode())
        answers = client.finish(*asked)
        assert [json.loads(answer.body)["n"] for answer in answers] == [str(n) for n in range(20)]
        missing = client.ask("/v1/none")
        assert (missing.status, missing.headers["x-amzn-errortype"]) == (403, "MissingAuthenticationTokenException")


def test_curl_and_the_aws_cli(secure: RunningPlatform, deployed: Api) -> None:
    url = f"https://localhost:{port(secure)}/restapis/{deployed.id}/v1/_user_request_/echo?n=5"
    command = ["curl", "-s", "--http2", "--cacert", str(authority(secure)), "-d", '{"a":1}', "-H", "Content-Type: application/json"]
    command += ["-w", "\n%{http_version} %{http_code}", url]
    body, _, told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.rpartition("\n")
    assert (told, json.loads(body)["n"]) == ("2 200", "5")
    haar = f"{sys.executable} -m haar env --https --data {secure.data}"
    aws = f"{Path(sys.executable).with_name('aws')} apigateway get-rest-api --rest-api-id {deployed.id}"
    script = f'eval "$({haar})" && echo "$AWS_ENDPOINT_URL" && {aws}'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=120)
    endpoint, _, shown = done.stdout.partition("\n")
    assert (endpoint, json.loads(shown)["id"]) == (secure.described["https_endpoint"], deployed.id)


def domain(platform: RunningPlatform, api: Api, **settings: Any) -> tuple[str, dict[str, Any]]:
    name = f"api-{uuid.uuid4().hex[:8]}.example.org"
    gateway = platform.client("apigateway")
    made = gateway.create_domain_name(domainName=name, endpointConfiguration={"types": ["REGIONAL"]}, **settings)
    gateway.create_base_path_mapping(domainName=name, restApiId=api.id, stage="v1")
    return name, made


def fetch(platform: RunningPlatform, name: str, host: str = "", certificate: str = "") -> tuple[int, dict[str, Any]]:
    """A GET of /echo by the name in TLS and the one in Host."""
    command = ["curl", "-s", "--cacert", str(authority(platform)), "--connect-to", f"::127.0.0.1:{port(platform)}", "-w", "\n%{http_code}"]
    if certificate:
        command += ["--cert", certificate]
    if host:
        command += ["-H", f"Host: {host}"]
    done = subprocess.run([*command, f"https://{name}/echo"], capture_output=True, text=True, check=False, timeout=60)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body) if body else {}


def test_a_domain_that_asks_for_certificates(secure: RunningPlatform, deployed: Api) -> None:
    trust = {"truststoreUri": "s3://trust/store.pem"}
    guarded, made = domain(secure, deployed, mutualTlsAuthentication=trust)
    plain, _ = domain(secure, deployed)
    unreadable, shown = domain(secure, deployed, mutualTlsAuthentication={"truststoreUri": "s3://trust/none.pem"})
    assert made["mutualTlsAuthentication"] == trust and "truststore" not in made
    assert "none.pem" in shown["mutualTlsAuthentication"]["truststoreWarnings"][0]
    client = str(secure.directory / "client.pem")
    status, body = fetch(secure, guarded, certificate=client)
    assert (status, body["cert"]) == (200, "CN=a client")
    assert body["since"].endswith(" GMT") and body["serial"].count(":") > 5
    status, body = fetch(secure, plain, certificate=client)
    assert status == 200 and "a client" not in body["cert"]
    assert fetch(secure, guarded) == (0, {})  # the handshake fails
    assert fetch(secure, plain, host=guarded)[0] == 403
    assert fetch(secure, plain, host=guarded, certificate=client)[0] == 403
    assert fetch(secure, unreadable, certificate=client)[0] == 403
    answer = deployed.session.get(f"{secure.endpoint}/echo", headers={"Host": guarded}, timeout=30)
    assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})
    gateway = secure.client("apigateway")
    patch = [{"op": "replace", "path": "/mutualTlsAuthentication/truststoreUri", "value": ""}]
    assert "mutualTlsAuthentication" not in gateway.update_domain_name(domainName=guarded, patchOperations=patch)
    assert fetch(secure, guarded)[0] == 200


@pytest.fixture(scope="module")
def pooled(secure: RunningPlatform) -> Api:
    api = Api(secure)
    arn = f"arn:aws:cognito-idp:us-east-1:{secure.account}:userpool/{POOL}"
    made = api.gateway.create_authorizer(restApiId=api.id, name="pool", type="COGNITO_USER_POOLS", providerARNs=[arn])
    guard = {"authorizationType": "COGNITO_USER_POOLS", "authorizerId": made["id"]}
    api.mock("/me", template='{"email": "$context.authorizer.claims.email", "exp": "$context.authorizer.claims.exp"}', **guard)
    api.mock("/scoped", template="{}", authorizationScopes=["books/read"], **guard)
    api.ids["authorizer"] = made["id"]
    api.deploy()
    return api


def test_a_token_of_a_user_pool_opens_a_method(pooled: Api, issuer: Issuer) -> None:
    token = issuer.token(email="a@example.org", **{"cognito:groups": ["x", "y"]})
    for sent in (token, f"Bearer {token}"):
        answer = pooled.call("/me", headers={"Authorization": sent})
        assert (
            answer.status_code == 200 and answer.json()["email"] == "a@example.org" and answer.json()["exp"].endswith(time.strftime("%Y"))
        )
    test = pooled.gateway.test_invoke_authorizer(
        restApiId=pooled.id, authorizerId=pooled.ids["authorizer"], headers={"Authorization": token}
    )
    assert test["clientStatus"] == 200 and test["claims"]["cognito:groups"] == "x,y" and test["claims"]["aud"] == "app"


def test_other_tokens_do_not(pooled: Api, issuer: Issuer) -> None:
    good = issuer.token()
    head, body, signature = good.split(".")
    changed = ".".join((head, _text(json.dumps({"iss": f"x/{POOL}", "exp": 9e9}).encode()), signature))
    for token in ("", "nonsense", changed, issuer.token(pool="us-east-1_Other"), issuer.token(token_use="access"), body):
        answer = pooled.call("/me", headers={"Authorization": token} if token else {})
        assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"}), token
        assert answer.headers["x-amzn-ErrorType"] == "UnauthorizedException"
    late = pooled.call("/me", headers={"Authorization": issuer.token(exp=int(time.time()) - 5)})
    assert (late.status_code, late.json()) == (401, {"message": "The incoming token has expired"})


def test_scopes_take_an_access_token(pooled: Api, issuer: Issuer) -> None:
    def status(**claims: Any) -> int:
        return pooled.call("/scoped", headers={"Authorization": issuer.token(**claims)}).status_code

    assert status(token_use="access", scope="a books/read") == 200
    assert status(token_use="access", scope="books/write") == 401
    assert status() == 401


def test_websockets_over_tls(secure: RunningPlatform) -> None:
    v2 = secure.client("apigatewayv2")
    made = v2.create_api(Name="ws", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action")["ApiId"]
    integration = v2.create_integration(ApiId=made, IntegrationType="MOCK")["IntegrationId"]
    v2.create_route(ApiId=made, RouteKey="$default", Target=f"integrations/{integration}")
    v2.create_stage(ApiId=made, StageName="v1")
    v2.create_deployment(ApiId=made, StageName="v1")
    context = ssl.create_default_context(cafile=str(authority(secure)))
    client = SocketClient(f"ws://127.0.0.1:{port(secure)}/v1", host=f"{made}.execute-api.us-east-1.localhost", tls=context)
    client.ping()
    assert isinstance(client.next(), Pong)
    client.close()
