"""Regular expressions that users write: in linear time, where the expression allows it.

They are Java's on AWS. RE2 reads nearly all that is used of them; what only Java and Python have (looking around, references back) goes to
Python's own, as its owner wrote it.
"""

import re
from typing import Any

import re2

MAX_PATTERN = 1000
"""Characters of a regular expression."""

_JAVA = {"Alpha": "[A-Za-z]", "Digit": "[0-9]", "Alnum": "[A-Za-z0-9]", "Punct": r"[!-/:-@\[-`{-~]", "Space": r"\s"}
_CLASSES = re.compile(r"\\p\{(Alpha|Digit|Alnum|Punct|Space)\}")


class PatternError(ValueError):
    """An expression that cannot be read."""


def compile_pattern(expression: str) -> Any:
    """A pattern with `fullmatch`, `sub` and `split`. Raises PatternError."""
    if len(expression) > MAX_PATTERN:
        raise PatternError("the regular expression is too long")
    expression = _CLASSES.sub(lambda match: _JAVA[match[1]], expression)
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(expression, options)
    except re2.error:
        try:
            return re.compile(expression)
        except re.error as error:
            raise PatternError(str(error)) from None
