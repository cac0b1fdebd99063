"""Statements as text: what they say, what is refused, and that the way to the items never changes which items are found."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haar.services.dynamodb.expressions import operators
from haar.services.dynamodb.expressions.conditions import Logic
from haar.services.dynamodb.partiql.compile import compiled, kept
from haar.services.dynamodb.partiql.plan import plan
from haar.services.dynamodb.partiql.statements import Bound
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


def test_keywords_have_no_case_and_are_names_in_quotes_only() -> None:
    made = compiled('sElEcT called, "size", "select", item FROM "exists" WHERE "all" = 1 AND insider = 2 oRdEr By item Desc;')
    assert (made.table, made.heads, made.order) == ("exists", ("all", "insider"), (("item", True),))
    assert made.projection is not None and made.projection.heads == ("called", "size", "select", "item")
    assert error("SELECT * FROM t WHERE all = 1") == "Statement wasn't well formed, can't be processed: Unexpected keyword"
    assert error("SELECT a.value FROM t") == "Statement wasn't well formed, can't be processed: Unexpected keyword"


def test_comments_say_nothing() -> None:
    made = compiled("SELECT /* what\n there ** is */ a -- and b\nFROM t /**/ WHERE a = '/* x */'")
    assert (made.table, made.heads, list(made.constants.values())) == ("t", ("a",), [{"S": "/* x */"}])
    assert made.projection is not None and made.projection.heads == ("a",)


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


ITEM_EXPECTED = "Unsupported format in item expression. Please use struct format {...} to express item values for insert statement. at "
SEVERAL = "Only select from a single table or index is supported."
NO_BAG = "Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags"
IN_WRONG = (
    "IN operator must have a left hand argument of type Variable Reference and right hand argument of type Seq with at least one member"
)
OUTSIDE = "EXISTS can only be used in ExecuteTransaction write requests."


@pytest.mark.parametrize(
    "text, message",
    [
        ("SELECT a x FROM t", "Aliasing is not supported"),
        ("SELECT a FROM t AS x", "Aliasing is not supported"),
        ("UPDATE t x SET a=1 WHERE pk='a'", "Aliasing is not supported"),
        ("SELECT DISTINCT a FROM t", "Unsupported token in expression: DISTINCT"),
        ("SELECT VALUE a FROM t", "Select projection doesn't support value or pivot keywords"),
        ("SELECT COUNT(*) FROM t", "Unexpected path component at 1:8:5"),
        ("SELECT a, upper(b) FROM t", "Unexpected path component at 1:11:5"),
        ("SELECT a + 1 FROM t", "Unexpected path component at 1:10:1"),
        ("SELECT 'a' FROM t", "Unexpected path component at 1:8:3"),
        ("SELECT a.* FROM t", "Changing item's hierarchy while reading isn't supported"),
        ("SELECT a FROM t, u", SEVERAL),
        ("SELECT a FROM t INNER JOIN u ON 1 = 1", SEVERAL),
        ("SELECT a FROM (SELECT b FROM t)", "Unexpected from source"),
        ("SELECT a FROM 't'", "Unexpected from source"),
        ("SELECT a FROM t.i.x", "A path may contain at most 2 components in the FROM clause"),
        ("SELECT a FROM t LIMIT 10", "Unsupported clause: LIMIT at 1:23:2"),
        ("SELECT a FROM t GROUP BY a", "Unsupported clause: GROUP BY"),
        ("SELECT a FROM t UNION SELECT a FROM t", OUTSIDE),
        ("SELECT a FROM t WHERE a", "WHERE clause must contain an expression that resolves to a boolean"),
        ("SELECT a FROM t WHERE size(a)", "WHERE clause must contain an expression that resolves to a boolean"),
        ("SELECT a FROM t WHERE a AND b = 1", "The arguments to AND/OR must be Expressions"),
        ("SELECT a FROM t WHERE NOT a", "The argument to NOT must be a Type or Expression"),
        ("SELECT a FROM t WHERE a * 2 = 4", "Unsupported operator in Condition Expression. Operator: *"),
        ("SELECT a FROM t WHERE a NOT LIKE 'b'", "Unsupported operator in Condition Expression. Operator: like"),
        ("SELECT a FROM t WHERE a = MISSING", "MISSING must be compared using IS operator"),
        ("SELECT a FROM t WHERE a = (SELECT b FROM t)", "Unsupported token in expression: SELECT at 1:28:6"),
        ("SELECT a FROM t WHERE EXISTS(SELECT b FROM t)", "Unsupported token in expression: SELECT at 1:30:6"),
        ("SELECT a FROM t WHERE CASE WHEN a = 1 THEN TRUE END", "Unsupported token in expression: CASE at 1:23:4"),
        ("SELECT a FROM t WHERE CAST(a AS string) = 'x'", "Unsupported token in expression: cast at 1:27:1"),
        ("SELECT a FROM t WHERE a IN (SELECT b FROM t)", IN_WRONG),
        ("SELECT a FROM t WHERE a IN []", IN_WRONG),
        ("SELECT a FROM t WHERE upper(a) = 'A'", "Unrecognized function: upper"),
        ("SELECT a FROM t WHERE list_append(a, b) = 1", "The function is not allowed in a condition expression; function: list_append"),
        (
            "SELECT a FROM t WHERE a = a",
            "The first operand must be distinct from the remaining operands for this operator or function; operator: =, first operand: [a]",
        ),
        ("SELECT a FROM t WHERE a[-1] = 1", "List index is not within the allowable range; index: [-1] at 1:26:1"),
        ("SELECT a FROM t WHERE a[*] = 1", "Wildcard path component like a[*].b are not supported at 1:25:1"),
        ("SELECT a FROM t WHERE a.*.b = 1", "Unpivot path component like a.*.b are not supported at 1:25:1"),
        ("SELECT a FROM t WHERE a = [1, [b]]", "Unsupported data type: VariableReference under key root.1.0 at 1:32:1"),
        ("SELECT a FROM t WHERE pk = 'a' ORDER BY pk + 1", "Argument to ORDER BY must be of type VariableReference. Type: +"),
        ("SELECT a FROM t WHERE pk = 'a' ORDER BY 'pk'", 'Argument to ORDER BY must be of type VariableReference. Type: "pk"'),
        ("INSERT INTO t VALUE a", ITEM_EXPECTED + "1:21:1"),
        ("INSERT INTO t VALUE a = 1", ITEM_EXPECTED + "1:23:1"),
        ("INSERT INTO t VALUE NOT a = 1", ITEM_EXPECTED + "1:21:3"),
        ("INSERT INTO t VALUE ?", ITEM_EXPECTED + "1:21:1"),
        ("INSERT INTO t VALUE {'a': b}", "Unsupported data type: b under key root at 1:27:1"),
        ("INSERT INTO t VALUE {'a': b.c}", "Unsupported data type: PATH under key root"),
        ("INSERT INTO t VALUE {'a': 1 + 1}", "Unsupported data type: + under key root at 1:29:1"),
        ("INSERT INTO t VALUE {'a': {'b': 1 + 1}}", "Unsupported data type: NAry under key root.b at 1:35:1"),
        ("INSERT INTO t VALUE {'a': <<>>}", "Empty bags are not supported at 1:27:2"),
        ("INSERT INTO t VALUE {'a': <<1, 'b'>>}", NO_BAG),
        ("INSERT INTO t VALUE {'a': <<1, TRUE>>}", NO_BAG + " at 1:32:4"),
        ("INSERT INTO t VALUE {a: 1}", "Tuple keys must be of type String. Actual type: VariableReference under root at 1:22:1"),
        ("INSERT INTO t VALUE {5: 1}", "Tuple keys must be of type String. Actual type: INT under root at 1:22:1"),
        ("INSERT INTO t VALUE {'a': 1, 'a': 2}", "Duplicate keys in tuple. Key: a under root at 1:30:3"),
        ("INSERT INTO t VALUE {'x': {'a': 1, 'a': 2}}", "Duplicate keys in tuple. Key: a under root at 1:27:1"),
        ("INSERT INTO t VALUE {'': 1}", "Path component cannot be an empty string"),
        ("INSERT INTO t VALUE {'a': 1} RETURNING ALL OLD *", "RETURNING is not supported in INSERT"),
        ("INSERT INTO t {'a': 1}", "Unsupported operation: InsertOp"),
        ("INSERT INTO t.i VALUE {}", "FROM clause may only contain a single table name in data manipulation statements"),
        ("UPDATE t.i SET a = 1 WHERE pk = 'a'", "This operation is not supported on an index"),
        ("UPDATE t SET a = b * 2 WHERE pk = 'a'", "Unsupported operator in Update Expression. Operator: *"),
        (
            "UPDATE t SET a = -b WHERE pk = 'a'",
            "Incorrect number of operands for operator or function; operator or function: -, number of operands: 1",
        ),
        ("UPDATE t SET a = size(b) WHERE pk = 'a'", "The function is not allowed in an update expression; function: size"),
        ("UPDATE t SET a = set_add(b, <<'c'>>) WHERE pk = 'a'", "The first argument to SET_ADD must equal the assignment value"),
        (
            "UPDATE t SET a = 1, a = 2 WHERE pk = 'a'",
            "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a]",
        ),
        ("UPDATE t REMOVE a, b WHERE pk = 'a'", "Statement wasn't well formed, can't be processed: Unexpected token after expression"),
        (
            "UPDATE t SET a = 1 WHERE pk = 'a' RETURNING ALL OLD a",
            "Expected '*' after ( MODIFIED | ALL ) ( NEW | OLD ) in RETURNING clause",
        ),
        (
            "UPDATE t SET a = 1 WHERE pk = 'a' RETURNING ALL OLD *, ALL NEW *",
            "Invalid syntax with multiple returning elements in RETURNING clause",
        ),
        (
            "DELETE FROM t WHERE pk = 'a' RETURNING MODIFIED NEW *",
            "Invalid returning clause: RETURNING MODIFIED NEW *. Only RETURNING ALL OLD * is allowed in DELETE statements.",
        ),
        ("5", "Unsupported operation: Literal"),
        ("a", "Unsupported operation: VariableReference"),
        ("a.b", "Unsupported operation: Path"),
        ("a = 5", OUTSIDE),
        ("DROP TABLE t", "Unsupported operation: DropTable"),
    ],
)
def test_what_dynamodb_does_not_run_is_refused_by_name_and_place(text: str, message: str) -> None:
    assert error(text) == message


def test_what_stands_in_parentheses_is_the_same() -> None:
    assert compiled("((SELECT * FROM t))").kind == "SELECT"
    assert compiled("(DELETE FROM t WHERE pk = 'a')").kind == "DELETE"
    plain, grouped = (compiled(f"SELECT (a) FROM t WHERE {where}") for where in ("a = 5 AND b IN [6]", "((a) = (5)) AND (b IN (6))"))
    assert plain.conjuncts == grouped.conjuncts and plain.constants == grouped.constants


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
