"""Hypothesis strategies of values for the shapes of a service's model."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from haar.wire.model import Shape

DEPTH = 5
"""Below this, structures have only simple members, and lists of others are empty."""

_MOMENTS = st.integers(0, 4_102_444_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
# Without what XML cannot carry, and without carriage returns, which XML readers make line feeds.
_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), max_size=12)
_TOKENS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=12)
# A dot alone is a path segment that HTTP clients take away.
_LABELS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(lambda text: text.strip(".") == text)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)
_INTEGERS = st.integers(-(2**31), 2**31 - 1)
_LONGS = st.integers(-(2**53), 2**53)
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)


def values(shape: Shape, depth: int = 0) -> SearchStrategy[Any]:
    """Values of a shape; constraints like lengths and patterns are not kept to."""
    place = shape.traits.get("location")
    if place == "statusCode":
        return st.integers(200, 299)
    if shape.document or shape.traits.get("jsonvalue"):
        return _JSON.filter(lambda value: value is not None)
    if shape.type == "structure":
        return structures(shape, depth)
    if shape.type == "list":
        deep = depth >= DEPTH and shape.element.type in ("structure", "list", "map")
        if deep and place is None:
            return st.just([])
        return st.lists(values(located(shape, shape.element), depth + 1), min_size=1 if place else 0, max_size=3)
    if shape.type == "map":
        keys = _TOKENS.map(str.lower) if place == "headers" else _TOKENS
        return st.dictionaries(keys, values(located(shape, shape.value), depth + 1), min_size=1, max_size=2)
    if shape.type == "string":
        return (
            st.sampled_from(shape.traits["enum"])
            if shape.traits.get("enum")
            else _LABELS
            if place == "uri"
            else _TOKENS
            if place in ("header", "headers")
            else _TEXT
        )
    return {
        "integer": _INTEGERS,
        "long": _LONGS,
        "float": _NUMBERS,
        "double": _NUMBERS,
        "boolean": st.booleans(),
        "timestamp": _MOMENTS,
        "blob": st.binary(max_size=12),
    }[shape.type]


def located(outer: Shape, inner: Shape) -> Shape:
    """An element of a collection is where the collection is."""
    if "location" in outer.traits:
        inner.traits = {**inner.traits, "location": outer.traits["location"]}
    return inner


def structures(shape: Shape, depth: int = 0) -> SearchStrategy[dict[str, Any]]:
    """Structures with some of their members; unions with one."""
    members = {name: member for name, member in shape.members() if not member.traits.get("eventstream")}
    if shape.traits.get("union") and members:
        simple = [name for name, member in members.items() if member.type not in ("structure", "list", "map")]
        names = simple if depth >= DEPTH and simple else list(members)
        return st.sampled_from(names).flatmap(lambda name: st.fixed_dictionaries({name: values(members[name], depth + 1)}))
    always = {name for name, member in members.items() if member.traits.get("location") in ("uri", "statusCode")}
    payload = shape.traits.get("payload")

    def build(chosen: list[str]) -> SearchStrategy[dict[str, Any]]:
        names = always | set(chosen)
        made = {name: values(members[name], depth + 1) for name in sorted(names)}
        if payload in made and members[payload].type in ("blob", "string"):
            # An empty body and none are the same bytes.
            made[payload] = made[payload].filter(len)
        return st.fixed_dictionaries(made)

    optional = sorted(members.keys() - always - {payload})
    if depth >= DEPTH:
        optional = [name for name in optional if members[name].type not in ("structure", "list", "map")]
    # A form says nothing of an inner structure that has no members, so none is made.
    picked = st.lists(st.sampled_from(optional), min_size=min(depth, 1), max_size=6, unique=True) if optional else st.just([])
    return picked.map(lambda names: [*names, payload] if payload in members else names).flatmap(build)
