"""The client's certificate (mutual TLS) in the events of HTTP APIs."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from haar.services.apigatewayv2.dataplane import events
from haar.tls import Authority
from haar.wire.http import ClientCertificate, Request


def call(certificate: ClientCertificate | None) -> Any:
    request = Request.of("GET", "/a")
    request.certificate = certificate
    stage = SimpleNamespace(account="123456789012", api_id="abc", name="$default", variables={})
    known = {"authorizer": None, "jwt": None, "lambda_context": None, "principal": None}
    shown = {"domain": "a.example.org", "raw_path": "/a", "request_id": "r", "route_key": "GET /a", "time": "t", "now": 0.0}
    return SimpleNamespace(stage=stage, request=request, **known, **shown)


def test_who_showed_a_certificate_is_in_the_event(tmp_path: Path) -> None:
    authority = Authority.ensure(tmp_path)
    chain, _ = authority.issue(["a client"])
    der = x509.load_pem_x509_certificate(chain).public_bytes(Encoding.DER)
    asked = call(ClientCertificate(der, authority.path.read_text()))
    found = events.context_v2(asked)["authentication"]["clientCert"]
    assert found["subjectDN"] == "CN=a client" and "O=haar" in found["issuerDN"]
    assert found["clientCertPem"].startswith("-----BEGIN CERTIFICATE-----\n")
    assert set(found["validity"]) == {"notBefore", "notAfter"}
    assert events._context_v1(asked)["identity"]["clientCert"] == found


def test_nobody_else_has_one() -> None:
    assert "authentication" not in events.context_v2(call(None))
    assert "clientCert" not in events._context_v1(call(None))["identity"]
