"""Initialisations that fail, logs in JSON and their levels, what the environment says of itself, wrappers, and how soon a log is kept."""

import json
import re
import uuid
from typing import Any

import pytest
from tests.support.companions import layer
from tests.support.functions import Functions, Noting, eventually

from haar.clock import SystemClock
from haar.execution import output
from haar.execution.output import LogWriter

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sandbox]
JSON = {"log_format": "JSON", "application_level": "INFO", "system_level": "INFO"}


def told(functions: Functions, spec: Any) -> list[dict[str, Any]]:
    """The events of the platform in a log that is JSON."""
    lines = [json.loads(line) for line in functions.log(spec) if line.startswith('{"time"')]
    return [line for line in lines if line["type"].startswith("platform.")]


async def test_an_initialisation_that_fails_is_tried_again_in_the_invocation(functions: Functions) -> None:
    spec = functions.make("import sys\nprint('loading')\nsys.exit(3)")
    request_id = str(uuid.uuid4())
    result = await functions.run(spec, request_id=request_id)
    assert json.loads(result.payload) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {request_id} Error: Runtime exited with error: exit status 3",
    }
    log = await functions.logged(spec, "^REPORT ")
    patterns = [
        r"INIT_START .*\n", r"haar: .*\n", r"loading\n",
        r"INIT_REPORT Init Duration: [\d.]+ ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError\n",
        r"loading\n", r"INIT_REPORT Init Duration: [\d.]+ ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ExitError\n",
        rf"START RequestId: {request_id} Version: \$LATEST\n",
        rf"RequestId: {request_id} Error: Runtime exited with error: exit status 3\nRuntime.ExitError\n", rf"END RequestId: {request_id}\n",
        rf"REPORT RequestId: {request_id}\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: \d+ MB\t"
        r"Status: error\tError Type: Runtime.ExitError\t\n",
    ]  # fmt: skip
    assert len(log) == len(patterns), log
    for line, pattern in zip(log, patterns, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)
    assert len({stream for stream, _, _ in functions.surroundings.events[spec.name]}) == 1


async def test_a_second_initialisation_that_succeeds_is_part_of_the_invocation(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("haar.execution.manager.INIT_SECONDS", 0.5)
    text = """
    import time
    time.sleep(1.2)
    def handler(event, context): return context.get_remaining_time_in_millis()
    """
    spec = functions.make(text, timeout=30.0)
    result = await functions.run(spec)
    assert int(result.payload) < 30_000 - 1200
    assert result.init_ms is None
    assert result.duration_ms >= 1200
    log = await functions.logged(spec, "^REPORT ")
    assert len([line for line in log if line.startswith("INIT_")]) == 2  # INIT_START, and INIT_REPORT of the first try
    assert "Init Duration" not in log[-1]


async def test_events_of_the_platform_are_lines_of_json(functions: Functions) -> None:
    spec = functions.make("def handler(event, context): return 1", version="4", **JSON)
    request_id = str(uuid.uuid4())
    result = await functions.run(spec, request_id=request_id)
    await functions.logged(spec, "platform.report")
    first, start, report = told(functions, spec)
    assert [first["type"], start["type"], report["type"]] == ["platform.initStart", "platform.start", "platform.report"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", start["time"])
    assert first["record"]["initializationType"] == "on-demand"
    assert (first["record"]["functionName"], first["record"]["functionVersion"], first["record"]["phase"]) == (spec.name, "4", "init")
    assert start["record"] == {"requestId": request_id, "functionArn": spec.arn, "version": "4"}
    assert report["record"]["status"] == "success"
    assert report["record"]["metrics"]["billedDurationMs"] == result.billed_ms
    assert not [line for line in functions.log(spec) if line.startswith(("START", "END", "REPORT", "INIT"))]


async def test_the_system_level_decides_which(functions: Functions) -> None:
    text = "def handler(event, context):\n    if event: __import__('os')._exit(1)"
    kinds: dict[str, list[str]] = {}
    for level in ("DEBUG", "INFO", "WARN"):
        spec = functions.make(text, layers=(layer(functions, {"watcher": 'live(identify("INVOKE"))'}),), **{**JSON, "system_level": level})
        await functions.answer(spec)
        await functions.failure(spec, 1)
        await functions.logged(spec, '"platform.report".*"status":"error"')
        kinds[level] = [one["type"].removeprefix("platform.") for one in told(functions, spec)]
    every = ["initStart", "initRuntimeDone", "extension", "initReport"] + ["start", "runtimeDone", "report"] * 2
    assert kinds["DEBUG"] == every
    assert kinds["INFO"] == ["initStart", "extension", "start", "report", "start", "runtimeDone", "report"]
    assert kinds["WARN"] == ["runtimeDone", "report"]


async def test_a_failed_initialisation_is_told_in_json(functions: Functions) -> None:
    spec = functions.make("import nothing_like_it", **JSON)
    await functions.failure(spec)
    await functions.logged(spec, "platform.report")
    reports = [one["record"] for one in told(functions, spec) if one["type"] == "platform.initReport"]
    assert [(one["phase"], one["status"], one["errorType"]) for one in reports] == [
        ("init", "error", "Runtime.ImportModuleError"), ("invoke", "error", "Runtime.ImportModuleError"),
    ]  # fmt: skip


LEVELS = """
import logging, os
logger = logging.getLogger("mine")
def handler(event, context):
    logger.debug("debugging")
    logger.info("informing %s", 1)
    logger.warning("warning", extra={"key": 7})
    return [os.environ["AWS_LAMBDA_LOG_FORMAT"], os.environ["AWS_LAMBDA_LOG_LEVEL"]]
"""


@pytest.mark.parametrize(("level", "messages"), [("DEBUG", 3), ("INFO", 2), ("WARN", 1), ("FATAL", 0)])
async def test_the_application_level_is_pythons(functions: Functions, level: str, messages: int) -> None:
    spec = functions.make(LEVELS, **{**JSON, "application_level": level})
    request_id = str(uuid.uuid4())
    assert await functions.answer(spec, request_id=request_id) == ["JSON", level]
    await functions.logged(spec, "platform.report")
    lines = [json.loads(line) for line in functions.log(spec) if line.startswith('{"timestamp"')]
    shown = [(line["level"], line["message"], line["logger"], line["requestId"]) for line in lines]
    written = [("DEBUG", "debugging"), ("INFO", "informing 1"), ("WARN", "warning")]
    assert [(kind.removesuffix("ING"), text) for kind, text, *_ in shown] == written[3 - messages :]
    assert all(rest == ["mine", request_id] for _, _, *rest in shown)


@pytest.mark.parametrize(("level", "messages"), [("TRACE", 4), ("INFO", 2), ("ERROR", 1)])
async def test_the_application_level_is_nodes(functions: Functions, level: str, messages: int) -> None:
    text = """
    export const handler = async () => {
      console.trace("t"); console.debug("d"); console.info("i"); console.error("e");
      return process.env.AWS_LAMBDA_LOG_LEVEL;
    };
    """
    spec = functions.node(text, **{**JSON, "application_level": level})
    assert await functions.answer(spec) == level
    await functions.logged(spec, "platform.report")
    lines = [json.loads(line) for line in functions.log(spec) if line.startswith('{"timestamp"')]
    assert [line["level"] for line in lines] == ["TRACE", "DEBUG", "INFO", "ERROR"][4 - messages :]


async def test_what_lambda_reserves_is_there(functions: Functions) -> None:
    spec = functions.make("import os\ndef handler(event, context): return dict(os.environ)", log_group="/mine", memory_mb=192, **JSON)
    found = await functions.answer(spec)
    expected = {
        "AWS_LAMBDA_LOG_GROUP_NAME": "/mine", "AWS_LAMBDA_FUNCTION_NAME": spec.name, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "192", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_LOG_LEVEL": "INFO", "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR", "_HANDLER": "app.handler", "LAMBDA_TASK_ROOT": "/var/task",
        "LAMBDA_RUNTIME_DIR": "/var/runtime", "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12", "LANG": "en_US.UTF-8", "TZ": ":UTC",
    }  # fmt: skip
    assert {name: found.get(name) for name in expected} == expected
    assert found["AWS_LAMBDA_LOG_STREAM_NAME"] == functions.surroundings.events[spec.name][0][0]
    assert found["AWS_XRAY_DAEMON_ADDRESS"] == f"{found['_AWS_XRAY_DAEMON_ADDRESS']}:{found['_AWS_XRAY_DAEMON_PORT']}"


@pytest.mark.parametrize("companion", [False, True])
async def test_a_wrapper_of_a_layer_starts_the_runtime(functions: Functions, companion: bool) -> None:
    script = '#!/bin/sh\nexport WRAPPED="$#"\nexec "$@"\n'
    layers = [functions.package({"wrapper": script}, {"wrapper": 0o755})]
    if companion:
        layers.append(layer(functions, {"watcher": 'live(identify("INVOKE"))'}))
    environment = (("AWS_LAMBDA_EXEC_WRAPPER", "/opt/wrapper"),)
    text = "import os\ndef handler(event, context): return int(os.environ['WRAPPED'])"
    assert await functions.answer(functions.make(text, layers=tuple(layers), environment=environment)) > 0
    node = functions.node("export const handler = async () => Number(process.env.WRAPPED);", layers=tuple(layers), environment=environment)
    assert await functions.answer(node) > 0


async def test_a_wrapper_adds_options_to_the_interpreter_as_in_awss_tutorial(functions: Functions) -> None:
    script = """\
    #!/bin/bash
    args=("$@")
    extra_args=("-X" "importtime")
    args=("${args[@]:0:$#-1}" "${extra_args[@]}" "${args[@]: -1}")
    exec "${args[@]}"
    """
    layers = (functions.package({"wrapper": script}, {"wrapper": 0o755}),)
    text = "import sys\ndef handler(event, context): return sys._xoptions"
    spec = functions.make(text, layers=layers, environment=(("AWS_LAMBDA_EXEC_WRAPPER", "/opt/wrapper"),))
    assert await functions.answer(spec) == {"importtime": True}


@pytest.mark.parametrize(("wrapper", "status", "said"), [("none", 127, "does not exist"), ("plain", 126, "is not an executable")])
async def test_a_wrapper_that_cannot_be_run_says_so(functions: Functions, wrapper: str, status: int, said: str) -> None:
    layers = (functions.package({"plain": "#!/bin/sh\n"}, {"plain": 0o644}),)
    environment = (("AWS_LAMBDA_EXEC_WRAPPER", f"/opt/{wrapper}"),)
    result = await functions.run(functions.make("def handler(event, context): return 1", layers=layers, environment=environment))
    failed = json.loads(result.payload)
    assert failed["errorType"] == "Runtime.ExitError"
    assert failed["errorMessage"].endswith(f"Error: Runtime exited with error: exit status {status}")
    assert f"/opt/{wrapper}: {said}\n".encode() in result.log_tail


async def test_a_package_with_a_bootstrap_has_no_wrapper(functions: Functions) -> None:
    files = {"bootstrap": "#!/bin/sh\nexit 3\n"}
    environment = (("AWS_LAMBDA_EXEC_WRAPPER", "/opt/none"),)
    spec = functions.make(files, "any", "provided.al2023", modes={"bootstrap": 0o755}, environment=environment)
    assert (await functions.failure(spec))["errorMessage"].endswith("exit status 3")


async def test_the_first_line_after_a_pause_is_kept_at_once(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LINGER_SECONDS", 3600.0)
    spec = functions.make("")
    surroundings = Noting()
    writer = LogWriter(spec, "stream", surroundings, SystemClock())
    writer.add("first\n")
    await eventually(lambda: surroundings.events.get(spec.name))
    writer.add("second\n")
    await writer.close()
    assert [message for _, _, message in surroundings.events[spec.name]] == ["first\n", "second\n"]
