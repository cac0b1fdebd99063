"""SnapStart: versions that are initialised once, and environments that are restored from that."""

import base64
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support.identity import refused
from tests.support.platform import RunningPlatform

Make = Callable[..., Any]
WAIT_SECONDS = 60.0
SNAP = {"Runtime": "python3.12", "SnapStart": {"ApplyOn": "PublishedVersions"}}
SOURCE = """
import asyncio, ctypes, hashlib, json, os, random, socket, ssl, tempfile, threading, time, uuid
from snapshot_restore_py import register_after_restore, register_before_snapshot
import boto3
sts = boto3.client("sts")
ARN = sts.get_caller_identity()["Arn"]
time.sleep(1)
MADE = uuid.uuid4().hex
TABLE = list(range(1000))
LOOP = asyncio.new_event_loop()
DONE = []
LEFT = open("/tmp/left", "w+")
LEFT.write("hello"); LEFT.flush()
register_before_snapshot(lambda: DONE.append("before"))
register_after_restore(lambda: DONE.append("after"))
print("initialised", MADE)
COUNT = 0
def churn():
    # The heap shrinks and grows again: it is where the kernel believes it to be.
    large = [bytes(5000) for _ in range(4000)]
    del large
    ctypes.CDLL(None).malloc_trim(0)
    return len([bytes(50000) for _ in range(200)])
def handler(event, context):
    global COUNT
    COUNT += 1
    churn()
    time.sleep(event.get("sleep", 0))
    thread = threading.Thread(target=lambda: DONE.append("thread"))
    thread.start()
    thread.join()
    LEFT.seek(0)
    name = tempfile.mktemp()
    others = [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) not in (1, 2, os.getpid())]
    return {
        "made": MADE, "sum": sum(TABLE), "done": DONE, "count": COUNT, "left": LEFT.read(),
        "loop": LOOP.run_until_complete(asyncio.sleep(0, 7)), "random": random.random(), "bytes": ssl.RAND_bytes(8).hex(),
        "temporary": name, "kind": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], "stream": context.log_stream_name,
        "environ": os.environ["AWS_LAMBDA_LOG_STREAM_NAME"], "who": [ARN, sts.get_caller_identity()["Arn"]],
        "version": context.function_version, "key": "AWS_ACCESS_KEY_ID" in os.environ, "others": others, "uuid": uuid.uuid4().hex,
        "remaining": context.get_remaining_time_in_millis(), "files": sorted(os.listdir("/tmp")),
    }
"""


def settled(lambda_: Any, name: str, version: str, state: str = "Active") -> Any:
    end = time.monotonic() + WAIT_SECONDS
    while (got := lambda_.get_function_configuration(FunctionName=name, Qualifier=version))["State"] == "Pending":
        assert time.monotonic() < end, got
        time.sleep(0.1)
    assert got["State"] == state, got
    return got


def tail(answer: Any) -> str:
    return base64.b64decode(answer["LogResult"]).decode()


def test_environments_are_restored(platform: RunningPlatform, client: Make, lambda_: Any, function: Make, name: str) -> None:
    created = function(SOURCE, Timeout=30, MemorySize=256, **SNAP)
    assert created["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    published = lambda_.publish_version(FunctionName=name)
    version = published["Version"]
    assert (published["State"], published["StateReasonCode"]) == ("Pending", "Creating")
    assert list(published["RuntimeVersionConfig"]) == ["RuntimeVersionArn"]
    code, message, status = refused(lambda_.invoke, FunctionName=name, Qualifier=version)
    assert (code, status) == ("ResourceConflictException", 409)
    assert message == ("The operation cannot be performed at this time. The function is currently in the following state: Pending")
    assert settled(lambda_, name, version)["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}

    def call(event: Any) -> tuple[Any, str]:
        answer = lambda_.invoke(FunctionName=name, Qualifier=version, Payload=json.dumps(event), LogType="Tail")
        return json.loads(answer["Payload"].read()), tail(answer)

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(call, [{"sleep": 1.5}] * 3))
    results = [result for result, _ in answers]
    assert all("errorType" not in result for result in results), results
    first = results[0]
    assert len({result["made"] for result in results}) == 1
    for differing in ("random", "bytes", "temporary", "stream", "uuid"):
        assert len({result[differing] for result in results}) == 3, differing
    for result, log in answers:
        assert (result["sum"], result["count"], result["left"], result["loop"]) == (499500, 1, "hello", 7)
        assert result["done"] == ["before", "after", "thread"] and result["kind"] == "snap-start" and result["files"] == ["left"]
        assert result["stream"] == result["environ"] and result["version"] == version and not result["key"]
        assert result["who"][0] == result["who"][1] and result["who"][0].endswith(f"/{name}")
        assert result["others"] == []
        assert "\tRestore Duration: " in log and " ms\tBilled Restore Duration: " in log and "Init Duration" not in log
    again, log = call({})
    assert (again["made"], again["count"]) == (first["made"], 2) and "Restore Duration" not in log
    logs, end = client("logs"), time.monotonic() + WAIT_SECONDS
    said: list[str] = []
    while len(said) < 2:
        assert time.monotonic() < end
        got = logs.get_log_events(logGroupName=f"/aws/lambda/{name}", logStreamName=first["stream"], startFromHead=True)
        said = [event["message"] for event in got["events"]]
    assert said[0].startswith("RESTORE_START Runtime Version: python:") and said[1].startswith("RESTORE_REPORT Restore Duration: ")
    images = platform.data / "cache" / "snapshots"
    assert len(list(images.glob(f"*/{version}-*.image"))) == 1
    lambda_.delete_function(FunctionName=name, Qualifier=version)
    assert list(images.glob("*/*.image")) == []
    latest = json.loads(lambda_.invoke(FunctionName=name, Payload="{}")["Payload"].read())
    assert latest["kind"] == "on-demand" and latest["made"] != first["made"] and latest["key"]


def test_an_initialisation_that_fails_fails_the_version(lambda_: Any, function: Make, name: str) -> None:
    function("raise ValueError('no')\n", **SNAP)
    version = lambda_.publish_version(FunctionName=name)["Version"]
    failed = settled(lambda_, name, version, "Failed")
    assert failed["StateReasonCode"] == "FunctionError" and "ValueError" in failed["StateReason"]
    assert refused(lambda_.invoke, FunctionName=name, Qualifier=version)[0] == "ResourceConflictException"


def test_hooks_that_fail(lambda_: Any, function: Make, name: str) -> None:
    source = "from snapshot_restore_py import register_after_restore\nregister_after_restore(lambda: 1 / 0)\n"
    function(source + "def handler(event, context): return 1\n", **SNAP)
    version = lambda_.publish_version(FunctionName=name)["Version"]
    settled(lambda_, name, version)
    code, message, status = refused(lambda_.invoke, FunctionName=name, Qualifier=version)
    assert (code, status) == ("SnapStartException", 400)
    assert message.startswith("The afterRestore() runtime hook encountered an error.")


def test_what_cannot_be_written_down_is_initialised(lambda_: Any, function: Make, name: str) -> None:
    source = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    function(source + "def handler(event, context): return 'ran'\n", **SNAP)
    version = lambda_.publish_version(FunctionName=name)["Version"]
    settled(lambda_, name, version)
    answer = lambda_.invoke(FunctionName=name, Qualifier=version, LogType="Tail")
    assert answer["Payload"].read() == b'"ran"' and "Init Duration" in tail(answer)


def test_what_it_does_not_go_with(lambda_: Any, function: Make, role: str, name: str) -> None:
    function()
    update = lambda_.update_function_configuration
    snap = {"FunctionName": name, "SnapStart": {"ApplyOn": "PublishedVersions"}}
    assert refused(update, **snap, Runtime="python3.9")[:2] == (
        "InvalidParameterValueException", "python3.9 is not supported for SnapStart enabled functions.",
    )  # fmt: skip
    assert refused(update, **snap, Runtime="python3.13", EphemeralStorage={"Size": 1024})[0] == "InvalidParameterValueException"
    update(**snap, Runtime="python3.13")
    version = lambda_.publish_version(FunctionName=name)["Version"]
    settled(lambda_, name, version)
    put = lambda_.put_provisioned_concurrency_config
    assert refused(put, FunctionName=name, Qualifier=version, ProvisionedConcurrentExecutions=1)[0] == "InvalidParameterValueException"
