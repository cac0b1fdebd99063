"""Invocations: log lines, time-outs, memory, concurrency, the life of environments."""

import asyncio
import json
import re
import sys
import uuid
from pathlib import Path

import pytest
from tests.support.functions import Functions, eventually, running

from haar.execution import environment, processes
from haar.execution.contract import Throttled, Unavailable

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sandbox]
WHO = "import uuid\nme = str(uuid.uuid4())\ndef handler(event, context): return me"
"""Another environment, another answer."""
SLEEP = "import time, uuid\nme = str(uuid.uuid4())\ndef handler(event, context):\n    time.sleep(event or 0)\n    return me"


async def test_the_log_has_awss_lines_in_order(functions: Functions) -> None:
    spec = functions.make(
        """
        import logging, sys
        logging.getLogger().setLevel("INFO")
        def handler(event, context):
            print("one")
            logging.info("two\\nlines")
            print("three", file=sys.stderr)
            sys.stdout.write("no end")
        """
    )
    ids = [str(uuid.uuid4()) for _ in range(2)]
    first = await functions.run(spec, request_id=ids[0])
    second = await functions.run(spec, request_id=ids[1])
    log = await functions.logged(spec, "^REPORT ", 2)
    patterns = [r"INIT_START Runtime Version: \S+\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}\n", r"haar: .*\n"]
    for number, request_id in enumerate(ids):
        report = rf"REPORT RequestId: {request_id}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\t"
        report += r"Memory Size: 128 MB\tMax Memory Used: \d+ MB\t" + (r"Init Duration: \d+\.\d\d ms\t\n" if number == 0 else r"\n")
        patterns += [rf"START RequestId: {request_id} Version: \$LATEST\n", "one\n"]
        patterns += [rf"\[INFO\]\t[\d-]+T[\d:.]+Z\t{request_id}\ttwo\nlines\n", "three\n", "no end\n"]
        patterns += [rf"END RequestId: {request_id}\n", report]
    assert len(log) == len(patterns), log
    for line, pattern in zip(log, patterns, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)
    assert first.log_tail.decode() == "".join(log[2:9])
    assert second.log_tail.decode() == "".join(log[9:])
    assert first.init_ms is not None
    assert second.init_ms is None
    assert second.billed_ms == -(-round(second.duration_ms, 2) // 1)
    assert len({stream for stream, _, _ in functions.surroundings.events[spec.name]}) == 1
    times = [when for _, when, _ in functions.surroundings.events[spec.name]]
    assert times == sorted(times)


async def test_the_tail_is_the_last_four_kilobytes(functions: Functions) -> None:
    spec = functions.make("def handler(event, context):\n    for number in range(1000): print(f'line {number}')")
    result = await functions.run(spec)
    assert len(result.log_tail) == 4096
    assert b"line 999\nEND RequestId" in result.log_tail
    log = await functions.logged(spec, "^REPORT ")
    assert [line for line in log if line.startswith("line ")] == [f"line {number}\n" for number in range(1000)]


async def test_a_very_long_line_becomes_several_events(functions: Functions) -> None:
    spec = functions.make("def handler(event, context): print('x' * 600_000)")
    await functions.run(spec)
    said = [line.strip() for line in await functions.logged(spec, "^REPORT ") if line.startswith("x")]
    assert "".join(said) == "x" * 600_000
    assert max(map(len, said)) <= 262_144


async def test_a_function_that_prints_without_end_waits_for_its_log(functions: Functions) -> None:
    spec = functions.make("def handler(event, context):\n    while True: print('x' * 1000)", timeout=3.0)
    functions.surroundings.log_gate = gate = asyncio.Event()
    try:
        told = await functions.failure(spec)
        [made] = functions.manager._ending
        assert told["errorType"] == "Sandbox.Timedout"
        assert not made.done()
    finally:
        functions.surroundings.log_gate = None
        gate.set()
    log = await functions.logged(spec, "^REPORT ")
    assert sum(map(len, log)) < 20 << 20


async def test_nothing_printed_before_a_crash_is_lost(functions: Functions) -> None:
    spec = functions.make("import os\ndef handler(event, context):\n    for n in range(2000): print(n)\n    os._exit(9)")
    request_id = str(uuid.uuid4())
    result = await functions.run(spec, request_id=request_id)
    message = f"RequestId: {request_id} Error: Runtime exited with error: exit status 9"
    assert json.loads(result.payload) == {"errorType": "Runtime.ExitError", "errorMessage": message}
    log = await functions.logged(spec, "^REPORT ")
    assert [line for line in log if line.strip().isdigit()] == [f"{n}\n" for n in range(2000)]
    assert f"{message}\nRuntime.ExitError\n" in log
    assert log[-1].endswith("\tStatus: error\tError Type: Runtime.ExitError\t\n")


async def test_a_time_out_ends_the_environment(functions: Functions) -> None:
    spec = functions.make(SLEEP, timeout=1.0)
    before = await functions.answer(spec)
    request_id = str(uuid.uuid4())
    result = await functions.run(spec, 60, request_id=request_id)
    assert json.loads(result.payload) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {request_id} Error: Task timed out after 1.00 seconds",
    }
    assert (result.duration_ms, result.billed_ms) == (1000.0, 1000)
    assert await functions.answer(spec) != before
    log = await functions.logged(spec, "^REPORT ", 3)
    assert [line for line in log if re.fullmatch(rf"[\d-]{{10}}T[\d:.]{{12}}Z {request_id} Task timed out after 1\.00 seconds\n\n", line)]
    [report] = [line for line in log if line.startswith(f"REPORT RequestId: {request_id}")]
    assert "\tDuration: 1000.00 ms\tBilled Duration: 1000 ms\t" in report
    assert report.endswith("\tStatus: timeout\t\n")


async def test_starting_too_slowly_gets_a_second_try_with_the_functions_own_time(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("haar.execution.manager.INIT_SECONDS", 0.5)
    text = "import time\ntime.sleep(1.5)\ndef handler(event, context): return 1"
    assert await functions.answer(functions.make(text, timeout=20.0)) == 1
    spec = functions.make(text, timeout=0.6)
    told = await functions.failure(spec)
    assert told["errorType"] == "Sandbox.Timedout"
    assert told["errorMessage"].endswith("Task timed out after 0.60 seconds")
    log = await functions.logged(spec, "INIT_REPORT .*\tPhase: invoke\tStatus: timeout\n")
    assert any(re.search("INIT_REPORT .*\tPhase: init\tStatus: timeout\n", line) for line in log)


async def test_more_memory_than_configured_ends_the_invocation(functions: Functions) -> None:
    spec = functions.make("import time\ndef handler(event, context):\n    kept = bytearray(400 << 20)\n    time.sleep(9)", memory_mb=128)
    request_id = str(uuid.uuid4())
    result = await functions.run(spec, request_id=request_id)
    assert json.loads(result.payload) == {
        "errorType": "Runtime.OutOfMemory",
        "errorMessage": f"RequestId: {request_id} Error: Runtime exited with error: signal: killed",
    }
    log = await functions.logged(spec, "^REPORT ")
    assert "\tMax Memory Used: 128 MB\t" in log[-1]


async def test_tmp_has_the_configured_size_and_is_not_memory(functions: Functions) -> None:
    spec = functions.make(
        """
        def handler(event, context):
            written = 0
            try:
                with open("/tmp/file", "wb", 0) as file:
                    while True:
                        written += file.write(bytes(1 << 20))
            except OSError as error:
                return [written >> 20, error.errno]
        """,
        ephemeral_mb=200,
    )
    megabytes, error = await functions.answer(spec)
    assert error == 28
    assert 190 <= megabytes <= 200


async def test_an_environment_runs_one_at_a_time_and_more_are_started(functions: Functions) -> None:
    spec = functions.make(SLEEP)
    answers = await asyncio.gather(*(functions.answer(spec, 3) for _ in range(4)))
    assert len(set(answers)) == 4
    assert await functions.answer(spec) in answers


async def test_many_callers_of_a_quick_function_start_no_more_environments_than_they_are(functions: Functions) -> None:
    """Each caller asks again at once: what was started for an answered call is for the next one."""
    spec = functions.make("import os\nME = os.urandom(8).hex()\ndef handler(event, context):\n    return ME\n")
    seen: set[str] = set()

    async def caller() -> None:
        for _ in range(20):
            seen.add(await functions.answer(spec))

    await asyncio.gather(*(caller() for _ in range(8)))
    pool = functions.manager._pools[spec]
    while pool.coming:
        await asyncio.sleep(0.05)
    assert len(seen) <= 12  # now and then a call finds an environment that has answered and is not yet ready again
    assert len(pool.all) <= 12
    assert not pool.waiters


async def test_nobody_waits_for_an_environment_that_failed(functions: Functions) -> None:
    """Every call of a function that cannot be initialised hears of it, those too that counted on another's environment."""
    spec = functions.make("import time\ntime.sleep(0.2)\nraise RuntimeError('no')\ndef handler(event, context):\n    return 1\n")
    results = await asyncio.gather(*(functions.run(spec) for _ in range(6)))
    assert [result.error for result in results] == ["Unhandled"] * 6
    assert spec not in functions.manager._pools or not functions.manager._pools[spec].waiters


async def test_calls_one_after_another_stay_in_one_environment(functions: Functions) -> None:
    spec = functions.make(WHO)
    assert len({await functions.answer(spec) for _ in range(50)}) == 1


async def test_equal_functions_share_and_changed_ones_do_not(functions: Functions) -> None:
    spec = functions.make(WHO, name="shared-or-not")
    changed = functions.make(WHO, name="shared-or-not", revision="2")
    assert await functions.answer(spec) == await functions.answer(functions.make(WHO, name="shared-or-not"))
    assert await functions.answer(changed) != await functions.answer(spec)


async def test_reserved_concurrency_bounds_all_versions_together(functions: Functions) -> None:
    name = "reserved-" + uuid.uuid4().hex
    spec = functions.make(SLEEP, name=name, reserved_concurrency=2)
    other = functions.make(SLEEP, name=name, reserved_concurrency=2, version="3")
    await asyncio.gather(functions.answer(spec), functions.answer(other))
    both = [asyncio.ensure_future(functions.answer(one, 2)) for one in (spec, other)]
    await asyncio.sleep(0)
    with pytest.raises(Throttled) as caught:
        await functions.run(spec)
    assert caught.value.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
    await asyncio.gather(*both)
    await functions.answer(spec)
    with pytest.raises(Throttled):
        await functions.run(functions.make(WHO, reserved_concurrency=0))


async def test_an_environment_is_halted_between_invocations(functions: Functions) -> None:
    spec = functions.make(
        """
        import threading, time
        ticks = [0]
        def tick():
            while True:
                time.sleep(0.005)
                ticks[0] += 1
        threading.Thread(target=tick, daemon=True).start()
        def handler(event, context): return ticks[0]
        """
    )
    before = await functions.answer(spec)
    await asyncio.sleep(environment.FREEZE_SECONDS + 2.0)
    assert await functions.answer(spec) - before < 200  # 400 would have passed
    await asyncio.sleep(environment.FREEZE_SECONDS + 0.1)
    await functions.answer(spec)


async def test_retiring_ends_idle_environments_now_and_busy_ones_later(functions: Functions) -> None:
    spec = functions.make(SLEEP)
    idle = await functions.answer(spec)
    await functions.manager.retire(spec.arn)
    busy = asyncio.ensure_future(functions.answer(spec, 1))
    await functions.logged(spec, "^START ", 2)
    await functions.manager.retire(spec.arn)
    told = await busy
    assert idle != told
    assert await functions.answer(spec) not in (idle, told)


async def test_an_environment_that_is_retired_as_it_comes_up_is_replaced(functions: Functions) -> None:
    """A function is changed while one of its environments is between its initialisation and its first invocation."""
    spec = functions.make(WHO)
    call = asyncio.ensure_future(functions.answer(spec))
    retired = False
    while not call.done():
        pool = functions.manager._pools.get(spec)
        if not retired and pool is not None and any(one.state == "idle" for one in pool.all):
            await functions.manager.retire(spec.arn)
            retired = True
        await asyncio.sleep(0)
    assert retired
    assert await functions.answer(spec) == call.result()


async def test_credentials_near_their_end_are_replaced_with_the_environment(functions: Functions) -> None:
    functions.surroundings.lifetime = environment.RENEW_SECONDS - 60
    try:
        spec = functions.make(WHO)
        assert await functions.answer(spec) != await functions.answer(spec)
    finally:
        functions.surroundings.lifetime = 3600.0


async def test_a_caller_who_leaves_does_not_stop_the_function(functions: Functions) -> None:
    spec = functions.make(SLEEP, reserved_concurrency=1)
    who = await functions.answer(spec)
    call = asyncio.ensure_future(functions.run(spec, 1))
    await functions.logged(spec, "^START ", 2)
    call.cancel()
    await asyncio.sleep(0)
    with pytest.raises(Throttled):
        await functions.run(spec)
    await functions.logged(spec, "^REPORT ", 2)
    assert await functions.answer(spec) == who


async def test_a_caller_who_leaves_during_the_start_leaves_an_environment_behind(functions: Functions) -> None:
    spec = functions.make("import time\ntime.sleep(0.5)\n" + WHO)
    call = asyncio.ensure_future(functions.run(spec))
    await functions.logged(spec, "INIT_START")
    call.cancel()
    pool = functions.manager._pools[spec]
    await eventually(lambda: pool.idle)
    await functions.answer(spec)
    assert len([line for line in functions.log(spec) if "INIT_START" in line]) == 1


async def test_code_is_fetched_once(functions: Functions) -> None:
    spec = functions.make(WHO + "\n# fetched once", name="fetched-1")
    other = functions.make(WHO + "\n# fetched once", name="fetched-2")
    await asyncio.gather(functions.answer(spec), functions.answer(other))
    assert functions.surroundings.fetched.count(spec.code_sha256) == 1


async def test_a_custom_runtime_speaks_the_runtime_api(functions: Functions) -> None:
    bootstrap = """\
    #!/usr/bin/python3
    import json, os, urllib.error, urllib.request
    api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/"
    def post(path, data):
        try:
            return urllib.request.urlopen(urllib.request.Request(api + path, data, {"Content-Type": "application/json"})).status
        except urllib.error.HTTPError as error:
            return [error.code, json.loads(error.read())["errorType"]]
    statuses = []
    while True:
        event = urllib.request.urlopen(api + "invocation/next")
        request_id = event.headers["Lambda-Runtime-Aws-Request-Id"]
        told = {"event": json.loads(event.read()), "handler": os.environ["_HANDLER"],
                "arn": event.headers["Lambda-Runtime-Invoked-Function-Arn"],
                "wrong": post("invocation/another/response", b"1"), "path": post("nowhere", b""), "late": statuses,
                "init": post("init/error", b"{}")}
        post(f"invocation/{request_id}/response", json.dumps(told).encode())
        statuses = [post(f"invocation/{request_id}/response", b"2")]
    """
    spec = functions.make({"bootstrap": bootstrap}, "my.handler", "provided.al2023", modes={"bootstrap": 0o755})
    told = await functions.answer(spec, 1)
    assert told == {
        "event": 1, "handler": "my.handler", "arn": spec.arn, "wrong": [400, "InvalidRequestID"], "path": [404, ""], "late": [],
        "init": [403, "InvalidStateTransition"],
    }  # fmt: skip
    assert (await functions.answer(spec, 2))["late"] == [[400, "InvalidRequestID"]]


async def test_a_package_without_a_bootstrap_says_so(functions: Functions) -> None:
    told = await functions.failure(functions.make({"other": ""}, "h", "provided.al2023"))
    assert told["errorType"] == "Runtime.InvalidEntrypoint"
    assert told["errorMessage"].endswith(" Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]")
    told = await functions.failure(functions.make({"bootstrap": "#!/bin/sh"}, "h", "provided.al2023"))
    assert told["errorMessage"].endswith(" Error: fork/exec /var/task/bootstrap: permission denied")


async def test_memory_for_all_is_bounded_and_idle_ones_make_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("haar.execution.fairness.ROOM_SECONDS", 0.1)
    async with running(tmp_path, memory_mb=300) as functions:
        first, second = functions.make(SLEEP), functions.make(SLEEP)
        await asyncio.gather(functions.answer(first), functions.answer(second))
        third = functions.make(SLEEP)
        await functions.answer(third)  # one of the idle ones made way
        busy = [asyncio.ensure_future(functions.answer(one, 15)) for one in (third, functions.make(SLEEP))]
        await eventually(lambda: functions.manager._total == 2 and functions.manager._memory.used_mb == 256)
        with pytest.raises(Throttled) as caught:
            await functions.run(functions.make(SLEEP))
        assert caught.value.reason == "ConcurrentInvocationLimitExceeded"
        for one in busy:
            one.cancel()
        await asyncio.gather(*busy, return_exceptions=True)


async def test_a_function_that_is_flooded_does_not_keep_others_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("haar.execution.fairness.ROOM_SECONDS", 60.0)
    monkeypatch.setattr("haar.execution.manager.WARM_SECONDS", 60.0)
    async with running(tmp_path, memory_mb=512) as functions:
        flooded, other, large = functions.make(SLEEP), functions.make(SLEEP, memory_mb=256), functions.make(SLEEP, memory_mb=384)
        refused = [0]

        async def flood() -> None:
            while True:
                try:
                    await functions.answer(flooded, 1)
                except Throttled:
                    refused[0] += 1
                    await asyncio.sleep(0.05)

        async def is_flooded() -> None:
            until = refused[0] + 40  # it has all the memory that it can have
            await eventually(lambda: refused[0] > until)

        floods = [asyncio.ensure_future(flood()) for _ in range(40)]
        seen = set()
        for _ in range(3):
            await is_flooded()
            seen.add(await functions.answer(other, 0))
        assert len(seen) == 1  # cold, and then warm
        await functions.answer(large, 0)  # it needs what three of the others have
        for flood_ in floods:
            flood_.cancel()
        await asyncio.gather(*floods, return_exceptions=True)


async def test_a_function_larger_than_all_memory_is_refused_and_takes_nothing_away(tmp_path: Path) -> None:
    async with running(tmp_path, memory_mb=512) as functions:
        small = functions.make(WHO)
        warm = await functions.answer(small)
        with pytest.raises(Unavailable, match="1024 MB is more than all functions have here together: 512 MB"):
            await functions.run(functions.make(WHO, memory_mb=1024))
        assert await functions.answer(small) == warm


async def test_what_breaks_while_it_starts_gives_its_memory_back_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise BrokenPipeError("nobody listens")

    async with running(tmp_path) as functions:
        spec = functions.make(WHO)
        with monkeypatch.context() as patched:
            patched.setattr("haar.execution.box.Box.assign", broken)
            with pytest.raises(Unavailable, match="nobody listens"):
                await functions.run(spec)
        assert functions.manager._memory.used_mb == 0
        await functions.run(functions.make(WHO, runtime="cobol85"))
        with pytest.raises(Unavailable):
            await functions.run(functions.make(WHO, memory_mb=1 << 30))
        assert not functions.manager._pools
        await functions.answer(spec)
        assert functions.manager._memory.used_mb == spec.memory_mb and list(functions.manager._pools) == [spec]


async def test_idle_environments_are_ended(tmp_path: Path) -> None:
    async with running(tmp_path, idle_seconds=0.5) as functions:
        spec = functions.make(WHO)
        await functions.answer(spec)
        await eventually(lambda: not functions.manager._pools)
        await functions.answer(spec)


async def test_stopping_leaves_nothing_behind(tmp_path: Path) -> None:
    async with running(tmp_path) as functions:
        spec = functions.make("import subprocess\ndef handler(event, context):\n    subprocess.Popen(['sleep', '1000'])")
        await functions.run(spec)
        busy = asyncio.ensure_future(functions.run(functions.make(SLEEP), 60))
        await eventually(lambda: functions.manager._total == 1)
        nursery = functions.manager._spawner._process
        assert nursery is not None
        await eventually(lambda: len(processes.tree(nursery.pid)) > 6)
        pids = processes.tree(nursery.pid)
        groups = [Path(path) for path in (functions.manager._hierarchy.paths() if functions.manager._hierarchy else [])]
        assert all(path.is_dir() for path in groups)
    try:  # the caller is told, by whichever comes first: the end of the platform or of the process
        assert (await busy).error == "Unhandled"
    except Unavailable:
        pass
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert not [path for path in groups if path.exists()]
    assert not list((tmp_path / "run").glob("*"))
    with pytest.raises(Unavailable):
        await functions.run(spec)


async def test_another_nursery_takes_the_place_of_one_that_died(tmp_path: Path) -> None:
    async with running(tmp_path) as functions:
        spec = functions.make(WHO)
        before = await functions.answer(spec)
        nursery = functions.manager._spawner._process
        assert nursery is not None
        nursery.kill()
        await nursery.wait()
        await eventually(lambda: not functions.manager._pools)
        assert await functions.answer(spec) != before


RUNNER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.support.functions import running

async def main():
    async with running(Path(sys.argv[1])) as functions:
        spec = functions.make("import subprocess\\ndef handler(event, context):\\n    subprocess.Popen(['sleep', '1000'])")
        await functions.run(spec)
        paths = functions.manager._hierarchy.paths() if functions.manager._hierarchy else []
        print(functions.manager._spawner._process.pid, *paths, flush=True)
        await asyncio.sleep(1000)

asyncio.run(main())
"""


@pytest.mark.faults
async def test_a_haar_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", RUNNER, str(tmp_path), str(root), stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    nursery, *groups = (await process.stdout.readline()).decode().split()
    pids = processes.tree(int(nursery))
    assert len(pids) >= 5
    process.kill()
    await process.wait()
    await eventually(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()])
    await eventually(lambda: not [path for path in groups if Path(path).exists()])
    assert list((tmp_path / "run").glob("execution-*"))
    async with running(tmp_path) as functions:  # the next one tidies up
        assert [path.name for path in (tmp_path / "run").iterdir()] == [functions.manager._directory.name]
