"""Which route a request is for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haar.services.apigatewayv2.dataplane.routing import Routes

KEYS = ("GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /{proxy+}", "$default")


def routes(*keys: str) -> Routes[str]:
    made: Routes[str] = Routes()
    for key in keys:
        made.add(key, key)
    return made


@pytest.mark.parametrize(
    ("method", "path", "key", "values"),
    [
        ("GET", "/pets/dog/1", "GET /pets/dog/1", {}),
        ("GET", "/pets/dog/2", "GET /pets/dog/{id}", {"id": "2"}),
        ("GET", "/pets/cat/1", "GET /pets/{proxy+}", {"proxy": "cat/1"}),
        ("POST", "/test/5", "ANY /{proxy+}", {"proxy": "test/5"}),
        ("GET", "/", "$default", {}),
        ("GET", "/pets/dog/a%2Fb", "GET /pets/dog/{id}", {"id": "a/b"}),
        ("GET", "/pets/", "ANY /{proxy+}", {"proxy": "pets/"}),
    ],
)
def test_the_most_specific_route(method: str, path: str, key: str, values: dict[str, str]) -> None:
    assert routes(*KEYS).match(method, path) == (key, values)


def test_a_full_match_is_before_a_greedy_one() -> None:
    made = routes("GET /a/{proxy+}", "GET /{x}/b")
    assert made.match("GET", "/a/b") == ("GET /{x}/b", {"x": "a"})
    assert made.match("GET", "/a/c") == ("GET /a/{proxy+}", {"proxy": "c"})


def test_the_method_is_before_any() -> None:
    made = routes("ANY /a", "GET /a")
    assert made.match("GET", "/a") == ("GET /a", {})
    assert made.match("PUT", "/a") == ("ANY /a", {})


def test_variables_have_the_names_of_their_own_route() -> None:
    made = routes("GET /a/{x}/b", "POST /a/{y}/b", "GET /a/{z}/c/{rest+}")
    assert made.match("GET", "/a/1/b") == ("GET /a/{x}/b", {"x": "1"})
    assert made.match("POST", "/a/1/b") == ("POST /a/{y}/b", {"y": "1"})
    assert made.match("GET", "/a/1/c/2/3") == ("GET /a/{z}/c/{rest+}", {"z": "1", "rest": "2/3"})


@pytest.mark.parametrize("path", ["/a/", "/a/b", "/A", "/", "/a//"])
def test_no_route(path: str) -> None:
    assert routes("GET /a").match("GET", path) is None


SEGMENT = st.text("abc", min_size=1, max_size=2)


@given(st.lists(SEGMENT, min_size=1, max_size=4), st.lists(st.lists(SEGMENT, min_size=1, max_size=4), max_size=6))
def test_a_path_always_finds_its_own_route(own: list[str], others: list[list[str]]) -> None:
    keys = {"GET /" + "/".join(one) for one in others} | {"GET /{a}", "GET /{a}/{b}", "GET /{all+}"}
    key = "GET /" + "/".join(own)
    assert routes(*keys, key).match("GET", "/" + "/".join(own)) == (key, {})
