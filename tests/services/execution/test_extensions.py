"""Extensions of layers and of the function itself: what they are told and when, what they are refused, and what their failures do."""

import asyncio
import json
import re
import time
import uuid
from typing import Any

import pytest
from tests.support.companions import API, layer
from tests.support.functions import Functions, eventually

from haar.execution import companions

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sandbox]
SAYS = "import uuid\nme = str(uuid.uuid4())\ndef handler(event, context):\n    print('handling')\n    return me"
WATCHER = 'live(identify("INVOKE", "SHUTDOWN"))'
TERMINATED = """
import signal, sys
def bye(number, frame):
    print("bye", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, bye)
def handler(event, context): return 1
"""
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def said(functions: Functions, spec: Any) -> list[dict[str, Any]]:
    return [json.loads(line[5:]) for line in functions.log(spec) if line.startswith("said ")]


async def retired(functions: Functions, spec: Any) -> list[Any]:
    """Ends the function's environments; which they were."""
    found = [one for pool in functions.manager._pools.values() for one in pool.all if one.spec == spec]
    await functions.manager.retire(spec.arn)
    for one in found:
        await one.ended()
    return found


def at(log: list[str], start: str) -> int:
    """Where the first line is that begins so."""
    return next(number for number, line in enumerate(log) if line.startswith(start))


async def test_an_extension_hears_of_invocations_and_of_the_end(functions: Functions) -> None:
    spec = functions.make(SAYS, layers=(layer(functions, {"watcher": WATCHER}),), version="7")
    ids = [str(uuid.uuid4()), str(uuid.uuid4())]
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
    first = await functions.answer(spec, request_id=ids[0], invoked_arn=spec.arn + ":live", trace_id=trace)
    await functions.logged(spec, "^REPORT ")
    assert await functions.answer(spec, request_id=ids[1]) == first
    await functions.logged(spec, "^REPORT ", 2)
    await retired(functions, spec)
    log = functions.log(spec)
    events = [one["event"] for one in said(functions, spec)]
    now = time.time() * 1000
    assert all(now - 60_000 < event.pop("deadlineMs") < now + 60_000 for event in events)
    assert events == [
        {
            "eventType": "INVOKE", "requestId": ids[0], "invokedFunctionArn": spec.arn + ":live",
            "tracing": {"type": "X-Amzn-Trace-Id", "value": trace},
        },
        {"eventType": "INVOKE", "requestId": ids[1], "invokedFunctionArn": spec.arn},
        {"eventType": "SHUTDOWN", "shutdownReason": "spindown"},
    ]  # fmt: skip
    assert at(log, "INIT_START") < at(log, "EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n") < at(log, "START ")
    assert len([line for line in log if line.startswith("REPORT ")]) == 2


async def test_the_runtime_starts_when_all_have_registered_and_serves_when_all_are_ready(functions: Functions) -> None:
    slow = 'time.sleep(0.3)\nme = identify("INVOKE")\nsay(name="registered")\ntime.sleep(0.3)\nsay(name="ready")\nlive(me)'
    spec = functions.make("print('loading')\n" + SAYS, layers=(layer(functions, {"slow": slow, "watcher": WATCHER}),))
    await functions.answer(spec)
    log = await functions.logged(spec, "^REPORT ")
    order = [at(log, start) for start in ('said {"name": "registered"', 'said {"name": "ready"', "EXTENSION", "START ")]
    assert order == sorted(order)
    assert at(log, 'said {"name": "registered"') < at(log, "loading") < at(log, "START ")
    [took] = [float(found[1]) for line in log if (found := re.search(r"Init Duration: ([\d.]+) ms", line))]
    assert took > 600


ANSWERS = """
    bad = {"Lambda-Extension-Identifier": "1f2e3d4c-1234-4123-8123-123456789abc"}
    say(name="no name", answer=call("POST", "/2020-01-01/extension/register", {"events": []})[::2])
    say(name="event", answer=register("INVOKE", "DANCE")[::2])
    say(name="internal", answer=register("SHUTDOWN", name="other")[::2])
    say(name="no json", answer=call("POST", "/2020-01-01/extension/register", "{", {"Lambda-Extension-Name": NAME})[::2])
    say(name="no identifier", answer=call("GET", "/2020-01-01/extension/event/next")[::2])
    say(name="odd identifier", answer=call("GET", "/2020-01-01/extension/event/next", None, {"Lambda-Extension-Identifier": "x"})[::2])
    say(name="unknown", answer=call("GET", "/2020-01-01/extension/event/next", None, bad)[::2])
    say(name="unknown error", answer=call("POST", "/2020-01-01/extension/exit/error", {}, bad)[::2])
    say(name="nowhere", answer=call("GET", "/2020-01-01/extension/elsewhere")[::2])
    status, headers, told = register("INVOKE", **{"Lambda-Extension-Accept-Feature": "nothing, accountId"})
    say(name="registered", answer=[status, told])
    me = {"Lambda-Extension-Identifier": headers["lambda-extension-identifier"]}
    say(name="id", answer=me)
    say(name="twice", answer=register("INVOKE")[::2])
    say(name="no type", answer=call("POST", "/2020-01-01/extension/init/error", {}, me)[::2])
    live(me)
"""


async def test_what_is_asked_wrongly_is_refused_in_awss_words(functions: Functions) -> None:
    spec = functions.make(SAYS, layers=(layer(functions, {"asker": ANSWERS}),), version="3")
    await functions.answer(spec)
    await functions.logged(spec, "^REPORT ")
    told: dict[str, Any] = {one["name"]: one.get("answer") for one in said(functions, spec)}
    own = told.pop("id")["Lambda-Extension-Identifier"]
    assert re.fullmatch(UUID, own)
    status, registered = told.pop("registered")
    assert (status, registered) == (
        200,
        {"functionName": spec.name, "functionVersion": "3", "handler": "app.handler", "accountId": "123456789012"},
    )
    assert told.pop("nowhere")[0] == 404
    status, no_json = told.pop("no json")
    assert (status, no_json["errorType"]) == (403, "InvalidRequestFormat")
    unknown = "1f2e3d4c-1234-4123-8123-123456789abc"
    twice = "State transition from Registered to Registered failed for extension asker. Error: State transition is not allowed"
    expected = {
        "no name": ("Extension.InvalidExtensionName", "Empty extension name"),
        "event": ("Extension.InvalidEventType", "DANCE: ErrorInvalidEventType"),
        "internal": ("Extension.InvalidEventType", "SHUTDOWN: ShutdownEventNotSupportedForInternalExtension"),
        "no identifier": ("Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header"),
        "odd identifier": ("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier"),
        "unknown": ("Extension.UnknownExtensionIdentifier", f"Unknown extension {unknown}"),
        "unknown error": ("Extension.UnknownExtensionIdentifier", "Unknown Lambda-Extension-Identifier"),
        "twice": ("Extension.InvalidExtensionState", twice),
        "no type": ("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found"),
    }
    del told["asker"]
    assert told == {name: [403, {"errorType": kind, "errorMessage": message}] for name, (kind, message) in expected.items()}


async def test_what_is_the_runtimes_is_not_in_an_extensions_environment(functions: Functions) -> None:
    tells = 'say(name="env", env=dict(os.environ), cwd=os.getcwd())\n' + WATCHER
    spec = functions.make(SAYS, layers=(layer(functions, {"tells": tells}),), environment=(("MINE", "1"), ("_OWN", "2")))
    await functions.answer(spec)
    [told] = [one for one in said(functions, spec) if one["name"] == "env"]
    found = told["env"]
    assert found["AWS_LAMBDA_RUNTIME_API"] == "127.0.0.1:9001"
    assert found["AWS_LAMBDA_FUNCTION_NAME"] == spec.name
    assert found["MINE"] == "1"
    assert found["AWS_SECRET_ACCESS_KEY"] == f"secret-of-{spec.name}"
    assert told["cwd"] == "/"
    hidden = {"AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"}
    assert not [name for name in found if name.startswith("_") or name in hidden]


async def test_the_caller_does_not_wait_for_extensions_and_the_duration_has_them(functions: Functions) -> None:
    slow = """
    me = identify("INVOKE")
    while True:
        next_event(me)
        time.sleep(1.5)
        say(name="over")
    """
    spec = functions.make(SAYS, layers=(layer(functions, {"slow": slow}),))
    result = await functions.run(spec)
    assert result.error is None
    assert not said(functions, spec)
    assert not [line for line in functions.log(spec) if line.startswith("END ")]
    log = await functions.logged(spec, "^REPORT ")
    assert said(functions, spec) == [{"name": "over"}]
    [took] = [float(found[1]) for line in log if (found := re.search(r"\tDuration: ([\d.]+) ms", line))]
    assert took >= 1500
    assert result.duration_ms < took


async def test_extensions_count_in_the_functions_time(functions: Functions) -> None:
    slow = 'me = identify("INVOKE")\nnext_event(me)\ntime.sleep(60)'
    spec = functions.make(SAYS, layers=(layer(functions, {"slow": slow, "watcher": WATCHER}),), timeout=1.0)
    assert (await functions.run(spec)).error is None
    log = await functions.logged(spec, "shutdownReason")
    assert [line for line in log if line.endswith(" Task timed out after 1.00 seconds\n\n")]
    [report] = [line for line in log if line.startswith("REPORT ")]
    assert report.endswith("\tStatus: timeout\t\n")
    assert said(functions, spec)[-1]["event"]["shutdownReason"] == "timeout"


async def test_a_time_out_is_told_to_extensions(functions: Functions) -> None:
    spec = functions.make(
        "import time\ndef handler(event, context): time.sleep(60)", layers=(layer(functions, {"watcher": WATCHER}),), timeout=1.0
    )
    told = await functions.failure(spec)
    assert told["errorType"] == "Sandbox.Timedout"
    await functions.logged(spec, '"shutdownReason": "timeout"')


async def test_a_runtime_that_exits_is_told_to_extensions(functions: Functions) -> None:
    spec = functions.make("import os\ndef handler(event, context): os._exit(event or 0)", layers=(layer(functions, {"watcher": WATCHER}),))
    request_id = str(uuid.uuid4())
    result = await functions.run(spec, 3, request_id=request_id)
    told = {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {request_id} Error: Runtime exited with error: exit status 3"}
    assert json.loads(result.payload) == told
    log = await functions.logged(spec, '"shutdownReason": "failure"')
    assert f"RequestId: {request_id} Error: Runtime exited with error: exit status 3\nRuntime.ExitError\n" in log


CRASHES = {
    "at once": ("#!/bin/sh\nexit 3\n", "Extension.Crash", "exit status 3", "State: Exited\tEvents: []"),
    "well": ("#!/bin/sh\nexit 0\n", "Extension.Crash", "exit code 0", "State: Exited\tEvents: []"),
    "killed": ("#!/bin/sh\nkill -9 $$\n", "Extension.Crash", "signal: killed", "State: Exited\tEvents: []"),
    "registered": ('identify("INVOKE")\nsys.exit(4)', "Extension.Crash", "exit status 4", "State: Exited\tEvents: [INVOKE]"),
    "no program": ("#!/no/such/program\n", "Extension.LaunchError", "", "State: LaunchError\tEvents: []\tError Type: UnknownError"),
    "init error": (
        'call("POST", "/2020-01-01/extension/init/error", {}, identify("INVOKE") | {"Lambda-Extension-Function-Error-Type": "My.Reason"})\n'
        "sys.exit(5)",
        "Extension.InitError", "exit status 5", "State: InitError\tEvents: [INVOKE]\tError Type: My.Reason",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CRASHES)
async def test_one_that_fails_while_starting_fails_the_function(functions: Functions, what: str) -> None:
    text, kind, message, line = CRASHES[what]
    spec = functions.make(SAYS, layers=(layer(functions, {"broken": text}),))
    told = await functions.failure(spec)
    assert told["errorType"] == kind
    assert told["errorMessage"].endswith(f"Error: {message or 'fork/exec /opt/extensions/broken: no such file or directory'}")
    log = await functions.logged(spec, "^REPORT ")
    assert f"EXTENSION\tName: broken\t{line}\n" in log
    phases = [
        found[1] for entry in log if (found := re.fullmatch(rf"INIT_REPORT .*\tPhase: (\w+)\tStatus: error\tError Type: {kind}\n", entry))
    ]
    assert phases == ["init", "invoke"]
    assert log[-1].endswith(f"\tStatus: error\tError Type: {kind}\t\n")
    assert len({stream for stream, _, _ in functions.surroundings.events[spec.name]}) == 1


async def test_one_that_may_not_be_run_and_the_eleventh_are_not_started(functions: Functions) -> None:
    package = functions.package({"extensions/plain": "#!/bin/sh\n"})
    told = await functions.failure(functions.make(SAYS, layers=(package,)))
    assert told["errorType"] == "Extension.LaunchError"
    assert told["errorMessage"].endswith("Error: fork/exec /opt/extensions/plain: permission denied")
    spec = functions.make(SAYS, layers=(layer(functions, {f"e{number:02}": WATCHER for number in range(11)}),))
    assert (await functions.failure(spec))["errorType"] == "Extension.LaunchError"
    assert "EXTENSION\tName: e10\tState: LaunchError\tEvents: []\tError Type: TooManyExtensions\n" in await functions.logged(
        spec, "^REPORT "
    )


async def test_one_that_fails_in_an_invocation_ends_the_environment(functions: Functions) -> None:
    fails = """
    me = identify("INVOKE")
    next_event(me)
    if os.path.exists("/tmp/once"):
        call("POST", "/2020-01-01/extension/exit/error", {}, me | {"Lambda-Extension-Function-Error-Type": "My.End"})
    next_event(me)
    sys.exit(7)
    """
    text = """
    import time, uuid
    me = str(uuid.uuid4())
    def handler(event, context):
        if event: time.sleep(30)
        return me
    """
    spec = functions.make(text, layers=(layer(functions, {"fails": fails}),))
    first = await functions.answer(spec)
    told = await functions.failure(spec, 1)
    assert told["errorType"] == "Extension.Crash"
    assert told["errorMessage"].endswith("Error: exit status 7")
    assert await functions.answer(spec) != first
    assert "Extension.Crash" in "".join(await functions.logged(spec, "^REPORT ", 3))


@pytest.mark.parametrize("companion", ["external", "internal", "none"])
async def test_the_runtime_is_asked_to_end_when_there_are_extensions(
    functions: Functions, companion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SHUTDOWN_SECONDS", "RUNTIME_SECONDS", "INTERNAL_SECONDS"):
        monkeypatch.setattr(companions, name, 30.0)  # a busy machine is no slow function
    text = TERMINATED
    layers: tuple[str, ...] = ()
    if companion == "external":
        layers = (layer(functions, {"watcher": WATCHER}),)
    if companion == "internal":
        layers = (functions.package({"python/api.py": API}),)
        text = "from api import *\nthreading.Thread(target=live, args=[identify('INVOKE', name='inside')], daemon=True).start()\n" + text
    spec = functions.make(text, layers=layers)
    await functions.answer(spec)
    await functions.answer(spec)
    await functions.logged(spec, "^REPORT ", 2)
    await retired(functions, spec)
    assert ("bye\n" in functions.log(spec)) == (companion != "none")
    if companion == "internal":
        assert {one["event"]["eventType"] for one in said(functions, spec)} == {"INVOKE"}
        assert "EXTENSION\tName: inside\tState: Ready\tEvents: [INVOKE]\n" in functions.log(spec)


async def test_one_that_does_not_end_is_ended(functions: Functions) -> None:
    stays = 'me = identify("INVOKE", "SHUTDOWN")\nnext_event(me)\nnext_event(me)\nsay(name="told")\ntime.sleep(600)'
    spec = functions.make(SAYS, layers=(layer(functions, {"stays": stays}),))
    await functions.answer(spec)
    async with asyncio.timeout(30):
        ended = await retired(functions, spec)
    assert {"name": "told"} in said(functions, spec)
    assert all(environment.box.child.ended.done() for environment in ended)


async def test_registration_closes_when_the_function_is_ready(functions: Functions) -> None:
    text = """
    from api import *
    first = register("INVOKE", name="first")
    again = register("INVOKE", name="first")
    me = {"Lambda-Extension-Identifier": first[1]["lambda-extension-identifier"]}
    threading.Thread(target=next_event, args=[me], daemon=True).start()
    def handler(event, context): return [again[2], register("INVOKE", name="late")[2]]
    """
    spec = functions.make(text, layers=(functions.package({"python/api.py": API}),))
    assert await functions.answer(spec) == [
        {"errorType": "Extension.InvalidExtensionState", "errorMessage": "Extension with this name already registered"},
        {"errorType": "Extension.RegistrationClosed", "errorMessage": "Extension registration closed already"},
    ]


async def test_no_more_than_ten_register(functions: Functions) -> None:
    text = """
    from api import *
    told = [register(name=f"n{number}") for number in range(11)]
    for _, headers, _ in told[:10]:
        me = {"Lambda-Extension-Identifier": headers["lambda-extension-identifier"]}
        threading.Thread(target=next_event, args=[me], daemon=True).start()
    def handler(event, context): return [told[9][0], told[10][0], told[10][2]]
    """
    spec = functions.make(text, layers=(functions.package({"python/api.py": API}),))
    refusal = {"errorType": "Extension.TooManyExtensions", "errorMessage": "Extension limit (10) reached"}
    assert await functions.answer(spec) == [200, 403, refusal]


async def test_functions_of_other_runtimes_have_extensions_too(functions: Functions) -> None:
    layers = (layer(functions, {"watcher": WATCHER}),)
    node = functions.node("console.log('handling'); export const handler = async () => 2;", layers=layers)
    assert await functions.answer(node) == 2
    assert await functions.answer(node) == 2
    await functions.logged(node, "^REPORT ", 2)
    assert [one["event"]["eventType"] for one in said(functions, node)] == ["INVOKE", "INVOKE"]


async def test_a_function_that_kills_what_watches_over_it_only_ends_itself(functions: Functions) -> None:
    text = """
    import os, signal, time, uuid
    me = str(uuid.uuid4())
    def handler(event, context):
        if event == "parent": os.kill(os.getppid(), signal.SIGKILL)
        if event == "all": os.kill(-1, signal.SIGKILL)
        if event: time.sleep(30)
        return me
    """
    spec = functions.make(text, layers=(layer(functions, {"watcher": WATCHER}),))
    for attack in ("parent", "all"):
        before = await functions.answer(spec)
        told = await functions.failure(spec, attack)
        assert told["errorType"] in ("Runtime.ExitError", "Extension.Crash")
        assert await functions.answer(spec) != before


async def test_what_an_extension_prints_is_in_the_log_and_cannot_stop_it(functions: Functions) -> None:
    noisy = 'me = identify("INVOKE")\nfor number in range(20000): print("x" * 100)\nprint("printed all", flush=True)\nlive(me)'
    spec = functions.make(SAYS, layers=(layer(functions, {"noisy": noisy}),))
    await functions.answer(spec)
    await functions.logged(spec, "printed all")
    await eventually(lambda: len(functions.log(spec)) > 20000)


async def test_memory_is_shared_and_more_than_there_is_ends_the_environment(functions: Functions) -> None:
    greedy = 'me = identify("INVOKE")\nnext_event(me)\nkept = bytearray(100 << 20)\nlive(me)'
    text = "import time\ndef handler(event, context):\n    kept = bytearray(event << 20)\n    time.sleep(5)"
    spec = functions.make(text, layers=(layer(functions, {"watcher": WATCHER}),), memory_mb=128)
    assert (await functions.failure(spec, 400))["errorType"] == "Runtime.OutOfMemory"
    spec = functions.make(text, layers=(layer(functions, {"greedy": greedy}),), memory_mb=128)
    assert (await functions.failure(spec, 100))["errorType"] in ("Runtime.OutOfMemory", "Extension.Crash")
