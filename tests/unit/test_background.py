"""Background work goes on whatever happens to it, and what lasts is not said at every try."""

from typing import Any

import pytest

from haar import platform
from haar.store.errors import StoreError
from haar.store.telling import SECONDS, Seldom


async def test_it_starts_again_and_says_once_that_the_store_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(platform, "RESTART_SECONDS", 0)
    errors: list[Exception] = [StoreError("away"), StoreError("away"), KeyError("a bug"), StoreError("away")]

    async def work(host: Any) -> None:
        if errors:
            raise errors.pop()

    await platform._keep_going(work, None)  # type: ignore[arg-type]
    assert [record.getMessage() for record in caplog.records] == [
        "background work work: away; it starts again",
        "background work work failed; it starts again",
    ]


def test_seldom() -> None:
    seldom = Seldom()
    assert seldom.now() and not seldom.now()
    seldom._at -= SECONDS
    assert seldom.now() and not seldom.now()
