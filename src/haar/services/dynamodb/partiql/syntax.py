"""What a statement says, as it is written. Expressions share the nodes of condition expressions; values are leaves of their own."""

from dataclasses import dataclass, field
from typing import Any

from haar.services.dynamodb.expressions.paths import Path
from haar.services.dynamodb.values import Value


@dataclass(frozen=True, slots=True)
class Literal:
    value: Value


@dataclass(frozen=True, slots=True)
class Parameter:
    """A `?`, by its place in the text."""

    at: int


@dataclass(frozen=True, slots=True)
class Collection:
    """A list, set or map that holds parameters."""

    kind: str
    """L, SET or M."""
    members: tuple[Any, ...]
    names: tuple[str, ...] = ()
    """The names of a map's members."""


@dataclass(slots=True)
class Written:
    """One statement."""

    kind: str
    """SELECT, INSERT, UPDATE, DELETE or EXISTS."""
    table: str
    index: str | None = None
    columns: list[Path] | None = None
    """The projection of a SELECT; None for `*`."""
    where: Any = None
    order: list[tuple[Path, bool]] = field(default_factory=list)
    """Paths, and whether they descend."""
    value: Any = None
    """What is to be inserted."""
    sets: list[tuple[Path, Any]] = field(default_factory=list)
    removals: list[Path] = field(default_factory=list)
    returning: str | None = None
    """ALL_OLD, ALL_NEW, UPDATED_OLD, UPDATED_NEW."""
    parameters: tuple[int, ...] = ()
    """The places of all parameters, in order."""
