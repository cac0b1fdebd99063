"""Fixtures for every test: a running platform, clients on it, an in-process host, fresh names."""

import io
import json
import uuid
import zipfile
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
    yield Host(Config(data=tmp_path / "data", settle_seconds=0.0), store, SystemClock(), RandomIds(), "123456789012", b"s" * 32)
    await store.close()


@pytest.fixture
def make_function(name: str) -> Callable[..., str]:
    """make(platform, source=…, **settings) -> the name of a new Python function whose role may write logs."""

    def make(platform: RunningPlatform, source: str = "def handler(event, context): return event\n", **settings: Any) -> str:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as package:
            package.writestr("app.py", source)
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        iam, functions = platform.client("iam"), platform.client("lambda")
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
        defaults = {"Runtime": "python3.12", "Handler": "app.handler", "Timeout": 10}
        functions.create_function(FunctionName=name, Role=role, Code={"ZipFile": archive.getvalue()}, **(defaults | settings))
        functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        return name

    return make
