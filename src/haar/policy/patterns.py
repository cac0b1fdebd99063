"""Patterns of the policy language: `*`, `?` and policy variables, in plain strings and in ARNs.

A pattern is a tuple of tokens: literal text, `Wild.ANY`, `Wild.ONE` and `Variable`. Matching never backtracks across a `*`, so no
pattern that a user writes can hold the event loop.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Literal, Protocol

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
Scope = Literal["", "segments", "resource"]
"""How far wildcards reach in the first five fields of an ARN: anywhere (no ARN), within their field (condition operators), or within
their field except for a `*` at its end, which goes on beyond the colon (the Resource element)."""
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


def to_regex(tokens: Sequence[str | Wild], scope: Scope) -> str:
    """A regular expression for `fullmatch` under DOTALL.

    Nothing backtracks across a `*`: what stands between two of them takes its leftmost fit as an atomic group, which is right because
    it leaves the most for the rest. Stars that stay in their segment are grouped first, between those that do not: each such run begins
    with a colon, so that its leftmost start has the leftmost end.
    """
    source = run = chunk = ""
    crossed = limited = False
    colons = 0 if scope else ARN_COLONS
    for index, token in enumerate(tokens):
        if token is Wild.ANY:
            run += f"(?>[^:]*?{chunk})" if limited else chunk
            chunk = ""
            limited = colons < ARN_COLONS and not (scope == "resource" and _ends_segment(tokens, index))
            if not limited:
                source += f"(?>.*?{run})" if crossed else run
                run, crossed = "", True
        elif token is Wild.ONE:
            chunk += "[^:]" if colons < ARN_COLONS else "."
        elif isinstance(token, str):
            chunk += re.escape(token)
            colons += token.count(":")
    run += f"[^:]*{chunk}" if limited else chunk
    return source + (f".*{run}" if crossed else run)


def _ends_segment(tokens: Sequence[str | Wild], index: int) -> bool:
    following = tokens[index + 1] if index + 1 < len(tokens) else ":"
    return isinstance(following, str) and following.startswith(":")


@lru_cache(maxsize=RESOLVED_PATTERNS)
def _resolved(tokens: Resolved, scope: Scope, fold: bool) -> Callable[[str], object]:
    return re.compile(to_regex(tokens, scope), re.DOTALL | (re.IGNORECASE if fold else 0)).fullmatch


def _variants(tokens: tuple[Token, ...], scope: Scope) -> list[tuple[Token, ...]]:
    """The pattern, and for an ARN of fewer than six fields the one with `*` for each that is missing."""
    if not scope or not tokens or not isinstance(tokens[0], str) or not tokens[0].startswith("arn:"):
        return [tokens]
    missing = ARN_COLONS - sum(token.count(":") for token in tokens if isinstance(token, str))
    if missing <= 0:
        return [tokens]
    completed = (*tokens, *((":", Wild.ANY) * missing))
    return [tokens, completed] if scope == "resource" else [completed]


def _prefix(tokens: Resolved, scope: Scope) -> str | None:
    """The text before the only wildcard, a `*` at the end that takes everything."""
    if len(tokens) != 2 or not isinstance(tokens[0], str) or tokens[1] is not Wild.ANY:
        return None
    return tokens[0] if scope != "segments" or tokens[0].count(":") >= ARN_COLONS else None


class Patterns:
    """A set of patterns; a text matches when one of them does."""

    __slots__ = ("exact", "prefixes", "regexes", "scope", "templates")

    def __init__(self, texts: Iterable[str], *, scope: Scope = "", variables: bool = False, wildcards: bool = True) -> None:
        """Without `wildcards`, `*` and `?` are themselves."""
        exact: set[str] = set()
        prefixes: set[str] = set()
        regexes: dict[str, Callable[[str], object]] = {}
        templates: list[tuple[Token, ...]] = []
        self.scope: Scope = scope
        for text in texts:
            tokens = tokenize(text, variables)
            if not wildcards:
                tokens = tuple(token.value if isinstance(token, Wild) else token for token in tokens)
            for variant in _variants(tokens, scope):
                static = tuple(token for token in variant if not isinstance(token, Variable))
                if len(static) != len(variant):
                    templates.append(variant)
                elif all(token is Wild.ANY for token in static):
                    # Nothing at all matches the empty text only, `*` every one.
                    (prefixes if static else exact).add("")
                elif Wild.ANY not in static and Wild.ONE not in static:
                    exact.add(literal(static))
                elif (prefix := _prefix(static, scope)) is not None:
                    prefixes.add(prefix)
                else:
                    source = to_regex(static, scope)
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
            found = (tokens is not None and _resolved(tokens, self.scope, fold)(text) is not None) or found
        return found
