"""From the text of a statement to what it says. The parser never recurses: how deep a statement nests is counted as it is read."""

from collections.abc import Callable, Iterable
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from haar.services.dynamodb import errors, values
from haar.services.dynamodb.expressions.conditions import Call, Logic, PathNode
from haar.services.dynamodb.expressions.paths import MOST_DIGITS, Path, too_long
from haar.services.dynamodb.limits import EXPRESSION_NESTING, EXPRESSION_OPERATORS, IN_OPERANDS, PATH_ELEMENTS
from haar.services.dynamodb.partiql.syntax import Collection, Literal, Parameter, Written
from haar.services.dynamodb.values import Value
from haar.wire.errors import ServiceError

if TYPE_CHECKING:
    import lark

RETURNED = {"ALL": "ALL", "MODIFIED": "UPDATED"}
KEYWORDS = frozenset(
    (
        *("SELECT", "FROM", "WHERE", "ORDER", "BY", "ASC", "DESC", "AS", "EXISTS", "INSERT", "INTO", "VALUE", "UPDATE", "SET", "REMOVE"),
        *("DELETE", "RETURNING", "OR", "AND", "NOT", "BETWEEN", "IN", "IS"),
    )
)
SIGNS = frozenset(("COMPARATOR", "EQUAL", "PLUS", "MINUS"))


def malformed(detail: str) -> ServiceError:
    return errors.validation(f"Statement wasn't well formed, can't be processed: {detail}")


class Part(NamedTuple):
    """An expression, how deep it nests, and how many operators it has."""

    node: Any
    depth: int = 0
    operators: int = 0


def _grown(node: Any, parts: Iterable[Part], operators: int = 1) -> Part:
    depth = 1
    for part in parts:
        depth = max(depth, part.depth + 1)
        operators += part.operators
    if depth > EXPRESSION_NESTING:
        raise malformed(f"The expression is nested too deeply; maximum nesting: {EXPRESSION_NESTING}")
    if operators > EXPRESSION_OPERATORS:
        raise errors.validation(
            f"The expression contains too many operators; operator count: {operators}, maximum operators allowed: {EXPRESSION_OPERATORS}"
        )
    return Part(node, depth, operators)


def _nodes(parts: Iterable[Part]) -> tuple[Any, ...]:
    return tuple(part.node for part in parts)


def _expressions(children: Iterable[Any]) -> list[Part]:
    """The expressions among the children of a rule: tokens and what is left out are not."""
    return [each for each in children if isinstance(each, Part)]


def _unquoted(token: str) -> str:
    quote = token[0]
    return token[1:-1].replace(quote * 2, quote)


def _collected(kind: str, members: list[Part], names: tuple[str, ...] = ()) -> Part:
    """A list, set or map; a constant when nothing in it is a parameter."""
    nodes = _nodes(members)
    for node in nodes:
        if not isinstance(node, Literal | Parameter | Collection):
            raise malformed("Unexpected term")
    made = Collection(kind, nodes, names)
    if all(isinstance(node, Literal) for node in nodes):
        return _grown(Literal(canonical(assembled(made, ()))), members, 0)
    return _grown(made, members, 0)


def canonical(value: Value) -> Value:
    """The value checked and made canonical."""
    values.check(value)
    return value


def assembled(node: Any, parameters: "tuple[Value, ...] | dict[int, Value]") -> Value:
    """The value of a literal, a parameter or a collection of them; `parameters` by place. Not yet checked as a whole."""
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Parameter):
        return parameters[node.at]
    members = [assembled(member, parameters) for member in node.members]
    if node.kind == "L":
        return {"L": members}
    if node.kind == "M":
        return {"M": dict(zip(node.names, members, strict=True))}
    kinds = {values.kind_of(member) for member in members}
    if not members:
        raise errors.invalid("An string set  may not be empty")
    if len(kinds) > 1 or not kinds <= {"S", "N", "B"}:
        raise errors.validation("Sets must be of a single type: strings, numbers or binary values")
    kind = kinds.pop()
    return {kind + "S": [member[kind] for member in members]}


class _Builder:
    """Called by the parser for each rule as soon as it is read."""

    def start(self, children: list[Any]) -> Written:
        return children[0]  # type: ignore[no-any-return]

    # statements

    def select(self, children: list[Any]) -> Written:
        _, columns, _, (table, index), *rest = children
        made = Written("SELECT", table, index, columns or None)
        for name, content in rest:
            setattr(made, name, content)
        return made

    def everything(self, children: list[Any]) -> list[Path]:
        return []

    def columns(self, children: list[Any]) -> list[Path]:
        return children

    def column(self, children: list[Any]) -> Path:
        return children[0]  # type: ignore[no-any-return]

    def source(self, children: list[Any]) -> tuple[str, str | None]:
        return children[0]  # type: ignore[no-any-return]

    def target(self, children: list[Any]) -> tuple[str, str | None]:
        return children[0], children[1] if len(children) > 1 else None

    def alias(self, children: list[Any]) -> NoReturn:
        raise malformed("Aliases of tables and columns are not supported")

    def distinct(self, children: list[Any]) -> NoReturn:
        raise _unsupported(children[0])

    def clause(self, children: list[Any]) -> NoReturn:
        raise _unsupported(children[0])

    def where(self, children: list[Any]) -> tuple[str, Any]:
        return "where", children[1].node

    def order(self, children: list[Any]) -> tuple[str, Any]:
        return "order", children[2:]

    def sorting(self, children: list[Any]) -> tuple[Path, bool]:
        return children[0], len(children) > 1 and children[1].type == "DESC"

    def exists(self, children: list[Any]) -> Written:
        made: Written = children[1]
        made.kind = "EXISTS"
        return made

    def insert(self, children: list[Any]) -> Written:
        (table, index), value = children[2], children[4].node
        if not isinstance(value, Literal | Parameter | Collection):
            raise malformed("Unexpected term")
        return Written("INSERT", table, index, value=value)

    def update(self, children: list[Any]) -> Written:
        (table, index), *rest = children[1:]
        made = Written("UPDATE", table, index)
        for part in rest:
            if type(part) is not tuple:
                continue
            name, content = part
            if name == "sets":
                made.sets.append(content)
            elif name == "removals":
                made.removals.append(content)
            else:
                setattr(made, name, content)
        return made

    def assignment(self, children: list[Any]) -> tuple[str, Any]:
        return "sets", (children[0], children[-1].node)

    def removal(self, children: list[Any]) -> tuple[str, Any]:
        return "removals", children[0]

    def delete(self, children: list[Any]) -> Written:
        table, index = children[2]
        made = Written("DELETE", table, index)
        for name, content in children[3:]:
            setattr(made, name, content)
        return made

    def returning(self, children: list[Any]) -> tuple[str, str]:
        return "returning", f"{RETURNED[children[1].type]}_{children[2].type}"

    # conditions

    def _logic(self, word: str, children: list[Any]) -> Part:
        parts = _expressions(children)
        return _grown(Logic(word, _nodes(parts)), parts, len(parts) - 1)

    def disjunction(self, children: list[Any]) -> Part:
        return self._logic("OR", children)

    def conjunction(self, children: list[Any]) -> Part:
        return self._logic("AND", children)

    def negated(self, children: list[Any]) -> Part:
        return _negated(children[-1])

    def compared(self, children: list[Any]) -> Part:
        left, sign, right = children
        return _call("<>" if sign == "!=" else str(sign), [left, right])

    def equal(self, children: list[Any]) -> Part:
        return _call("=", _expressions(children))

    def between(self, children: list[Any]) -> Part:
        return _call("BETWEEN", _expressions(children))

    def not_between(self, children: list[Any]) -> Part:
        return _negated(self.between(children))

    def among(self, children: list[Any]) -> Part:
        parts = _expressions(children)
        if len(parts) > IN_OPERANDS + 1:
            raise errors.validation(
                f"Incorrect number of operands for operator or function; operator or function: IN, number of operands: {len(parts)}"
            )
        return _call("IN", parts)

    def not_among(self, children: list[Any]) -> Part:
        return _negated(self.among(children))

    def is_kind(self, children: list[Any]) -> Part:
        if children[-1].type == "MISSING":
            return _call("attribute_not_exists", [children[0]])
        return _call("attribute_type", [children[0], Part(Literal({"S": "NULL"}))])

    def is_not_kind(self, children: list[Any]) -> Part:
        if children[-1].type == "MISSING":
            return _call("attribute_exists", [children[0]])
        return _negated(self.is_kind(children))

    # operands

    def plus(self, children: list[Any]) -> Part:
        return _call("+", _expressions(children))

    def minus(self, children: list[Any]) -> Part:
        return _call("-", _expressions(children))

    def group(self, children: list[Any]) -> Part:
        return _grown(children[0].node, children, 0)

    def function(self, children: list[Any]) -> Part:
        return _call(children[0].lower(), _expressions(children))

    def attribute(self, children: list[Any]) -> Part:
        return Part(PathNode(children[0]))

    def string(self, children: list[Any]) -> Part:
        return Part(Literal({"S": _unquoted(children[0])}))

    def number(self, children: list[Any]) -> Part:
        return Part(Literal(canonical({"N": str(children[-1])})))

    def negative(self, children: list[Any]) -> Part:
        return Part(Literal(canonical({"N": "-" + str(children[-1])})))

    def true(self, children: list[Any]) -> Part:
        return Part(Literal({"BOOL": True}))

    def false(self, children: list[Any]) -> Part:
        return Part(Literal({"BOOL": False}))

    def null(self, children: list[Any]) -> Part:
        return Part(Literal({"NULL": True}))

    def parameter(self, children: list[Any]) -> Part:
        return Part(Parameter(children[0].start_pos))

    def listing(self, children: list[Any]) -> Part:
        return _collected("L", _expressions(children))

    def bag(self, children: list[Any]) -> Part:
        return _collected("SET", _expressions(children))

    def struct(self, children: list[Any]) -> Part:
        pairs = [each for each in children if type(each) is tuple]
        return _collected("M", [value for _, value in pairs], tuple(name for name, _ in pairs))

    def pair(self, children: list[Any]) -> tuple[str, Part]:
        name, value = _expressions(children)
        if not isinstance(name.node, Literal) or "S" not in name.node.value:
            raise malformed("Expected a string as the name of a member")
        return name.node.value["S"], value

    # paths

    def path(self, children: list[Any]) -> Path:
        if len(children) > PATH_ELEMENTS:
            raise errors.validation(too_long(children))
        return tuple(children)

    def index(self, children: list[Any]) -> str | int:
        token = children[0]
        if token.type == "STRING":
            return _unquoted(token)
        if not token.isdigit() or len(token) > MOST_DIGITS:
            raise malformed("Invalid path component for simple path")
        return int(token)

    def name(self, children: list[Any]) -> str:
        token = children[0]
        return _unquoted(token) if token.type == "QUOTED" else str(token)


def _call(operator: str, parts: list[Part]) -> Part:
    return _grown(Call(operator, _nodes(parts)), parts)


def _negated(part: Part) -> Part:
    return _grown(Logic("NOT", (part.node,)), [part])


@cache
def _parser() -> Callable[[str], Any]:
    """The parser; made (and lark imported) when it is first needed."""
    import lark

    text = (resources.files("haar.services.dynamodb.partiql") / "grammar.lark").read_text()
    builder: Any = _Builder()  # methods are all that is asked of it
    made = lark.Lark(text, parser="lalr", lexer="contextual", transformer=builder, maybe_placeholders=False)
    return made.parse


def ready() -> bool:
    """Whether the parser is made: that takes some tenths of a second."""
    return _parser.cache_info().currsize > 0


def parse(text: str) -> Written:
    """Raises ValidationException for what is no statement."""
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

    try:
        made: Written = _parser()(text)
        made.parameters = _places(made)
    except UnexpectedCharacters as wrong:
        raise malformed(f"Invalid character at line {wrong.line}, column {wrong.column}") from None
    except UnexpectedToken as wrong:
        raise _refused(wrong) from None
    return made


def _places(written: Written) -> tuple[int, ...]:
    found: list[int] = []
    waiting = [written.where, written.value, *(value for _, value in written.sets)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Parameter):
            found.append(node.at)
        elif isinstance(node, Collection):
            waiting += node.members
        elif isinstance(node, Call | Logic):
            waiting += node.operands
    return tuple(sorted(found))


def _unsupported(word: "lark.Token") -> ServiceError:
    return errors.validation(f"Unsupported clause: {word.upper()} at {word.line}:{word.column}:{len(word)}")


def _refused(wrong: "lark.exceptions.UnexpectedToken") -> ServiceError:
    before = wrong.token_history[-1] if wrong.token_history else None
    if before is not None and before.type == "CLAUSE":
        return _unsupported(before)
    return malformed(_detail(set(wrong.accepts), wrong.token.type, "" if before is None else before.type))


def _detail(accepted: set[str], kind: str, before: str) -> str:
    """What is wrong, in the words of AWS's parser."""
    if "INSERT" in accepted or ("SET" in accepted and "$END" not in accepted):
        return "Expected data manipulation"
    if "ALL" in accepted or "OLD" in accepted:
        return "Expected ( MODIFIED | ALL ) ( NEW | OLD ) in each returning element."
    if "$END" in accepted:
        return "Unexpected token after expression"
    if "FROM" in accepted:
        return "Expected FROM after DELETE" if before == "DELETE" else "Expected FROM after SELECT list"
    if kind in KEYWORDS:
        return "Unexpected keyword"
    if "VALUE" in accepted and kind != "$END":
        return "Unexpected token after expression"
    if "NAME" in accepted and "STRING" not in accepted:
        return "Invalid path dot component" if before == "DOT" else "Expected identifier for simple path"
    return "Unexpected operator" if kind in SIGNS else "Unexpected term"
