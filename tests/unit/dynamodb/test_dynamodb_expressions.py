# ruff: noqa: E501 - messages are as long as they are
"""Expressions: what they mean, and what is said when they are wrong."""

import copy
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haar.services.dynamodb.expressions.conditions import compile_condition
from haar.services.dynamodb.expressions.keyconditions import key_conditions
from haar.services.dynamodb.expressions.paths import clash
from haar.services.dynamodb.expressions.scope import Scope
from haar.wire.errors import ServiceError

S = lambda text: {"S": text}
N = lambda number: {"N": str(number)}
ITEM = {
    "a": N(5), "b": S("hello"), "c": {"L": [N(1), S("x"), {"M": {"d": N(7)}}]}, "m": {"M": {"n": {"M": {"o": S("deep")}}, "p": N(2)}},
    "ss": {"SS": ["q", "r"]}, "ns": {"NS": ["1", "2"]}, "bin": {"B": "AAEC"}, "t": {"BOOL": True}, "z": {"NULL": True}, "count": N(3),
}  # fmt: skip
NAMES = {"#a": "a", "#c": "count", "#s": "status"}
VALUES = {
    ":one": N(1), ":five": N(5), ":nine": N(9), ":h": S("he"), ":hello": S("hello"), ":x": S("x"), ":q": S("q"), ":t": {"BOOL": True},
    ":l": {"L": [S("y")]}, ":ss": {"SS": ["r", "s"]}, ":ns": {"NS": ["2", "3"]}, ":b": {"B": "AAE="}, ":m": {"M": {"d": N(7)}}, ":S": S("S"), ":bad": S("Q"),
    ":null": {"NULL": True}, ":z": S("zz"),
}  # fmt: skip


def scope():
    return Scope(copy.deepcopy({"ExpressionAttributeNames": NAMES, "ExpressionAttributeValues": VALUES}))


def bound(used, text):
    return used.compiled("ConditionExpression", text).bind(used.values)


def holds(text, item=ITEM):
    return bound(scope(), text)(item)


def update(text, item=ITEM):
    before = copy.deepcopy(item)
    used = scope()
    after = used.update(text).apply(item, used.values)
    assert item == before, "an item that is shared was changed in place"
    return after


def refused(work, *args):
    with pytest.raises(ServiceError) as error:
        work(*args)
    assert error.value.code == "ValidationException"
    return error.value.message


@pytest.mark.parametrize(
    "text",
    [
        "a = :five", "#a = :five", "a <> :one", "a < :nine", "a <= :five AND a >= :five", "a > :one", "nothing <> :one", "NOT nothing = :one",
        "a BETWEEN :one AND :nine", "a IN (:one, :five)", "begins_with(b, :h)", "contains(b, :hello)", "contains(ss, :q)", "contains(c, :x)",
        "contains(c, :m)", "attribute_exists(m.n.o)", "attribute_not_exists(m.n.q)", "attribute_type(b, :S)", "size(b) = :five",
        "size(ss) < size(c)", "c[2].d > :five", "c[0] = :one", "(a = :one OR b = :hello) AND #c <= :five", "NOT (a = :one)", "not not t = :t",
        "a = :one or a = :five and t = :t", "begins_with(bin, :b)", "z = :null", "(a) = (:five)", "attribute_not_exists(c[7])", ":one = c[0]",
    ],
)  # fmt: skip
def test_what_holds(text):
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "a = :hello", "nothing = :one", "a < :hello", "b < :nine", "nothing < :one", "a BETWEEN :one AND nothing", "begins_with(a, :h)",
        "contains(a, :five)", "contains(ss, :five)", "size(a) = :one", "size(nothing) >= :one", "a IN (:one, :hello)", "m.n = :one",
        "attribute_exists(b.c)", "attribute_exists(b[0])", "t = :one", "NOT a = :five", "contains(nothing, :q)", "ss = :ss",
    ],
)  # fmt: skip
def test_what_does_not_hold(text):
    assert not holds(text)


SYNTAX = "Syntax error; "


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "The expression can not be empty;"),
        ("a", SYNTAX + 'token: "<EOF>", near: "a"'),
        ("a b", SYNTAX + 'token: "b", near: "a b"'),
        ("a = = :one", SYNTAX + 'token: "=", near: "= = :one"'),
        ("a = :one AND", SYNTAX + 'token: "<EOF>", near: "AND"'),
        ("a ! :one", SYNTAX + 'token: "!", near: "a ! :one"'),
        ("(a = :one", SYNTAX + 'token: "<EOF>", near: ":one"'),
        ("a IN ()", SYNTAX + 'token: ")", near: "()"'),
        ("a = ", SYNTAX + 'token: "<EOF>", near: "= "'),
        (" = a", SYNTAX + 'token: "=", near: " = a"'),
        ("a = _b", SYNTAX + 'token: "_", near: "= _b"'),
        ("a[01] = :one", SYNTAX + 'token: "1", near: "01]"'),
        ("((a = :one))", "The expression has redundant parentheses;"),
        ("((a)) = :one", "The expression has redundant parentheses;"),
        ("a = ((:one))", "The expression has redundant parentheses;"),
        ("status = :one", "Attribute name is a reserved keyword; reserved keyword: status"),
        ("m.Status = :one", "Attribute name is a reserved keyword; reserved keyword: Status"),
        ("whatever(a)", "Invalid function name; function: whatever"),
        ("list_append(a, b) = :one", "The function is not allowed in a condition expression; function: list_append"),
        ("size(a)", "The function is not allowed to be used this way in an expression; function: size"),
        ("attribute_exists(a) = :one", "The function is not allowed to be used this way in an expression; function: attribute_exists"),
        ("contains(a, begins_with(b, :h))", "The function is not allowed to be used this way in an expression; function: begins_with"),
        ("attribute_exists(a, b)", "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 2"),
        ("attribute_exists(:one)", "Operator or function requires a document path; operator or function: attribute_exists"),
        ("begins_with(a, :one)", "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N"),
        ("size(:one) = :one", "Incorrect operand type for operator or function; operator or function: size, operand type: N"),
        ("a < :t", "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL"),
        ("attribute_type(a, :one)", "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: N"),
        ("attribute_type(a, :bad)", "Invalid attribute type name found; type: Q, valid types: {S,SS,N,NS,B,BS,BOOL,NULL,L,M}"),
        ("a = a", "The first operand must be distinct from the remaining operands for this operator or function; operator: =, first operand: [a]"),
        ("m.n = m.n", "The first operand must be distinct from the remaining operands for this operator or function; operator: =, first operand: [m, n]"),
        ("a IN (b, a)", "The first operand must be distinct from the remaining operands for this operator or function; operator: IN, first operand: [a]"),
        ("a BETWEEN a AND :one", "The first operand must be distinct from the remaining operands for this operator or function; operator: BETWEEN, first operand: [a]"),
        ("a BETWEEN a AND :t", "Incorrect operand type for operator or function; operator or function: BETWEEN, operand type: BOOL"),
        ("a BETWEEN :nine AND :one", "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {N:9}, upper bound operand: AttributeValue: {N:1}"),
        ("a BETWEEN :one AND :h", "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:he}"),
        ("#u = :one", "An expression attribute name used in the document path is not defined; attribute name: #u"),
        ("a = :u", "An expression attribute value used in expression is not defined; attribute value: :u"),
        ("#a = :one OR a = :one AND status = :u", "Attribute name is a reserved keyword; reserved keyword: status"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_condition(text, message):
    assert refused(holds, text) == "Invalid ConditionExpression: " + message


@pytest.mark.parametrize(
    "text", ["(" * 2000 + "a = :one" + ")" * 2000, "NOT " * 1000 + "a = :one", "size(" * 500 + "a" + ")" * 500 + " = :one", "(" * 4000]
)
def test_deep_nesting_is_refused_and_harmless(text):
    assert refused(holds, text).startswith("Invalid ConditionExpression: ")


def test_limits_of_size_and_operators():
    assert "Expression size has exceeded the maximum allowed size;" in refused(holds, "a = :one" + " " * 4096)
    assert holds(" OR ".join(["a=:one"] * 149 + ["a=:five"]))
    assert holds(f"a IN ({', '.join([':one'] * 99)}, :five)")
    many = refused(holds, f"a IN ({', '.join([':one'] * 101)})")
    assert many.endswith("The IN operator is provided with too many operands; number of operands: 101")
    assert "too many operators" in refused(holds, " OR ".join(["a=:one"] * 151))


@pytest.mark.parametrize(
    "text, changed",
    [
        ("SET a = :one", {"a": N(1)}),
        ("set a = a + :one", {"a": N(6)}),
        ("SET a = a - :nine, b = :x", {"a": N(-4), "b": S("x")}),
        ("SET newer = if_not_exists(newer, :one) + :five", {"newer": N(6)}),
        ("SET a = if_not_exists(a, :one)", {"a": N(5)}),
        ("SET c = list_append(c, :l)", {"c": {"L": [*ITEM["c"]["L"], S("y")]}}),
        ("SET c = list_append(if_not_exists(nowhere, :l), c)", {"c": {"L": [S("y"), *ITEM["c"]["L"]]}}),
        ("SET c[1] = :one, c[9] = :five, c[7] = :nine", {"c": {"L": [N(1), N(1), ITEM["c"]["L"][2], N(9), N(5)]}}),
        ("SET c[0] = c[1] REMOVE c[1], c[2]", {"c": {"L": [S("x")]}}),
        ("SET m.n.o = :one, m.q = a", {"m": {"M": {"n": {"M": {"o": N(1)}}, "p": N(2), "q": N(5)}}}),
        ("SET a = count_ REMOVE b", None),
        ("SET a = b, b = a", {"a": S("hello"), "b": N(5)}),
        ("REMOVE a, nothing, m.n.o", {"a": None, "m": {"M": {"n": {"M": {}}, "p": N(2)}}}),
        ("REMOVE c[0], c[2], c[9]", {"c": {"L": [S("x")]}}),
        ("SET c[7] = :one REMOVE c[0], c[1], c[3]", {"c": {"L": [ITEM["c"]["L"][2], N(1)]}}),
        ("ADD c[9] :one, c[0] :five", {"c": {"L": [N(6), S("x"), {"M": {"d": N(7)}}, N(1)]}}),
        ("ADD a :one, newer :five, ss :ss, fresh :ns", {"a": N(6), "newer": N(5), "ss": {"SS": ["q", "r", "s"]}, "fresh": {"NS": ["2", "3"]}}),
        ("DELETE ss :ss, ns :ns, nothing :ss", {"ss": {"SS": ["q"]}, "ns": {"NS": ["1"]}}),
        ("DELETE ss :q2", None),
        ("SET #s = (:one + :five) ADD m.p :one", {"status": N(6), "m": {"M": {"n": ITEM["m"]["M"]["n"], "p": N(3)}}}),
    ],
)  # fmt: skip
def test_what_updates_do(text, changed):
    if changed is None:
        refused(update, text)
        return
    expected = {**ITEM, **changed}
    assert update(text) == {name: value for name, value in expected.items() if value is not None}


def test_a_set_that_becomes_empty_goes():
    assert "ss" not in update("DELETE ss :ss", {"ss": {"SS": ["r"]}})
    sets = {"l": {"L": [{"SS": ["r"]}, {"SS": ["q", "r"]}, {"SS": ["s"]}]}}
    assert update("DELETE l[0] :ss, l[1] :ss REMOVE l[2]", sets) == {"l": {"L": [{"SS": ["q"]}]}}


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "Invalid UpdateExpression: The expression can not be empty;"),
        ("a = :one", 'Invalid UpdateExpression: Syntax error; token: "a", near: "a ="'),
        ("SET a :one", 'Invalid UpdateExpression: Syntax error; token: ":one", near: "a :one"'),
        ("SET a = :one + :five + :nine", 'Invalid UpdateExpression: Syntax error; token: "+", near: ":five + :nine"'),
        ("SET a = :one SET b = :one", 'Invalid UpdateExpression: The "SET" section can only be used once in an update expression;'),
        ("SET status = :one", "Invalid UpdateExpression: Attribute name is a reserved keyword; reserved keyword: status"),
        ("SET a = what(b)", "Invalid UpdateExpression: Invalid function name; function: what"),
        ("SET a = size(b)", "Invalid UpdateExpression: The function is not allowed in an update expression; function: size"),
        ("SET #u = :one", "Invalid UpdateExpression: An expression attribute name used in the document path is not defined; attribute name: #u"),
        ("SET a = :u", "Invalid UpdateExpression: An expression attribute value used in expression is not defined; attribute value: :u"),
        ("SET a = :one, a = :five", "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a]"),
        ("SET m.n = :one REMOVE m", "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [m, n], path two: [m]"),
        ("SET m.n = :one, m[1] = :one", "Invalid UpdateExpression: Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [m, n], path two: [m, [1]]"),
        ("ADD a :h", "Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD, operand type: STRING, typeSet: ALLOWED_FOR_ADD_OPERAND"),
        ("DELETE a :one", "Invalid UpdateExpression: Incorrect operand type for operator or function; operator: DELETE, operand type: NUMBER, typeSet: ALLOWED_FOR_DELETE_OPERAND"),
        ("SET a = :h + :one", "Invalid UpdateExpression: Incorrect operand type for operator or function; operator or function: +, operand type: S"),
        ("SET a = list_append(c, :h)", "Invalid UpdateExpression: Incorrect operand type for operator or function; operator or function: list_append, operand type: S"),
        ("SET a = if_not_exists(:one, :one)", "Invalid UpdateExpression: Operator or function requires a document path; operator or function: if_not_exists"),
        ("SET a = if_not_exists(a)", "Invalid UpdateExpression: Incorrect number of operands for operator or function; operator or function: if_not_exists, number of operands: 1"),
        ("SET a = nothing", "The provided expression refers to an attribute that does not exist in the item"),
        ("SET a = b + :one", "An operand in the update expression has an incorrect data type"),
        ("SET a = list_append(b, c)", "An operand in the update expression has an incorrect data type"),
        ("ADD b :one", "An operand in the update expression has an incorrect data type"),
        ("DELETE ss :ns", "An operand in the update expression has an incorrect data type"),
        ("SET nothing.a = :one", "The document path provided in the update expression is invalid for update"),
        ("SET b.c = :one", "The document path provided in the update expression is invalid for update"),
        ("SET c.d = :one", "The document path provided in the update expression is invalid for update"),
        ("REMOVE nothing.a", "The document path provided in the update expression is invalid for update"),
        ("REMOVE a[0]", "The document path provided in the update expression is invalid for update"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_update(text, message):
    assert refused(update, text) == message


@pytest.mark.parametrize(
    "text, kept",
    [
        ("a, b", {"a": N(5), "b": S("hello")}),
        ("nothing, #a", {"a": N(5)}),
        ("m.n.o, m.p", {"m": {"M": {"n": {"M": {"o": S("deep")}}, "p": N(2)}}}),
        ("c[2].d, c[0], c[9]", {"c": {"L": [N(1), {"M": {"d": N(7)}}]}}),
        ("m.nothing, b.c", {}),
    ],
)
def test_projections(text, kept):
    assert scope().projection(text).project(ITEM) == kept


@pytest.mark.parametrize(
    "text, message",
    [
        ("a, a", "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a]"),
        (
            "m, m.n",
            "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [m], path two: [m, n]",
        ),
        ("a b", 'Syntax error; token: "b", near: "a b"'),
        ("a,", 'Syntax error; token: "<EOF>", near: ","'),
        ("status", "Attribute name is a reserved keyword; reserved keyword: status"),
        ("#u", "An expression attribute name used in the document path is not defined; attribute name: #u"),
    ],
)
def test_what_is_wrong_with_a_projection(text, message):
    assert refused(scope().projection, text) == "Invalid ProjectionExpression: " + message


@pytest.mark.parametrize(
    "text, message",
    [
        ("a = :one OR b = :one", "Invalid operator used in KeyConditionExpression: OR"),
        ("NOT a = :one", "Invalid operator used in KeyConditionExpression: NOT"),
        ("a <> :one", "Invalid operator used in KeyConditionExpression: <>"),
        ("a IN (:one)", "Invalid operator used in KeyConditionExpression: IN"),
        ("attribute_exists(a)", "Invalid operator used in KeyConditionExpression: attribute_exists"),
        ("a = :one AND a = :five", "KeyConditionExpressions must only contain one condition per key"),
        ("m.n = :one", "KeyConditionExpressions cannot have conditions on nested attributes"),
        ("size(a) = :one", "KeyConditionExpressions cannot contain nested operations"),
        ("a = b", "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"),
        (":one = :five", "Invalid condition in KeyConditionExpression: No key attribute specified"),
    ],
)
def test_what_is_wrong_with_a_key_condition(text, message):
    def conditions():
        used = scope()
        return key_conditions(used.compiled("KeyConditionExpression", text), used.values)

    assert refused(conditions) == message


def test_key_conditions_by_attribute():
    used = scope()
    found = key_conditions(used.compiled("KeyConditionExpression", ":one < a AND (b BETWEEN :h AND :z)"), used.values)
    assert found == {"a": ("GT", [N(1)]), "b": ("BETWEEN", [S("he"), S("zz")])}


@pytest.mark.parametrize(
    "given, message",
    [
        ({"ExpressionAttributeNames": {}}, "ExpressionAttributeNames must not be empty"),
        ({"ExpressionAttributeNames": {"a": "b"}}, 'ExpressionAttributeNames contains invalid key: Syntax error; key: "a"'),
        ({"ExpressionAttributeValues": {}}, "ExpressionAttributeValues must not be empty"),
        ({"ExpressionAttributeValues": {":a b": N(1)}}, 'ExpressionAttributeValues contains invalid key: Syntax error; key: ":a b"'),
        (
            {"ExpressionAttributeValues": {":a": {"N": "q"}}},
            "ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a numeric value: q for key :a",
        ),
        ({"ExpressionAttributeNames": {"#u": "a"}}, "Value provided in ExpressionAttributeNames unused in expressions: keys: {#u}"),
        ({"ExpressionAttributeValues": {":u": N(1)}}, "Value provided in ExpressionAttributeValues unused in expressions: keys: {:u}"),
    ],
)
def test_what_is_wrong_with_placeholders(given, message):
    def run():
        used = Scope(copy.deepcopy(given), older=True)
        bound(used, "attribute_exists(a)")
        used.finish()

    assert refused(run) == message


LEAVES = st.sampled_from(["a", "b", "n"])
CONDITIONS = st.recursive(
    st.tuples(st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), LEAVES, st.integers(-2, 2)),
    lambda inner: st.one_of(
        st.tuples(st.just("NOT"), inner), st.tuples(st.sampled_from(["AND", "OR"]), inner, inner), st.tuples(st.just("("), inner)
    ),
    max_leaves=12,
)


def write(node, outer="OR"):
    """Text of a condition that means `node`: parentheses only where precedence needs them."""
    if node[0] == "(":
        return write(node[1], outer)
    if node[0] == "NOT":
        inner = write(node[1], "NOT")
        return f"NOT {inner}"
    if node[0] in ("AND", "OR"):
        text = f"{write(node[1], node[0])} {node[0]} {write(node[2], node[0])}"
        return f"({text})" if (outer, node[0]) in (("AND", "OR"), ("NOT", "AND"), ("NOT", "OR")) else text
    return f"{node[1]} {node[0]} :v{node[2] + 2}"


def mean(node, item):
    if node[0] == "(":
        return mean(node[1], item)
    if node[0] == "NOT":
        return not mean(node[1], item)
    if node[0] == "AND":
        return mean(node[1], item) and mean(node[2], item)
    if node[0] == "OR":
        return mean(node[1], item) or mean(node[2], item)
    operator, name, right = node
    left = item.get(name)
    if left is None:
        return operator == "<>"
    left = Decimal(left["N"])
    return {"=": left == right, "<>": left != right, "<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[
        operator
    ]


@given(CONDITIONS, st.dictionaries(st.sampled_from(["a", "b"]), st.integers(-2, 2).map(N)))
def test_conditions_mean_what_a_naive_reading_says(node, item):
    used = Scope({"ExpressionAttributeValues": {f":v{at + 2}": N(at) for at in range(-2, 3)}})
    assert bound(used, write(node))(item) == mean(node, item)


@pytest.mark.parametrize(
    "text, sound, wrong",
    [
        ("a < :a", {":a": {"N": "1"}}, {":a": {"BOOL": True}}),
        ("a BETWEEN :a AND :b", {":a": {"N": "1"}, ":b": {"N": "2"}}, {":a": {"N": "3"}, ":b": {"N": "2"}}),
        ("attribute_type(a, :a)", {":a": {"S": "N"}}, {":a": {"S": "X"}}),
        ("begins_with(a, :a)", {":a": {"S": "x"}}, {}),
    ],
)
def test_an_expression_that_is_known_still_has_its_values_checked(text, sound, wrong):
    compiled = compile_condition("FilterExpression", text, ())
    for _ in range(2):
        compiled.check(sound)
        with pytest.raises(ServiceError):
            compiled.check(wrong)


@pytest.mark.parametrize("value", ["((a + :one))", "((a))", "(((a) + :one))", "((a)) + :one"])
def test_redundant_parentheses_in_updates(value):
    assert refused(update, f"SET fresh = {value}") == "Invalid UpdateExpression: The expression has redundant parentheses;"


@pytest.mark.parametrize("value", ["(a + :one)", "(a) + :one", "((a) + :one)", "((a) + (:one))", "(if_not_exists(a, :nine) + :one)"])
def test_parentheses_in_updates(value):
    assert update(f"SET fresh = {value}")["fresh"] == N(6)


PARTS = st.sampled_from(["a", "b", 0, 1])
PATHS = st.lists(st.tuples(st.sampled_from("ab"), st.lists(PARTS, max_size=2)).map(lambda path: (path[0], *path[1])), max_size=4)


@given(PATHS)
def test_paths_touch_when_two_of_them_do(chosen):
    """Of names and positions in one place only one can be; of a path and what is below it, too."""

    def touch(one, other):
        for first, second in zip(one, other, strict=False):
            if first != second:
                return type(first) is not type(second)
        return True

    expected = any(touch(one, other) for at, one in enumerate(chosen) for other in chosen[:at])
    assert (clash(chosen) is not None) is expected
