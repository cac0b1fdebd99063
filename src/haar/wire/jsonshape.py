"""Shapes as JSON: one closure a shape and direction, so that a request looks nothing up in the model."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from haar.wire import values
from haar.wire.model import Model, Shape
from haar.wire.values import serialization, token

Convert = Callable[[Any], Any]

_INTEGERS = {"integer": (-(2**31), 2**31 - 1, "Integer"), "long": (-(2**63), 2**63 - 1, "Long")}
_JAVA = {
    "string": "java.lang.String",
    "boolean": "java.lang.Boolean",
    "integer": "java.lang.Integer",
    "long": "java.lang.Long",
    "float": "java.lang.Float",
    "double": "java.lang.Double",
    "timestamp": "java.util.Date",
    "blob": "java.nio.ByteBuffer",
}
_STRUCTURE_FOUND = "Start of structure or map found where not expected"
_NOT_A_FIELD = "Unexpected field type"
_NOT_A_VALUE = "Unexpected value type in payload"
# What DynamoDB says, to the letter, when a collection in a collection is something else.
_NOT_A_COLLECTION = (
    "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class "
    "(sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base of loader 'bootstrap')"
)


class JsonShapes:
    """Compiles parsers and writers of a model's shapes. `None` in place of a closure means: as it is."""

    def __init__(self, model: Model, opaque: frozenset[str]) -> None:
        self._opaque = opaque
        version = str(model.metadata.get("apiVersion", "")).replace("-", "")
        self._namespace = f"com.amazonaws.{model.service}.v{version}."
        self._parsers: dict[tuple[str, bool], Convert] = {}
        self._writers: dict[str, Convert] = {}

    def parser(self, shape: Shape, inner: bool = False) -> Convert | None:
        """JSON value → plain value; `inner` for a collection's element. Raises CommonError("Serialization")."""
        if shape.name in self._opaque or shape.document:
            return None
        kind = shape.type
        if kind == "structure":
            return self._parse_structure(shape, inner)
        if kind == "list":
            return self._parse_list(shape, inner)
        if kind == "map":
            return self._parse_map(shape, inner)
        return self._parse_scalar(shape)

    def structure_members(self, shape: Shape, skip: frozenset[str] = frozenset()) -> dict[str, tuple[str, Convert | None]]:
        """The members that are in a JSON body, by their JSON name."""
        return {
            member.traits.get("locationName", name): (name, self.parser(member)) for name, member in shape.members() if name not in skip
        }

    def _parse_structure(self, shape: Shape, inner: bool) -> Convert:
        found = self._parsers.get((shape.name, inner))
        if found is not None:
            return found
        members: dict[str, tuple[str, Convert | None]] = {}
        mismatch = f"Unrecognized collection type class {self._namespace}{shape.name}"
        other = _NOT_A_VALUE if inner else _NOT_A_FIELD

        def parse(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise serialization(mismatch if type(value) is list else other)
            return parse_members(value, members)

        # Known before its members are compiled: shapes may contain themselves.
        self._parsers[shape.name, inner] = parse
        members.update(self.structure_members(shape))
        return parse

    def _parse_list(self, shape: Shape, inner: bool) -> Convert:
        element = shape.element
        parser = self.parser(element, True)
        other = _NOT_A_COLLECTION if inner else _NOT_A_FIELD
        keep = element.name in self._opaque or element.document
        sparse = bool(shape.traits.get("sparse"))

        def parse(value: Any) -> list[Any]:
            if type(value) is not list:
                raise serialization(_STRUCTURE_FOUND if type(value) is dict else other)
            if not keep and not sparse and None in value:
                raise serialization("NULL_VALUE found where not expected")
            if parser is None:
                return value
            return [None if item is None else parser(item) for item in value]

        return parse

    def _parse_map(self, shape: Shape, inner: bool) -> Convert:
        parser = self.parser(shape.value, True)
        other = _NOT_A_COLLECTION if inner else _NOT_A_FIELD
        mismatch = f"Unrecognized collection type java.util.Map<{self._java(shape.key)}, {self._java(shape.value)}>"
        keep = shape.value.name in self._opaque or bool(shape.traits.get("sparse")) or shape.value.document

        def parse(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise serialization(mismatch if type(value) is list else other)
            if not keep and None in value.values():
                raise serialization("NULL_VALUE found where not expected")
            if parser is None:
                return value
            return {key: None if item is None else parser(item) for key, item in value.items()}

        return parse

    def _java(self, shape: Shape) -> str:
        if shape.type == "list":
            return f"java.util.List<{self._java(shape.element)}>"
        if shape.type == "map":
            return f"java.util.Map<{self._java(shape.key)}, {self._java(shape.value)}>"
        return _JAVA.get(shape.type, self._namespace + shape.name)

    def _parse_scalar(self, shape: Shape) -> Convert:
        kind = shape.type
        if kind in _INTEGERS:
            return _integer(*_INTEGERS[kind], java=_JAVA[kind])
        java = _JAVA.get(kind, kind)
        if kind in ("float", "double"):
            return _float(java)
        return _SCALARS.get(kind, _string)

    def writer(self, shape: Shape) -> Convert | None:
        """Plain value → JSON value. Members that are None or not in the model are left out."""
        if shape.name in self._opaque or shape.document:
            return None
        kind = shape.type
        if kind == "structure":
            return self._write_structure(shape)
        if kind == "list":
            return _write_list(self.writer(shape.element))
        if kind == "map":
            return _write_map(self.writer(shape.value))
        return self._write_scalar(shape)

    def _write_scalar(self, shape: Shape) -> Convert | None:
        if shape.type == "timestamp":
            format = shape.traits.get("timestampFormat", "unixTimestamp")
            return lambda value: values.timestamp(value, format)
        return _WRITERS.get(shape.type)

    def _write_structure(self, shape: Shape) -> Convert:
        found = self._writers.get(shape.name)
        if found is not None:
            return found
        members: dict[str, tuple[str, Convert | None]] = {}

        def write(value: Any) -> Any:
            return value if type(value) is orjson.Fragment else write_members(value, members)

        self._writers[shape.name] = write
        members.update(self.written_members(shape))
        return write

    def written_members(self, shape: Shape, skip: frozenset[str] = frozenset()) -> dict[str, tuple[str, Convert | None]]:
        """The members that go into a JSON body, by name, with their JSON name."""
        return {
            name: (member.traits.get("locationName", name), self.writer(member)) for name, member in shape.members() if name not in skip
        }


def parse_members(value: dict[str, Any], members: Mapping[str, tuple[str, Convert | None]]) -> dict[str, Any]:
    """The members of a JSON object that the model has; null counts as not sent."""
    out = {}
    for key, item in value.items():
        if item is not None:
            member = members.get(key)
            if member is not None:
                parser = member[1]
                out[member[0]] = item if parser is None else parser(item)
    return out


def write_members(value: Mapping[str, Any], members: Mapping[str, tuple[str, Convert | None]]) -> dict[str, Any]:
    """The JSON object of a structure's members."""
    out = {}
    for name, item in value.items():
        if item is not None:
            member = members.get(name)
            if member is not None:
                writer = member[1]
                out[member[0]] = item if writer is None or type(item) is orjson.Fragment else writer(item)
    return out


def _write_list(writer: Convert | None) -> Convert | None:
    if writer is None:
        return None
    return lambda value: [item if item is None or type(item) is orjson.Fragment else writer(item) for item in value]


def _write_map(writer: Convert | None) -> Convert | None:
    if writer is None:
        return None
    return lambda value: {key: item if item is None or type(item) is orjson.Fragment else writer(item) for key, item in value.items()}


def _mismatch(value: Any, java: str) -> str:
    if type(value) is dict:
        return _STRUCTURE_FOUND
    if type(value) is list:
        return f"Unrecognized collection type class {java}"
    return f"{token(value)} cannot be converted to {java.rpartition('.')[2]}"


def _string(value: Any) -> str:
    if type(value) is not str:
        raise serialization(_mismatch(value, "java.lang.String"))
    return value


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        scalar = isinstance(value, str)
        raise serialization("Unexpected token received from parser" if scalar else _mismatch(value, "java.lang.Boolean"))
    return value


def _blob(value: Any) -> bytes:
    if type(value) is not str:
        scalar = not isinstance(value, dict | list)
        message = "only base-64-encoded strings are convertible to bytes" if scalar else _mismatch(value, "java.nio.ByteBuffer")
        raise serialization(message)
    return values.parse_blob(value)


def _timestamp(value: Any) -> Any:
    if isinstance(value, dict | list):
        raise serialization(_mismatch(value, "java.util.Date"))
    return values.parse_timestamp(value)


_SCALARS: dict[str, Convert] = {"boolean": _boolean, "blob": _blob, "timestamp": _timestamp}
_WRITERS: dict[str, Convert] = {"blob": values.blob, "float": values.number, "double": values.number}


def _integer(low: int, high: int, name: str, java: str) -> Convert:
    def parse(value: Any) -> int:
        if type(value) is not int:
            if type(value) is not float:
                raise serialization(_mismatch(value, java))
            # As AWS's reader does, a fraction is cut off. (A whole number above 64 bits arrives as a float, too.)
            value = int(value)
        if not low <= value <= high:
            raise serialization(f"NUMBER_VALUE cannot be converted to {name}")
        return int(value)

    return parse


def _float(java: str) -> Convert:
    def parse(value: Any) -> float:
        if type(value) is float or type(value) is int:
            return value
        if type(value) is str and value in ("NaN", "Infinity", "-Infinity"):
            return values.parse_float(value)
        raise serialization(_mismatch(value, java))

    return parse
