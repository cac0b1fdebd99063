"""A PostgreSQL server of the tests' own: a temporary directory, a Unix socket in it, no port of the host."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

USER = "postgres"


def binaries() -> Path | None:
    """Where `initdb` and `pg_ctl` are."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    if found:
        return found[0]
    on_path = shutil.which("pg_ctl")
    return Path(on_path).parent if on_path else None


@contextmanager
def running_postgresql(parent: str | None = None) -> Iterator[str]:
    """The URL of a server that runs as long as the context, with its files in `parent` or where temporary files are.

    Skips where PostgreSQL is not installed, but not in CI.
    """
    where = binaries()
    if where is None:
        if "CI" in os.environ:
            raise RuntimeError("PostgreSQL is not installed")
        pytest.skip("PostgreSQL is not installed")
    directory = Path(tempfile.mkdtemp(prefix="haar-pg-", dir=parent))
    become = {}
    if os.geteuid() == 0:
        # PostgreSQL does not run as root.
        entry = pwd.getpwnam(USER)
        os.chown(directory, entry.pw_uid, entry.pw_gid)
        become = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    data, log = directory / "data", directory / "log"

    def run(*command: str) -> None:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=directory, timeout=120, **become)
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}{log.read_text() if log.exists() else ''}")

    try:
        run(str(where / "initdb"), "-D", str(data), "-U", "haar", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
        options = f"-c listen_addresses='' -c unix_socket_directories='{directory}' -c max_connections=100 -c shared_buffers=32MB"
        run(str(where / "pg_ctl"), "start", "-w", "-t", "100", "-D", str(data), "-l", str(log), "-o", options)
        try:
            yield f"postgresql://haar@/postgres?host={directory}"
        finally:
            run(str(where / "pg_ctl"), "stop", "-m", "immediate", "-D", str(data))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
