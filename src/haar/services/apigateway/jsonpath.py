"""JSONPath, the part of Jayway's that mapping templates and parameter mappings use. Pure.

`$.a.b`, `$['a']`, `$[0]`, `$[-1]`, `$[0,2]`, `$[1:3]`, `$.*`, `$..a`, `$[?(@.price < 10 && @.name == 'x')]`, `.length()` and the like.
A path that can name one value only answers that value (None when it is not there); any other answers a list.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

MAX_PATH = 1000
MAX_RESULTS = 100_000
MAX_FILTER_DEPTH = 20
FUNCTIONS = frozenset(("length", "size", "keys", "first", "last", "avg", "min", "max", "sum"))

_NAME = re.compile(r"[^.\[\]()\s]+")
_FILTER_NAME = re.compile(r"[^.\[\]()\s<>=!&|~]+")
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_SLICE = re.compile(r"\s*(-?\d*)\s*:\s*(-?\d*)\s*(?::\s*(-?\d*)\s*)?")
_INDEXES = re.compile(r"\s*-?\d+\s*(,\s*-?\d+\s*)*")

Step = Callable[[Any], Iterator[Any]]


class PathError(ValueError):
    """A path that cannot be read."""


class Path:
    """A compiled path."""

    def __init__(self, steps: list[Step], definite: bool, function: str | None) -> None:
        self._steps = steps
        self._definite = definite
        self._function = function

    def find(self, document: Any, missing: Any = None) -> Any:
        found = [document]
        for step in self._steps:
            next_found: list[Any] = []
            for one in found:
                next_found.extend(step(one))
                if len(next_found) > MAX_RESULTS:
                    raise PathError("the path finds too much")
            found = next_found
        result: Any = (found[0] if found else missing) if self._definite else found
        return result if self._function is None else _call(self._function, result)


@lru_cache(maxsize=2000)
def compile_path(path: str) -> Path:
    """Raises PathError."""
    path = path.strip()
    if len(path) > MAX_PATH:
        raise PathError("the path is too long")
    if not path.startswith(("$", "@")):
        path = "$." + path
    steps, definite, function, at = _steps(path, 1, 0)
    if at != len(path):
        raise PathError(f"unexpected {path[at:]!r} in the path {path!r}")
    return Path(steps, definite, function)


def find(path: str, document: Any, missing: Any = None) -> Any:
    """What the path names in the document, `missing` when it names one value that is not there. Raises PathError."""
    return compile_path(path).find(document, missing)


def _steps(path: str, at: int, depth: int, in_filter: bool = False) -> tuple[list[Step], bool, str | None, int]:
    steps: list[Step] = []
    definite = True
    names = _FILTER_NAME if in_filter else _NAME
    while at < len(path):
        if path.startswith("..", at):
            steps.append(_descend)
            definite = False
            at += 2
            if path.startswith("[", at):
                continue
            at, step, _, function = _member(path, at, names)
        elif path[at] == ".":
            at, step, one, function = _member(path, at + 1, names)
            definite = definite and one
        elif path[at] == "[":
            at, step, one = _bracket(path, at + 1, depth)
            definite = definite and one
            function = None
        elif in_filter:
            break
        else:
            raise PathError(f"unexpected {path[at:]!r} in the path {path!r}")
        if function is not None:
            return steps, definite, function, at
        steps.append(step)
    return steps, definite, None, at


def _member(path: str, at: int, names: "re.Pattern[str]") -> tuple[int, Step, bool, str | None]:
    if path.startswith("*", at):
        return at + 1, _wildcard, False, None
    name = names.match(path, at)
    if name is None:
        raise PathError(f"a name is missing in the path {path!r}")
    if path.startswith("()", name.end()):
        if name[0] not in FUNCTIONS:
            raise PathError(f"there is no function {name[0]}()")
        return name.end() + 2, _wildcard, True, name[0]
    return name.end(), _child(name[0]), True, None


def _bracket(path: str, at: int, depth: int) -> tuple[int, Step, bool]:
    while path.startswith(" ", at):
        at += 1
    if path.startswith("?", at):
        return _filter_step(path, at + 1, depth)
    if path.startswith("*", at):
        return _closed(path, at + 1), _wildcard, False
    names: list[str] = []
    while quoted := _QUOTED.match(path, at):
        names.append(re.sub(r"\\(.)", r"\1", quoted[1] if quoted[1] is not None else quoted[2]))
        at = quoted.end()
        while at < len(path) and path[at] in ", ":
            at += 1
    if names:
        return _closed(path, at), _child(names[0]) if len(names) == 1 else _children(tuple(names)), True
    if (indexes := _INDEXES.match(path, at)) and path.startswith("]", indexes.end()):
        numbers = tuple(int(one) for one in indexes[0].split(","))
        return indexes.end() + 1, _at(numbers), len(numbers) == 1
    if part := _SLICE.match(path, at):
        bounds = slice(*(int(one) if one else None for one in part.groups()))
        return _closed(path, part.end()), _sliced(bounds), False
    raise PathError(f"unexpected {path[at:]!r} in the path {path!r}")


def _closed(path: str, at: int) -> int:
    while path.startswith(" ", at):
        at += 1
    if not path.startswith("]", at):
        raise PathError(f"a bracket does not end in the path {path!r}")
    return at + 1


def _child(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _children(names: tuple[str, ...]) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            yield {name: value[name] for name in names if name in value}

    return step


def _wildcard(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _descend(value: Any) -> Iterator[Any]:
    """The value and everything in it, from the top."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict | list):
            yield one
            waiting.extend(reversed(list(_wildcard(one))))


def _at(numbers: tuple[int, ...]) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            for number in numbers:
                if -len(value) <= number < len(value):
                    yield value[number]

    return step


def _sliced(bounds: slice) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from value[bounds]

    return step


def _call(function: str, value: Any) -> Any:
    if function in ("length", "size"):
        return len(value) if isinstance(value, list | dict | str) else None
    if function == "keys":
        return list(value) if isinstance(value, dict) else None
    numbers = [one for one in value if isinstance(one, int | float)] if isinstance(value, list) else []
    if function == "first":
        return value[0] if isinstance(value, list) and value else None
    if function == "last":
        return value[-1] if isinstance(value, list) and value else None
    if not numbers:
        return None
    if function == "avg":
        return sum(numbers) / len(numbers)
    known: dict[str, Callable[[list[Any]], Any]] = {"min": min, "max": max, "sum": sum}
    return float(known[function](numbers))


Test = Callable[[Any], Any]

_ABSENT = object()
"""What a path in a filter does not find: equal to nothing, not even to null."""
_OPERATORS = ("==", "!=", "<=", ">=", "=~", "<", ">")
_LITERAL = re.compile(r"-?\d+(?:\.\d+)?|true|false|null")
_REGEX = re.compile(r"/((?:[^/\\]|\\.)*)/(i?)")


def _filter_step(path: str, at: int, depth: int) -> tuple[int, Step, bool]:
    reader = _Filter(path, at, depth + 1)
    reader.take("(")
    test = reader.either()
    reader.take(")")

    def step(value: Any) -> Iterator[Any]:
        for one in value if isinstance(value, list) else [value] if isinstance(value, dict) else ():
            if test(one):
                yield one

    return _closed(path, reader.at), step, False


class _Filter:
    """Reads what stands within `[?( )]`."""

    def __init__(self, path: str, at: int, depth: int) -> None:
        self.path = path
        self.at = at
        self.depth = depth
        if depth > MAX_FILTER_DEPTH:
            raise PathError("the path is nested too deeply")

    def spaces(self) -> None:
        while self.path.startswith(" ", self.at):
            self.at += 1

    def taken(self, what: str) -> bool:
        self.spaces()
        if self.path.startswith(what, self.at):
            self.at += len(what)
            return True
        return False

    def take(self, what: str) -> None:
        if not self.taken(what):
            raise PathError(f"{what!r} is missing in the path {self.path!r}")

    def either(self) -> Test:
        tests = [self.both()]
        while self.taken("||"):
            tests.append(self.both())
        return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)

    def both(self) -> Test:
        tests = [self.one()]
        while self.taken("&&"):
            tests.append(self.one())
        return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)

    def one(self) -> Test:
        if self.taken("!"):
            test = self.one()
            return lambda value: not test(value)
        if self.taken("("):
            self.depth += 1
            if self.depth > MAX_FILTER_DEPTH:
                raise PathError("the path is nested too deeply")
            test = self.either()
            self.take(")")
            return test
        left, exists = self.operand()
        self.spaces()
        operator = next((one for one in _OPERATORS if self.path.startswith(one, self.at)), None)
        if operator is None:
            return exists
        self.at += len(operator)
        if operator == "=~":
            return _matching(left, self.regex())
        right, _ = self.operand()
        return _comparing(operator, left, right)

    def regex(self) -> "re.Pattern[str]":
        self.spaces()
        found = _REGEX.match(self.path, self.at)
        if found is None:
            raise PathError("a regular expression is missing")
        self.at = found.end()
        try:
            return re.compile(found[1], re.IGNORECASE if found[2] else 0)
        except re.error as error:
            raise PathError(str(error)) from None

    def operand(self) -> tuple[Test, Test]:
        """How to get the value, and whether there is one."""
        self.spaces()
        if self.path.startswith(("@", "$"), self.at):
            steps, definite, function, self.at = _steps(self.path, self.at + 1, self.depth, in_filter=True)
            inner = Path(steps, definite, function)
            missing = Path(steps, False, None)
            return lambda value: inner.find(value, _ABSENT), lambda value: bool(missing.find(value))
        if quoted := _QUOTED.match(self.path, self.at):
            self.at = quoted.end()
            text = quoted[1] if quoted[1] is not None else quoted[2]
            return lambda value: text, lambda value: True
        literal = _LITERAL.match(self.path, self.at)
        if literal is None:
            raise PathError(f"unexpected {self.path[self.at :]!r} in the path {self.path!r}")
        self.at = literal.end()
        constant: Any = {"true": True, "false": False, "null": None}.get(literal[0], literal[0])
        if isinstance(constant, str):
            constant = float(constant) if "." in constant else int(constant)
        return lambda value: constant, lambda value: True


def _matching(left: Test, pattern: "re.Pattern[str]") -> Test:
    def test(value: Any) -> bool:
        found = left(value)
        return isinstance(found, str) and pattern.fullmatch(found) is not None

    return test


def _comparing(operator: str, left: Test, right: Test) -> Test:
    def test(value: Any) -> bool:
        one, other = left(value), right(value)
        if operator in ("==", "!="):
            return (one == other and one is not _ABSENT and isinstance(one, bool) == isinstance(other, bool)) == (operator == "==")
        present = all(value is not None and value is not _ABSENT for value in (one, other))
        if not present or isinstance(one, str) != isinstance(other, str) or isinstance(one, list | dict) or isinstance(other, list | dict):
            return False
        if operator == "<":
            return bool(one < other)
        if operator == ">":
            return bool(one > other)
        return bool(one <= other) if operator == "<=" else bool(one >= other)

    return test
