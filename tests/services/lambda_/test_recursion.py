"""Loops of functions, and the settings that say how the platform deals with a function."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.identity import policy, refused, statement
from tests.support.platform import RunningPlatform

from haar.services.lambda_.lineage import MAX_LOOPS, MAX_TRACE, carry, complete, is_whole

Make = Callable[..., Any]
FRESH = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"
WAIT_SECONDS = 60.0

CALLS_ITSELF = """
import boto3, json
LAMBDA = boto3.client("lambda")
def handler(event, context):
    depth = event["depth"] + 1
    if event["kind"] == "Event":
        print("depth", depth)
        if depth < 40:
            LAMBDA.invoke(FunctionName=context.function_name, InvocationType="Event", Payload=json.dumps({"depth": depth, "kind": "Event"}))
        return
    return depth
"""


def test_a_chain_counts_each_function() -> None:
    first, before = carry(None, "a", FRESH)
    assert before == 0 and first.startswith(FRESH + ";Lineage=")
    second, before = carry(first, "b", "unused")
    assert before == 0 and second.startswith(FRESH)
    third, before = carry(second, "a", "unused")
    assert before == 1
    for _ in range(MAX_LOOPS + 3):
        third, before = carry(third, "a", "unused")
    assert before == MAX_LOOPS


PARTS = st.lists(st.sampled_from(["Root=", "Root=1-2-3", "xRoot=1", ";", ";Parent=1", ";Sampled=1", "Lineage=00000000:1"])).map("".join)


def test_a_trace_gets_what_it_lacks() -> None:
    assert complete(None, FRESH) == complete("Sampled=1", FRESH) == FRESH
    assert complete("Root=1-2-3;Sampled=1", FRESH) == "Root=1-2-3;Parent=53995c3f42cd8ad8;Sampled=1"
    assert complete("Self=1;Lineage=0:1;Root=1-2-3", FRESH) == "Root=1-2-3;Parent=53995c3f42cd8ad8;Sampled=0;Self=1;Lineage=0:1"


@given(st.text() | st.none() | PARTS, st.text())
def test_any_header_can_be_carried_on(trace: str | None, arn: str) -> None:
    new, before = carry(trace, arn, FRESH)
    assert (before >= 0 and carry(new, arn, FRESH)[1] >= 1) or len(new) > MAX_TRACE
    assert "Root=" in new
    assert not is_whole(trace) or carry(trace, arn, "") == (new, before)


def test_an_invocation_has_a_trace(function: Make, invoke: Make) -> None:
    function("import os\ndef handler(event, context): return os.environ['_X_AMZN_TRACE_ID']")
    trace = invoke()[1]
    assert re.match(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0;Lineage=", trace)
    answer, other = invoke()
    assert other != trace and other.startswith(answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-trace-id"])
    answer, _ = invoke(InvocationType="Event")
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-trace-id"].startswith("Root=1-")


def test_a_function_that_calls_itself_is_stopped(client: Make, lambda_: Any, function: Make, invoke: Make, name: str, role: str) -> None:
    function(CALLS_ITSELF, Timeout=20, MemorySize=256)
    iam = client("iam")
    role_name = role.rpartition("/")[2]
    iam.put_role_policy(RoleName=role_name, PolicyName=name, PolicyDocument=policy(statement("lambda:InvokeFunction")))
    invoke({"depth": 0, "kind": "Event"}, InvocationType="Event")
    depths: set[int] = set()
    end, still = time.monotonic() + WAIT_SECONDS, 0
    while still < 6 or not depths:
        assert time.monotonic() < end
        time.sleep(0.5)
        events = []
        try:
            pages = client("logs").get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}", filterPattern="depth")
            events = [event["message"] for page in pages for event in page["events"]]
        except client("logs").exceptions.ResourceNotFoundException:
            pass
        found = {int(message.split()[1]) for message in events if message.startswith("depth")}
        still = still + 1 if found == depths and found else 0
        depths = found
    iam.delete_role_policy(RoleName=role_name, PolicyName=name)
    assert depths == set(range(1, MAX_LOOPS + 1))


def test_a_synchronous_loop_is_refused_unless_allowed(lambda_: Any, function: Make, name: str, platform: RunningPlatform) -> None:
    arn = function("def handler(event, context): return 1")["FunctionArn"]
    trace = FRESH
    for _ in range(MAX_LOOPS):
        trace, _ = carry(trace, arn, FRESH)

    def add(params: Any, **_: Any) -> None:
        params["headers"]["X-Amzn-Trace-Id"] = trace

    lambda_.meta.events.register("before-call.lambda.Invoke", add)
    try:
        code, message, status = refused(lambda_.invoke, FunctionName=name)
        assert (code, status) == ("RecursiveInvocationException", 400) and "recursive loop" in message
        assert lambda_.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Terminate"
        assert lambda_.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")["RecursiveLoop"] == "Allow"
        assert json.loads(lambda_.invoke(FunctionName=name)["Payload"].read()) == 1
        assert lambda_.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Allow"
    finally:
        lambda_.meta.events.unregister("before-call.lambda.Invoke", add)
    assert refused(lambda_.get_function_recursion_config, FunctionName="nowhere")[0] == "ResourceNotFoundException"


def test_runtime_management(lambda_: Any, function: Make, name: str) -> None:
    arn = function()["FunctionArn"]
    assert lambda_.get_runtime_management_config(FunctionName=name)["UpdateRuntimeOn"] == "Auto"
    put = lambda_.put_runtime_management_config(FunctionName=name, UpdateRuntimeOn="FunctionUpdate")
    assert (put["UpdateRuntimeOn"], put["FunctionArn"]) == ("FunctionUpdate", f"{arn}:$LATEST")
    version = lambda_.publish_version(FunctionName=name)["Version"]
    runtime = lambda_.get_function_configuration(FunctionName=name)["RuntimeVersionConfig"]["RuntimeVersionArn"]
    at = {"FunctionName": name, "Qualifier": version, "UpdateRuntimeOn": "Manual"}
    assert refused(lambda_.put_runtime_management_config, **at)[0] == "InvalidParameterValueException"
    assert "is not the one" in refused(lambda_.put_runtime_management_config, **at, RuntimeVersionArn=runtime[:-4] + "0000")[1]
    lambda_.put_runtime_management_config(**at, RuntimeVersionArn=runtime)
    got = lambda_.get_runtime_management_config(FunctionName=name, Qualifier=version)
    assert (got["UpdateRuntimeOn"], got["RuntimeVersionArn"], got["FunctionArn"]) == ("Manual", runtime, f"{arn}:{version}")
    assert lambda_.get_runtime_management_config(FunctionName=name)["UpdateRuntimeOn"] == "FunctionUpdate"
