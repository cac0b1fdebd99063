"""Document paths (`a.b[0].#c`): parsing, naming, overlaps, reading."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from haar.services.dynamodb.expressions.lexer import Lexer
from haar.services.dynamodb.limits import PATH_ELEMENTS
from haar.services.dynamodb.values import Item, Value

Part = str | int
Path = tuple[Part, ...]
"""Attribute names and list positions; `#x` is one that still has to be looked up."""
MOST_DIGITS = 9


@cache
def reserved_words() -> frozenset[str]:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html"""
    return frozenset((resources.files("haar.services.dynamodb") / "data" / "reserved.txt").read_text().split())


def parse_path(lexer: Lexer) -> Path:
    parts: list[Part] = [_element(lexer)]
    while True:
        if lexer.sign("."):
            parts.append(_element(lexer))
        elif lexer.sign("["):
            if lexer.token.kind != "number":
                raise lexer.unexpected()
            digits = lexer.next().text
            lexer.expect("]")
            if len(digits) > MOST_DIGITS:
                raise lexer.wrong("List index is not within the allowable range; index: [" + digits + "]")
            parts.append(int(digits))
        else:
            break
    if len(parts) > PATH_ELEMENTS:
        raise lexer.wrong(too_long(parts))
    return tuple(parts)


def too_long(path: Sequence[Part]) -> str:
    return f"The document path has too many nesting elements; nesting levels: {len(path)}"


def _element(lexer: Lexer) -> str:
    if lexer.token.kind not in ("name", "ref"):
        raise lexer.unexpected()
    return lexer.next().text


def first_reserved(path: Path) -> str | None:
    """The first name of a path that is a reserved word, as it is written."""
    for part in path:
        if type(part) is str and part[0] != "#" and part.upper() in reserved_words():
            return part
    return None


def undefined_name(path: Path, names: Mapping[str, str]) -> str | None:
    """What is wrong with the path's placeholders, if something is."""
    for part in path:
        if type(part) is str and part[0] == "#" and part not in names:
            return f"An expression attribute name used in the document path is not defined; attribute name: {part}"
    return None


def resolve(path: Path, names: Mapping[str, str]) -> Path:
    return tuple(names.get(part, part) if type(part) is str and part[0] == "#" else part for part in path)


def placeholders(path: Path) -> list[str]:
    return [part for part in path if type(part) is str and part[0] == "#"]


def show(path: Path) -> str:
    return "[" + ", ".join(f"[{part}]" if type(part) is int else str(part) for part in path) + "]"


def clash(paths: Sequence[Path]) -> str | None:
    """What is wrong when two paths touch the same place."""
    if not _touch(paths):
        return None
    conflict = None
    for index, second in enumerate(paths):
        for first in paths[:index]:
            found = _clash(first, second)
            if found is not None and found.startswith("Two document paths overlap"):
                return found
            conflict = conflict or found
    return conflict


def _touch(paths: Sequence[Path]) -> bool:
    """Whether any two of the paths overlap or conflict: told without comparing each with each."""
    tree: dict[Part | None, Any] = {}
    for path in paths:
        below = tree
        for part in path:
            if None in below or (below and type(next(iter(below))) is not type(part)):
                return True
            below = below.setdefault(part, {})
        if below:
            return True
        below[None] = True
    return False


def _clash(first: Path, second: Path) -> str | None:
    for one, other in zip(first, second, strict=False):
        if type(one) is not type(other):
            return (
                "Two document paths conflict with each other; must remove or rewrite one of these paths; "
                f"path one: {show(first)}, path two: {show(second)}"
            )
        if one != other:
            return None
    return (
        "Two document paths overlap with each other; must remove or rewrite one of these paths; "
        f"path one: {show(first)}, path two: {show(second)}"
    )


def getter(path: Path) -> Callable[[Item], Value | None]:
    """Reads the path in an item; None when there is nothing."""
    head = path[0]
    assert isinstance(head, str)
    if len(path) == 1:
        return lambda item: item.get(head)
    rest = path[1:]

    def get(item: Item) -> Value | None:
        value = item.get(head)
        for part in rest:
            if value is None:
                return None
            value = step(value, part)
        return value

    return get


def step(value: Value, part: Part) -> Value | None:
    """One element of a map or list."""
    if isinstance(part, str):
        inner = value.get("M")
        return None if inner is None else inner.get(part)
    inner = value.get("L")
    return inner[part] if inner is not None and part < len(inner) else None
