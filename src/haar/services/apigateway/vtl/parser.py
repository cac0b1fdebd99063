"""From a template's text to its nodes.

https://velocity.apache.org/engine/1.7/vtl-reference.html
"""

import re
from collections.abc import Sequence
from typing import NoReturn

from haar.services.apigateway.vtl.errors import TemplateError
from haar.services.apigateway.vtl.nodes import (
    Break,
    Define,
    Evaluate,
    Expression,
    ForEach,
    Halt,
    If,
    Index,
    Macro,
    Method,
    Node,
    Property,
    Reference,
    Set,
    Stop,
    Text,
    Use,
)

MAX_TEMPLATE = 300 * 1024
"""API Gateway's own limit of a mapping template, in bytes."""
MAX_NESTING = 60
"""Blocks, brackets and texts within one another in a template."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_MARK = re.compile(r"\\*[$#]")
_START = re.compile(r"\$(!?)(\{?)(?=[A-Za-z_])")
_DIRECTIVE = re.compile(r"#(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_LINE_END = re.compile(r"[ \t]*(?:\r\n|\n|\r)")
_PARAMETER = re.compile(r"\s*\$([A-Za-z_][A-Za-z0-9_-]*)")
_BLOCKS = frozenset(("end", "else", "elseif"))


def parse(source: str, depth: int = 0) -> list[Node]:
    """The nodes of a template. Raises TemplateError, with the place, when it cannot be read."""
    if len(source) > MAX_TEMPLATE:
        raise TemplateError("the template is too large")
    parser = Parser(source, depth)
    block, ended = parser.block()
    if ended:
        parser.fail(f"#{ended} without its beginning")
    return block


class Parser:
    def __init__(self, source: str, depth: int) -> None:
        self.source = source
        self.at = 0
        self.depth = depth

    def fail(self, problem: str) -> NoReturn:
        line = self.source.count("\n", 0, self.at) + 1
        raise TemplateError(f"line {line}: {problem}")

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_NESTING:
            self.fail("the template is nested too deeply")

    def block(self) -> tuple[list[Node], str]:
        """Nodes up to the end of the template or to the directive that ends the block, and that directive's name."""
        self.enter()
        nodes: list[Node] = []
        source = self.source
        while True:
            found = _MARK.search(source, self.at)
            if found is None:
                self._text(nodes, source[self.at :])
                self.at = len(source)
                self.depth -= 1
                return nodes, ""
            self._text(nodes, source[self.at : found.start()])
            self.at = found.end() - 1
            backslashes = found.end() - 1 - found.start()
            if source[self.at] == "$":
                self._reference_or_text(nodes, backslashes)
                continue
            ended = self._hash(nodes, backslashes)
            if ended:
                self.depth -= 1
                return nodes, ended

    @staticmethod
    def _text(nodes: list[Node], text: str) -> None:
        if not text:
            return
        if nodes and isinstance(nodes[-1], Text):
            nodes[-1] = Text(nodes[-1].text + text)
        else:
            nodes.append(Text(text))

    def _reference_or_text(self, nodes: list[Node], backslashes: int) -> None:
        reference = self.reference(backslashes)
        if reference is None:
            self._text(nodes, "\\" * backslashes + "$")
            self.at += 1
        else:
            nodes.append(reference)

    def reference(self, backslashes: int = 0) -> Reference | None:
        """A reference that begins here; None when the dollar is just a dollar."""
        begin = self.at
        start = _START.match(self.source, begin)
        if start is None:
            return None
        quiet, formal = bool(start[1]), bool(start[2])
        name = NAME.match(self.source, start.end())
        assert name is not None
        self.at = name.end()
        steps = self._steps()
        if formal:
            if not self.source.startswith("}", self.at):
                self.at = begin
                return None
            self.at += 1
        return Reference(name[0], steps, self.source[begin : self.at], quiet, backslashes)

    def _steps(self) -> list[Property | Index | Method]:
        from haar.services.apigateway.vtl.expressions import Expressions

        steps: list[Property | Index | Method] = []
        source = self.source
        while True:
            if source.startswith(".", self.at) and (name := NAME.match(source, self.at + 1)):
                self.at = name.end()
                if source.startswith("(", self.at):
                    steps.append(Method(name[0], Expressions(self).arguments()))
                else:
                    steps.append(Property(name[0]))
            elif source.startswith("[", self.at):
                begin = self.at
                self.at += 1
                try:
                    key = Expressions(self).whole()
                    Expressions(self).expect("]")
                except TemplateError:
                    self.at = begin
                    return steps
                steps.append(Index(key))
            else:
                return steps

    def _hash(self, nodes: list[Node], backslashes: int) -> str:
        """What begins with a hash; the name of a directive that ends the block, else an empty text."""
        source, begin = self.source, self.at
        directive = _DIRECTIVE.match(source, begin)
        if backslashes % 2 or (directive is None and not source.startswith(("##", "#*", "#[["), begin)):
            kept = "\\" * (backslashes // 2 if directive else backslashes)
            self._text(nodes, kept + "#")
            self.at += 1
            return ""
        self._text(nodes, "\\" * (backslashes // 2))
        if directive is None:
            self._comment(nodes)
            return ""
        name = directive[1] or directive[2]
        self.at = directive.end()
        if name in _BLOCKS:
            if name != "elseif":
                self._line_end()
            return name
        handler = getattr(self, f"_do_{name}", None)
        if handler is not None:
            handler(nodes, begin)
        else:
            self._use(nodes, name, begin)
        return ""

    def _comment(self, nodes: list[Node]) -> None:
        source, begin = self.source, self.at
        if source.startswith("##", begin):
            end = re.compile(r"\r\n|\n|\r").search(source, begin)
            self.at = len(source) if end is None else end.end()
            return
        opening, closing = ("#*", "*#") if source.startswith("#*", begin) else ("#[[", "]]#")
        end_at = source.find(closing, begin + len(opening))
        if end_at < 0:
            end_at = len(source)
        if opening == "#[[":
            self._text(nodes, source[begin + 3 : end_at])
        self.at = min(end_at + len(closing), len(source))

    def _line_end(self) -> None:
        """The end of a line behind a directive goes with it."""
        end = _LINE_END.match(self.source, self.at)
        if end is not None:
            self.at = end.end()

    def _spaces(self) -> None:
        while self.at < len(self.source) and self.source[self.at] in " \t\r\n":
            self.at += 1

    def _condition(self) -> Expression:
        from haar.services.apigateway.vtl.expressions import Expressions

        self._spaces()
        expressions = Expressions(self)
        expressions.expect("(")
        condition = expressions.whole()
        expressions.expect(")")
        self._line_end()
        return condition

    def _do_set(self, nodes: list[Node], begin: int) -> None:
        from haar.services.apigateway.vtl.expressions import Expressions

        if nodes and isinstance(nodes[-1], Text) and not nodes[-1].text.strip(" \t"):
            nodes.pop()  # the blanks between it and what is no text
        self._spaces()
        expressions = Expressions(self)
        expressions.expect("(")
        expressions.spaces()
        target = self.reference() or self.fail("#set sets a reference")
        expressions.expect("=")
        value = expressions.whole()
        expressions.expect(")")
        self._line_end()
        nodes.append(Set(target, value))

    def _do_if(self, nodes: list[Node], begin: int) -> None:
        branches: list[tuple[Expression, Sequence[Node]]] = []
        otherwise: Sequence[Node] = ()
        condition = self._condition()
        while True:
            block, ended = self.block()
            branches.append((condition, block))
            if ended == "elseif":
                condition = self._condition()
                continue
            if ended == "else":
                otherwise, ended = self.block()
            if ended != "end":
                self.fail("#if without #end")
            nodes.append(If(branches, otherwise))
            return

    def _until_end(self, what: str) -> list[Node]:
        block, ended = self.block()
        if ended != "end":
            self.fail(f"#{what} without #end")
        return block

    def _do_foreach(self, nodes: list[Node], begin: int) -> None:
        from haar.services.apigateway.vtl.expressions import Expressions

        self._spaces()
        expressions = Expressions(self)
        expressions.expect("(")
        expressions.spaces()
        variable = self.reference() or self.fail("#foreach goes through a reference")
        expressions.spaces()
        if not self.source.startswith("in", self.at):
            self.fail("#foreach takes `in`")
        self.at += 2
        over = expressions.whole()
        expressions.expect(")")
        self._line_end()
        nodes.append(ForEach(variable.name, over, self._until_end("foreach")))

    def _do_define(self, nodes: list[Node], begin: int) -> None:
        from haar.services.apigateway.vtl.expressions import Expressions

        self._spaces()
        expressions = Expressions(self)
        expressions.expect("(")
        expressions.spaces()
        variable = self.reference() or self.fail("#define defines a reference")
        expressions.expect(")")
        self._line_end()
        nodes.append(Define(variable.name, self._until_end("define")))

    def _do_macro(self, nodes: list[Node], begin: int) -> None:
        from haar.services.apigateway.vtl.expressions import Expressions

        self._spaces()
        expressions = Expressions(self)
        expressions.expect("(")
        expressions.spaces()
        name = NAME.match(self.source, self.at) or self.fail("#macro takes a name")
        self.at = name.end()
        parameters: list[tuple[str, Expression | None]] = []
        while found := _PARAMETER.match(self.source, self.at):
            self.at = found.end()
            default = None
            expressions.spaces()
            if self.source.startswith("=", self.at):
                self.at += 1
                default = expressions.operand()
            parameters.append((found[1], default))
        expressions.expect(")")
        self._line_end()
        nodes.append(Macro(name[0], parameters, self._until_end("macro")))

    def _do_stop(self, nodes: list[Node], begin: int) -> None:
        nodes.append(Halt(Stop))

    def _do_return(self, nodes: list[Node], begin: int) -> None:
        nodes.append(Halt(Stop))

    def _do_break(self, nodes: list[Node], begin: int) -> None:
        nodes.append(Halt(Break))

    def _do_evaluate(self, nodes: list[Node], begin: int) -> None:
        nodes.append(Evaluate(self._condition()))

    def _do_include(self, nodes: list[Node], begin: int) -> None:
        self.fail("#include reads files, which mapping templates have not")

    _do_parse = _do_include

    def _use(self, nodes: list[Node], name: str, begin: int) -> None:
        """A macro's use; what it was when there is no such macro is decided when it is run."""
        from haar.services.apigateway.vtl.expressions import Expressions

        after = self.at
        while after < len(self.source) and self.source[after] in " \t":
            after += 1
        if not self.source.startswith("(", after):
            nodes.append(Use(name, (), self.source[begin : self.at]))
            return
        end_of_name, self.at = self.at, after
        try:
            arguments = Expressions(self).arguments(separated=False)
        except TemplateError:
            self.at = end_of_name
            self._text(nodes, self.source[begin : self.at])
            return
        source = self.source[begin : self.at]
        self._line_end()
        nodes.append(Use(name, arguments, source))
