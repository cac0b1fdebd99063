"""Expressions of queries, read into functions of a row. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
"""

import re
from collections.abc import Callable
from typing import Any, NoReturn

import re2

from haar.services.logs.insights.functions import OVER_ROWS, PER_ROW, UNITS, Over, over
from haar.services.logs.insights.values import Row, Value, compared, equal, number, text, truth

MAX_DEPTH = 50
MAX_REGEX = 1000
Expression = Callable[[Row], Value]

_BLANK = re.compile(r"(?:\s+|#[^\n]*)*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![A-Za-z_])")
_PERIOD = re.compile(
    r"(\d+)\s*(ms|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|mo|months?|q|quarters?|y|years?)\b", re.I
)
_NAME = re.compile(r"`([^`]+)`|([@A-Za-z_][\w@]*(?:\.[\w@-]+)*)")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"' + "|" + r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_REGEX = re.compile(r"/((?:[^/\\]|\\.)*)/(i?)")
_SIGNS = ("!=", "<=", ">=", "=~", "=", "<", ">", "+", "-", "*", "/", "%", "^", "(", ")", "[", "]", ",", "|")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_TESTS: dict[str, Callable[[int], bool]] = {
    "<": lambda found: found < 0,
    "<=": lambda found: found <= 0,
    ">": lambda found: found > 0,
    ">=": lambda found: found >= 0,
}


class Malformed(Exception):
    """The query cannot be read; says why and where (characters)."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.message, self.start, self.end = message, start, end


def regex_of(source: str, insensitive: bool = False) -> Any:
    """A regular expression, searched in linear time. Raises ValueError."""
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not insensitive
    if len(source) > MAX_REGEX:
        raise ValueError("the regular expression is too long")
    try:
        return re2.compile(re.sub(r"\(\?<(?=[A-Za-z])", "(?P<", source), options)
    except re2.error as error:
        raise ValueError(str(error)) from None


class Reader:
    """Reads a query from left to right."""

    def __init__(self, query: str) -> None:
        self.query = query
        self.at = 0
        self._read_to = 0
        """The end of what has been read, without the blanks and comments behind it."""
        self.overs: list[tuple[Expression, Callable[[], Over]]] | None = None
        """In a `stats`: the functions over rows that it has, with what each is of."""
        self._depth = 0

    # ---- tokens ------------------------------------------------------------------------------------------------------------

    def skip(self) -> None:
        found = _BLANK.match(self.query, self.at)
        assert found is not None
        self.at = found.end()

    def _take(self, end: int) -> None:
        self.at = self._read_to = end

    def fail(self, message: str) -> NoReturn:
        self.skip()
        raise Malformed(message, self.at, min(len(self.query), self.at + 1))

    def over(self) -> bool:
        self.skip()
        return self.at >= len(self.query)

    def sign(self, *wanted: str) -> str:
        """The sign that comes, if it is one of those that are wanted; else nothing."""
        self.skip()
        for sign in _SIGNS:
            if self.query.startswith(sign, self.at):
                if sign not in wanted:
                    return ""
                self._take(self.at + len(sign))
                return sign
        return ""

    def need(self, sign: str) -> None:
        if not self.sign(sign):
            self.fail(f"unexpected symbol found, expected {sign}")

    def word(self, *wanted: str) -> str:
        """The keyword that comes, in any case, if it is one of those that are wanted; else nothing."""
        self.skip()
        found = _NAME.match(self.query, self.at)
        if found is None or found[2] is None or found[2].lower() not in wanted:
            return ""
        self._take(found.end())
        return found[2].lower()

    def name(self) -> str:
        """A field's name."""
        self.skip()
        found = _NAME.match(self.query, self.at)
        if found is None:
            self.fail("unexpected symbol found, expected a field")
        self._take(found.end())
        return found[1] or found[2]

    def string(self) -> str | None:
        self.skip()
        found = _TEXT.match(self.query, self.at)
        if found is None:
            return None
        self._take(found.end())
        inner = found[1] if found[1] is not None else found[2]
        return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), inner, flags=re.DOTALL)

    def regex(self) -> Any:
        """A regular expression between slashes, compiled; None when there is none."""
        self.skip()
        found = _REGEX.match(self.query, self.at)
        if found is None:
            return None
        try:
            compiled = regex_of(found[1].replace("\\/", "/"), bool(found[2]))
        except ValueError as error:
            self.fail(f"Invalid regular expression: {error}")
        self._take(found.end())
        return compiled

    def integer(self) -> int:
        self.skip()
        found = _NUMBER.match(self.query, self.at)
        if found is None or not found[0].isdigit():
            self.fail("unexpected symbol found, expected a number")
        self._take(found.end())
        return int(found[0])

    def labelled(self) -> tuple[str, Expression]:
        """An expression with its name: what `as` says, or how it is written."""
        self.skip()
        start = self.at
        expression = self.expression()
        written = self.query[start : self._read_to].strip("`")
        return (self.name() if self.word("as") else written), expression

    # ---- expressions, from the loosest to the tightest -------------------------------------------------------------------------

    def expression(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self.fail("the expression is nested too deeply")
        left = self._conjunction()
        while self.word("or"):
            left = _either(left, self._conjunction())
        self._depth -= 1
        return left

    def _conjunction(self) -> Expression:
        left = self._negation()
        while self.word("and"):
            left = _both(left, self._negation())
        return left

    def _negation(self) -> Expression:
        negative = False
        while self.word("not"):
            negative = not negative
        inner = self._comparison()
        return _not(inner) if negative else inner

    def _comparison(self) -> Expression:
        left = self._sum()
        sign = self.sign("!=", "<=", ">=", "=~", "=", "<", ">")
        if sign == "=~":
            return self._like(left)
        if sign:
            return _compare(sign, left, self._sum())
        before = self.at, self._read_to
        negative = bool(self.word("not"))
        if self.word("like"):
            found = self._like(left)
        elif self.word("in"):
            found = self._among(left)
        else:
            self.at, self._read_to = before
            return left
        return _not(found) if negative else found

    def _like(self, left: Expression) -> Expression:
        regex = self.regex()
        if regex is not None:
            return lambda row: (value := left(row)) is not None and regex.search(text(value)) is not None
        part = self.string()
        if part is None:
            self.fail("unexpected symbol found, expected a string or a regular expression")
        return lambda row: (value := left(row)) is not None and part in text(value)

    def _among(self, left: Expression) -> Expression:
        self.need("[")
        choices: list[Expression] = []
        while not self.sign("]"):
            if choices:
                self.need(",")
            choices.append(self._sum())
        return lambda row: any(equal(left(row), choice(row)) for choice in choices)

    def _sum(self) -> Expression:
        left = self._product()
        while sign := self.sign("+", "-"):
            left = _calculate(sign, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._power()
        while sign := self.sign("*", "/", "%"):
            left = _calculate(sign, left, self._power())
        return left

    def _power(self) -> Expression:
        left = self._unary()
        return _calculate("^", left, self._unary()) if self.sign("^") else left

    def _unary(self) -> Expression:
        if self.sign("-"):
            return _calculate("-", _constant(0), self._unary())
        return self._atom()

    def _atom(self) -> Expression:
        if self.sign("("):
            inner = self.expression()
            self.need(")")
            return inner
        given = self.string()
        if given is not None:
            return _constant(given)
        found = _NUMBER.match(self.query, self.at)
        if found is not None:
            self._take(found.end())
            return _constant(number(found[0]))
        start = self.at
        name = self.name()
        if self.query[start] != "`":
            if self.sign("("):
                return self._call(name, start)
            if name.lower() in ("true", "false"):
                return _constant(int(name.lower() == "true"))
        return lambda row: row.get(name)

    def _call(self, name: str, start: int) -> Expression:
        plain = name.lower()
        if plain == "bin":
            return self._bin()
        if plain == "now":
            self.need(")")
            return lambda row: row.get("@now")
        if plain in OVER_ROWS and self.overs is not None:
            return self._over(name, start)
        known = PER_ROW.get(plain)
        if known is None:
            raise Malformed(f"Invalid function: {name}", start, self.at)
        least, most, function = known
        arguments = self._arguments(periods=plain in ("datefloor", "dateceil"))
        if not least <= len(arguments) <= most:
            raise Malformed(f"Invalid number of arguments for function {name}", start, self.at)
        return lambda row: function(*[argument(row) for argument in arguments])

    def _arguments(self, *, periods: bool = False) -> list[Expression]:
        found: list[Expression] = []
        while not self.sign(")"):
            if found:
                self.need(",")
            found.append(_constant(self._period()) if periods and found else self.expression())
        return found

    def _period(self) -> int:
        self.skip()
        found = _PERIOD.match(self.query, self.at)
        unit = "" if found is None else found[2].lower()
        size = UNITS.get(unit) or UNITS.get(unit.removesuffix("s"))
        if found is None or size is None or not int(found[1]):
            self.fail("unexpected symbol found, expected a period of time")
        self._take(found.end())
        return int(found[1]) * size

    def _bin(self) -> Expression:
        period = _constant(self._period())
        self.need(")")
        floor = PER_ROW["datefloor"][2]
        return lambda row: floor(row.get("@timestamp"), period(row))

    def _over(self, name: str, start: int) -> Expression:
        """A function over rows: its place in a group's results."""
        assert self.overs is not None
        kept, self.overs = self.overs, None  # what it is of, is of one row
        if self.sign("*"):
            self.need(")")
            arguments = [_constant(1)]
        else:
            arguments = self._arguments() or [_constant(1)]
        self.overs = kept
        nothing = Row({})
        made = over(name.lower(), [argument(nothing) for argument in arguments[1:]])
        if made is None:
            raise Malformed(f"Invalid arguments for function {name}", start, self.at)
        at = len(self.overs)
        self.overs.append((arguments[0], made))
        return lambda row: row.results[at]


def _constant(value: Value) -> Expression:
    return lambda row: value


def _not(inner: Expression) -> Expression:
    return lambda row: not truth(inner(row))


def _either(left: Expression, right: Expression) -> Expression:
    return lambda row: truth(left(row)) or truth(right(row))


def _both(left: Expression, right: Expression) -> Expression:
    return lambda row: truth(left(row)) and truth(right(row))


def _compare(sign: str, left: Expression, right: Expression) -> Expression:
    if sign in ("=", "!="):
        wanted = sign == "="
        return lambda row: equal(left(row), right(row)) is wanted
    test = _TESTS[sign]

    def apply(row: Row) -> bool:
        found = compared(left(row), right(row))
        return found is not None and test(found)

    return apply


def _calculate(sign: str, left: Expression, right: Expression) -> Expression:
    def apply(row: Row) -> Value:
        first, second = number(left(row)), number(right(row))
        if first is None or second is None:
            return None
        try:
            return _CALCULATIONS[sign](first, second)
        except (ZeroDivisionError, OverflowError, ValueError):
            return None

    return apply


def _raised(first: float, second: float) -> Value:
    found = float(first) ** float(second)
    return None if isinstance(found, complex) else found


_CALCULATIONS: dict[str, Callable[[Any, Any], Value]] = {
    "+": lambda first, second: first + second,
    "-": lambda first, second: first - second,
    "*": lambda first, second: first * second,
    "/": lambda first, second: first / second,
    "%": lambda first, second: first % second,
    "^": _raised,
}
