"""Who may do what to which items: actions, ARNs and condition keys."""

import json

import botocore.exceptions
import pytest
from tests.services.dynamodb.conftest import eventually

S = lambda text: {"S": text}


@pytest.fixture
def user(client, name):
    """grant(*statements) -> the user's DynamoDB client, which may do just that."""
    iam = client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    mine = client("dynamodb", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])

    def grant(*statements):
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement} for statement in statements]}
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(document))
        return mine

    yield grant
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.delete_user(UserName=name)


def denied(work):
    """The action and resource that were refused, None when the call went through."""
    try:
        work()
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "AccessDeniedException":
            raise
        said = error.response["Error"]["Message"]
        return said.split("perform: ")[1].split(" because")[0].split(" on resource: ")
    return None


def test_indexes_have_arns_of_their_own(table, user):
    items = table("id:S", indexes={"byX": ("x:S",)})
    mine = user({"Action": "dynamodb:Query", "Resource": items.arn})
    ask = lambda name, **more: mine.query(
        TableName=items.name, KeyConditionExpression=f"{name} = :v", ExpressionAttributeValues={":v": S("1")}, **more
    )
    assert denied(lambda: ask("id")) is None
    assert denied(lambda: ask("x", IndexName="byX")) == ["dynamodb:Query", items.arn + "/index/byX"]
    user({"Action": "dynamodb:Query", "Resource": items.arn + "/index/*"})
    assert eventually(lambda: denied(lambda: ask("x", IndexName="byX")) is None)
    assert denied(lambda: ask("id")) == ["dynamodb:Query", items.arn]


def test_leading_keys_and_attributes(table, user):
    items = table("id:S", "sk:S")
    for who in ("alice", "bob"):
        items.put_item(Item={"id": S(who), "sk": S("1"), "secret": S("s")})
    condition = {
        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["alice"], "dynamodb:Attributes": ["id", "sk", "open"]},
        "StringEqualsIfExists": {"dynamodb:Select": "SPECIFIC_ATTRIBUTES", "dynamodb:ReturnValues": ["NONE", "UPDATED_NEW"]},
    }
    mine = user({"Action": "dynamodb:*", "Resource": items.arn, "Condition": condition})
    get = lambda who, projection="id, sk": mine.get_item(
        TableName=items.name, Key={"id": S(who), "sk": S("1")}, **({"ProjectionExpression": projection} if projection else {})
    )
    assert denied(lambda: get("alice")) is None
    assert denied(lambda: get("bob")) and denied(lambda: get("alice", "secret")) and denied(lambda: get("alice", None))
    put = lambda who, **more: mine.put_item(TableName=items.name, Item={"id": S(who), "sk": S("2"), **more})
    assert denied(lambda: put("alice", open=S("x"))) is None
    assert denied(lambda: put("bob")) and denied(lambda: put("alice", secret=S("x")))
    update = lambda text, **more: mine.update_item(
        TableName=items.name, Key={"id": S("alice"), "sk": S("1")}, UpdateExpression=text, ExpressionAttributeValues={":v": S("v")}, **more
    )
    assert denied(lambda: update("SET #o = :v", ExpressionAttributeNames={"#o": "open"})) is None
    assert denied(lambda: update("SET secret = :v"))
    assert denied(lambda: update("SET #o = :v", ExpressionAttributeNames={"#o": "open"}, ReturnValues="ALL_OLD"))
    query = lambda who: mine.query(
        TableName=items.name, KeyConditionExpression="id = :v", ExpressionAttributeValues={":v": S(who)}, ProjectionExpression="id, sk"
    )
    assert denied(lambda: query("alice")) is None and denied(lambda: query("bob"))
    write = lambda *who: mine.batch_write_item(
        RequestItems={items.name: [{"PutRequest": {"Item": {"id": S(each), "sk": S("3")}}} for each in who]}
    )
    assert denied(lambda: write("alice")) is None and denied(lambda: write("alice", "bob"))
    keys = lambda *who: {items.name: {"Keys": [{"id": S(each), "sk": S("1")} for each in who], "ProjectionExpression": "id"}}
    assert denied(lambda: mine.batch_get_item(RequestItems=keys("alice"))) is None
    assert denied(lambda: mine.batch_get_item(RequestItems=keys("alice", "bob")))


def test_each_table_of_a_batch_by_itself(table, user):
    first, second = table("id:S"), table("id:S")
    mine = user({"Action": ["dynamodb:BatchWriteItem", "dynamodb:BatchGetItem"], "Resource": first.arn})
    put = [{"PutRequest": {"Item": {"id": S("1")}}}]
    assert denied(lambda: mine.batch_write_item(RequestItems={first.name: put})) is None
    assert denied(lambda: mine.batch_write_item(RequestItems={first.name: put, second.name: put})) == [
        "dynamodb:BatchWriteItem",
        second.arn,
    ]
    assert second.scan()["Count"] == 0


def test_each_action_of_a_transaction_by_itself(table, user):
    items = table("id:S")
    enclosed = {"StringEquals": {"dynamodb:EnclosingOperation": "TransactWriteItems"}}
    mine = user({"Action": "dynamodb:PutItem", "Resource": items.arn, "Condition": enclosed})
    put = {"Put": {"TableName": items.name, "Item": {"id": S("1")}}}
    check = {"ConditionCheck": {"TableName": items.name, "Key": {"id": S("2")}, "ConditionExpression": "attribute_not_exists(id)"}}
    assert denied(lambda: mine.transact_write_items(TransactItems=[put])) is None
    assert denied(lambda: mine.put_item(TableName=items.name, Item={"id": S("1")})) == ["dynamodb:PutItem", items.arn]
    assert denied(lambda: mine.transact_write_items(TransactItems=[put, check])) == ["dynamodb:ConditionCheckItem", items.arn]


def test_tags_of_a_table_decide(table, user):
    open_table, closed = table("id:S", Tags=[{"Key": "open", "Value": "yes"}]), table("id:S")
    mine = user({"Action": "dynamodb:Scan", "Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/open": "yes"}}})
    assert denied(lambda: mine.scan(TableName=open_table.name)) is None
    assert denied(lambda: mine.scan(TableName=closed.name)) == ["dynamodb:Scan", closed.arn]


def test_no_table_is_told_apart_from_one_that_is_not_there(table, user):
    items = table("id:S")
    mine = user({"Action": "dynamodb:ListTables", "Resource": "*"})
    get = lambda name: mine.get_item(TableName=name, Key={"id": S("1")})
    assert items.name in mine.list_tables()["TableNames"]
    assert denied(lambda: get(items.name)) and denied(lambda: get(items.name + "x"))


def test_listing_is_of_all_tables(platform, user):
    every = f"arn:aws:dynamodb:us-east-1:{platform.account}:table/"
    mine = user({"Action": "dynamodb:*", "Resource": every + "mine*"})
    assert denied(mine.list_tables) == ["dynamodb:ListTables", every + "*"]
    user({"Action": "dynamodb:*", "Resource": every + "*"})
    assert denied(mine.list_tables) is None


def test_tags_that_are_asked_for_are_condition_keys(client, table, user, name):
    items = table("id:S")
    only = {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}, "StringEqualsIfExists": {"aws:RequestTag/team": "a"}}
    tagging = ["dynamodb:CreateTable", "dynamodb:TagResource", "dynamodb:UntagResource"]
    mine = user({"Action": tagging, "Resource": "*", "Condition": only})
    tag = lambda key, value: mine.tag_resource(ResourceArn=items.arn, Tags=[{"Key": key, "Value": value}])
    assert denied(lambda: tag("team", "a")) is None
    assert denied(lambda: tag("team", "b")) == ["dynamodb:TagResource", items.arn]
    assert denied(lambda: tag("other", "a")) == ["dynamodb:TagResource", items.arn]
    assert denied(lambda: mine.untag_resource(ResourceArn=items.arn, TagKeys=["other"])) == ["dynamodb:UntagResource", items.arn]
    assert denied(lambda: mine.untag_resource(ResourceArn=items.arn, TagKeys=["team"])) is None
    made = {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    refused = denied(lambda: mine.create_table(**made, Tags=[{"Key": "team", "Value": "b"}]))
    assert refused is not None and refused[0] == "dynamodb:CreateTable"
    assert denied(lambda: mine.create_table(**made, Tags=[{"Key": "team", "Value": "a"}])) is None
    client("dynamodb").delete_table(TableName=name)


def test_a_failed_condition_is_no_way_to_read_an_item(table, user):
    items = table("id:S")
    items.put_item(Item={"id": S("1"), "secret": S("s")})
    writes = ["dynamodb:UpdateItem", "dynamodb:ConditionCheckItem", "dynamodb:PartiQLUpdate"]
    mine = user({"Action": writes, "Resource": items.arn, "Condition": {"StringEquals": {"dynamodb:ReturnValues": "NONE"}}})
    item, tells = {"TableName": items.name, "Key": {"id": S("1")}}, {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    never = {"ConditionExpression": "attribute_not_exists(id)"}
    with pytest.raises(mine.exceptions.ConditionalCheckFailedException):
        mine.update_item(**item, **never)
    assert denied(lambda: mine.update_item(**item, **never, **tells))[0] == "dynamodb:UpdateItem"
    check = {"ConditionCheck": {**item, **never, **tells}}
    assert denied(lambda: mine.transact_write_items(TransactItems=[check]))[0] == "dynamodb:ConditionCheckItem"
    statement = f"UPDATE \"{items.name}\" SET a = 1 WHERE id = '1' AND secret = 'x'"
    assert denied(lambda: mine.execute_statement(Statement=statement, **tells))[0] == "dynamodb:PartiQLUpdate"
    assert denied(lambda: mine.execute_transaction(TransactStatements=[{"Statement": statement, **tells}]))[0] == "dynamodb:PartiQLUpdate"
