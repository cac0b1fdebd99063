"""Patterns of the policy language: `*`, `?` and policy variables, in plain strings and in ARNs.

A pattern is a tuple of tokens: literal text, `Wild.ANY`, `Wild.ONE` and `Variable`. Matching never backtracks across a `*`, so no
pattern that a user writes can hold the event loop.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Protocol

ARN_COLONS = 5
RESOLVED_PATTERNS = 1024
"""Patterns with their variables filled in that are kept compiled."""


class Wild(Enum):
    ANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Variable:
    """`${key}` or `${key, 'default'}`."""

    key: str
    default: str | None = None


Token = str | Wild | Variable
Resolved = tuple[str | Wild, ...]


class Values(Protocol):
    """Where variables find their values."""

    def single(self, key: str) -> str | None:
        """The value of a condition key that has exactly one, else None."""
        ...


def tokenize(text: str, variables: bool) -> tuple[Token, ...]:
    """The tokens of a pattern; `variables` is whether `${…}` means anything (Version 2012-10-17)."""
    tokens: list[Token] = []
    literal = ""
    at = 0
    while at < len(text):
        char = text[at]
        end = text.find("}", at) if variables and text.startswith("${", at) else -1
        token: Token = char
        if end > 0:
            token = _variable(text[at + 2 : end])
            at = end
        elif char == "*":
            token = Wild.ANY
        elif char == "?":
            token = Wild.ONE
        if isinstance(token, str):
            literal += token
        else:
            if literal:
                tokens.append(literal)
            literal = ""
            tokens.append(token)
        at += 1
    if literal:
        tokens.append(literal)
    return tuple(tokens)


def _variable(inner: str) -> Token:
    if inner in ("*", "?", "$"):
        return inner
    key, comma, default = inner.partition(",")
    default = default.strip()
    if comma and len(default) >= 2 and default[0] == default[-1] == "'":
        return Variable(key.strip(), default[1:-1])
    return Variable(inner.strip())


def resolve(tokens: Iterable[Token], values: Values) -> Resolved | None:
    """The tokens with variables replaced by their values, taken literally; None when one has no value and no default."""
    resolved: list[str | Wild] = []
    for token in tokens:
        if isinstance(token, Variable):
            value = values.single(token.key)
            if value is None:
                value = token.default
            if value is None:
                return None
            resolved.append(value)
        else:
            resolved.append(token)
    return tuple(resolved)


def literal(tokens: Sequence[Token]) -> str:
    """The tokens as text again, wildcards as themselves (operators that know no wildcards)."""
    return "".join(token.value if isinstance(token, Wild) else str(token) for token in tokens)


def to_regex(tokens: Iterable[str | Wild], arn: bool) -> str:
    """A regular expression for `fullmatch` under DOTALL. In an ARN a wildcard of the first five segments stays within its segment.

    Every run between two stars is an atomic group that takes the leftmost fit: linear in the text, and right, because the leftmost
    fit leaves the most for the rest.
    """
    source, chunk, star = "", "", ""
    colons = 0 if arn else ARN_COLONS
    for token in tokens:
        wild = "[^:]" if colons < ARN_COLONS else "."
        if token is Wild.ANY:
            source += f"(?>{star}*?{chunk})" if star else chunk
            star, chunk = wild, ""
        elif token is Wild.ONE:
            chunk += wild
        elif isinstance(token, str):
            chunk += re.escape(token)
            colons += token.count(":")
    return source + (f"{star}*{chunk}" if star else chunk)


@lru_cache(maxsize=RESOLVED_PATTERNS)
def _resolved(tokens: Resolved, arn: bool, fold: bool) -> Callable[[str], object]:
    return re.compile(to_regex(tokens, arn), re.DOTALL | (re.IGNORECASE if fold else 0)).fullmatch


def complete_arn(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """An ARN of fewer than six fields gets `*` for each that is missing."""
    if not tokens or not isinstance(tokens[0], str) or not tokens[0].startswith("arn:"):
        return tokens
    colons = sum(token.count(":") for token in tokens if isinstance(token, str))
    for _ in range(ARN_COLONS - colons):
        tokens = (*tokens, ":", Wild.ANY)
    return tokens


class Patterns:
    """A set of patterns; a text matches when one of them does."""

    __slots__ = ("arn", "exact", "prefixes", "regexes", "templates")

    def __init__(self, texts: Iterable[str], *, arn: bool = False, variables: bool = False, wildcards: bool = True) -> None:
        """`arn` keeps wildcards within ARN segments; without `wildcards`, `*` and `?` are themselves."""
        exact: set[str] = set()
        prefixes: set[str] = set()
        regexes: dict[str, Callable[[str], object]] = {}
        templates: list[tuple[Token, ...]] = []
        self.arn = arn
        for text in texts:
            tokens = tokenize(text, variables)
            if not wildcards:
                tokens = tuple(token.value if isinstance(token, Wild) else token for token in tokens)
            if arn:
                tokens = complete_arn(tokens)
            static = tuple(token for token in tokens if not isinstance(token, Variable))
            if len(static) != len(tokens):
                templates.append(tokens)
            elif all(token is Wild.ANY for token in static):
                # Nothing at all matches the empty text only, `*` every one.
                (prefixes if static else exact).add("")
            elif Wild.ANY not in static and Wild.ONE not in static:
                exact.add(literal(static))
            elif (
                len(static) == 2
                and isinstance(static[0], str)
                and static[1] is Wild.ANY
                and (not arn or static[0].count(":") >= ARN_COLONS)
            ):
                prefixes.add(static[0])
            else:
                source = to_regex(static, arn)
                regexes[source] = re.compile(source, re.DOTALL).fullmatch
        # Hot paths read these three without a call: a text matches when it is in `exact`, starts with one of `prefixes`, or fits a regex.
        self.exact = frozenset(exact)
        self.prefixes = tuple(sorted(prefixes))
        self.regexes = tuple(regexes.values())
        self.templates = tuple(templates)
        """The patterns that hold a variable."""

    def matches(self, text: str) -> bool:
        """Whether a pattern without variables matches."""
        return text in self.exact or text.startswith(self.prefixes) or (bool(self.regexes) and self.fits(text))

    def fits(self, text: str) -> bool:
        """Whether one of the regular expressions fits."""
        for regex in self.regexes:  # noqa: SIM110 - a generator would cost as much as the matching
            if regex(text) is not None:
                return True
        return False

    def matches_variable(self, text: str, values: Values, fold: bool = False) -> bool:
        """Whether a pattern with variables matches, once they have their values."""
        found = False
        for template in self.templates:
            tokens = resolve(template, values)
            # All of them are resolved even after a hit, so that every key without a value is reported.
            found = (tokens is not None and _resolved(tokens, self.arn, fold)(text) is not None) or found
        return found
