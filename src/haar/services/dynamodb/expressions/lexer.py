"""The words of an expression."""

import re
from typing import NamedTuple

from haar.services.dynamodb import errors
from haar.wire.errors import ServiceError

_WORD = re.compile(
    r"[ \t\r\n]+|(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<ref>#[A-Za-z0-9_]+)|(?P<value>:[A-Za-z0-9_]+)|(?P<number>0|[1-9][0-9]*)"
    r"|(?P<sign><>|<=|>=|[=<>+\-()\[\],.])|(?P<wrong>.)",
    re.ASCII | re.DOTALL,
)


class Token(NamedTuple):
    kind: str
    """name, ref (#x), value (:x), number, sign, or end."""
    text: str
    start: int
    end: int


class Lexer:
    """The tokens of one expression, and where its reader is."""

    def __init__(self, parameter: str, source: str) -> None:
        self.parameter = parameter
        self.source = source
        self.at = 0
        self.tokens: list[Token] = []
        wrong = None
        for match in _WORD.finditer(source):
            if match.lastgroup is None:
                continue
            self.tokens.append(Token(match.lastgroup, match[0], match.start(), match.end()))
            if match.lastgroup == "wrong" and wrong is None:
                wrong = len(self.tokens) - 1
        self.tokens.append(Token("end", "<EOF>", len(source), len(source)))
        if wrong is not None:
            self.at = wrong
            raise self.unexpected()

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def next(self) -> Token:
        token = self.tokens[self.at]
        if token.kind != "end":
            self.at += 1
        return token

    def sign(self, text: str) -> bool:
        """Whether the next token is this sign; then it is taken."""
        token = self.tokens[self.at]
        if token.kind == "sign" and token.text == text:
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.sign(text):
            raise self.unexpected()

    def is_word(self, word: str) -> bool:
        """Whether the next token is this keyword, in any case."""
        token = self.tokens[self.at]
        return token.kind == "name" and token.text.upper() == word

    def word(self, word: str) -> bool:
        if self.is_word(word):
            self.at += 1
            return True
        return False

    def unexpected(self) -> ServiceError:
        """A syntax error at the next token."""
        at = min(self.at, len(self.tokens) - 1)
        token = self.tokens[at]
        first = self.tokens[at - 1].start if at else 0
        last = self.tokens[at + 1] if at + 1 < len(self.tokens) else token
        near = self.source[first : last.end]
        return self.wrong(f'Syntax error; token: "{token.text}", near: "{near}"')

    def wrong(self, message: str) -> ServiceError:
        return errors.validation(f"Invalid {self.parameter}: {message}")
