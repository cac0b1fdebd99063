"""The same tests for every backend of the store."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from haar.store.contract import Store
from haar.store.sqlite import SQLiteStore

BACKENDS = ["sqlite"]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def open_store(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Callable[[], Awaitable[Store]]]:
    """open_store() -> a store; each further one is on the same data, as another process would have it."""
    opened: list[Store] = []

    async def open_one() -> Store:
        store: Store = await SQLiteStore.open(tmp_path / "data", server=not opened)
        opened.append(store)
        return store

    yield open_one
    for store in reversed(opened):
        await store.close()


@pytest.fixture
async def store(open_store: Callable[[], Awaitable[Store]]) -> Store:
    return await open_store()


@pytest.fixture
async def other(store: Store, open_store: Callable[[], Awaitable[Store]]) -> Store:
    """The same data, seen from elsewhere."""
    return await open_store()
