"""Statements as text: what they say, what is refused, and that the way to the items never changes which items are found."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haar.services.dynamodb.expressions import operators
from haar.services.dynamodb.expressions.conditions import Logic
from haar.services.dynamodb.partiql.parse import parse
from haar.services.dynamodb.partiql.plan import plan
from haar.services.dynamodb.partiql.statements import Bound, compiled, kept
from haar.services.dynamodb.partiql.statements import bind as bind_statement
from haar.services.dynamodb.records import IndexRecord, TableRecord
from haar.services.dynamodb.tables import Table
from haar.wire.errors import ServiceError

INDEX = IndexRecord("byV", "i", False, [("v", "HASH"), ("sk", "RANGE")], "ALL")
KEYS = [("pk", "HASH"), ("sk", "RANGE")]
TABLE = Table(TableRecord("t", "r", "id", "s", 0.0, KEYS, {"pk": "S", "sk": "S", "v": "N"}, [INDEX]), "1")
ITEMS = [
    {"pk": {"S": pk}, "sk": {"S": sk}, **({"v": {"N": str(number)}} if number else {})}
    for pk in ("a", "b", "c")
    for number, sk in enumerate(("k", "kk", "l", "m"))
]


def bind(text: str, parameters: Any = None) -> Bound:
    return bind_statement(compiled(text), parameters)


def error(text: str, *parameters: Any) -> str:
    with pytest.raises(ServiceError) as refused:
        bind(text, parameters)
    assert refused.value.code == "ValidationException"
    return refused.value.message or ""


def test_keywords_have_no_case_and_are_names_where_they_can_be() -> None:
    written = parse('sElEcT value, size, "select", index FROM exists WHERE all = 1 AND insider = 2 oRdEr By value Desc;')
    assert (written.table, written.columns) == ("exists", [("value",), ("size",), ("select",), ("index",)])
    assert written.order == [(("value",), True)]


def test_comments_say_nothing() -> None:
    written = parse("SELECT /* what\n there ** is */ a -- and b\nFROM t /**/ WHERE a = '/* x */'")
    assert (written.table, written.columns, written.where.operands[1].value) == ("t", [("a",)], {"S": "/* x */"})


def test_quotes_are_doubled_inside_quotes() -> None:
    statement = bind("""SELECT "a""b" FROM "t""x"."i" WHERE x = 'it''s' -- and no more""", None)
    assert (statement.statement.table, statement.statement.index) == ('t"x', "i")
    assert list(statement.values.values()) == [{"S": "it's"}]


def test_parameters_are_numbered_by_their_place() -> None:
    text = "UPDATE t SET a = ?, b = [1, ?, {'c': ?}] SET d = <<?>> WHERE pk = ? AND sk = 'x' AND e IN [?, ?]"
    given_values = [{"S": each} for each in "abcdefg"]
    values = bind(text, given_values).values
    assert {"L": [{"N": "1"}, {"S": "b"}, {"M": {"c": {"S": "c"}}}]} in values.values() and {"SS": ["d"]} in values.values()
    assert plan(bind(text, given_values), TABLE).key(values) == {"pk": {"S": "e"}, "sk": {"S": "x"}}
    assert error(text, *given_values[1:]) == "Number of parameters in request and statement don't match."
    assert error("SELECT * FROM t WHERE a = '?'", {"S": "x"}) == "Number of parameters in request and statement don't match."


def test_a_statement_that_is_known_by_its_text_is_not_read_again() -> None:
    assert kept("SELECT * FROM t WHERE pk = ?") is kept("SELECT * FROM t WHERE pk = ?")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 3000,
        "NOT " * 2000 + "a = 1",
        "a = " + "[" * 4000,
        "a = " + "{'k':" * 1000,
        "a" + ".a" * 3000 + " = 1 OR",
        "-" * 4000,
        "a = 1 AND " * 500,
    ],
)
def test_what_is_nested_too_deeply_is_refused(text: str) -> None:
    assert error("SELECT * FROM t WHERE " + text)
    assert error("INSERT INTO t VALUE " + text)
    assert error("UPDATE t SET a = " + text)


@pytest.mark.parametrize("value", ["a", "a.b", "a = 1", "size(a)", "NOT a = 1", "a + 1"])
def test_what_is_inserted_is_a_value(value: str) -> None:
    assert error("INSERT INTO t VALUE " + value) == "Statement wasn't well formed, can't be processed: Unexpected term"


@given(st.text(alphabet="SELECT FROMWHERE *?'\"()[]{}<>=.,:-+;1ae\n\\`@$é\x00", max_size=60))
def test_no_text_trips_the_parser(text: str) -> None:
    for start in ("", "SELECT * FROM t WHERE ", "UPDATE t SET ", "INSERT INTO t VALUE "):
        try:
            bind(start + text, None)
        except ServiceError as refused:
            assert refused.code == "ValidationException"


WIDE = IndexRecord("wide", "w", False, [("a", "HASH"), ("b", "HASH"), ("c", "RANGE"), ("d", "RANGE")], "ALL")
KINDS = {"pk": "S", "sk": "S", "a": "S", "b": "N", "c": "S", "d": "N"}
WIDE_TABLE = Table(TableRecord("t", "r", "id", "s", 0.0, KEYS, KINDS, [WIDE]), "1")


@pytest.mark.parametrize(
    "where, hashes, ranges",
    [
        ("a = 'x' AND b = 1", ["a", "b"], []),
        ("b = 1 AND c = 'y' AND a = 'x' AND d > 3", ["a", "b"], ["c", "d"]),
        ("a = 'x' AND b = 1 AND begins_with(c, 'y') AND d > 3", ["a", "b"], ["c"]),
        ("a = 'x' AND b = 1 AND d > 3", ["a", "b"], []),
        ("a = 'x' AND c = 'y'", [], []),
        ("a = 'x' AND b IN [1, 2]", [], []),
    ],
)
def test_keys_of_several_attributes(where: str, hashes: list[str], ranges: list[str]) -> None:
    bound = bind(f"SELECT * FROM t.wide WHERE {where}")
    made = plan(bound, WIDE_TABLE, WIDE_TABLE.index["wide"])
    assert (sorted(made.hashes), sorted(made.ranges)) == (hashes, ranges)
    (span,) = made.spans(bound.values, None)
    assert (span.partition is None) == (not hashes) and span.space == "w"


attributes = st.sampled_from(["pk", "sk", "v"])
texts = st.sampled_from(["'a'", "'b'", "'k'", "'kk'", "'l'"])
numbers = st.sampled_from(["1", "2", "3"])


@st.composite
def atoms(draw: Any) -> str:
    name = draw(attributes)
    value = lambda: draw(numbers if name == "v" else texts)
    kind = draw(st.sampled_from(["compared", "flipped", "between", "in", "begins", "missing"]))
    if kind == "between":
        return f"{name} BETWEEN {' AND '.join(sorted([value(), value()]))}"
    if kind == "in":
        return f"{name} IN [{value()}, {value()}, {value()}]"
    if kind == "begins" and name != "v":
        return f"begins_with({name}, {value()})"
    if kind == "missing":
        return f"{name} IS {draw(st.sampled_from(['', 'NOT ']))}MISSING"
    sign = draw(st.sampled_from(["=", "=", "=", "<>", "<", "<=", ">", ">="]))
    return f"{value()} {sign} {name}" if kind == "flipped" else f"{name} {sign} {value()}"


joined = lambda inner: st.tuples(inner, st.sampled_from(["AND", "OR", "AND NOT"]), inner).map(lambda parts: f"({' '.join(parts)})")
conditions = st.recursive(atoms(), joined, max_leaves=6)


@settings(max_examples=400, deadline=None)
@given(st.lists(conditions, min_size=1, max_size=3).map(" AND ".join), st.booleans(), st.booleans())
def test_the_way_to_the_items_finds_those_that_meet_the_condition(where: str, indexed: bool, descending: bool) -> None:
    bound = bind(f"SELECT * FROM t{'.byV' if indexed else ''} WHERE {where}" + (" ORDER BY sk DESC" if descending else ""), None)
    index = TABLE.index["byV"] if indexed else None
    try:
        made = plan(bound, TABLE, index)
    except ServiceError as refused:
        assert descending and (refused.message or "").startswith("Must have at least one non-optional hash key condition")
        return
    whole = operators.test(Logic("AND", bound.statement.conjuncts))
    rows = []
    for item in ITEMS:
        key = TABLE.key({"pk": item["pk"], "sk": item["sk"]})
        place = key if index is None else index.entry(TABLE, key, item)
        if place is not None:
            rows.append((place, item))
    expected = [item for _, item in rows if whole(item, bound.values)]
    keep = made.keep(bound.values)
    found = []
    for span in made.spans(bound.values, None):
        inside = lambda place, span=span: (
            span.partition is None
            or (place.partition == span.partition and span.start <= place.sort and (span.end is None or place.sort < span.end))
        )
        within = [row for row in sorted(rows, key=lambda row: row[0], reverse=span.reverse) if inside(row[0])]
        found += [item for _, item in within if keep is None or keep(item)]
    identify = lambda items: sorted((item["pk"]["S"], item["sk"]["S"]) for item in items)
    assert identify(found) == identify(expected)
    if made.single:
        assert len(expected) <= 1
    if descending and len(made.spans(bound.values, None)) == 1:
        assert [item["sk"]["S"] for item in found] == sorted((item["sk"]["S"] for item in found), reverse=True)
