"""Resource policies of tables and streams: kept, checked and enforced."""

import json
import re

import pytest
from tests.services.dynamodb.conftest import eventually, refusal

S = lambda text: {"S": text}
INVALID = "One or more parameter values were invalid: "
MALFORMED = INVALID + "Invalid policy document: "
HASH = {"AttributeName": "id", "KeyType": "HASH"}
ID = {"AttributeName": "id", "AttributeType": "S"}


def statement(arn, account, **more):
    return {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "dynamodb:GetItem", "Resource": arn, **more}


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=2)


@pytest.fixture
def made(table):
    items = table("id:S", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
    items.put_item(Item={"id": S("1")})
    return items


def put(items, text, arn=None, **more):
    return items.client.put_resource_policy(ResourceArn=arn or items.arn, Policy=text, **more)["RevisionId"]


def test_a_policy_from_putting_to_deleting(made, platform, dynamodb):
    arn = made.arn
    none = ("PolicyNotFoundException", f"Resource-based policy not found for the provided ResourceArn: {arn}")
    assert refusal(dynamodb.get_resource_policy, ResourceArn=arn) == none
    first = put(made, document(statement(arn, platform.account)), ExpectedRevisionId="NO_POLICY")
    kept = dynamodb.get_resource_policy(ResourceArn=arn)
    assert kept["RevisionId"] == first and kept["Policy"] == json.dumps(json.loads(kept["Policy"]), separators=(",", ":"))
    assert json.loads(kept["Policy"])["Statement"][0]["Action"] == "dynamodb:GetItem"
    assert put(made, document(statement(arn, platform.account))) == first
    second = put(made, document(statement(arn, platform.account, Action="dynamodb:PutItem")), ExpectedRevisionId=first)
    assert second != first
    again = lambda **more: put(made, document(statement(arn, platform.account)), **more)
    for operation in (again, lambda **more: dynamodb.delete_resource_policy(ResourceArn=arn, **more)):
        code, message = refusal(operation, ExpectedRevisionId=first)
        assert (code, message) == (
            "PolicyNotFoundException",
            "Resource-based policy not found for the provided ResourceArn: Requested update for policy with revision id "
            f"{first}, but the policy associated to target table {made.name} has revision id {second}.",
        )
    code, message = refusal(again, ExpectedRevisionId="NO_POLICY")
    assert message.endswith(
        f"Requested policy update expecting none to be present for table {made.name}, but a policy exists with revision id {second}."
    )
    assert dynamodb.delete_resource_policy(ResourceArn=arn)["RevisionId"] == second
    assert "RevisionId" not in dynamodb.delete_resource_policy(ResourceArn=arn)
    assert refusal(dynamodb.get_resource_policy, ResourceArn=arn) == none


def test_refused_policies(made, platform, dynamodb):
    arn, account = made.arn, platform.account
    wrong = lambda text, **more: refusal(put, items=made, text=text, **more)[1]
    assert wrong("{nonsense") == MALFORMED + "This policy contains invalid Json"
    assert wrong('{"Version": "2012-10-17", "Statement": []}') == MALFORMED + "Could not parse the policy: Statement is empty!"
    for name in ("Principal", "Action", "Resource", "Effect"):
        without = {key: value for key, value in statement(arn, account).items() if key != name}
        assert wrong(document(without)) == f"{MALFORMED}Missing required field {name}"
    twice = [statement(arn, account, Sid="a"), statement(arn, account, Sid="a")]
    assert wrong(document(*twice)) == MALFORMED + "The Statement Ids in the policy are not unique"
    names = MALFORMED + "The following action names are invalid: "
    actions = ["dynamodb:GetRecords", "dynamodb:DescribeStream", "dynamodb:Query"]
    assert wrong(document(statement(arn, account, Action=actions))) == names + '"dynamodb:GetRecords", "dynamodb:DescribeStream"'
    assert wrong(document(statement(arn, account, Action="dynamodb:Nonsense"))) == names + '"dynamodb:Nonsense"'
    assert wrong(document(statement(arn, account, Resource=f"{arn}/stream/2020"))).startswith(MALFORMED + "The relative-id ")
    assert wrong(document(statement(arn, "nobody"))) == INVALID + "Invalid principal in policy document."
    assert wrong(document(statement(arn, account)) + " " * 21_000) == INVALID + "Maximum policy size of 20480 bytes exceeded"
    assert wrong(document({**statement(arn, account), "Principal": "*"})).startswith("Resource-based policy grants unbounded access")
    put(made, document(statement("*", account), statement(arn + "/index/any", account)))


def test_refused_arns(made, dynamodb, name):
    get = lambda arn: refusal(dynamodb.get_resource_policy, ResourceArn=arn)
    arn = made.arn
    assert get(made.name) == ("ValidationException", f"{INVALID}ARNs must start with 'arn:': {made.name}")
    other = re.sub(r":\d{12}:", ":000000000000:", arn)
    assert get(other)[1] == "This action is only supported by accounts that match the resource owner\u2019s account."
    assert get(arn.replace("us-east-1", "eu-west-1"))[1].startswith(INVALID + "Invalid resource Arn: ")
    assert get(arn + "/index/x")[1].startswith(INVALID + "Invalid resource arn provided, only table or stream is accepted.")
    assert get(arn + "/backup/01")[1] == f"{INVALID}Provided Arn is not a DynamoDB resource arn: {arn}/backup/01"
    missing = f"Requested resource not found: Table: {made.name}x not found"
    assert get(arn + "x") == ("ResourceNotFoundException", missing)
    assert get(arn + "/stream/2000-01-01T00:00:00.000") == (
        "ResourceNotFoundException",
        f"Requested resource not found: Stream: 2000-01-01T00:00:00.000 not found for Table: {made.name}",
    )


@pytest.fixture
def nobody(client, name):
    """(ARN, keys) of a user without any permission."""
    iam = client("iam")
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    key = iam.create_access_key(UserName=name)["AccessKey"]
    yield arn, {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)


def test_a_policy_lets_in_and_keeps_out(made, client, nobody, dynamodb):
    arn, keys = nobody
    mine = client("dynamodb", **keys)
    get = lambda: mine.get_item(TableName=made.name, Key={"id": S("1")})
    assert refusal(get)[0] == "AccessDeniedException"
    put(made, document(statement(made.arn, arn)))
    eventually(lambda: get()["Item"])
    assert refusal(mine.put_item, TableName=made.name, Item={"id": S("2")})[0] == "AccessDeniedException"
    put(made, document(statement(made.arn, arn), statement(made.arn, arn, Effect="Deny")))
    code, message = refusal(get)
    assert code == "AccessDeniedException" and "explicit deny in a resource-based policy" in message
    dynamodb.delete_resource_policy(ResourceArn=made.arn)
    assert refusal(get)[0] == "AccessDeniedException"


def test_a_stream_has_a_policy_of_its_own(made, client, nobody, dynamodb):
    arn, keys = nobody
    stream = made.describe_table()["Table"]["LatestStreamArn"]
    mine = client("dynamodbstreams", **keys)
    assert refusal(mine.describe_stream, StreamArn=stream)[0] == "AccessDeniedException"
    allowed = statement(stream, arn, Action=["dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords"])
    put(made, document(allowed), stream)
    shard = eventually(lambda: mine.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"][0]["ShardId"])
    iterator = mine.get_shard_iterator(StreamArn=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    assert "Records" in mine.get_records(ShardIterator=iterator)
    assert refusal(dynamodb.get_resource_policy, ResourceArn=made.arn)[0] == "PolicyNotFoundException"
    assert dynamodb.get_resource_policy(ResourceArn=stream)["RevisionId"]
    dynamodb.delete_resource_policy(ResourceArn=stream)
    assert refusal(mine.get_records, ShardIterator=iterator)[0] == "AccessDeniedException"


def test_nobody_locks_himself_out_unawares(table, platform, client, name, dynamodb):
    arn = table("id:S").arn
    deny = document(statement(arn, platform.account, Effect="Deny", Action="dynamodb:PutResourcePolicy"))
    user = client("iam").create_user(UserName=name)["User"]["Arn"]
    client("iam").attach_user_policy(UserName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    key = client("iam").create_access_key(UserName=name)["AccessKey"]
    mine = client("dynamodb", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    deny = document(statement(arn, user, Effect="Deny", Action="dynamodb:PutResourcePolicy"))
    locked = ("AccessDeniedException", "The new resource policy will not allow you to update the resource policy in the future.")
    assert refusal(mine.put_resource_policy, ResourceArn=arn, Policy=deny) == locked
    mine.put_resource_policy(ResourceArn=arn, Policy=deny, ConfirmRemoveSelfResourceAccess=True)
    code, message = refusal(mine.put_resource_policy, ResourceArn=arn, Policy=deny)
    assert code == "AccessDeniedException" and "with an explicit deny in a resource-based policy" in message
    nobody = document(statement(arn, "*", Effect="Deny", Action="dynamodb:*"))
    dynamodb.put_resource_policy(ResourceArn=arn, Policy=nobody, ConfirmRemoveSelfResourceAccess=True)
    assert refusal(mine.delete_resource_policy, ResourceArn=arn)[0] == "AccessDeniedException"
    dynamodb.delete_resource_policy(ResourceArn=arn)  # root may, whatever the policy says


def test_a_table_is_made_with_its_policy(dynamodb, platform, name):
    arn = f"arn:aws:dynamodb:us-east-1:{platform.account}:table/{name}"
    make = lambda text: dynamodb.create_table(
        TableName=name, KeySchema=[HASH], AttributeDefinitions=[ID], BillingMode="PAY_PER_REQUEST", ResourcePolicy=text
    )
    assert refusal(make, text="{")[1] == MALFORMED + "This policy contains invalid Json"
    make(document(statement(arn, platform.account)))
    assert json.loads(dynamodb.get_resource_policy(ResourceArn=arn)["Policy"])["Statement"][0]["Resource"] == arn
    dynamodb.delete_table(TableName=name)
