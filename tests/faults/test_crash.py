"""kill -9 at any moment: what was acknowledged is there, and no transaction is half there."""

import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from haar.store.sqlite import SQLiteStore

pytestmark = pytest.mark.faults

ROUNDS = 60
START_SECONDS = 60.0


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    acks, ack_out = os.pipe()
    os.set_blocking(acks, False)
    zygote = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs in this loop
        [sys.executable, "-m", "tests.faults.crash_writer", str(ack_out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[ack_out],
        cwd=Path(__file__).parents[2],
    )
    os.close(ack_out)
    assert zygote.stdin is not None
    assert zygote.stdout is not None
    moments = random.Random(20_251_125)
    acknowledged: set[int] = set()
    try:
        for turn in range(ROUNDS):
            zygote.stdin.write(f"{directory}\n".encode())
            zygote.stdin.flush()
            writer = int(zygote.stdout.readline())
            text = b""
            if turn % 4:  # every fourth time perhaps while it is still opening the store
                assert select.select([acks], [], [], START_SECONDS)[0]
            time.sleep(moments.random() * 0.08)  # noqa: ASYNC251
            os.kill(writer, signal.SIGKILL)
            assert zygote.stdout.readline() == b"gone\n"
            while select.select([acks], [], [], 0)[0] and (more := os.read(acks, 1 << 20)):
                text += more
            new = {int(line) for line in text.split()}
            assert not new & acknowledged
            acknowledged |= new
            if turn % 10 == 9 or turn < 5:
                await check_all(directory, acknowledged)
        assert len(acknowledged) > ROUNDS
    finally:
        zygote.stdin.close()
        zygote.wait(30)
        zygote.stdout.close()
        os.close(acks)


async def check_all(directory: Path, acknowledged: set[int]) -> None:
    if not (directory / "haar.db").exists():
        assert not acknowledged
        return
    store = await SQLiteStore.open(directory)
    try:
        first: set[int] = set()
        second: set[int] = set()
        after = None
        while page := await store.scan("pairs", after=after):
            after = (page[-1].partition, page[-1].sort)
            for row in page:
                number = int(row.partition)
                (first if row.sort == b"a" else second).add(number)
                assert row.value == row.partition * (1 + number % 300 if row.sort == b"a" else 1)
        assert first == second
        assert acknowledged <= first
        assert int(await store.get("count", b"last") or b"0") == max(first, default=0)
        assert store._connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        await store.close()
