"""`haar cert`, as a person types it."""

import ssl
from pathlib import Path

from cryptography import x509
from tests.cli.test_commands import haar


def test_the_authority_is_made_once_and_said_how_to_trust(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = haar("cert", "--data", str(data))
    assert first.returncode == 0, first.stderr
    path = data / "authority.pem"
    assert str(path) in first.stdout and "AWS_CA_BUNDLE" in first.stdout and "update-ca-certificates" in first.stdout
    made = path.read_bytes()
    assert (data / "authority.key").stat().st_mode & 0o777 == 0o600
    assert haar("cert", "--data", str(data)).returncode == 0 and path.read_bytes() == made


def test_a_certificate_for_a_server_of_ones_own(tmp_path: Path) -> None:
    done = haar("cert", "db.example.org", "10.1.2.3", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    certificate, key = tmp_path / "out" / "db.example.org.pem", tmp_path / "out" / "db.example.org.key"
    assert key.stat().st_mode & 0o777 == 0o600
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    names = x509.load_pem_x509_certificate(certificate.read_bytes()).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["db.example.org"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["10.1.2.3"]


def test_names_that_are_none(tmp_path: Path) -> None:
    done = haar("cert", "a b", "--data", str(tmp_path / "data"))
    assert done.returncode == 1 and done.stderr == "haar: 'a b' is no host name or address\n"
