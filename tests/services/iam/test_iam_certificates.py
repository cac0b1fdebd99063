"""Server certificates and SSH public keys."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.support.identity import refused

EXPIRES = datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC)


def pair() -> tuple[str, str]:
    """A self-signed certificate and its key (PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.com")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    made = builder.not_valid_before(EXPIRES - timedelta(days=9)).not_valid_after(EXPIRES).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.PEM).decode(), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_server_certificates(iam: Any, name: str, cleanup: Callable[..., None]) -> None:
    body, key = pair()
    given = {"ServerCertificateName": name, "CertificateBody": body, "PrivateKey": key}
    made = iam.upload_server_certificate(**given, Path="/web/", CertificateChain=body, Tags=[{"Key": "a", "Value": "b"}])
    cleanup(lambda: iam.delete_server_certificate(ServerCertificateName=name + "-2"))
    head = made["ServerCertificateMetadata"]
    assert head["Arn"].endswith(f":server-certificate/web/{name}") and head["ServerCertificateId"].startswith("ASCA")
    assert head["Expiration"] == EXPIRES and made["Tags"] == [{"Key": "a", "Value": "b"}]
    got = iam.get_server_certificate(ServerCertificateName=name)["ServerCertificate"]
    assert got == {
        "ServerCertificateMetadata": head,
        "CertificateBody": body.strip(),
        "CertificateChain": body.strip(),
        "Tags": [{"Key": "a", "Value": "b"}],
    }
    assert iam.list_server_certificates(PathPrefix="/web/")["ServerCertificateMetadataList"] == [head]
    again = (409, "EntityAlreadyExists", f"The Server Certificate with name {name} already exists.")
    code, message, status = refused(iam.upload_server_certificate, **given)
    assert (status, code, message) == again
    iam.update_server_certificate(ServerCertificateName=name, NewServerCertificateName=name + "-2", NewPath="/")
    missing = ("NoSuchEntity", f"The Server Certificate with name {name} cannot be found.", 404)
    assert refused(iam.get_server_certificate, ServerCertificateName=name) == missing
    iam.untag_server_certificate(ServerCertificateName=name + "-2", TagKeys=["a"])
    assert iam.list_server_certificate_tags(ServerCertificateName=name + "-2")["Tags"] == []
    assert iam.get_account_summary()["SummaryMap"]["ServerCertificates"] >= 1


def test_certificates_that_are_none(iam: Any, name: str) -> None:
    body, key = pair()
    _, another = pair()

    def upload(**given: str) -> str:
        return refused(iam.upload_server_certificate, ServerCertificateName=name, **given)[0]

    assert upload(CertificateBody="nothing", PrivateKey=key) == "MalformedCertificate"
    assert upload(CertificateBody=body, PrivateKey="nothing") == "MalformedCertificate"
    assert upload(CertificateBody=body, PrivateKey=key, CertificateChain="nothing") == "MalformedCertificate"
    assert upload(CertificateBody=body, PrivateKey=another) == "KeyPairMismatch"


def ssh_key(bits: int = 2048) -> str:
    public = rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key()
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def test_ssh_keys(iam: Any, user: Any) -> None:
    body = ssh_key()
    made = iam.upload_ssh_public_key(UserName=user.name, SSHPublicKeyBody=body + " me@home")["SSHPublicKey"]
    key_id = made["SSHPublicKeyId"]
    assert key_id.startswith("APKA") and made["SSHPublicKeyBody"] == body and made["Status"] == "Active"
    assert len(made["Fingerprint"].split(":")) == 16
    assert refused(iam.upload_ssh_public_key, UserName=user.name, SSHPublicKeyBody=body)[0] == "DuplicateSSHPublicKey"
    pem = iam.get_ssh_public_key(UserName=user.name, SSHPublicKeyId=key_id, Encoding="PEM")["SSHPublicKey"]["SSHPublicKeyBody"]
    assert pem.startswith("-----BEGIN PUBLIC KEY-----")
    iam.update_ssh_public_key(UserName=user.name, SSHPublicKeyId=key_id, Status="Inactive")
    listed = iam.list_ssh_public_keys(UserName=user.name)["SSHPublicKeys"]
    assert [(one["SSHPublicKeyId"], one["Status"]) for one in listed] == [(key_id, "Inactive")]
    iam.delete_ssh_public_key(UserName=user.name, SSHPublicKeyId=key_id)
    gone = ("NoSuchEntity", f"The Public Key with id {key_id} cannot be found.", 404)
    assert refused(iam.delete_ssh_public_key, UserName=user.name, SSHPublicKeyId=key_id) == gone


@pytest.mark.parametrize(
    "body", ["ssh-rsa AAAA", "nothing", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8f1Wj7d0m6dU2Cq5z4uB5o0JQk3n6k9mY1Zl2c3d4e"]
)
def test_keys_that_are_none(iam: Any, user: Any, body: str) -> None:
    assert refused(iam.upload_ssh_public_key, UserName=user.name, SSHPublicKeyBody=body)[0] == "InvalidPublicKey"
