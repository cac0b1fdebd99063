"""Which method a path is for."""

from hypothesis import given
from hypothesis import strategies as st

from haar.services.apigateway.dataplane.routing import Node


def tree(*paths: str, methods: tuple[str, ...] = ("GET",)) -> Node[str]:
    root: Node[str] = Node()
    for path in paths:
        root.add(path, {method: f"{method} {path}" for method in methods})
    return root


def test_a_part_of_its_own_comes_before_a_parameter_and_that_before_the_rest():
    root = tree("/", "/pets", "/pets/{id}", "/pets/new", "/{proxy+}", "/pets/{id}/{rest+}")
    assert root.match("/", "GET") == ("GET /", {})
    assert root.match("", "GET") == ("GET /", {})
    assert root.match("/pets", "GET") == ("GET /pets", {})
    assert root.match("/pets/", "GET") == ("GET /pets", {})
    assert root.match("/pets/new", "GET") == ("GET /pets/new", {})
    assert root.match("/pets/7", "GET") == ("GET /pets/{id}", {"id": "7"})
    assert root.match("/pets/7/toys/1", "GET") == ("GET /pets/{id}/{rest+}", {"id": "7", "rest": "toys/1"})
    assert root.match("/cats/7", "GET") == ("GET /{proxy+}", {"proxy": "cats/7"})


def test_what_has_no_method_does_not_hold_back_what_is_behind_it():
    root: Node[str] = Node()
    root.add("/a", {})
    root.add("/a/b", {"POST": "post"})
    root.add("/{proxy+}", {"ANY": "any"})
    assert root.match("/a", "GET") == ("any", {"proxy": "a"})
    assert root.match("/a/b", "POST") == ("post", {})
    assert root.match("/a/b", "GET") == ("any", {"proxy": "a/b"})
    assert root.match("/", "GET") is None


def test_a_method_of_its_own_comes_before_any():
    root: Node[str] = Node()
    root.add("/a", {"ANY": "any", "GET": "get"})
    assert root.match("/a", "GET") == ("get", {})
    assert root.match("/a", "PURGE") == ("any", {})


def test_parameters_stay_encoded_and_parts_are_compared_decoded():
    root = tree("/a b/{id}", "/{proxy+}")
    assert root.match("/a%20b/c%2Fd", "GET") == ("GET /a b/{id}", {"id": "c%2Fd"})
    assert root.match("/x%20y/z/", "GET") == ("GET /{proxy+}", {"proxy": "x%20y/z"})


def test_an_empty_part_is_no_parameter():
    root = tree("/{id}/x")
    assert root.match("//x", "GET") is None
    assert tree("/{proxy+}").match("//", "GET") is None


PART = st.sampled_from(["a", "b", "{p}", "{q+}"])


@given(st.lists(st.lists(PART, max_size=4), max_size=8), st.lists(st.sampled_from(["a", "b", "c"]), max_size=6))
def test_a_match_gives_the_path_back(resources: list[list[str]], segments: list[str]):
    paths = {"/" + "/".join(parts) for parts in resources if not any(part.endswith("+}") for part in parts[:-1])}
    root = tree(*paths)
    path = "/" + "/".join(segments)
    matched = root.match(path, "GET")
    if matched is None:
        assert path not in paths and ("/{q+}" not in paths or not segments)
        return
    found, values = matched
    template = found.removeprefix("GET ")
    assert template in paths
    if template.count("{p}") <= 1:
        assert template.replace("{p}", values.get("p", "")).replace("{q+}", values.get("q", "")) == path
    if path in paths:
        assert template == path
