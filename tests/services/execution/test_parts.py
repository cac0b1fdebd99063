"""The parts by themselves: runtime names, the filter, output, exits, what the host offers."""

import asyncio
import contextlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.functions import Functions, Noting, running

from haar.clock import RandomIds, SystemClock
from haar.config import Config
from haar.execution import cgroups, probe, report, runtimes, seccomp
from haar.execution.contract import FunctionSpec, Unavailable
from haar.execution.manager import Manager
from haar.execution.output import LogWriter, Pump, stream_name
from haar.execution.runtimes import java
from haar.execution.spawner import Exit
from haar.services.lambda_.checks import runtimes as identifiers


@pytest.mark.parametrize("identifier", ["python2.7", "python3.14", "nodejs6.10", "nodejs22.x", "nodejs4.3-edge"])
def test_another_version_stands_in_and_says_so(identifier: str) -> None:
    runtime = runtimes.resolve(identifier)
    assert not runtime.exact
    assert runtime.note.startswith(f"{identifier} runs on ")


def test_the_installed_version_needs_no_note() -> None:
    assert runtimes.resolve(runtimes.DEFAULT) == runtimes.Runtime("python", runtimes.DEFAULT.removeprefix("python"), exact=True)
    assert runtimes.resolve("provided.al2023").kind == "provided"
    assert runtimes.resolve("nodejs").kind == "node"  # Lambda's very first identifier


@pytest.mark.parametrize("identifier", ["dotnet8", "", "python", "python3", "java", "ruby3", "provided.al3"])
def test_others_are_unknown(identifier: str) -> None:
    with pytest.raises(runtimes.UnknownRuntime):
        runtimes.resolve(identifier)


@pytest.mark.asyncio
async def test_no_program_is_asked_for_its_version_once_haar_has_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path):
        monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("a program was asked"))
        for identifier in ("nodejs18.x", "nodejs22.x", "ruby3.2", "java17", "java21"):
            with contextlib.suppress(runtimes.UnknownRuntime):
                runtimes.resolve(identifier)


def evaluate(program: bytes, architecture: int, number: int, argument: int = 0) -> int:
    """What the kernel would answer to a system call: an interpreter of the filter's language."""
    lines = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    data = {seccomp.NUMBER: number, seccomp.ARCHITECTURE: architecture, seccomp.FIRST_ARGUMENT: argument}
    accumulator, at = 0, 0
    while True:
        code, when_true, when_false, value = lines[at]
        at += 1
        if code == seccomp.LOAD:
            accumulator = data[value]
        elif code == seccomp.RETURN:
            return int(value)
        else:
            truth = {seccomp.EQUAL: accumulator == value, seccomp.ABOVE: accumulator >= value, seccomp.ANY_BIT: bool(accumulator & value)}[
                code
            ]
            at += when_true if truth else when_false


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_refuses_what_it_says(machine: str) -> None:
    program, architecture = seccomp.program(machine), seccomp.AUDIT[machine]
    table, absent = (seccomp.X86_64, seccomp.X86_64_ABSENT) if machine == "x86_64" else (seccomp.AARCH64, seccomp.AARCH64_ABSENT)
    for number in range(600):
        expected = seccomp.ALLOW
        if number in table.values():
            expected = seccomp.ERRNO | seccomp.EPERM
        elif number in absent.values():
            expected = seccomp.ERRNO | seccomp.ENOSYS
        elif number == seccomp.SOCKET[machine]:
            expected = seccomp.ERRNO | seccomp.EAFNOSUPPORT
        assert evaluate(program, architecture, number) == expected, number
    clone, new_user = seccomp.CLONE[machine], 0x10000000
    assert evaluate(program, architecture, clone, 0x003D0F00) == seccomp.ALLOW  # a thread
    assert evaluate(program, architecture, clone, new_user | 17) == seccomp.ERRNO | seccomp.EPERM
    families = [family for family in range(50) if evaluate(program, architecture, seccomp.SOCKET[machine], family) == seccomp.ALLOW]
    assert tuple(families) == seccomp.FAMILIES
    assert evaluate(program, architecture, 1 | seccomp.X32_BIT) == seccomp.ERRNO | seccomp.ENOSYS
    assert evaluate(program, 0x40000003, 1) == seccomp.KILL
    assert seccomp.program("riscv64") == b""


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (0, "Runtime exited without providing a reason"),
        (3 << 8, "Runtime exited with error: exit status 3"),
        (9, "Runtime exited with error: signal: killed"),
        ((128 + 9) << 8, "Runtime exited with error: signal: killed"),
        ((128 + 11) << 8, "Runtime exited with error: signal: segmentation fault"),
        (255 << 8, "Runtime exited with error: exit status 255"),
    ],
)
def test_an_exit_is_told_in_awss_words(status: int, reason: str) -> None:
    assert Exit(status).reason == reason


SPEC = FunctionSpec("arn", "f", "$LATEST", "us-east-1", "1" * 12, "python3.12", "a.b", "", "", "1")


class Listing(Noting):
    async def log(self, spec: FunctionSpec, stream: str, events: Sequence[tuple[int, str]]) -> None:
        await asyncio.sleep(0)
        await super().log(spec, stream, events)


def frame(text: str) -> bytes:
    data = text.encode()
    return b"\xa5\x5a\x00\x03" + len(data).to_bytes(4, "big") + bytes(8) + data


LINES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=30).map(lambda line: (line + "\n").encode())
FRAMES = st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1, max_size=60).map(lambda text: frame(text + "\n"))


@given(st.lists(st.one_of(LINES, FRAMES), max_size=20), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_output_becomes_events_however_it_arrives(pieces: list[bytes], size: int) -> None:
    async def run() -> list[str]:
        surroundings = Listing()
        writer = LogWriter(SPEC, "s", surroundings, SystemClock())
        reading, writing = os.pipe()
        pump = Pump(reading, writer)
        data = b"".join(pieces)
        for at in range(0, len(data), size):
            os.write(writing, data[at : at + size])
            pump.drain()
        os.close(writing)
        pump.close()
        await writer.close()
        return [message for _, _, message in surroundings.events.get("f", [])]

    expected = [(piece[16:] if piece.startswith(b"\xa5\x5a") else piece).decode() for piece in pieces]
    assert asyncio.run(run()) == expected


@given(st.floats(0.001, 900_000), st.one_of(st.none(), st.floats(0, 10_000)))
def test_what_is_billed_is_never_less_than_what_was_taken(duration: float, init: float | None) -> None:
    billed = report.Figures(duration, init, 1, "success").billed_ms
    assert billed >= 1
    assert -0.01 <= billed - (duration + (init or 0)) <= 1.01


def test_a_log_stream_is_named_after_its_day_and_version() -> None:
    assert stream_name(1_700_000_000.0, "$LATEST", "0" * 32) == "2023/11/14/[$LATEST]" + "0" * 32


async def test_without_bubblewrap_functions_are_refused_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    manager = Manager(Config(data=tmp_path), Noting(), SystemClock(), RandomIds())
    await manager.start()
    with pytest.raises(Unavailable, match=r"bubblewrap.*--sandbox none.*haar doctor"):
        await manager.invoke(SPEC, b"{}", request_id="r", invoked_arn="arn")
    await manager.stop()


async def test_with_namespaces_refused_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "No permissions to create new namespace" in str(await probe.refusal())
    assert probe.namespaces().state == "error"
    assert "unprivileged_userns" in probe.namespaces().remedy


@pytest.mark.sandbox
def test_the_doctor_finds_what_is_here() -> None:
    found = {finding.name: finding for finding in probe.findings()}
    assert found["namespaces"].state == "ok"
    assert found["Python"].state == "ok"
    assert found["Node.js"].state == "ok"
    assert all(finding.remedy for finding in found.values() if finding.state == "error")


async def test_without_a_sandbox_a_function_runs_and_its_log_says_that_nothing_isolates_it(tmp_path: Path) -> None:
    async with running(tmp_path, sandbox="none") as functions:
        await plain_functions(functions)


async def plain_functions(functions: Functions) -> None:
    spec = functions.make("import boto3\ndef handler(event, context): return [__file__, boto3.__name__, event]")
    where, *rest = await functions.answer(spec, 1)
    assert rest == ["boto3", 1]
    assert where.startswith(str(functions.data))
    log = await functions.logged(spec, "^REPORT ")
    assert log[1] == "haar: nothing isolates this function from the host: haar runs with --sandbox none\n"
    node = functions.node('import { S3Client } from "@aws-sdk/client-s3"; export const handler = async () => typeof S3Client;')
    assert await functions.answer(node) == "function"
    slow = functions.make(
        "import subprocess, time\ndef handler(event, context):\n    subprocess.Popen(['sleep', '987'])\n    time.sleep(60)", timeout=1.0
    )
    assert (await functions.failure(slow))["errorType"] == "Sandbox.Timedout"


@pytest.mark.skipif(os.geteuid() != 0, reason="makes control groups")
def test_groups_of_a_killed_haar_are_removed() -> None:
    hierarchy = cgroups.detect("testclean")
    if hierarchy is None:
        pytest.skip("control groups are not writable here")
    hierarchy.name = "haar-4194304-leftover"  # beyond any process id
    hierarchy.prepare(64)
    paths = [Path(path) for path in hierarchy.paths()]
    for path in paths:
        (path / "box").mkdir()
    cgroups.clean(hierarchy)
    assert not [path for path in paths if path.exists()]


def test_version_2_groups_are_written_as_the_kernel_wants_them(tmp_path: Path) -> None:
    base = tmp_path / "own"
    group_path = base / "haar-1-t" / "box"
    group_path.mkdir(parents=True)
    for name in ("cpu.max", "memory.max", "cgroup.freeze", "memory.stat", "memory.peak"):
        (group_path / name).touch()
    hierarchy = cgroups.Hierarchy(2, dict.fromkeys(["memory", "cpu", "pids", "freezer"], str(base)), "haar-1-t")
    group = hierarchy.group("box", 128, 512)
    assert group.paths == [str(group_path)]
    assert group.settings == [
        (f"{group_path}/memory.max", str((128 + 512 + cgroups.OVERHEAD_MB) << 20)),
        (f"{group_path}/pids.max", "1024"),
    ]
    assert group.throttle(1769)
    assert (group_path / "cpu.max").read_text() == "20000 20000"
    group.unthrottle()
    assert (group_path / "cpu.max").read_text() == "max 20000"
    (group_path / "memory.stat").write_text("anon 123\nfile 4\n")
    (group_path / "memory.peak").write_text("456\n")
    assert (group.anonymous_bytes(), group.peak_bytes()) == (123, 456)
    assert group.freeze()
    group.thaw()
    assert (group_path / "cgroup.freeze").read_text() == "10"
    group.close()


def test_memory_for_all_is_part_of_the_hosts() -> None:
    host = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    assert 1 <= cgroups.budget_mb(0) <= host * 3 // 4 + 1
    assert cgroups.budget_mb(77) == 77


def test_every_identifier_of_aws_runs_on_something_or_says_what_is_missing() -> None:
    for identifier in identifiers():
        try:
            found = runtimes.resolve(identifier)
        except runtimes.UnknownRuntime as error:
            assert identifier.startswith(("dotnet", "custom")) or "haar runtimes add java" in str(error) or "apt-get" in str(error)
        else:
            assert found.exact or identifier in found.note


def test_a_virtual_machine_runs_what_was_built_for_an_older_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "homes", lambda: {17: Path("/17"), 25: Path("/25")})
    monkeypatch.setattr(java, "added", lambda: True)
    assert [runtimes.java_version(asked) for asked in (8, 17, 21, 25, 30)] == [17, 17, 25, 25, 25]
    monkeypatch.setattr(java, "added", lambda: False)
    with pytest.raises(runtimes.UnknownRuntime, match="haar runtimes add java"):
        runtimes.resolve("java17")


def test_a_runtime_client_that_is_not_the_pinned_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maven = tmp_path / "mvn"
    maven.write_text(
        "#!/bin/sh\nfor word; do case $word in -DoutputDirectory=*) out=${word#*=};; -Dartifact=*) name=${word#*=};; esac; done\n"
        "echo other > $out/$(echo $name | cut -d: -f2)-$(echo $name | cut -d: -f3).jar\n"
    )
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(java, "JARS", tmp_path / "lib")
    with pytest.raises(java.NotFetched, match="SHA-256"):
        java.add()
    assert not (tmp_path / "lib").exists()
    maven.write_text("#!/bin/sh\necho no network; exit 1\n")
    with pytest.raises(java.NotFetched, match="no network"):
        java.add()
