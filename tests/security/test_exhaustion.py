"""A function that takes all it can get leaves enough for the platform and the others: descriptors, connections, questions, events, disk."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.functions import Functions
from tests.support.platform import RunningPlatform

from haar.gateway.server import MAX_OF_ENVIRONMENT

pytestmark = pytest.mark.sandbox
asynchronous = pytest.mark.asyncio(loop_scope="module")

MANY = """
import os, socket, time
PORTS = [443, int(os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2]), int(os.environ["AWS_LAMBDA_RUNTIME_API"].rpartition(":")[2])]
def fill(port):
    kept, failed = [], 0
    while len(kept) < 900 and failed < 50:
        try:
            kept.append(socket.create_connection(("127.0.0.1", port), 0.5))
            kept[-1].send(b"G")
        except OSError:
            failed += 1
    time.sleep(100)
def handler(event, context):
    for port in PORTS:
        for _ in range(3):
            if os.fork() == 0:
                fill(port)
    time.sleep(event)
"""


def test_connections_of_one_environment_are_bounded(platform: RunningPlatform, make_function: Callable[..., str], client: Any) -> None:
    name = make_function(platform, MANY, MemorySize=1024, Timeout=20)
    assert platform.process is not None
    descriptors = Path(f"/proc/{platform.process.pid}/fd")
    before = len(list(descriptors.iterdir()))
    client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=b"9")
    most = 0
    end = time.monotonic() + 6
    while time.monotonic() < end:
        most = max(most, len(list(descriptors.iterdir())))
        began = time.monotonic()
        client("lambda").get_function(FunctionName=name)
        assert time.monotonic() - began < 5
        time.sleep(0.1)
    assert MAX_OF_ENVIRONMENT < most - before < 4 * MAX_OF_ENVIRONMENT


SOCKETS = """
import os, socket, time
def fill():
    kept = []
    try:
        while True:
            one, other = socket.socketpair()
            one.setblocking(False)
            kept.append((one, other))
            try:
                while True: one.send(bytes(65536))
            except BlockingIOError:
                pass
    except OSError:
        time.sleep(60)
def handler(event, context):
    for _ in range(20):
        if os.fork() == 0:
            fill()
    time.sleep(60)
"""


@asynchronous
async def test_what_waits_in_sockets_is_bounded(functions: Functions) -> None:
    told = await functions.failure(functions.make(SOCKETS, memory_mb=1024, timeout=50.0))
    assert told["errorType"] == "Runtime.OutOfMemory"


FULL = """
import os, resource
def handler(event, context):
    seen = []
    for name in event:
        try:
            while True: seen.append(os.open("/dev/null", os.O_RDONLY))
        except OSError as error:
            told = error.errno
        for number in seen: os.close(number)
    return [told, len(seen), resource.getrlimit(resource.RLIMIT_NOFILE)[1]]
"""


@asynchronous
async def test_descriptors_run_out_for_oneself_only(functions: Functions) -> None:
    errno, taken, limit = await functions.answer(functions.make(FULL), ["once"])
    assert errno == 24 and taken < limit == 1024
    assert await functions.answer(functions.make("def handler(event, context): return open('/etc/hosts').read(9)")) == "127.0.0.1"


INHERITED = """
import os
def handler(event, context):
    told = {}
    for process in [name for name in os.listdir("/proc") if name.isdigit()]:
        try:
            told[process] = [os.readlink(f"/proc/{process}/fd/{number}") for number in os.listdir(f"/proc/{process}/fd")]
        except OSError:
            pass
    return told
"""


@asynchronous
async def test_no_descriptor_of_haars_is_inherited(functions: Functions) -> None:
    told = await functions.answer(functions.make(INHERITED))
    found = {target.partition(":")[0] for targets in told.values() for target in targets}
    assert found <= {"/dev/null", "pipe", "socket", "/proc/2/fd"}, told
    node = functions.node(
        "import fs from 'node:fs'; export const handler = async () => fs.readdirSync('/proc/self/fd').map("
        "(n) => { try { return fs.readlinkSync('/proc/self/fd/' + n) } catch { return 'gone' } });"
    )
    for target in await functions.answer(node):
        assert target.startswith(("/dev/null", "pipe:", "socket:", "anon_inode:", "gone", "/proc/")), target


MISBEHAVING = """
import os, threading, urllib.request, urllib.error
API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/"
def post(path, body=b"{}"):
    try:
        return urllib.request.urlopen(urllib.request.Request(API + path, body, method="POST"), timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code
def handler(event, context):
    if event == "next":
        try:
            return urllib.request.urlopen(API + "invocation/next", timeout=5).status
        except urllib.error.HTTPError as error:
            return error.code
    if event == "init":
        return post("init/error")
    if event == "twice":
        return [post(f"invocation/{context.aws_request_id}/response", b'"first"'), "second"]
    return [post(path) for path in ("invocation/../../x/response", "invocation//response", "exit/error", "%00", "invocation/x/nothing")]
"""


@asynchronous
async def test_a_runtime_that_misbehaves_harms_only_its_own_answers(functions: Functions) -> None:
    spec = functions.make(MISBEHAVING)
    assert await functions.answer(spec, "next") == 403
    assert await functions.answer(spec, "init") in (202, 403)
    assert await functions.answer(spec, "twice") == "first"
    assert set(await functions.answer(spec, "paths")) <= {400, 403, 404}
    assert await functions.answer(functions.make("def handler(event, context): return event"), 5) == 5


@asynchronous
async def test_a_process_that_halts_itself_is_ended_in_time(functions: Functions) -> None:
    spec = functions.make("import os, signal\ndef handler(event, context): os.kill(os.getpid(), signal.SIGSTOP)", timeout=1.0)
    assert (await functions.failure(spec))["errorType"] == "Sandbox.Timedout"


FLOOD = """
import os, socket, time
def handler(event, context):
    if event == 1:
        return 1
    end = time.time() + event
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    question = b"\\0\\7\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3www\\11amazonaws\\3com\\0\\0\\1\\0\\1"
    while time.time() < end:
        names.sendto(question, ("127.0.0.1", 53))
"""


@asynchronous
async def test_a_flood_of_questions_lets_others_in(functions: Functions) -> None:
    flood, other = functions.make(FLOOD, memory_mb=1769), functions.make("def handler(event, context): return 1")
    await functions.answer(other)
    flooding = asyncio.ensure_future(functions.answer(flood, 3))
    slowest = 0.0
    while not flooding.done():
        began = time.monotonic()
        await functions.answer(other)
        slowest = max(slowest, time.monotonic() - began)
        await asyncio.sleep(0.01)
    await flooding
    assert slowest < 2


@asynchronous
async def test_a_flood_of_log_lines_takes_no_memory_of_haars(functions: Functions) -> None:
    spec = functions.make("import os\ndef handler(event, context):\n    for _ in range(1500): os.write(1, b'x' * 65000 + b'\\n')")
    before = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    functions.surroundings.events.clear()
    await functions.answer(spec)
    functions.surroundings.events.clear()
    assert int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") - before < 300 << 20
