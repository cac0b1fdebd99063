"""Every setting of a platform: one typed object from flags, HAAR_* variables and haar.toml, in that order."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

SANDBOXES = ("bubblewrap", "none")


class ConfigError(ValueError):
    """A setting that cannot be used; says which one, and what it may be."""


@dataclass(frozen=True, slots=True)
class Config:
    host: str = "127.0.0.1"
    port: int = 4566
    https_port: int = -1
    """The port for HTTPS; 0 takes a free one, -1 is none."""
    tls_certificate: str = ""
    """A file with a certificate and its chain (PEM) for HTTPS, for the names in it; others have the local authority's (`haar cert`)."""
    tls_key: str = ""
    """The file with its key, when that is not in the same one."""
    truststores: str = ""
    """A directory that stands for S3 where a custom domain names its truststore: `s3://bucket/key` is the file `bucket/key` in it."""
    jwks: str = ""
    """Where the keys of token issuers are that are not asked for them: `NAME=URL of a JWKS`, comma separated. The name is the id of a
    user pool that Cognito authorizers name (`*`: all others), or an issuer's URL without its scheme."""
    data: Path = Path("data")
    """The directory that holds everything that haar keeps."""
    store: str = ""
    """Where state is kept: empty for SQLite in `data`, or `postgresql://…`."""
    account: str = ""
    """The account id, 12 digits; chosen at first start when empty."""
    region: str = "us-east-1"
    """The region of `haar env`; every region's name is served."""
    sandbox: Literal["bubblewrap", "none"] = "bubblewrap"
    """How functions are isolated. `none` runs them as plain processes: for hosts without namespaces."""
    egress: Literal["on", "off"] = "off"
    """Whether functions reach the internet (through pasta)."""
    image_sources: str = ""
    """Where container images may come from: beginnings of ImageUris, comma separated, `*` for any registry. Empty is any registry, and
    nothing of this machine."""
    registry_auth: str = ""
    """A file of credentials for the registries of container images (as `skopeo login` and `docker login` write); empty is none."""
    memory_mb: int = 0
    """Memory for all functions together in MB; 0 is three quarters of the host's."""
    retry_seconds: float = 60.0
    """The wait before an asynchronous invocation's first retry; the second waits twice as long."""
    enforce_throughput: bool = False
    """Whether tables refuse what is beyond their provisioned capacity, or beyond the ceiling of an on-demand table."""
    idle_seconds: float = 600.0
    """How long an execution environment stays after its last invocation."""
    socket_idle_seconds: float = 600.0
    """How long a WebSocket connection may be silent."""
    socket_seconds: float = 7200.0
    """How long a WebSocket connection may be open."""
    settle_seconds: float = 0.3
    """How long a function that was created or changed says so, and takes no further change, as at AWS; 0 is not at all."""
    record_hours: float = 24.0
    """How long the last invocations are kept with their events, for `haar replay`; 0 keeps none."""


def load(flags: Mapping[str, Any], environ: Mapping[str, str] | None = None, file: Path = Path("haar.toml")) -> Config:
    """The settings: a flag that is not None first, then HAAR_NAME, then the file, then the default."""
    environ = os.environ if environ is None else environ
    written: dict[str, Any] = {}
    if file.is_file():
        try:
            written = tomllib.loads(file.read_text())
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{file}: {error}") from None
    known = {field.name: field for field in fields(Config)}
    if unknown := sorted(set(written) - set(known)):
        raise ConfigError(f"{file}: unknown setting {unknown[0]!r}; known: {', '.join(known)}")
    chosen: dict[str, Any] = {}
    for name, field in known.items():
        value = flags.get(name)
        source = f"--{name.replace('_', '-')}"
        if value is None and (variable := "HAAR_" + name.upper()) in environ:
            value, source = environ[variable], variable
        if value is None and name in written:
            value, source = written[name], f"{file}: {name}"
        if value is not None:
            chosen[name] = _typed(source, field.default, value)
    config = Config(**chosen)
    _check(config)
    return config


def _typed(source: str, default: Any, value: Any) -> Any:
    try:
        if isinstance(default, bool):
            return (
                value if isinstance(value, bool) else {"1": True, "true": True, "on": True, "0": False, "false": False, "off": False}[value]
            )
        return type(default)(value) if not isinstance(default, Path) else Path(value)
    except (KeyError, ValueError, TypeError):
        kind = {bool: "on or off", int: "a whole number", float: "a number"}.get(type(default), "usable")
        raise ConfigError(f"{source}: {value!r} is not {kind}") from None


def _check(config: Config) -> None:
    if config.account and not (len(config.account) == 12 and config.account.isdigit()):
        raise ConfigError(f"account: {config.account!r} is not 12 digits")
    if not re.fullmatch(r"[a-z]{2,}(-[a-z]+)+-\d+", config.region):
        raise ConfigError(f"region: {config.region!r} is not a region's name (us-east-1)")
    if config.sandbox not in SANDBOXES:
        raise ConfigError(f"sandbox: {config.sandbox!r} is none of {', '.join(SANDBOXES)}")
    if config.egress not in ("on", "off"):
        raise ConfigError(f"egress: {config.egress!r} is neither on nor off")
    if not 0 <= config.port <= 65535:
        raise ConfigError(f"port: {config.port} is not a port")
    if not -1 <= config.https_port <= 65535:
        raise ConfigError(f"https_port: {config.https_port} is not a port (-1 is none)")
    if config.store and not config.store.startswith(("postgresql://", "postgres://")):
        raise ConfigError(f"store: {config.store!r} is not a postgresql:// address (leave it empty for SQLite in the data directory)")
