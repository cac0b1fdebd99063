"""Update expressions: SET, REMOVE, ADD and DELETE, parsed once, checked against the request's values, applied to items."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import Any

import orjson

from haar.services.dynamodb import errors, numbers
from haar.services.dynamodb.expressions import operators, paths
from haar.services.dynamodb.expressions.conditions import FUNCTIONS as CONDITION_FUNCTIONS
from haar.services.dynamodb.expressions.conditions import SOUND_TYPES, kinds_of
from haar.services.dynamodb.expressions.lexer import Lexer
from haar.services.dynamodb.expressions.paths import Path
from haar.services.dynamodb.expressions.projections import heads_of
from haar.services.dynamodb.limits import CACHED_EXPRESSIONS, EXPRESSION_NESTING, EXPRESSION_OPERATORS
from haar.services.dynamodb.sets import difference, union
from haar.services.dynamodb.values import SETS, Item, Value, check_nesting, kind_of

SECTIONS = ("SET", "REMOVE", "ADD", "DELETE")
FUNCTIONS = {"if_not_exists": 2, "list_append": 2, "+": 2, "-": 2}
WORDS = {"S": "STRING", "N": "NUMBER", "B": "BINARY", "NULL": "NULL", "BOOL": "BOOLEAN", "L": "LIST", "M": "MAP"}
MISSING = "The provided expression refers to an attribute that does not exist in the item"
WRONG_PATH = "The document path provided in the update expression is invalid for update"
WRONG_TYPE = "An operand in the update expression has an incorrect data type"

Values = Mapping[str, Value]
Operand = Callable[[Item, Values], Value]


@dataclass(frozen=True, slots=True)
class Call:
    """A function or arithmetic in SET."""

    name: str
    operands: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Action:
    section: str
    path: Path
    operand: Any = None
    """A path (tuple), a value's name (`:x`) or a Call; None for REMOVE."""


@dataclass(slots=True)
class Compiled:
    """What can be known of an update without a request's values is worked out once: the same text comes again and again."""

    actions: tuple[Action, ...]
    names: frozenset[str]
    values: frozenset[str]
    wrong_name: str | None
    wrong_paths: str | None
    sets: list[tuple[Path, Operand]]
    others: list[Action]
    paths: tuple[Path, ...] = field(init=False)
    written: tuple[Path, ...] = field(init=False)
    """The paths that are not removed: positions behind them in a list name something else afterwards."""
    removed: list[Path] = field(init=False)
    only_removes: bool = field(init=False)
    """Whether it can but take something away: then it makes no item where there is none."""
    heads: tuple[str, ...] = field(init=False)
    """The attributes that are changed."""
    accessed: tuple[str, ...] = field(init=False)
    """These, and those that values are made of."""
    nested: tuple[str, ...] = field(init=False)
    """Those of all of them that it looks into."""
    literal: tuple[tuple[str, str], ...] = field(init=False)
    """Whole attributes that values of the request are put into: attribute, value."""
    sound: set[tuple[str, ...]] = field(default_factory=set)
    """Types of the values (in the order of `values`) that were found to fit: types alone decide that."""

    def __post_init__(self) -> None:
        self.paths = tuple(action.path for action in self.actions)
        self.written = tuple(action.path for action in self.actions if action.section != "REMOVE")
        self.removed = [action.path for action in self.others if action.section == "REMOVE"]
        self.only_removes = all(action.section in ("REMOVE", "DELETE") for action in self.actions)
        self.heads = heads_of(self.paths)
        every = [*self.paths, *(path for action in self.actions for path in _operand_paths(action.operand))]
        self.accessed = heads_of(every)
        self.nested = tuple(str(path[0]) for path in every if len(path) > 1)
        self.literal = tuple(
            (str(each.path[0]), each.operand)
            for each in self.actions
            if each.section in ("SET", "ADD") and len(each.path) == 1 and type(each.operand) is str
        )

    def given(self, values: Values) -> Item:
        """What of the new item is known whatever the old one is."""
        return {name: values[value] for name, value in self.literal}

    def check(self, values: Values) -> None:
        """Raises ValidationException when the values do not fit, whatever the item will be."""
        if (wrong := self.problem(values)) is not None:
            raise errors.validation(f"Invalid UpdateExpression: {wrong}")

    def problem(self, values: Values) -> str | None:
        kinds = kinds_of(self.values, values)
        if kinds and kinds in self.sound:
            return None
        wrong = self.wrong_name
        if wrong is None:
            undefined = next((name for action in self.actions for name in _value_names(action.operand) if name not in values), None)
            if undefined is not None:
                wrong = f"An expression attribute value used in expression is not defined; attribute value: {undefined}"
        wrong = wrong or self.wrong_paths or self._wrong_operand(values) or self._wrong_call(values)
        if wrong is None and len(self.sound) < SOUND_TYPES:
            self.sound.add(kinds)
        return wrong

    def _wrong_operand(self, values: Values) -> str | None:
        for action in self.others:
            if action.section == "REMOVE":
                continue
            kind = kind_of(values[action.operand])
            if kind not in SETS and not (kind == "N" and action.section == "ADD"):
                return (
                    f"Incorrect operand type for operator or function; operator: {action.section}, operand type: {WORDS[kind]}, "
                    f"typeSet: ALLOWED_FOR_{action.section}_OPERAND"
                )
        return None

    def _wrong_call(self, values: Values) -> str | None:
        for action in self.actions:
            wrong = _check_calls(action.operand, values)
            if wrong is not None:
                return wrong
        return None

    def apply(self, item: Item, values: Values) -> Item:
        """A new item. Raises ValidationException where the item's shape does not allow an action."""
        results = [(path, operand(item, values)) for path, operand in self.sets]
        changed = Editor(item)
        for path, value in results:
            changed.put(path, value)
        for action in self.others:
            if action.section == "ADD":
                changed.put(action.path, _added(changed.get(action.path), values[action.operand]))
            elif action.section == "DELETE":
                _take_away(changed, action.path, values[action.operand])
        for path in self.removed:
            changed.remove(path)
        changed.finish()
        if self.sets:
            changed.check_nesting()
        return changed.item


class Editor:
    """A copy of an item that is changed path by path; what is not touched is shared with the original.

    Positions in lists are those of before, until all is done.
    """

    def __init__(self, item: Item) -> None:
        self.item = dict(item)
        self._copied: set[str] = set()
        self._appended: list[tuple[int, list[Value], Value]] = []
        self._removed: list[tuple[int, list[Value]]] = []

    def get(self, path: Path) -> Value | None:
        """Raises ValidationException when the way to the path does not exist."""
        if len(path) == 1:
            return self.item.get(path[0])  # type: ignore[arg-type]  # a path begins with a name
        return paths.step(self._parent(path), path[-1])

    def _parent(self, path: Path) -> Value:
        """The map or list that holds the path's last part, ours to change."""
        head = str(path[0])
        if head not in self.item:
            raise errors.validation(WRONG_PATH)
        if head not in self._copied:
            self._copied.add(head)
            self.item[head] = orjson.loads(orjson.dumps(self.item[head]))
        value: Value | None = self.item[head]
        for part in path[1:-1]:
            value = None if value is None else paths.step(value, part)
        if value is None or ("M" if type(path[-1]) is str else "L") not in value:
            raise errors.validation(WRONG_PATH)
        return value

    def put(self, path: Path, value: Value) -> None:
        """Sets the path; what lies behind the end of a list is to be its new end."""
        if len(path) == 1:
            self.item[str(path[0])] = value
            return
        parent, last = self._parent(path), path[-1]
        if isinstance(last, str):
            parent["M"][last] = value
        elif last < len(parent["L"]):
            parent["L"][last] = value
        else:
            self._appended.append((last, parent["L"], value))

    def remove(self, path: Path) -> None:
        if len(path) == 1:
            self.item.pop(str(path[0]), None)
            return
        parent, last = self._parent(path), path[-1]
        if isinstance(last, str):
            parent["M"].pop(last, None)
        elif last < len(parent["L"]):
            self._removed.append((last, parent["L"]))

    def finish(self) -> None:
        """Does what changes positions."""
        for position, elements in sorted(self._removed, key=itemgetter(0), reverse=True):
            del elements[position]
        for _, elements, value in sorted(self._appended, key=itemgetter(0)):
            elements.append(value)

    def check_nesting(self) -> None:
        """Raises ValidationException when something that was put inside is now too deep."""
        for head in self._copied:
            if head in self.item:
                check_nesting(self.item[head])


def _added(value: Value | None, more: Value) -> Value:
    if value is None:
        return more
    kind, content = next(iter(more.items()))
    have = value.get(kind)
    if have is None:
        raise errors.validation(WRONG_TYPE)
    return {"N": numbers.add(have, content)} if kind == "N" else {kind: union(kind, have, content)}


def _take_away(changed: Editor, path: Path, less: Value) -> None:
    value = changed.get(path)
    if value is None:
        return
    kind, content = next(iter(less.items()))
    have = value.get(kind)
    if have is None:
        raise errors.validation(WRONG_TYPE)
    left = difference(have, content)
    if left:
        changed.put(path, {kind: left})
    else:
        changed.remove(path)


class _Parser:
    def __init__(self, lexer: Lexer) -> None:
        self.lexer = lexer
        self.actions: list[Action] = []
        self.problems: dict[str, str] = {}
        self.seen: set[str] = set()
        self.operators = 0
        self.depth = 0
        self.group = (-1, -1)
        """Where the parentheses that were read last begin, and what follows them."""

    def parse(self) -> list[Action]:
        while True:
            section = self.lexer.token.text.upper()
            if self.lexer.token.kind != "name" or section not in SECTIONS:
                raise self.lexer.unexpected()
            self.lexer.next()
            if section in self.seen:
                self.problems.setdefault("section", f'The "{section}" section can only be used once in an update expression;')
            self.seen.add(section)
            self.actions.append(self.action(section))
            while self.lexer.sign(","):
                self.actions.append(self.action(section))
            if self.lexer.token.kind == "end":
                break
        if self.operators > EXPRESSION_OPERATORS:
            self.problems["operators"] = operators.TOO_MANY
        for kind in ("operators", "parens", "reserved", "unknown", "misused", "section"):
            if kind in self.problems:
                raise self.lexer.wrong(self.problems[kind])
        return self.actions

    def path(self) -> Path:
        token = self.lexer.token
        if token.kind == "name" and token.text.upper() in SECTIONS:
            raise self.lexer.unexpected()
        path = paths.parse_path(self.lexer)
        if (word := paths.first_reserved(path)) is not None:
            self.problems.setdefault("reserved", f"Attribute name is a reserved keyword; reserved keyword: {word}")
        return path

    def action(self, section: str) -> Action:
        path = self.path()
        self.operators += 1
        if section == "REMOVE":
            return Action(section, path)
        if section == "SET":
            self.lexer.expect("=")
            return Action(section, path, self.value())
        if self.lexer.token.kind != "value":
            raise self.lexer.unexpected()
        return Action(section, path, self.lexer.next().text)

    def value(self) -> Any:
        """An operand, or the sum or difference of two, perhaps in parentheses."""
        if self.lexer.token.text == "(" and self._sum_inside():
            return self._grouped(self.value)
        left = self.operand()
        for sign in ("+", "-"):
            if self.lexer.sign(sign):
                self.operators += 1
                return Call(sign, (left, self.operand()))
        return left

    def _grouped(self, inner: Callable[[], Any]) -> Any:
        """What is in the parentheses at hand."""
        start = self.lexer.at
        self.lexer.expect("(")
        self._deeper()
        value = inner()
        self.depth -= 1
        if self.group == (start + 1, self.lexer.at):
            self.problems.setdefault("parens", "The expression has redundant parentheses;")
        self.lexer.expect(")")
        self.group = (start, self.lexer.at)
        return value

    def _sum_inside(self) -> bool:
        """Whether the parenthesis at hand holds a sum (and not just an operand)."""
        depth = 0
        for token in self.lexer.tokens[self.lexer.at :]:
            if token.text == "(":
                depth += 1
            elif token.text == ")":
                depth -= 1
                if depth == 0:
                    return False
            elif token.text in ("+", "-"):
                return True
        return False

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > EXPRESSION_NESTING:
            raise self.lexer.wrong(f"The expression is nested too deeply; maximum nesting: {EXPRESSION_NESTING}")

    def operand(self) -> Any:
        token = self.lexer.token
        if token.text == "(":
            return self._grouped(self.operand)
        if token.kind == "value":
            return self.lexer.next().text
        if token.kind == "name" and self.lexer.tokens[self.lexer.at + 1].text == "(":
            return self.function()
        return self.path()

    def function(self) -> Call:
        name = self.lexer.next().text
        self.lexer.expect("(")
        self._deeper()
        operands = [self.operand()]
        while self.lexer.sign(","):
            operands.append(self.operand())
        self.lexer.expect(")")
        self.depth -= 1
        self.operators += 1
        if name not in FUNCTIONS:
            wrong = "The function is not allowed in an update expression" if name in CONDITION_FUNCTIONS else "Invalid function name"
            self.problems.setdefault("unknown", f"{wrong}; function: {name}")
        if name == "list_append" and any(isinstance(operand, Call) and operand.name == name for operand in operands):
            self.problems.setdefault("misused", f"The function is not allowed to be used this way in an expression; function: {name}")
        return Call(name, tuple(operands))


@lru_cache(maxsize=CACHED_EXPRESSIONS)
def compile_update(text: str, names: tuple[tuple[str, str], ...]) -> Compiled:
    """An update with its names resolved. Raises ValidationException for what the text alone has wrong."""
    actions = _Parser(Lexer("UpdateExpression", text)).parse()
    known = dict(names)
    every = [path for action in actions for path in (action.path, *_operand_paths(action.operand))]
    wrong_name = next((wrong for path in every if (wrong := paths.undefined_name(path, known)) is not None), None)
    resolved = tuple(Action(each.section, paths.resolve(each.path, known), _resolved(each.operand, known)) for each in actions)
    return compile_actions(resolved, frozenset(name for path in every for name in paths.placeholders(path)), wrong_name)


def compile_actions(actions: tuple[Action, ...], names: frozenset[str] = frozenset(), wrong_name: str | None = None) -> Compiled:
    """An update of actions whose paths are resolved."""
    return Compiled(
        actions,
        names,
        frozenset(name for action in actions for name in _value_names(action.operand)),
        wrong_name,
        None if wrong_name else paths.clash([action.path for action in actions]),
        [] if wrong_name else [(each.path, _operand(each.operand)) for each in actions if each.section == "SET"],
        [each for each in actions if each.section != "SET"],
    )


def _resolved(operand: Any, names: Mapping[str, str]) -> Any:
    if type(operand) is tuple:
        return paths.resolve(operand, names)
    if isinstance(operand, Call):
        return Call(operand.name, tuple(_resolved(each, names) for each in operand.operands))
    return operand


def _operand_paths(operand: Any) -> Iterable[Path]:
    if type(operand) is tuple:
        yield operand
    elif isinstance(operand, Call):
        for each in operand.operands:
            yield from _operand_paths(each)


def _value_names(operand: Any) -> Iterable[str]:
    if type(operand) is str:
        yield operand
    elif isinstance(operand, Call):
        for each in operand.operands:
            yield from _value_names(each)


def _check_calls(operand: Any, values: Values) -> str | None:
    if not isinstance(operand, Call):
        return None
    for each in operand.operands:
        wrong = _check_calls(each, values)
        if wrong is not None:
            return wrong
    name, operands = operand.name, operand.operands
    if FUNCTIONS[name] != len(operands):
        return f"Incorrect number of operands for operator or function; operator or function: {name}, number of operands: {len(operands)}"
    if name == "if_not_exists":
        if type(operands[0]) is not tuple:
            return "Operator or function requires a document path; operator or function: if_not_exists"
        return None
    wanted = "L" if name == "list_append" else "N"
    for each in operands:
        kind = kind_of(values[each]) if type(each) is str else None
        if kind is not None and kind != wanted:
            return f"Incorrect operand type for operator or function; operator or function: {name}, operand type: {kind}"
    return None


def _operand(operand: Any) -> Operand:
    if type(operand) is str:
        return lambda item, values: values[operand]
    if type(operand) is tuple:
        return _reader(operand)
    name = operand.name
    if len(operand.operands) != FUNCTIONS[name]:
        return _unchecked
    if name == "if_not_exists":
        if type(operand.operands[0]) is not tuple:
            return _unchecked
        get = paths.getter(operand.operands[0])
        otherwise = _operand(operand.operands[1])

        def first_or_other(item: Item, values: Values) -> Value:
            found = get(item)
            return otherwise(item, values) if found is None else found

        return first_or_other
    left, right = (_operand(each) for each in operand.operands)
    combine = _append if name == "list_append" else _add if name == "+" else _subtract
    return lambda item, values: combine(left(item, values), right(item, values))


def _unchecked(item: Item, values: Values) -> Value:
    raise AssertionError("an update is checked before it is applied")


def _reader(path: Path) -> Operand:
    get = paths.getter(path)

    def read(item: Item, values: Values) -> Value:
        value = get(item)
        if value is None:
            raise errors.validation(MISSING)
        return value

    return read


def _both(kind: str, left: Value, right: Value) -> tuple[Any, Any]:
    first, second = left.get(kind), right.get(kind)
    if first is None or second is None:
        raise errors.validation(WRONG_TYPE)
    return first, second


def _append(left: Value, right: Value) -> Value:
    first, second = _both("L", left, right)
    return {"L": first + second}


def _add(left: Value, right: Value) -> Value:
    return {"N": numbers.add(*_both("N", left, right))}


def _subtract(left: Value, right: Value) -> Value:
    return {"N": numbers.subtract(*_both("N", left, right))}
