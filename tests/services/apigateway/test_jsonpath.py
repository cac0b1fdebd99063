"""JSONPath as mapping templates use it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haar.services.apigateway.jsonpath import PathError, find

STORE = {
    "books": [
        {"title": "a", "price": 1, "tags": ["x"]},
        {"title": "b", "price": 20.5, "isbn": "1-2"},
        {"title": "c d", "price": 9, "sold": True},
    ],
    "owner": {"name": "me", "x.y": 5, "books": [{"title": "z"}]},
    "none": None,
}


@pytest.mark.parametrize(
    "path, expected",
    [
        ("$", STORE),
        ("$.owner.name", "me"),
        ("owner.name", "me"),
        ("$['owner']['x.y']", 5),
        ('$["owner"].name', "me"),
        ("$.books[0].title", "a"),
        ("$.books[-1].title", "c d"),
        ("$.books[0,2].title", ["a", "c d"]),
        ("$.books[0:2].title", ["a", "b"]),
        ("$.books[1:].title", ["b", "c d"]),
        ("$.books[:1].title", ["a"]),
        ("$.books[*].price", [1, 20.5, 9]),
        ("$.books.*.price", [1, 20.5, 9]),
        ("$..title", ["a", "b", "c d", "z"]),
        ("$..books[0].title", ["a", "z"]),
        ("$.owner['name','x.y']", {"name": "me", "x.y": 5}),
        ("$.books[?(@.price < 10)].title", ["a", "c d"]),
        ("$.books[?(@.price<10 && @.title=='a')].price", [1]),
        ("$.books[?(@.title == 'c d' || @.isbn)].title", ["b", "c d"]),
        ("$.books[?(!@.isbn)].title", ["a", "c d"]),
        ("$.books[?(@.sold == true)].title", ["c d"]),
        ("$.books[?(@.title =~ /C.*/i)].price", [9]),
        ("$.books[?(@.price >= 9)].price", [20.5, 9]),
        ("$.books[?((@.price > 5) && (@.price != 9))].title", ["b"]),
        ("$.books.length()", 3),
        ("$.books[*].price.sum()", 30.5),
        ("$.books[*].price.min()", 1.0),
        ("$.nothing", None),
        ("$.nothing.more", None),
        ("$.books[9].title", None),
        ("$.books[?(@.price > 100)]", []),
        ("$.none", None),
        ("$.owner.name.more", None),
    ],
)
def test_finds(path: str, expected: object):
    assert find(path, STORE) == expected


def test_nothing_equals_what_is_not_there():
    members = [1, {"x": None}, {"y": 1}, {"x": 2}]
    assert find("$[?(@.x == null)]", members) == [{"x": None}]
    assert find("$[?(@.x != null)]", members) == [1, {"y": 1}, {"x": 2}]
    assert find("$[?(@.x < 3)]", members) == [{"x": 2}]


def test_tells_null_from_nothing():
    assert find("$.none", STORE, "missing") is None
    assert find("$.nothing", STORE, "missing") == "missing"


@pytest.mark.parametrize("path", ["$.", "$[", "$['a'", "$[?(@.a ==)]", "$[?(@.a", "$.a b", "$[a]", "$.a.nosuch()", "$" + ".a" * 600])
def test_says_what_it_cannot_read(path: str):
    with pytest.raises(PathError):
        find(path, STORE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1, max_size=2), inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_every_value_is_found_by_its_own_path(document: object):
    def walk(path: str, value: object) -> None:
        assert find(path, document, "missing") == value
        if isinstance(value, dict):
            for key, one in value.items():
                walk(f"{path}['{key}']", one)
        elif isinstance(value, list):
            for at, one in enumerate(value):
                walk(f"{path}[{at}]", one)

    walk("$", document)


@given(st.text("$.[]()?@'\"*ab01, :=<>&|!/\\", max_size=30))
def test_no_path_is_more_than_an_error(path: str):
    try:
        find(path, STORE)
    except PathError:
        pass
