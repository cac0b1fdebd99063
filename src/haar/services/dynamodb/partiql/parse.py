"""From the text of a statement to what it says. The parser never recurses: how deep a statement nests is counted as it is read."""

from collections.abc import Callable, Iterable
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NoReturn

from haar.services.dynamodb import errors, values
from haar.services.dynamodb.expressions.paths import MOST_DIGITS, Path, too_long
from haar.services.dynamodb.limits import EXPRESSION_NESTING, EXPRESSION_OPERATORS, PATH_ELEMENTS
from haar.services.dynamodb.partiql.syntax import Node, Wild, Written
from haar.wire.errors import ServiceError

if TYPE_CHECKING:
    import lark

RETURNED = {"ALL": "ALL", "MODIFIED": "UPDATED"}
SIGNS = frozenset(("COMPARATOR", "EQUAL", "PLUS", "MINUS", "STAR", "SLASH", "PERCENT", "JOINED"))
NO_DATA = {"value": "Literal", "parameter": "Parameter", "list": "Seq", "set": "Seq", "map": "Struct", "other": "Literal"}
ONLY_IN_TRANSACTIONS = "EXISTS can only be used in ExecuteTransaction write requests."
SEVERAL_TABLES = "Only select from a single table or index is supported."


def malformed(detail: str) -> ServiceError:
    return errors.validation(f"Statement wasn't well formed, can't be processed: {detail}")


def _at(token: Any) -> str:
    return f"{token.line}:{token.column}:{len(token)}"


def _grown(kind: str, content: Any, at: str, parts: Iterable[Node], operators: int = 1) -> Node:
    parts = tuple(parts)
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
    return Node(kind, content, at, parts, depth, operators)


def _nodes(children: Iterable[Any]) -> list[Node]:
    """The expressions among the children of a rule: tokens and what is left out are not."""
    return [each for each in children if isinstance(each, Node)]


def _token(children: Iterable[Any], *kinds: str) -> Any:
    return next(each for each in children if getattr(each, "type", None) in kinds)


def _unquoted(token: str) -> str:
    quote = token[0]
    return token[1:-1].replace(quote * 2, quote)


class _Builder:
    """Called by the parser for each rule as soon as it is read."""

    def start(self, children: list[Any]) -> Written:
        if isinstance(children[0], Written):
            return children[0]
        made = bare(children[0])
        if made.kind == "other" and isinstance(made.content, Written):
            return made.content
        if made.kind == "call":
            if made.content == "exists" and isinstance(written := made.parts[0].content, Written):
                written.kind = "EXISTS"
                return written
            raise errors.validation(ONLY_IN_TRANSACTIONS)
        what = NO_DATA.get(made.kind) or ("Path" if len(made.content) > 1 else "VariableReference")
        raise errors.validation(f"Unsupported operation: {what}")

    def united(self, children: list[Any]) -> NoReturn:
        raise errors.validation(ONLY_IN_TRANSACTIONS)  # for DynamoDB, what joins two expressions is a condition

    # statements

    def select(self, children: list[Any]) -> Written:
        if any(getattr(each, "type", "") == "DISTINCT" for each in children):
            raise errors.validation("Unsupported token in expression: DISTINCT")
        first, columns, _, (table, index), *rest = [each for each in children if getattr(each, "type", "") != "ALL"]
        made = Written("SELECT", table, index, columns or None, at=_at(first))
        for name, content in rest:
            setattr(made, name, content)
        return made

    def everything(self, children: list[Any]) -> list[Node]:
        return []

    def columns(self, children: list[Any]) -> list[Node]:
        return children

    def column(self, children: list[Any]) -> Node:
        return bare(children[0])

    def valued(self, children: list[Any]) -> NoReturn:
        raise errors.validation("Select projection doesn't support value or pivot keywords")

    def target(self, children: list[Any]) -> tuple[str, str | None]:
        if len(children) > 2:
            raise errors.validation("A path may contain at most 2 components in the FROM clause")
        names = [name for name, _ in children]
        return names[0], names[1] if len(names) > 1 else None

    def joined(self, children: list[Any]) -> NoReturn:
        raise errors.validation(SEVERAL_TABLES)

    def unnamed(self, children: list[Any]) -> NoReturn:
        raise errors.validation("Unexpected from source")

    def alias(self, children: list[Any]) -> NoReturn:
        raise errors.validation("Aliasing is not supported")

    def where(self, children: list[Any]) -> tuple[str, Node]:
        return "where", bare(children[1])

    def group(self, children: list[Any]) -> NoReturn:
        raise errors.validation("Unsupported clause: GROUP BY")

    def having(self, children: list[Any]) -> NoReturn:
        raise errors.validation(f"Unsupported clause: HAVING at {children[1].at}")

    def limit(self, children: list[Any]) -> NoReturn:
        raise errors.validation(f"Unsupported clause: LIMIT at {children[1].at}")

    def order(self, children: list[Any]) -> tuple[str, list[tuple[Node, bool]]]:
        return "order", children[2:]

    def sorting(self, children: list[Any]) -> tuple[Node, bool]:
        return bare(children[0]), len(children) > 1 and children[1].type == "DESC"

    def insert(self, children: list[Any]) -> Written:
        (table, index), value = children[2], children[4]
        return Written("INSERT", table, index, value=bare(value))

    def insert_many(self, children: list[Any]) -> NoReturn:
        raise errors.validation("Unsupported operation: InsertOp")

    def no_returning(self, children: list[Any]) -> NoReturn:
        raise errors.validation("RETURNING is not supported in INSERT")

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
        (path, _), value = children
        return "sets", (path, bare(value))

    def removal(self, children: list[Any]) -> tuple[str, Any]:
        return "removals", children[0][0]

    def delete(self, children: list[Any]) -> Written:
        table, index = children[2]
        made = Written("DELETE", table, index)
        for name, content in children[3:]:
            setattr(made, name, content)
        return made

    def returning(self, children: list[Any]) -> tuple[str, str]:
        _, what, which, all_of_it, *more = children
        if more:
            raise errors.validation("Invalid syntax with multiple returning elements in RETURNING clause")
        if getattr(all_of_it, "type", None) != "STAR":
            raise errors.validation("Expected '*' after ( MODIFIED | ALL ) ( NEW | OLD ) in RETURNING clause")
        return "returning", f"{RETURNED[what.type]}_{which.type}"

    # conditions

    def _logic(self, word: str, children: list[Any]) -> Node:
        parts = _nodes(children)
        last = [each for each in children if not isinstance(each, Node)]
        return parts[0] if len(parts) == 1 else _grown("call", word, _at(last[-1]), map(bare, parts), len(parts) - 1)

    def either(self, children: list[Any]) -> Node:
        return self._logic("or", children)

    def both(self, children: list[Any]) -> Node:
        return self._logic("and", children)

    def negated(self, children: list[Any]) -> Node:
        return _negated(children[-1], children[0])

    def compared(self, children: list[Any]) -> Node:
        """What stands between two operands: comparisons and arithmetic."""
        left, sign, right = children
        return _call("<>" if sign == "!=" else sign.lower(), sign, [left, right])

    def not_like(self, children: list[Any]) -> Node:
        return _call("like", _token(children, "LIKE"), _nodes(children))

    def between(self, children: list[Any]) -> Node:
        return _call("between", _token(children, "BETWEEN"), _nodes(children))

    def not_between(self, children: list[Any]) -> Node:
        return _negated(self.between(children), _token(children, "NOT"))

    def among(self, children: list[Any]) -> Node:
        left, right = _nodes(children)
        members = right.parts if right.kind in ("list", "set", "group") else ()
        if not members:
            raise errors.validation(
                "IN operator must have a left hand argument of type Variable Reference "
                "and right hand argument of type Seq with at least one member"
            )
        return _call("in", _token(children, "IN"), [left, *members])

    def not_among(self, children: list[Any]) -> Node:
        return _negated(self.among(children), _token(children, "NOT"))

    def is_kind(self, children: list[Any]) -> Node:
        sign = _token(children, "IS")
        if children[-1].type == "MISSING":
            return _call("attribute_not_exists", sign, [children[0]])
        return _call("attribute_type", sign, [children[0], Node("value", {"S": "NULL"}, _at(children[-1]))])

    def is_not_kind(self, children: list[Any]) -> Node:
        if children[-1].type == "MISSING":
            return _call("attribute_exists", _token(children, "IS"), [children[0]])
        return _negated(self.is_kind(children), _token(children, "NOT"))

    # operands

    def sign(self, children: list[Any]) -> Node:
        sign, part = children
        if part.kind == "value" and "N" in part.content:
            number = part.content["N"]
            return part if sign == "+" else self._number(number[1:] if number[0] == "-" else f"-{number}", part.at)
        return _call(str(sign), sign, [part])

    def group_of_one(self, children: list[Any]) -> Node:
        """Told apart from what is in it, which IN needs; `_call` and the compiler look through it."""
        return _grown("group", None, children[1].at, [children[1]], 0)

    def function(self, children: list[Any]) -> Node:
        parts = [
            Node("other", part, part.at) if isinstance(part, Written) else part for part in children[1:] if isinstance(part, Node | Written)
        ]
        return _call(children[0].lower(), children[0], parts)

    def subselect(self, children: list[Any]) -> Node:
        return Node("other", children[1], children[1].at)

    def case(self, children: list[Any]) -> Node:
        return _grown("other", "CASE", _at(children[0]), _nodes(children))

    def cast(self, children: list[Any]) -> Node:
        return _grown("other", "cast", _at(children[1]), _nodes(children))

    def missing(self, children: list[Any]) -> Node:
        return Node("other", "MISSING", _at(children[0]))

    def attribute(self, children: list[Any]) -> Node:
        return Node("path", *children[0])

    def string(self, children: list[Any]) -> Node:
        return Node("value", {"S": _unquoted(children[0])}, _at(children[0]))

    def number(self, children: list[Any]) -> Node:
        return self._number(str(children[0]), _at(children[0]))

    def _number(self, text: str, at: str) -> Node:
        value = {"N": text}
        values.check(value)
        return Node("value", value, at)

    def true(self, children: list[Any]) -> Node:
        return Node("value", {"BOOL": True}, _at(children[0]))

    def false(self, children: list[Any]) -> Node:
        return Node("value", {"BOOL": False}, _at(children[0]))

    def null(self, children: list[Any]) -> Node:
        return Node("value", {"NULL": True}, _at(children[0]))

    def parameter(self, children: list[Any]) -> Node:
        return Node("parameter", children[0].start_pos, _at(children[0]))

    def listing(self, children: list[Any]) -> Node:
        return _grown("list", None, _at(children[0]), map(bare, _nodes(children)), 0)

    def bag(self, children: list[Any]) -> Node:
        return _grown("set", None, _at(children[0]), map(bare, _nodes(children)), 0)

    def struct(self, children: list[Any]) -> Node:
        pairs = children[1:]
        return _grown("map", tuple(name for name, _ in pairs), _at(children[0]), [value for _, value in pairs], 0)

    def pair(self, children: list[Any]) -> tuple[Node, Node]:
        name, value = map(bare, children)
        return name, value

    # paths

    def path(self, children: list[Any]) -> tuple[Path, str]:
        if len(children) > PATH_ELEMENTS:
            raise errors.validation(too_long([part for part, _ in children]))
        return tuple(part for part, _ in children), children[0][1]

    def wild(self, children: list[Any]) -> tuple[Wild, str]:
        return Wild(False, _at(children[0])), ""

    def index(self, children: list[Any]) -> tuple[str | int | Wild, str]:
        token = children[-1]
        if token.type == "STAR":
            return Wild(True, _at(token)), ""
        if len(children) > 1:
            raise errors.validation(f"List index is not within the allowable range; index: [-{token}] at {_at(token)}")
        if token.type != "NUMBER":
            return _unquoted(token) if token.type in ("STRING", "QUOTED") else str(token), ""
        if not token.isdigit() or len(token) > MOST_DIGITS:
            raise malformed("Invalid path component for simple path")
        return int(token), ""

    def name(self, children: list[Any]) -> tuple[str, str]:
        token = children[0]
        return _unquoted(token) if token.type == "QUOTED" else str(token), _at(token)


def bare(node: Node) -> Node:
    """What is in the parentheses, if it is in any."""
    while node.kind == "group":
        (node,) = node.parts
    return node


def _call(operator: str, token: Any, parts: Iterable[Node]) -> Node:
    return _grown("call", operator, _at(token), map(bare, parts))


def _negated(part: Node, token: Any) -> Node:
    return _call("not", token, [part])


@cache
def _keywords() -> frozenset[str]:
    """The words that are no names unless they are quoted: https://partiql.org"""
    return frozenset((resources.files("haar.services.dynamodb") / "data" / "partiql_keywords.txt").read_text().split())


def _told_apart(token: "lark.Token") -> "lark.Token":
    return token if token.lower() not in _keywords() else token.update(type="KEYWORD")


@cache
def _parser() -> Callable[[str], Any]:
    """The parser; made (and lark imported) when it is first needed."""
    import lark

    text = (resources.files("haar.services.dynamodb.partiql") / "grammar.lark").read_text()
    builder: Any = _Builder()  # methods are all that is asked of it
    made = lark.Lark(
        text,
        parser="lalr",
        lexer="contextual",
        transformer=builder,
        maybe_placeholders=False,
        lexer_callbacks={"NAME": _told_apart},
    )
    return made.parse


def ready() -> bool:
    """Whether the parser is made: that takes some tenths of a second."""
    return _parser.cache_info().currsize > 0


def parse(text: str) -> Written:
    """Raises ValidationException for what is no statement."""
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

    try:
        return _parser()(text)  # type: ignore[no-any-return]  # lark's results are of any type
    except UnexpectedCharacters as wrong:
        raise malformed(f"Invalid character at line {wrong.line}, column {wrong.column}") from None
    except UnexpectedToken as wrong:
        raise _refused(text, wrong) from None


def _refused(text: str, wrong: "lark.exceptions.UnexpectedToken") -> ServiceError:
    first, second, *_ = *text.upper().split(), "", ""
    if first in ("CREATE", "DROP") and second in ("TABLE", "INDEX"):
        return errors.validation(f"Unsupported operation: {first.title()}{second.title()}")
    before = wrong.token_history[-1] if wrong.token_history else None
    return malformed(_detail(set(wrong.accepts), wrong.token, "" if before is None else before.type))


def _detail(accepted: set[str], token: "lark.Token", before: str) -> str:
    """What is wrong, in the words of AWS's parser."""
    if "INSERT" in accepted or ("SET" in accepted and "$END" not in accepted):
        return "Expected data manipulation"
    if "MODIFIED" in accepted or "OLD" in accepted:
        return "Expected ( MODIFIED | ALL ) ( NEW | OLD ) in each returning element."
    if "$END" in accepted:
        return "Unexpected token after expression"
    if "FROM" in accepted:
        return "Expected FROM after DELETE" if before == "DELETE" else "Expected FROM after SELECT list"
    if token.type != "$END" and token.lower() in _keywords():
        return "Unexpected keyword"
    if "VALUE" in accepted and token.type != "$END":
        return "Unexpected token after expression"
    if "NAME" in accepted and "STRING" not in accepted:
        return "Invalid path dot component" if before == "DOT" else "Expected identifier for simple path"
    return "Unexpected operator" if token.type in SIGNS else "Unexpected term"
