"""Patterns of the models are Java's: made into Python's."""

import re
import unicodedata
from functools import cache
from itertools import groupby

_SCANNED = 0x20000
"""Code points beyond are ideographs (letters), the rest is not assigned or private."""
_BEYOND = "\U00020000-\U0003fffd"
_ASCII = {
    "Alnum": "0-9A-Za-z",
    "Alpha": "A-Za-z",
    "Digit": "0-9",
    "Lower": "a-z",
    "Upper": "A-Z",
    "Punct": r"!-/:-@\[-`{-~",
    "Graph": "!-~",
    "Print": " -~",
    "ASCII": "\\x00-\\x7f",
    "Space": r"\s",
    "Cntrl": "\\x00-\\x1f\\x7f",
    "XDigit": "0-9A-Fa-f",
    "Blank": " \\t",
}
_PROPERTY = re.compile(r"\\([pP])(?:\{(?:Is)?\^?(\w+)\}|([A-Z]))")


_SURROGATES = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_ATOM = re.compile(r"\\.|\[(?:\\.|[^\]])*\]")
_REPETITION = re.compile(r"[*+]|\{\d+,\d*\}")
_CLASSES = frozenset("wWdDsS")


@cache
def compile_pattern(source: str) -> re.Pattern[str]:
    """A Java or ECMA pattern for `fullmatch`. What Python has no like for is taken to allow everything."""
    text = source.replace("(?<", "(?P<").replace("(?P<=", "(?<=").replace("(?P<!", "(?<!")
    text = re.sub(r"\\x\{([0-9a-fA-F]+)\}|\\u\{([0-9a-fA-F]+)\}", lambda found: f"\\U{int(found[1] or found[2], 16):08x}", text)
    # Java's texts are UTF-16, so beyond U+FFFF its patterns have pairs of surrogates.
    text = _SURROGATES.sub(lambda found: f"\\U{_point(found[1], found[2]):08x}", text)
    text = _properties(text).replace(r"\z", r"\Z")
    try:
        # Java's word characters and digits are those of ASCII.
        return re.compile(text, re.ASCII)
    except re.error:
        return re.compile(r"[\s\S]*")


def backtracks(source: str) -> bool:
    """Whether a pattern repeats in more than one place, so that matching may take more than time in the text's length."""
    return len(_REPETITION.findall(_ATOM.sub("", source))) > 1


def _point(high: str, low: str) -> int:
    return 0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00


def _properties(text: str) -> str:
    """`\\p{…}` as ranges; it may stand in a class or alone."""
    out, position, depth = [], 0, 0
    while position < len(text):
        found = _PROPERTY.match(text, position)
        if found:
            negative = found[1] == "P"
            ranges = _ranges(found[2] or found[3], negative)
            out.append(ranges if depth else f"[{ranges}]")
            position = found.end()
            if depth and text[position : position + 1] == "-":
                out.append("\\-")
                position += 1
            continue
        char = text[position]
        if char == "\\":
            out.append(text[position : position + 2])
            position += 2
            # After a class, Java takes a hyphen for one; Python for a range without an end.
            if depth and text[position - 1] in _CLASSES and text[position : position + 1] == "-":
                out.append("\\-")
                position += 1
            continue
        if char == "[":
            # Java's classes nest, Python's do not: a bracket inside one is a character.
            out.append("[" if not depth else "\\[")
            depth = 1
        else:
            depth = 0 if char == "]" else depth
            out.append(char)
        position += 1
    return "".join(out)


@cache
def _ranges(name: str, negative: bool) -> str:
    if name in _ASCII and not negative:
        return _ASCII[name]
    category = {"Alphabetic": "L", "Letter": "L", "Digit": "Nd"}.get(name, name)
    out = [f"\\U{first:08x}-\\U{last:08x}" for first, last, found in _runs() if found.startswith(category) != negative]
    if (category in ("L", "Lo")) != negative:
        out.append(_BEYOND)
    return "".join(out)


@cache
def _runs() -> list[tuple[int, int, str]]:
    """The code points from first to last of one category, in order. One pass, some 20 ms, for all patterns."""
    runs, first = [], 0
    for category, group in groupby(map(unicodedata.category, map(chr, range(_SCANNED)))):
        last = first + sum(1 for _ in group) - 1
        runs.append((first, last, category))
        first = last + 1
    return runs
