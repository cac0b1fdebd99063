"""Projection expressions: which parts of an item are answered."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from haar.services.dynamodb import errors
from haar.services.dynamodb.expressions import paths
from haar.services.dynamodb.expressions.lexer import Lexer
from haar.services.dynamodb.expressions.paths import Path
from haar.services.dynamodb.limits import CACHED_EXPRESSIONS
from haar.services.dynamodb.values import Item, Value

Tree = dict[Any, Any]
"""What is kept: by name or list position the tree below it, None for the whole of it."""
Projection = Callable[[Item], Item]


@dataclass(slots=True)
class Compiled:
    paths: tuple[Path, ...]
    project: Projection
    names: frozenset[str]
    heads: tuple[str, ...]
    nested: tuple[str, ...] = ()
    """The attributes that are looked into."""


@lru_cache(maxsize=CACHED_EXPRESSIONS)
def compile_projection(text: str, names: tuple[tuple[str, str], ...]) -> Compiled:
    """Raises ValidationException for what is wrong with a ProjectionExpression."""
    lexer = Lexer("ProjectionExpression", text)
    found = [paths.parse_path(lexer)]
    while lexer.sign(","):
        found.append(paths.parse_path(lexer))
    if lexer.token.kind != "end":
        raise lexer.unexpected()
    for path in found:
        if (word := paths.first_reserved(path)) is not None:
            raise lexer.wrong(f"Attribute name is a reserved keyword; reserved keyword: {word}")
    known = dict(names)
    for path in found:
        if (wrong := paths.undefined_name(path, known)) is not None:
            raise lexer.wrong(wrong)
    resolved = tuple(paths.resolve(path, known) for path in found)
    if (wrong := paths.clash(resolved)) is not None:
        raise errors.validation(f"Invalid ProjectionExpression: {wrong}")
    used = frozenset(name for path in found for name in paths.placeholders(path))
    return Compiled(resolved, projector(resolved), used, heads_of(resolved), heads_of([path for path in resolved if len(path) > 1]))


def heads_of(chosen: Iterable[Path]) -> tuple[str, ...]:
    """The attributes that paths begin with, once each."""
    return tuple(dict.fromkeys(str(path[0]) for path in chosen))


def projector(chosen: Iterable[Path]) -> Projection:
    """Keeps these paths of an item, inside the maps and lists that they lead through."""
    chosen = tuple(chosen)
    if all(len(path) == 1 for path in chosen):
        wanted = [str(path[0]) for path in chosen]
        return lambda item: {name: item[name] for name in wanted if name in item}
    tree: Tree = {}
    for path in chosen:
        below = tree
        for part in path[:-1]:
            below = below.setdefault(part, {})
        below[path[-1]] = None
    return lambda item: _members(item, tree)


def _members(values: dict[str, Value], tree: Tree) -> dict[str, Value]:
    kept = {}
    for name, below in tree.items():
        value = values.get(name)
        if value is not None and (value := _part(value, below)) is not None:
            kept[name] = value
    return kept


def _part(value: Value, tree: Tree | None) -> Value | None:
    if tree is None:
        return value
    if (members := value.get("M")) is not None:
        kept = _members(members, tree)
        return {"M": kept} if kept else None
    if (elements := value.get("L")) is not None:
        found = [_part(elements[at], tree[at]) for at in sorted(key for key in tree if type(key) is int) if at < len(elements)]
        present = [each for each in found if each is not None]
        return {"L": present} if present else None
    return None
