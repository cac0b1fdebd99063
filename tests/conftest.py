"""Fixtures for every test: a running platform, clients on it, an in-process host, fresh names."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.platform import RunningPlatform

from haar.clock import RandomIds, SystemClock
from haar.config import Config
from haar.services.service import Host


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    """A real haar process, shared by all tests of a session (each uses names of its own)."""
    running = RunningPlatform(tmp_path_factory.mktemp("haar")).start()
    yield running
    running.stop()


@pytest.fixture
def fresh_platform(tmp_path: Path) -> Iterator[Callable[..., RunningPlatform]]:
    """make(*flags) -> a platform of the test's own, to kill and start again."""
    made: list[RunningPlatform] = []

    def make(*flags: str, environment: dict[str, str] | None = None) -> RunningPlatform:
        running = RunningPlatform(tmp_path / f"p{len(made)}", *flags, environment=environment).start()
        made.append(running)
        return running

    yield make
    for running in made:
        if running.process is not None and running.process.poll() is None:
            running.stop()


@pytest.fixture
def client(platform: RunningPlatform) -> Callable[..., Any]:
    """client(service, **credentials) -> a boto3 client on the running platform."""
    return platform.client


@pytest.fixture
def name() -> str:
    return "t-" + uuid.uuid4().hex[:10]


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    """An in-process host on a fresh SQLite store, without servers or functions."""
    from haar.store.sqlite import SQLiteStore

    store = await SQLiteStore.open(tmp_path / "data")
    yield Host(Config(data=tmp_path / "data"), store, SystemClock(), RandomIds(), "123456789012", b"s" * 32)
    await store.close()
