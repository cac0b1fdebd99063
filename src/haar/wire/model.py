"""A service's model, read from botocore's data without importing botocore: the source that everything in wire is compiled from."""

import gzip
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

# What is never asked for: prose, and hints for code generators. Dropped so that a loaded model stays small.
_DROPPED = frozenset({"documentation", "deprecated", "deprecatedMessage", "deprecatedSince", "examples", "endpoint", "auth", "authtype"})


class Shape:
    """A shape as it is referred to from one place: the target's traits, overlaid with those of the reference."""

    __slots__ = ("_model", "name", "traits", "type")

    def __init__(self, model: "Model", reference: Mapping[str, Any]) -> None:
        self._model = model
        self.name: str = reference["shape"]
        self.traits: Mapping[str, Any] = {**model.shapes[self.name], **reference}
        self.type: str = self.traits["type"]

    def members(self) -> Iterator[tuple[str, "Shape"]]:
        """A structure's members in the model's order."""
        for name, reference in self.traits.get("members", {}).items():
            yield name, Shape(self._model, reference)

    @property
    def element(self) -> "Shape":
        """A list's element."""
        return Shape(self._model, self.traits["member"])

    @property
    def key(self) -> "Shape":
        """A map's key."""
        return Shape(self._model, self.traits["key"])

    @property
    def value(self) -> "Shape":
        """A map's value."""
        return Shape(self._model, self.traits["value"])

    @property
    def required(self) -> frozenset[str]:
        return frozenset(self.traits.get("required", ()))

    @property
    def document(self) -> bool:
        """Any JSON value."""
        return bool(self.traits.get("document"))


class Model:
    """One service: metadata, operations and shapes as in botocore's service-2.json, less its prose."""

    def __init__(self, service: str, raw: Mapping[str, Any]) -> None:
        self.service = service
        self.metadata: Mapping[str, Any] = raw["metadata"]
        self.operations: Mapping[str, Mapping[str, Any]] = raw["operations"]
        self.shapes: Mapping[str, Mapping[str, Any]] = raw.get("shapes", {})

    @property
    def protocol(self) -> str:
        return str(self.metadata["protocol"])

    def input(self, operation: str) -> Shape | None:
        return self._shape_of(operation, "input")

    def output(self, operation: str) -> Shape | None:
        return self._shape_of(operation, "output")

    def _shape_of(self, operation: str, side: str) -> Shape | None:
        reference = self.operations[operation].get(side)
        return None if reference is None else Shape(self, reference)

    def shape(self, name: str) -> Shape:
        return Shape(self, {"shape": name})

    @cached_property
    def errors(self) -> Mapping[str, str]:
        """Error shapes by their own name and by the code that clients see."""
        found = {name: name for name, shape in self.shapes.items() if shape.get("exception") or "error" in shape}
        for name in tuple(found):
            found.setdefault(self.shapes[name].get("error", {}).get("code", name), name)
        return found


@cache
def read(service: str) -> Model:
    """The newest model of `service` that botocore has, read once: nobody changes it. Raises LookupError when it has none."""
    spec = find_spec("botocore")
    if spec is None or not spec.submodule_search_locations:
        raise LookupError("botocore is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "data" / service
    found = sorted(folder.glob("*/service-2.json*"))
    if not found:
        raise LookupError(f"botocore has no model of {service}")
    content = found[-1].read_bytes()
    if found[-1].suffix == ".gz":
        content = gzip.decompress(content)
    return Model(service, _slim(orjson.loads(content)))


def _slim(raw: dict[str, Any]) -> dict[str, Any]:
    slim: dict[str, Any] = {name: raw[name] for name in ("metadata", "operations", "shapes") if name in raw}
    for operation in slim["operations"].values():
        _drop(operation)
        operation.pop("errors", None)
    for shape in slim.get("shapes", {}).values():
        _drop(shape)
        # A member may be called `documentation` (API Gateway has some), so members are gone through one by one.
        for reference in shape.get("members", {}).values():
            _drop(reference)
        for side in ("member", "key", "value"):
            if side in shape:
                _drop(shape[side])
    return slim


def _drop(node: dict[str, Any]) -> None:
    for name in _DROPPED & node.keys():
        del node[name]
