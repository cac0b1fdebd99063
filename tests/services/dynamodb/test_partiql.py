"""ExecuteStatement, BatchExecuteStatement, ExecuteTransaction: what statements read, write, answer and refuse."""

import random

import pytest
from tests.services.dynamodb.conftest import eventually, refusal
from tests.services.dynamodb.test_dynamodb_access import denied, user  # noqa: F401 - a fixture

S = lambda text: {"S": text}
N = lambda number: {"N": str(number)}
WELL_FORMED = "Statement wasn't well formed, can't be processed: "
NO_KEY = "Where clause does not contain a mandatory equality on all key attributes"


class Music:
    """A table of songs, and statements on it: `{t}` in a statement is its name."""

    def __init__(self, items):
        self.items, self.client, self.name = items, items.client, items.name

    def run(self, statement, *parameters, **more):
        if parameters:
            more["Parameters"] = list(parameters)
        return self.client.execute_statement(Statement=statement.replace("{t}", f'"{self.name}"'), **more)

    def rows(self, statement, *parameters, **more):
        return self.run(statement, *parameters, **more)["Items"]

    def titles(self, statement, *parameters, **more):
        return [row["title"].get("S") for row in self.rows(statement, *parameters, **more)]

    def refused(self, statement, *parameters, **more):
        if parameters:
            more["Parameters"] = list(parameters)
        return refusal(self.client.execute_statement, Statement=statement.replace("{t}", f'"{self.name}"'), **more)

    def get(self, artist, title):
        return self.items.get_item(Key={"artist": S(artist), "title": S(title)}, ConsistentRead=True).get("Item")


@pytest.fixture
def music(table):
    items = table("artist:S", "title:S", indexes={"byYear": ("year:N", "title:S")}, local={"byRating": ("artist:S", "rating:N")})
    for artist, title, year, rating in (
        ("acme", "alpha", 1990, 3),
        ("acme", "beta", 1991, 2),
        ("acme", "gamma", 1992, 1),
        ("bolt", "alpha", 1990, 5),
        ("bolt", "it's", 1995, 4),
    ):
        items.put_item(Item={"artist": S(artist), "title": S(title), "year": N(year), "rating": N(rating)})
    items.put_item(
        Item={
            "artist": S("doc"),
            "title": S("one"),
            "info": {"M": {"tags": {"L": [S("x"), S("y")]}, "deep": {"M": {"n": N(1)}}, "odd name": S("o")}},
            "set": {"SS": ["a", "b"]},
            "empty": {"NULL": True},
            "raw": {"B": b"\x00\x01"},
        }
    )
    return Music(items)


def test_select_by_key_is_one_item(music):
    assert music.rows("SELECT * FROM {t} WHERE artist = 'acme' AND title = 'beta'") == [
        {"artist": S("acme"), "title": S("beta"), "year": N(1991), "rating": N(2)}
    ]
    assert music.titles("select title from {t} where 'bolt' = artist and title = ?", S("it's")) == ["it's"]
    assert music.titles("SELECT title FROM {t} WHERE artist = 'bolt' AND title = 'it''s'") == ["it's"]
    assert music.rows("SELECT * FROM {t} WHERE artist = 'acme' AND title = 'nobody'") == []
    assert music.rows("SELECT * FROM {t} WHERE artist = 'acme' AND title = 'beta' AND rating > 2") == []
    assert music.titles("SELECT * FROM {t} WHERE artist = 'acme' AND title = 'beta' AND rating < 3") == ["beta"]


@pytest.mark.parametrize(
    "where, titles",
    [
        ("title > 'alpha'", ["beta", "gamma"]),
        ("title >= 'beta' AND rating = 1", ["gamma"]),
        ("title BETWEEN 'alpha' AND 'beta'", ["alpha", "beta"]),
        ("begins_with(title, 'g')", ["gamma"]),
        ("BEGINS_WITH(title, 'g')", ["gamma"]),
        ("'beta' > title", ["alpha"]),
        ("rating IN [1, 3]", ["alpha", "gamma"]),
        ("rating IN (1, 3)", ["alpha", "gamma"]),
        ("NOT rating IN [1, 3]", ["beta"]),
        ("rating NOT IN [1, 3]", ["beta"]),
        ("rating <> 3 AND title <> 'gamma'", ["beta"]),
        ("(rating = 3 OR rating = 1) AND title > 'alpha'", ["gamma"]),
        ("title > 'alpha' AND title < 'gamma'", ["beta"]),
        ("rating NOT BETWEEN 2 AND 9", ["gamma"]),
        ("contains(title, 'et')", ["beta"]),
        ("attribute_type(rating, 'N') AND size(title) = 4", ["beta"]),
        ("missing IS MISSING", ["alpha", "beta", "gamma"]),
        ("rating IS MISSING", []),
        ("rating IS NOT MISSING AND rating IS NOT NULL AND rating >= 2e0", ["alpha", "beta"]),
    ],
)
def test_conditions(music, where, titles):
    assert music.titles("SELECT title FROM {t} WHERE artist = 'acme' AND " + where.replace("missing IS", '"not there" IS')) == titles


def test_select_of_several_partitions_and_of_all(music):
    every = lambda where: sorted(music.titles("SELECT * FROM {t} " + where))
    assert every("WHERE artist IN ['acme', 'bolt', 'acme']") == ["alpha", "alpha", "beta", "gamma", "it's"]
    assert every("WHERE artist = 'acme' OR artist = 'doc'") == ["alpha", "beta", "gamma", "one"]
    assert every("WHERE (artist = 'acme' AND title = 'beta') OR artist = 'doc'") == ["beta", "one"]
    assert every("WHERE artist = 'doc' OR rating > 4") == ["alpha", "one"]
    assert every("WHERE rating > 4") == ["alpha"] and len(every("")) == 6
    assert every("WHERE artist IN [?, ?] AND title = 'alpha'".replace("?", "'acme'", 1).replace("?", "'bolt'", 1)) == ["alpha", "alpha"]


def test_documents(music):
    row = lambda what, where="": music.rows(f"SELECT {what} FROM {{t}} WHERE artist = 'doc' AND title = 'one'{where}")
    assert row('info.tags[1], info.deep.n, "set", nobody') == [{"tags[1]": S("y"), "n": N(1), "set": {"SS": ["a", "b"]}}]
    assert row('info."odd name"') == [{"odd name": S("o")}] and row("nobody") == [{}]
    assert row("title", " AND info.deep.n = 1 AND info.tags[0] = 'x'") == [{"title": S("one")}]
    assert row("title", " AND empty IS NULL AND info.tags = ['x', 'y']") == [{"title": S("one")}]
    assert row("title", " AND \"set\" = <<'b', 'a'>> AND info.deep = {'n': 1}") == [{"title": S("one")}]
    assert row("title", " AND contains(\"set\", 'a') AND size(\"set\") = 2 AND attribute_type(raw, 'B')") == [{"title": S("one")}]
    assert row("title", " AND title IS NULL") == []


def test_order_and_indexes(music):
    assert music.titles("SELECT title FROM {t} WHERE artist = 'acme' ORDER BY title DESC") == ["gamma", "beta", "alpha"]
    assert music.titles("SELECT title FROM {t}.\"byRating\" WHERE artist = 'acme' ORDER BY rating") == ["gamma", "beta", "alpha"]
    assert music.titles("SELECT title FROM {t}.\"byRating\" WHERE artist = 'acme' AND rating > 1 ORDER BY rating DESC") == ["alpha", "beta"]
    rows = music.rows('SELECT artist, title FROM {t}."byYear" WHERE "year" = 1990')
    assert sorted(row["artist"]["S"] for row in rows) == ["acme", "bolt"]
    ordered = music.rows("SELECT artist FROM {t} WHERE artist IN ['bolt', 'acme'] ORDER BY artist DESC")
    assert [row["artist"]["S"] for row in ordered] == ["bolt", "bolt", "acme", "acme", "acme"]
    assert len(music.rows('SELECT * FROM {t}."byYear"')) == 5


def test_pages(music):
    for statement, parameters in (
        ("SELECT * FROM {t}", ()),
        ("SELECT * FROM {t} WHERE artist = ?", (S("acme"),)),
        ("SELECT * FROM {t} WHERE artist IN ['bolt', 'acme'] ORDER BY artist DESC, title DESC", ()),
        ('SELECT * FROM {t}."byYear" WHERE "year" IN [1990, 1992]', ()),
    ):
        whole = music.rows(statement, *parameters)
        found, token = [], {}
        while True:
            page = music.run(statement, *parameters, Limit=1, **token)
            assert len(page["Items"]) <= 1 and ("NextToken" in page) == ("LastEvaluatedKey" in page)
            found += page["Items"]
            if "NextToken" not in page:
                break
            token = {"NextToken": page["NextToken"]}
        assert found == whole
    other = music.run("SELECT * FROM {t}", Limit=1)["NextToken"]
    wrong = ("ValidationException", "NextToken does not match request")
    assert music.refused("SELECT * FROM {t} WHERE artist = ?", S("acme"), NextToken=other) == wrong
    assert music.refused("SELECT * FROM {t}", NextToken="A" + other[1:] if other[0] != "A" else "B" + other[1:]) == wrong
    assert music.refused("SELECT * FROM {t}", NextToken="???") == wrong


def test_several_partitions_come_in_pages_of_ten(music):
    for number in range(13):
        music.run("INSERT INTO {t} VALUE {'artist': ?, 'title': 'one'}", S(f"a{number:02}"))
    statement = "SELECT artist FROM {t} WHERE artist IN [" + ", ".join(f"'a{number:02}'" for number in range(13)) + "] ORDER BY artist"
    first = music.run(statement)
    rest = music.run(statement, NextToken=first["NextToken"])
    assert len(first["Items"]) == 10 and "NextToken" not in rest
    assert [row["artist"]["S"] for row in first["Items"] + rest["Items"]] == [f"a{number:02}" for number in range(13)]
    many = "SELECT * FROM {t} WHERE artist IN [" + ", ".join(f"'{number}'" for number in range(51)) + "]"
    assert music.refused(many)[0] == "ValidationException"


@pytest.mark.parametrize("limit", [None, 1, 3])
@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize("source", ["{t}", '{t}."byRating"'])
def test_several_partitions_in_the_order_of_their_sort_key(table, source, direction, limit):
    items = table("artist:S", "title:S", local={"byRating": ("artist:S", "rating:N")})
    music, dice = Music(items), random.Random(5)
    made = [(artist, f"s{at:02}", dice.randrange(5)) for artist in "abc" for at in range(12) if dice.random() < 0.7]
    for artist, title, rating in made:
        items.put_item(Item={"artist": S(artist), "title": S(title), "rating": N(rating)})
    column = "rating" if "byRating" in source else "title"
    statement = f"SELECT * FROM {source} WHERE artist IN ['c', 'a', 'b'] AND title <> 's05' ORDER BY {column} {direction}"
    found, more = [], {} if limit is None else {"Limit": limit}
    while True:
        page = music.run(statement, **more)
        found += [(row["artist"]["S"], row["title"]["S"], int(row["rating"]["N"])) for row in page["Items"]]
        if "NextToken" not in page:
            break
        more["NextToken"] = page["NextToken"]
    assert sorted(found) == sorted(row for row in made if row[1] != "s05")
    order = [row[2] if column == "rating" else row[1] for row in found]
    assert order == sorted(order, reverse=direction == "DESC")


def test_consumed_capacity_is_that_of_the_operation(music):
    read = lambda where, **more: music.run("SELECT * FROM {t} " + where, ReturnConsumedCapacity="TOTAL", **more)["ConsumedCapacity"]
    key = "WHERE artist = 'acme' AND title = 'beta'"
    assert read(key) == {"TableName": music.name, "CapacityUnits": 0.5}
    assert read(key, ConsistentRead=True)["CapacityUnits"] == 1 and read("")["CapacityUnits"] == 0.5
    written = music.run("UPDATE {t} SET x = 1 " + key, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    assert written["Table"] == {"CapacityUnits": 1} and set(written["GlobalSecondaryIndexes"]) == {"byYear"}
    assert refusal(music.client.execute_statement, Statement=f'SELECT * FROM "{music.name}"."byYear"', ConsistentRead=True) == (
        "ValidationException",
        "Consistent reads are not supported on global secondary indexes",
    )


def test_insert(music):
    made = "INSERT INTO {t} VALUE {'artist': 'new', 'title': ?, 'n': -1.50, 'list': [1, ?, {'k': NULL}], 'set': <<3, 1>>, 'yes': true}"
    assert music.run(made, S("song"), S("p"))["Items"] == []
    assert music.get("new", "song") == {
        "artist": S("new"),
        "title": S("song"),
        "n": N("-1.5"),
        "list": {"L": [N(1), S("p"), {"M": {"k": {"NULL": True}}}]},
        "set": {"NS": ["1", "3"]},
        "yes": {"BOOL": True},
    }
    assert music.refused(made, S("song"), S("q")) == ("DuplicateItemException", "Duplicate primary key exists in table")
    assert music.get("new", "song")["list"]["L"][1] == S("p")
    missing = "Key attribute should be present in the item: Key title"
    assert music.refused("INSERT INTO {t} VALUE {'artist': 'x'}") == ("ValidationException", missing)
    wrong = "Key attribute's data type should match its data type in table's schema: Key title"
    assert music.refused("INSERT INTO {t} VALUE {'artist': 'x', 'title': 1}") == ("ValidationException", wrong)
    for statement in ("SELECT * FROM {t}", "UPDATE {t} SET x = 1", "DELETE FROM {t}"):
        assert music.refused(statement + " WHERE artist = 'x' AND title = 1") == ("ValidationException", wrong)
    assert music.refused("INSERT INTO {t} VALUE {'artist': 'x', 'title': 'y', 's': <<>>}")[0] == "ValidationException"
    assert music.refused("INSERT INTO {t} VALUE {'artist': 'x', 'title': 'y', 's': <<1, 'a'>>}")[0] == "ValidationException"
    assert music.refused("INSERT INTO {t} VALUE 'x'")[0] == "ValidationException"
    assert music.refused("INSERT INTO {t} VALUE ?", {"M": {"artist": S("x"), "title": S("y")}})[0] == "ValidationException"
    assert music.get("x", "y") is None


def test_update(music):
    key = " WHERE artist = 'acme' AND title = 'beta'"
    music.run('UPDATE {t} SET rating = rating + 10, note = ? SET "list" = [1]' + key, S("first"))
    music.run("UPDATE {t} SET \"list\" = list_append(\"list\", [2, ?]) SET tags = <<'a', 'b'>> SET info = {'n': 1}" + key, N(3))
    music.run("UPDATE {t} SET tags = set_add(tags, <<'c'>>) SET info.m = rating - 2 REMOVE note" + key)
    music.run("UPDATE {t} SET tags = set_delete(tags, <<'a'>>) REMOVE \"list\"[0]" + key)
    assert music.get("acme", "beta") == {
        "artist": S("acme"),
        "title": S("beta"),
        "year": N(1991),
        "rating": N(12),
        "list": {"L": [N(2), N(3)]},
        "tags": {"SS": ["b", "c"]},
        "info": {"M": {"n": N(1), "m": N(10)}},
    }
    failed = ("ConditionalCheckFailedException", "The conditional request failed")
    assert music.refused("UPDATE {t} SET x = 1 WHERE artist = 'acme' AND title = 'nobody'") == failed
    assert music.refused("UPDATE {t} SET x = 1" + key + " AND rating = 1") == failed
    assert music.get("acme", "nobody") is None and "x" not in music.get("acme", "beta")
    with pytest.raises(music.client.exceptions.ConditionalCheckFailedException) as error:
        music.run("UPDATE {t} SET x = 1" + key + " AND rating = 1", ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert error.value.response["Item"]["rating"] == N(12)
    assert music.refused("UPDATE {t} SET title = 'x'" + key)[1].startswith("One or more parameter values were invalid: Cannot update")
    for where in ("", " WHERE artist = 'acme'", " WHERE artist = 'acme' AND title > 'a'", " WHERE rating = 1"):
        assert music.refused("UPDATE {t} SET x = 1" + where) == ("ValidationException", NO_KEY)
        assert music.refused("DELETE FROM {t}" + where) == ("ValidationException", NO_KEY)


def test_returning(music):
    update = lambda what, returning: music.rows(f"UPDATE {{t}} {what} WHERE artist = 'acme' AND title = 'beta' RETURNING {returning} *")
    whole = {"artist": S("acme"), "title": S("beta"), "year": N(1991), "rating": N(2)}
    assert update("SET rating = 3", "ALL OLD") == [whole]
    assert update("SET rating = 4", "ALL NEW") == [whole | {"rating": N(4)}]
    assert update("SET rating = 5", "MODIFIED OLD") == [{"rating": N(4)}]
    assert update("SET rating = 6", "modified new") == [{"rating": N(6)}]
    assert update("SET info = {'a': 1, 'b': 2}", "MODIFIED OLD") == []
    assert update("SET info.a = 9", "MODIFIED NEW") == [{"info": {"M": {"a": N(9)}}}]
    assert update("REMOVE info", "MODIFIED NEW") == []
    delete = "DELETE FROM {t} WHERE artist = 'acme' AND title = 'beta' RETURNING "
    assert music.refused(delete + "ALL NEW *")[0] == "ValidationException"
    assert music.rows(delete + "ALL OLD *") == [whole | {"rating": N(6)}] and music.rows(delete + "ALL OLD *") == []


def test_delete(music):
    key = " WHERE artist = 'acme' AND title = 'beta'"
    failed = ("ConditionalCheckFailedException", "The conditional request failed")
    assert music.refused("DELETE FROM {t}" + key + " AND rating = 9") == failed
    assert music.run("DELETE FROM {t}" + key + " AND rating = 2")["Items"] == []
    assert music.get("acme", "beta") is None
    assert music.run("DELETE FROM {t}" + key)["Items"] == [] and music.run("DELETE FROM {t}" + key + " AND rating = 2")["Items"] == []


@pytest.mark.parametrize(
    "statement, message",
    [
        ("SLECT * FROM {t}", WELL_FORMED + "Unexpected keyword"),
        ("UPDATE {t}-x SET a = 1", WELL_FORMED + "Expected data manipulation"),
        ("SELECT * FROM {t} WHERE artist = 'a' b", WELL_FORMED + "Unexpected token after expression"),
        ("SELECT * WHERE artist = 'a'", WELL_FORMED + "Expected FROM after SELECT list"),
        ("DELETE {t} WHERE artist = 'a'", WELL_FORMED + "Expected FROM after DELETE"),
        ("SELECT artist AS a FROM {t}", "Aliasing is not supported"),
        ("SELECT * FROM {t} m WHERE artist = 'a'", "Aliasing is not supported"),
        ("SELECT DISTINCT artist FROM {t}", "Unsupported token in expression: DISTINCT"),
        ("SELECT * FROM {t} WHERE artist = 'a' LIMIT 5", "Unsupported clause: LIMIT"),
        ("SELECT FROM {t}", WELL_FORMED + "Unexpected keyword"),
        ("SELECT * FROM {t} WHERE artist =", WELL_FORMED + "Unexpected term"),
        ("SELECT * FROM 'x'", "Unexpected from source"),
        ("SELECT * FROM {t} WHERE artist = ?", "Number of parameters in request and statement don't match."),
        ("SELECT * FROM {t} ORDER BY title", "Must have WHERE clause in the statement when using ORDER BY clause."),
        (
            "SELECT * FROM {t} WHERE title = 'x' ORDER BY title",
            "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause.",
        ),
        (
            "SELECT * FROM {t} WHERE artist = 'x' ORDER BY rating",
            "Variable reference rating in ORDER BY clause must be part of the primary key",
        ),
        ("SELECT * FROM {t}.nobody WHERE artist = 'x'", "The table does not have the specified index: nobody"),
    ],
)
def test_refused_statements(music, statement, message):
    code, said = music.refused(statement)
    assert (code, said.partition(" at ")[0] if "LIMIT" in message else said) == ("ValidationException", message)


def test_limits(music):
    assert music.refused("SELECT * FROM {t} WHERE x = '" + "a" * 8192 + "'")[1].endswith("length less than or equal to 8192")
    for nested in ("(" * 1500 + "a = 1" + ")" * 1500, "NOT " * 1500 + "a = 1", "a = " + "[" * 2000 + "]" * 2000, "a = " + "size(" * 500):
        code, message = music.refused("SELECT * FROM {t} WHERE " + nested)
        assert code == "ValidationException" and message
    assert music.refused("SELECT * FROM {t} WHERE " + " OR ".join(["a = 1"] * 302))[1].startswith(
        "The expression contains too many operators"
    )
    assert music.refused("SELECT * FROM {t} WHERE a IN [" + ", ".join(map(str, range(101))) + "]")[0] == "ValidationException"
    assert music.refused("SELECT * FROM {t} WHERE begins_with(artist, 1)")[0] == "ValidationException"
    assert music.refused("SELECT * FROM {t} WHERE artist = 1")[0] == "ValidationException"
    assert music.rows("SELECT artist FROM {t} WHERE artist = 'doc'") == [{"artist": S("doc")}]
    long = "INSERT INTO {t} VALUE {'artist': 'long', 'title': 'long', 'list': [" + ", ".join(["<<1>>"] * 1000) + "]}"
    music.run(long)
    assert len(music.get("long", "long")["list"]["L"]) == 1000 and music.refused(long)[0] == "DuplicateItemException"
    gone = refusal(music.client.execute_statement, Statement='SELECT * FROM "no-such-table"')
    assert gone == ("ResourceNotFoundException", "Requested resource not found")


def batch(music, *statements, **more):
    named = []
    for each in statements:
        request = {"Statement": each} if isinstance(each, str) else each
        named.append(request | {"Statement": request["Statement"].replace("{t}", f'"{music.name}"')})
    return music.client.batch_execute_statement(Statements=named, **more)


def test_batch_of_reads(music):
    answer = batch(
        music,
        "SELECT title FROM {t} WHERE artist = 'acme' AND title = 'beta'",
        {"Statement": "SELECT * FROM {t} WHERE artist = ? AND title = 'nobody'", "Parameters": [S("acme")]},
        "SELECT * FROM {t} WHERE artist = 'acme'",
        "SELECT * FROM nobody WHERE artist = 'acme'",
        "SLECT",
        ReturnConsumedCapacity="TOTAL",
    )
    assert answer["Responses"] == [
        {"TableName": music.name, "Item": {"title": S("beta")}},
        {"TableName": music.name},
        {
            "TableName": music.name,
            "Error": {
                "Code": "ValidationError",
                "Message": "Select statements within BatchExecuteStatement must specify the primary key in the where clause.",
            },
        },
        {"TableName": "nobody", "Error": {"Code": "ResourceNotFound", "Message": "Requested resource not found"}},
        {"Error": {"Code": "ValidationError", "Message": "Unsupported operation: VariableReference"}},
    ]
    assert [each["CapacityUnits"] for each in answer["ConsumedCapacity"]] == [0.5, 0.5]


def test_batch_of_writes(music):
    answer = batch(
        music,
        "INSERT INTO {t} VALUE {'artist': 'acme', 'title': 'beta'}",
        "INSERT INTO {t} VALUE {'artist': 'acme', 'title': 'delta'}",
        "DELETE FROM {t} WHERE artist = 'acme' AND title = 'alpha' RETURNING ALL OLD *",
        {
            "Statement": "UPDATE {t} SET x = 1 WHERE artist = 'acme' AND title = 'gamma' AND rating = 9",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        },
    )
    row = {"artist": S("acme"), "title": S("gamma"), "year": N(1992), "rating": N(1)}
    assert answer["Responses"] == [
        {"TableName": music.name, "Error": {"Code": "DuplicateItem", "Message": "Duplicate primary key exists in table"}},
        {"TableName": music.name},
        {"TableName": music.name, "Item": {"artist": S("acme"), "title": S("alpha"), "year": N(1990), "rating": N(3)}},
        {
            "TableName": music.name,
            "Error": {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed", "Item": row},
        },
    ]
    assert music.get("acme", "alpha") is None and music.get("acme", "delta") is not None
    mixed = ["SELECT * FROM {t} WHERE artist = 'a' AND title = 'b'", "DELETE FROM {t} WHERE artist = 'a' AND title = 'b'"]
    with pytest.raises(music.client.exceptions.ClientError, match="ValidationException"):
        batch(music, *mixed)
    with pytest.raises(music.client.exceptions.ClientError, match="length less than or equal to 25"):
        batch(music, *([mixed[0]] * 26))


def transact(music, *statements, **more):
    named = [{"Statement": each.replace("{t}", f'"{music.name}"')} for each in statements]
    return music.client.execute_transaction(TransactStatements=named, **more)


def test_transaction(music):
    answer = transact(
        music,
        "EXISTS(SELECT * FROM {t} WHERE artist = 'acme' AND title = 'beta' AND note IS MISSING)",
        "INSERT INTO {t} VALUE {'artist': 'acme', 'title': 'delta'}",
        "UPDATE {t} SET rating = 9 WHERE artist = 'acme' AND title = 'gamma'",
        "DELETE FROM {t} WHERE artist = 'acme' AND title = 'alpha'",
    )
    assert answer["Responses"] == [{}, {}, {}, {}]
    read = transact(
        music,
        *(f"SELECT title, rating FROM {{t}} WHERE artist = 'acme' AND title = '{title}'" for title in ("alpha", "gamma", "delta")),
        ReturnConsumedCapacity="TOTAL",
    )
    assert read["Responses"] == [{}, {"Item": {"title": S("gamma"), "rating": N(9)}}, {"Item": {"title": S("delta")}}]
    assert read["ConsumedCapacity"][0]["CapacityUnits"] == 6


def test_a_transaction_is_all_or_nothing(music):
    with pytest.raises(music.client.exceptions.TransactionCanceledException) as cancelled:
        transact(
            music,
            "INSERT INTO {t} VALUE {'artist': 'new', 'title': 'new'}",
            "INSERT INTO {t} VALUE {'artist': 'acme', 'title': 'beta'}",
            "EXISTS(SELECT * FROM {t} WHERE artist = 'acme' AND title = 'gamma' AND rating = 7)",
        )
    assert [reason["Code"] for reason in cancelled.value.response["CancellationReasons"]] == [
        "None",
        "DuplicateItem",
        "ConditionalCheckFailed",
    ]
    assert music.get("new", "new") is None
    for statements in (
        ["SELECT * FROM {t} WHERE artist = 'a' AND title = 'b'", "DELETE FROM {t} WHERE artist = 'a' AND title = 'b'"],
        ["DELETE FROM {t} WHERE artist = 'acme' AND title = 'beta' RETURNING ALL OLD *"],
        ["DELETE FROM {t} WHERE artist = 'a' AND title = 'b'"] * 2,
        ["SELECT * FROM {t} WHERE artist = 'a'"],
        ["UPDATE {t} SET x = 1 WHERE artist = 'a'"],
    ):
        with pytest.raises(music.client.exceptions.ClientError, match="ValidationException"):
            transact(music, *statements)
    assert music.get("acme", "beta") is not None
    alone = "EXISTS(SELECT * FROM {t} WHERE artist = 'acme' AND title = 'gamma')"
    assert music.refused(alone)[0] == "ValidationException"


def test_a_transaction_happens_once_a_token(music):
    statement = "UPDATE {t} SET rating = rating + 1 WHERE artist = 'acme' AND title = 'beta'"
    for _ in range(2):
        transact(music, statement, ClientRequestToken=music.name)
    assert music.get("acme", "beta")["rating"] == N(3)
    with pytest.raises(music.client.exceptions.IdempotentParameterMismatchException):
        transact(music, statement.replace("1", "2"), ClientRequestToken=music.name)


def test_who_may_run_what(music, user):  # noqa: F811
    arn = music.items.arn
    condition = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["acme"], "dynamodb:Attributes": ["artist", "title", "open"]}}
    mine = user({"Action": ["dynamodb:PartiQLSelect", "dynamodb:PartiQLUpdate"], "Resource": arn, "Condition": condition})
    run = lambda statement: mine.execute_statement(Statement=statement.replace("{t}", f'"{music.name}"'))
    key = "WHERE artist = 'acme' AND title = 'beta'"
    assert eventually(lambda: denied(lambda: run("SELECT title FROM {t} " + key)) is None)
    assert denied(lambda: run("SELECT rating FROM {t} " + key)) == ["dynamodb:PartiQLSelect", arn]
    assert denied(lambda: run("SELECT title FROM {t} WHERE artist = 'bolt'"))
    assert denied(lambda: run("SELECT title FROM {t} WHERE artist IN ['acme', 'bolt']"))
    assert denied(lambda: run('UPDATE {t} SET "open" = 1 ' + key)) is None and denied(lambda: run("UPDATE {t} SET rating = 1 " + key))
    assert denied(lambda: run("DELETE FROM {t} " + key)) == ["dynamodb:PartiQLDelete", arn]
    assert denied(lambda: run("INSERT INTO {t} VALUE {'artist': 'acme', 'title': 'x'}")) == ["dynamodb:PartiQLInsert", arn]
    assert denied(lambda: run('SELECT title FROM {t}."byYear" WHERE "year" = 1')) == ["dynamodb:PartiQLSelect", arn + "/index/byYear"]
    # Each statement of a batch is allowed or refused by itself.
    allowed, refused = f'UPDATE "{music.name}" SET "open" = 2 {key}', f'DELETE FROM "{music.name}" {key}'
    done = mine.batch_execute_statement(Statements=[{"Statement": refused}, {"Statement": allowed}, {"Statement": "bogus"}])["Responses"]
    assert done[0]["Error"]["Code"] == "AccessDenied"
    assert denied(lambda: mine.batch_execute_statement(Statements=[{"Statement": refused}])) == ["dynamodb:PartiQLDelete", arn]
    assert f"perform: dynamodb:PartiQLDelete on resource: {arn}" in done[0]["Error"]["Message"]
    assert "Error" not in done[1] and done[2]["Error"]["Code"] == "ValidationError"
    assert music.get("acme", "beta")["open"] == N(2)
    no_scans = {
        "Effect": "Deny",
        "Action": "dynamodb:PartiQLSelect",
        "Resource": "*",
        "Condition": {"Bool": {"dynamodb:FullTableScan": ["true"]}},
    }
    user({"Action": "dynamodb:PartiQL*", "Resource": "*"}, no_scans)
    assert eventually(lambda: denied(lambda: run("SELECT * FROM {t} WHERE artist = 'bolt'")) is None)
    assert denied(lambda: run("SELECT * FROM {t} WHERE rating = 1")) and denied(lambda: run("SELECT * FROM {t}"))


def test_transactions_only(music, user):  # noqa: F811
    enclosed = {"StringEquals": {"dynamodb:EnclosingOperation": "ExecuteTransaction"}}
    mine = user({"Action": "dynamodb:PartiQLDelete", "Resource": music.items.arn, "Condition": enclosed})
    statement = f"DELETE FROM \"{music.name}\" WHERE artist = 'acme' AND title = 'beta'"
    assert eventually(lambda: denied(lambda: mine.execute_transaction(TransactStatements=[{"Statement": statement}])) is None)
    assert denied(lambda: mine.execute_statement(Statement=statement)) == ["dynamodb:PartiQLDelete", music.items.arn]


@pytest.mark.parametrize("statement", ["SELECT * FROM {t}", "bogus", "SELECT * FROM {t} WHERE artist = ?"])
def test_parameters_that_are_no_values_are_said_first(table, dynamodb, statement):
    items = table("artist:S")
    wrong = {"Statement": statement.replace("{t}", f'"{items.name}"'), "Parameters": [{"S": 5}]}
    code = "SerializationException"
    assert refusal(dynamodb.execute_statement, **wrong)[0] == code
    assert refusal(dynamodb.batch_execute_statement, Statements=[wrong])[0] == code
    assert refusal(dynamodb.execute_transaction, TransactStatements=[wrong])[0] == code
