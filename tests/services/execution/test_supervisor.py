"""What comes from the program that watches over extensions may be anything: it is inside."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.functions import eventually

from haar.execution.supervisor import MESSAGE_BYTES, Supervisor


class Heard:
    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def launched(self, name: str, output: int) -> None:
        self.told.append(("launched", name, os.fstat(output).st_ino))
        os.close(output)

    def not_launched(self, name: str, message: str, kind: str) -> None:
        self.told.append(("not launched", name, message, kind))

    def exited(self, name: str, status: int) -> None:
        self.told.append(("exited", name, status))


class Link:
    """A supervisor and the end of its socket that is inside."""

    def __init__(self) -> None:
        ours, self.inside = socket.socketpair()
        self.hand = ours
        self.heard = Heard()
        self.supervisor = Supervisor(ours, self.heard)

    def send(self, what: object, *descriptors: int) -> None:
        data = what if isinstance(what, bytes) else json.dumps(what).encode()
        socket.send_fds(self.inside, [len(data).to_bytes(4, "big") + data], descriptors)

    @property
    def closed(self) -> bool:
        return self.hand.fileno() < 0


@pytest_asyncio.fixture
async def link() -> AsyncIterator[Link]:
    made = Link()
    yield made
    made.supervisor.close()
    made.inside.close()


async def test_it_hears_what_becomes_of_extensions(link: Link) -> None:
    reading, writing = os.pipe()
    number = os.fstat(reading).st_ino
    link.send({"launched": "one"}, reading)
    link.send({"failed": "two", "error": "no", "kind": "PermissionDenied"})
    link.send({"exited": "", "status": 256})
    await eventually(lambda: len(link.heard.told) == 3)
    assert link.heard.told == [("launched", "one", number), ("not launched", "two", "no", "PermissionDenied"), ("exited", "", 256)]
    os.close(reading)
    os.close(writing)


async def test_it_asks(link: Link) -> None:
    link.supervisor.start_runtime()
    link.supervisor.kill("one")
    await asyncio.sleep(0)
    received = link.inside.recv(4096)
    first = int.from_bytes(received[:4], "big")
    assert json.loads(received[4 : 4 + first]) == {"op": "runtime"}
    assert json.loads(received[8 + first :]) == {"op": "signal", "name": "one", "number": 9}


async def test_what_is_no_pipe_is_not_read(link: Link, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        link.send({"launched": "one"}, file.fileno())
        await eventually(lambda: link.closed)
    assert link.heard.told == []


@pytest.mark.parametrize(
    "what", [{"launched": "one"}, {"exited": "one"}, {"exited": "one", "status": "x"}, [1], b"{", b"[" * 50_000, b"\xff", 7]
)
async def test_what_makes_no_sense_ends_it(link: Link, what: object) -> None:
    link.send(what)
    await eventually(lambda: link.closed)
    link.supervisor.kill("one")  # nobody to ask, and no error
    assert link.heard.told == []


async def test_a_message_without_end_is_not_waited_for(link: Link) -> None:
    link.inside.sendall((MESSAGE_BYTES * 2).to_bytes(4, "big") + b"x")
    await eventually(lambda: link.closed)


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_no_bytes_raise_an_error(data: bytes) -> None:
    async def run() -> None:
        link = Link()
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
        link.inside.sendall(data)
        link.inside.close()
        while not link.closed:
            await asyncio.sleep(0)

    failures: list[object] = []
    asyncio.run(run())
    assert failures == []
