"""Platforms to kill."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from tests.support.platform import RunningPlatform
from tests.support.postgresql import running_postgresql


@pytest.fixture
def killable(fresh_platform: Callable[..., RunningPlatform]) -> Iterator[RunningPlatform]:
    """A platform to kill; on PostgreSQL, which goes on, with HAAR_TEST_STORE=postgresql."""
    with ExitStack() as stack:
        on_postgresql = os.environ.get("HAAR_TEST_STORE") == "postgresql"
        running = fresh_platform(*(["--store", stack.enter_context(running_postgresql())] if on_postgresql else []))
        yield running
        running.kill()
