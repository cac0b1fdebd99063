"""Extensions and logs as a user sets them up: layers, container images, LoggingConfig."""

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.companions import API
from tests.support.images import Entry, busybox, directory, layout, needs_busybox, needs_tools

from haar.execution import runtimes

pytestmark = pytest.mark.sandbox
WAIT_SECONDS = 60.0
WATCHER = (
    f"#!{runtimes.python()} -IS\nimport sys\nsys.path.append('/opt/python')\nfrom api import *\nlive(identify('INVOKE', 'SHUTDOWN'))\n"
)
SHELL = r"""#!/bin/sh
B=http://$AWS_LAMBDA_RUNTIME_API/2020-01-01/extension
wget -q -S -O /dev/null --header 'Lambda-Extension-Name: shell' --post-data '{"events": ["INVOKE"]}' $B/register 2>/tmp/registered
id=$(sed -n 's/.*Lambda-Extension-Identifier: //p' /tmp/registered | tr -d '\r')
while true; do wget -q -O - --header "Lambda-Extension-Identifier: $id" $B/event/next; echo; done
"""


@pytest.fixture
def layer(lambda_: Any, name: str) -> Iterator[str]:
    """The ARN of a layer with an extension."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for path, text, mode in (("extensions/watcher", WATCHER, 0o755), ("python/api.py", API, 0o644)):
            entry = zipfile.ZipInfo(path)
            entry.external_attr = mode << 16
            archive.writestr(entry, text)
    published = lambda_.publish_layer_version(LayerName=name, Content={"ZipFile": written.getvalue()})
    yield published["LayerVersionArn"]
    lambda_.delete_layer_version(LayerName=name, VersionNumber=published["Version"])


@pytest.fixture
def events(client: Callable[..., Any]) -> Callable[..., list[str]]:
    """events(group, enough) -> the group's messages, once `enough` is among them."""

    def read(group: str, enough: str) -> list[str]:
        logs, end = client("logs"), time.monotonic() + WAIT_SECONDS
        while True:
            try:
                found = [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]
            except logs.exceptions.ResourceNotFoundException:
                found = []
            if any(enough in message for message in found):
                return found
            assert time.monotonic() < end, found
            time.sleep(0.05)

    return read


def test_a_layers_extension_and_a_log_in_json(
    function: Callable[..., Any], invoke: Callable[..., Any], name: str, layer: str, events: Callable[..., list[str]]
) -> None:
    group = f"/custom/{name}"
    logging = {"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "SystemLogLevel": "DEBUG", "LogGroup": group}
    source = """
import logging, os
def handler(event, context):
    logging.getLogger().info("quiet")
    logging.getLogger().warning("loud")
    return [os.environ[key] for key in ("AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_LEVEL", "AWS_LAMBDA_LOG_FORMAT")]
"""
    function(source, Layers=[layer], LoggingConfig=logging)
    answer, told = invoke({})
    assert "FunctionError" not in answer, told
    assert told == [group, "WARN", "JSON"]
    found = events(group, '"type":"platform.report"')
    lines = [json.loads(message) for message in found if message.startswith("{")]
    kinds = [line["type"] for line in lines if "type" in line]
    assert kinds == [
        "platform.initStart", "platform.initRuntimeDone", "platform.extension", "platform.initReport", "platform.start",
        "platform.runtimeDone", "platform.report",
    ]  # fmt: skip
    assert [line["message"] for line in lines if "message" in line] == ["loud"]
    assert [message for message in found if message.startswith("said") and '"INVOKE"' in message]


def test_a_function_whose_extension_crashes_says_so(
    function: Callable[..., Any], invoke: Callable[..., Any], name: str, lambda_: Any, events: Callable[..., list[str]]
) -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        entry = zipfile.ZipInfo("extensions/broken")
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, "#!/bin/sh\necho 'I cannot'\nexit 9\n")
    published = lambda_.publish_layer_version(LayerName=name, Content={"ZipFile": written.getvalue()})
    function(Layers=[published["LayerVersionArn"]])
    answer, told = invoke({})
    assert answer["FunctionError"] == "Unhandled"
    assert (told["errorType"], told["errorMessage"].partition(" Error: ")[2]) == ("Extension.Crash", "exit status 9")
    found = events(f"/aws/lambda/{name}", "REPORT ")
    assert "I cannot\n" in found
    assert "EXTENSION\tName: broken\tState: Exited\tEvents: []\n" in found


@needs_tools
@needs_busybox
def test_an_extension_of_an_image_written_in_shell(
    lambda_: Any, role: str, name: str, invoke: Callable[..., Any], events: Callable[..., list[str]], tmp_path: Path
) -> None:
    extension = [directory("opt"), directory("opt/extensions"), Entry("opt/extensions/shell", SHELL.encode(), 0o755)]
    uri = layout(tmp_path, [busybox(), extension], {"Entrypoint": ["/boot"], "WorkingDir": "/work", "Env": ["ANSWER=id -u"]})
    lambda_.create_function(FunctionName=name, Role=role, PackageType="Image", Code={"ImageUri": uri}, Timeout=10)
    lambda_.get_waiter("function_active_v2").wait(FunctionName=name)
    try:
        answer, told = invoke({"a": 1})
        assert "FunctionError" not in answer, told
        assert told["event"] == {"a": 1}
        found = events(f"/aws/lambda/{name}", "REPORT ")
        assert "EXTENSION\tName: shell\tState: Ready\tEvents: [INVOKE]\n" in found
        [heard] = [json.loads(message) for message in found if message.startswith('{"eventType"')]
        assert (heard["eventType"], heard["invokedFunctionArn"].rpartition(":")[2]) == ("INVOKE", name)
        assert heard["tracing"]["type"] == "X-Amzn-Trace-Id"
    finally:
        lambda_.delete_function(FunctionName=name)
