"""The sandbox in its other shapes: run by an ordinary user, and with a way to the internet."""

import asyncio
import json
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import pytest
from tests.support.functions import running

from haar.execution.contract import Unavailable

ROOT = Path(__file__).parents[2]
ORDINARY = 65534

AS_A_USER = """
import asyncio, json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import tests.support.functions as support
support.SHARED = Path(sys.argv[1]) / "shared"

async def main():
    async with support.running(Path(sys.argv[1]) / "data") as functions:
        python = functions.make('''
            import os
            def handler(event, context):
                status = [line.split() for line in open("/proc/self/status")]
                try:
                    open("/var/task/x", "w")
                except OSError as error:
                    wrote = error.errno
                caps = [field[1] for field in status if field[0].startswith("Cap")]
                return {"uid": os.getuid(), "caps": caps, "home": os.path.exists("/home"), "wrote": wrote}
        ''')
        slow = functions.make("import time\\ndef handler(event, context): time.sleep(60)", timeout=1.0)
        greedy = functions.make("import time\\ndef handler(event, context):\\n    kept = bytearray(500 << 20)\\n    time.sleep(9)")
        node = functions.node("export const handler = async () => process.getuid();")
        told = {"python": await functions.answer(python), "node": await functions.answer(node)}
        await asyncio.sleep(0.5)  # halted by signals, where there is no freezer
        told["again"] = await functions.answer(python)
        told["slow"] = (await functions.failure(slow))["errorType"]
        told["greedy"] = (await functions.failure(greedy))["errorType"]
        print(json.dumps(told))

asyncio.run(main())
"""


@pytest.mark.sandbox
@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests already run as an ordinary user")
async def test_an_ordinary_user_has_the_same_sandbox() -> None:
    for parent in [ROOT, *ROOT.parents, Path(sys.executable).parent]:
        if not parent.stat().st_mode & 0o005:
            pytest.skip(f"an ordinary user may not read {parent}")
    directory = tempfile.mkdtemp(prefix="haar-user-")
    try:
        os.chown(directory, ORDINARY, ORDINARY)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-B", "-c", AS_A_USER, directory, str(ROOT), user=ORDINARY, group=ORDINARY, extra_groups=[], cwd=directory,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={"PATH": os.environ["PATH"], "HOME": directory},
        )  # fmt: skip
        out, err = await process.communicate()
        if b"namespace" in err and b"ermission" in err:
            pytest.skip("ordinary users may not make namespaces here")
        assert process.returncode == 0, err.decode()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    told = json.loads(out)
    assert told["python"] == told["again"]
    assert told["python"]["uid"] == told["node"] == 993
    assert {int(capabilities, 16) for capabilities in told["python"]["caps"]} == {0}
    assert told["python"]["home"] is False
    assert told["python"]["wrote"] == 30
    assert told["slow"] == "Sandbox.Timedout"
    assert told["greedy"] == "Runtime.OutOfMemory"


@pytest.mark.sandbox
async def test_with_egress_there_is_a_way_out_and_none_to_the_host(tmp_path: Path) -> None:
    if shutil.which("pasta") is None:
        pytest.skip("pasta is not installed")
    with socket.socket() as listening:
        listening.bind(("0.0.0.0", 0))
        listening.listen()
        async with running(tmp_path, egress="on") as functions:
            spec = functions.make(
                """
                import socket, struct
                def handler(event, context):
                    routes = [line.split() for line in open("/proc/net/route")][1:]
                    gateways = [socket.inet_ntoa(struct.pack("<I", int(route[2], 16))) for route in routes if route[1] == "00000000"]
                    reached = []
                    for address in ["127.0.0.1", *event["addresses"], *gateways]:
                        try:
                            socket.create_connection((address, event["port"]), 1)
                            reached.append(address)
                        except OSError:
                            pass
                    return {"gateways": gateways, "reached": reached}
                """
            )
            mine = socket.gethostbyname_ex(socket.gethostname())[2]
            try:
                told = await functions.answer(spec, {"addresses": mine, "port": listening.getsockname()[1]})
            except Unavailable as reason:
                pytest.skip(str(reason))
            network = [child for child in functions.manager._spawner._children if child.endswith("-network")]
            assert network
    assert told["gateways"]
    assert told["reached"] == []
