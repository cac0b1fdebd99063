"""Logs Insights: queries are started, read and stopped."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import botocore.exceptions
import pytest
from tests.support.identity import refused
from tests.support.platform import RunningPlatform


@pytest.fixture
def logs(client: Callable[..., Any]) -> Any:
    return client("logs")


@pytest.fixture
def group(logs: Any, name: str) -> Iterator[str]:
    """A group with two streams, whose events are a second apart."""
    logs.create_log_group(logGroupName=name)
    now = int(time.time()) * 1000 - 10_000
    for stream in ("a", "b"):
        logs.create_log_stream(logGroupName=name, logStreamName=stream)
        events = [{"timestamp": now + n * 1000, "message": json.dumps({"n": n, "from": stream})} for n in range(4)]
        logs.put_log_events(logGroupName=name, logStreamName=stream, logEvents=events)
    yield name
    logs.delete_log_group(logGroupName=name)


def ask(logs: Any, query: str, **more: Any) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """The rows and all that is said besides."""
    now = int(time.time())
    started = logs.start_query(**{"startTime": now - 60, "endTime": now, "queryString": query} | more)["queryId"]
    end = time.monotonic() + 30
    while (found := logs.get_query_results(queryId=started))["status"] in ("Scheduled", "Running"):
        assert time.monotonic() < end
        time.sleep(0.02)
    return [{each["field"]: each["value"] for each in row} for row in found["results"]], found | {"queryId": started}


def test_a_query_reads_all_streams_the_latest_first(logs: Any, group: str, platform: RunningPlatform) -> None:
    rows, said = ask(logs, "fields n, from, @logStream, @log | filter n > 1", logGroupName=group)
    assert [(row["n"], row["from"], row["@logStream"]) for row in rows] == [
        ("3", "b", "b"),
        ("3", "a", "a"),
        ("2", "b", "b"),
        ("2", "a", "a"),
    ]
    assert said["status"] == "Complete" and said["queryLanguage"] == "CWLI"
    assert rows[0]["@log"] == f"{platform.account}:{group}"
    counts = said["statistics"]
    assert (counts["recordsMatched"], counts["recordsScanned"], counts["logGroupsScanned"]) == (4.0, 8.0, 1.0)
    record = logs.get_log_record(logRecordPointer=rows[0]["@ptr"])["logRecord"]
    assert (record["n"], record["from"], record["@logStream"], record["@message"]) == ("3", "b", "b", '{"n": 3, "from": "b"}')
    arn = f"arn:aws:logs:us-east-1:{platform.account}:log-group:{group}"
    for named in ({"logGroupNames": [group]}, {"logGroupIdentifiers": [arn]}):
        assert ask(logs, "stats sum(n) as s by from | sort from", **named)[0] == [{"from": "a", "s": "6"}, {"from": "b", "s": "6"}]
    assert len(ask(logs, "fields n", logGroupName=group, limit=3)[0]) == 3
    assert ask(logs, "fields n", logGroupName=group, startTime=0, endTime=1)[0] == []


def test_results_come_in_pages(logs: Any, group: str) -> None:
    _, said = ask(logs, "fields n", logGroupName=group)
    first = logs.get_query_results(queryId=said["queryId"], maxItems=5)
    rest = logs.get_query_results(queryId=said["queryId"], maxItems=5, nextToken=first["nextToken"])
    assert first["results"] + rest["results"] == said["results"] and "nextToken" not in rest
    described = logs.describe_queries(logGroupName=group)["queries"]
    assert [(one["queryId"], one["status"], one["queryString"]) for one in described] == [(said["queryId"], "Complete", "fields n")]
    code, message, _ = refused(logs.stop_query, queryId=said["queryId"])
    assert code == "InvalidParameterException" and "is not running" in message


def test_fields_are_found(logs: Any, group: str) -> None:
    found = {each["name"]: each["percent"] for each in logs.get_log_group_fields(logGroupName=group)["logGroupFields"]}
    assert found == dict.fromkeys(("@ingestionTime", "@log", "@logStream", "@message", "@timestamp", "from", "n"), 100)


def test_what_is_refused(logs: Any, group: str, platform: RunningPlatform) -> None:
    assert refused(ask, logs, "fields n", logGroupName="/nowhere") == (
        "ResourceNotFoundException",
        f"Log group '/nowhere' does not exist for account ID '{platform.account}'",
        400,
    )
    assert refused(ask, logs, "fields n")[0] == "InvalidParameterException"
    assert refused(ask, logs, "fields n", logGroupName=group, startTime=9, endTime=1)[0] == "InvalidParameterException"
    assert refused(logs.get_query_results, queryId="none")[0] == "ResourceNotFoundException"
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        ask(logs, "fields n | bogus", logGroupName=group)
    assert caught.value.response["Error"]["Code"] == "MalformedQueryException"
    compiled = caught.value.response["queryCompileError"]
    assert compiled == {"location": {"startCharOffset": 11, "endCharOffset": 16}, "message": "unexpected symbol found bogus"}


def test_queries_are_saved(logs: Any, group: str, name: str) -> None:
    given = {"name": f"{name}/mine", "queryString": "fields n", "logGroupNames": [group]}
    made = logs.put_query_definition(**given)["queryDefinitionId"]
    shown = logs.describe_query_definitions(queryDefinitionNamePrefix=name)["queryDefinitions"]
    assert [{key: value for key, value in one.items() if key != "lastModified"} for one in shown] == [
        {**given, "queryDefinitionId": made, "queryLanguage": "CWLI"}
    ]
    assert logs.put_query_definition(**given | {"queryString": "fields m"}, queryDefinitionId=made)["queryDefinitionId"] == made
    assert logs.describe_query_definitions(queryDefinitionNamePrefix=name)["queryDefinitions"][0]["queryString"] == "fields m"
    assert logs.delete_query_definition(queryDefinitionId=made)["success"] is True
    gone = ("ResourceNotFoundException", "The specified query definition does not exist.", 400)
    assert refused(logs.delete_query_definition, queryDefinitionId=made) == gone
    assert refused(logs.put_query_definition, **given, queryDefinitionId=made) == gone


def test_groups_are_listed_by_parts_of_their_names(logs: Any, group: str, platform: RunningPlatform) -> None:
    arn = f"arn:aws:logs:us-east-1:{platform.account}:log-group:{group}"
    wanted = [{"logGroupName": group, "logGroupArn": arn, "logGroupClass": "STANDARD"}]
    for pattern in (group[2:], "^" + group, f"no-such|^{group[:8]}"):
        assert logs.list_log_groups(logGroupNamePattern=pattern)["logGroups"] == wanted
    assert logs.list_log_groups(logGroupNamePattern="^" + group[2:])["logGroups"] == []
