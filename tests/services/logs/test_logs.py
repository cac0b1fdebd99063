"""CloudWatch Logs as a client sees it."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.identity import refused, statement
from tests.support.platform import RunningPlatform


@pytest.fixture
def logs(client: Callable[..., Any]) -> Any:
    return client("logs")


@pytest.fixture
def group(logs: Any, name: str) -> Iterator[str]:
    logs.create_log_group(logGroupName=f"/t/{name}", tags={"team": "a"})
    yield f"/t/{name}"
    logs.delete_log_group(logGroupName=f"/t/{name}")


def now() -> int:
    return int(time.time() * 1000)


def put(logs: Any, group: str, stream: str, *events: tuple[int, str]) -> Any:
    return logs.put_log_events(
        logGroupName=group, logStreamName=stream, logEvents=[{"timestamp": time, "message": message} for time, message in events]
    )


def test_groups(logs: Any, group: str, platform: RunningPlatform) -> None:
    assert refused(logs.create_log_group, logGroupName=group) == (
        "ResourceAlreadyExistsException",
        "The specified log group already exists",
        400,
    )
    assert refused(logs.delete_log_group, logGroupName=group + "x") == (
        "ResourceNotFoundException",
        "The specified log group does not exist.",
        400,
    )
    (found,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    arn = f"arn:aws:logs:us-east-1:{platform.account}:log-group:{group}"
    assert found["arn"] == arn + ":*" and found["logGroupArn"] == arn
    assert found["storedBytes"] == 0 and "retentionInDays" not in found and abs(found["creationTime"] - now()) < 600_000
    assert refused(logs.describe_log_groups, logGroupNamePrefix="a", logGroupNamePattern="b")[0] == "InvalidParameterException"
    assert [each["logGroupName"] for each in logs.describe_log_groups(logGroupNamePattern=group[3:].upper())["logGroups"]] == [group]

    logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["retentionInDays"] == 7
    assert refused(logs.put_retention_policy, logGroupName=group, retentionInDays=2)[0] == "InvalidParameterException"
    logs.delete_retention_policy(logGroupName=group)
    assert "retentionInDays" not in logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]


def test_pages_of_groups_and_streams(logs: Any, group: str) -> None:
    names = [f"{group}/{letter}" for letter in "abcde"]
    for each in names:
        logs.create_log_group(logGroupName=each)
    found, token = [], {}
    while True:
        page = logs.describe_log_groups(logGroupNamePrefix=group + "/", limit=2, **token)
        found += [each["logGroupName"] for each in page["logGroups"]]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert found == names
    for each in names:
        logs.delete_log_group(logGroupName=each)
        logs.create_log_stream(logGroupName=group, logStreamName=each[-1])
    for index, each in enumerate("caebd"):
        put(logs, group, each, (now() - 10_000 + index, "x"))

    def streams(**more: Any) -> str:
        pages = logs.get_paginator("describe_log_streams").paginate(logGroupName=group, limit=2, **more)
        return "".join(stream["logStreamName"] for page in pages for stream in page["logStreams"])

    assert streams() == "abcde"
    assert streams(descending=True) == "edcba"
    assert streams(orderBy="LastEventTime") == "caebd"
    assert streams(orderBy="LastEventTime", descending=True) == "dbeac"
    assert streams(logStreamNamePrefix="b") == "b"
    assert refused(logs.describe_log_streams, logGroupName=group, orderBy="LastEventTime", logStreamNamePrefix="b") == (
        "InvalidParameterException",
        "Cannot order by LastEventTime with a logStreamNamePrefix.",
        400,
    )


def test_streams(logs: Any, group: str) -> None:
    gone = ("ResourceNotFoundException", "The specified log stream does not exist.", 400)
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    assert refused(logs.create_log_stream, logGroupName=group, logStreamName="s") == (
        "ResourceAlreadyExistsException",
        "The specified log stream already exists",
        400,
    )
    assert refused(logs.create_log_stream, logGroupName=group + "x", logStreamName="s")[1] == "The specified log group does not exist."
    assert refused(logs.get_log_events, logGroupName=group, logStreamName="t") == gone
    assert refused(logs.put_log_events, logGroupName=group, logStreamName="t", logEvents=[{"timestamp": now(), "message": "m"}]) == gone
    put(logs, group, "s", (now(), "old"))
    logs.delete_log_stream(logGroupName=group, logStreamName="s")
    assert refused(logs.delete_log_stream, logGroupName=group, logStreamName="s") == gone
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    assert logs.get_log_events(logGroupName=group, logStreamName="s")["events"] == []


def test_put(logs: Any, group: str) -> None:
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    t = now()
    assert put(logs, group, "s", (t, "é" * 10), (t, "two"), (t + 5, "three"))["nextSequenceToken"]
    (stream,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert (stream["firstEventTimestamp"], stream["lastEventTimestamp"]) == (t, t + 5) and stream["lastIngestionTime"] >= t - 60_000
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["storedBytes"] == 20 + 3 + 5 + 3 * 26
    assert [each["message"] for each in logs.get_log_events(logGroupName=group, logStreamName="s")["events"]] == ["é" * 10, "two", "three"]

    def error(*events: tuple[int, str]) -> str:
        return refused(put, logs, group, "s", *events)[1]

    assert error((t, "a"), (t - 1, "b")) == "Log events in a single PutLogEvents request must be in chronological order."
    assert (
        error((t - 86_400_001, "a"), (t, "b")) == "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
    )
    assert error((t, "x" * 600_000), (t, "x" * 600_000)).startswith("Upload too large: 1200052 bytes")
    assert error((t, "")).startswith("1 validation error detected: Value '' at 'logEvents.1.member.message'")
    day = 86_400_000
    assert put(logs, group, "s", (t - 15 * day, "a"), (t - 15 * day, "b"))["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 2}
    assert put(logs, group, "s", (t, "now"), (t + 3 * 3_600_000, "soon"))["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
    assert len(logs.get_log_events(logGroupName=group, logStreamName="s")["events"]) == 4


def test_get_goes_both_ways(logs: Any, group: str) -> None:
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    t = now() - 1000
    put(logs, group, "s", *[(t + index // 2, str(index)) for index in range(10)])

    def get(**more: Any) -> tuple[str, str, str]:
        page = logs.get_log_events(logGroupName=group, logStreamName="s", **more)
        return "".join(event["message"] for event in page["events"]), page["nextForwardToken"], page["nextBackwardToken"]

    assert get()[0] == "0123456789"
    assert get(startTime=t + 1, endTime=t + 3)[0] == "2345"
    page, forward, backward = get(limit=3)
    assert page == "789"
    assert get(limit=3, nextToken=forward)[:2] == ("", forward), "the end says where it is again"
    page, _, backward = get(limit=3, nextToken=backward)
    assert page == "456"
    page, _, backward = get(limit=9, nextToken=backward)
    assert page == "0123"
    assert get(limit=9, nextToken=backward)[::2] == ("", backward)
    page, forward, _ = get(limit=4, startFromHead=True)
    assert page == "0123"
    page, forward, backward = get(limit=9, startFromHead=True, nextToken=forward)
    assert page == "456789" and get(nextToken=backward, limit=2)[0] == "23"
    put(logs, group, "s", (t + 500, "x"))
    assert get(nextToken=forward)[0] == "x", "what comes later is behind the old end"
    assert refused(get, nextToken="f/1/s")[1] == "The specified nextToken is invalid."


def test_an_empty_stream_can_be_followed(logs: Any, group: str) -> None:
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    page = logs.get_log_events(logGroupName=group, logStreamName="s", startFromHead=True)
    put(logs, group, "s", (now(), "first"))
    page = logs.get_log_events(logGroupName=group, logStreamName="s", nextToken=page["nextForwardToken"], startFromHead=True)
    assert [event["message"] for event in page["events"]] == ["first"]


def test_filter_merges_streams(logs: Any, group: str) -> None:
    t = now() - 1000
    for stream in ("b", "a", "c"):
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        put(logs, group, stream, *[(t + index, f"{stream}{index} {'odd' if index % 2 else 'even'}") for index in range(6)])

    def found(**more: Any) -> list[str]:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, **more)
        return [event["message"].split()[0] for page in pages for event in page["events"]]

    everything = [f"{stream}{index}" for index in range(6) for stream in "abc"]
    for limit in (1, 4, 100):
        assert found(limit=limit) == everything
        assert found(limit=limit, startFromHead=False, startTime=t - 5) == everything[::-1]
    assert found(filterPattern="odd", limit=2, interleaved=True) == [name for name in everything if int(name[1]) % 2]
    assert found(startTime=t + 2, endTime=t + 3, logStreamNames=["c", "a"]) == ["a2", "c2", "a3", "c3"]
    assert found(logStreamNamePrefix="b", endTime=t) == ["b0"]
    event = logs.filter_log_events(logGroupName=group, limit=1)["events"][0]
    assert set(event) == {"logStreamName", "timestamp", "message", "ingestionTime", "eventId"} and len(event["eventId"]) == 56
    assert refused(logs.filter_log_events, logGroupName=group, logStreamNames=["x"])[1] == "The specified log stream does not exist."
    assert refused(logs.filter_log_events, logGroupName=group, nextToken="x")[0] == "InvalidParameterException"
    assert refused(logs.filter_log_events, logGroupName=group, filterPattern="a-b")[1] == "Invalid character(s) in term 'a-b'"
    arn = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["logGroupArn"]
    assert len(logs.filter_log_events(logGroupIdentifier=arn)["events"]) == 18


def test_following_shows_each_event_once(logs: Any, group: str) -> None:
    """As `aws logs tail --follow` does it: from the last event's time again, leaving out what was shown."""
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    t, shown, start = now() - 1000, {}, 0
    for index in range(4):
        put(logs, group, "s", (t, f"same {index}"), (t + index, f"later {index}"))
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=start, limit=2):
            for event in page["events"]:
                shown.setdefault(event["eventId"], event["message"])
                start = max(start, event["timestamp"])
        start = max(0, start - 10)
    assert sorted(shown.values()) == sorted([f"same {index}" for index in range(4)] + [f"later {index}" for index in range(4)])


def test_tags(logs: Any, group: str) -> None:
    arn = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["logGroupArn"]
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "a"}
    logs.tag_resource(resourceArn=arn, tags={"x": "1", "team": "b"})
    logs.tag_log_group(logGroupName=group, tags={"y": "2"})
    assert logs.list_tags_log_group(logGroupName=group)["tags"] == {"team": "b", "x": "1", "y": "2"}
    logs.untag_resource(resourceArn=arn, tagKeys=["x"])
    logs.untag_log_group(logGroupName=group, tags=["y"])
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "b"}
    assert refused(logs.list_tags_for_resource, resourceArn=arn + "x")[0] == "ResourceNotFoundException"


def test_metric_filter_patterns_can_be_tried(logs: Any) -> None:
    matches = logs.test_metric_filter(filterPattern="[ip, code = 4*]", logEventMessages=["1.1.1.1 404", "1.1.1.1 200"])["matches"]
    assert matches == [{"eventNumber": 1, "eventMessage": "1.1.1.1 404", "extractedValues": {"$ip": "1.1.1.1", "$code": "404"}}]


def test_a_user_may_what_is_allowed(client: Callable[..., Any], logs: Any, group: str, name: str, platform: RunningPlatform) -> None:
    iam = client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    arn = f"arn:aws:logs:us-east-1:{platform.account}:log-group:{group}"
    document = [
        statement(["logs:CreateLogStream", "logs:PutLogEvents", "logs:GetLogEvents"], arn + ":*"),
        statement("logs:FilterLogEvents", "*", Condition={"StringEquals": {"aws:ResourceTag/team": "a"}}),
    ]
    iam.put_user_policy(
        UserName=name, PolicyName="p", PolicyDocument=str({"Version": "2012-10-17", "Statement": document}).replace("'", '"')
    )
    theirs = client("logs", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    theirs.create_log_stream(logGroupName=group, logStreamName="s")
    put(theirs, group, "s", (now(), "mine"))
    assert len(theirs.get_log_events(logGroupName=group, logStreamName="s")["events"]) == 1
    assert len(theirs.filter_log_events(logGroupName=group)["events"]) == 1
    code, message, _ = refused(theirs.create_log_stream, logGroupName=group + "x", logStreamName="s")
    assert code == "AccessDeniedException" and f"logs:CreateLogStream on resource: {arn}x:log-stream:" in message
    assert refused(theirs.delete_log_group, logGroupName=group)[0] == "AccessDeniedException"
    logs.untag_log_group(logGroupName=group, tags=["team"])
    assert refused(theirs.filter_log_events, logGroupName=group)[0] == "AccessDeniedException"
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)
