"""Java: which virtual machines are installed, and AWS's runtime client for them."""

import functools
import hashlib
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
JARS = HERE / "lib"
PLACES = ("/usr/lib/jvm/*", "/opt/java/*", "/opt/jdk*")
FETCH_SECONDS = 300.0
MAIN = "com.amazonaws.services.lambda.runtime.api.client.AWSLambda"


class NotFetched(Exception):
    """The runtime client cannot be fetched; the message says why."""


def clients() -> dict[str, str]:
    """GROUP:ARTIFACT:VERSION, and the SHA-256 of its jar."""
    pinned: dict[str, str] = tomllib.loads((HERE / "clients.toml").read_text())
    return pinned


def jar(coordinates: str) -> str:
    _, artifact, version = coordinates.split(":")
    return f"{artifact}-{version}.jar"


def added() -> bool:
    """Whether the runtime client is here."""
    return all((JARS / jar(coordinates)).is_file() for coordinates in clients())


@functools.cache
def homes() -> dict[int, Path]:
    """The installed virtual machines by their major version."""
    found = [path for place in PLACES for path in Path("/").glob(place.removeprefix("/"))]
    if (program := shutil.which("java")) is not None:
        found.append(Path(program).resolve().parent.parent)
    versions: dict[int, Path] = {}
    for home in found:
        version = _version(home)
        if version:
            versions.setdefault(version, home.resolve())
    return versions


def _version(home: Path) -> int:
    """0 for what is none."""
    release = home / "release"
    if not (home / "bin" / "java").is_file() or not release.is_file():
        return 0
    for line in release.read_text().splitlines():
        if line.startswith("JAVA_VERSION="):
            parts = line.partition("=")[2].strip('"').split(".")
            major = parts[1] if parts[0] == "1" and len(parts) > 1 else parts[0]
            return int(major) if major.isdigit() else 0
    return 0


def command(home: Path, memory_mb: int) -> list[str]:
    """The command line of the runtime; the handler's name is put in when it is known."""
    return [
        str(home / "bin" / "java"), f"-Xmx{memory_mb * 7 // 10}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
        "-Xshare:auto", "-Djavax.net.ssl.trustStore=/etc/ssl/haar.p12",
        "-Djavax.net.ssl.trustStorePassword=changeit", "-cp", "/var/runtime/lib/*", MAIN, "$_HANDLER",
    ]  # fmt: skip


def add() -> None:
    """Fetches the runtime client with Maven, checks it, and puts it in its place. Raises NotFetched."""
    maven = shutil.which("mvn")
    if maven is None:
        raise NotFetched("Maven is needed to fetch it: apt-get install maven")
    with tempfile.TemporaryDirectory(prefix="haar-java-") as directory:
        for coordinates, digest in clients().items():
            goal = ["dependency:copy", f"-Dartifact={coordinates}", f"-DoutputDirectory={directory}", "-Dmdep.useBaseVersion=true"]
            try:
                done = subprocess.run(
                    [maven, "-q", "-B", *goal], capture_output=True, text=True, timeout=FETCH_SECONDS, check=False, cwd=directory
                )
            except subprocess.TimeoutExpired:
                raise NotFetched(f"{coordinates}: Maven took longer than {FETCH_SECONDS:.0f} s") from None
            file = Path(directory) / jar(coordinates)
            if done.returncode or not file.is_file():
                raise NotFetched(f"{coordinates}: Maven says {(done.stdout + done.stderr).strip()[-1000:]}")
            if (found := hashlib.sha256(file.read_bytes()).hexdigest()) != digest:
                raise NotFetched(f"{coordinates}: the jar has SHA-256 {found}, not {digest} as is expected")
        try:
            JARS.mkdir(exist_ok=True)
            for coordinates in clients():
                shutil.copyfile(Path(directory) / jar(coordinates), JARS / jar(coordinates))
        except OSError as error:
            raise NotFetched(f"it cannot be kept: {error}") from None
