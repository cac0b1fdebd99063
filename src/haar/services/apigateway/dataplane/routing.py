"""Which resource and method a path is for. Pure.

A resource's own part is tried before `{parameter}`, that before `{greedy+}`, at every level; a resource without a method for the request
does not hold it back from those behind it.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar
from urllib.parse import unquote

T = TypeVar("T")

METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD")
ANY = "ANY"


def spoken(path: str) -> str:
    """A path as policies speak of it: as it is routed, decoded segment by segment, so that no other way of writing it gets past them."""
    if "%" not in path:
        return path
    return "/".join([unquote(segment).replace("/", "%2F") for segment in path.split("/")])


class Node(Generic[T]):
    """One resource of the tree; what stands for a method is whatever the caller puts there."""

    __slots__ = ("greedy", "methods", "parameter", "static")

    def __init__(self) -> None:
        self.static: dict[str, Node[T]] = {}
        self.parameter: tuple[str, Node[T]] | None = None
        self.greedy: tuple[str, Node[T]] | None = None
        self.methods: dict[str, T] = {}

    def add(self, path: str, methods: dict[str, T]) -> None:
        """Puts the methods of the resource `path` (`/books/{id}`) into the tree."""
        node = self
        for part in path.split("/"):
            if part:
                node = node._child(part)
        node.methods = methods

    def _child(self, part: str) -> "Node[T]":
        if part.startswith("{") and part.endswith("+}"):
            self.greedy = self.greedy or (part[1:-2], Node())
            return self.greedy[1]
        if part.startswith("{"):
            self.parameter = self.parameter or (part[1:-1], Node())
            return self.parameter[1]
        return self.static.setdefault(part, Node())

    def match(self, path: str, http_method: str) -> tuple[T, dict[str, str]] | None:
        """The method for a path as it was sent (percent-encoded) and the path parameters in it; None when there is none."""
        segments = path[1:].split("/") if path.startswith("/") else path.split("/")
        if segments and segments[-1] == "":
            segments.pop()
        for node, values in self._candidates(segments, 0):
            found = node.methods.get(http_method)
            if found is None:
                found = node.methods.get(ANY)
            if found is not None:
                return found, dict(values)
        return None

    def _candidates(self, segments: list[str], at: int) -> Iterator[tuple["Node[T]", tuple[tuple[str, str], ...]]]:
        if at == len(segments):
            yield self, ()
            return
        segment = segments[at]
        child = self.static.get(segment)
        if child is None and "%" in segment:
            child = self.static.get(unquote(segment))
        if child is not None:
            yield from child._candidates(segments, at + 1)
        if self.parameter is not None and segment:
            name, node = self.parameter
            for found, values in node._candidates(segments, at + 1):
                yield found, ((name, segment), *values)
        if self.greedy is not None and (rest := "/".join(segments[at:])):
            name, node = self.greedy
            yield node, ((name, rest),)
