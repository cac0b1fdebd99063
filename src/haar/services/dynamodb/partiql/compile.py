"""From what a statement says to what is done: what DynamoDB does not run is refused here, by name and place."""

import asyncio
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from haar.services.dynamodb import errors
from haar.services.dynamodb.expressions import paths, projections, updates
from haar.services.dynamodb.expressions.conditions import COMPARATORS, FUNCTIONS, UPDATE_FUNCTIONS, Call, Logic, PathNode, ValueNode
from haar.services.dynamodb.expressions.conditions import Node as Condition
from haar.services.dynamodb.expressions.paths import Path
from haar.services.dynamodb.limits import CACHED_STATEMENT_CHARS, CACHED_STATEMENTS, IN_OPERANDS, STATEMENT_CHARS_AT_ONCE
from haar.services.dynamodb.partiql import parse
from haar.services.dynamodb.partiql.statements import WRITES, Collection, Parameter, Statement, assembled, canonical
from haar.services.dynamodb.partiql.syntax import Node, Wild, Written
from haar.services.dynamodb.values import Item, Value

LOGIC = ("and", "or", "not")
COMPARISONS = (*COMPARATORS, "between", "in")
ARITHMETIC = ("+", "-", "*", "/", "%", "||", "like")
OPERATORS = frozenset((*LOGIC, *COMPARISONS, *ARITHMETIC))
SET_FUNCTIONS = {"set_add": "ADD", "set_delete": "DELETE"}
VALUES = frozenset(("value", "parameter", "list", "set", "map"))


async def read(text: str) -> Statement:
    """The statement that a text is; long ones, and the first, are parsed in a helper thread. Raises ValidationException."""
    if len(text) <= STATEMENT_CHARS_AT_ONCE and parse.ready():
        return kept(text)
    return await asyncio.to_thread(kept if len(text) <= CACHED_STATEMENT_CHARS else compiled, text)


def compiled(text: str) -> Statement:
    """Raises ValidationException for what is no statement, or wrong whatever its parameters will be."""
    return _Compiler(parse.parse(text)).statement()


kept = lru_cache(maxsize=CACHED_STATEMENTS)(compiled)


class _Compiler:
    def __init__(self, written: Written) -> None:
        self.written = written
        self.constants: dict[str, Value] = {}
        self.made: list[tuple[str, Any]] = []
        self.places: list[int] = []
        self.calls: list[Call] = []
        self.paths: list[Path] = []

    def statement(self) -> Statement:
        written = self.written
        if written.index is not None and written.kind in WRITES:
            raise errors.validation(
                "FROM clause may only contain a single table name in data manipulation statements"
                if written.kind == "INSERT"
                else "This operation is not supported on an index"
            )
        where = () if written.where is None else tuple(self.where(written.where))
        looked_at = list(self.paths)
        projection = None if written.columns is None else _projection([_column(node) for node in written.columns])
        update = self.update() if written.kind == "UPDATE" else None
        inserted = None if written.value is None else self.inserted(written.value)
        nested = [path for path in looked_at if len(path) > 1]
        if written.kind == "DELETE" and written.returning not in (None, "ALL_OLD"):
            wrong = f"{written.returning}".replace("UPDATED", "MODIFIED").replace("_", " ")
            raise errors.validation(
                f"Invalid returning clause: RETURNING {wrong} *. Only RETURNING ALL OLD * is allowed in DELETE statements."
            )
        return Statement(
            written.kind,
            written.table,
            written.index,
            tuple(sorted(self.places)),
            where,
            self.constants,
            tuple(self.made),
            tuple(self.calls),
            projections.heads_of(looked_at),
            (*projections.heads_of(nested), *(() if projection is None else projection.nested)),
            projection,
            _order(written),
            inserted,
            update,
            written.returning,
        )

    # WHERE

    def where(self, node: Node) -> Iterator[Condition]:
        """What must all hold."""
        if node.kind == "call" and node.content == "and":
            for part in node.parts:
                yield from self.where(self.argument(part))
        elif node.kind in VALUES or node.kind == "path" or (node.kind == "call" and node.content == "size"):
            raise errors.validation("WHERE clause must contain an expression that resolves to a boolean")
        else:
            yield self.condition(node)

    def argument(self, node: Node) -> Node:
        if node.kind in VALUES or node.kind == "path":
            raise errors.validation("The arguments to AND/OR must be Expressions")
        return node

    def condition(self, node: Node) -> Condition:
        """A condition; whatever can be true or false."""
        operator = node.content
        if node.kind != "call":
            raise _foreign(node)
        if operator == "not":
            (part,) = node.parts
            if part.kind in VALUES or part.kind == "path":
                raise errors.validation("The argument to NOT must be a Type or Expression")
            return Logic("NOT", (self.condition(part),))
        if operator in LOGIC:
            return Logic(operator.upper(), tuple(self.condition(self.argument(part)) for part in node.parts))
        if operator in ARITHMETIC:
            raise errors.validation(f"Unsupported operator in Condition Expression. Operator: {operator}")
        if operator not in COMPARISONS and (operator not in FUNCTIONS or operator == "size"):
            raise self.wrong_function(node)
        if operator == "in" and len(node.parts) > IN_OPERANDS + 1:
            raise _wrong_count("IN", len(node.parts))
        _check_count(node)
        made = Call(operator.upper() if operator in ("in", "between") else operator, tuple(self.operand(part) for part in node.parts))
        if operator in ("attribute_exists", "attribute_not_exists") and not isinstance(made.operands[0], PathNode):
            raise errors.validation(f"Operator or function requires a document path; operator or function: {operator}")
        self.calls.append(made)
        return made

    def wrong_function(self, node: Node) -> Exception:
        if node.content in UPDATE_FUNCTIONS:
            return errors.validation(f"The function is not allowed in a condition expression; function: {node.content}")
        return _unrecognized(node)

    def operand(self, node: Node) -> Condition:
        if node.kind == "path":
            path = _path(node)
            self.paths.append(path)
            return PathNode(path)
        if node.kind in VALUES:
            return ValueNode(self.value(node))
        if node.kind != "call":
            raise _foreign(node)
        if node.content == "size":
            _check_count(node)
            made = Call("size", (self.operand(node.parts[0]),))
            self.calls.append(made)
            return made
        if node.content in OPERATORS:
            raise errors.validation(f"Unsupported operator in Condition Expression. Operator: {node.content}")
        raise self.wrong_function(node)

    # values

    def value(self, node: Node) -> str:
        """The name under which the value is known."""
        name = f":{len(self.constants) + len(self.made)}"
        made = self.leaf(node, "root")
        if isinstance(made, Parameter | Collection):
            self.made.append((name, made))
        else:
            self.constants[name] = canonical(made)
        return name

    def leaf(self, node: Node, key: str) -> Any:
        """A value, a Parameter, or a Collection that holds parameters; `key` is where in the whole value it stands."""
        if node.kind == "value":
            return node.content
        if node.kind == "parameter":
            self.places.append(node.content)
            return Parameter(node.content)
        if node.kind == "list":
            return _constant(Collection("L", tuple(self.leaf(part, f"{key}.{at}") for at, part in enumerate(node.parts))))
        if node.kind == "set":
            return self.bag(node)
        if node.kind == "map":
            return self.struct(node, key)
        raise _no_value(_class(node), key, node)

    def bag(self, node: Node) -> Any:
        if not node.parts:
            raise errors.validation(f"Empty bags are not supported at {node.at}")
        for part in node.parts:
            if part.kind != "parameter" and not (part.kind == "value" and part.content.keys() <= {"S", "N"}):
                raise errors.validation(
                    f"Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags at {part.at}"
                )
        return _constant(Collection("SET", tuple(self.leaf(part, "") for part in node.parts)))

    def struct(self, node: Node, key: str, direct: bool = False) -> Any:
        """A map; `direct` when it is an item, whose attributes are told by name when they are wrong."""
        names: list[str] = []
        members = []
        for name, part in zip(node.content, node.parts, strict=True):
            if name.kind != "value" or "S" not in name.content:
                kind = {"N": "INT", "BOOL": "BOOL", "NULL": "NULL"}[next(iter(name.content))] if name.kind == "value" else _class(name)
                raise errors.validation(f"Tuple keys must be of type String. Actual type: {kind} under root at {name.at}")
            text = name.content["S"]
            if not text:
                raise errors.validation("Path component cannot be an empty string")
            if text in names:
                place = name.at if direct else node.at
                raise errors.validation(f"Duplicate keys in tuple. Key: {text} under root at {place}")
            names.append(text)
            if direct and part.kind not in VALUES:
                raise _no_value(_called(part), key, part)
            members.append(self.leaf(part, key if direct else f"{key}.{text}"))
        return _constant(Collection("M", tuple(members), tuple(names)))

    def inserted(self, node: Node) -> Any:
        if node.kind != "map":
            raise errors.validation(
                "Unsupported format in item expression. "
                f"Please use struct format {{...}} to express item values for insert statement. at {node.at}"
            )
        made = self.struct(node, "root", direct=True)
        return made if isinstance(made, Collection) else canonical(made)

    # UPDATE

    def update(self) -> updates.Compiled:
        actions = [self.assignment(path, node) for path, node in self.written.sets]
        actions += [updates.Action("REMOVE", _checked(path)) for path in self.written.removals]
        return updates.compile_actions(tuple(actions))

    def assignment(self, path: Path, node: Node) -> updates.Action:
        section = SET_FUNCTIONS.get(node.content) if node.kind == "call" else None
        if section is None:
            return updates.Action("SET", _checked(path), self.assigned(node))
        if len(node.parts) != 2:
            raise _wrong_count(node.content, len(node.parts))
        first, second = node.parts
        if first.kind != "path" or first.content != path:
            raise errors.validation(f"The first argument to {node.content.upper()} must equal the assignment value")
        if second.kind not in VALUES:
            raise _no_value(_class(second), "root", second)
        return updates.Action(section, _checked(path), self.value(second))

    def assigned(self, node: Node) -> Any:
        """What is set, as updates have it."""
        if node.kind == "path":
            return _path(node)
        if node.kind in VALUES:
            return self.value(node)
        if node.kind != "call":
            raise _foreign(node)
        if node.content in updates.FUNCTIONS:
            if node.content in "+-" and len(node.parts) != 2:
                raise _wrong_count(node.content, len(node.parts))
            return updates.Call(node.content, tuple(self.assigned(part) for part in node.parts))
        if node.content in OPERATORS:
            raise errors.validation(f"Unsupported operator in Update Expression. Operator: {node.content}")
        if node.content in FUNCTIONS:
            raise errors.validation(f"The function is not allowed in an update expression; function: {node.content}")
        raise _unrecognized(node)


def _constant(made: Collection) -> Any:
    """The value, where it does not depend on a parameter."""
    constant = not any(isinstance(member, Parameter | Collection) for member in made.members)
    return assembled(made, {}) if constant else made


def _class(node: Node) -> str:
    """The kind of an expression that is no value, as AWS's parser calls it."""
    if node.kind == "path":
        return "Path" if len(node.content) > 1 else "VariableReference"
    if node.kind == "other":
        return node.content if isinstance(node.content, str) else "SELECT"
    return {"value": "Literal", "parameter": "Parameter", "list": "Seq", "set": "Seq", "map": "Struct"}.get(node.kind, "NAry")


def _called(node: Node) -> str:
    """What an expression that is no value is called where a value should stand."""
    if node.kind == "path":
        return str(node.content[0]) if len(node.content) == 1 else "PATH"
    return str(node.content) if node.kind == "call" else _class(node)


def _no_value(what: str, key: str, node: Node) -> Exception:
    place = "" if node.kind == "path" and len(node.content) > 1 else f" at {node.at}"
    return errors.validation(f"Unsupported data type: {what} under key {key}{place}")


def _foreign(node: Node) -> Exception:
    if node.content == "MISSING":
        return errors.validation("MISSING must be compared using IS operator")
    return errors.validation(f"Unsupported token in expression: {_class(node)} at {node.at}")


def _unrecognized(node: Node) -> Exception:
    if node.parts and node.parts[0].kind == "other" and node.content == "exists":
        return _foreign(node.parts[0])
    return errors.validation(f"Unrecognized function: {node.content}")


def _check_count(call: Node) -> None:
    expected = FUNCTIONS.get(call.content)
    if expected is not None and expected != len(call.parts):
        raise _wrong_count(call.content, len(call.parts))


def _wrong_count(operator: str, operands: int) -> Exception:
    return errors.validation(
        f"Incorrect number of operands for operator or function; operator or function: {operator}, number of operands: {operands}"
    )


def _path(node: Node) -> Path:
    return _checked(node.content)


def _checked(path: tuple[Any, ...]) -> Path:
    for part in path:
        if isinstance(part, Wild):
            what = "Wildcard path component like a[*].b are" if part.bracketed else "Unpivot path component like a.*.b are"
            raise errors.validation(f"{what} not supported at {part.at}")
    return path


def _column(node: Node) -> Path:
    if node.kind != "path":
        raise errors.validation(f"Unexpected path component at {node.at}")
    if isinstance(node.content[-1], Wild):
        raise errors.validation("Changing item's hierarchy while reading isn't supported")
    return _path(node)


def _order(written: Written) -> tuple[tuple[str, bool], ...]:
    if written.order and written.where is None:
        raise errors.validation("Must have WHERE clause in the statement when using ORDER BY clause.")
    for node, _ in written.order:
        if node.kind != "path" or len(node.content) > 1:
            shown = _called(node)
            if node.kind == "value":
                ((kind, content),) = node.content.items()
                shown = f'"{content}"' if kind == "S" else content
            raise errors.validation(f"Argument to ORDER BY must be of type VariableReference. Type: {shown}")
    return tuple((str(node.content[0]), descending) for node, descending in written.order)


def _projection(columns: list[Path]) -> projections.Compiled:
    """Each column under its last name, and the positions behind it."""
    chosen = tuple((_column_name(path), paths.getter(path)) for path in columns)

    def project(item: Item) -> Item:
        return {name: value for name, get in chosen if (value := get(item)) is not None}

    nested = projections.heads_of([path for path in columns if len(path) > 1])
    return projections.Compiled(tuple(columns), project, frozenset(), projections.heads_of(columns), nested)


def _column_name(path: Path) -> str:
    at = max(at for at, part in enumerate(path) if isinstance(part, str))
    return str(path[at]) + "".join(f"[{part}]" for part in path[at + 1 :])
