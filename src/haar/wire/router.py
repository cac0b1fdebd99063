"""Which operation a method and a URI are for, from the models' URI templates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, unquote_plus

_SEGMENTS = 256
"""A path of more segments is nobody's; so matching has a bound."""


@dataclass(slots=True)
class Leaf:
    """An operation at the end of a path."""

    operation: str
    query: Mapping[str, str | None]
    """Literals that the query string must have; None for a name of any value."""
    labels: Sequence[str]
    """The labels' names from left to right."""


@dataclass(slots=True)
class _Node:
    static: dict[str, "_Node"] = field(default_factory=dict)
    label: "_Node | None" = None
    greedy: "_Node | None" = None
    leaves: list[Leaf] = field(default_factory=list)


class Router:
    """A tree of path segments a method. The most specific template wins: a literal before a label before a greedy label, and more literals
    in the query before fewer."""

    def __init__(self, operations: Mapping[str, Mapping[str, object]]) -> None:
        """`operations` by name, each with `method` and `requestUri`."""
        self._roots: dict[str, _Node] = {}
        for name, http in operations.items():
            self._add(name, str(http["method"]), str(http["requestUri"]))

    def _add(self, operation: str, method: str, template: str) -> None:
        path, _, query = template.partition("?")
        literals: dict[str, str | None] = {}
        for part in filter(None, query.split("&")):
            key, equals, value = part.partition("=")
            literals[key] = value if equals else None
        node, labels = self._roots.setdefault(method, _Node()), []
        for segment in _split(path):
            if segment.startswith("{"):
                labels.append(segment.strip("{}+"))
                kind = "greedy" if segment.endswith("+}") else "label"
                inner: _Node | None = getattr(node, kind)
                if inner is None:
                    inner = _Node()
                    setattr(node, kind, inner)
                node = inner
            else:
                node = node.static.setdefault(segment, _Node())
        node.leaves.append(Leaf(operation, literals, labels))
        node.leaves.sort(key=lambda leaf: -len(leaf.query))

    def match(self, method: str, path: str, query: str) -> tuple[Leaf, dict[str, str]] | None:
        """The operation's leaf and its labels' values, percent-decoded; None when there is none."""
        root = self._roots.get(method)
        if root is None:
            return None
        segments = _split(path)
        if len(segments) > _SEGMENTS:
            return None
        found = _walk(root, segments, 0, (), query)
        if found is None:
            return None
        leaf, values = found
        return leaf, {name: unquote(value) for name, value in zip(leaf.labels, values, strict=True)}


def _split(path: str) -> list[str]:
    segments = path.lstrip("/").split("/")
    # A slash at the end means nothing.
    while segments and not segments[-1]:
        segments.pop()
    return segments


def _walk(node: _Node, segments: list[str], at: int, values: tuple[str, ...], query: str) -> tuple[Leaf, tuple[str, ...]] | None:
    if at == len(segments):
        leaf = _leaf(node.leaves, query)
        return None if leaf is None else (leaf, values)
    segment = segments[at]
    inner = node.static.get(segment)
    if inner is not None:
        found = _walk(inner, segments, at + 1, values, query)
        if found is not None:
            return found
    if node.label is not None and segment:
        found = _walk(node.label, segments, at + 1, (*values, segment), query)
        if found is not None:
            return found
        # Some clients leave the slashes of an ARN as they are.
        if segment.startswith(("arn:", "arn%3A", "arn%3a")):
            leaf = _leaf(node.label.leaves, query)
            if leaf is not None:
                return leaf, (*values, "/".join(segments[at:]))
    if node.greedy is not None:
        return _greedy(node.greedy, segments, at, values, query)
    return None


def _greedy(node: _Node, segments: list[str], at: int, values: tuple[str, ...], query: str) -> tuple[Leaf, tuple[str, ...]] | None:
    for end in range(len(segments), at, -1):
        found = _walk(node, segments, end, (*values, "/".join(segments[at:end])), query)
        if found is not None:
            return found
    return None


def _leaf(leaves: list[Leaf], query: str) -> Leaf | None:
    if len(leaves) == 1 and not leaves[0].query:
        return leaves[0]
    given = dict(query_pairs(query)) if leaves else {}
    for leaf in leaves:
        if all(name in given and (value is None or given[name] == value) for name, value in leaf.query.items()):
            return leaf
    return None


def query_pairs(query: str) -> list[tuple[str, str]]:
    """A query string's names and values, decoded, in order; a name without a value has an empty one."""
    pairs = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((unquote_plus(name), unquote_plus(value)))
    return pairs
