"""Smaller settings in effect: compression, quotas set by hand, templates of models, the account's speed, certificates, VPC links."""

import gzip
import json
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tests.services.apigateway.conftest import Api, refused
from tests.support.platform import RunningPlatform

BIG = "x" * 2000


def compressing(api: Api, size: int = 1000) -> Api:
    patch = [{"op": "replace", "path": "/minimumCompressionSize", "value": str(size)}]
    api.gateway.update_rest_api(restApiId=api.id, patchOperations=patch)
    api.mock("/big", "GET", json.dumps({"big": BIG}))
    api.mock("/small", "GET", '{"small": 1}')
    where = api.method("/read", "POST")
    api.gateway.put_integration(
        **where,
        type="MOCK",
        requestTemplates={"application/json": '{"statusCode": 200}#set($context.responseOverride.header.X-Name = $input.path("$.name"))'},
    )
    api.gateway.put_method_response(**where, statusCode="200")
    api.gateway.put_integration_response(**where, statusCode="200")
    api.deploy()
    return api


def raw(api: Api, path: str, accept: str) -> Any:
    return api.call(path, headers={"Accept-Encoding": accept}, stream=True)


def test_large_responses_are_compressed_for_who_takes_that(api: Api):
    compressing(api)
    answer = raw(api, "/big", "gzip, deflate")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer.raw.read(decode_content=False))) == {"big": BIG}
    answer = raw(api, "/big", "deflate")
    assert answer.headers["Content-Encoding"] == "deflate"
    assert json.loads(zlib.decompress(answer.raw.read(decode_content=False))) == {"big": BIG}
    for path, accept in (("/small", "gzip"), ("/big", "identity"), ("/big", "br"), ("/big", "gzip;q=0")):
        answer = raw(api, path, accept)
        assert answer.status_code == 200 and "Content-Encoding" not in answer.headers


def test_an_api_that_compresses_nothing(api: Api):
    api.mock("/big", "GET", json.dumps({"big": BIG}))
    api.deploy()
    assert "Content-Encoding" not in raw(api, "/big", "gzip").headers


def test_requests_come_compressed(api: Api):
    compressing(api)
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    body = gzip.compress(b'{"name": "packed"}')
    assert api.call("/read", "POST", data=body, headers=headers).status_code == 200
    assert api.call("/read", "POST", data=b"not gzip", headers=headers).status_code == 415
    assert api.call("/read", "POST", data=body[:-4], headers=headers).status_code == 415
    assert api.call("/read", "POST", data=body, headers=headers | {"Content-Encoding": "br"}).status_code == 415
    bomb = gzip.compress(b"0" * (11 * 1024 * 1024))
    assert api.call("/read", "POST", data=bomb, headers=headers).status_code == 413


def test_a_quota_is_set_by_hand(api: Api):
    gateway = api.gateway
    api.mock("/", apiKeyRequired=True)
    api.deploy()
    stages = [{"apiId": api.id, "stage": "v1"}]
    plan = gateway.create_usage_plan(name=api.id, apiStages=stages, quota={"limit": 2, "period": "MONTH"})["id"]
    key = gateway.create_api_key(name=api.id, enabled=True)
    where = {"usagePlanId": plan, "keyId": key["id"]}
    assert refused(gateway.update_usage, **where, patchOperations=[])[0] == "NotFoundException"
    gateway.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")

    def statuses(times: int) -> list[int]:
        return [api.call("/", headers={"x-api-key": key["value"]}).status_code for _ in range(times)]

    assert statuses(3) == [200, 200, 429]
    changed = gateway.update_usage(**where, patchOperations=[{"op": "replace", "path": "/remaining", "value": "3"}])
    assert changed["items"] == {key["id"]: [[2, 3]]}
    assert statuses(4) == [200, 200, 200, 429]
    day = changed["startDate"]
    assert gateway.get_usage(usagePlanId=plan, startDate=day, endDate=day)["items"] == {key["id"]: [[5, 0]]}
    bad = [{"op": "replace", "path": "/remaining", "value": "-1"}]
    assert refused(gateway.update_usage, **where, patchOperations=bad)[0] == "BadRequestException"
    gateway.delete_usage_plan_key(usagePlanId=plan, keyId=key["id"])
    gateway.update_usage_plan(usagePlanId=plan, patchOperations=[{"op": "remove", "path": "/apiStages", "value": f"{api.id}:v1"}])
    gateway.delete_usage_plan(usagePlanId=plan)
    gateway.delete_api_key(apiKey=key["id"])


def test_a_template_for_a_model(api: Api):
    schema = {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "number"}}},
    }
    api.gateway.create_model(restApiId=api.id, name="Pet", contentType="application/json", schema=json.dumps(schema))
    value = api.gateway.get_model_template(restApiId=api.id, modelName="Pet")["value"]
    assert value.startswith('#set($inputRoot = $input.path(\'$\'))\n{\n  "id" : 42,\n  "name" : "foo",\n  "tags" : [\n##TODO')
    itself = {"$ref": f"https://apigateway.amazonaws.com/restapis/{api.id}/models/Loop"}
    loop = {"type": "object", "properties": {f"p{at}": itself for at in range(20)}}
    api.gateway.create_model(restApiId=api.id, name="Loop", contentType="application/json", schema=json.dumps(loop))
    assert refused(api.gateway.get_model_template, restApiId=api.id, modelName="Loop")[0] == "BadRequestException"
    assert refused(api.gateway.get_model_template, restApiId=api.id, modelName="No")[0] == "NotFoundException"


def test_the_account_has_a_speed(fresh_platform: Callable[..., RunningPlatform]):
    platform = fresh_platform()
    api = Api(platform)
    api.mock("/")
    api.deploy()
    assert api.gateway.get_account()["throttleSettings"] == {"burstLimit": 5000, "rateLimit": 10000.0}
    patch = [
        {"op": "replace", "path": f"/throttle/{name}", "value": value} for name, value in (("rateLimit", "0.001"), ("burstLimit", "3"))
    ]
    assert api.gateway.update_account(patchOperations=patch)["throttleSettings"] == {"burstLimit": 3, "rateLimit": 0.001}
    assert sorted(api.call("/").status_code for _ in range(5))[-2:] == [429, 429]
    assert api.call("/").json() == {"message": "Too Many Requests"}


def test_vpc_links(platform: RunningPlatform):
    gateway = platform.client("apigateway")
    target = "arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/net/n/1"
    link = gateway.create_vpc_link(name="link", targetArns=[target], tags={"a": "b"})
    assert link["status"] == "AVAILABLE" and link["ResponseMetadata"]["HTTPStatusCode"] == 202
    changed = gateway.update_vpc_link(vpcLinkId=link["id"], patchOperations=[{"op": "replace", "path": "/name", "value": "other"}])
    assert changed["name"] == "other" and link["id"] in [one["id"] for one in gateway.get_vpc_links(limit=500)["items"]]
    gateway.delete_vpc_link(vpcLinkId=link["id"])
    assert refused(gateway.get_vpc_link, vpcLinkId=link["id"]) == ("NotFoundException", "VPC Link not found", 404)


@pytest.fixture
def https(platform: RunningPlatform, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """serve(certificate) -> the address of an HTTPS server that lets in only who has it."""
    servers: list[ThreadingHTTPServer] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"in")

        def log_message(self, *arguments: Any) -> None:
            pass

    def serve(certificate: str, own: str, key: str) -> str:
        for name, text in (("own.pem", own + key), ("client.pem", certificate)):
            (tmp_path / name).write_text(text)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "own.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(tmp_path / "client.pem")
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"https://127.0.0.1:{server.server_port}/"

    yield serve  # type: ignore[misc]
    for server in servers:
        server.shutdown()
        server.server_close()


def test_client_certificates_are_shown_to_endpoints(api: Api, https: Callable[..., str]):
    from datetime import UTC, datetime

    from haar.services.apigateway.clientcertificates import make_certificate

    gateway = api.gateway
    made = gateway.generate_client_certificate(description="mine")
    certificate_id, text = made["clientCertificateId"], made["pemEncodedCertificate"]
    parsed = x509.load_pem_x509_certificate(text.encode())
    assert int(parsed.not_valid_after_utc.timestamp()) == int(made["expirationDate"].timestamp()) and "PRIVATE" not in text
    uri = https(text, *make_certificate(datetime.now(UTC), 7))
    where = api.method("/")
    api.gateway.put_integration(
        **where, type="HTTP_PROXY", integrationHttpMethod="GET", uri=uri, tlsConfig={"insecureSkipVerification": True}
    )
    api.deploy()
    assert api.call("/").status_code == 504
    patch = [{"op": "replace", "path": "/clientCertificateId", "value": certificate_id}]
    gateway.update_stage(restApiId=api.id, stageName="v1", patchOperations=patch)
    assert api.call("/").text == "in"
    gateway.delete_client_certificate(clientCertificateId=certificate_id)
    gone = refused(gateway.get_client_certificate, clientCertificateId=certificate_id)
    assert gone == ("NotFoundException", "Invalid Client Certificate Identifier Specified", 404)


def test_keys_come_from_a_file(api: Api):
    gateway, mark = api.gateway, api.id
    plan = gateway.create_usage_plan(name=mark)["id"]
    lines = ["Name,Key,Description,Enabled,usageplanIds", f'{mark}-a,{mark}-value-aaaaaaaaaa,"first, of two",TRUE,"{plan}"']
    lines.append(f"{mark}-b,{mark}-value-bbbbbbbbbb,,false,")
    body = "\n".join(lines).encode()
    made = gateway.import_api_keys(body=body, format="csv")
    assert len(made["ids"]) == 2 and made.get("warnings", []) == []
    first, second = (gateway.get_api_key(apiKey=key, includeValue=True) for key in made["ids"])
    assert (first["name"], first["value"], first["description"], first["enabled"]) == (
        f"{mark}-a",
        f"{mark}-value-aaaaaaaaaa",
        "first, of two",
        True,
    )
    assert second["enabled"] is False
    assert [one["id"] for one in gateway.get_usage_plan_keys(usagePlanId=plan)["items"]] == [first["id"]]
    again = gateway.import_api_keys(body=body, format="csv")
    assert again["ids"] == [] and len(again["warnings"]) == 2
    assert refused(gateway.import_api_keys, body=body, format="csv", failOnWarnings=True)[0] == "BadRequestException"
    for bad in (b"\n", b"nothing,here\n1,2", b"name,key\na,short", b"\xff\xfe"):
        assert refused(gateway.import_api_keys, body=bad, format="csv")[0] == "BadRequestException"
    for key in made["ids"]:
        gateway.delete_api_key(apiKey=key)
    gateway.delete_usage_plan(usagePlanId=plan)
