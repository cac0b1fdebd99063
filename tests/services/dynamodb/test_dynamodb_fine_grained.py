"""Fine-grained access: the example policies of the developer guide, each with what it lets through and what it does not.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
"""

import pytest
from tests.services.dynamodb.conftest import eventually
from tests.services.dynamodb.test_dynamodb_access import denied, user  # noqa: F401

S = lambda text: {"S": text}
N = lambda number: {"N": str(number)}
READS = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"]
WRITES = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"]
UPDATED = {"dynamodb:ReturnValues": ["NONE", "UPDATED_OLD", "UPDATED_NEW"]}
SPECIFIC = {"dynamodb:Select": "SPECIFIC_ATTRIBUTES"}
OWN = {"dynamodb:LeadingKeys": ["${aws:username}"]}
KEYS = ["UserId", "GameTitle"]
ATTRIBUTES = [*KEYS, "Wins", "Losses", "TopScore", "TopScoreDateTime"]
INDEX = "TopScoreDateTimeIndex"


class Game:
    """What a user asks of GameScores; `who` is somebody's id."""

    def __init__(self, client, table, name):
        self.client, self.table, self.own = client, table, name

    def get(self, who=None, **more):
        self.client.get_item(TableName=self.table, Key={"UserId": S(who or self.own), "GameTitle": S("Go")}, **more)

    def batch_get(self, *who, **more):
        keys = [{"UserId": S(each), "GameTitle": S("Go")} for each in who or [self.own]]
        self.client.batch_get_item(RequestItems={self.table: {"Keys": keys, **more}})

    def query(self, who=None, **more):
        values = {":u": S(who or self.own)}
        self.client.query(TableName=self.table, KeyConditionExpression="UserId = :u", ExpressionAttributeValues=values, **more)

    def index(self, **more):
        self.client.query(
            TableName=self.table,
            IndexName=INDEX,
            KeyConditionExpression="GameTitle = :g AND TopScoreDateTime > :t",
            ExpressionAttributeValues={":g": S("Go"), ":t": S("0")},
            **more,
        )

    def scan(self, **more):
        self.client.scan(TableName=self.table, **more)

    def put(self, who=None, **attributes):
        self.client.put_item(TableName=self.table, Item={"UserId": S(who or self.own), "GameTitle": S("Go"), **attributes})

    def update(self, name="Wins", who=None, **more):
        key = {"UserId": S(who or self.own), "GameTitle": S("Go")}
        values = {":v": N(1)}
        text = f"SET {name} = :v"
        self.client.update_item(TableName=self.table, Key=key, UpdateExpression=text, ExpressionAttributeValues=values, **more)

    def delete(self, who=None, **more):
        self.client.delete_item(TableName=self.table, Key={"UserId": S(who or self.own), "GameTitle": S("Go")}, **more)

    def batch_write(self, *who, **attributes):
        items = [{"UserId": S(each), "GameTitle": S("Go"), **attributes} for each in who or [self.own]]
        self.client.batch_write_item(RequestItems={self.table: [{"PutRequest": {"Item": item}} for item in items]})

    def statement(self, text, who=None):
        where = f"WHERE UserId = '{who or self.own}' AND GameTitle = 'Go'"
        self.client.execute_statement(Statement=f"{text.format(table=self.table)} {where}")

    def transact(self, **more):
        update = {"TableName": self.table, "Key": {"UserId": S(self.own), "GameTitle": S("Go")}, "UpdateExpression": "SET Wins = :v"}
        self.client.transact_write_items(TransactItems=[{"Update": update | {"ExpressionAttributeValues": {":v": N(1)}}}], **more)


PROJECTED = {"ProjectionExpression": "GameTitle, Wins"}
EXAMPLES = {
    "items that are one's own, and some attributes": (
        [
            {
                "Action": [*READS, *WRITES],
                "Condition": {"ForAllValues:StringEquals": OWN | {"dynamodb:Attributes": ATTRIBUTES}, "StringEqualsIfExists": SPECIFIC},
            }
        ],
        [
            lambda game: game.get(**PROJECTED),
            lambda game: game.batch_get(ProjectionExpression="UserId, TopScore"),
            lambda game: game.query(**PROJECTED),
            lambda game: game.put(Wins=N(1)),
            lambda game: game.update(),
            lambda game: game.update(ConditionExpression="attribute_not_exists(Losses)"),
            lambda game: game.batch_write(Losses=N(1)),
            lambda game: game.delete(),
        ],
        [
            lambda game: game.get(),
            lambda game: game.get("other", **PROJECTED),
            lambda game: game.get(ProjectionExpression="Wins, Nested.Wins"),
            lambda game: game.get(AttributesToGet=["Secret"]),
            lambda game: game.batch_get(),
            lambda game: game.batch_get("other", ProjectionExpression="UserId"),
            lambda game: game.query(),
            lambda game: game.query(Select="COUNT"),
            lambda game: game.query("other", **PROJECTED),
            lambda game: game.query(**PROJECTED, FilterExpression="Secret = :u"),
            lambda game: game.put(Secret=N(1)),
            lambda game: game.update("Secret"),
            lambda game: game.update("Secret.Wins"),
            lambda game: game.update(ConditionExpression="Secret = :v"),
            lambda game: game.update("Wins = Secret + :v, Losses"),
            lambda game: game.batch_write(Secret=N(1)),
            lambda game: game.batch_write("other"),
            lambda game: game.delete("other"),
            lambda game: game.scan(**PROJECTED),
            lambda game: game.index(**PROJECTED),
        ],
    ),
    "items that are one's own": (
        [{"Action": [*READS, *WRITES], "Condition": {"ForAllValues:StringEquals": OWN}}],
        [Game.get, Game.batch_get, Game.query, Game.put, Game.update, Game.delete, Game.batch_write],
        [
            lambda game: game.get("other"),
            lambda game: game.batch_get(game.own, "other"),
            lambda game: game.batch_write(game.own, "other"),
            lambda game: game.update(who="other"),
            Game.scan,
        ],
    ),
    "the first partition key by its other name": (
        [{"Action": READS, "Condition": {"ForAllValues:StringEquals": {"dynamodb:FirstPartitionKeyValues": ["${aws:username}"]}}}],
        [Game.get, Game.batch_get, Game.query],
        [lambda game: game.get("other"), lambda game: game.batch_get(game.own, "other"), lambda game: game.query("other"), Game.put],
    ),
    "some attributes": (
        [
            {
                "Action": ["dynamodb:UpdateItem", *READS, "dynamodb:Scan"],
                "Condition": {
                    "ForAllValues:StringEquals": {"dynamodb:Attributes": [*KEYS, "TopScore"]},
                    "StringEqualsIfExists": SPECIFIC | UPDATED,
                },
            }
        ],
        [
            lambda game: game.get("other", ProjectionExpression="TopScore"),
            lambda game: game.scan(ProjectionExpression="TopScore", FilterExpression="attribute_exists(TopScore)"),
            lambda game: game.update("TopScore", ReturnValues="UPDATED_NEW"),
            lambda game: game.update("TopScore"),
        ],
        [
            Game.get,
            Game.scan,
            lambda game: game.scan(Select="COUNT"),
            lambda game: game.scan(ProjectionExpression="TopScore", FilterExpression="attribute_exists(Wins)"),
            lambda game: game.update("TopScore", ReturnValues="ALL_NEW"),
            lambda game: game.update("TopScore", ReturnValues="ALL_OLD"),
            lambda game: game.update("TopScore", ConditionExpression="Wins = :v"),
            lambda game: game.update(),
        ],
    ),
    "reads of some attributes: Select always has a value": (
        [{"Action": [*READS, "dynamodb:Scan"], "Condition": {"StringEquals": SPECIFIC}}],
        [lambda game: game.get(**PROJECTED), lambda game: game.batch_get(**PROJECTED), lambda game: game.scan(**PROJECTED)],
        [Game.get, Game.batch_get, Game.query, Game.scan],
    ),
    "updates but of some attributes: ReturnValues always has a value": (
        [
            {
                "Action": "dynamodb:UpdateItem",
                "Condition": {
                    "ForAllValues:StringNotLike": {"dynamodb:Attributes": ["FreeGames*", "BossLevelUnlocked"]},
                    "StringEquals": UPDATED,
                },
            }
        ],
        [Game.update, Game.transact, lambda game: game.update(ReturnValues="UPDATED_OLD")],
        [
            lambda game: game.update("FreeGamesAvailable"),
            lambda game: game.update("BossLevelUnlocked"),
            lambda game: game.update(ReturnValues="ALL_OLD"),
            Game.put,
        ],
    ),
    "statements": (
        [
            {
                "Action": ["dynamodb:PartiQLSelect", "dynamodb:PartiQLUpdate"],
                "Condition": {
                    "ForAllValues:StringEquals": OWN | {"dynamodb:Attributes": ATTRIBUTES},
                    "StringEqualsIfExists": SPECIFIC | UPDATED,
                },
            }
        ],
        [
            lambda game: game.statement('SELECT Wins FROM "{table}"'),
        ],
        [
            lambda game: game.statement('SELECT * FROM "{table}"'),
            lambda game: game.statement('SELECT Wins, Secret FROM "{table}"'),
            lambda game: game.statement('SELECT Wins FROM "{table}"', who="other"),
            lambda game: game.statement('UPDATE "{table}" SET Secret = 1'),
            lambda game: game.statement('UPDATE "{table}" SET Wins = Secret + 1'),
            lambda game: game.statement('DELETE FROM "{table}"'),
        ],
    ),
    "capacity that is not told": (
        [{"Action": "dynamodb:*", "Condition": {"StringEquals": {"dynamodb:ReturnConsumedCapacity": "NONE"}}}],
        [Game.get, Game.put, Game.query, Game.scan, Game.update, Game.batch_get, Game.batch_write, Game.transact],
        [
            lambda game: game.get(ReturnConsumedCapacity="TOTAL"),
            lambda game: game.scan(ReturnConsumedCapacity="INDEXES"),
            lambda game: game.transact(ReturnConsumedCapacity="TOTAL"),
        ],
    ),
    "some projected attributes of an index": (
        [
            {
                "Action": "dynamodb:Query",
                "Index": INDEX,
                "Condition": {
                    "ForAllValues:StringEquals": {"dynamodb:Attributes": ["TopScoreDateTime", "GameTitle", "Wins", "Losses"]},
                    "StringEquals": SPECIFIC,
                },
            }
        ],
        [lambda game: game.index(**PROJECTED), lambda game: game.index(**PROJECTED, Select="SPECIFIC_ATTRIBUTES")],
        [Game.index, lambda game: game.index(ProjectionExpression="UserId"), lambda game: game.query(**PROJECTED)],
    ),
    "all projected attributes of an index": (
        [
            {
                "Action": "dynamodb:Query",
                "Index": INDEX,
                "Condition": {"StringEquals": {"dynamodb:Select": "ALL_PROJECTED_ATTRIBUTES"}},
            }
        ],
        [Game.index, lambda game: game.index(Select="ALL_PROJECTED_ATTRIBUTES")],
        [lambda game: game.index(**PROJECTED), lambda game: game.index(Select="COUNT"), Game.query],
    ),
    "all but some attributes": (
        [
            {"Action": ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"]},
            {
                "Effect": "Deny",
                "Action": ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"],
                "Condition": {"ForAnyValue:StringEquals": {"dynamodb:Attributes": ["SSN", "CreditCardNumber"]}},
            },
            {
                "Effect": "Deny",
                "Action": ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"],
                "Condition": {"StringNotEqualsIfExists": SPECIFIC},
            },
        ],
        [lambda game: game.get(**PROJECTED), lambda game: game.query(**PROJECTED), lambda game: game.scan(**PROJECTED)],
        [
            Game.get,
            Game.query,
            Game.scan,
            lambda game: game.get(ProjectionExpression="SSN"),
            lambda game: game.query(ProjectionExpression="Wins, SSN.digits"),
            lambda game: game.scan(**PROJECTED, FilterExpression="attribute_exists(CreditCardNumber)"),
        ],
    ),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples(table, user, name, example):  # noqa: F811
    statements, allowed, refused = EXAMPLES[example]
    scores = table("UserId:S", "GameTitle:S", indexes={INDEX: ("GameTitle:S", "TopScoreDateTime:S")})
    resource = lambda index: scores.arn if index is None else f"{scores.arn}/index/{index}"
    given = [{"Resource": resource(each.get("Index")), **{k: v for k, v in each.items() if k != "Index"}} for each in statements]
    game = Game(user(*given), scores.name, name)
    assert eventually(lambda: denied(lambda: allowed[0](game)) is None)
    assert [at for at, call in enumerate(allowed) if denied(lambda call=call: call(game)) is not None] == []
    assert [at for at, call in enumerate(refused) if denied(lambda call=call: call(game)) is None] == []


def test_each_partition_key_attribute_of_an_index_by_itself(dynamodb, user, name):  # noqa: F811
    attribute = lambda each: {"AttributeName": each, "AttributeType": "S"}
    key = lambda each, kind="HASH": {"AttributeName": each, "KeyType": kind}
    dynamodb.create_table(
        TableName=name,
        KeySchema=[key("id")],
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[attribute("id"), attribute("tenant"), attribute("user")],
        GlobalSecondaryIndexes=[{"IndexName": "both", "KeySchema": [key("tenant"), key("user")], "Projection": {"ProjectionType": "ALL"}}],
    )
    arn = dynamodb.describe_table(TableName=name)["Table"]["TableArn"] + "/index/both"
    condition = {"dynamodb:LeadingKeys": ["t"], "dynamodb:SecondPartitionKeyValues": ["${aws:username}"]}
    statement = {"Resource": arn, "Condition": {"ForAllValues:StringEquals": condition}}
    mine = user({"Action": ["dynamodb:Query", "dynamodb:PartiQLSelect"], **statement})

    def query(tenant, who):
        mine.query(
            TableName=name,
            IndexName="both",
            KeyConditionExpression="tenant = :t AND #u = :u",
            ExpressionAttributeNames={"#u": "user"},
            ExpressionAttributeValues={":t": S(tenant), ":u": S(who)},
        )

    def select(tenant, who):
        statement = f"""SELECT * FROM "{name}"."both" WHERE tenant = '{tenant}' AND "user" = '{who}'"""
        mine.execute_statement(Statement=statement)

    for ask in (query, select):
        assert eventually(lambda ask=ask: denied(lambda: ask("t", name)) is None)
        assert denied(lambda ask=ask: ask("t", "other")) and denied(lambda ask=ask: ask("other", name))
    dynamodb.delete_table(TableName=name)


ASKED = {
    "GetItem": {"Key": {"id": S("me")}},
    "PutItem": {"Item": {"id": S("me")}},
    "UpdateItem": {"Key": {"id": S("me")}},
    "DeleteItem": {"Key": {"id": S("me")}},
    "Query": {"KeyConditionExpression": "id = :i", "ExpressionAttributeValues": {":i": S("me")}},
}


@pytest.mark.parametrize("loaded", [True, False])
async def test_conditions_are_those_of_the_table_that_was_found(ask, loaded):
    """Whatever happens between what is demanded and the judgement: any table that changes empties the memory of tables."""
    made = lambda name: {
        "TableName": name,
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    await ask("CreateTable", **made("items"))
    asked = [(operation, {"TableName": "items", **input}) for operation, input in ASKED.items()]
    asked += [
        ("BatchGetItem", {"RequestItems": {"items": {"Keys": [{"id": S("me")}]}}}),
        ("BatchWriteItem", {"RequestItems": {"items": [{"PutRequest": {"Item": {"id": S("me")}}}]}}),
        ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": "items", "Key": {"id": S("me")}}}]}),
        ("TransactWriteItems", {"TransactItems": [{"Delete": {"TableName": "items", "Key": {"id": S("me")}}}]}),
        ("ExecuteStatement", {"Statement": "SELECT * FROM items WHERE id = 'me'"}),
    ]
    for at, (operation, input) in enumerate(asked):
        if loaded:
            await ask("DescribeTable", TableName="items")
        (demand,) = await ask.demands(operation, input)
        await ask("CreateTable", **made(f"other-{at}"))
        assert list(demand.conditions["dynamodb:LeadingKeys"]) == ["me"], operation
