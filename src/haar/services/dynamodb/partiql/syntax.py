"""What a statement says, as it is written."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from haar.services.dynamodb.expressions.paths import Path


class Node(NamedTuple):
    """An expression."""

    kind: str
    """value, parameter, path, call, list, set, map, or other: what DynamoDB does not have."""
    content: Any
    """The value, the parameter's place in the text, the path, the operator or function in lower case, the names of a map's members (nodes),
    or what else it is, in the words in which it is refused."""
    at: str
    """Line, column and length of the word that stands for it."""
    parts: "tuple[Node, ...]" = ()
    depth: int = 0
    operators: int = 0


class Wild(NamedTuple):
    """A `*` in a path."""

    bracketed: bool
    at: str


@dataclass(slots=True)
class Written:
    """One statement."""

    kind: str
    """SELECT, INSERT, UPDATE, DELETE or EXISTS."""
    table: str
    index: str | None = None
    columns: list[Node] | None = None
    """The projection of a SELECT; None for `*`."""
    where: Node | None = None
    order: list[tuple[Node, bool]] = field(default_factory=list)
    """What is sorted by, and whether it descends."""
    value: Node | None = None
    """What is to be inserted."""
    sets: list[tuple[Path, Node]] = field(default_factory=list)
    removals: list[Path] = field(default_factory=list)
    returning: str | None = None
    """ALL_OLD, ALL_NEW, UPDATED_OLD, UPDATED_NEW."""
    at: str = ""
