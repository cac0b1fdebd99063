"""Mutual TLS of custom domain names: the certificates that clients must be vouched for by.

API Gateway reads a truststore from S3. haar has none: the setting `truststores` names a directory that stands for it, in which
`s3://bucket/key` is the file `bucket/key`. It is read when the domain name is made or its truststore is set, as on AWS, and kept with the
domain. What cannot be read is a warning of the domain (`truststoreWarnings`), and lets nobody in.
"""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from haar.services.apigateway import errors
from haar.services.apigateway.records import Doc
from haar.services.service import Host

MAX_TRUSTSTORE = 1_048_576
"""Bytes of a truststore."""
MAX_CERTIFICATES = 1000
NO_DIRECTORY = "haar has no S3: set truststores to a directory that has the file {path}, and set the truststore again"


def set_truststore(host: Host, domain: Doc) -> None:
    """Reads what the domain's settings name and puts it into the record. Raises BadRequestException for what is no S3 URI."""
    domain.pop("truststore", None)
    settings = domain.get("mutualTlsAuthentication")
    if not settings or not settings.get("truststoreUri"):
        domain.pop("mutualTlsAuthentication", None)
        return
    uri = settings["truststoreUri"]
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket or not key:
        raise errors.bad_request("Invalid S3 URI for mutual TLS truststore")
    if domain["endpointConfiguration"]["types"] == ["EDGE"]:
        raise errors.bad_request("Mutual TLS authentication is only supported for REGIONAL domain names")
    trusted, warnings = _read(host.config.truststores, f"{bucket}/{key}")
    domain["truststore"] = trusted
    domain["mutualTlsAuthentication"] = {name: value for name, value in settings.items() if name != "truststoreWarnings"}
    if warnings:
        domain["mutualTlsAuthentication"]["truststoreWarnings"] = warnings


def _read(directory: str, path: str) -> tuple[str, list[str]]:
    """The usable certificates of a truststore (PEM), and what is wrong with it."""
    if not directory:
        return "", [NO_DIRECTORY.format(path=path)]
    root = Path(directory).resolve()
    file = (root / path).resolve()
    if not file.is_relative_to(root) or not file.is_file():
        return "", [f"There is no file {path} in the directory that truststores names"]
    with file.open("rb") as opened:
        content = opened.read(MAX_TRUSTSTORE + 1)
    if len(content) > MAX_TRUSTSTORE:
        return "", [f"The truststore is larger than {MAX_TRUSTSTORE} bytes"]
    try:
        found = x509.load_pem_x509_certificates(content)
    except ValueError:
        return "", ["The truststore is not of certificates in PEM format"]
    if len(found) > MAX_CERTIFICATES:
        return "", [f"The truststore has more than {MAX_CERTIFICATES} certificates"]
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in found), []


def describe(der: bytes) -> Doc:
    """A client's certificate as events have it (`requestContext.identity.clientCert`)."""
    certificate = x509.load_der_x509_certificate(der)
    serial = f"{certificate.serial_number:x}"
    serial = serial if len(serial) % 2 == 0 else "0" + serial
    form = "%b %e %H:%M:%S %Y GMT"
    return {
        "clientCertPem": certificate.public_bytes(Encoding.PEM).decode(),
        "subjectDN": certificate.subject.rfc4514_string(),
        "issuerDN": certificate.issuer.rfc4514_string(),
        "serialNumber": ":".join(serial[at : at + 2] for at in range(0, len(serial), 2)),
        "validity": {
            "notBefore": certificate.not_valid_before_utc.strftime(form),
            "notAfter": certificate.not_valid_after_utc.strftime(form),
        },
    }
