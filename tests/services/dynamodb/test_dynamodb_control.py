"""What surrounds tables: their statuses, what is refused because haar has it not, and what there is none of."""

import re

import pytest
from tests.services.dynamodb.conftest import eventually, refusal, schema

S = lambda text: {"S": text}
INVALID = "One or more parameter values were invalid: "
UNITS = {"ReadCapacityUnits": 2, "WriteCapacityUnits": 2}
X = [{"AttributeName": "x", "AttributeType": "S"}]
index = lambda name, **more: {"IndexName": name, "KeySchema": schema("x"), "Projection": {"ProjectionType": "ALL"}, **more}
create = lambda name, **more: {"Create": index(name, **more)}
delete = lambda name: {"Delete": {"IndexName": name}}


def test_a_table_is_updating_while_an_index_is_made_and_taken_away(table):
    items = table("id:S")
    status = lambda: items.describe_table()["Table"]["TableStatus"]
    assert (
        items.update_table(AttributeDefinitions=X, GlobalSecondaryIndexUpdates=[create("one")])["TableDescription"]["TableStatus"]
        == "UPDATING"
    )
    assert status() == "UPDATING"
    updating = ("ResourceInUseException", f"Attempt to change a resource which is still in use: Table is being updated: {items.name}")
    assert refusal(items.update_table, DeletionProtectionEnabled=True) == updating
    assert refusal(items.update_table, GlobalSecondaryIndexUpdates=[delete("one")]) == updating
    assert refusal(items.delete_table) == updating
    items.put_item(Item={"id": S("1"), "x": S("y")})
    eventually(lambda: status() == "ACTIVE")
    assert items.index("one")["IndexStatus"] == "ACTIVE" and "Backfilling" not in items.index("one")
    items.update_table(GlobalSecondaryIndexUpdates=[delete("one")])
    assert status() == "UPDATING" and items.index("one")["IndexStatus"] == "DELETING"
    assert not {"KeySchema", "Projection"} & set(items.index("one"))
    assert refusal(items.delete_table) == updating
    eventually(lambda: status() == "ACTIVE")
    assert items.index("one") is None


def test_one_index_is_made_or_taken_away_at_a_time(table):
    items = table("id:S", indexes={"one": ("x:S",), "two": ("x:S",)})
    undefined = "Some index key attributes are not defined in AttributeDefinitions. Keys: [x], AttributeDefinitions: []"
    assert refusal(items.update_table, GlobalSecondaryIndexUpdates=[create("three")]) == ("ValidationException", INVALID + undefined)
    limit = "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
    for two in ([create("three"), create("four")], [delete("one"), delete("two")], [delete("one"), create("three")]):
        refused = refusal(items.update_table, AttributeDefinitions=X, GlobalSecondaryIndexUpdates=two)
        assert refused == ("LimitExceededException", limit)


def test_a_table_that_becomes_provisioned_says_what_its_indexes_have(table):
    items = table("id:S", indexes={"one": ("x:S",)})
    provision = lambda **more: items.update_table(BillingMode="PROVISIONED", ProvisionedThroughput=UNITS, **more)
    assert refusal(provision) == ("ValidationException", INVALID + "ProvisionedThroughput is not specified for index: one")
    provision(GlobalSecondaryIndexUpdates=[{"Update": {"IndexName": "one", "ProvisionedThroughput": UNITS}}])
    assert items.index("one")["ProvisionedThroughput"]["ReadCapacityUnits"] == 2
    alone = refusal(items.update_table, BillingMode="PROVISIONED")
    assert alone == ("ValidationException", INVALID + "ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
    message = refusal(provision)[1]
    assert message.startswith("The provisioned throughput for the table will not change. The requested value equals the current value.")


def test_what_a_table_that_becomes_on_demand_says(dynamodb, name):
    keys = {"KeySchema": schema("id"), "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}
    dynamodb.create_table(TableName=name, ProvisionedThroughput=UNITS, **keys)
    dynamodb.update_table(TableName=name, BillingMode="PAY_PER_REQUEST")
    described = dynamodb.describe_table(TableName=name)["Table"]
    shown = described["ProvisionedThroughput"]
    assert (shown["ReadCapacityUnits"], shown["WriteCapacityUnits"], shown["NumberOfDecreasesToday"]) == (0, 0, 0)
    assert shown["LastDecreaseDateTime"] == described["BillingModeSummary"]["LastUpdateToPayPerRequestDateTime"]
    dynamodb.delete_table(TableName=name)


def test_what_a_new_on_demand_table_says(dynamodb, name):
    keys = {"KeySchema": schema("id"), "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}
    made = dynamodb.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", **keys)["TableDescription"]
    assert made["BillingModeSummary"] == {"BillingMode": "PAY_PER_REQUEST"}
    assert set(dynamodb.describe_table(TableName=name)["Table"]["BillingModeSummary"]) == {
        "BillingMode",
        "LastUpdateToPayPerRequestDateTime",
    }
    dynamodb.delete_table(TableName=name)


def test_a_local_index_has_two_keys(dynamodb, name):
    definitions = [{"AttributeName": each, "AttributeType": "S"} for each in ("id", "at", "x", "y")]
    three = [*schema("id", "x"), {"AttributeName": "y", "KeyType": "RANGE"}]
    local = [{"IndexName": "local", "KeySchema": three, "Projection": {"ProjectionType": "ALL"}}]
    made = {"KeySchema": schema("id", "at"), "AttributeDefinitions": definitions, "LocalSecondaryIndexes": local}
    assert refusal(dynamodb.create_table, TableName=name, BillingMode="PAY_PER_REQUEST", **made)[1] == (
        "1 validation error detected: Value '[KeySchemaElement(attributeName=id, keyType=HASH), "
        "KeySchemaElement(attributeName=x, keyType=RANGE), KeySchemaElement(attributeName=y, keyType=RANGE)]' "
        "at 'localSecondaryIndexes.1.member.keySchema' failed to satisfy constraint: Member must have length less than or equal to 2"
    )


@pytest.mark.parametrize(
    "parameters",
    [
        {"ReplicaUpdates": [{"Create": {"RegionName": "eu-west-1"}}]},
        {"GlobalTableWitnessUpdates": [{"Create": {"RegionName": "eu-west-1"}}]},
        {"MultiRegionConsistency": "STRONG"},
    ],
)
def test_what_haar_has_not_is_refused_by_name(table, parameters):
    items = table("id:S")
    code, message = refusal(items.update_table, **parameters)
    assert code == "ValidationException" and message.startswith("haar has no ") and next(iter(parameters)) in message


def test_there_are_no_global_tables_exports_and_imports(dynamodb, table):
    assert dynamodb.list_global_tables()["GlobalTables"] == []
    gone = ("GlobalTableNotFoundException", "Global table with name: 'nowhere' does not exist.")
    assert refusal(dynamodb.describe_global_table, GlobalTableName="nowhere") == gone
    assert refusal(dynamodb.describe_global_table_settings, GlobalTableName="nowhere") == gone
    assert dynamodb.list_exports()["ExportSummaries"] == [] and dynamodb.list_imports()["ImportSummaryList"] == []
    items = table("id:S")
    arn = items.arn + "/{}/01-a"
    assert refusal(dynamodb.describe_export, ExportArn=arn.format("export"))[0] == "ExportNotFoundException"
    assert refusal(dynamodb.describe_import, ImportArn=arn.format("import"))[0] == "ImportNotFoundException"
    described = items.describe_table_replica_auto_scaling()["TableAutoScalingDescription"]
    assert described == {"TableName": items.name, "TableStatus": "ACTIVE", "Replicas": []}
    missing = refusal(dynamodb.describe_table_replica_auto_scaling, TableName="nowhere")
    assert missing == ("ResourceNotFoundException", "Requested resource not found: Table: nowhere not found")


def test_streams_of_a_table_that_never_was(client):
    streams = client("dynamodbstreams")
    missing = ("ResourceNotFoundException", "Requested resource not found: Table: nowhere not found")
    assert refusal(streams.list_streams, TableName="nowhere") == missing


def test_an_index_whose_throughput_changes(dynamodb, name):
    definitions = [{"AttributeName": each, "AttributeType": "S"} for each in ("id", "x")]
    indexes = [index("one", ProvisionedThroughput=UNITS)]
    made = {"KeySchema": schema("id"), "AttributeDefinitions": definitions, "GlobalSecondaryIndexes": indexes}
    dynamodb.create_table(TableName=name, ProvisionedThroughput=UNITS, **made)
    more = {"Update": {"IndexName": "one", "ProvisionedThroughput": {"ReadCapacityUnits": 9, "WriteCapacityUnits": 2}}}
    answer = dynamodb.update_table(TableName=name, GlobalSecondaryIndexUpdates=[more])["TableDescription"]
    (shown,) = answer["GlobalSecondaryIndexes"]
    assert (shown["IndexStatus"], shown["ProvisionedThroughput"]["ReadCapacityUnits"]) == ("UPDATING", 2)
    assert "LastIncreaseDateTime" in shown["ProvisionedThroughput"]
    large = {"Update": {"IndexName": "one", "ProvisionedThroughput": {"ReadCapacityUnits": 10**12 + 1, "WriteCapacityUnits": 2}}}
    blocked = "Please contact DynamoDB service team for more info: Action Blocked: IndexUpdate"
    assert refusal(dynamodb.update_table, TableName=name, GlobalSecondaryIndexUpdates=[large])[1].endswith(blocked)
    (shown,) = dynamodb.describe_table(TableName=name)["Table"]["GlobalSecondaryIndexes"]
    assert (shown["IndexStatus"], shown["ProvisionedThroughput"]["ReadCapacityUnits"]) == ("ACTIVE", 9)
    dynamodb.delete_table(TableName=name)


def test_encryption_with_the_accounts_key(dynamodb, name):
    keys = {"KeySchema": schema("id"), "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}
    make = lambda **more: dynamodb.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", SSESpecification=more, **keys)
    assert refusal(make, Enabled=True, SSEType="AES256")[0] == "ValidationException"
    shown = make(Enabled=True)["TableDescription"]["SSEDescription"]
    assert (shown["Status"], shown["SSEType"]) == ("ENABLED", "KMS")
    assert re.fullmatch(r"arn:aws:kms:us-east-1:\d{12}:key/[0-9a-f-]{36}", shown["KMSMasterKeyArn"])
    dynamodb.delete_table(TableName=name)


@pytest.mark.parametrize("below", ["/index/one", "/stream/2020-01-01T00:00:00.000", "/"])
def test_only_tables_have_tags(table, dynamodb, below):
    arn = table("id:S").arn + below
    code, message = refusal(dynamodb.tag_resource, ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    assert (code, message) == ("ValidationException", f"Invalid TableArn: Invalid ResourceArn provided as input {arn}")


def test_tables_of_other_accounts_are_out_of_reach(dynamodb, platform):
    arn = "arn:aws:dynamodb:us-east-1:111122223333:table/theirs"
    asked = {
        "DescribeTable": lambda: dynamodb.describe_table(TableName=arn),
        "GetItem": lambda: dynamodb.get_item(TableName=arn, Key={"id": {"S": "1"}}),
        "ListTagsOfResource": lambda: dynamodb.list_tags_of_resource(ResourceArn=arn),
    }
    for operation, ask in asked.items():
        assert refusal(ask) == (
            "AccessDeniedException",
            f"User: arn:aws:iam::{platform.account}:root is not authorized to perform: dynamodb:{operation} on resource: {arn} "
            f"because no resource-based policy allows the dynamodb:{operation} action",
        )


def test_what_is_far_too_much_is_refused_and_not_told_whole(dynamodb, name):
    keys = [{"AttributeName": "id", "KeyType": "HASH"}]
    make = {"TableName": name, "BillingMode": "PAY_PER_REQUEST", "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}
    many = [index(f"index-{at}") | {"KeySchema": keys} for at in range(2000)]
    refused = refusal(dynamodb.create_table, KeySchema=keys, GlobalSecondaryIndexes=many, **make)
    assert refused == ("ValidationException", INVALID + "GlobalSecondaryIndex count exceeds the per-table limit of 20")
    long = [
        refusal(dynamodb.create_table, KeySchema=keys * 5000, **make),
        refusal(dynamodb.batch_execute_statement, Statements=[{"Statement": "x"}] * 5000),
        refusal(dynamodb.execute_transaction, TransactStatements=[{"Statement": "x"}] * 5000),
    ]
    for code, message in long:
        assert code == "ValidationException" and "failed to satisfy constraint: Member must have length less" in message
        assert len(message) < 50_000


def test_constraints_are_told_in_the_order_of_aws(dynamodb):
    wrong = {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0}
    _, message = refusal(
        dynamodb.create_table,
        TableName="a;b",
        AttributeDefinitions=[{"AttributeName": "a", "AttributeType": "X"}],
        KeySchema=[{"AttributeName": "a", "KeyType": "Y"}],
        BillingMode="Z",
        ProvisionedThroughput=wrong,
        GlobalSecondaryIndexes=[{"IndexName": "a"}],
    )
    assert re.findall(r" at '([a-zA-Z0-9.]+)' failed", message) == [
        "attributeDefinitions.1.member.attributeType",
        "tableName",
        "billingMode",
        "provisionedThroughput.writeCapacityUnits",
        "provisionedThroughput.readCapacityUnits",
        "keySchema.1.member.keyType",
        "globalSecondaryIndexes.1.member.indexName",
        "globalSecondaryIndexes.1.member.keySchema",
        "globalSecondaryIndexes.1.member.projection",
    ]
