"""The parts of a parsed template. Each knows how to print itself (`render`) or what it is worth (`value`)."""

from collections.abc import Sequence
from typing import Any, Protocol

from haar.services.apigateway.vtl import values
from haar.services.apigateway.vtl.errors import TemplateError, TooManySteps
from haar.services.apigateway.vtl.methods import call

MAX_LOOPS = 1000
"""Turns of one #foreach: API Gateway's own limit; what is beyond is not visited."""
MAX_STEPS = 1_000_000
"""Nodes that are visited in one rendering."""
QUICK_STEPS = 3000
"""As many as take a millisecond or two."""
MAX_OUTPUT = 10 * 1024 * 1024
MAX_DEPTH = 40
"""Macros, blocks and texts within one another while rendering."""
MAX_RANGE = 10_000


class Stop(Exception):
    """#stop"""


class Break(Exception):
    """#break"""


class State:
    """One rendering."""

    __slots__ = ("depth", "left", "macros", "out", "size", "variables")

    def __init__(self, variables: dict[str, Any], steps: int) -> None:
        self.variables = variables
        self.left = steps
        self.macros: dict[str, Macro] = {}
        self.out: list[str] = []
        self.size = 0
        self.depth = 0

    def write(self, text: str) -> None:
        self.size += len(text)
        if self.size > MAX_OUTPUT:
            raise TemplateError("the template's output is too large")
        self.out.append(text)

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise TooManySteps("the template takes too long")

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TemplateError("the template is nested too deeply")

    def captured(self, block: "Sequence[Node]") -> str:
        """What a block prints, as a text."""
        out, self.out = self.out, []
        try:
            self.enter()
            render(block, self)
            return "".join(self.out)
        finally:
            self.depth -= 1
            self.out = out


class Node(Protocol):
    def render(self, state: State) -> None: ...


class Expression(Protocol):
    def value(self, state: State) -> Any: ...


def render(block: Sequence[Node], state: State) -> None:
    for node in block:
        state.step()
        node.render(state)


class Text:
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def render(self, state: State) -> None:
        state.write(self.text)


class Constant:
    __slots__ = ("constant",)

    def __init__(self, constant: Any) -> None:
        self.constant = constant

    def value(self, state: State) -> Any:
        return self.constant


class Property:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def of(self, holder: Any, state: State) -> Any:
        return values.prop(holder, self.name)


class Index:
    __slots__ = ("key",)

    def __init__(self, key: Expression) -> None:
        self.key = key

    def of(self, holder: Any, state: State) -> Any:
        return values.index(holder, self.key.value(state))


class Method:
    __slots__ = ("arguments", "name")

    def __init__(self, name: str, arguments: Sequence[Expression]) -> None:
        self.name = name
        self.arguments = arguments

    def of(self, holder: Any, state: State) -> Any:
        return call(holder, self.name, [one.value(state) for one in self.arguments])


class Block:
    """What #define keeps: printed anew wherever it is used."""

    __slots__ = ("block",)

    def __init__(self, block: Sequence[Node]) -> None:
        self.block = block


class Reference:
    """`$name.property.method(…)[index]`; as it was written where it is undefined, or nothing when it is quiet."""

    __slots__ = ("backslashes", "name", "quiet", "source", "steps")

    def __init__(self, name: str, steps: Sequence[Property | Index | Method], source: str, quiet: bool, backslashes: int = 0) -> None:
        self.name = name
        self.steps = steps
        self.source = source
        self.quiet = quiet
        self.backslashes = backslashes

    def value(self, state: State) -> Any:
        state.step()
        found = state.variables.get(self.name)
        if type(found) is Block:
            found = state.captured(found.block)
        for step in self.steps:
            if found is None:
                return None
            found = step.of(found, state)
        return found

    def render(self, state: State) -> None:
        found = self.value(state)
        if self.backslashes:
            self._escaped(state, found)
        elif found is not None:
            state.write(values.text(found))
        elif not self.quiet:
            state.write(self.source)

    def _escaped(self, state: State, found: Any) -> None:
        if found is None and not self.quiet:
            state.write("\\" * self.backslashes + self.source)
        elif self.backslashes % 2:
            state.write("\\" * (self.backslashes // 2) + self.source)
        else:
            state.write("\\" * (self.backslashes // 2) + ("" if found is None else values.text(found)))

    def assign(self, state: State, value: Any) -> None:
        if not self.steps:
            state.variables[self.name] = value
            return
        holder = state.variables.get(self.name)
        for step in self.steps[:-1]:
            if holder is None:
                return
            holder = step.of(holder, state)
        last = self.steps[-1]
        if isinstance(last, Property):
            values.assign(holder, last.name, value)
        elif isinstance(last, Index):
            values.assign(holder, last.key.value(state), value)


class Interpolated:
    """A text in double quotes: a template of its own."""

    __slots__ = ("block",)

    def __init__(self, block: Sequence[Node]) -> None:
        self.block = block

    def value(self, state: State) -> Any:
        return state.captured(self.block)


class ListOf:
    __slots__ = ("members",)

    def __init__(self, members: Sequence[Expression]) -> None:
        self.members = members

    def value(self, state: State) -> Any:
        return [one.value(state) for one in self.members]


class MapOf:
    __slots__ = ("members",)

    def __init__(self, members: Sequence[tuple[Expression, Expression]]) -> None:
        self.members = members

    def value(self, state: State) -> Any:
        return {key.value(state): one.value(state) for key, one in self.members}


class Range:
    __slots__ = ("first", "last")

    def __init__(self, first: Expression, last: Expression) -> None:
        self.first = first
        self.last = last

    def value(self, state: State) -> Any:
        first, last = self.first.value(state), self.last.value(state)
        if not isinstance(first, int) or not isinstance(last, int):
            return None
        if abs(last - first) > MAX_RANGE:
            raise TemplateError("a range is too long")
        return list(range(first, last + 1)) if first <= last else list(range(first, last - 1, -1))


class Binary:
    __slots__ = ("left", "operator", "right")

    def __init__(self, operator: str, left: Expression, right: Expression) -> None:
        self.operator = operator
        self.left = left
        self.right = right

    def value(self, state: State) -> Any:
        state.step()
        operator = self.operator
        left = self.left.value(state)
        if operator == "&&":
            return values.truth(left) and values.truth(self.right.value(state))
        if operator == "||":
            return values.truth(left) or values.truth(self.right.value(state))
        right = self.right.value(state)
        if operator == "==":
            return values.equal(left, right)
        if operator == "!=":
            return not values.equal(left, right)
        if operator == "+":
            return values.add(left, right)
        if operator in ("<", ">", "<=", ">="):
            return values.compare(operator, left, right)
        return values.arithmetic(operator, left, right)


class Not:
    __slots__ = ("operand",)

    def __init__(self, operand: Expression) -> None:
        self.operand = operand

    def value(self, state: State) -> Any:
        return not values.truth(self.operand.value(state))


class Negative:
    __slots__ = ("operand",)

    def __init__(self, operand: Expression) -> None:
        self.operand = operand

    def value(self, state: State) -> Any:
        return values.arithmetic("-", 0, self.operand.value(state))


class Set:
    __slots__ = ("expression", "target")

    def __init__(self, target: Reference, expression: Expression) -> None:
        self.target = target
        self.expression = expression

    def render(self, state: State) -> None:
        value = self.expression.value(state)
        if value is not None:
            self.target.assign(state, value)


class If:
    __slots__ = ("branches", "otherwise")

    def __init__(self, branches: Sequence[tuple[Expression, Sequence[Node]]], otherwise: Sequence[Node]) -> None:
        self.branches = branches
        self.otherwise = otherwise

    def render(self, state: State) -> None:
        for condition, block in self.branches:
            if values.truth(condition.value(state)):
                render(block, state)
                return
        render(self.otherwise, state)


class ForEach:
    __slots__ = ("block", "name", "over")

    def __init__(self, name: str, over: Expression, block: Sequence[Node]) -> None:
        self.name = name
        self.over = over
        self.block = block

    def render(self, state: State) -> None:
        members = values.items(self.over.value(state))[:MAX_LOOPS]
        variables = state.variables
        kept = {name: variables.get(name) for name in (self.name, "foreach", "velocityCount", "velocityHasNext")}
        last = len(members) - 1
        try:
            for at, member in enumerate(members):
                state.step()
                variables["foreach"] = {
                    "index": at,
                    "count": at + 1,
                    "hasNext": at < last,
                    "first": at == 0,
                    "last": at == last,
                    "parent": kept["foreach"],
                }
                variables["velocityCount"], variables["velocityHasNext"] = at + 1, at < last
                variables[self.name] = member
                render(self.block, state)
        except Break:
            pass
        finally:
            for name, value in kept.items():
                if value is None:
                    variables.pop(name, None)
                else:
                    variables[name] = value


class Define:
    __slots__ = ("block", "name")

    def __init__(self, name: str, block: Sequence[Node]) -> None:
        self.name = name
        self.block = block

    def render(self, state: State) -> None:
        state.variables[self.name] = Block(self.block)


class Macro:
    __slots__ = ("block", "name", "parameters")

    def __init__(self, name: str, parameters: Sequence[tuple[str, Expression | None]], block: Sequence[Node]) -> None:
        self.name = name
        self.parameters = parameters
        self.block = block

    def render(self, state: State) -> None:
        state.macros[self.name] = self


class Use:
    """`#name(arguments)`, of a macro; as it was written when there is none of this name."""

    __slots__ = ("arguments", "name", "source")

    def __init__(self, name: str, arguments: Sequence[Expression], source: str) -> None:
        self.name = name
        self.arguments = arguments
        self.source = source

    def render(self, state: State) -> None:
        macro = state.macros.get(self.name)
        if macro is None:
            state.write(self.source)
            return
        variables = state.variables
        given = [one.value(state) for one in self.arguments]
        kept = {name: variables.get(name) for name, _ in macro.parameters}
        for at, (name, default) in enumerate(macro.parameters):
            value = given[at] if at < len(given) else default.value(state) if default is not None else None
            if value is None:
                variables.pop(name, None)
            else:
                variables[name] = value
        try:
            state.enter()
            render(macro.block, state)
        finally:
            state.depth -= 1
            for name, value in kept.items():
                if value is None:
                    variables.pop(name, None)
                else:
                    variables[name] = value


class Halt:
    """#stop, #break and #return"""

    __slots__ = ("kind",)

    def __init__(self, kind: type[Exception]) -> None:
        self.kind = kind

    def render(self, state: State) -> None:
        raise self.kind


class Evaluate:
    """`#evaluate(text)`: a text as a template."""

    __slots__ = ("expression",)

    def __init__(self, expression: Expression) -> None:
        self.expression = expression

    def render(self, state: State) -> None:
        from haar.services.apigateway.vtl.parser import parse

        value = self.expression.value(state)
        if value is not None:
            state.write(state.captured(parse(values.text(value))))
