"""Expressions within directives and references."""

import re
from typing import TYPE_CHECKING

from haar.services.apigateway.vtl.nodes import (
    Binary,
    Constant,
    Expression,
    Interpolated,
    ListOf,
    MapOf,
    Negative,
    Not,
    Range,
)

if TYPE_CHECKING:
    from haar.services.apigateway.vtl.parser import Parser

_SPACES = re.compile(r"\s*")
_NUMBER = re.compile(r"\d+\.\d+(?:[eE][+-]?\d+)?|\d+")
_WORD = re.compile(r"[A-Za-z]+")
_CONSTANTS = {"true": True, "false": False, "null": None}
_LEVELS: tuple[tuple[tuple[str, str], ...], ...] = (
    (("||", "||"), ("or", "||")),
    (("&&", "&&"), ("and", "&&")),
    (("==", "=="), ("!=", "!="), ("eq", "=="), ("ne", "!=")),
    (("<=", "<="), (">=", ">="), ("<", "<"), (">", ">"), ("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">=")),
    (("+", "+"), ("-", "-")),
    (("*", "*"), ("/", "/"), ("%", "%")),
)
"""Operators by how loosely they bind, and what they mean."""


class Expressions:
    """Reads expressions where its parser stands, and moves it on."""

    def __init__(self, parser: "Parser") -> None:
        self._parser = parser

    def spaces(self) -> None:
        parser = self._parser
        found = _SPACES.match(parser.source, parser.at)
        assert found is not None
        parser.at = found.end()

    def expect(self, what: str) -> None:
        self.spaces()
        if not self._parser.source.startswith(what, self._parser.at):
            self._parser.fail(f"{what!r} is missing")
        self._parser.at += len(what)

    def _taken(self, what: str) -> bool:
        self.spaces()
        if self._parser.source.startswith(what, self._parser.at):
            self._parser.at += len(what)
            return True
        return False

    def whole(self) -> Expression:
        self._parser.enter()
        expression = self._level(0)
        self._parser.depth -= 1
        return expression

    def _level(self, level: int) -> Expression:
        if level == len(_LEVELS):
            return self._unary()
        left = self._level(level + 1)
        while (operator := self._operator(level)) is not None:
            left = Binary(operator, left, self._level(level + 1))
        return left

    def _operator(self, level: int) -> str | None:
        self.spaces()
        parser = self._parser
        for written, meant in _LEVELS[level]:
            if not parser.source.startswith(written, parser.at):
                continue
            if written.isalpha():
                word = _WORD.match(parser.source, parser.at)
                if word is None or word[0] != written:
                    continue
            parser.at += len(written)
            return meant
        return None

    def _unary(self) -> Expression:
        self.spaces()
        parser = self._parser
        if parser.source.startswith("!", parser.at) and not parser.source.startswith("!=", parser.at):
            parser.at += 1
            return Not(self._nested())
        word = _WORD.match(parser.source, parser.at)
        if word is not None and word[0] == "not":
            parser.at = word.end()
            return Not(self._nested())
        return self.operand()

    def _nested(self) -> Expression:
        self._parser.enter()
        expression = self._unary()
        self._parser.depth -= 1
        return expression

    def operand(self) -> Expression:
        self.spaces()
        parser = self._parser
        source, at = parser.source, parser.at
        begins = source[at : at + 1]
        if begins == "$":
            return parser.reference() or parser.fail("a reference is missing")
        if begins == "(":
            parser.at += 1
            expression = self.whole()
            self.expect(")")
            return expression
        if begins in ("'", '"'):
            return self._text(begins)
        if begins == "[":
            return self._list()
        if begins == "{":
            return self._map()
        if begins == "-":
            parser.at += 1
            return Negative(self.operand())
        if number := _NUMBER.match(source, at):
            parser.at = number.end()
            return Constant(float(number[0]) if "." in number[0] else int(number[0]))
        if (word := _WORD.match(source, at)) and word[0] in _CONSTANTS:
            parser.at = word.end()
            return Constant(_CONSTANTS[word[0]])
        return parser.fail(f"unexpected {source[at : at + 10]!r}")

    def _text(self, quote: str) -> Expression:
        from haar.services.apigateway.vtl.parser import parse

        parser = self._parser
        source = parser.source
        at = parser.at + 1
        while True:
            end = source.find(quote, at)
            if end < 0:
                parser.fail("a text does not end")
            if not source.startswith(quote, end + 1):
                break
            at = end + 2
        content = source[parser.at + 1 : end].replace(quote * 2, quote)
        parser.at = end + 1
        if quote == "'" or ("$" not in content and "#" not in content):
            return Constant(content)
        return Interpolated(parse(content, parser.depth + 1))

    def _list(self) -> Expression:
        self._parser.at += 1
        if self._taken("]"):
            return ListOf(())
        first = self.whole()
        if self._taken(".."):
            last = self.whole()
            self.expect("]")
            return Range(first, last)
        members = [first]
        while self._taken(","):
            members.append(self.whole())
        self.expect("]")
        return ListOf(members)

    def _map(self) -> Expression:
        self._parser.at += 1
        members: list[tuple[Expression, Expression]] = []
        if self._taken("}"):
            return MapOf(members)
        while True:
            key = self.whole()
            self.expect(":")
            members.append((key, self.whole()))
            if not self._taken(","):
                break
        self.expect("}")
        return MapOf(members)

    def arguments(self, separated: bool = True) -> list[Expression]:
        """`(a, b)`; a macro's may stand side by side without commas."""
        self.expect("(")
        found: list[Expression] = []
        while not self._taken(")"):
            if found and not self._taken(",") and separated:
                self._parser.fail("a comma is missing")
            found.append(self.whole() if separated else self.operand())
        return found
