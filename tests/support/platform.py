"""A real haar process for black-box tests."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

START_SECONDS = 60.0
"""Generous: test machines are busy."""
AT_ONCE = {"HAAR_SETTLE_SECONDS": "0"}
"""Most tests change functions without waiting in between."""


class RunningPlatform:
    """`haar start` in a process of its own, on a free port, with its output in a file."""

    def __init__(self, directory: Path, *flags: str, environment: dict[str, str] | None = None) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.log = directory / "haar.log"
        self.flags = flags
        self.environment = {"HAAR_IMAGE_SOURCES": f"*, {directory.parent}"} | (environment or {})
        self.process: subprocess.Popen[bytes] | None = None
        self.described: dict[str, Any] = {}

    def start(self) -> "RunningPlatform":
        """Starts it and waits until it says that it is running."""
        self.directory.mkdir(parents=True, exist_ok=True)
        env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HAAR_"))}
        command = [sys.executable, "-m", "haar", "start", "--data", str(self.data), "--port", "0", *self.flags]
        offset = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env | AT_ONCE | self.environment, cwd=self.directory
            )
        end = time.monotonic() + START_SECONDS
        while b"haar is running at" not in self._said(offset):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"haar did not start:\n{self._said(offset).decode()}")
            time.sleep(0.05)
        self.read_description()
        return self

    def read_description(self) -> None:
        """Reads again where the platform is and what its root keys are."""
        self.described = json.loads((self.data / "root.json").read_text())

    def _said(self, offset: int) -> bytes:
        with self.log.open("rb") as file:
            file.seek(offset)
            return file.read()

    @property
    def endpoint(self) -> str:
        return str(self.described["endpoint"])

    @property
    def port(self) -> int:
        return int(self.endpoint.rsplit(":", 1)[1])

    @property
    def account(self) -> str:
        return str(self.described["account"])

    def client(self, service: str, region: str = "us-east-1", **credentials: Any) -> Any:
        """A boto3 client (root's unless other credentials are given) that never retries, does not validate before sending, and
        puts nothing before the host's name."""
        keys = credentials or {
            "aws_access_key_id": self.described["access_key_id"],
            "aws_secret_access_key": self.described["secret_access_key"],
        }
        settings = Config(
            retries={"max_attempts": 0}, parameter_validation=False, inject_host_prefix=False, read_timeout=90, max_pool_connections=50
        )
        return boto3.client(service, endpoint_url=self.endpoint, region_name=region, config=settings, **keys)

    def kill(self) -> None:
        """kill -9: what was answered must still be there after start()."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)
            raise
