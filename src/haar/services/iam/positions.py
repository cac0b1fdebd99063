"""Where the statements of a policy document stand in its text: lines and columns, as the policy simulator counts them."""

import json
import re
from typing import NamedTuple

BLANK = re.compile(r"[ \t\r\n]*")


class Span(NamedTuple):
    """Offsets: behind the bracket or comma that opens a statement (behind its own brace when it stands alone), and behind its end."""

    start: int
    end: int


def statement_spans(document: str) -> list[Span]:
    """The span of each statement of a valid policy document, in order."""
    decoder = json.JSONDecoder()
    at = _skip(document, 0) + 1
    while document[at := _skip(document, at)] != "}":
        key, at = decoder.raw_decode(document, at)
        at = _skip(document, _skip(document, at) + 1)
        if key == "Statement":
            return _statements(document, at, decoder)
        _, at = decoder.raw_decode(document, at)
        at = _skip(document, at)
        if document[at] == ",":
            at += 1
    return []


def _statements(document: str, at: int, decoder: json.JSONDecoder) -> list[Span]:
    if document[at] == "{":
        return [Span(at + 1, decoder.raw_decode(document, at)[1])]
    spans = []
    while document[at] != "]":
        start = at + 1
        if document[first := _skip(document, start)] == "]":
            break
        _, end = decoder.raw_decode(document, first)
        spans.append(Span(start, end))
        at = _skip(document, end)
    return spans


def _skip(document: str, at: int) -> int:
    match = BLANK.match(document, at)
    return at if match is None else match.end()


def position(document: str, offset: int) -> dict[str, int]:
    """The line and column (both from 1) of an offset."""
    before = document[:offset]
    return {"Line": before.count("\n") + 1, "Column": offset - before.rfind("\n")}
