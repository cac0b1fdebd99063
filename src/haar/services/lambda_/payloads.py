"""The check that a payload is JSON, and what is said of one that is not, in the words of the parser that AWS uses (Jackson). Pure."""

import re

import orjson

from haar.wire.errors import ServiceError

SHOWN_BYTES = 500
VALUE = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_SPACE = re.compile(rb"[ \t\r\n]*")
_WORD = re.compile(rb"[A-Za-z_$][A-Za-z0-9_$]*")
_NUMBER = re.compile(rb"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")

_SEQUENCES = ((2, 0xE0, 0xC0), (3, 0xF0, 0xE0), (4, 0xF8, 0xF0))
"""How long a character in UTF-8 is, by the first bits of its first byte."""


class _Bad(Exception):
    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.message = message
        self.at = at


def check_payload(payload: bytes) -> None:
    """Raises InvalidRequestContentException for what is not JSON; nothing at all counts as an empty object."""
    if not payload:
        return
    try:
        orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        message = f"Could not parse request body into json: Could not parse payload into json: {explain(payload, str(error))}"
        raise ServiceError("InvalidRequestContentException", message, Type="User") from None


def explain(payload: bytes, otherwise: str) -> str:
    """Why it is not JSON; `otherwise` when this reader finds nothing wrong."""
    try:
        reader = _Reader(payload)
        reader.value()
        reader.end()
    except _Bad as bad:
        return bad.message + "\n at " + _source(payload, bad.at)
    except RecursionError:
        return "Document nesting depth (1001) exceeds the maximum allowed (1000, from `StreamReadConstraints.getMaxNestingDepth()`)"
    return otherwise


def _source(payload: bytes, at: int) -> str:
    line = payload.count(b"\n", 0, at) + 1
    column = at - (payload.rfind(b"\n", 0, at) + 1) + 1
    shown = payload[:SHOWN_BYTES].decode("utf-8", "replace")
    more = f"[truncated {len(payload) - SHOWN_BYTES} bytes]" if len(payload) > SHOWN_BYTES else ""
    return f'[Source: (byte[])"{shown}"{more}; line: {line}, column: {column}]'


class _Reader:
    """Reads JSON and stops at the first thing that is wrong."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._at = 0

    def _peek(self) -> bytes:
        self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # it matches nothing, too
        return self._text[self._at : self._at + 1]

    def _unexpected(self, expected: str) -> _Bad:
        code = self._text[self._at]
        character = f"'{chr(code)}' (code {code})" if code >= 32 else f"(CTRL-CHAR, code {code})"
        return _Bad(f"Unexpected character ({character}): {expected}", self._at + 1)

    def _ended(self, kind: str, start: int) -> _Bad:
        return _Bad(
            f"Unexpected end-of-input: expected close marker for {kind} (start marker at {_source(self._text, start)})", len(self._text)
        )

    def _between(self, kind: str) -> _Bad:
        return _Bad(f"Unexpected end-of-input within/between {kind} entries", len(self._text))

    def end(self) -> None:
        if self._peek():
            self.value()

    def value(self) -> None:
        first = self._peek()
        if not first:
            raise _Bad("No content to map due to end-of-input", len(self._text))
        if first == b"{":
            self._object()
        elif first == b"[":
            self._array()
        elif first == b'"':
            self._string("VALUE_STRING")
        elif first in b"-0123456789":
            self._number()
        elif found := _WORD.match(self._text, self._at):
            self._at = found.end()
            if found[0] not in (b"true", b"false", b"null"):
                raise _Bad(f"Unrecognized token '{found[0].decode()}': was expecting {VALUE}", self._at)
        else:
            raise self._unexpected(f"expected a valid value {VALUE}")

    def _number(self) -> None:
        found = _NUMBER.match(self._text, self._at)
        if found is None:
            self._at += 1
            if self._at >= len(self._text):
                raise _Bad("Unexpected end-of-input in numeric value", self._at)
            raise self._unexpected("Expected digit (0-9) to follow minus sign, for valid numeric value")
        self._at = found.end()
        following = self._text[self._at : self._at + 1]
        if found[0].lstrip(b"-") == b"0" and following.isdigit():
            raise _Bad("Invalid numeric value: Leading zeroes not allowed", self._at)
        if following and following not in b" \t\r\n,]}":
            raise self._unexpected("Expected space separating root-level values" if self._at else "was expecting a value")

    def _string(self, kind: str) -> None:
        self._at += 1
        text = self._text
        while self._at < len(text):
            code = text[self._at]
            self._at += 1
            if code == 0x22:
                return
            if code < 0x20:
                rule = "has to be escaped using backslash to be included in string value"
                raise _Bad(f"Illegal unquoted character ((CTRL-CHAR, code {code})): {rule}", self._at)
            if code >= 0x80:
                self._sequence(code, kind)
            if code == 0x5C and self._at < len(text):
                escape = text[self._at]
                self._at += 1
                if escape not in b'"\\/bfnrtu':
                    raise _Bad(f"Unrecognized character escape '{chr(escape)}' (code {escape})", self._at)
        raise _Bad(f"Unexpected end-of-input in {kind}", self._at)

    def _sequence(self, first: int, kind: str) -> None:
        """What follows the first byte of a character of several."""
        length = next((length for length, mask, bits in _SEQUENCES if first & mask == bits), 0)
        if not length:
            raise _Bad(f"Invalid UTF-8 start byte 0x{first:x}", self._at)
        for _ in range(length - 1):
            following = self._text[self._at : self._at + 1]
            self._at += 1
            if not following:
                raise _Bad(f"Unexpected end-of-input in {kind}", len(self._text))
            if following[0] & 0xC0 != 0x80:
                raise _Bad(f"Invalid UTF-8 middle byte 0x{following[0]:x}", self._at)

    def _array(self) -> None:
        start = self._at
        self._at += 1
        if self._peek() == b"]":
            self._at += 1
            return
        if self._at >= len(self._text):
            raise self._ended("Array", start)
        while True:
            if not self._peek():
                raise self._between("Array")
            self.value()
            following = self._peek()
            if not following:
                raise self._ended("Array", start)
            if following not in b",]":
                raise self._unexpected("was expecting comma to separate Array entries")
            self._at += 1
            if following == b"]":
                return

    def _object(self) -> None:
        start = self._at
        self._at += 1
        if self._peek() == b"}":
            self._at += 1
            return
        if self._at >= len(self._text):
            raise self._ended("Object", start)
        while True:
            first = self._peek()
            if not first:
                raise self._between("Object")
            if first != b'"':
                raise self._unexpected("was expecting double-quote to start field name")
            self._string("field name")
            if self._peek() != b":":
                if self._at >= len(self._text):
                    raise self._between("Object")
                raise self._unexpected("was expecting a colon to separate field name and value")
            self._at += 1
            if not self._peek():
                raise self._between("Object")
            self.value()
            following = self._peek()
            if not following:
                raise self._ended("Object", start)
            if following not in b",}":
                raise self._unexpected("was expecting comma to separate Object entries")
            self._at += 1
            if following == b"}":
                return
