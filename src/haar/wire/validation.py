"""Required members and constraints, checked by closures and reported in AWS's words."""

import re
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from haar.wire.errors import CommonError
from haar.wire.model import Model, Shape
from haar.wire.pattern import backtracks, compile_pattern

Problems = list[str]
Check = Callable[[Any, str, Problems], None]
Rule = tuple[Callable[[Any], bool], str]
"""Whether a value keeps it, and how it is said."""

_NAMED_PROBLEMS = 10
"""AWS names at most so many in one answer."""
_PATTERN_LENGTH = 10_000
"""Texts without a bound of their own that are longer are refused unmatched by patterns that may backtrack."""
_SIZED = frozenset({"string", "blob", "list", "map"})
_NUMBERS = frozenset({"integer", "long", "float", "double"})
_CONSTRAINTS = ("required", "min", "max", "pattern", "enum", "union")


class Validator:
    """The checks of one model's operations, each compiled when it is first asked for."""

    def __init__(self, model: Model, opaque: frozenset[str], *, everything: bool = False) -> None:
        """`everything`: what is said of a list's or map's members names all that is asked of them, that they are not null, too."""
        self._model = model
        self._opaque = opaque
        self._everything = everything
        self._structures: dict[str, Check] = {}
        self._operations: dict[str, Check | None] = {}

    def check(self, operation: str, input: Mapping[str, Any]) -> None:
        """Raises CommonError("Validation") that names what is wrong with `input`."""
        if operation not in self._operations:
            shape = self._model.input(operation)
            self._operations[operation] = None if shape is None else self._compile(shape)
        check = self._operations[operation]
        if check is None:
            return
        problems: Problems = []
        try:
            check(input, "", problems)
        except RecursionError as error:
            raise CommonError("Serialization", "The request is nested too deeply.") from error
        if problems:
            named = problems[:_NAMED_PROBLEMS]
            count = f"{len(named)} validation error{'s' if len(named) > 1 else ''} detected"
            raise CommonError("Validation", f"{count}: {'; '.join(named)}")

    def _compile(self, shape: Shape) -> Check | None:
        """None where nothing below the shape can be wrong."""
        if not self._constrained(shape, set()):
            return None
        if shape.type == "structure":
            return self._structure(shape)
        if shape.type == "list":
            return self._list(shape)
        if shape.type == "map":
            return self._map(shape)
        return _scalar(shape)

    def _constrained(self, shape: Shape, seen: set[str]) -> bool:
        if shape.name in self._opaque or shape.document or shape.name in seen:
            return False
        seen.add(shape.name)
        if any(shape.traits.get(name) for name in _CONSTRAINTS) or (shape.traits.get("min") == 0 and shape.type in _NUMBERS):
            return True
        if shape.type == "structure":
            return any(self._constrained(member, seen) for _, member in shape.members())
        if shape.type == "list":
            return self._constrained(shape.element, seen)
        return shape.type == "map" and (self._constrained(shape.key, seen) or self._constrained(shape.value, seen))

    def _structure(self, shape: Shape) -> Check:
        found = self._structures.get(shape.name)
        if found is not None:
            return found
        members: list[tuple[str, str, bool, Check | None]] = []
        union = bool(shape.traits.get("union"))
        names = [name for name, _ in shape.members()]

        def check(value: Any, path: str, problems: Problems) -> None:
            prefix = f"{path}." if path else ""
            for name, camel, required, inner in members:
                item = value.get(name)
                if item is None:
                    if required:
                        problems.append(f"Value null at '{prefix}{camel}' failed to satisfy constraint: Member must not be null")
                elif inner is not None:
                    inner(item, prefix + camel, problems)
            if union and sum(value.get(name) is not None for name in names) != 1:
                problems.append(_problem(value, shape, path, "Member must have exactly one of its union members set"))

        self._structures[shape.name] = check
        required = shape.required
        for name, member in shape.members():
            inner = self._compile(member)
            if inner is not None or name in required:
                members.append((name, camel_case(name), name in required, inner))
        return check

    def _list(self, shape: Shape) -> Check:
        own = _rules(shape)
        element = shape.element
        scalar = element.type not in ("structure", "list", "map")
        each = _rules(element) if scalar and element.name not in self._opaque else []
        inner = None if scalar else self._compile(element)
        told = self._together("Member", element, each)

        def check(value: Any, path: str, problems: Problems) -> None:
            for holds, words in own:
                if not holds(value):
                    problems.append(_problem(value, shape, path, words))
            if each and not all(holds(item) for item in value if item is not None for holds, _ in each):
                problems.append(_problem(value, shape, path, told))
            if inner is not None:
                for position, item in enumerate(value, 1):
                    if item is not None:
                        inner(item, f"{path}.{position}.member", problems)

        return check

    def _map(self, shape: Shape) -> Check:
        own = _rules(shape)
        keys, values = _rules(shape.key), [] if shape.value.name in self._opaque else _rules(shape.value)
        inner = self._members_only(shape.value)
        key_words, value_words = self._together("Map keys", shape.key, keys), self._together("Map value", shape.value, values)

        def check(value: Any, path: str, problems: Problems) -> None:
            for holds, words in own:
                if not holds(value):
                    problems.append(_problem(value, shape, path, words))
            if keys and not all(holds(key) for key in value for holds, _ in keys):
                problems.append(_problem(value, shape, path, key_words))
            if values and not all(holds(item) for item in value.values() if item is not None for holds, _ in values):
                problems.append(_problem(value, shape, path, value_words))
            if inner is not None:
                for key, item in value.items():
                    if item is not None:
                        inner(item, f"{path}.{key}.member", problems)

        return check

    def _together(self, subject: str, shape: Shape, rules: list[Rule]) -> str:
        """What is said when one of the rules is broken: all of them."""
        words = [words for _, words in rules]
        if self._everything:
            if shape.type in _SIZED and shape.traits.get("min") == 0:
                words.insert("max" in shape.traits, "Member must have length greater than or equal to 0")
            words.append("Member must not be null")
        return f"{subject} must satisfy constraint: [{', '.join(words)}]"

    def _members_only(self, shape: Shape) -> Check | None:
        """What is to be checked below a map's values; their own size is said of the map."""
        if shape.type == "list":
            element = self._compile(shape.element) if shape.element.type in ("structure", "list", "map") else None
            if element is None:
                return None

            def check(value: Any, path: str, problems: Problems) -> None:
                for position, item in enumerate(value, 1):
                    if item is not None:
                        element(item, f"{path}.{position}.member", problems)

            return check
        return self._compile(shape) if shape.type in ("structure", "map") else None


def _scalar(shape: Shape) -> Check:
    rules = _rules(shape)

    def check(value: Any, path: str, problems: Problems) -> None:
        for holds, words in rules:
            if not holds(value):
                problems.append(_problem(value, shape, path, words))

    return check


def _problem(value: Any, shape: Shape, path: str, words: str) -> str:
    # What is a secret is not repeated.
    shown = "" if shape.traits.get("sensitive") else f" '{render(value, shape)}'"
    return f"Value{shown} at '{path}' failed to satisfy constraint: {words}"


def _rules(shape: Shape) -> list[Rule]:
    traits = shape.traits
    rules: list[Rule] = []
    if shape.type in _SIZED:
        rules += _sizes(traits.get("min"), traits.get("max"))
    elif shape.type in _NUMBERS:
        rules += _bounds(traits.get("min"), traits.get("max"))
    if shape.type == "string" and "pattern" in traits:
        rules.append(_pattern(traits["pattern"], traits.get("max")))
    if traits.get("enum"):
        allowed = frozenset(traits["enum"])
        rules.append((allowed.__contains__, f"Member must satisfy enum value set: [{', '.join(traits['enum'])}]"))
    return rules


def _pattern(source: str, high: int | None) -> Rule:
    words = f"Member must satisfy regular expression pattern: {source}"
    # Compiled when first needed: some take milliseconds, and most are never met.
    compiled: list[re.Pattern[str]] = []
    longest = sys.maxsize
    if backtracks(source):
        # Some take minutes on a text that is longer than may be; such a text is told of its length alone.
        longest = _PATTERN_LENGTH if high is None else high

    def holds(value: Any) -> bool:
        if not compiled:
            compiled.append(compile_pattern(source))
        if len(value) > longest:
            return high is not None
        return compiled[0].fullmatch(value) is not None

    return holds, words


def _sizes(low: Any, high: Any) -> list[Rule]:
    rules: list[Rule] = []
    if high is not None:
        rules.append((lambda value: len(value) <= high, f"Member must have length less than or equal to {high}"))
    if low:
        rules.append((lambda value: len(value) >= low, f"Member must have length greater than or equal to {low}"))
    return rules


def _bounds(low: Any, high: Any) -> list[Rule]:
    rules: list[Rule] = []
    if high is not None:
        rules.append((lambda value: value <= high, f"Member must have value less than or equal to {high}"))
    if low is not None:
        rules.append((lambda value: value >= low, f"Member must have value greater than or equal to {low}"))
    return rules


def camel_case(name: str) -> str:
    """A member's name as AWS writes it in messages: `TableName` is `tableName`."""
    return name[:1].lower() + name[1:]


def render(value: Any, shape: Shape) -> str:
    """A value as AWS prints it in messages: `[a, b]`, `{k=v}`, `KeySchemaElement(attributeName=a, keyType=HASH)`."""
    if value is None:
        return "null"
    if shape.traits.get("sensitive"):
        return "***"
    if shape.type == "structure" and isinstance(value, Mapping):
        inner = ", ".join(f"{camel_case(name)}={render(value.get(name), member)}" for name, member in shape.members())
        return f"{shape.name}({inner})"
    if shape.type == "list" and isinstance(value, list):
        element = shape.element
        return f"[{', '.join(render(item, element) for item in value)}]"
    if shape.type == "map" and isinstance(value, Mapping):
        inner_shape = shape.value
        return f"{{{', '.join(f'{key}={render(item, inner_shape)}' for key, item in value.items())}}}"
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    if shape.type in ("double", "float") and isinstance(value, int):
        return str(float(value))
    return value.isoformat() if isinstance(value, datetime) else str(value)
