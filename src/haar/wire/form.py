"""Query's way in: a form's dotted names as a tree, and shapes read from it."""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

from haar.wire import values
from haar.wire.model import Model, Shape
from haar.wire.values import serialization

Node = Any
"""A text, or a dict of nodes by the next part of the name."""
Convert = Callable[[Node], Any]

_DEPTH = 64
"""No model nests deeper; a name of more parts is refused."""
_PARAMETERS = 100_000


def read_form(text: str) -> list[tuple[str, str]]:
    """The decoded names and values of a form or query string."""
    parts = text.split("&")
    if len(parts) > _PARAMETERS:
        raise serialization("Too many parameters")
    pairs = []
    for part in parts:
        if part:
            name, _, value = part.partition("=")
            try:
                pairs.append((unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict")))
            except UnicodeDecodeError as error:
                raise serialization("The request is not UTF-8") from error
    return pairs


def tree(pairs: list[tuple[str, str]]) -> dict[str, Node]:
    """`a.member.1.b=x` as {"a": {"member": {"1": {"b": "x"}}}}. A value under a name that also has parts is left out."""
    root: dict[str, Node] = {}
    for name, value in pairs:
        parts = name.split(".")
        if len(parts) > _DEPTH:
            raise serialization("The request is nested too deeply.")
        node = root
        for part in parts[:-1]:
            inner = node.get(part)
            if not isinstance(inner, dict):
                inner = node[part] = {}
            node = inner
        if not isinstance(node.get(parts[-1]), dict):
            node[parts[-1]] = value
    return root


class FormShapes:
    """Compiles readers of a model's shapes."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._structures: dict[str, Convert] = {}

    def structure(self, shape: Shape) -> Convert:
        """Reads a structure's members."""
        found = self._structures.get(shape.name)
        if found is not None:
            return found
        members: list[tuple[str, str, Convert]] = []

        def parse(node: Node) -> dict[str, Any]:
            if not isinstance(node, dict):
                if node == "":
                    return {}
                raise serialization("Unexpected value where a structure was expected")
            return {name: convert(node[key]) for name, key, convert in members if key in node}

        self._structures[shape.name] = parse
        members += [(name, key, self._convert(member)) for name, member in shape.members() for key in form_names(name, member)]
        return parse

    def _convert(self, shape: Shape) -> Convert:
        if shape.type == "structure":
            return self.structure(shape)
        if shape.type == "list":
            return self._list(shape)
        if shape.type == "map":
            return self._map(shape)
        return _scalar(shape)

    def _list(self, shape: Shape) -> Convert:
        element = self._convert(shape.element)
        flattened = bool(shape.traits.get("flattened"))
        wrapper = shape.element.traits.get("locationName", "member")

        def parse(node: Node) -> list[Any]:
            if node == "":
                return []
            if not isinstance(node, dict):
                if flattened:
                    return [element(node)]
                raise serialization("Unexpected value where a list was expected")
            items = node if flattened else _only(node, wrapper)
            return [element(items[index]) for index in _ordered(items)]

        return parse

    def _map(self, shape: Shape) -> Convert:
        key_name = shape.key.traits.get("locationName", "key")
        value_name = shape.value.traits.get("locationName", "value")
        flattened = bool(shape.traits.get("flattened"))
        value = self._convert(shape.value)

        def parse(node: Node) -> dict[str, Any]:
            if node == "":
                return {}
            if not isinstance(node, dict):
                raise serialization("Unexpected value where a map was expected")
            out: dict[str, Any] = {}
            entries = node if flattened else _only(node, "entry")
            for index in _ordered(entries):
                entry = entries[index]
                if not isinstance(entry, dict) or not isinstance(entry.get(key_name), str):
                    raise serialization("A map's entry has no key")
                out[entry[key_name]] = value(entry.get(value_name, ""))
            return out

        return parse


def form_names(name: str, member: Shape) -> list[str]:
    """A member's names in a form."""
    own = str(member.traits.get("locationName", name))
    if member.type == "list" and member.traits.get("flattened"):
        # botocore calls a flattened list as its elements are called, Smithy as the list itself: both are understood.
        return list(dict.fromkeys((own, str(member.element.traits.get("locationName", own)))))
    return [own]


def _only(node: dict[str, Node], wrapper: str) -> dict[str, Node]:
    items = node.get(wrapper, node.get("member"))
    if items == "" or (items is None and not node):
        return {}
    if not isinstance(items, dict):
        raise serialization(f"'{wrapper}' with an index was expected")
    return items


def _ordered(items: dict[str, Node]) -> list[str]:
    if not all(index.isascii() and index.isdigit() and len(index) < 10 for index in items):
        raise serialization("An index has to be a number")
    return sorted(items, key=int)


def _scalar(shape: Shape) -> Convert:
    convert = {
        "integer": values.parse_int,
        "long": values.parse_int,
        "float": values.parse_float,
        "double": values.parse_float,
        "boolean": values.parse_bool,
        "timestamp": values.parse_timestamp,
        "blob": values.parse_blob,
    }.get(shape.type)

    def parse(node: Node) -> Any:
        if isinstance(node, dict):
            raise serialization("Unexpected structure where a value was expected")
        return node if convert is None else convert(node)

    return parse
