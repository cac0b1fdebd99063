"""haar and its peers as servers to measure: installed from the registries into .cache/peers, started on free ports, stopped by pid."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.credentials import Credentials

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache" / "peers"
VERSIONS = {"dynalite": "4.0.0", "DynamoDB Local": "2.6.1", "ministack": "1.5.33", "moto": "5.2.5"}
START_SECONDS = 60.0


@dataclass
class Target:
    """A server to measure."""

    name: str
    version: str
    endpoint: str
    credentials: Credentials
    process: subprocess.Popen[bytes]
    ready_seconds: float
    """From the start of its process to its first answer."""

    def client(self, service: str) -> Any:
        settings = Config(retries={"max_attempts": 0}, read_timeout=120, max_pool_connections=80, parameter_validation=False)
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            config=settings,
            aws_access_key_id=self.credentials.access_key,
            aws_secret_access_key=self.credentials.secret_key,
        )

    def resident_mb(self) -> float:
        """The memory of the server's process tree, in MB (proportional set size)."""
        return sum(_pss_kb(pid) for pid in tree(self.process.pid)) / 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [pid]
    if children.exists():
        for child in children.read_text().split():
            found.extend(tree(int(child)))
    return found


def _pss_kb(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        return 0
    return 0


def _wait(port: int, process: subprocess.Popen[bytes]) -> float:
    begin = time.monotonic()
    while time.monotonic() - begin < START_SECONDS:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} at its start")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return time.monotonic() - begin
        time.sleep(0.005)
    raise RuntimeError("the server did not start in time")


@contextlib.contextmanager
def _running(name: str, version: str, command: list[str], port: int, credentials: Any, environment: dict[str, str]) -> Iterator[Target]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name.replace(' ', '-')}.log").open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=os.environ | environment, start_new_session=True
        )
        try:
            ready = _wait(port, process)
            keys = credentials() if callable(credentials) else credentials
            yield Target(name, version, f"http://127.0.0.1:{port}", keys, process, ready)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)


@contextlib.contextmanager
def haar(store: str = "") -> Iterator[Target]:
    """haar from this checkout, on fresh data beside the checkout (a real disk, not tmpfs)."""
    import json

    CACHE.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="haar-", dir=CACHE))
    port = free_port()
    interpreter = str(Path(sys.executable))
    command = [interpreter, "-m", "haar", "start", "--data", str(directory / "data"), "--port", str(port)]

    def keys() -> Credentials:
        described = directory / "data" / "root.json"
        while not described.exists():
            time.sleep(0.01)
        root = json.loads(described.read_text())
        return Credentials(root["access_key_id"], root["secret_access_key"])

    try:
        name = "haar (PostgreSQL)" if store else "haar"
        with _running(name, "", command + (["--store", store] if store else []), port, keys, {}) as target:
            yield target
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _python_peer(name: str, requirement: str) -> Path:
    """The bin directory of a virtual environment that holds the peer."""
    place = CACHE / name
    if not (place / ".installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        subprocess.run([str(place / "bin" / "pip"), "install", "--quiet", requirement], check=True)
        (place / ".installed").touch()
    return place / "bin"


FAKE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


@contextlib.contextmanager
def dynalite() -> Iterator[Target]:
    place = CACHE / "dynalite"
    if not (place / "node_modules" / "dynalite").exists():
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", f"dynalite@{VERSIONS['dynalite']}"], cwd=place, check=True)
    port = free_port()
    command = [
        "node",
        str(place / "node_modules" / "dynalite" / "cli.js"),
        "--port",
        str(port),
        "--createTableMs",
        "0",
        "--deleteTableMs",
        "0",
    ]
    with _running("dynalite", VERSIONS["dynalite"], command, port, FAKE, {}) as target:
        yield target


@contextlib.contextmanager
def ministack() -> Iterator[Target]:
    binaries = _python_peer("ministack", f"ministack=={VERSIONS['ministack']}")
    port = free_port()
    settings = {"GATEWAY_PORT": str(port), "PORT": str(port), "LOG_LEVEL": "ERROR"}
    with _running("ministack", VERSIONS["ministack"], [str(binaries / "ministack")], port, FAKE, settings) as target:
        yield target


@contextlib.contextmanager
def moto() -> Iterator[Target]:
    binaries = _python_peer("moto", f"moto[server]=={VERSIONS['moto']}")
    port = free_port()
    with _running("moto", VERSIONS["moto"], [str(binaries / "moto_server"), "-p", str(port)], port, FAKE, {}) as target:
        yield target


PROJECT = """<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>haar</groupId><artifactId>peer</artifactId><version>1</version>
<dependencies><dependency><groupId>com.amazonaws</groupId><artifactId>DynamoDBLocal</artifactId><version>{}</version></dependency></dependencies>
</project>
"""


@contextlib.contextmanager
def dynamodb_local() -> Iterator[Target]:
    """AWS's own, with its tables in memory."""
    version = VERSIONS["DynamoDB Local"]
    place = CACHE / "dynamodb-local"
    if not (place / ".installed").exists():
        place.mkdir(parents=True, exist_ok=True)
        (place / "pom.xml").write_text(PROJECT.format(version))
        subprocess.run(["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"], cwd=place, check=True)
        (place / ".installed").touch()
    port = free_port()
    libraries = place / "lib"
    command = ["java", f"-Djava.library.path={libraries}", "-cp", f"{libraries}/*"]
    command += ["com.amazonaws.services.dynamodbv2.local.main.ServerRunner", "-inMemory", "-disableTelemetry", "-port", str(port)]
    with _running("DynamoDB Local", version, command, port, FAKE, {}) as target:
        yield target
