"""Which certificates environments trust: the host's, and the local authority's, whose certificates haar shows for AWS's host names."""

import subprocess
import sys
from pathlib import Path

from haar.execution.imagetree import HOST, has
from haar.execution.runtimes import java

BUNDLE = "etc/ssl/certs/ca-certificates.crt"
BUNDLES = (
    BUNDLE, "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "etc/pki/tls/certs/ca-bundle.crt", "etc/ssl/cert.pem",
    "etc/ssl/ca-bundle.pem",
)  # fmt: skip
"""Where distributions have theirs."""
MAX_BYTES = 8 << 20
AUTHORITY = "etc/ssl/haar.pem"
JAVA = "etc/ssl/haar.p12"
JAVA_PASSWORD = "changeit"  # noqa: S105 - what every Java has
"""As of Java's own trust stores: they hold no secrets."""
INSIDE_IMAGE = f"/{HOST}/trust"

CONVERT_SECONDS = 30.0
REMEMBERED = 2000
"""Images whose bundle is known."""
CONVERT = """
import sys
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12
from cryptography.x509 import load_pem_x509_certificates
bundle, target, password = sys.argv[1:]
certificates = [pkcs12.PKCS12Certificate(one, None) for one in load_pem_x509_certificates(open(bundle, "rb").read())]
encryption = PrivateFormat.PKCS12.encryption_builder().build(password.encode())
open(target, "wb").write(pkcs12.serialize_java_truststore(certificates, encryption))
"""
"""In a process of its own: hosts' bundles hold certificates that cryptography warns of."""


class Trust:
    """Files below `directory`: what environments see at `/etc/ssl`, and bundles of images with the authority added."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._images: dict[Path, tuple[str, Path] | None] = {}
        self._complete = False
        """Whether the bundle has the public authorities, too."""

    def prepare(self, authority: Path) -> None:
        self._directory.mkdir(parents=True)
        own = authority.read_bytes()
        found = next((path for path in (Path("/") / name for name in BUNDLES) if path.is_file()), None)
        self._complete = found is not None
        self.authority.write_bytes(own)
        self.bundle.write_bytes((found.read_bytes() if found is not None else b"") + b"\n" + own)
        self.java.touch()
        if java.homes() and java.added():
            command = [sys.executable, "-I", "-W", "ignore", "-c", CONVERT, str(self.bundle), str(self.java), JAVA_PASSWORD]
            subprocess.run(command, check=True, timeout=CONVERT_SECONDS)

    @property
    def bundle(self) -> Path:
        return self._directory / "bundle.pem"

    @property
    def java(self) -> Path:
        return self._directory / "bundle.p12"

    @property
    def authority(self) -> Path:
        return self._directory / "authority.pem"

    def variables(self, image: Path | None = None, *, node: bool = False) -> dict[str, str]:
        """Tells the libraries that bring certificates of their own. With `node`, for a Node.js that is started with `node_options`."""
        if image is None:
            bundle, authority = f"/{BUNDLE}", f"/{AUTHORITY}"
            told = {"SSL_CERT_FILE": bundle, **_told(bundle, authority)}
            if node and self._complete:
                del told["NODE_EXTRA_CA_CERTS"]
            return told
        authority = f"{INSIDE_IMAGE}/authority.pem"
        if (found := self.of_image(image)) is not None:
            return _told(found[0], authority)
        bundle = f"{INSIDE_IMAGE}/bundle.pem"
        return {"SSL_CERT_FILE": bundle, **_told(bundle, authority)}

    def node_options(self) -> list[str]:
        """Node.js reads SSL_CERT_FILE when it first needs it. NODE_EXTRA_CA_CERTS has it parse 140 certificates before it starts: 30 ms."""
        return ["--use-openssl-ca"] if self._complete else []

    def mounts(self, image: Path | None = None) -> list[tuple[str, ...]]:
        """bubblewrap's options for them."""
        if image is None:
            places = {BUNDLE: self.bundle, AUTHORITY: self.authority, JAVA: self.java}
            return [("--ro-bind", str(path), f"/{place}") for place, path in places.items()]
        mounted: list[tuple[str, ...]] = [("--perms", "0755"), ("--dir", INSIDE_IMAGE)]
        mounted += [("--ro-bind", str(path), f"{INSIDE_IMAGE}/{path.name}") for path in (self.bundle, self.authority)]
        if (found := self.of_image(image)) is not None:
            mounted.append(("--ro-bind", str(found[1]), found[0]))
        return mounted

    def of_image(self, image: Path) -> tuple[str, Path] | None:
        """The image's own bundle: its name inside, and the same with the authority added."""
        if image not in self._images:
            name = next((name for name in BUNDLES if has(image, name) and (image / name).stat().st_size <= MAX_BYTES), None)
            made = None
            if name is not None:
                made = self._directory / f"{image.parent.parent.name}.pem"
                made.write_bytes((image / name).read_bytes() + b"\n" + self.authority.read_bytes())
            while len(self._images) >= REMEMBERED:
                del self._images[next(iter(self._images))]
            self._images[image] = None if name is None or made is None else (f"/{name}", made)
        return self._images[image]


def _told(bundle: str, authority: str) -> dict[str, str]:
    return {"AWS_CA_BUNDLE": bundle, "REQUESTS_CA_BUNDLE": bundle, "NODE_EXTRA_CA_CERTS": authority}
