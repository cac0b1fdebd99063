"""What clients and functions do that they should not: clear answers, no leak, and nobody else slowed."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.services.apigateway.conftest import Api
from tests.support.platform import RunningPlatform

MAX_BODY = 10 * 1024 * 1024
MALFORMED = 10_000
SLOW = 200
END_SECONDS = 60.0
LISTENING = "0A"
"""The state of a socket, as /proc/net/tcp has it."""


def open_files(platform: RunningPlatform) -> int:
    assert platform.process is not None
    return len(list(Path(f"/proc/{platform.process.pid}/fd").iterdir()))


def connections(platform: RunningPlatform) -> int:
    """What the platform holds of connections to it: environments of functions, which come and go meanwhile, have files, too."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    held = [row for row in rows if row[1].endswith(f":{platform.port:04X}") and row[3] != LISTENING and row[9] != "0"]
    return len(held)


def resident_mb(platform: RunningPlatform) -> float:
    assert platform.process is not None
    text = Path(f"/proc/{platform.process.pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def settles(measure: Callable[[], float], bound: float) -> bool:
    end = time.monotonic() + END_SECONDS
    while measure() > bound:
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture
def served(api: Api) -> Api:
    api.mock("/m", "POST")
    api.mock("/m")
    api.deploy()
    assert api.call("/m").status_code == 200
    return api


def request_line(api: Api, method: str = "GET", path: str = "/m") -> bytes:
    return f"{method} /restapis/{api.id}/v1/_user_request_{path} HTTP/1.1\r\nHost: localhost\r\n".encode()


def test_a_body_of_10_mb(served: Api) -> None:
    assert served.call("/m", "POST", data=b"x" * MAX_BODY, headers={"Content-Type": "application/json"}).status_code == 200
    answer = served.call("/m", "POST", data=b"x" * (MAX_BODY + 1), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.text) == (413, f"HTTP content length exceeded {MAX_BODY} bytes.")
    assert answer.headers["Content-Type"] == "text; charset=utf-8" and "x-amzn-ErrorType" not in answer.headers


async def test_slow_clients_wait_for_themselves(served: Api) -> None:
    """Two hundred clients send a letter at a time; somebody else's requests are answered meanwhile."""
    whole = (
        request_line(served, "POST")
        + b"Content-Type: application/json\r\nContent-Length: 20\r\nConnection: close\r\n\r\n"
        + b"{"
        + b" " * 18
        + b"}"
    )
    go_on = asyncio.Event()

    async def slow() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.platform.port)
        for at in range(0, 40, 4):
            writer.write(whole[at : at + 4])
            await asyncio.sleep(0.02)
        await go_on.wait()
        for at in range(40, len(whole)):
            writer.write(whole[at : at + 1])
            await asyncio.sleep(0)
        answer = await reader.read()
        writer.close()
        return answer

    clients = [asyncio.create_task(slow()) for _ in range(SLOW)]
    others = await asyncio.to_thread(lambda: [served.call("/m").status_code for _ in range(50)])
    assert others == [200] * 50
    go_on.set()
    answers = await asyncio.gather(*clients)
    assert all(answer.startswith(b"HTTP/1.1 200 OK\r\n") for answer in answers)


def test_clients_that_hang_up_leave_nothing(served: Api, make_function: Callable[..., str]) -> None:
    served.function("/f", make_function("import time\ndef handler(e, c):\n    time.sleep(0.3)\n    return {'statusCode': 200}\n"))
    served.deploy()
    assert served.call("/f").status_code == 200
    before = open_files(served.platform)
    for _ in range(10):
        for path in ("/f", "/m"):
            with socket.create_connection(("127.0.0.1", served.platform.port)) as client:
                client.sendall(request_line(served, path=path) + b"\r\n")
        with socket.create_connection(("127.0.0.1", served.platform.port)) as client:
            client.sendall(request_line(served, "POST") + b"Content-Length: 1000\r\n\r\nhalf")
    # The function's environments stay warm, a few files each.
    assert settles(lambda: open_files(served.platform), before + 150)
    assert served.call("/f").status_code == 200


def test_a_function_that_never_answers(served: Api, make_function: Callable[..., str]) -> None:
    arn = make_function("import time\ndef handler(e, c):\n    time.sleep(1000)\n", Timeout=3)
    served.function("/never", arn, more={"timeoutInMillis": 300})
    served.deploy()
    began = time.monotonic()
    answer = served.call("/never")
    assert (answer.status_code, answer.json()) == (504, {"message": "Endpoint request timed out"})
    assert answer.headers["x-amzn-ErrorType"] == "InternalServerErrorException"
    assert time.monotonic() - began < 30, "it waited for the function"
    assert served.call("/m").status_code == 200


async def test_malformed_requests_without_end(served: Api) -> None:
    """Each is refused and hung up on; others are served all the while, and nothing of it stays."""
    good = request_line(served)[:-2]
    bad = (
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        good + b"\r\nContent-Length: -1\r\n\r\n",
        good + b"\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        good + b"\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        good + b"\r\nbad header\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    )
    held, memory = connections(served.platform), resident_mb(served.platform)
    assert held, "the test's own"
    refused = [0]

    async def send(first: int) -> None:
        for number in range(first, MALFORMED, 20):
            reader, writer = await asyncio.open_connection("127.0.0.1", served.platform.port)
            with contextlib.suppress(ConnectionError):
                writer.write(bad[number % len(bad)])
                answer = await reader.read(65536)
                assert answer.startswith(b"HTTP/1.1 400 "), (bad[number % len(bad)], answer)
                refused[0] += 1
            writer.close()

    senders = [asyncio.create_task(send(first)) for first in range(20)]
    while not all(sender.done() for sender in senders):
        assert (await asyncio.to_thread(served.call, "/m")).status_code == 200
        await asyncio.sleep(0.1)
    await asyncio.gather(*senders)
    assert refused[0] > MALFORMED * 0.99
    assert await asyncio.to_thread(settles, lambda: connections(served.platform), held + 2)
    assert resident_mb(served.platform) < memory + 30
