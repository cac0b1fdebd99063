"""The Telemetry API and the Logs API: who may subscribe, what comes and how."""

import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.companions import layer
from tests.support.functions import Functions, eventually

from haar.execution.telemetry import BUFFERING, Invalid, parse

pytestmark = pytest.mark.sandbox
asynchronous = pytest.mark.asyncio(loop_scope="module")
QUICK = '{"timeoutMs": 25, "maxBytes": 262144, "maxItems": 1000}'
LISTENER = (
    """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1" if "kept" in NAME else "HTTP/1.0"
    def do_POST(self):
        events = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for event in events:
            if "said" not in str(event["record"]): say(path=self.path, kind=self.headers["Content-Type"], event=event)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    do_PUT = do_POST
    def log_message(self, *more): pass
server = http.server.ThreadingHTTPServer(("sandbox.localdomain", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
PORT = server.server_address[1]
HTTP = {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{PORT}/in?x=1"}
BUFFERING = """
    + QUICK
    + """
def subscribe(me, types, path="/2022-07-01/telemetry", **more):
    body = {"schemaVersion": "2022-12-13", "types": types, "destination": HTTP, "buffering": BUFFERING, **more}
    return call("PUT", path, body, me)
"""
)


def events(functions: Functions, spec: Any) -> list[dict[str, Any]]:
    """What listeners have been brought."""
    told = [json.loads(line[5:]) for line in functions.log(spec) if line.startswith('said {"path"')]
    return [one["event"] for one in told]


async def settled(functions: Functions, spec: Any) -> list[dict[str, Any]]:
    """All that was brought, after the environment has ended."""
    await functions.logged(spec, "^REPORT |platform.report")
    found = [one for pool in functions.manager._pools.values() for one in pool.all if one.spec == spec]
    await functions.manager.retire(spec.arn)
    for one in found:
        await one.ended()
    return events(functions, spec)


@asynchronous
@pytest.mark.parametrize("name", ["kept", "closed"])
async def test_all_that_happens_is_brought_in_order_and_in_the_documented_form(functions: Functions, name: str) -> None:
    text = LISTENER + 'me = identify("INVOKE", "SHUTDOWN")\nsay(answer=subscribe(me, ["platform", "function"])[::2])\nlive(me)'
    spec = functions.make("def handler(event, context):\n    print('hello')\n    return [1]", layers=(layer(functions, {name: text}),))
    request_id, trace = str(uuid.uuid4()), "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
    result = await functions.run(spec, request_id=request_id, trace_id=trace)
    found = await settled(functions, spec)
    assert 'said {"answer": [200, "OK"]}\n' in functions.log(spec)
    assert f"TELEMETRY\tName: {name}\tState: Subscribed\tTypes: [Platform, Function]\n" in functions.log(spec)
    assert [event["type"] for event in found] == [
        "platform.initStart", "platform.telemetrySubscription", "platform.initRuntimeDone", "platform.extension", "platform.initReport",
        "platform.start", "function", "platform.runtimeDone", "platform.report",
    ]  # fmt: skip
    times = [event["time"] for event in found]
    assert times == sorted(times)
    records = {event["type"].removeprefix("platform."): event["record"] for event in found}
    start = records["initStart"]
    assert (start["initializationType"], start["phase"], start["functionName"], start["functionVersion"]) == (
        "on-demand", "init", spec.name, "$LATEST",
    )  # fmt: skip
    assert start["runtimeVersionArn"].startswith("arn:aws:lambda:us-east-1::runtime:")
    assert records["telemetrySubscription"] == {"name": name, "state": "Subscribed", "types": ["platform", "function"]}
    assert records["extension"] == {"name": name, "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]}
    assert records["initRuntimeDone"] == {"initializationType": "on-demand", "phase": "init", "status": "success"}
    metrics = records["initReport"].pop("metrics")
    assert records["initReport"] == {"initializationType": "on-demand", "phase": "init", "status": "success"}
    assert metrics["durationMs"] == pytest.approx(result.init_ms, abs=0.001)
    tracing = {"type": "X-Amzn-Trace-Id", "value": trace}
    assert records["start"].pop("functionArn") == spec.arn
    assert records["start"] == {"requestId": request_id, "version": "$LATEST", "tracing": tracing}
    assert records["function"] == "hello"
    done = records["runtimeDone"]
    assert (done["requestId"], done["status"], done["tracing"]) == (request_id, "success", tracing)
    assert done["metrics"]["producedBytes"] == len("[1]")
    assert [span["name"] for span in done["spans"]] == ["responseLatency", "responseDuration", "runtimeOverhead"]
    assert records["report"] == {
        "requestId": request_id, "status": "success", "tracing": tracing,
        "metrics": {
            "durationMs": pytest.approx(result.duration_ms, abs=0.001), "billedDurationMs": result.billed_ms, "memorySizeMB": 128,
            "maxMemoryUsedMB": result.max_memory_mb, "initDurationMs": pytest.approx(result.init_ms, abs=0.001),
        },
    }  # fmt: skip


@asynchronous
async def test_failures_are_in_it(functions: Functions) -> None:
    text = LISTENER + 'me = identify("SHUTDOWN")\nsubscribe(me, ["platform", "extension"])\nprint("of mine", flush=True)\nlive(me)'
    spec = functions.make("import os\ndef handler(event, context): os._exit(2)", layers=(layer(functions, {"kept": text}),))
    await functions.failure(spec)
    await functions.logged(spec, '"shutdownReason": "failure"')
    found = events(functions, spec)
    [done] = [event["record"] for event in found if event["type"] == "platform.runtimeDone"]
    [report] = [event["record"] for event in found if event["type"] == "platform.report"]
    assert (done["status"], done["errorType"]) == (report["status"], report["errorType"]) == ("error", "Runtime.ExitError")
    assert "of mine" in [event["record"] for event in found if event["type"] == "extension"]


@asynchronous
async def test_it_comes_over_tcp_a_line_an_event(functions: Functions) -> None:
    text = LISTENER + (
        """
import socketserver
heard = threading.Semaphore(0)
class Lines(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            say(path="tcp", event=json.loads(line))
            heard.release()
lines = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Lines)
threading.Thread(target=lines.serve_forever, daemon=True).start()
me = identify("SHUTDOWN")
subscribe(me, ["function"], destination={"protocol": "TCP", "port": lines.server_address[1]})
live(me)
for _ in range(2): heard.acquire(timeout=1)  # both lines, before this process ends
"""
    )
    spec = functions.make("def handler(event, context):\n    print('a')\n    print('b')", layers=(layer(functions, {"tcp": text}),))
    await functions.answer(spec)
    assert [(event["type"], event["record"]) for event in await settled(functions, spec)] == [("function", "a"), ("function", "b")]


@asynchronous
async def test_the_logs_api_has_its_own_events(functions: Functions) -> None:
    text = LISTENER + (
        """
me = identify("SHUTDOWN")
put = {"protocol": "HTTP", "URI": HTTP["URI"], "method": "PUT", "encoding": "JSON"}
answer = subscribe(me, ["platform", "function"], "/2020-08-15/logs", schemaVersion="2021-03-18", destination=put)
say(answer=answer[::2], other=subscribe(me, ["platform"])[::2])
live(me)
"""
    )
    spec = functions.make("def handler(event, context): print('hello')", layers=(layer(functions, {"logs": text}),))
    request_id = str(uuid.uuid4())
    await functions.answer(spec, request_id=request_id)
    found = await settled(functions, spec)
    [answers] = [json.loads(line[5:]) for line in functions.log(spec) if line.startswith('said {"answer"')]
    assert answers["answer"] == [200, "OK"]
    assert (answers["other"][0], answers["other"][1]["errorType"]) == (400, "ValidationError")
    assert "LOGS\tName: logs\tState: Subscribed\tTypes: [Platform, Function]\n" in functions.log(spec)
    records = {event["type"]: event["record"] for event in found}
    metrics = records["platform.report"].pop("metrics")
    assert set(metrics) == {"durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB", "initDurationMs"}
    assert records == {
        "platform.logsSubscription": {"name": "logs", "state": "Subscribed", "types": ["platform", "function"]},
        "platform.extension": {"name": "logs", "state": "Ready", "events": ["SHUTDOWN"]},
        "platform.start": {"requestId": request_id, "version": "$LATEST"},
        "function": "hello",
        "platform.runtimeDone": {"requestId": request_id, "status": "success"},
        "platform.end": {"requestId": request_id},
        "platform.report": {"requestId": request_id},
    }


@asynchronous
async def test_subscribing_is_for_the_initialisation_and_for_extensions(functions: Functions) -> None:
    text = LISTENER + (
        """
say(nobody=subscribe({}, ["platform"])[::2])
say(stranger=subscribe({"Lambda-Extension-Identifier": "1f2e3d4c-1234-4123-8123-123456789abc"}, ["platform"])[::2])
me = identify("INVOKE", "SHUTDOWN")
say(wrong=subscribe(me, ["platform"], destination={"protocol": "HTTP", "URI": "http://10.0.0.1:80"})[::2])
next_event(me)
say(late=subscribe(me, ["platform"])[::2])
live(me)
"""
    )
    spec = functions.make("def handler(event, context): return 1", layers=(layer(functions, {"asker": text}),))
    await functions.answer(spec)
    await functions.logged(spec, '"late"')
    told: dict[str, Any] = {}
    for line in functions.log(spec):
        told |= json.loads(line[5:]) if line.startswith("said ") else {}
    kinds = {name: (told[name][0], told[name][1]["errorType"]) for name in ("nobody", "stranger", "wrong", "late")}
    assert kinds == {
        "nobody": (403, "Extension.MissingExtensionIdentifier"),
        "stranger": (403, "Extension.UnknownExtensionIdentifier"),
        "wrong": (400, "ValidationError"),
        "late": (403, "Telemetry.SubscriptionClosed"),
    }


@asynchronous
async def test_one_that_does_not_read_loses_events_and_holds_nobody_up(functions: Functions) -> None:
    text = LISTENER + (
        """
import socket
deaf = socket.create_server(("127.0.0.1", 0))
me = identify("INVOKE", "SHUTDOWN")
subscribe(me, ["platform", "function"], destination={"protocol": "HTTP", "URI": f"http://sandbox:{deaf.getsockname()[1]}"})
live(me)
"""
    )
    spec = functions.make(
        "def handler(event, context):\n    for number in range(20000): print('x' * 100)", layers=(layer(functions, {"deaf": text}),)
    )
    assert await functions.answer(spec) is None
    assert await functions.answer(spec) is None
    await settled(functions, spec)


@asynchronous
async def test_one_that_was_slow_hears_how_much_was_dropped(functions: Functions) -> None:
    text = LISTENER + (
        """
def slowly(self):
    length = int(self.headers["Content-Length"])
    events = json.loads(self.rfile.read(length))
    for event in events:
        if event["type"] == "platform.logsDropped": say(path="", event=event)
    time.sleep(0.2)
    self.send_response(200)
    self.send_header("Content-Length", "0")
    self.end_headers()
Handler.do_POST = slowly
me = identify("INVOKE", "SHUTDOWN")
subscribe(me, ["platform", "function"])
while next_event(me)["eventType"] != "SHUTDOWN": time.sleep(5.0)
"""
    )
    spec = functions.make(
        "def handler(event, context):\n    for number in range(30000): print('x' * 100)", layers=(layer(functions, {"kept": text}),)
    )
    assert await functions.answer(spec) is None
    await eventually(lambda: events(functions, spec))
    [dropped, *_] = [event["record"] for event in events(functions, spec)]
    assert dropped["droppedRecords"] > 0
    assert dropped["droppedBytes"] > 100 * dropped["droppedRecords"]
    assert dropped["reason"] == "Some logs were dropped because the downstream consumer is slower than the logs production rate"


@asynchronous
async def test_json_lines_of_functions_come_as_objects_in_the_newer_schema(functions: Functions) -> None:
    text = LISTENER + 'me = identify("SHUTDOWN")\nsubscribe(me, ["function"], schemaVersion={schema!r})\nlive(me)'
    for schema, kind in (("2022-12-13", dict), ("2022-07-01", str)):
        given_ = layer(functions, {"kept": text.replace("{schema!r}", repr(schema))})
        spec = functions.make(
            "import logging\ndef handler(event, context): logging.getLogger().error('so')", layers=(given_,), log_format="JSON",
            application_level="INFO", system_level="INFO",
        )  # fmt: skip
        await functions.answer(spec)
        [event] = await settled(functions, spec)
        assert isinstance(event["record"], kind)


GOOD = {"schemaVersion": "2022-12-13", "types": ["platform"], "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080"}}


@pytest.mark.parametrize(
    "change",
    [
        {"schemaVersion": "2020-08-15"}, {"schemaVersion": None}, {"types": []}, {"types": ["all"]}, {"types": "platform"},
        {"destination": {}}, {"destination": {"protocol": "UDP"}}, {"destination": {"protocol": "TCP", "port": 0}},
        {"destination": {"protocol": "TCP"}}, {"destination": {"protocol": "HTTP", "URI": "https://sandbox.localdomain"}},
        {"destination": {"protocol": "HTTP"}}, {"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:99999"}},
        {"destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain/a b"}}, {"buffering": {"timeoutMs": 24}},
        {"buffering": {"maxItems": 10_001}}, {"buffering": {"maxBytes": "262144"}}, {"buffering": {"timeoutMs": True}}, {"buffering": [1]},
    ],
)  # fmt: skip
def test_what_is_no_subscription_is_refused(change: dict[str, Any]) -> None:
    parse("TELEMETRY", json.dumps(GOOD).encode())
    with pytest.raises(Invalid):
        parse("TELEMETRY", json.dumps(GOOD | change).encode())


def test_a_subscription_nested_too_deeply_is_refused() -> None:
    with pytest.raises(Invalid):
        parse("TELEMETRY", b"[" * 100_000)


@given(
    st.one_of(
        st.binary(max_size=40),
        st.recursive(st.none() | st.integers() | st.text(), lambda of: st.lists(of) | st.dictionaries(st.text(), of)),
    )
)
def test_no_body_breaks_the_parser(body: Any) -> None:
    with pytest.raises(Invalid):
        parse("LOGS", body if isinstance(body, bytes) else json.dumps(body).encode())


@given(st.fixed_dictionaries({}, optional={name: st.integers(least, most) for name, (least, most, _) in BUFFERING.items()}))
def test_buffering_is_what_was_asked_or_what_it_is_by_default(buffering: dict[str, int]) -> None:
    told = parse("TELEMETRY", json.dumps(GOOD | {"buffering": buffering}).encode())
    kept = {"timeoutMs": round(told.timeout * 1000), "maxBytes": told.max_bytes, "maxItems": told.max_items}
    assert kept == {name: default for name, (_, _, default) in BUFFERING.items()} | buffering
