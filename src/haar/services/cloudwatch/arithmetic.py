"""Metric math: arithmetic and comparisons over metrics and numbers, and the common functions; what else AWS has is refused by name.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

import ast
import math
import operator
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from haar.services.cloudwatch.errors import invalid
from haar.wire.errors import ServiceError

ID = re.compile(r"[a-z][a-zA-Z0-9_]*", re.ASCII)
MOST_DEPTH = 50
"""Of an expression's tree."""

Values = dict[int, float]
Operand = Values | float | list[Values]
OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: lambda base, exponent: _power(base, exponent),
}
COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], float]] = {
    ast.Gt: lambda left, right: float(left > right),
    ast.GtE: lambda left, right: float(left >= right),
    ast.Lt: lambda left, right: float(left < right),
    ast.LtE: lambda left, right: float(left <= right),
    ast.Eq: lambda left, right: float(left == right),
    ast.NotEq: lambda left, right: float(left != right),
}
LOGIC: dict[type[ast.boolop], Callable[[float, float], float]] = {
    ast.And: lambda left, right: float(bool(left) and bool(right)),
    ast.Or: lambda left, right: float(bool(left) or bool(right)),
}
PER_VALUE: dict[str, Callable[[float], float]] = {
    "ABS": abs,
    "CEIL": math.ceil,
    "FLOOR": math.floor,
    "LOG": math.log,
    "LOG10": math.log10,
}
SPELLED = ((re.compile(r"\^"), "**"), (re.compile(r"&&|\bAND\b"), " and "), (re.compile(r"\|\||\bOR\b"), " or "))
"""What is written otherwise in Python."""
OVER_ALL: dict[str, Callable[[Sequence[float]], float]] = {
    "SUM": sum,
    "AVG": lambda values: sum(values) / len(values),
    "MIN": min,
    "MAX": max,
    "STDDEV": statistics.pstdev,
}


def ordered(queries: list[Mapping[str, Any]], known: set[str]) -> list[Mapping[str, Any]]:
    """Expressions behind those that they use. Raises ValidationError for one that uses what is not there, or itself."""
    needed = {query["Id"]: _names(query) - known for query in queries}
    users: dict[str, list[str]] = {}
    for name, uses in needed.items():
        for each in uses:
            users.setdefault(each, []).append(name)
    ready = [name for name, uses in needed.items() if not uses]
    for name in ready:  # grows meanwhile
        for user in users.get(name, ()):
            needed[user].discard(name)
            if not needed[user]:
                ready.append(user)
    for name, uses in needed.items():
        if uses:
            raise invalid(f"Error in expression '{name}': Unresolved dependencies [{', '.join(sorted(uses))}].")
    by_name = {query["Id"]: query for query in queries}
    return [by_name[name] for name in ready]


class Known(dict[str, Values]):
    """The values of metrics and expressions by their ids."""

    def __init__(self, values: Mapping[str, Values], periods: Mapping[str, int]) -> None:
        super().__init__(values)
        self.periods = periods


def evaluate(name: str, text: str, known: Mapping[str, Values], periods: Mapping[str, int] | None = None) -> Values:
    """The expression's values; `periods` are those of metrics by their ids. Raises ValidationError for what it cannot mean."""
    found = _value(name, _parse(name, text), Known(known, periods or {}), 0)
    if not isinstance(found, dict):
        raise _wrong(name, "The expression must return a time series")
    return found


def _wrong(name: str, why: str) -> ServiceError:
    return invalid(f"Error in expression '{name}': {why}.")


def _parse(name: str, text: str) -> ast.expr:
    if "**" in text:
        raise _wrong(name, "Syntax error")
    for written, python in SPELLED:
        text = written.sub(python, text)
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _wrong(name, "Syntax error") from None


def _names(query: Mapping[str, Any]) -> set[str]:
    return {node.id for node in ast.walk(_parse(query["Id"], query["Expression"])) if isinstance(node, ast.Name) and ID.fullmatch(node.id)}


def _value(name: str, node: ast.expr, known: Known, depth: int) -> Operand:
    if depth > MOST_DEPTH:
        raise _wrong(name, "The expression is nested too deeply")
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _single(name, float, number)
        case ast.Name(id=metric) if metric in known:
            return known[metric]
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return _combine(name, operator.mul, -1.0, _value(name, inner, known, depth + 1))
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in OPERATORS:
            return _combine(name, OPERATORS[type(sign)], _value(name, left, known, depth + 1), _value(name, right, known, depth + 1))
        case ast.Compare(left=left, ops=[sign], comparators=[right]) if type(sign) in COMPARISONS:
            return _combine(name, COMPARISONS[type(sign)], _value(name, left, known, depth + 1), _value(name, right, known, depth + 1))
        case ast.BoolOp(op=sign, values=[first, *rest]):
            found = _value(name, first, known, depth + 1)
            for each in rest:
                found = _combine(name, LOGIC[type(sign)], found, _value(name, each, known, depth + 1))
            return found
        case ast.List(elts=parts):
            values = [_value(name, part, known, depth + 1) for part in parts]
            return [each for each in values if isinstance(each, dict)]
        case ast.Call(func=ast.Name(id=function), args=arguments, keywords=[]):
            return _call(name, function, arguments, known, depth)
    try:
        shown = ast.unparse(node)
    except RecursionError:
        raise _wrong(name, "The expression is nested too deeply") from None
    raise _wrong(name, f"Unsupported: {shown}")


def _call(name: str, function: str, arguments: list[ast.expr], known: Known, depth: int) -> Operand:
    if function == "METRICS" and not arguments:
        return list(known.values())
    if function == "PERIOD" and len(arguments) == 1 and isinstance(metric := arguments[0], ast.Name) and metric.id in known.periods:
        return float(known.periods[metric.id])
    values: list[Operand] = [_value(name, each, known, depth + 1) for each in arguments]
    match function, values:
        case (("SUM" | "AVG" | "MIN" | "MAX" | "STDDEV"), [of]):
            return _over_all(name, OVER_ALL[function], of)
        case (("ABS" | "CEIL" | "FLOOR" | "LOG" | "LOG10"), [of]):
            return _each(name, PER_VALUE[function], of)
        case (("DIFF" | "DIFF_TIME" | "RATE" | "RUNNING_SUM"), [dict() as of]):
            return _along(function, of)
        case "FILL", [dict() as of, float() as filling]:
            times = sorted({time for each in known.values() for time in each})
            return {time: of.get(time, filling) for time in times}
        case "IF", [dict() as test, then, *other] if len(other) <= 1 and not isinstance(then, list):
            return _chosen(test, then, other[0] if other else {})
        case "METRIC_COUNT", [list() as of]:
            return float(len(of))
        case "DATAPOINT_COUNT", [dict() as of]:
            return float(len(of))
        case (("FIRST" | "LAST"), [list() as of]) if of:
            return of[0 if function == "FIRST" else -1]
    raise _wrong(name, f"haar does not have the function {function} of these arguments")


def _power(base: float, exponent: float) -> float:
    found = base**exponent
    return math.nan if isinstance(found, complex) else float(found)


def _calculated(function: Callable[..., float], *arguments: Any) -> float | None:
    """None where there is no answer, or none that is a number."""
    try:
        found = float(function(*arguments))
    except (ValueError, OverflowError, ZeroDivisionError):
        return None
    return found if math.isfinite(found) else None


def _single(name: str, function: Callable[..., float], *arguments: Any) -> float:
    if (found := _calculated(function, *arguments)) is None:
        raise _wrong(name, "A number in it has no value")
    return found


def _each(name: str, function: Callable[[float], float], of: Operand) -> Operand:
    """Value by value; one without an answer is left out."""
    if isinstance(of, list):
        return [each for part in of if isinstance(each := _each(name, function, part), dict)]
    if isinstance(of, float):
        return _single(name, function, of)
    return {time: found for time, value in of.items() if (found := _calculated(function, value)) is not None}


def _along(function: str, of: Values) -> Values:
    """Between each value and the one before it; RUNNING_SUM: of all up to it."""
    found: Values = {}
    total, before = 0.0, None
    for time in sorted(of):
        total += of[time]
        if function == "RUNNING_SUM":
            found[time] = total
        elif before is not None:
            change, seconds = of[time] - of[before], float(time - before)
            found[time] = {"DIFF": change, "DIFF_TIME": seconds, "RATE": change / seconds}[function]
        before = time
    return {time: value for time, value in found.items() if math.isfinite(value)}


def _chosen(test: Values, then: Operand, other: Operand) -> Values:
    """At each time of the test, the one or the other, where that has a value."""
    found: Values = {}
    for time, value in test.items():
        chosen = then if value else other
        if isinstance(chosen, float):
            found[time] = chosen
        elif isinstance(chosen, dict) and time in chosen:
            found[time] = chosen[time]
    return found


def _over_all(name: str, function: Callable[[Sequence[float]], float], of: Operand) -> Operand:
    """Of several metrics, at each time; of one, over all times."""
    if isinstance(of, dict):
        return _single(name, function, list(of.values())) if of else 0.0
    if isinstance(of, float):
        return of
    times = sorted({time for each in of for time in each})
    together = {time: _calculated(function, [each[time] for each in of if time in each]) for time in times}
    return {time: value for time, value in together.items() if value is not None}


def _combine(name: str, function: Callable[[float, float], float], left: Operand, right: Operand) -> Operand:
    """Number by number; of two metrics, at the times that both have. A division by zero has no value."""
    if isinstance(left, list) or isinstance(right, list):
        raise _wrong(name, "An array of metrics cannot be calculated with")
    if isinstance(left, float) and isinstance(right, float):
        if function is operator.truediv and right == 0:
            raise _wrong(name, "Division by zero")
        return _single(name, function, left, right)
    times: Iterable[int] = left if isinstance(left, dict) else ()
    if isinstance(right, dict):
        times = [time for time in right if not isinstance(left, dict) or time in left]
    values: Values = {}
    for time in times:
        first = left[time] if isinstance(left, dict) else left
        second = right[time] if isinstance(right, dict) else right
        if (value := _calculated(function, first, second)) is not None:
            values[time] = value
    return values
