"""The names and values of one request, and the expressions that use them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from haar.services.dynamodb import errors
from haar.services.dynamodb.expressions import conditions, projections, updates
from haar.services.dynamodb.limits import EXPRESSION_BYTES, EXPRESSION_VALUES_BYTES, PLACEHOLDER_BYTES
from haar.services.dynamodb.values import LONG_NAME, Value, check, check_name
from haar.wire.errors import ServiceError

NAME = re.compile(r"#[0-9a-zA-Z_]+", re.ASCII)
VALUE = re.compile(r":[0-9a-zA-Z_]+", re.ASCII)
Input = Mapping[str, Any]
PLACEHOLDERS = frozenset(("ExpressionAttributeNames", "ExpressionAttributeValues"))
VALUES_ALONE = "ExpressionAttributeValues can only be specified when using expressions"
CONDITIONS = ("ConditionExpression", "FilterExpression")
KEYLESS = (
    errors.INVALID,
    "Input collection",
    "The parameter cannot be converted",
    "Attempting to store more than",
    LONG_NAME,
    "Number overflow",
    "Number underflow",
)
"""How errors of values begin that do not say which of the ExpressionAttributeValues it is, but for the older operations."""


class Parameters:
    """Which parameters of an operation go together."""

    __slots__ = ("_expressions", "_legacy", "_old", "_valued", "_with_values")

    def __init__(self, expressions: Sequence[str], legacy: Sequence[str]) -> None:
        """The operation's expressions, and the parameters that came before them."""
        self._expressions = expressions
        self._legacy = legacy
        self._old = frozenset(legacy)
        self._with_values = [name for name in expressions if name != "ProjectionExpression"]
        self._valued = frozenset(self._with_values)

    def check(self, input: Input) -> None:
        """Refuses old and new parameters together, and names and values without an expression."""
        if self._old.isdisjoint(input) and (PLACEHOLDERS.isdisjoint(input) or not self._valued.isdisjoint(input)):
            return
        legacy: Sequence[str] = self._legacy
        given = [name for name in self._expressions if input.get(name) is not None]
        if given:
            if input.get("KeyConditions") is not None and input.get("KeyConditionExpression") is None:
                legacy = [name for name in legacy if name != "KeyConditions"]
            old = [name for name in legacy if input.get(name) is not None]
            if old:
                raise errors.validation(
                    "Can not use both expression and non-expression parameters in the same request: "
                    f"Non-expression parameters: {{{', '.join(old)}}} Expression parameters: {{{', '.join(given)}}}"
                )
        elif input.get("ExpressionAttributeNames") is not None:
            raise errors.validation("ExpressionAttributeNames can only be specified when using expressions")
        unused = all(input.get(name) is None for name in self._with_values)
        if self._with_values and input.get("ExpressionAttributeValues") is not None and unused:
            raise errors.validation(VALUES_ALONE + _all_null(self._with_values))


def _all_null(expressions: Sequence[str]) -> str:
    if "UpdateExpression" in expressions:
        return ": " + " and ".join(f"{name} is null" for name in expressions)
    return f": {' and '.join(expressions)} {'are' if len(expressions) > 1 else 'is'} null"


class Scope:
    """Checks the placeholders of a request; compiles its expressions; says at the end which were not used."""

    __slots__ = ("_names", "_older", "_unused_names", "_unused_values", "values")

    def __init__(self, input: Input, older: bool = False) -> None:
        """Raises ValidationException for names and values that are wrong in themselves.

        `older` operations (Scan, transactions) always say whose value it is, and how long an expression.
        """
        self._older = older
        names = input.get("ExpressionAttributeNames")
        values = input.get("ExpressionAttributeValues")
        if names is not None:
            _check_names(names)
        if values is not None:
            _check_values(values, older)
        self._names: tuple[tuple[str, str], ...] = tuple(sorted(names.items())) if names else ()
        self.values: Mapping[str, Value] = values or {}
        self._unused_names = set(names or ())
        self._unused_values = set(values or ())

    def _check_text(self, parameter: str, text: str) -> None:
        if not text:
            raise errors.validation(f"Invalid {parameter}: The expression can not be empty;")
        if len(text) > EXPRESSION_BYTES // 4 and (size := len(text.encode())) > EXPRESSION_BYTES:
            told = f" expression size: {size}" if self._older and parameter in CONDITIONS else ""
            raise errors.validation(f"Invalid {parameter}: Expression size has exceeded the maximum allowed size;{told}")

    def compiled(self, parameter: str, text: str) -> conditions.Compiled:
        """A condition, its names resolved and not yet checked against the values."""
        self._check_text(parameter, text)
        compiled = conditions.compile_condition(parameter, text, self._names)
        self._unused_names -= compiled.names
        self._unused_values -= compiled.values
        return compiled

    def update(self, text: str) -> updates.Compiled:
        self._check_text("UpdateExpression", text)
        compiled = updates.compile_update(text, self._names)
        self._unused_names -= compiled.names
        self._unused_values -= compiled.values
        compiled.check(self.values)
        return compiled

    def projection(self, text: str) -> projections.Compiled:
        self._check_text("ProjectionExpression", text)
        compiled = projections.compile_projection(text, self._names)
        self._unused_names -= compiled.names
        return compiled

    def finish(self) -> None:
        """Raises ValidationException when a name or value was given that no expression uses."""
        if self._unused_names:
            raise _unused("ExpressionAttributeNames", self._unused_names)
        if self._unused_values:
            raise _unused("ExpressionAttributeValues", self._unused_values)


def _unused(parameter: str, names: set[str]) -> ServiceError:
    return errors.validation(f"Value provided in {parameter} unused in expressions: keys: {{{', '.join(sorted(names))}}}")


def _check_names(names: Mapping[str, str]) -> None:
    if not names:
        raise errors.validation("ExpressionAttributeNames must not be empty")
    for key in names:
        _check_key("ExpressionAttributeNames", NAME, key)
    size = sum(len(key) + check_name(name) for key, name in names.items())
    if size > EXPRESSION_VALUES_BYTES:
        raise errors.validation("ExpressionAttributeNames exceeds max size")


def _check_values(values: Mapping[str, Value], older: bool) -> None:
    if not values:
        raise errors.validation("ExpressionAttributeValues must not be empty")
    for key in values:
        _check_key("ExpressionAttributeValues", VALUE, key)
    size = 0
    for key, value in values.items():
        try:
            size += check(value)
        except ServiceError as error:
            if error.code != "ValidationException" or (not older and (error.message or "").startswith(KEYLESS)):
                raise
            raise errors.validation(f"ExpressionAttributeValues contains invalid value: {error.message} for key {key}") from None
    if size > EXPRESSION_VALUES_BYTES:
        raise errors.validation("ExpressionAttributeValues exceeds max size")


def _check_key(parameter: str, pattern: re.Pattern[str], key: str) -> None:
    wrong = f"{parameter} contains invalid key: "
    if len(key) > PLACEHOLDER_BYTES:
        size = len(key.encode())
        raise errors.validation(f"{wrong}The expression attribute map contains a key that is too long; size of key: {size}")
    if not pattern.fullmatch(key):
        raise errors.validation(f'{wrong}Syntax error; key: "{key}"')
