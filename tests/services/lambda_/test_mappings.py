"""Event source mappings on DynamoDB streams: made, shown, and doing their work."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.services.lambda_.conftest import zip_of
from tests.support.identity import LAMBDA, policy, refused, statement
from tests.support.platform import RunningPlatform

Make = Callable[..., Any]
WAIT_SECONDS = 60.0
READS = "arn:aws:iam::aws:policy/service-role/AWSLambdaDynamoDBExecutionRole"

NOTES = """
import boto3, json, os
TABLE = boto3.client("dynamodb")
def note(context, records, **more):
    said = {"records": {"S": json.dumps(records)}, **{name: {"S": json.dumps(value)} for name, value in more.items()}}
    TABLE.put_item(TableName=os.environ["NOTES"], Item={"id": {"S": context.aws_request_id}, **said})
"""
KEEPS = (
    NOTES
    + """
def handler(event, context):
    note(context, [[one["eventName"], one["dynamodb"]["Keys"]["id"]["S"]] for one in event["Records"]], event=event)
"""
)


class World:
    """A table with a stream, a table for what functions note, and a role that may read the one and write the other."""

    def __init__(self, platform: RunningPlatform) -> None:
        self.platform = platform
        self.dynamodb, self.functions, self.iam = (platform.client(one) for one in ("dynamodb", "lambda", "iam"))
        self.name = "m-" + uuid.uuid4().hex[:10]
        self.stream = self._table(self.name, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
        self._table(f"{self.name}-notes")
        self.role = self.iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=LAMBDA)["Role"]["Arn"]
        self.iam.attach_role_policy(RoleName=self.name, PolicyArn=READS)
        self.iam.put_role_policy(RoleName=self.name, PolicyName="notes", PolicyDocument=policy(statement("dynamodb:PutItem")))

    def _table(self, name: str, **more: Any) -> str:
        attributes = [{"AttributeName": "id", "AttributeType": "S"}]
        keys = [{"AttributeName": "id", "KeyType": "HASH"}]
        made = self.dynamodb.create_table(
            TableName=name, AttributeDefinitions=attributes, KeySchema=keys, BillingMode="PAY_PER_REQUEST", **more
        )
        return str(made["TableDescription"].get("LatestStreamArn", ""))

    def function(self, code: str = KEEPS, suffix: str = "") -> str:
        self.functions.create_function(
            FunctionName=self.name + suffix,
            Runtime="python3.12",
            Role=self.role,
            Handler="app.handler",
            Timeout=30,
            MemorySize=256,
            Code={"ZipFile": zip_of(app_py=code)},
            Environment={"Variables": {"NOTES": f"{self.name}-notes"}},
        )
        return self.name + suffix

    def map(self, **more: Any) -> Any:
        settings = {"FunctionName": self.name, "EventSourceArn": self.stream, "StartingPosition": "TRIM_HORIZON"}
        return self.functions.create_event_source_mapping(**settings | more)

    def put(self, *ids: str, **more: Any) -> None:
        for id in ids:
            self.dynamodb.put_item(TableName=self.name, Item={"id": {"S": id}, **more})

    def notes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for page in self.dynamodb.get_paginator("scan").paginate(TableName=f"{self.name}-notes", ConsistentRead=True):
            found += [{key: json.loads(value["S"]) for key, value in item.items() if key != "id"} for item in page["Items"]]
        return found

    def seen(self) -> list[str]:
        """The ids of the records of all notes."""
        return [id for note in self.notes() for _, id in note["records"]]

    def until(self, good: Callable[[], Any]) -> Any:
        end = time.monotonic() + WAIT_SECONDS
        while not (found := good()):
            assert time.monotonic() < end, f"{self.notes()} {self.functions.list_event_source_mappings(EventSourceArn=self.stream)}"
            time.sleep(0.1)
        return found

    def clean(self) -> None:
        for mapping in self.functions.list_event_source_mappings(EventSourceArn=self.stream)["EventSourceMappings"]:
            self.functions.delete_event_source_mapping(UUID=mapping["UUID"])


@pytest.fixture
def world(platform: RunningPlatform) -> Iterator[World]:
    made = World(platform)
    yield made
    made.clean()


def test_a_mapping(world: World) -> None:
    name, functions = world.function(), world.functions
    made = world.map(BatchSize=5, FilterCriteria={"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}]})
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
    account, uid = world.platform.account, made["UUID"]
    expected = {
        "UUID": uid,
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 5,
        "MaximumBatchingWindowInSeconds": 0,
        "ParallelizationFactor": 1,
        "EventSourceArn": world.stream,
        "FunctionArn": f"arn:aws:lambda:us-east-1:{account}:function:{name}",
        "LastProcessingResult": "No records processed",
        "State": "Creating",
        "StateTransitionReason": "User action",
        "DestinationConfig": {"OnFailure": {}},
        "MaximumRecordAgeInSeconds": -1,
        "BisectBatchOnFunctionError": False,
        "MaximumRetryAttempts": -1,
        "TumblingWindowInSeconds": 0,
        "FunctionResponseTypes": [],
        "FilterCriteria": {"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}]},
        "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:{account}:event-source-mapping:{uid}",
    }
    assert {key: value for key, value in made.items() if key not in ("ResponseMetadata", "LastModified")} == expected
    got = functions.get_event_source_mapping(UUID=uid)
    assert {key: value for key, value in got.items() if key not in ("ResponseMetadata", "LastModified")} == expected | {"State": "Enabled"}
    again = refused(world.map)
    assert again[0] == "ResourceConflictException" and uid in again[1]
    for query in ({"FunctionName": name}, {"EventSourceArn": world.stream}):
        assert [one["UUID"] for one in functions.list_event_source_mappings(**query)["EventSourceMappings"]] == [uid]
    arn = got["EventSourceMappingArn"]
    functions.tag_resource(Resource=arn, Tags={"a": "b", "c": "d"})
    functions.untag_resource(Resource=arn, TagKeys=["a"])
    assert functions.list_tags(Resource=arn)["Tags"] == {"c": "d"}
    changed = functions.update_event_source_mapping(UUID=uid, BatchSize=7, FilterCriteria={}, Enabled=False)
    assert (changed["State"], changed["BatchSize"], "FilterCriteria" in changed) == ("Disabling", 7, False)
    assert functions.get_event_source_mapping(UUID=uid)["State"] == "Disabled"
    assert functions.delete_event_source_mapping(UUID=uid)["State"] == "Deleting"
    missing = ("ResourceNotFoundException", "The resource you requested does not exist.", 404)
    assert refused(functions.get_event_source_mapping, UUID=uid) == missing
    assert refused(functions.delete_event_source_mapping, UUID=uid) == missing
    assert refused(functions.update_event_source_mapping, UUID=uid) == missing


def test_what_is_refused(world: World) -> None:
    world.function()
    invalid = "InvalidParameterValueException"
    for settings, message in (
        ({"FunctionName": "nowhere"}, "Function does not exist"),
        ({"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 1}, "Unsupported starting position for arn type"),
        ({"FilterCriteria": {"Filters": [{"Pattern": '{"a": "b"}'}]}}, "Invalid filter pattern definition."),
        ({"MaximumRecordAgeInSeconds": 10}, "MaximumRecordAgeInSeconds must be"),
        ({"EventSourceArn": "arn:aws:sqs:us-east-1:123456789012:queue"}, "haar does not have the service of the event source"),
        (
            {"ScalingConfig": {"MaximumConcurrency": 5}},
            "Unsupported ScalingConfig parameter for given event source mapping type.",
        ),
        (
            {"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::bucket"}}},
            "haar does not have the service of the destination",
        ),
    ):
        code, said, status = refused(world.map, **settings)
        assert (code, status) == (invalid, 400) and message in said, settings
    absent = world.stream[:-4] + ".000"
    assert refused(world.map, EventSourceArn=absent) == ("ResourceNotFoundException", f"Stream not found: {absent}", 404)
    world.iam.detach_role_policy(RoleName=world.name, PolicyArn=READS)
    assert refused(world.map)[1].startswith(f"Cannot access stream {world.stream}. Please ensure the role can perform the GetRecords,")


def test_records_reach_the_function(world: World) -> None:
    world.function()
    world.put("before", n={"N": "1"})
    uid = world.map()["UUID"]
    world.put("a")
    world.put("a", n={"N": "2"})
    world.dynamodb.delete_item(TableName=world.name, Key={"id": {"S": "a"}})
    world.until(lambda: len(world.seen()) >= 4)
    assert sorted(map(tuple, (record for note in world.notes() for record in note["records"]))) == [
        ("INSERT", "a"),
        ("INSERT", "before"),
        ("MODIFY", "a"),
        ("REMOVE", "a"),
    ]
    record = next(one for note in world.notes() for one in note["event"]["Records"] if one["dynamodb"]["Keys"]["id"]["S"] == "before")
    assert (record["eventSource"], record["eventSourceARN"], record["awsRegion"]) == ("aws:dynamodb", world.stream, "us-east-1")
    assert record["dynamodb"]["NewImage"] == {"id": {"S": "before"}, "n": {"N": "1"}} and record["eventVersion"] == "1.1"
    assert set(record["dynamodb"]) >= {"SequenceNumber", "SizeBytes", "StreamViewType", "ApproximateCreationDateTime"}
    world.until(lambda: world.functions.get_event_source_mapping(UUID=uid)["LastProcessingResult"] == "OK")


def test_latest_begins_at_the_mapping(world: World) -> None:
    world.function()
    world.put("before")
    world.map(StartingPosition="LATEST")
    world.put("after")
    world.until(world.seen)
    assert world.seen() == ["after"]


def test_filters_pass_records_over(world: World) -> None:
    world.function()
    image = {"NewImage": {"n": {"S": [{"prefix": "yes"}]}}}
    world.map(FilterCriteria={"Filters": [{"Pattern": json.dumps({"eventName": ["INSERT"], "dynamodb": image})}]})
    world.put("a", n={"S": "no"})
    world.put("b", n={"S": "yes-1"})
    world.put("b", n={"S": "yes-2"})
    world.put("c", n={"S": "yes-3"})
    world.until(lambda: len(world.seen()) >= 2)
    assert sorted(world.seen()) == ["b", "c"]


POISON = (
    NOTES
    + """
def handler(event, context):
    ids = [one["dynamodb"]["Keys"]["id"]["S"] for one in event["Records"]]
    note(context, [["", id] for id in ids], failed=any(id.startswith("bad") for id in ids))
    if any(id.startswith("bad") for id in ids):
        raise ValueError("bad")
"""
)


def test_a_batch_that_fails_is_cut_until_only_the_bad_record_is_given_up(world: World) -> None:
    world.put("a", "b", "c", "bad", "d", "e")
    world.function(POISON)
    uid = world.map(BisectBatchOnFunctionError=True, MaximumRetryAttempts=1)["UUID"]
    good = lambda: [id for note in world.notes() if not note["failed"] for _, id in note["records"]]
    world.until(lambda: len(good()) >= 5)
    world.put("f")
    world.until(lambda: len(good()) >= 6)
    assert sorted(good()) == ["a", "b", "c", "d", "e", "f"]
    alone = [note for note in world.notes() if [id for _, id in note["records"]] == ["bad"]]
    assert len(alone) == 2
    assert world.functions.get_event_source_mapping(UUID=uid)["LastProcessingResult"] in ("OK", "PROBLEM: Function call failed")


def test_a_batch_is_tried_again_and_given_up_whole(world: World) -> None:
    world.put("a", "bad")
    world.function(POISON)
    world.map(MaximumRetryAttempts=2)
    world.until(lambda: len(world.notes()) >= 3)
    world.put("b")
    world.until(lambda: "b" in world.seen())
    notes = [sorted(id for _, id in note["records"]) for note in world.notes()]
    assert sorted(notes) == [["a", "bad"]] * 3 + [["b"]]


PARTIAL = (
    NOTES
    + """
def handler(event, context):
    ids = [one["dynamodb"]["Keys"]["id"]["S"] for one in event["Records"]]
    note(context, [["", id] for id in ids])
    failures = [one["dynamodb"]["SequenceNumber"] for one in event["Records"] if one["dynamodb"]["Keys"]["id"]["S"].startswith("bad")]
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failures]}
"""
)


def test_reported_failures_are_tried_again_alone(world: World) -> None:
    world.put("a", "b", "bad", "c")
    world.function(PARTIAL)
    world.map(FunctionResponseTypes=["ReportBatchItemFailures"], MaximumRetryAttempts=2)
    world.put("d")
    world.until(lambda: "d" in world.seen() and world.seen().count("bad") == 3)
    assert world.seen().count("a") == world.seen().count("b") == 1


def test_lanes_share_a_shard_and_keep_each_item_in_order(world: World) -> None:
    world.function(
        NOTES + "import time\ndef handler(event, context):\n"
        "    note(context, [[one['dynamodb']['NewImage']['n']['N'], one['dynamodb']['Keys']['id']['S']] for one in event['Records']],"
        " at=time.time())\n"
    )
    uid = world.map(ParallelizationFactor=4, BatchSize=3)["UUID"]
    for number in range(6):
        world.put("a", "b", "c", "d", "e", n={"N": str(number)})
    world.until(lambda: len(world.seen()) >= 30)
    ordered = sorted(world.notes(), key=lambda note: note["at"])
    for id in "abcde":
        assert [int(number) for note in ordered for number, key in note["records"] if key == id] == list(range(6))
    world.functions.update_event_source_mapping(UUID=uid, ParallelizationFactor=1)
    world.put("z", n={"N": "0"})
    world.until(lambda: "z" in world.seen())


def test_a_window_gathers(world: World) -> None:
    world.function()
    world.map(MaximumBatchingWindowInSeconds=3, BatchSize=10)
    world.put("a", "b", "c")
    world.until(lambda: len(world.seen()) >= 3)
    assert len(world.notes()) == 1


def test_tumbling_windows_add_up(world: World) -> None:
    world.function(
        NOTES + "def handler(event, context):\n"
        "    count = event['state'].get('count', 0) + len(event['Records'])\n"
        "    if event['isFinalInvokeForWindow']:\n"
        "        note(context, [], count=count, shard=event['shardId'])\n"
        "    return {'state': {'count': count}}\n"
    )
    world.put("a", "b", "c", "d", "e")
    assert world.map(TumblingWindowInSeconds=2, BatchSize=2)["TumblingWindowInSeconds"] == 2
    world.put("f", "g")
    world.until(lambda: sum(note["count"] for note in world.notes()) == 7)
    assert all(note["shard"].startswith("shardId-") for note in world.notes())


def test_a_mapping_that_is_disabled_goes_on_where_it_was(world: World) -> None:
    world.function()
    uid = world.map()["UUID"]
    world.put("a")
    world.until(lambda: world.functions.get_event_source_mapping(UUID=uid)["LastProcessingResult"] == "OK")
    world.functions.update_event_source_mapping(UUID=uid, Enabled=False)
    time.sleep(0.5)
    world.put("b")
    assert world.seen() == ["a"]
    world.functions.update_event_source_mapping(UUID=uid, Enabled=True)
    world.until(lambda: "b" in world.seen())
    assert sorted(world.seen()) == ["a", "b"]


def test_a_role_that_may_not_read_any_more_stops_it(world: World) -> None:
    world.function()
    uid = world.map()["UUID"]
    world.iam.detach_role_policy(RoleName=world.name, PolicyArn=READS)
    world.put("a")
    world.until(lambda: "may not read" in world.functions.get_event_source_mapping(UUID=uid)["LastProcessingResult"])
    assert world.seen() == []
    world.iam.attach_role_policy(RoleName=world.name, PolicyArn=READS)
    world.until(lambda: world.seen() == ["a"])


def test_changing_mappings_needs_permission(world: World, client: Make) -> None:
    world.function()
    uid = world.map()["UUID"]
    iam = client("iam")
    iam.create_user(UserName=world.name)
    key = iam.create_access_key(UserName=world.name)["AccessKey"]
    mine = client("lambda", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    assert refused(mine.get_event_source_mapping, UUID=uid)[0] == "AccessDeniedException"
    function = f"arn:aws:lambda:us-east-1:{world.platform.account}:function:{world.name}"
    only = {"ArnLike": {"lambda:FunctionArn": function}}
    allowed = statement(["lambda:GetEventSourceMapping", "lambda:CreateEventSourceMapping"], Condition=only)
    iam.put_user_policy(UserName=world.name, PolicyName="p", PolicyDocument=policy(allowed))
    assert mine.get_event_source_mapping(UUID=uid)["UUID"] == uid
    assert refused(mine.delete_event_source_mapping, UUID=uid)[0] == "AccessDeniedException"
    other = refused(mine.create_event_source_mapping, FunctionName="other", EventSourceArn=world.stream, StartingPosition="LATEST")
    assert other[0] == "AccessDeniedException"


def test_a_stream_survives_kills(fresh_platform: Make) -> None:
    """Every change reaches the function at least once, each item's in order, though haar is killed in between."""
    world = World(fresh_platform())
    world.function(
        NOTES + "import time\ndef handler(event, context):\n"
        "    note(context, [[int(one['dynamodb']['NewImage']['n']['N']), one['dynamodb']['Keys']['id']['S']] for one in event['Records']],"
        " at=time.time())\n"
    )
    world.map(BatchSize=10)
    number = 0
    for _ in range(3):
        for _ in range(60):
            number += 1
            world.put("x", n={"N": str(number)})
        world.platform.kill()
        world.platform.start()
        clients = (world.platform.client(one) for one in ("dynamodb", "lambda", "iam"))
        world.dynamodb, world.functions, world.iam = clients
    world.until(lambda: {n for note in world.notes() for n, _ in note["records"]} >= set(range(1, number + 1)))
    reached = 0
    for note in sorted(world.notes(), key=lambda note: note["at"]):
        numbers = [n for n, _ in note["records"]]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) and numbers[0] <= reached + 1
        reached = max(reached, numbers[-1])
    assert reached == number


def test_a_mapping_moves_only_by_who_may_change_those_of_both_functions(world: World) -> None:
    first = world.function()
    second = world.function(suffix="-b")
    uid = world.map(Enabled=False)["UUID"]
    world.iam.create_user(UserName=world.name)
    key = world.iam.create_access_key(UserName=world.name)["AccessKey"]
    theirs = world.platform.client("lambda", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])

    def may(*functions: str) -> None:
        arns = [f"arn:aws:lambda:us-east-1:{world.platform.account}:function:{one}" for one in functions]
        allowed = statement("lambda:UpdateEventSourceMapping", Condition={"ArnEquals": {"lambda:FunctionArn": arns}})
        world.iam.put_user_policy(UserName=world.name, PolicyName="p", PolicyDocument=policy(allowed))

    may(second)
    code, message, status = refused(theirs.update_event_source_mapping, UUID=uid, FunctionName=second)
    assert (code, status) == ("AccessDeniedException", 403) and "lambda:UpdateEventSourceMapping" in message
    may(first, second)
    assert theirs.update_event_source_mapping(UUID=uid, FunctionName=second)["FunctionArn"].endswith(second)
