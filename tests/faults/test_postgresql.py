"""PostgreSQL goes, comes back, refuses: the store says so, and goes on when it can."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from tests.support.postgresql import running_postgresql

from haar.store.contract import Transaction
from haar.store.errors import DataError, StoreError
from haar.store.postgresql import PostgreSQLStore

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_postgresql() as url:
        yield url


@pytest.fixture
async def url(server: str) -> AsyncIterator[str]:
    schema = "t" + uuid.uuid4().hex
    connection = await asyncpg.connect(server)
    await connection.execute(f"CREATE SCHEMA {schema}")
    yield f"{server}&search_path={schema}"
    await connection.execute(f"DROP SCHEMA {schema} CASCADE")
    await connection.close()


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


async def add_one(tx: Transaction) -> int:
    found = int(await tx.get("counter", b"c") or b"0") + 1
    tx.put("counter", b"c", b"", b"%d" % found)
    return found


async def test_connections_that_break_are_replaced_and_nothing_is_lost_or_done_twice(url: str) -> None:
    store = await PostgreSQLStore.open(url)
    acknowledged: list[int] = []
    stop = False
    failed = 0

    async def count() -> None:
        nonlocal failed
        while not stop:
            try:
                acknowledged.append(await store.transact(add_one))
            except StoreError:
                failed += 1
                await asyncio.sleep(0.01)

    counting = [asyncio.create_task(count()) for _ in range(4)]
    for _ in range(5):
        await asyncio.sleep(0.1)
        await execute(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'haar'")
    await asyncio.sleep(0.1)
    stop = True
    await asyncio.gather(*counting)
    assert failed
    assert len(acknowledged) == len(set(acknowledged))
    assert max(acknowledged) <= int(await store.get("counter", b"c") or b"0") <= len(acknowledged) + failed
    await store.close()


async def test_many_starting_at_once_share_the_tables(url: str) -> None:
    stores = await asyncio.gather(*(PostgreSQLStore.open(url) for _ in range(6)))
    assert sorted(await asyncio.gather(*(store.transact(add_one) for store in stores))) == [1, 2, 3, 4, 5, 6]
    for store in stores:
        await store.close()


async def test_a_newer_schema_is_refused(url: str) -> None:
    store = await PostgreSQLStore.open(url)
    await store.close()
    await execute(url, "UPDATE haar_meta SET value = '99' WHERE name = 'version'")
    with pytest.raises(DataError, match=r"newer haar .schema 99"):
        await PostgreSQLStore.open(url)


async def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(DataError, match="postgresql://me@/postgres") as error:
        await PostgreSQLStore.open("postgresql://me:secret@/postgres?host=/nowhere")
    assert "secret" not in str(error.value)


async def test_an_error_of_the_callers_own_is_passed_on(url: str) -> None:
    store = await PostgreSQLStore.open(url)

    async def fn(tx: Transaction) -> None:
        await tx.get("s", b"p")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await store.transact(fn)
    await store.close()


async def test_a_conflict_that_the_caller_swallows_is_not_committed(url: str) -> None:
    """A read that fails ends the transaction, whatever `fn` makes of it."""
    one, other = await PostgreSQLStore.open(url), await PostgreSQLStore.open(url)
    runs = 0

    async def fn(tx: Transaction) -> int:
        nonlocal runs
        runs += 1
        seen = int(await tx.get("counter", b"c") or b"0")
        if runs == 1:
            await other.transact(add_one)
        try:
            await tx.range("counter", b"c")
        except Exception:
            seen = -1
        tx.put("counter", b"c", b"", b"%d" % (seen + 1))
        return seen

    assert await one.transact(fn) == 1
    assert await one.get("counter", b"c") == b"2"
    assert runs == 2
    await one.close()
    await other.close()


async def test_one_that_the_database_refuses_takes_nobody_along(url: str) -> None:
    """Transactions that share a statement: a space that PostgreSQL cannot write is its own transaction's fault."""
    store = await PostgreSQLStore.open(url)

    async def write(space: str) -> None:
        async def fn(tx: Transaction) -> None:
            tx.put(space, b"p", b"", b"x")

        await store.transact(fn)

    spaces = ["bad\0" if turn == 7 else f"s{turn}" for turn in range(20)]
    answers = await asyncio.gather(*(write(space) for space in spaces), return_exceptions=True)
    assert [isinstance(answer, StoreError) for answer in answers] == [turn == 7 for turn in range(20)]
    assert all([await store.get(space, b"p") == b"x" for space in spaces if "\0" not in space])
    await store.close()


async def test_a_transaction_that_reads_a_lot_is_done_as_well(url: str) -> None:
    store = await PostgreSQLStore.open(url)

    async def fill(tx: Transaction) -> None:
        for turn in range(500):
            tx.put("s", b"p", b"%04d" % turn, b"x" * 3000)

    async def halve(tx: Transaction) -> int:
        rows = await tx.range("s", b"p")
        for sort, _ in rows[::2]:
            tx.delete("s", b"p", sort)
        return len(rows)

    await store.transact(fill)
    seen = await asyncio.gather(*(store.transact(halve) for _ in range(4)))
    assert sorted(seen) == [62, 125, 250, 500]
    assert len(await store.range("s", b"p")) == 31
    await store.close()


@pytest.mark.parametrize("notifies", [True, False])
async def test_others_writes_are_told_with_hints_and_without(url: str, monkeypatch: pytest.MonkeyPatch, notifies: bool) -> None:
    """A hint makes the poller look at once; a database that has none is polled."""
    one, other = await PostgreSQLStore.open(url), await PostgreSQLStore.open(url)
    told = asyncio.Event()
    one.watch("s", told.set)
    other.watch("s", lambda: None)
    async with asyncio.timeout(20):
        while one._changes._listening is None or "s" not in await other._changes.watched():
            await asyncio.sleep(0.01)
    one._changes._unsure.clear()  # as it is for a space that was watched before
    if notifies:
        monkeypatch.setattr("haar.store.postgresql_changes.POLL_SECONDS", 1000.0)
    else:
        monkeypatch.setattr("haar.store.postgresql_changes.Changes.hint", lambda changes: None)
    # Polls that were under way are over.
    await asyncio.sleep(0.6)
    told.clear()

    async def fn(tx: Transaction) -> None:
        tx.put("s", b"k", b"", b"v")

    await other.transact(fn)
    async with asyncio.timeout(20):
        await told.wait()
    await one.close()
    await other.close()
