"""What was answered is still there after kill -9."""

import json
import time
from collections.abc import Callable

import pytest
from tests.services.lambda_.conftest import BASIC, zip_of
from tests.support.identity import LAMBDA
from tests.support.platform import RunningPlatform

EVENTS = 24
CODE = "import time\ndef handler(event, context):\n    time.sleep(0.05)\n    print('handled', event['n'])\n"


@pytest.mark.faults
@pytest.mark.sandbox
def test_events_survive_a_kill(fresh_platform: Callable[..., RunningPlatform]) -> None:
    platform = fresh_platform()
    iam, lambda_ = platform.client("iam"), platform.client("lambda")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=LAMBDA)["Role"]["Arn"]
    iam.attach_role_policy(RoleName="r", PolicyArn=BASIC)
    settings = {"Runtime": "python3.12", "Role": role, "Handler": "app.handler", "Code": {"ZipFile": zip_of(app_py=CODE)}}
    made = lambda_.create_function(FunctionName="f", **settings, Publish=True)
    lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=2)
    for number in range(EVENTS):
        lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=json.dumps({"n": number}).encode())
    platform.kill()
    platform.start()

    lambda_, logs = platform.client("lambda"), platform.client("logs")
    assert lambda_.get_function(FunctionName="f", Qualifier="1")["Configuration"]["CodeSha256"] == made["CodeSha256"]
    end, seen = time.monotonic() + 90, set[int]()
    while len(seen) < EVENTS and time.monotonic() < end:
        time.sleep(0.3)
        try:
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName="/aws/lambda/f", filterPattern="handled")
            seen = {int(event["message"].split()[1]) for page in pages for event in page["events"]}
        except logs.exceptions.ResourceNotFoundException:
            continue
    assert seen == set(range(EVENTS))
