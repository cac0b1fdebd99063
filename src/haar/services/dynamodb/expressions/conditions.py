"""Condition, filter and key condition expressions: parsed once, checked against the request's values, run on items."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from haar.services.dynamodb import errors
from haar.services.dynamodb.expressions import operators, paths
from haar.services.dynamodb.expressions.lexer import Lexer
from haar.services.dynamodb.expressions.paths import Path
from haar.services.dynamodb.limits import CACHED_EXPRESSIONS, EXPRESSION_NESTING, EXPRESSION_OPERATORS, IN_OPERANDS
from haar.services.dynamodb.values import Item, Value, kind_of, order_key

COMPARATORS = ("=", "<>", "<", "<=", ">", ">=")
FUNCTIONS = {"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2, "size": 1}
UPDATE_FUNCTIONS = ("if_not_exists", "list_append")
TYPES = "S,SS,N,NS,B,BS,BOOL,NULL,L,M"
TYPES_OF_FILTERS = "N,BS,L,B,NULL,M,S,SS,NS,BOOL"
"""The same, as filters and key conditions tell them."""
INNER_TYPES = "HD,DOUBLE,FLOAT,HDS,FS,DOUBLESET,DICT,DECIMAL,INT,DECIMALSET,INTSET"
"""Types of DynamoDB's own, which it counts among those that an attribute may have."""
TYPE_NAMES = frozenset(TYPES.split(","))
BY_CONTENT = frozenset(("BETWEEN", "attribute_type"))
"""Operators whose values must not only be of the right type."""
SOUND_TYPES = 16
"""Combinations of values' types that an expression remembers as fitting."""

Values = Mapping[str, Value]
Test = Callable[[Item, Values], bool]
Operand = Callable[[Item, Values], Value | None]


@dataclass(frozen=True, slots=True)
class PathNode:
    path: Path


@dataclass(frozen=True, slots=True)
class ValueNode:
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function, a comparison, BETWEEN or IN."""

    operator: str
    operands: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Logic:
    """AND, OR or NOT."""

    operator: str
    operands: tuple["Node", ...]


Node = PathNode | ValueNode | Call | Logic


@dataclass(slots=True)
class Parsed:
    """What the text alone says, in the order of the text."""

    root: Node
    conditions: list[Call]
    """Comparisons and functions, in the order in which they end."""
    wrong: str | None


@dataclass(slots=True)
class Compiled:
    """A condition whose names are known."""

    parameter: str
    root: Node
    conditions: list[Call]
    test: Test
    names: frozenset[str]
    values: frozenset[str]
    heads: tuple[str, ...]
    """The attributes that the expression looks at."""
    nested: tuple[str, ...] = ()
    """Those of them that it looks into."""
    missing_names: dict[int, str] = field(default_factory=dict)
    """By index into `conditions`: what is wrong with a placeholder."""
    sound: set[tuple[str, ...]] = field(default_factory=set)
    """Types of the values (in the order of `values`) that were found to fit, where types alone decide that."""
    shape: Any = None
    """What `keyconditions` makes of the expression, once."""

    def check(self, values: Values) -> None:
        """Raises ValidationException when the values do not fit the operators, whatever the item will be."""
        kinds = kinds_of(self.values, values)
        if kinds and kinds in self.sound:
            return
        self._check(values)
        if len(self.sound) < SOUND_TYPES and not any(condition.operator in BY_CONTENT for condition in self.conditions):
            self.sound.add(kinds)

    def _check(self, values: Values) -> None:
        types = TYPES if self.parameter == "ConditionExpression" else TYPES_OF_FILTERS
        for at, condition in enumerate(self.conditions):
            wrong = self.missing_names.get(at) or _undefined_value(condition, values) or check_call(condition, values, types)
            if wrong is not None:
                raise errors.validation(f"Invalid {self.parameter}: {wrong}")

    def bind(self, values: Values) -> Callable[[Item], bool]:
        self.check(values)
        test = self.test
        return lambda item: test(item, values)


def kinds_of(names: Iterable[str], values: Values) -> tuple[str, ...]:
    """The types of the values of these names; none when one of them is not there."""
    try:
        return tuple([next(iter(values[name])) for name in names])
    except KeyError:
        return ()


class _Parser:
    def __init__(self, lexer: Lexer) -> None:
        self.lexer = lexer
        self.conditions: list[Call] = []
        self.problems: dict[str, str] = {}
        self.operators = 0
        self.depth = 0

    def parse(self) -> Parsed:
        root = self.either()
        if self.lexer.token.kind != "end":
            raise self.lexer.unexpected()
        self._need_condition(root)
        for kind in ("operators", "parens", "unknown", "misused", "reserved"):
            if kind in self.problems:
                return Parsed(root, self.conditions, self.problems[kind])
        return Parsed(root, self.conditions, None)

    def _problem(self, kind: str, message: str) -> None:
        self.problems.setdefault(kind, message)

    def _count(self) -> None:
        self.operators += 1
        if self.operators > EXPRESSION_OPERATORS:
            self.problems["operators"] = operators.TOO_MANY

    def _need_condition(self, node: Node) -> None:
        if isinstance(node, PathNode | ValueNode):
            raise self.lexer.unexpected()
        if isinstance(node, Call) and node.operator == "size":
            self._problem("misused", "The function is not allowed to be used this way in an expression; function: size")

    def _chain(self, word: str, part: Callable[[], Node]) -> Node:
        first = part()
        if not self.lexer.is_word(word):
            return first
        self._need_condition(first)
        parts = [first]
        while self.lexer.word(word):
            self._count()
            parts.append(part())
            self._need_condition(parts[-1])
        return Logic(word, tuple(parts))

    def either(self) -> Node:
        return self._chain("OR", self.both)

    def both(self) -> Node:
        return self._chain("AND", self.negation)

    def negation(self) -> Node:
        if self.lexer.word("NOT"):
            self._count()
            self._deeper()
            node = self.negation()
            self.depth -= 1
            self._need_condition(node)
            return Logic("NOT", (node,))
        return self.comparison()

    def comparison(self) -> Node:
        left = self.primary()
        token = self.lexer.token
        if token.kind == "sign" and token.text in COMPARATORS:
            self._need_operand(left)
            self.lexer.next()
            return self._condition(token.text, (left, self.operand()))
        if self.lexer.is_word("BETWEEN"):
            self._need_operand(left)
            self.lexer.next()
            low = self.operand()
            if not self.lexer.word("AND"):
                raise self.lexer.unexpected()
            return self._condition("BETWEEN", (left, low, self.operand()))
        if self.lexer.is_word("IN"):
            self._need_operand(left)
            self.lexer.next()
            self.lexer.expect("(")
            return self._condition("IN", (left, *self.arguments()))
        return left

    def _need_operand(self, node: Node) -> None:
        if isinstance(node, Logic) or (isinstance(node, Call) and node.operator in (*COMPARATORS, "BETWEEN", "IN")):
            raise self.lexer.unexpected()

    def _condition(self, operator: str, operands: tuple[Node, ...]) -> Call:
        self._count()
        self._misused(operands)
        call = Call(operator, operands)
        self.conditions.append(call)
        return call

    def _misused(self, operands: Iterable[Node]) -> None:
        for operand in operands:
            if isinstance(operand, Call) and operand.operator != "size":
                self._problem("misused", f"The function is not allowed to be used this way in an expression; function: {operand.operator}")

    def primary(self) -> Node:
        """A condition or an operand, perhaps in parentheses."""
        if not self.lexer.sign("("):
            return self.bare()
        doubled = self.lexer.token.text == "("
        self._deeper()
        node = self.either()
        self.depth -= 1
        if doubled and self.lexer.tokens[self.lexer.at - 1].text == ")" and self._wrapped(self.lexer.at):
            self._problem("parens", "The expression has redundant parentheses;")
        self.lexer.expect(")")
        if isinstance(node, PathNode) and self.lexer.token.text in (".", "["):
            raise self.lexer.unexpected()
        return node

    def _wrapped(self, close: int) -> bool:
        """Whether the parenthesis before `close` ends one that begins right behind the parenthesis that `close` ends."""
        depth, at = 0, close - 1
        while at >= 0:
            text = self.lexer.tokens[at].text
            depth += (text == ")") - (text == "(")
            if depth == 0:
                return at > 0 and self.lexer.tokens[at - 1].text == "(" and self._opens(at - 1)
            at -= 1
        return False

    def _opens(self, at: int) -> bool:
        """Whether the parenthesis at `at` groups, rather than holding a function's or IN's arguments."""
        if at == 0:
            return True
        before = self.lexer.tokens[at - 1]
        return before.kind == "sign" or before.text.upper() in ("AND", "OR", "NOT", "BETWEEN")

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > EXPRESSION_NESTING:
            raise self.lexer.wrong(f"The expression is nested too deeply; maximum nesting: {EXPRESSION_NESTING}")

    def operand(self) -> Node:
        """An operand where no condition can be."""
        if self.lexer.sign("("):
            doubled = self.lexer.token.text == "("
            self._deeper()
            node = self.operand()
            self.depth -= 1
            self.lexer.expect(")")
            if doubled:
                self._problem("parens", "The expression has redundant parentheses;")
            return node
        return self.bare()

    def bare(self) -> Node:
        token = self.lexer.token
        if token.kind == "value":
            self.lexer.next()
            return ValueNode(token.text)
        if token.kind == "name":
            if token.text.upper() in ("AND", "OR", "NOT", "BETWEEN", "IN"):
                raise self.lexer.unexpected()
            if self.lexer.tokens[self.lexer.at + 1].text == "(":
                return self.function()
        path = paths.parse_path(self.lexer)
        if (word := paths.first_reserved(path)) is not None:
            self._problem("reserved", f"Attribute name is a reserved keyword; reserved keyword: {word}")
        return PathNode(path)

    def function(self) -> Node:
        name = self.lexer.next().text
        self.lexer.expect("(")
        self._deeper()
        operands = tuple(self.arguments())
        self.depth -= 1
        self._count()
        self._misused(operands)
        if name == "size" and any(isinstance(operand, Call) for operand in operands):
            self._problem("misused", "The function is not allowed to be used this way in an expression; function: size")
        if name not in FUNCTIONS:
            known = name in UPDATE_FUNCTIONS
            self._problem(
                "unknown",
                f"The function is not allowed in a condition expression; function: {name}"
                if known
                else f"Invalid function name; function: {name}",
            )
        call = Call(name, operands)
        self.conditions.append(call)
        return call

    def arguments(self) -> list[Node]:
        operands = [self.operand()]
        while self.lexer.sign(","):
            operands.append(self.operand())
        self.lexer.expect(")")
        return operands


def parse(parameter: str, text: str) -> Parsed:
    """Parses the text of `parameter` (ConditionExpression, FilterExpression, KeyConditionExpression)."""
    return _Parser(Lexer(parameter, text)).parse()


@lru_cache(maxsize=CACHED_EXPRESSIONS)
def compile_condition(parameter: str, text: str, names: tuple[tuple[str, str], ...]) -> Compiled:
    """A condition with its names resolved. Raises ValidationException for what the text alone has wrong."""
    parsed = parse(parameter, text)
    if parsed.wrong is not None:
        raise errors.validation(f"Invalid {parameter}: {parsed.wrong}")
    known = dict(names)
    missing: dict[int, str] = {}
    used: set[str] = set()
    values: set[str] = set()
    heads: dict[str, None] = {}
    nested: dict[str, None] = {}
    resolved: dict[int, Call] = {}
    for at, condition in enumerate(parsed.conditions):
        for operand in condition.operands:
            if isinstance(operand, ValueNode):
                values.add(operand.name)
            elif isinstance(operand, PathNode):
                used.update(paths.placeholders(operand.path))
                wrong = paths.undefined_name(operand.path, known)
                if wrong is not None:
                    missing.setdefault(at, wrong)
                else:
                    head = str(paths.resolve(operand.path, known)[0])
                    heads[head] = None
                    if len(operand.path) > 1:
                        nested[head] = None
        resolved[at] = _resolved(condition, known)
    root = _resolved(parsed.root, known)
    test = operators.test(root) if not missing else operators.never
    return Compiled(
        parameter, root, list(resolved.values()), test, frozenset(used), frozenset(values), tuple(heads), tuple(nested), missing
    )


def _resolved(node: Any, names: Mapping[str, str]) -> Any:
    if isinstance(node, PathNode):
        return PathNode(paths.resolve(node.path, names))
    if isinstance(node, Call | Logic):
        return type(node)(node.operator, tuple(_resolved(operand, names) for operand in node.operands))
    return node


def _undefined_value(condition: Call, values: Values) -> str | None:
    for operand in condition.operands:
        if isinstance(operand, ValueNode) and operand.name not in values:
            return f"An expression attribute value used in expression is not defined; attribute value: {operand.name}"
    return None


def check_call(call: Call, values: Values, types: str = TYPES) -> str | None:
    """What is wrong with a function or comparison and these values, if something is."""
    operator, operands = call.operator, call.operands
    expected = FUNCTIONS.get(operator)
    if expected is not None and expected != len(operands):
        return (
            f"Incorrect number of operands for operator or function; operator or function: {operator}, number of operands: {len(operands)}"
        )
    if operator == "IN" and len(operands) > IN_OPERANDS + 1:
        return f"The IN operator is provided with too many operands; number of operands: {len(operands) - 1}"
    first = operands[0]
    if operator in ("attribute_exists", "attribute_not_exists"):
        if not isinstance(first, PathNode):
            return f"Operator or function requires a document path; operator or function: {operator}"
        return None
    if operator == "attribute_type":
        return _repeated(call) or _check_type_name(operands[1], values, types)
    wrong = _REFUSED.get(operator)
    if wrong is not None:
        for at, operand in enumerate(operands):
            kind = _static_kind(operand, values)
            if kind is not None and kind in wrong and (operator != "contains" or at == 1):
                return _wrong_type(operator, kind)
    return _repeated(call) or (_check_between(operands, values) if operator == "BETWEEN" else None)


def _repeated(call: Call) -> str | None:
    first = call.operands[0]
    if not isinstance(first, PathNode) or first not in call.operands[1:]:
        return None
    return (
        "The first operand must be distinct from the remaining operands for this operator or function; "
        f"operator: {call.operator}, first operand: {paths.show(first.path)}"
    )


_UNORDERED = frozenset(("BOOL", "NULL", "SS", "NS", "BS", "L", "M"))
_REFUSED = {
    "begins_with": TYPE_NAMES - {"S", "B"},
    "size": frozenset(("N", "BOOL", "NULL")),
    "contains": frozenset(("SS", "NS", "BS")),
    "<": _UNORDERED,
    "<=": _UNORDERED,
    ">": _UNORDERED,
    ">=": _UNORDERED,
    "BETWEEN": _UNORDERED,
}
"""Types of values that an operator can never take."""


def _wrong_type(operator: str, kind: str) -> str:
    return f"Incorrect operand type for operator or function; operator or function: {operator}, operand type: {kind}"


def _static_kind(operand: Node, values: Values) -> str | None:
    """The operand's type where it does not depend on the item."""
    if isinstance(operand, ValueNode):
        return kind_of(values[operand.name])
    return "N" if isinstance(operand, Call) and operand.operator == "size" else None


def _check_type_name(operand: Node, values: Values, types: str) -> str | None:
    kind = _static_kind(operand, values)
    if kind != "S" or not isinstance(operand, ValueNode):
        return _wrong_type("attribute_type", kind or f"{{{TYPES},{INNER_TYPES}}}")
    name = values[operand.name]["S"]
    if name not in TYPE_NAMES:
        return f"Invalid attribute type name found; type: {name}, valid types: {{{types}}}"
    return None


def _check_between(operands: tuple[Node, ...], values: Values) -> str | None:
    low, high = operands[1:]
    if not isinstance(low, ValueNode) or not isinstance(high, ValueNode):
        return None
    (low_kind, low_content), (high_kind, high_content) = (next(iter(values[each.name].items())) for each in (low, high))
    bounds = (
        f"lower bound operand: AttributeValue: {{{low_kind}:{low_content}}}, "
        f"upper bound operand: AttributeValue: {{{high_kind}:{high_content}}}"
    )
    if low_kind != high_kind:
        return f"The BETWEEN operator requires same data type for lower and upper bounds; {bounds}"
    if order_key(low_kind, low_content) > order_key(high_kind, high_content):
        return f"The BETWEEN operator requires upper bound to be greater than or equal to lower bound; {bounds}"
    return None
