"""Shapes as XML: writers for query and rest-xml, readers for rest-xml."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

from haar.wire import values
from haar.wire.model import Model, Shape
from haar.wire.values import serialization

Write = Callable[[Any, str], str]
"""A value and its element's name → XML."""
Read = Callable[[ElementTree.Element], Any]

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_DOCTYPE = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)


def text(value: str) -> str:
    """Character data. What XML cannot carry becomes U+FFFD."""
    # By hand: the standard library's escape comes with an HTTP client, which takes longer to import than all of wire.
    escaped = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#xD;")
    return escaped if escaped.isascii() and escaped.isprintable() else _FORBIDDEN.sub("\ufffd", escaped)


def attribute(value: str) -> str:
    """An attribute's value, without its quotes."""
    return text(value).replace('"', "&quot;").replace("\n", "&#xA;")


def namespace(traits: Mapping[str, Any]) -> str:
    """The xmlns attribute of a shape, with a blank before it; empty when it has none."""
    found = traits.get("xmlNamespace")
    if not found:
        return ""
    uri, prefix = (found, None) if isinstance(found, str) else (found.get("uri", ""), found.get("prefix"))
    return f' xmlns{":" + prefix if prefix else ""}="{attribute(uri)}"'


def xml_names(name: str, member: Shape) -> list[str]:
    """What a member's element may be called; the first is what botocore reads and writes, the last what Smithy says."""
    own = str(member.traits.get("locationName", name))
    if member.type == "list" and member.traits.get("flattened"):
        return list(dict.fromkeys((str(member.element.traits.get("locationName", own)), own)))
    if member.type == "structure":
        # A structure's own name is that of a document's root, but botocore takes it for members as well.
        return list(dict.fromkeys((own, name)))
    return [own]


class XmlShapes:
    """Compiles writers and readers of a model's shapes."""

    def __init__(self, model: Model) -> None:
        # IAM says whole seconds.
        self._whole = model.service == "iam"
        self._writers: dict[str, Callable[[Mapping[str, Any]], tuple[str, str]]] = {}
        self._readers: dict[str, Read] = {}

    def members(self, shape: Shape, outside: frozenset[str] = frozenset()) -> Callable[[Mapping[str, Any]], tuple[str, str]]:
        """A structure's members as (attributes, elements)."""
        found = self._writers.get(shape.name) if not outside else None
        if found is not None:
            return found
        elements: list[tuple[str, str, Write]] = []
        attributes: list[tuple[str, str]] = []

        def write(value: Mapping[str, Any]) -> tuple[str, str]:
            inner = "".join([writer(value[name], key) for name, key, writer in elements if value.get(name) is not None])
            if not attributes:
                return "", inner
            own = [f' {key}="{attribute(str(value[name]))}"' for name, key in attributes if value.get(name) is not None]
            return "".join(own), inner

        if not outside:
            self._writers[shape.name] = write
        for name, member in shape.members():
            if name in outside:
                continue
            if member.traits.get("xmlAttribute"):
                attributes.append((name, member.traits.get("locationName", name)))
            else:
                elements.append((name, xml_names(name, member)[0], self.writer(member)))
        return write

    def writer(self, shape: Shape) -> Write:
        """Writes one element (or, for what is flattened, several)."""
        space = namespace(shape.traits)
        if shape.type == "structure":
            inner = self.members(shape)

            def write(value: Any, name: str) -> str:
                attributes, content = inner(value)
                return f"<{name}{space}{attributes}>{content}</{name}>"

            return write
        if shape.type == "list":
            return self._list_writer(shape, space)
        if shape.type == "map":
            return self._map_writer(shape, space)
        convert = scalar_text(shape, self._whole)
        return lambda value, name: f"<{name}{space}>{text(convert(value))}</{name}>"

    def _list_writer(self, shape: Shape, space: str) -> Write:
        element = self.writer(shape.element)
        if shape.traits.get("flattened"):
            return lambda value, name: "".join([element(item, name) for item in value if item is not None])
        item_name = shape.element.traits.get("locationName", "member")
        return lambda value, name: f"<{name}{space}>{''.join([element(item, item_name) for item in value if item is not None])}</{name}>"

    def _map_writer(self, shape: Shape, space: str) -> Write:
        key, value_writer = self.writer(shape.key), self.writer(shape.value)
        key_name = shape.key.traits.get("locationName", "key")
        value_name = shape.value.traits.get("locationName", "value")
        flattened = bool(shape.traits.get("flattened"))

        def write(value: Any, name: str) -> str:
            entry = name if flattened else "entry"
            entries = "".join(
                [f"<{entry}>{key(k, key_name)}{value_writer(v, value_name)}</{entry}>" for k, v in value.items() if v is not None]
            )
            return entries if flattened else f"<{name}{space}>{entries}</{name}>"

        return write

    def reader(self, shape: Shape) -> Read:
        """Reads the value of an element."""
        if shape.type == "structure":
            return self.structure_reader(shape)
        if shape.type == "list":
            element = self.reader(shape.element)
            return lambda node: [element(item) for item in node]
        if shape.type == "map":
            return self._map_reader(shape)
        return _scalar_reader(shape)

    def structure_reader(self, shape: Shape, outside: frozenset[str] = frozenset()) -> Read:
        """Reads the members of an element that is a structure."""
        found = self._readers.get(shape.name) if not outside else None
        if found is not None:
            return found
        single: dict[str, tuple[str, Read]] = {}
        flat: dict[str, tuple[str, Read, bool]] = {}
        attributes: dict[str, str] = {}

        def read(node: ElementTree.Element) -> dict[str, Any]:
            out: dict[str, Any] = {}
            for child in node:
                tag = local(child.tag)
                if tag in single:
                    name, convert = single[tag]
                    out[name] = convert(child)
                elif tag in flat:
                    name, convert, mapped = flat[tag]
                    if mapped:
                        out.setdefault(name, {}).update([convert(child)])
                    else:
                        out.setdefault(name, []).append(convert(child))
            for key, value in node.attrib.items() if attributes else ():
                if local(key) in attributes:
                    out[attributes[local(key)]] = value
            return out

        if not outside:
            self._readers[shape.name] = read
        for name, member in shape.members():
            if name in outside:
                continue
            if member.traits.get("xmlAttribute"):
                attributes[member.traits.get("locationName", name).rpartition(":")[2]] = name
            elif member.traits.get("flattened") and member.type in ("list", "map"):
                mapped = member.type == "map"
                item = self._entry_reader(member) if mapped else self.reader(member.element)
                flat.update(dict.fromkeys(xml_names(name, member), (name, item, mapped)))
            else:
                single.update(dict.fromkeys(xml_names(name, member), (name, self.reader(member))))
        return read

    def _entry_reader(self, shape: Shape) -> Read:
        key_name = shape.key.traits.get("locationName", "key")
        value_name = shape.value.traits.get("locationName", "value")
        value = self.reader(shape.value)

        def read(node: ElementTree.Element) -> tuple[str, Any]:
            parts = {local(child.tag): child for child in node}
            if key_name not in parts or value_name not in parts:
                raise serialization("A map's entry has no key or no value")
            return parts[key_name].text or "", value(parts[value_name])

        return read

    def _map_reader(self, shape: Shape) -> Read:
        entry = self._entry_reader(shape)
        return lambda node: dict(entry(child) for child in node)


def scalar_text(shape: Shape, whole: bool = False) -> Callable[[Any], str]:
    """A scalar as XML's text; timestamps in whole seconds if so wished."""
    if shape.type == "timestamp":
        format = shape.traits.get("timestampFormat", "iso8601")
        return lambda value: str(values.timestamp(values.seconds(value) if whole else value, format))
    return {
        "boolean": lambda value: "true" if value else "false",
        "blob": values.blob,
        "float": values.number_text,
        "double": values.number_text,
    }.get(shape.type, str)


def _scalar_reader(shape: Shape) -> Read:
    convert: Callable[[str], Any] = {
        "integer": values.parse_int,
        "long": values.parse_int,
        "float": values.parse_float,
        "double": values.parse_float,
        "boolean": values.parse_bool,
        "timestamp": values.parse_timestamp,
        "blob": values.parse_blob,
    }.get(shape.type, str)
    return lambda node: convert(node.text or "")


def local(tag: str) -> str:
    """An element's or attribute's name without its namespace."""
    return tag.rpartition("}")[2]


def parse_xml(body: bytes) -> ElementTree.Element:
    """The document's root. Entities and document types are refused."""
    if _DOCTYPE.search(body):
        raise serialization("The XML you provided was not well-formed or did not validate against our published schema")
    try:
        return ElementTree.fromstring(body)  # noqa: S314 - no document type, so no entities to expand
    except ElementTree.ParseError as error:
        raise serialization("The XML you provided was not well-formed or did not validate against our published schema") from error
