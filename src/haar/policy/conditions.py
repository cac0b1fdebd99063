"""Condition blocks: every operator, `…IfExists`, `ForAllValues:`, `ForAnyValue:` and `Null`.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

import base64
import binascii
import ipaddress
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from haar.policy.decision import AccessRequest
from haar.policy.errors import PolicyError
from haar.policy.patterns import Patterns

T = TypeVar("T")

RESOURCE_ONLY = frozenset(("service", "federated", "anonymous"))
"""Kinds of callers without identity policies of their own."""


class Facts:
    """The condition keys of one request, looked up without regard to case. Remembers which were asked for and not there."""

    __slots__ = ("_given", "_lowered", "missing")

    def __init__(self, request: AccessRequest) -> None:
        self._given = request
        self._lowered: dict[str, Sequence[str]] | None = None
        self.missing: dict[str, str] = {}

    def _lower(self) -> dict[str, Sequence[str]]:
        lowered = _own_facts(self._given)
        for key, values in self._given.context.items():
            lowered[key.lower()] = (values,) if isinstance(values, str) else values
        self._lowered = lowered
        return lowered

    def get(self, key: str) -> Sequence[str]:
        """The values of a key, none when the request does not have it."""
        lowered = self._lowered if self._lowered is not None else self._lower()
        values = lowered.get(key.lower())
        if not values:
            self.missing.setdefault(key.lower(), key)
            return ()
        return values

    def single(self, key: str) -> str | None:
        values = self.get(key)
        return values[0] if len(values) == 1 else None


def _own_facts(request: AccessRequest) -> dict[str, Sequence[str]]:
    """Condition keys (lower case) that the request itself decides; the context's own values go first."""
    facts: dict[str, Sequence[str]] = {}
    if request.principal_kind in RESOURCE_ONLY:
        return facts
    if request.principal_arn:
        facts["aws:principalarn"] = (request.role_arn or request.principal_arn,)
    if request.principal_account:
        facts["aws:principalaccount"] = (request.principal_account,)
    if account := request.resource_account or request.principal_account:
        facts["aws:resourceaccount"] = (account,)
    return facts


Test = Callable[[str, Facts], bool]
"""Whether one of the request's values matches one of the policy's."""


def _strings(values: Sequence[str], variables: bool) -> Test:
    return _patterns(Patterns(values, variables=variables, wildcards=False))


def _strings_like(values: Sequence[str], variables: bool) -> Test:
    return _patterns(Patterns(values, variables=variables))


def _arns(values: Sequence[str], variables: bool) -> Test:
    return _patterns(Patterns(values, scope="segments", variables=variables))


def _patterns(patterns: Patterns) -> Test:
    if not patterns.templates:
        return lambda value, facts: patterns.matches(value)
    return lambda value, facts: patterns.matches_variable(value, facts) or patterns.matches(value)


def _strings_ignoring_case(values: Sequence[str], variables: bool) -> Test:
    patterns = Patterns([value.lower() for value in values], variables=variables, wildcards=False)
    if not patterns.templates:
        return lambda value, facts: patterns.matches(value.lower())
    return lambda value, facts: patterns.matches_variable(value, facts, fold=True) or patterns.matches(value.lower())


def _bools(values: Sequence[str], variables: bool) -> Test:
    wanted = frozenset(value.lower() for value in values)
    return lambda value, facts: value.lower() in wanted


def _binaries(values: Sequence[str], variables: bool) -> Test:
    wanted = frozenset(found for value in values if (found := _bytes(value)) is not None)
    return lambda value, facts: _bytes(value) in wanted


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _addresses(values: Sequence[str], variables: bool) -> Test:
    networks = []
    for value in values:
        try:
            networks.append(ipaddress.ip_network(value, strict=False))
        except ValueError:
            continue  # an address that is none matches nothing

    def test(value: str, facts: Facts) -> bool:
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in networks)

    return test


def _compared(parse: Callable[[str], T | None], compare: Callable[[Any, Any], bool]) -> Callable[[Sequence[str], bool], Test]:
    def build(values: Sequence[str], variables: bool) -> Test:
        wanted = [found for value in values if (found := parse(value)) is not None]

        def test(value: str, facts: Facts) -> bool:
            given = parse(value)
            return given is not None and any(compare(given, one) for one in wanted)

        return test

    return build


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def parse_date(text: str) -> float | None:
    """Seconds since the epoch of an ISO 8601 date (any of W3C's shortened forms) or of a number of seconds; None when it is neither."""
    text = text.strip()
    if (number := _number(text)) is not None and (len(text) > 4 or not text.isdigit()):
        return float(number)
    for shape in ("%Y", "%Y-%m"):
        try:
            return datetime.strptime(text, shape).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


_COMPARISONS: Mapping[str, tuple[Callable[[Any, Any], bool], bool]] = {
    "equals": (operator.eq, False),
    "notequals": (operator.eq, True),
    "lessthan": (operator.lt, False),
    "lessthanequals": (operator.le, False),
    "greaterthan": (operator.gt, False),
    "greaterthanequals": (operator.ge, False),
}

OPERATORS: Mapping[str, tuple[Callable[[Sequence[str], bool], Test], bool]] = {
    "stringequals": (_strings, False),
    "stringnotequals": (_strings, True),
    "stringequalsignorecase": (_strings_ignoring_case, False),
    "stringnotequalsignorecase": (_strings_ignoring_case, True),
    "stringlike": (_strings_like, False),
    "stringnotlike": (_strings_like, True),
    "bool": (_bools, False),
    "binaryequals": (_binaries, False),
    "ipaddress": (_addresses, False),
    "notipaddress": (_addresses, True),
    "arnequals": (_arns, False),
    "arnlike": (_arns, False),
    "arnnotequals": (_arns, True),
    "arnnotlike": (_arns, True),
    **{"numeric" + name: (_compared(_number, compare), negated) for name, (compare, negated) in _COMPARISONS.items()},
    **{"date" + name: (_compared(parse_date, compare), negated) for name, (compare, negated) in _COMPARISONS.items()},
}
"""By lower-case name: how it compares, and whether it is the negation of that."""

ALL_VALUES, ANY_VALUE = "forallvalues", "foranyvalue"


class Condition:
    """One operator on one key."""

    __slots__ = ("_missing", "_negated", "_quantifier", "_test", "key")

    def __init__(self, name: str, key: str, values: Sequence[str], variables: bool) -> None:
        quantifier, base, if_exists = parse_operator(name)
        build, negated = OPERATORS[base]
        self.key = key
        self._quantifier = quantifier
        self._negated = negated
        self._test = build(values, variables)
        self._missing = if_exists or (quantifier == ALL_VALUES if quantifier else negated)

    def holds(self, facts: Facts) -> bool:
        values = facts.get(self.key)
        if self._quantifier and not any(values):
            values = ()  # a set of nothing but empty strings is no set
        if not values:
            return self._missing
        test, negated = self._test, self._negated
        if not self._quantifier:
            return any(test(value, facts) for value in values) is not negated
        if self._quantifier == ALL_VALUES:
            return all(test(value, facts) is not negated for value in values)
        return any(test(value, facts) is not negated for value in values)


class NullCondition:
    """`Null`: whether a key is absent."""

    __slots__ = ("_absent", "key")

    def __init__(self, key: str, values: Sequence[str]) -> None:
        self.key = key
        self._absent = frozenset(value.lower() == "true" for value in values)

    def holds(self, facts: Facts) -> bool:
        return (not any(facts.get(self.key))) in self._absent


def parse_operator(name: str) -> tuple[str, str, bool]:
    """(`forallvalues`, `foranyvalue` or nothing; the lower-case operator; whether `IfExists`). Raises PolicyError for an unknown one."""
    quantifier, colon, base = name.lower().rpartition(":")
    if_exists = base.endswith("ifexists")
    base = base.removesuffix("ifexists")
    if (colon and quantifier not in (ALL_VALUES, ANY_VALUE)) or (base not in OPERATORS and (base != "null" or if_exists or quantifier)):
        raise PolicyError(f"Invalid Condition type : {name}.")
    return quantifier, base, if_exists


def compile_conditions(block: Mapping[str, Any], variables: bool) -> tuple[Condition | NullCondition, ...]:
    """The conditions of a Condition element; all of them must hold."""
    compiled: list[Condition | NullCondition] = []
    for name, keys in block.items():
        if not isinstance(keys, dict):
            raise PolicyError("Syntax errors in policy.")
        for key, given in keys.items():
            values = [scalar(value) for value in (given if isinstance(given, list) else [given])]
            if parse_operator(name)[1] == "null":
                compiled.append(NullCondition(key, values))
            else:
                compiled.append(Condition(name, key, values, variables))
    return tuple(compiled)


def scalar(value: Any) -> str:
    """A JSON scalar as the policy language compares it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise PolicyError("Syntax errors in policy.")


def all_hold(conditions: Iterable[Condition | NullCondition], facts: Facts) -> bool:
    """Whether all hold; every one is asked, so that all missing keys are known."""
    holding = True
    for condition in conditions:
        holding = condition.holds(facts) and holding
    return holding
