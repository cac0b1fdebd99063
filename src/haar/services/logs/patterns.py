"""Filter patterns: terms, space-delimited fields and JSON selectors, compiled to a test of a message. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
import re2

from haar.services.logs.errors import invalid

MAX_REGEXES = 2
"""That one pattern may have, as on AWS."""
CACHED_PATTERNS = 256
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_TERM = re.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|%((?:[^%\\]|\\.)*)%|([^\s"%]+))(?=\s|$)\s*')
_SELECTOR = re.compile(r"""\.\[\s*["']([^"']+)["']\s*\]|\[\s*["']([^"']+)["']\s*\]|\[\s*(\d+|\*)\s*\]|\.(\*|[\w\-:/@#]+)""")
_TOKEN = re.compile(
    r"""\s*(?:(?P<op>&&|\|\||!=|<=|>=|[()=<>,])|"(?P<string>(?:[^"\\]|\\.)*)"|%(?P<regex>(?:[^%\\]|\\.)*)%"""
    r"""|(?P<selector>\$(?:\.\[\s*["'][^"']+["']\s*\]|\[[^\]]*\]|\.[\w\-*:/@\#]+)+)|(?P<word>[^\s&|!=<>(),"%]+))\s*"""
)
_FIELDS = re.compile(r'\[([^\]]*)\]|"((?:[^"\\]|\\.)*)"|(\S+)')

Test = Callable[[str], bool]
Condition = Callable[[Any], bool]


class Pattern(NamedTuple):
    matches: Test
    extract: Callable[[str], dict[str, str]]
    """The values that the pattern names in a matching message (TestMetricFilter)."""


def _bad() -> Exception:
    return invalid("Invalid filter pattern")


@lru_cache(CACHED_PATTERNS)
def compile_pattern(text: str) -> Pattern:
    """Raises InvalidParameterException for what is no pattern."""
    stripped = text.strip()
    if len(re.findall(r"%(?:[^%\\]|\\.)*%", re.sub(r'"(?:[^"\\]|\\.)*"', "", stripped))) > MAX_REGEXES:
        raise invalid(f"Invalid filter pattern: at most {MAX_REGEXES} regular expressions are allowed.")
    if stripped.startswith("{"):
        return _json(stripped)
    if stripped.startswith("["):
        return _fields(stripped)
    return Pattern(_terms(stripped), lambda _: {})


def _regex(source: str) -> Test:
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(source, options)
    except re2.error:
        raise invalid("Invalid filter pattern: the regular expression is not valid.") from None
    return lambda text: compiled.search(text) is not None


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


# terms


def _terms(text: str) -> Test:
    included: list[Test] = []
    optional: list[Test] = []
    excluded: list[Test] = []
    at = 0
    while at < len(text):
        found = _TERM.match(text, at)
        if found is None:
            raise _bad()
        at = found.end()
        sign, quoted, regex, word = found.groups()
        if word is not None and not re.fullmatch(r"\w+", word):
            raise invalid(f"Invalid character(s) in term '{word}'")
        kind = {"?": optional, "-": excluded}.get(sign, included)
        kind.append(_regex(regex) if regex is not None else _contains(word if quoted is None else _unescape(quoted)))
    if included or excluded:
        optional = []  # AWS ignores optional terms beside others

    def matches(message: str) -> bool:
        if optional:
            return any(test(message) for test in optional)
        return all(test(message) for test in included) and not any(test(message) for test in excluded)

    return matches


def _contains(term: str) -> Test:
    return lambda message: term in message


# conditions, as both other kinds have them


class _Tokens:
    def __init__(self, text: str) -> None:
        self._all: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None or found.end() == at:
                raise _bad()
            self._all.append((found.lastgroup or "", found[found.lastgroup or 0]))
            at = found.end()
        self._at = 0

    def peek(self) -> tuple[str, str]:
        return self._all[self._at] if self._at < len(self._all) else ("end", "")

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self._at += 1
        return token

    def skip(self, *values: str) -> bool:
        if self.peek()[0] in ("op", "word") and self.peek()[1] in values:
            self._at += 1
            return True
        return False


def _condition(tokens: _Tokens, one: Callable[[_Tokens], Condition]) -> Condition:
    """`one` joined by && and ||, with parentheses."""

    def single() -> Condition:
        if tokens.skip("("):
            inner = either()
            if not tokens.skip(")"):
                raise _bad()
            return inner
        return one(tokens)

    def both() -> Condition:
        parts = [single()]
        while tokens.skip("&&"):
            parts.append(single())
        return parts[0] if len(parts) == 1 else lambda value: all(part(value) for part in parts)

    def either() -> Condition:
        parts = [both()]
        while tokens.skip("||"):
            parts.append(both())
        return parts[0] if len(parts) == 1 else lambda value: any(part(value) for part in parts)

    return either()


def _comparison(tokens: _Tokens, operator: str) -> Condition:
    """The test of one value against the operand that follows."""
    kind, operand = tokens.take()
    if kind == "regex" and operator in ("=", "!="):
        search = _regex(operand)
        return lambda value: search(_text(value)) == (operator == "=")
    if kind not in ("string", "word", "selector"):
        raise _bad()
    if kind == "word" and _NUMBER.fullmatch(operand):
        number = float(operand)
        return lambda value: (
            ((actual := _number(value)) is not None and _compare(operator, actual, number)) or (actual is None and operator == "!=")
        )
    if operator not in ("=", "!="):
        raise _bad()
    text = _unescape(operand) if kind == "string" else operand
    if "*" in text:
        pieces = text.split("*")
        return lambda value: _wild(pieces, _text(value)) == (operator == "=")
    return lambda value: (_text(value) == text) == (operator == "=")


def _wild(pieces: list[str], text: str) -> bool:
    """Whether the text is the pieces in order with anything between them: linear, whatever the pattern."""
    first, *middle, last = pieces
    if not (text.startswith(first) and text.endswith(last) and len(text) >= len(first) + len(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def _compare(operator: str, left: float, right: float) -> bool:
    return {
        "=": left == right, "!=": left != right, "<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right,
    }[operator]  # fmt: skip


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def _operator(tokens: _Tokens) -> str:
    kind, operator = tokens.take()
    if kind != "op" or operator not in ("=", "!=", "<", "<=", ">", ">="):
        raise _bad()
    return operator


# JSON


def _json(text: str) -> Pattern:
    if not text.endswith("}"):
        raise _bad()
    tokens = _Tokens(text[1:-1])
    selectors: dict[str, tuple[str | int, ...]] = {}

    def one(tokens: _Tokens) -> Condition:
        kind, selector = tokens.take()
        if kind != "selector":
            raise _bad()
        path = selectors[selector] = _path(selector)
        if tokens.skip("IS"):
            word = tokens.take()[1]
            if word not in ("NULL", "TRUE", "FALSE"):
                raise _bad()
            wanted = {"NULL": None, "TRUE": True, "FALSE": False}[word]
            return lambda document: any(value is wanted for value in _select(document, path))
        if tokens.skip("NOT"):
            if not tokens.skip("EXISTS"):
                raise _bad()
            return lambda document: not _select(document, path)
        if tokens.skip("EXISTS"):
            return lambda document: bool(_select(document, path))
        compare = _comparison(tokens, _operator(tokens))
        return lambda document: any(compare(value) for value in _select(document, path) if not isinstance(value, dict | list))

    test = _condition(tokens, one)
    if tokens.peek()[0] != "end":
        raise _bad()

    def extract(message: str) -> dict[str, str]:
        found = document(message)
        return {selector: _text(values[0]) for selector, path in selectors.items() if (values := _select(found, path))}

    return Pattern(lambda message: isinstance(found := document(message), dict | list) and test(found), extract)


@lru_cache(1)
def document(message: str) -> Any:
    """A message's JSON, which is not to be changed; None for what is none. The last one is kept: many patterns look at it in turn."""
    try:
        return orjson.loads(message)
    except orjson.JSONDecodeError:
        return None


def _path(selector: str) -> tuple[str | int, ...]:
    """`$.a.b[0]["c"]` as names, indexes and `*` for any (written as -1)."""
    path: list[str | int] = []
    at = 1
    while at < len(selector):
        found = _SELECTOR.match(selector, at)
        if found is None:
            raise _bad()
        quoted, bracket, index, name = found.groups()
        if index is not None:
            path.append(-1 if index == "*" else int(index))
        else:
            path.append(-1 if name == "*" else quoted or bracket or name)
        at = found.end()
    return tuple(path)


def _select(document: Any, path: tuple[str | int, ...]) -> list[Any]:
    values = [document]
    for step in path:
        following: list[Any] = []
        for value in values:
            if step == -1:
                following += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            elif isinstance(step, int):
                following += value[step : step + 1] if isinstance(value, list) else ()
            elif isinstance(value, dict) and step in value:
                following.append(value[step])
        values = following
    return values


# space-delimited fields


def _fields(text: str) -> Pattern:
    if not text.endswith("]"):
        raise _bad()
    names: list[str] = []
    tests: list[Condition | None] = []
    for part in _split(text[1:-1]):
        tokens = _Tokens(part)
        kind, name = tokens.peek()
        if kind != "word":
            raise _bad()
        names.append(name)
        if part.strip() in (name, "..."):
            tests.append(None)
            continue
        tests.append(_condition(tokens, lambda tokens, name=name: _field(tokens, name)))  # type: ignore[misc]  # it binds the name of this turn
        if tokens.peek()[0] != "end":
            raise _bad()
    if names.count("...") > 1:
        raise _bad()

    def aligned(message: str) -> dict[int, str] | None:
        values = [next(part for part in found.groups() if part is not None) for found in _FIELDS.finditer(message)]
        if "..." not in names:
            return dict(enumerate(values)) if len(values) == len(names) else None
        gap = names.index("...")
        behind = len(names) - gap - 1
        if len(values) < gap + behind:
            return None
        return dict(enumerate(values[:gap])) | {gap + 1 + index: values[len(values) - behind + index] for index in range(behind)}

    def matches(message: str) -> bool:
        values = aligned(message)
        return values is not None and all(test(values[index]) for index, test in enumerate(tests) if test)

    def extract(message: str) -> dict[str, str]:
        values = aligned(message) or {}
        return {f"${names[index]}": value for index, value in values.items()}

    return Pattern(matches, extract)


def _split(text: str) -> list[str]:
    """The parts between commas that are in neither quotes nor a regular expression."""
    parts = re.findall(r'(?:"(?:[^"\\]|\\.)*"|%(?:[^%\\]|\\.)*%|[^,"%])+', text)
    if not parts or len(parts) != len(re.sub(r'"(?:[^"\\]|\\.)*"|%(?:[^%\\]|\\.)*%', "", text).split(",")):
        raise _bad()
    return parts


def _field(tokens: _Tokens, name: str) -> Condition:
    if tokens.take() != ("word", name):
        raise _bad()
    return _comparison(tokens, _operator(tokens))
