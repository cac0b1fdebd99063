"""Certificates of the platform's own: a local authority, made once in the data directory, and what it issues.

The authority's certificate (`authority.pem`) is what clients are told to trust; its key (`authority.key`) is its owner's alone.
"""

import ipaddress
import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from haar.clock import Clock, SystemClock
from haar.config import ConfigError

CERTIFICATE, KEY = "authority.pem", "authority.key"
AUTHORITY_DAYS = 3650
DAYS = 397
"""What an issued certificate is good for; clients refuse more."""
LEEWAY = timedelta(days=1)
"""Clocks of clients may be behind."""
MAX_COMMON_NAME = 64


class Authority:
    """A local certificate authority."""

    def __init__(self, path: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, clock: Clock) -> None:
        self.path = path
        """The file with its certificate (PEM), for clients to trust."""
        self.certificate = certificate
        self._key = key
        self._clock = clock

    @classmethod
    def ensure(cls, directory: Path, clock: Clock | None = None) -> "Authority":
        """The directory's authority; made when there is none. Whoever comes first makes it, also of several processes at once.

        Raises ConfigError when it is not usable.
        """
        clock = clock or SystemClock()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        secret, public = directory / KEY, directory / CERTIFICATE
        if not secret.exists():
            _write_once(secret, _made(clock))
        whole = secret.read_bytes()
        try:
            key = load_pem_private_key(whole, None)
            certificate = x509.load_pem_x509_certificate(whole)
        except (TypeError, ValueError):
            raise ConfigError(f"{secret} is damaged; move it away, and another authority is made, for clients to trust anew") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ConfigError(f"{secret} holds no key of an elliptic curve")
        shown = certificate.public_bytes(Encoding.PEM)
        if not public.exists() or public.read_bytes() != shown:
            _replace(public, shown)
        return cls(public, certificate, key, clock)

    def issue(self, names: Sequence[str]) -> tuple[bytes, bytes]:
        """A certificate for host names (`*.localhost` too) and addresses, followed by the authority's, and its key; both PEM."""
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        built = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:MAX_COMMON_NAME])]))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - LEEWAY)
            .not_valid_after(now + timedelta(days=DAYS) - LEEWAY)
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        chain = built.public_bytes(Encoding.PEM) + self.certificate.public_bytes(Encoding.PEM)
        return chain, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _made(clock: Clock) -> bytes:
    """A new authority's key and certificate."""
    now = datetime.fromtimestamp(clock.now(), UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "haar"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"haar local authority {serial & 0xFFFFFFFF:08x}"),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - LEEWAY)
        .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)


def _beside(path: Path, content: bytes) -> Path:
    """A new file of its owner's in the same directory, on disk."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600
    with os.fdopen(number, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)


def _write_once(path: Path, content: bytes) -> None:
    """Writes the file whole, unless somebody else has in the meantime."""
    beside = _beside(path, content)
    try:
        os.link(beside, path)
    except FileExistsError:
        pass
    finally:
        beside.unlink()


def _replace(path: Path, content: bytes) -> None:
    beside = _beside(path, content)
    beside.chmod(0o644)
    beside.replace(path)
