"""What is counted and recorded of invocations, without running any."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from haar.clock import RandomIds, SystemClock
from haar.config import Config
from haar.execution.contract import FunctionSpec, InvocationResult
from haar.services.lambda_ import ledger as ledger_module
from haar.services.lambda_ import recordings
from haar.services.lambda_.ledger import Ledger, month_of
from haar.services.lambda_.recordings import MAX_BYTES, MAX_PENDING, Recordings
from haar.services.service import Host
from haar.store.errors import StoreError

SPEC = FunctionSpec("arn:f", "f", "1", "us-east-1", "123456789012", "python3.12", "a.b", "AA==", "role", "r1", memory_mb=512)


class Moved(SystemClock):
    """A clock that is put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


@pytest.fixture
async def make_host(tmp_path: Path) -> Any:
    from haar.store.sqlite import SQLiteStore

    store = await SQLiteStore.open(tmp_path / "data")
    yield lambda **settings: Host(Config(data=tmp_path / "data", **settings), store, Moved(), RandomIds(), "123456789012", b"s" * 32)
    await store.close()


Make = Callable[..., Host]


async def test_usage_adds_up(make_host: Make) -> None:
    host = make_host()
    ledger, month = host.get(Ledger), month_of(host.clock.now())
    for error in (None, "Unhandled"):
        ledger.note(SPEC, InvocationResult(b"", error, billed_ms=1000))
        await ledger.flush()
    (row,) = await ledger.month(month)
    assert (row["Requests"], row["Errors"], row["BilledMilliseconds"], row["GBSeconds"]) == (2, 1, 2000, 1.0)
    assert await ledger.month("2001-01") == []


async def test_a_month_of_many_functions_is_told_whole(make_host: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "SLICE", 3)
    host = make_host()
    ledger = host.get(Ledger)
    for number in range(10):
        ledger.note(replace(SPEC, arn=f"arn:f{number}"), InvocationResult(b"", billed_ms=1000))
    rows = await ledger.month(month_of(host.clock.now()))
    assert [row["FunctionArn"] for row in rows] == [f"arn:f{number}" for number in range(10)]


async def test_what_cannot_be_written_is_written_later(make_host: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    host = make_host()
    ledger = host.get(Ledger)

    async def full(_: Any) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(host.store, "transact", full)
        ledger.note(SPEC, InvocationResult(b"", billed_ms=5))
        await ledger.flush()
        ledger.note(SPEC, InvocationResult(b"", billed_ms=5))
    (row,) = await ledger.month(month_of(host.clock.now()))
    assert (row["Requests"], row["BilledMilliseconds"]) == (2, 10)


async def test_recordings_are_bounded(make_host: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "MAX_RECORDINGS", 10)
    monkeypatch.setattr(recordings, "PRUNE_SLICE", 3)
    host = make_host()
    kept = host.get(Recordings)
    for number in range(MAX_PENDING + 5):
        kept.note(SPEC, f"id-{number:03}", b"{}", InvocationResult(b"1"))
    await kept.flush()
    assert [each.id for each in await kept.latest()] == [f"id-{number:03}" for number in range(MAX_PENDING - 1, MAX_PENDING - 11, -1)]
    assert await kept.find("id-000") is None and await kept.find("id-104") is None
    kept.note(SPEC, "large", b"x" * (MAX_BYTES + 1), InvocationResult(b"1"))
    kept.note(SPEC, "long", b"{}", InvocationResult(b"x" * (MAX_BYTES + 1)))
    assert await kept.find("large") is None and await kept.find("long") is None
    host.clock.ahead = 25 * 3600.0  # type: ignore[attr-defined]
    assert await kept.find("id-099") is None, "too old"
    kept.note(SPEC, "new", b"{}", InvocationResult(b"1"))
    assert [each.id for each in await kept.latest()] == ["new"]
    assert len(await host.store.scan(recordings.RECORDINGS, limit=100)) == 1


async def test_nothing_is_recorded_when_that_is_off(make_host: Make) -> None:
    host = make_host(record_hours=0.0)
    host.get(Recordings).note(SPEC, "id", b"{}", InvocationResult(b"1"))
    await host.get(Recordings).flush()
    assert await host.store.scan(recordings.RECORDINGS, limit=10) == []
