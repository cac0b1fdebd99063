"""haar invoke, haar logs, haar runtimes."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.cli.test_commands import haar
from tests.support.platform import RunningPlatform

SOURCE = """
def handler(event, context):
    print("got", event)
    if event == "fail":
        raise ValueError("no")
    return {"event": event}
"""
WAIT_SECONDS = 60


def test_invoking(platform: RunningPlatform, make_function: Callable[..., str], tmp_path: Path) -> None:
    name, data = make_function(platform, SOURCE), str(platform.data)
    done = haar("invoke", name, '{"a": 1}', "--data", data, "--log")
    assert (done.returncode, done.stdout) == (0, '{"event": {"a": 1}}\n')
    assert "REPORT RequestId" in done.stderr and "got {'a': 1}" in done.stderr
    (tmp_path / "event.json").write_text("[1]")
    assert haar("invoke", name, f"@{tmp_path}/event.json", "--data", data).stdout == '{"event": [1]}\n'
    failed = haar("invoke", name, '"fail"', "--data", data)
    assert failed.returncode == 1 and "ValueError" in failed.stdout and f"see: haar logs {name}" in failed.stderr
    assert haar("invoke", name, "--no-wait", "--data", data).stdout.startswith("queued: ")
    missing = haar("invoke", "nowhere", "--data", data)
    assert missing.returncode == 1 and "haar: ResourceNotFoundException: Function not found" in missing.stderr
    assert "cannot be read" in haar("invoke", name, "@nowhere", "--data", data).stderr


def test_logs(platform: RunningPlatform, make_function: Callable[..., str]) -> None:
    name, data = make_function(platform, SOURCE), str(platform.data)
    assert haar("logs", name, "--data", data).stdout == ""
    haar("invoke", name, '"one"', "--data", data)
    end = time.monotonic() + WAIT_SECONDS
    while "got one" not in (shown := haar("logs", name, "--data", data).stdout):
        assert time.monotonic() < end, shown
    assert "START RequestId" in shown and "REPORT RequestId" in shown
    assert haar("logs", name, "--since", "soon", "--data", data).returncode == 1
    env = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "HAAR_"))}
    command = [sys.executable, "-m", "haar", "logs", name, "--follow", "--data", data]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as following:
        lines: list[str] = []
        assert following.stdout is not None
        reader = threading.Thread(target=lambda out: lines.extend(out), args=(following.stdout,), daemon=True)
        reader.start()
        haar("invoke", name, '"two"', "--data", data)
        try:
            while not any("got two" in line for line in list(lines)):
                assert time.monotonic() < end, lines
                time.sleep(0.1)
        finally:
            following.terminate()
    reader.join(WAIT_SECONDS)
    assert sum("got one" in line for line in lines) == 1


def test_runtimes() -> None:
    done = haar("runtimes")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    installed = f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert any(line.split()[0] == installed and "stands in" not in line for line in lines if line)
    assert any(line.startswith("provided.al2023") for line in lines) and "dotnet8" in done.stdout
