"""Environments that are restored from one snapshot, run by a hostile author: they share nothing, and have no right that others have not."""

import asyncio

import pytest
from tests.support.functions import Functions

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
