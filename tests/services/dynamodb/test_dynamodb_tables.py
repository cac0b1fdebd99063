# ruff: noqa: E501 - messages are as long as they are
"""CreateTable, DescribeTable, ListTables, UpdateTable, DeleteTable, tags."""

import re
import uuid

import pytest
from tests.services.dynamodb.conftest import eventually, refusal

S = lambda text: {"S": text}
INVALID = "One or more parameter values were invalid: "
HASH, RANGE = ({"AttributeName": name, "KeyType": kind} for name, kind in (("id", "HASH"), ("at", "RANGE")))
ID, AT, X = ({"AttributeName": name, "AttributeType": "S"} for name in ("id", "at", "x"))
UNITS = {"ReadCapacityUnits": 3, "WriteCapacityUnits": 4}
ALL = {"ProjectionType": "ALL"}


def test_a_table_from_making_to_deleting(dynamodb, name):
    made = dynamodb.create_table(
        TableName=name, KeySchema=[HASH, RANGE], AttributeDefinitions=[ID, AT, X], ProvisionedThroughput=UNITS, TableClass="STANDARD_INFREQUENT_ACCESS",
        LocalSecondaryIndexes=[{"IndexName": "local", "KeySchema": [HASH, {"AttributeName": "x", "KeyType": "RANGE"}], "Projection": {"ProjectionType": "KEYS_ONLY"}}],
        GlobalSecondaryIndexes=[{"IndexName": "global", "KeySchema": [{"AttributeName": "x", "KeyType": "HASH"}], "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["y"]}, "ProvisionedThroughput": UNITS}],
    )["TableDescription"]  # fmt: skip
    assert (made["TableName"], made["TableStatus"], made["ItemCount"], made["TableSizeBytes"]) == (name, "CREATING", 0, 0)
    assert re.fullmatch(rf"arn:aws:dynamodb:us-east-1:\d{{12}}:table/{name}", made["TableArn"])
    assert uuid.UUID(made["TableId"]).version == 4
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert table["TableStatus"] == "ACTIVE" and table["CreationDateTime"] == made["CreationDateTime"]
    assert table["ProvisionedThroughput"] == {"NumberOfDecreasesToday": 0, **UNITS}
    assert "BillingModeSummary" not in table and table["TableClassSummary"] == {"TableClass": "STANDARD_INFREQUENT_ACCESS"}
    assert (table["KeySchema"], table["AttributeDefinitions"]) == ([HASH, RANGE], [ID, AT, X])
    (local,), (other,) = table["LocalSecondaryIndexes"], table["GlobalSecondaryIndexes"]
    assert local["IndexArn"] == table["TableArn"] + "/index/local" and "IndexStatus" not in local
    assert (other["IndexStatus"], other["ProvisionedThroughput"]["ReadCapacityUnits"], other["Projection"]["NonKeyAttributes"]) == (
        "ACTIVE",
        3,
        ["y"],
    )
    assert dynamodb.describe_table(TableName=table["TableArn"])["Table"] == table
    assert refusal(dynamodb.create_table, TableName=name, KeySchema=[HASH], AttributeDefinitions=[ID], BillingMode="PAY_PER_REQUEST") == (
        "ResourceInUseException",
        f"Table already exists: {name}",
    )
    gone = dynamodb.delete_table(TableName=name)["TableDescription"]
    assert (gone["TableStatus"], gone["TableId"]) == ("DELETING", made["TableId"])
    dynamodb.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    for operation in (dynamodb.describe_table, dynamodb.delete_table):
        assert refusal(operation, TableName=name) == ("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")
    assert refusal(dynamodb.get_item, TableName=name, Key={"id": S("1")}) == ("ResourceNotFoundException", "Requested resource not found")


def test_a_table_made_again_is_empty(dynamodb, name):
    make = lambda: dynamodb.create_table(TableName=name, KeySchema=[HASH], AttributeDefinitions=[ID], BillingMode="PAY_PER_REQUEST")[
        "TableDescription"
    ]["TableId"]
    first = make()
    dynamodb.put_item(TableName=name, Item={"id": S("1")})
    dynamodb.delete_table(TableName=name)
    assert make() != first
    assert dynamodb.scan(TableName=name)["Items"] == []
    dynamodb.delete_table(TableName=name)


def test_counts_are_those_of_the_items(table):
    items = table("id:S", indexes={"byX": ("x:S",)})
    for at in range(7):
        items.put_item(Item={"id": S(str(at)), **({"x": S("x")} if at < 3 else {})})
    items.delete_item(Key={"id": S("0")})
    described = items.describe_table()["Table"]
    assert (described["ItemCount"], described["TableSizeBytes"]) == (6, 6 * 3 + 2 * 2)
    assert (items.index("byX")["ItemCount"], items.index("byX")["IndexSizeBytes"]) == (2, 2 * 5)


def test_list_in_pages(table, dynamodb, name):
    names = [table("id:S").name for _ in range(3)]
    before = f"{name}-"
    page = dynamodb.list_tables(ExclusiveStartTableName=before, Limit=2)
    assert page["TableNames"] == names[:2] and page["LastEvaluatedTableName"] == names[1]
    rest = dynamodb.list_tables(ExclusiveStartTableName=names[1], Limit=1)
    assert rest["TableNames"] == names[2:]
    assert (
        refusal(dynamodb.list_tables, Limit=101)[1]
        == "1 validation error detected: Value '101' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 100"
    )


GLOBAL = lambda **more: {"IndexName": "global", "KeySchema": [{"AttributeName": "x", "KeyType": "HASH"}], "Projection": ALL} | more
LOCAL = lambda **more: {"IndexName": "local", "KeySchema": [HASH, {"AttributeName": "x", "KeyType": "RANGE"}], "Projection": ALL} | more


@pytest.mark.parametrize(
    "change, message",
    [
        ({"TableName": "ab"}, "TableName must be at least 3 characters long and at most 255 characters long"),
        ({"TableName": "a;b"}, "1 validation error detected: Value 'a;b' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"),
        ({"ProvisionedThroughput": UNITS}, INVALID + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"),
        ({"BillingMode": "PROVISIONED"}, INVALID + "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"),
        ({"BillingMode": "FREE"}, "1 validation error detected: Value 'FREE' at 'billingMode' failed to satisfy constraint: Member must satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]"),
        ({"KeySchema": [HASH, RANGE]}, "Invalid KeySchema: Some index key attribute have no definition"),
        ({"KeySchema": [HASH, RANGE], "AttributeDefinitions": [ID, X]}, INVALID + "Some index key attributes are not defined in AttributeDefinitions. Keys: [id, at], AttributeDefinitions: [id, x]"),
        ({"KeySchema": [RANGE], "AttributeDefinitions": [AT]}, "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"),
        ({"KeySchema": [HASH, HASH | {"AttributeName": "at"}], "AttributeDefinitions": [ID, AT]}, "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"),
        ({"KeySchema": [HASH, RANGE | {"AttributeName": "id"}], "AttributeDefinitions": [ID, AT]}, "Both the Hash Key and the Range Key element in the KeySchema have the same name"),
        ({"AttributeDefinitions": [ID, AT]}, INVALID + "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions"),
        ({"GlobalSecondaryIndexes": []}, INVALID + "List of GlobalSecondaryIndexes is empty"),
        ({"GlobalSecondaryIndexes": [GLOBAL()]}, INVALID + "Some index key attributes are not defined in AttributeDefinitions. Keys: [x], AttributeDefinitions: [id]"),
        ({"GlobalSecondaryIndexes": [GLOBAL(), GLOBAL()], "AttributeDefinitions": [ID, X]}, INVALID + "Duplicate index name: global"),
        ({"GlobalSecondaryIndexes": [GLOBAL(ProvisionedThroughput=UNITS)], "AttributeDefinitions": [ID, X]}, INVALID + "ProvisionedThroughput should not be specified for index: global when BillingMode is PAY_PER_REQUEST"),
        ({"GlobalSecondaryIndexes": [GLOBAL(Projection={"ProjectionType": "ALL", "NonKeyAttributes": ["a"]})], "AttributeDefinitions": [ID, X]}, INVALID + "ProjectionType is ALL, but NonKeyAttributes is specified"),
        ({"GlobalSecondaryIndexes": [GLOBAL(Projection={})], "AttributeDefinitions": [ID, X]}, INVALID + "Unknown ProjectionType: null"),
        ({"GlobalSecondaryIndexes": [GLOBAL(IndexName=f"i{at:02}.") for at in range(21)], "AttributeDefinitions": [ID, X]}, INVALID + "GlobalSecondaryIndex count exceeds the per-table limit of 20"),
        ({"LocalSecondaryIndexes": [LOCAL()], "AttributeDefinitions": [ID, X]}, INVALID + "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"),
        ({"LocalSecondaryIndexes": [LOCAL(KeySchema=[RANGE | {"KeyType": "HASH"}, {"AttributeName": "x", "KeyType": "RANGE"}])], "KeySchema": [HASH, RANGE], "AttributeDefinitions": [ID, AT, X]}, INVALID + "Index KeySchema does not have the same leading hash key as table KeySchema for index: local. index hash key: at, table hash key: id"),
        ({"GlobalSecondaryIndexes": [GLOBAL()], "AttributeDefinitions": [ID, X, AT]}, INVALID + "Some AttributeDefinitions are not used. AttributeDefinitions: [id, x, at], keys used: [id, x]"),
    ],
)  # fmt: skip
def test_schemas_that_are_refused(dynamodb, name, change, message):
    parameters = {"TableName": name, "KeySchema": [HASH], "AttributeDefinitions": [ID], "BillingMode": "PAY_PER_REQUEST"} | change
    assert refusal(dynamodb.create_table, **parameters) == ("ValidationException", message)


def test_update_of_throughput_and_protection(dynamodb, name):
    dynamodb.create_table(TableName=name, KeySchema=[HASH], AttributeDefinitions=[ID], ProvisionedThroughput=UNITS)
    update = lambda **parameters: dynamodb.update_table(TableName=name, **parameters)["TableDescription"]
    described = lambda: dynamodb.describe_table(TableName=name)["Table"]
    assert refusal(update) == (
        "ValidationException",
        "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required",
    )
    assert refusal(update, ProvisionedThroughput=UNITS)[1].startswith(
        "The provisioned throughput for the table will not change. The requested value equals the current value. Current ReadCapacityUnits provisioned for the table: 3."
    )
    shown = update(ProvisionedThroughput={"ReadCapacityUnits": 9, "WriteCapacityUnits": 2})
    assert (shown["TableStatus"], shown["ProvisionedThroughput"]["ReadCapacityUnits"]) == ("UPDATING", 3)
    now = eventually(lambda: described() if described()["TableStatus"] == "ACTIVE" else None)["ProvisionedThroughput"]
    assert (now["ReadCapacityUnits"], now["WriteCapacityUnits"], now["NumberOfDecreasesToday"]) == (9, 2, 1)
    update(BillingMode="PAY_PER_REQUEST")
    assert (
        described()["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        and described()["ProvisionedThroughput"]["ReadCapacityUnits"] == 0
    )
    update(DeletionProtectionEnabled=True)
    assert refusal(dynamodb.delete_table, TableName=name)[0] == "ValidationException"
    update(DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName=name)


def test_tags(table, dynamodb):
    items = table("id:S", Tags=[{"Key": "made", "Value": "yes"}])
    arn = items.arn
    dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": f"k{at:02}", "Value": str(at)} for at in range(12)])
    dynamodb.untag_resource(ResourceArn=arn, TagKeys=["k00", "never"])
    answer = dynamodb.list_tags_of_resource(ResourceArn=arn)
    assert "NextToken" not in answer
    tags = {tag["Key"]: tag["Value"] for tag in answer["Tags"]}
    assert tags == {"made": "yes"} | {f"k{at:02}": str(at) for at in range(1, 12)}
    assert refusal(dynamodb.tag_resource, ResourceArn=arn + "x", Tags=[{"Key": "a", "Value": "b"}]) == (
        "ResourceNotFoundException",
        f"Requested resource not found: ResourcArn: {arn}x not found",
    )


def test_limits_and_endpoints(dynamodb):
    assert dynamodb.describe_limits()["TableMaxReadCapacityUnits"] == 40000
    assert dynamodb.describe_endpoints()["Endpoints"][0]["CachePeriodInMinutes"] == 1440


def test_contributor_insights_are_kept(table, dynamodb):
    items = table("id:S", indexes={"byX": ("x:S",)})
    assert items.describe_contributor_insights()["ContributorInsightsStatus"] == "DISABLED"
    assert items.update_contributor_insights(ContributorInsightsAction="ENABLE")["ContributorInsightsStatus"] == "ENABLING"
    items.update_contributor_insights(ContributorInsightsAction="ENABLE", IndexName="byX", ContributorInsightsMode="THROTTLED_KEYS")
    shown = items.describe_contributor_insights(IndexName="byX")
    assert (shown["ContributorInsightsStatus"], shown["ContributorInsightsMode"]) == ("ENABLED", "THROTTLED_KEYS")
    listed = items.list_contributor_insights()["ContributorInsightsSummaries"]
    assert [each.get("IndexName") for each in listed] == [None, "byX"]
    assert refusal(items.describe_contributor_insights, IndexName="nothing")[0] == "ResourceNotFoundException"
    change = lambda action: items.update_contributor_insights(ContributorInsightsAction=action)["ContributorInsightsStatus"]
    assert [change(action) for action in ("ENABLE", "DISABLE", "DISABLE")] == ["ENABLED", "DISABLING", "DISABLED"]
    assert [each.get("IndexName") for each in items.list_contributor_insights()["ContributorInsightsSummaries"]] == ["byX"]


def test_kinesis_destinations_are_kept_and_say_what_they_are(table):
    items = table("id:S")
    arn = "arn:aws:kinesis:us-east-1:123456789012:stream/s"
    wrong = "arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/s"
    assert refusal(items.enable_kinesis_streaming_destination, StreamArn=wrong)[0] == "ValidationException"
    assert items.enable_kinesis_streaming_destination(StreamArn=arn)["DestinationStatus"] == "ENABLING"
    (found,) = items.describe_kinesis_streaming_destination()["KinesisDataStreamDestinations"]
    assert found["DestinationStatus"] == "ACTIVE" and "not delivered" in found["DestinationStatusDescription"]
    items.disable_kinesis_streaming_destination(StreamArn=arn)
    assert refusal(items.disable_kinesis_streaming_destination, StreamArn=arn)[0] == "ValidationException"
