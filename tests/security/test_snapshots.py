"""Environments that are restored from one snapshot, run by a hostile author: they share nothing, and have no right that others have not."""

import asyncio
import contextlib
import importlib
import os
import socket

import pytest
from tests.support.functions import Functions

from haar.execution import runtimes

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="module")]

HOSTILE = """
import json, mmap, os, socket, time
SHARED = mmap.mmap(-1, 4096)
LEFT, RIGHT = socket.socketpair()
READ, WRITE = os.pipe()
LISTENING = socket.socket()
FILE = open("/tmp/common", "w+")
PARENT = os.getppid()
def handler(event, context):
    said = event["say"].encode()
    if said:
        SHARED[:8] = said
        RIGHT.send(said)
        os.write(WRITE, said)
        FILE.write(event["say"])
        FILE.flush()
    time.sleep(1)
    LEFT.setblocking(False)
    os.set_blocking(READ, False)
    heard = [bytes(SHARED[:8]).hex().strip("0"), open("/tmp/common").read()]
    for receive in (lambda: LEFT.recv(100), lambda: os.read(READ, 100)):
        try:
            heard.append(receive().decode())
        except BlockingIOError:
            heard.append("")
    status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
    maps = [line for line in open("/proc/self/maps") if line.split()[1] == "rw-s" and "/dev/zero" not in line]
    writable = []
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink("/proc/self/fd/" + number)
        except OSError:
            continue
        if target.endswith(".image") or "memfd" in target:
            writable.append(target)
    return {"heard": heard, "pids": sorted(int(pid) for pid in os.listdir("/proc") if pid.isdigit()), "maps": maps, "held": writable,
            "caps": [status[name].strip() for name in ("CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Seccomp")]}
"""


async def test_siblings_share_nothing(functions: Functions) -> None:
    spec = functions.make(HOSTILE, snap_start=True, version="1", timeout=20.0)
    ordinary = functions.make(HOSTILE, timeout=20.0)
    talking, listening, plain = await asyncio.gather(
        functions.answer(spec, {"say": "talking!"}), functions.answer(spec, {"say": ""}), functions.answer(ordinary, {"say": ""})
    )
    assert talking["heard"] == [b"talking!".hex().strip("0"), "talking!", "talking!", "talking!"]
    assert listening["heard"] == plain["heard"] == ["", "", "", ""]
    for found in (talking, listening):
        assert found["pids"] == plain["pids"] and found["caps"] == plain["caps"]
        assert found["maps"] == found["held"] == []


CONNECTED = """
import os, select, socket
for _ in range(100):  # until the kernel numbers them one after another, as if all three were of one pair
    there, (left, right) = socket.socket(), socket.socketpair()
    if os.fstat(left.fileno()).st_ino == os.fstat(there.fileno()).st_ino + 1:
        break
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
there.connect((host, int(port)))
def handler(event, context):
    there.settimeout(5)
    left.send(b"said")
    return [there.recv(1).decode(), right.recv(10).decode()]
"""


async def test_a_connection_to_elsewhere_is_closed_whatever_is_beside_it(functions: Functions) -> None:
    assert await functions.answer(functions.make(CONNECTED, snap_start=True, version="1")) == ["", "said"]


async def test_other_ends_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(runtimes.SNAPSHOT.parent))
    other_ends = importlib.import_module("haar_snapshot").other_ends
    with contextlib.ExitStack() as opened:
        pairs = [tuple(map(opened.enter_context, socket.socketpair())) for _ in range(3)]
        listening, alone = opened.enter_context(socket.create_server(("127.0.0.1", 0))), opened.enter_context(socket.socket(socket.AF_UNIX))
        connected = opened.enter_context(socket.create_connection(listening.getsockname()))
        pairs[1][0].send(b"unread")
        pairs[2][0].close()
        every = [*(end for pair in pairs for end in pair if end.fileno() >= 0), listening, alone, connected]
        numbers = {os.fstat(end.fileno()).st_ino: end.fileno() for end in every}
        inodes = [[os.fstat(end.fileno()).st_ino for end in pair] for pair in pairs[:2]]
        assert other_ends(numbers) == {one: other for pair in inodes for one, other in (pair, pair[::-1])}
