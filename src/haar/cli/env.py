"""`haar env`: how clients reach the platform: variables for the shell, or an AWS profile."""

import json
import os
import re
import shlex
import shutil
import socket
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from haar.cli.options import Data
from haar.cli.say import complain, hint, say
from haar.config import load

CONNECT_SECONDS = 2.0


def add_to(app: typer.Typer) -> None:
    app.command("env")(env)


def describe(data: Path | None) -> dict[str, Any]:
    """What the platform that serves `data` wrote about itself. Complains when there is none."""
    directory = load({"data": data}).data
    try:
        described: dict[str, Any] = json.loads((directory / "root.json").read_text())
    except FileNotFoundError:
        raise complain(f"no platform has been started in {directory.resolve()} (haar start, or name its directory: --data DIR)") from None
    except PermissionError:
        raise complain(f"{directory / 'root.json'} holds the root user's keys and is readable by the user who started haar only") from None
    return described


def env(
    data: Data = None,
    profile: Annotated[str | None, typer.Option(help="Write this profile to the AWS configuration files instead.")] = None,
    https: Annotated[bool, typer.Option("--https", help="The HTTPS endpoint, and the authority to trust.")] = False,
) -> None:
    """Prints the variables that point AWS clients at the platform: eval "$(haar env)"."""
    described = describe(data)
    authority = ""
    if https:
        if "https_endpoint" not in described:
            raise complain("the platform does not serve HTTPS (haar start --https-port 4567)")
        described["endpoint"] = described["https_endpoint"]
        from haar.tls import CERTIFICATE

        authority = str((load({"data": data}).data / CERTIFICATE).resolve())
    if profile is not None:
        if not re.fullmatch(r"[\w.@+-]+", profile, re.ASCII):
            raise complain(f"{profile!r} cannot be a profile's name: letters, digits and . @ + - _ can")
        write_profile(profile, described, authority)
        say(f"wrote profile {profile}; use it: aws --profile {profile} sts get-caller-identity")
        return
    for name, key in (
        ("AWS_ENDPOINT_URL", "endpoint"),
        ("AWS_ACCESS_KEY_ID", "access_key_id"),
        ("AWS_SECRET_ACCESS_KEY", "secret_access_key"),
        ("AWS_DEFAULT_REGION", "region"),
        ("AWS_REGION", "region"),
    ):
        say(f"export {name}={shlex.quote(described[key])}")
    if authority:
        say(f"export AWS_CA_BUNDLE={shlex.quote(authority)} NODE_EXTRA_CA_CERTS={shlex.quote(authority)}")
    say("unset AWS_SESSION_TOKEN AWS_PROFILE")
    _offer_cli()
    if not _answers(described["endpoint"]):
        hint(f"nothing answers at {described['endpoint']} now; start the platform: haar start")


def _answers(endpoint: str) -> bool:
    at = urlsplit(endpoint)
    try:
        socket.create_connection((at.hostname, at.port), timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _offer_cli() -> None:
    """Puts the AWS CLI of haar's own installation on the path when the shell has none; says how to get one when there is none there."""
    if shutil.which("aws") is not None:
        return
    beside = Path(sys.executable).absolute().with_name("aws")
    if beside.exists():
        say(f'export PATH="$PATH":{shlex.quote(str(beside.parent))}')
    else:
        hint(f"no AWS CLI is installed here; to get one, type\n  {sys.executable} -m pip install awscli\nand then the same line again")


def write_profile(profile: str, described: dict[str, Any], authority: str = "") -> None:
    """Adds or replaces a profile in ~/.aws/config and ~/.aws/credentials (or where AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE say)."""
    directory = Path.home() / ".aws"
    config = Path(os.environ.get("AWS_CONFIG_FILE", directory / "config"))
    credentials = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", directory / "credentials"))
    section = profile if profile == "default" else f"profile {profile}"
    trust = {"ca_bundle": authority} if authority else {}
    _set(config, section, {"region": described["region"], "endpoint_url": described["endpoint"], **trust})
    _set(
        credentials,
        profile,
        {"aws_access_key_id": described["access_key_id"], "aws_secret_access_key": described["secret_access_key"]},
    )


def _set(path: Path, section: str, values: dict[str, str]) -> None:
    """Writes the values into the section, and leaves everything else in the file as it is, comments, too."""
    path = path.resolve()  # it may be a link
    lines = path.read_text().splitlines() if path.exists() else []
    heads = [number for number, line in enumerate(lines) if line.lstrip().startswith("[")]
    at = next((number for number in heads if lines[number].strip() == f"[{section}]"), None)
    if at is None:
        lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        at = len(lines) - 1
    end = next((number for number in heads if number > at), len(lines))
    kept = [line for line in lines[at + 1 : end] if line[:1].isspace() or line.partition("=")[0].strip().lower() not in values]
    lines[at + 1 : end] = [f"{name} = {value}" for name, value in values.items()] + kept
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(path.name + ".haar")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")
    beside.replace(path)
