"""Which route a request is for. Pure.

A full match first, then the longest match with a greedy variable, then `$default`; at each level a path's own part before a variable.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
"""

from typing import Generic, TypeVar
from urllib.parse import unquote

T = TypeVar("T")

ANY = "ANY"
DEFAULT = "$default"

Ends = dict[str, tuple[T, tuple[str, ...]]]
"""By method: what stands for the route, and the names of the variables on the way to it."""


class _Node(Generic[T]):
    __slots__ = ("ends", "greedy", "parameter", "static")

    def __init__(self) -> None:
        self.static: dict[str, _Node[T]] = {}
        self.parameter: _Node[T] | None = None
        self.greedy: Ends[T] = {}
        self.ends: Ends[T] = {}

    def parameter_node(self) -> "_Node[T]":
        if self.parameter is None:
            self.parameter = _Node()
        return self.parameter


class Routes(Generic[T]):
    """The routes of one deployment."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._default: T | None = None

    def add(self, key: str, value: T) -> None:
        """`key` is a route key: `GET /pets/{id}` or `$default`."""
        if key == DEFAULT:
            self._default = value
            return
        method, _, path = key.partition(" ")
        node, names = self._root, []
        for part in path[1:].split("/"):
            if part.endswith("+}"):
                names.append(part[1:-2])
                node.greedy[method] = (value, tuple(names))
                return
            if part.startswith("{"):
                names.append(part[1:-1])
                node = node.parameter_node()
            else:
                node = node.static.setdefault(part, _Node())
        node.ends[method] = (value, tuple(names))

    def match(self, method: str, path: str) -> tuple[T, dict[str, str]] | None:
        """The route for a path as it was sent, with the values of its variables, decoded; None when there is none."""
        parts = path[1:].split("/")
        if "%" in path:
            parts = [unquote(part) for part in parts]
        found = _full(self._root, parts, 0, method, ()) or _greedy(self._root, parts, 0, method, ())
        if found is not None:
            (value, names), values = found
            return value, dict(zip(names, values, strict=True))
        return None if self._default is None else (self._default, {})


Found = tuple[tuple[T, tuple[str, ...]], tuple[str, ...]]


def _full(node: _Node[T], parts: list[str], at: int, method: str, values: tuple[str, ...]) -> Found[T] | None:
    if at == len(parts):
        end = node.ends.get(method) or node.ends.get(ANY)
        return None if end is None else (end, values)
    part = parts[at]
    child = node.static.get(part)
    if child is not None and (found := _full(child, parts, at + 1, method, values)) is not None:
        return found
    if node.parameter is not None and part:
        return _full(node.parameter, parts, at + 1, method, (*values, part))
    return None


def _greedy(node: _Node[T], parts: list[str], at: int, method: str, values: tuple[str, ...]) -> Found[T] | None:
    if at == len(parts):
        return None
    part = parts[at]
    child = node.static.get(part)
    if child is not None and (found := _greedy(child, parts, at + 1, method, values)) is not None:
        return found
    if node.parameter is not None and part and (found := _greedy(node.parameter, parts, at + 1, method, (*values, part))) is not None:
        return found
    end = node.greedy.get(method) or node.greedy.get(ANY)
    if end is None or not (rest := "/".join(parts[at:])):
        return None
    return end, (*values, rest)
