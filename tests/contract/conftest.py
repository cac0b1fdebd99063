"""The same tests for every backend of the store."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from tests.support.postgresql import running_postgresql

from haar.store.contract import Store
from haar.store.postgresql import PostgreSQLStore
from haar.store.sqlite import SQLiteStore

BACKENDS = ["sqlite", "postgresql"]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    with running_postgresql() as url:
        yield url


@pytest.fixture
async def address(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Where a fresh store can be: a directory's path or a URL."""
    if backend == "sqlite":
        yield str(tmp_path / "data")
        return
    url = request.getfixturevalue("postgresql")
    schema = "t" + uuid.uuid4().hex
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE SCHEMA {schema}")
    yield f"{url}&search_path={schema}"
    await connection.execute(f"DROP SCHEMA {schema} CASCADE")
    await connection.close()


@pytest.fixture
async def open_store(backend: str, address: str) -> AsyncIterator[Callable[[], Awaitable[Store]]]:
    """open_store() -> a store; each further one is on the same data, as another process would have it."""
    opened: list[Store] = []

    async def open_one() -> Store:
        store: Store
        if backend == "sqlite":
            store = await SQLiteStore.open(Path(address), server=not opened)
        else:
            store = await PostgreSQLStore.open(address)
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
