"""`haar cert`: the local authority of the HTTPS port: where its certificate is, how to trust it, certificates for other servers."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from haar.cli.options import Data
from haar.cli.say import complain, say
from haar.config import load

if TYPE_CHECKING:
    from haar.tls import Authority

TRUST = """
Until a client trusts it, it refuses haar's HTTPS port. To trust it
  in this shell           export AWS_CA_BUNDLE={path} CURL_CA_BUNDLE={path} REQUESTS_CA_BUNDLE={path}
                          export SSL_CERT_FILE={path} NODE_EXTRA_CA_CERTS={path}
  curl, for one request   curl --cacert {path} https://localhost:4567/
  Debian, Ubuntu          sudo cp {path} /usr/local/share/ca-certificates/haar.crt && sudo update-ca-certificates
  Fedora, RHEL            sudo trust anchor {path}
  macOS                   sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {path}
  Windows                 certutil -addstore -f Root {path}
  Chrome on Linux         certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n haar -i {path}
  Firefox                 Settings, Privacy & Security, View Certificates, Authorities, Import
  Java                    keytool -importcert -cacerts -storepass changeit -noprompt -alias haar -file {path}
Serve HTTPS: haar start --https-port 4567"""


def add_to(app: typer.Typer) -> None:
    app.command("cert")(cert)


def cert(
    names: Annotated[list[str] | None, typer.Argument(help="Issue a certificate for these host names, for a server of yours.")] = None,
    out: Annotated[Path, typer.Option(readable=False, help="The directory that it is written to: NAME.pem and NAME.key.")] = Path(),
    data: Data = None,
) -> None:
    """Makes the local certificate authority, once, and says how to trust it.

    The HTTPS port needs nothing else: it shows a certificate for whatever name a client asks for.
    """
    from haar.gateway.secure import host_name  # all of the gateway and its cryptography: only here
    from haar.tls import Authority

    authority = Authority.ensure(load({"data": data}).data)
    path = authority.path.resolve()
    for name in names or ():
        if not host_name(name):
            raise complain(f"{name!r} is no host name or address")
    if names:
        _write(authority, names, out)
    say(f"The local authority's certificate: {path}")
    say(TRUST.format(path=path))


def _write(authority: "Authority", names: list[str], out: Path) -> None:
    chain, key = authority.issue(names)
    out.mkdir(parents=True, exist_ok=True)
    stem = names[0].replace("*", "_").replace(":", "-")
    certificate, secret = out / f"{stem}.pem", out / f"{stem}.key"
    certificate.write_bytes(chain)
    secret.unlink(missing_ok=True)
    with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key)
    say(f"{', '.join(names)}: {certificate} and {secret}")
