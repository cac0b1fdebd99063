"""haar dev --debug: debuggers speak to functions in their sandboxes."""

import base64
import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_commands import haar
from tests.cli.test_developing import WAIT_SECONDS, developing, until
from tests.support.platform import RunningPlatform

from haar.execution import runtimes
from haar.services.lambda_.debugging import PATH

SOURCE = "def handler(event, context):\n    found = event['a'] + 1\n    return found\n"
NODE = "export const handler = async (event) => ({ found: event.a + 1 });\n"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def invoke_soon(platform: RunningPlatform, name: str) -> tuple[threading.Thread, list[Any]]:
    answers: list[Any] = []
    client = platform.client("lambda")

    def invoke() -> None:
        answers.append(json.loads(client.invoke(FunctionName=name, Payload=b'{"a": 1}')["Payload"].read()))

    thread = threading.Thread(target=invoke, daemon=True)
    thread.start()
    return thread, answers


class Adapter:
    """As much of the Debug Adapter Protocol as a test needs."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), WAIT_SECONDS)
        self._file = self._socket.makefile("rb")
        self._number = 0

    def send(self, command: str, **arguments: Any) -> None:
        self._number += 1
        body = json.dumps({"seq": self._number, "type": "request", "command": command, "arguments": arguments}).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def wait(self, kind: str, name: str) -> dict[str, Any]:
        """The next message of this kind (`event`, `response`) and name; others are passed over."""
        while True:
            length = 0
            while (line := self._file.readline().strip()) or not length:
                assert line, "the connection has ended"
                length = int(line.rpartition(b":")[2])
            message: dict[str, Any] = json.loads(self._file.read(length))
            if message["type"] == kind and name in (message.get("event"), message.get("command")):
                return message

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def test_a_breakpoint_in_python(platform: RunningPlatform, tmp_path: Path, name: str) -> None:
    (tmp_path / "app.py").write_text(SOURCE)
    port = free_port()
    with developing(platform, str(tmp_path), "--name", name, "--timeout", "1", "--debug", "--debug-port", str(port)) as lines:
        assert f"Debuggers attach to 127.0.0.1:{port}" in "".join(lines)
        thread, answers = invoke_soon(platform, name)
        adapter = Adapter(port)
        adapter.send("initialize", adapterID="test", pathFormat="path")
        adapter.send("attach", pathMappings=[{"localRoot": str(tmp_path), "remoteRoot": "/var/task"}])
        adapter.wait("event", "initialized")
        adapter.send("setBreakpoints", source={"path": str(tmp_path / "app.py")}, breakpoints=[{"line": 3}])
        adapter.send("configurationDone")
        stopped = adapter.wait("event", "stopped")["body"]
        adapter.send("stackTrace", threadId=stopped["threadId"])
        frame = adapter.wait("response", "stackTrace")["body"]["stackFrames"][0]
        assert (frame["source"]["path"], frame["line"]) == (str(tmp_path / "app.py"), 3)
        thread.join(2)
        assert not answers, "stopped, beyond the function's time-out of a second"
        adapter.send("continue", threadId=stopped["threadId"])
        thread.join(WAIT_SECONDS)
        assert answers == [2]
        adapter.close()
    platform.client("lambda").delete_function(FunctionName=name)


def test_a_debugger_of_node(platform: RunningPlatform, tmp_path: Path, name: str) -> None:
    if runtimes.node() is None:
        pytest.skip("Node.js is not installed")
    (tmp_path / "index.mjs").write_text(NODE)
    port = free_port()
    with developing(platform, str(tmp_path), "--name", name, "--debug", "--debug-port", str(port)) as lines:
        thread, answers = invoke_soon(platform, name)
        with socket.create_connection(("127.0.0.1", port), WAIT_SECONDS) as listing:
            listing.sendall(b"GET /json/list HTTP/1.0\r\nHost: localhost\r\n\r\n")
            told = b""
            while b'webSocketDebuggerUrl": "' not in told or not told.rstrip().endswith(b"]"):
                more = listing.recv(65536)
                assert more, told
                told += more
        path = json.loads(told.partition(b"\r\n\r\n")[2])[0]["webSocketDebuggerUrl"].rpartition("/")[2]
        assert not answers
        with socket.create_connection(("127.0.0.1", port), WAIT_SECONDS) as debugger:
            key = base64.b64encode(os.urandom(16)).decode()
            head = f"GET /{path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            debugger.sendall((head + "Sec-WebSocket-Version: 13\r\n\r\n").encode())
            told = b""
            while not told.endswith(b"\r\n\r\n"):
                told += debugger.recv(1)
            text = json.dumps({"id": 1, "method": "Runtime.runIfWaitingForDebugger"}).encode()
            debugger.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
            thread.join(WAIT_SECONDS)
        assert answers == [{"found": 2}], lines
        until(lambda: any("waits for a debugger at" in line for line in list(lines)), lines)
    platform.client("lambda").delete_function(FunctionName=name)


def test_tunnels_are_for_mounted_functions_only(platform: RunningPlatform, make_function: Callable[..., str]) -> None:
    import requests

    headers = {"Connection": "Upgrade", "Upgrade": "haar-debug", "X-Haar-Debug": ""}
    assert requests.get(platform.endpoint + PATH, headers=headers, timeout=30).status_code == 403
    source = (
        "import os, urllib.request, urllib.error\ndef handler(event, context):\n"
        f"    request = urllib.request.Request(os.environ['AWS_ENDPOINT_URL'] + '{PATH}', headers={{'X-Haar-Debug': event}})\n"
        "    try:\n        return urllib.request.urlopen(request).status\n"
        "    except urllib.error.HTTPError as error:\n        return error.code\n"
    )
    name = make_function(platform, source)
    assert platform.client("lambda").invoke(FunctionName=name, Payload=b'"x"')["Payload"].read() == b"403"


def test_what_cannot_be_debugged(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "bootstrap").write_text("#!/bin/sh\n")
    done = haar("dev", str(tmp_path), "--name", "not-debugged", "--debug", "--data", str(platform.data))
    assert done.returncode == 1 and "--debug is for Python and Node.js, not for provided.al2023" in done.stderr
    platform.client("lambda").delete_function(FunctionName="not-debugged")
