"""Live tail: a session hears what is written while it listens."""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from tests.support.identity import refused
from tests.support.platform import RunningPlatform


@pytest.fixture
def logs(platform: RunningPlatform) -> Any:
    """A client that does not put `stream-` before the platform's address."""
    keys = {
        "aws_access_key_id": platform.described["access_key_id"],
        "aws_secret_access_key": platform.described["secret_access_key"],
    }
    settings = Config(inject_host_prefix=False, retries={"max_attempts": 0}, read_timeout=60)
    return boto3.client("logs", endpoint_url=platform.endpoint, region_name="us-east-1", config=settings, **keys)


@pytest.fixture
def group(logs: Any, name: str) -> Iterator[str]:
    logs.create_log_group(logGroupName=name)
    for stream in ("one", "two"):
        logs.create_log_stream(logGroupName=name, logStreamName=stream)
    yield name
    logs.delete_log_group(logGroupName=name)


def test_a_session_hears_what_matches(platform: RunningPlatform, logs: Any, group: str) -> None:
    arn = f"arn:aws:logs:us-east-1:{platform.account}:log-group:{group}"
    pattern = "{ $.n > 1 }"
    stream = logs.start_live_tail(logGroupIdentifiers=[arn], logStreamNamePrefixes=["o"], logEventFilterPattern=pattern)["responseStream"]
    said = iter(stream)
    start = next(said)["sessionStart"]
    assert (start["logGroupIdentifiers"], start["logStreamNamePrefixes"], start["logEventFilterPattern"]) == ([arn], ["o"], pattern)
    assert start["sessionId"] and start["requestId"]
    now = int(time.time() * 1000)
    for where in ("one", "two"):
        events = [{"timestamp": now, "message": json.dumps({"n": n, "in": where})} for n in range(4)]
        logs.put_log_events(logGroupName=group, logStreamName=where, logEvents=events)
    updates = (each["sessionUpdate"] for each in itertools.islice(said, 30))
    heard = next(each for each in updates if each["sessionResults"])
    assert heard["sessionMetadata"] == {"sampled": False}
    assert [json.loads(each["message"]) for each in heard["sessionResults"]] == [{"n": 2, "in": "one"}, {"n": 3, "in": "one"}]
    first = heard["sessionResults"][0]
    assert (first["logStreamName"], first["logGroupIdentifier"], first["timestamp"]) == ("one", f"{platform.account}:{group}", now)
    assert first["ingestionTime"] >= now - 60_000
    stream.close()


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"logGroupIdentifiers": ["/nowhere"]}, "ResourceNotFoundException"),
        ({"logStreamNames": ["a"], "logStreamNamePrefixes": ["b"]}, "InvalidParameterException"),
        ({"logEventFilterPattern": "{ bad"}, "InvalidParameterException"),
    ],
)
def test_what_cannot_be_listened_to(logs: Any, group: str, more: dict[str, Any], code: str) -> None:
    call: Callable[..., Any] = logs.start_live_tail
    assert refused(call, **{"logGroupIdentifiers": [group]} | more)[0] == code
