"""Pages: whatever their size, together they are the list."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haar.services.iam.entities import put
from haar.services.iam.paging import page, page_of
from haar.services.iam.records import Group
from haar.services.service import Host
from haar.store.contract import Transaction
from haar.wire.errors import ServiceError

NAMES = st.lists(st.text("abcXYZ019_-", min_size=1, max_size=6), unique=True, max_size=30)


@given(NAMES, st.integers(1, 12))
def test_pages_of_a_list(names: list[str], size: int) -> None:
    seen: list[str] = []
    more: dict[str, Any] = {"IsTruncated": True}
    while more["IsTruncated"]:
        given_input = {"MaxItems": size} | ({"Marker": more["Marker"]} if "Marker" in more else {})
        some, more = page(names, given_input, str)
        assert len(some) == size or not more["IsTruncated"]
        seen += some
    assert seen == names


def test_a_page_goes_on_where_its_last_item_was_deleted() -> None:
    _, more = page(["a", "b", "c", "d"], {"MaxItems": 2}, str)
    rest, more = page(["a", "c", "d"], {"Marker": more["Marker"]}, str)
    assert (rest, more) == (["c", "d"], {"IsTruncated": False})


@pytest.mark.parametrize("marker", ["!", "abc", "/w==", "é"])
def test_markers_of_others(marker: str) -> None:
    with pytest.raises(ServiceError) as refused:
        page(["a"], {"Marker": marker}, str)
    assert refused.value.code == "ValidationError"


@pytest.mark.parametrize("size", [1, 7, 99, 100, 101, 240, 241])
async def test_pages_of_everything(host: Host, size: int) -> None:
    """More rows than are read at once, of which a filter leaves out some."""
    names = [f"g{number:04d}" for number in range(240)]

    async def write(tx: Transaction) -> None:
        for number, name in enumerate(names):
            put(tx, Group(name=name, path="/odd/" if number % 2 else "/even/", id=name, created=0.0))

    await host.store.transact(write)
    for prefix, wanted in (("/", names), ("/odd/", names[1::2])):
        seen: list[str] = []
        given_input: dict[str, Any] = {"MaxItems": size, "PathPrefix": prefix}
        while True:
            groups, more = await page_of(host.store, Group, given_input)
            seen += [group.name for group in groups]
            if not more["IsTruncated"]:
                break
            assert len(groups) == size
            given_input["Marker"] = more["Marker"]
        assert seen == wanted
