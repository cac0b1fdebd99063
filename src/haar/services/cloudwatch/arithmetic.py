"""Metric math: + - * / over metrics and numbers, and SUM, AVG, MIN, MAX, FILL of them; what else AWS has is refused by name.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

import ast
import operator
import re
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
}
OVER_ALL: dict[str, Callable[[Sequence[float]], float]] = {
    "SUM": sum,
    "AVG": lambda values: sum(values) / len(values),
    "MIN": min,
    "MAX": max,
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


def evaluate(name: str, text: str, known: Mapping[str, Values]) -> Values:
    """The expression's values. Raises ValidationError for what it cannot mean."""
    found = _value(name, _parse(name, text), known, 0)
    if not isinstance(found, dict):
        raise _wrong(name, "The expression must return a time series")
    return found


def _wrong(name: str, why: str) -> ServiceError:
    return invalid(f"Error in expression '{name}': {why}.")


def _parse(name: str, text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _wrong(name, "Syntax error") from None


def _names(query: Mapping[str, Any]) -> set[str]:
    return {node.id for node in ast.walk(_parse(query["Id"], query["Expression"])) if isinstance(node, ast.Name) and ID.fullmatch(node.id)}


def _value(name: str, node: ast.expr, known: Mapping[str, Values], depth: int) -> Operand:
    if depth > MOST_DEPTH:
        raise _wrong(name, "The expression is nested too deeply")
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            try:
                return float(number)
            except OverflowError:
                raise _wrong(name, "A number is too large") from None
        case ast.Name(id=metric) if metric in known:
            return known[metric]
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return _combine(name, operator.mul, -1.0, _value(name, inner, known, depth + 1))
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in OPERATORS:
            return _combine(name, OPERATORS[type(sign)], _value(name, left, known, depth + 1), _value(name, right, known, depth + 1))
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


def _call(name: str, function: str, arguments: list[ast.expr], known: Mapping[str, Values], depth: int) -> Operand:
    values: list[Operand]
    if function == "METRICS" and not arguments:
        return list(known.values())
    values = [_value(name, each, known, depth + 1) for each in arguments]
    if function in OVER_ALL and len(values) == 1:
        return _over_all(OVER_ALL[function], values[0])
    if function == "FILL" and len(values) == 2 and isinstance(values[0], dict) and isinstance(values[1], float):
        times = sorted({time for each in known.values() for time in each})
        return {time: values[0].get(time, values[1]) for time in times}
    raise _wrong(name, f"haar does not have the function {function} of these arguments")


def _over_all(function: Callable[[Sequence[float]], float], of: Operand) -> Operand:
    """Of several metrics, at each time; of one, over all times."""
    if isinstance(of, dict):
        return function(list(of.values())) if of else 0.0
    if isinstance(of, float):
        return of
    times = sorted({time for each in of for time in each})
    return {time: function([each[time] for each in of if time in each]) for time in times}


def _combine(name: str, function: Callable[[float, float], float], left: Operand, right: Operand) -> Operand:
    """Number by number; of two metrics, at the times that both have. A division by zero has no value."""
    if isinstance(left, list) or isinstance(right, list):
        raise _wrong(name, "An array of metrics cannot be calculated with")
    if isinstance(left, float) and isinstance(right, float):
        if function is operator.truediv and right == 0:
            raise _wrong(name, "Division by zero")
        return function(left, right)
    times: Iterable[int] = left if isinstance(left, dict) else ()
    if isinstance(right, dict):
        times = [time for time in right if not isinstance(left, dict) or time in left]
    values: Values = {}
    for time in times:
        first = left[time] if isinstance(left, dict) else left
        second = right[time] if isinstance(right, dict) else right
        if function is not operator.truediv or second != 0:
            values[time] = function(first, second)
    return values
