"""`make bench` leaves nothing behind."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.peers import tree

WAIT_SECONDS = 60.0


def test_no_server_is_left_when_it_is_told_to_end() -> None:
    command = [sys.executable, "-m", "benchmarks", "--peers", "haar", "--only", "tables"]
    bench = subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        assert bench.stderr is not None and b"filling haar" in bench.stderr.readline()
        servers = tree(bench.pid)[1:]
        assert servers
    finally:
        bench.send_signal(signal.SIGTERM)
    assert bench.wait(WAIT_SECONDS) == 128 + signal.SIGTERM
    end = time.monotonic() + WAIT_SECONDS
    while (left := [pid for pid in servers if Path(f"/proc/{pid}").exists()]) and time.monotonic() < end:
        time.sleep(0.1)
    assert left == []
