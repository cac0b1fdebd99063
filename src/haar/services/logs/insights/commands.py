"""Queries: a chain of commands that rows are pushed through. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import re2

from haar.services.logs.insights.functions import Over
from haar.services.logs.insights.syntax import Expression, Malformed, Reader, regex_of
from haar.services.logs.insights.values import Row, Value, order, text, truth

MAX_ROWS = 10_000
"""That a query answers, sorts or groups by: of more, the first ones are kept."""
MAX_BYTES = 16 * 1024 * 1024
"""Of the messages of the rows that a query answers or sorts, or of the values that it groups by: of more, the first ones are kept."""
MAX_COMMANDS = 30
DEFAULT_FIELDS = ("@timestamp", "@message")
POINTER = "@ptr"


class Stage:
    """One command. Rows are pushed in; what it lets through is pushed on."""

    next: "Stage"

    def push(self, row: Row) -> None:
        raise NotImplementedError

    def end(self) -> None:
        """There are no more rows."""
        self.next.end()

    def full(self) -> bool:
        """Whether further rows would change nothing."""
        return self.next.full()


class Result(Stage):
    """The rows at the end of the chain."""

    def __init__(self, limit: int) -> None:
        self.rows: list[Row] = []
        self._limit, self._size = limit, 0

    def push(self, row: Row) -> None:
        if not self.full():
            self.rows.append(row)
            self._size += row.size

    def end(self) -> None:
        return

    def full(self) -> bool:
        return len(self.rows) >= self._limit or self._size >= MAX_BYTES


class Counted(Stage):
    """Rows that matched: those that are behind the filters."""

    def __init__(self) -> None:
        self.count = 0

    def push(self, row: Row) -> None:
        self.count += 1
        self.next.push(row)


class Filter(Stage):
    def __init__(self, test: Expression) -> None:
        self._test = test

    def push(self, row: Row) -> None:
        if truth(self._test(row)):
            self.next.push(row)


class Compute(Stage):
    """fields, display: what they name that was not there before."""

    def __init__(self, pairs: Sequence[tuple[str, Expression]]) -> None:
        self._pairs = pairs

    def push(self, row: Row) -> None:
        found = [(name, expression(row)) for name, expression in self._pairs]
        row.values.update({name: value for name, value in found if value is not None})
        self.next.push(row)


class Parse(Stage):
    def __init__(self, source: Expression, pattern: Any, names: Sequence[tuple[str, int]]) -> None:
        self._source, self._pattern, self._names = source, pattern, names

    def push(self, row: Row) -> None:
        value = self._source(row)
        found = None if value is None else self._pattern.search(text(value))
        if found is not None:
            row.values.update({name: found.group(at) for name, at in self._names if found.group(at) is not None})
        self.next.push(row)


class Dedup(Stage):
    """The first row of each of the fields' values; rows without one of them are let through."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._seen: set[int] = set()
        """Their hashes: values may be long."""

    def push(self, row: Row) -> None:
        values = [row.get(name) for name in self._names]
        if any(value is None for value in values):
            self.next.push(row)
            return
        key = hash(tuple(text(value) for value in values))
        if key not in self._seen and len(self._seen) < MAX_ROWS:
            self._seen.add(key)
            self.next.push(row)


class Sort(Stage):
    def __init__(self, keys: Sequence[tuple[Expression, bool]]) -> None:
        self._keys = keys
        self._rows: list[Row] = []
        self._size = 0

    def push(self, row: Row) -> None:
        self._rows.append(row)
        self._size += row.size
        if len(self._rows) >= 2 * MAX_ROWS or self._size >= 2 * MAX_BYTES:
            self._sort()
            del self._rows[MAX_ROWS:]
            self._size = sum(kept.size for kept in self._rows)
            while self._size > MAX_BYTES:
                self._size -= self._rows.pop().size

    def _sort(self) -> None:
        for expression, down in reversed(self._keys):
            self._rows.sort(key=lambda row: order(expression(row)), reverse=down)

    def end(self) -> None:
        self._sort()
        for row in self._rows:
            self.next.push(row)
        self.next.end()

    def full(self) -> bool:
        return False


class Limit(Stage):
    def __init__(self, most: int) -> None:
        self._left = most

    def push(self, row: Row) -> None:
        if self._left > 0:
            self._left -= 1
            self.next.push(row)

    def full(self) -> bool:
        return self._left <= 0 or self.next.full()


class Stats(Stage):
    def __init__(
        self,
        overs: Sequence[tuple[Expression, Callable[[], Over]]],
        shown: Sequence[tuple[str, Expression]],
        by: Sequence[tuple[str, Expression]],
    ) -> None:
        self._overs, self._shown, self._by = overs, shown, by
        self._groups: dict[tuple[str | None, ...], tuple[list[Value], list[Over]]] = {}
        self._size = 0
        if not by:
            self._group(())

    def _group(self, values: Sequence[Value]) -> list[Over] | None:
        key = tuple(None if value is None else text(value) for value in values)
        found = self._groups.get(key)
        if found is None:
            if len(self._groups) >= MAX_ROWS or self._size >= MAX_BYTES:
                return None
            self._size += sum(len(part) for part in key if part)
            found = self._groups[key] = (list(values), [make() for _, make in self._overs])
        return found[1]

    def push(self, row: Row) -> None:
        group = self._group([expression(row) for _, expression in self._by])
        if group is None:
            return
        time = row.get("@timestamp") or 0
        for (of, _), each in zip(self._overs, group, strict=True):
            each.add(of(row), time)

    def end(self) -> None:
        for values, overs in self._groups.values():
            row = Row({name: value for (name, _), value in zip(self._by, values, strict=True) if value is not None})
            row.results = [each.result() for each in overs]
            row.values.update({name: value for name, expression in self._shown if (value := expression(row)) is not None})
            self.next.push(row)
        self.next.end()

    def full(self) -> bool:
        return False


class Query:
    """A query that has been read; used once."""

    def __init__(self, text: str, limit: int) -> None:
        """Raises Malformed."""
        self._reader = Reader(text)
        self._stages: list[Stage] = []
        self._columns: list[str] = []
        self._displayed: list[str] | None = None
        self._grouped = False
        self._matched_at = 0
        self.counted, self.result = Counted(), Result(limit)
        self._read()
        chain = [*self._stages[: self._matched_at], self.counted, *self._stages[self._matched_at :], self.result]
        for stage, following in pairwise(chain):
            stage.next = following
        self.first = chain[0]

    def _read(self) -> None:
        reader = self._reader
        while True:
            if len(self._stages) >= MAX_COMMANDS:
                reader.fail(f"A query has at most {MAX_COMMANDS} commands")
            self._command(reader)
            if reader.over():
                return
            reader.need("|")

    def _command(self, reader: Reader) -> None:
        reader.skip()
        start = reader.at
        name = reader.word("fields", "display", "filter", "stats", "sort", "limit", "parse", "dedup")
        if not name:
            found = re.match(r"\w*", reader.query[start:])
            word = found[0] if found else ""
            raise Malformed(f"unexpected symbol found {word}".strip(), start, max(start + 1, start + len(word)))
        getattr(self, "_" + name)(reader)

    def _add(self, stage: Stage, *, selects: bool = False) -> None:
        self._stages.append(stage)
        if selects and not self._grouped:
            self._matched_at = len(self._stages)

    def _list(self, reader: Reader) -> list[tuple[str, Expression]]:
        pairs = [reader.labelled()]
        while reader.sign(","):
            pairs.append(reader.labelled())
        return pairs

    def _fields(self, reader: Reader) -> None:
        pairs = self._list(reader)
        self._columns += [name for name, _ in pairs if name not in self._columns]
        self._add(Compute(pairs))

    def _display(self, reader: Reader) -> None:
        pairs = self._list(reader)
        self._displayed = [name for name, _ in pairs]
        self._add(Compute(pairs))

    def _filter(self, reader: Reader) -> None:
        self._add(Filter(reader.expression()), selects=True)

    def _stats(self, reader: Reader) -> None:
        overs: list[tuple[Expression, Callable[[], Over]]] = []
        reader.overs = overs
        shown = self._list(reader)
        reader.overs = None
        if not overs:
            reader.fail("stats needs a function over rows")
        by = self._list(reader) if reader.word("by") else []
        self._columns = [name for name, _ in [*by, *shown]]
        self._displayed, self._grouped = None, True
        self._add(Stats(overs, shown, by))

    def _sort(self, reader: Reader) -> None:
        keys = []
        while True:
            expression = reader.expression()
            keys.append((expression, reader.word("asc", "desc") == "desc"))
            if not reader.sign(","):
                break
        self._add(Sort(keys))

    def _limit(self, reader: Reader) -> None:
        most = reader.integer()
        if not 1 <= most <= MAX_ROWS:
            reader.fail(f"limit must be between 1 and {MAX_ROWS}")
        self._add(Limit(most))

    def _dedup(self, reader: Reader) -> None:
        names = [reader.name()]
        while reader.sign(","):
            names.append(reader.name())
        self._add(Dedup(names))

    def _parse(self, reader: Reader) -> None:
        """`parse @message "a *, b *" as a, b`, or a regular expression with named groups; without a field, of @message."""
        source: Expression = lambda row: row.get("@message")  # noqa: E731 - the field that is meant when none is named
        pattern, glob = reader.regex(), reader.string()
        if pattern is None and glob is None:
            name = reader.name()
            source = lambda row: row.get(name)  # noqa: E731 - as above
            pattern = reader.regex()
            glob = None if pattern is not None else reader.string()
        if pattern is not None:
            names = [(name, at) for name, at in pattern.groupindex.items()]
        elif glob is not None:
            pattern = regex_of("(?s)" + "(.*?)".join(re2.escape(part) for part in glob.split("*")) + ("$" if glob.endswith("*") else ""))
            names = [(name, at) for at, name in enumerate(self._aliases(reader), 1)]
            if len(names) != glob.count("*"):
                reader.fail("parse needs as many names as its pattern has *")
        else:
            reader.fail("unexpected symbol found, expected a string or a regular expression")
        self._add(Parse(source, pattern, names))

    def _aliases(self, reader: Reader) -> list[str]:
        if not reader.word("as"):
            reader.fail("unexpected symbol found, expected as")
        names = [reader.name()]
        while reader.sign(","):
            names.append(reader.name())
        return names

    def shown(self) -> list[list[tuple[str, str]]]:
        """The rows as results show them: names and values of what is there."""
        columns = self._displayed or self._columns or list(DEFAULT_FIELDS)
        if not self._grouped:
            columns = [*columns, POINTER]
        found = []
        for row in self.result.rows:
            values = [(name, row.get(name)) for name in columns]
            found.append([(name, text(value)) for name, value in values if value is not None])
        return found
