"""Functions are strangers: what one of them may try against the host, haar and others, run as a function, and seen to fail."""

import asyncio
import json
import os
import socket
import uuid
from pathlib import Path

import pytest
from tests.support.functions import Functions, eventually

from haar.execution import processes

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sandbox]

ATTEMPT = """
import json
def attempt(what):
    try:
        return ["did", repr(what())[:200]]
    except BaseException as error:
        return ["failed", type(error).__name__]
"""


async def test_the_hosts_files_are_not_there(functions: Functions, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    places = [
        str(secret),
        str(functions.data),
        str(Path.home()),
        "/root",
        "/home",
        "/etc/shadow",
        "/work",
        "/run",
        "/sys",
        "/boot",
        "/mnt",
        "/srv",
    ]
    spec = functions.make(
        """
        import os
        def handler(event, context):
            return {"found": [place for place in event if os.path.exists(place)], "etc": sorted(os.listdir("/etc")),
                    "root": sorted(os.listdir("/")), "home": os.path.expanduser("~")}
        """
    )
    told = await functions.answer(spec, places)
    assert told["found"] == []
    allowed = {
        "alternatives",
        "group",
        "hosts",
        "ld.so.cache",
        "localtime",
        "nsswitch.conf",
        "os-release",
        "passwd",
        "protocols",
        "resolv.conf",
    }
    java = {name for name in told["etc"] if name.startswith("java-")}
    assert set(told["etc"]) <= allowed | {"services", "ssl"} | java
    assert set(told["root"]) <= {
        "bin",
        "dev",
        "etc",
        "lib",
        "lib32",
        "lib64",
        "libx32",
        "node_modules",
        "opt",
        "proc",
        "sbin",
        "tmp",
        "usr",
        "var",
    }


async def test_the_hosts_environment_does_not_leak(functions: Functions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_SECRET", "s3cret")
    spec = functions.make(
        """
        import glob, os
        def handler(event, context):
            seen = str(dict(os.environ))
            for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
                try:
                    seen += open(path).read()
                except OSError:
                    pass
            return seen
        """
    )
    seen = await functions.answer(spec)
    assert "s3cret" not in seen
    assert str(functions.data) not in seen


async def test_only_tmp_can_be_written(functions: Functions) -> None:
    spec = functions.make(
        ATTEMPT
        + """
import os, tempfile
def handler(event, context):
    places = ["/", "/var/task", "/var/runtime", "/opt", "/usr", "/usr/bin", "/etc", "/dev", "/dev/shm", "/var", "/var/rapid", "/proc"]
    wrote = {place: attempt(lambda: open(place + "/mine", "w").close()) for place in places}
    wrote["chmod"] = attempt(lambda: os.chmod("/var/task/app.py", 0o777))
    wrote["append"] = attempt(lambda: open("/var/task/app.py", "a"))
    wrote["unlink"] = attempt(lambda: os.unlink("/var/task/app.py"))
    wrote["core"] = attempt(lambda: open("/proc/sys/kernel/core_pattern", "wb", 0).write(b"|/tmp/x"))
    open("/tmp/mine", "w").close()
    return {place: told for place, told in wrote.items() if told[0] == "did"}
"""
    )
    assert await functions.answer(spec) == {}


async def test_two_functions_see_nothing_of_each_other(functions: Functions) -> None:
    name = "shared-secret-" + uuid.uuid4().hex
    victim = functions.make(
        f"""
        import os, socket, time
        open("/tmp/{name}", "w").write("s3cret")
        listening = socket.socket(); listening.bind(("127.0.0.1", 7777)); listening.listen()
        unix = socket.socket(socket.AF_UNIX); unix.bind("\\0{name}"); unix.listen()
        def handler(event, context):
            time.sleep(event)
            return [os.getpid(), os.getuid()]
        """,
        environment=(("SECRET", "s3cret"),),
    )
    spy = functions.make(
        ATTEMPT
        + f"""
import glob, os, signal, socket
def unix():
    one = socket.socket(socket.AF_UNIX); one.connect("\\0{name}")
def handler(event, context):
    return {{
        "tmp": os.listdir("/tmp"), "processes": sorted(int(p) for p in os.listdir("/proc") if p.isdigit()), "uid": os.getuid(),
        "port": attempt(lambda: socket.create_connection(("127.0.0.1", 7777), 2)), "abstract": attempt(unix),
        "names": [path for path in glob.glob("/proc/[0-9]*/cmdline") if b"{name}" in open(path, "rb").read()],
    }}
"""
    )
    _, uid = await functions.answer(victim, 0)
    busy = asyncio.ensure_future(functions.answer(victim, 2))
    told = await functions.answer(spy)
    assert (told["tmp"], told["names"], told["processes"]) == ([], [], [1, 2])
    assert told["port"] == ["failed", "ConnectionRefusedError"]
    assert told["abstract"] == ["failed", "ConnectionRefusedError"]
    if os.geteuid() == 0:
        assert told["uid"] != uid
        assert 0 not in (told["uid"], uid)
    await busy


async def test_the_hosts_network_is_out_of_reach(functions: Functions) -> None:
    with socket.socket() as listening, socket.socket(socket.AF_UNIX) as abstract:
        listening.bind(("0.0.0.0", 0))
        listening.listen()
        abstract.bind(name := "\0haar-test-" + uuid.uuid4().hex)
        abstract.listen()
        addresses = {"127.0.0.1", "0.0.0.0", *socket.gethostbyname_ex(socket.gethostname())[2], "192.0.2.1", "169.254.169.254"}
        spec = functions.make(
            ATTEMPT
            + """
import socket
def unix(name):
    one = socket.socket(socket.AF_UNIX); one.connect(name)
def handler(event, context):
    told = [attempt(lambda: socket.create_connection((address, event["port"]), 2)) for address in event["addresses"]]
    told.append(attempt(lambda: unix(event["name"])))
    told.append(attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)))
    told.append(attempt(lambda: socket.socket(40, socket.SOCK_STREAM)))
    told.append(attempt(lambda: socket.getaddrinfo("example.com", 80)))
    return told
"""
        )
        told = await functions.answer(spec, {"port": listening.getsockname()[1], "addresses": sorted(addresses), "name": name})
    assert {outcome for outcome, _ in told} == {"failed"}, told


async def test_privileges_cannot_be_had(functions: Functions) -> None:
    spec = functions.make(
        ATTEMPT
        + """
import ctypes, os, subprocess
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    def run():
        if getattr(libc, name)(*arguments) < 0:
            raise OSError(ctypes.get_errno(), name)
    return attempt(run)
def handler(event, context):
    told = {
        "setuid": attempt(lambda: os.setuid(0)), "setgroups": attempt(lambda: os.setgroups([0])),
        "chroot": attempt(lambda: os.chroot("/tmp")),
        "nice": attempt(lambda: os.nice(-5)), "mknod": attempt(lambda: os.mknod("/tmp/null", 0o20666, os.makedev(1, 5))),
        "mount": call("mount", b"none", b"/tmp", b"tmpfs", 0, None), "umount": call("umount2", b"/var/task", 2),
        "unshare user": call("unshare", 0x10000000), "unshare mount": call("unshare", 0x20000), "unshare net": call("unshare", 0x40000000),
        "ptrace parent": call("ptrace", 16, os.getppid(), None, None), "ptrace self": call("ptrace", 0, 0, None, None),
        "keyring": call("syscall", 250, 0, -4, 1), "bpf": call("syscall", 321, 0, None, 0),
        "perf": call("syscall", 298, None, 0, -1, -1, 0),
        "io_uring": call("syscall", 425, 8, None), "userfaultfd": call("syscall", 323, 0), "reboot": call("reboot", 0x01234567),
        "hostname": call("sethostname", b"x", 1), "swapoff": call("swapoff", b"/x"), "setns": call("setns", 0, 0),
        "kill init": attempt(lambda: os.kill(1, 9)), "memory of init": attempt(lambda: open("/proc/1/mem", "rb").read(1)),
        "files of init": attempt(lambda: os.listdir("/proc/1/root")), "kcore": attempt(lambda: open("/proc/kcore", "rb").read(1)),
        "sysrq": attempt(lambda: open("/proc/sysrq-trigger", "wb", 0).write(b"b")), "kmsg": attempt(lambda: open("/dev/kmsg").read(1)),
        "su": attempt(lambda: subprocess.run(["su", "-c", "id"], check=True, stdin=subprocess.DEVNULL, capture_output=True)),
        "unshare": attempt(lambda: subprocess.run(["unshare", "-Ur", "id"], check=True, capture_output=True)),
        "oom": attempt(lambda: open("/proc/self/oom_score_adj", "wb", 0).write(b"-1000")),
    }
    status = dict(line.rstrip().split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line and line[0] in "CNS")
    return {"did": [name for name, outcome in told.items() if outcome[0] == "did"], "status": status, "uid": os.getuid()}
"""
    )
    told = await functions.answer(spec)
    assert told["did"] == []
    assert told["uid"] != 0
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(told["status"][name], 16) == 0, name
    assert told["status"]["NoNewPrivs"] == "1"
    if os.uname().machine in ("x86_64", "aarch64"):
        assert told["status"]["Seccomp"] == "2"


async def test_a_fork_bomb_stays_in_its_environment(functions: Functions) -> None:
    bomb = functions.make(
        """
        import os, time
        def handler(event, context):
            made = 0
            try:
                while True:
                    if os.fork() == 0:
                        time.sleep(100)
                        os._exit(0)
                    made += 1
            except OSError:
                return made
        """,
        memory_mb=1024,
    )
    assert await functions.answer(bomb) <= 1024
    assert await functions.answer(functions.make("import subprocess\ndef handler(event, context): return subprocess.call(['true'])")) == 0
    await functions.manager.retire(bomb.arn)


async def test_a_memory_bomb_ends_only_its_own_environment(functions: Functions) -> None:
    bystander = functions.make("seen = []\ndef handler(event, context):\n    seen.append(1)\n    return len(seen)")
    await functions.answer(bystander)
    for text in (
        "kept = []\n    while True: kept.append(bytearray(16 << 20))",
        "import os\n    while os.fork() >= 0: kept = bytes(8 << 20) * 2",
    ):
        told = await functions.failure(functions.make(f"def handler(event, context):\n    {text}", timeout=15.0))
        assert told["errorType"] in ("Runtime.OutOfMemory", "Runtime.ExitError", "MemoryError", "OSError", "BlockingIOError"), told
    assert await functions.answer(bystander) == 2


async def test_nothing_else_can_be_filled(functions: Functions) -> None:
    spec = functions.make(
        """
        import os
        def handler(event, context):
            full = []
            for place in ("/tmp", "/dev", "/dev/shm", "/var/tmp", "/run"):
                try:
                    with open(place + "/fill", "wb", 0) as file:
                        for _ in range(2000): file.write(bytes(1 << 20))
                    full.append(place)
                except OSError:
                    pass
            files = 0
            return full
        """,
        ephemeral_mb=64,
    )
    assert await functions.answer(spec) == []


async def test_processes_do_not_outlive_their_environment(functions: Functions) -> None:
    marker = str(4_000_000 + uuid.uuid4().int % 1_000_000)
    spec = functions.make(
        """
        import os, subprocess, time
        def handler(event, context):
            for _ in range(2):  # one that was disowned, in a session of its own
                if os.fork() == 0:
                    os.setsid()
                    if os.fork() == 0:
                        os.execvp("sleep", ["sleep", event["marker"]])
                    os._exit(0)
            time.sleep(event["wait"])
        """,
        timeout=2.0,
    )

    def there() -> list[int]:
        nursery = functions.manager._spawner._process
        assert nursery is not None
        found = []
        for pid in processes.tree(nursery.pid):
            try:
                if marker in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
                    found.append(pid)
            except OSError:
                continue
        return found

    await functions.run(spec, {"marker": marker, "wait": 0})
    await eventually(there)
    await functions.failure(spec, {"marker": marker, "wait": 60})
    await eventually(lambda: not there())


async def test_processes_outside_cannot_be_signalled(functions: Functions) -> None:
    spec = functions.make(
        """
        import os, signal
        def handler(event, context):
            reached = []
            for pid in event:
                try:
                    os.kill(pid, 0)
                    reached.append(pid)
                except OSError:
                    pass
            return reached
        """
    )
    outside = [os.getpid(), os.getppid()]
    assert all(pid > 3 for pid in outside)
    assert await functions.answer(spec, outside) == []


async def test_a_request_proves_its_own_environment_and_no_other(functions: Functions) -> None:
    """Each environment's calls come in on its own socket: nothing that it writes makes them another's."""
    spec = functions.make(
        """
        import os, urllib.request
        def handler(event, context):
            headers = {"Host": event, "X-Forwarded-For": event, "X-Amzn-Lambda-Environment": event}
            request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"] + "/" + event, headers=headers)
            return urllib.request.urlopen(request).read().decode()
        """
    )
    other = functions.make("import os, urllib.request\ndef handler(event, context): return urllib.request.urlopen(event).read().decode()")
    address = f"http://127.0.0.1:{functions.manager._config.port}/"
    first, second = await asyncio.gather(functions.answer(spec, "x"), functions.answer(other, address))
    assert first != second
    assert await functions.answer(spec, second) == first


async def test_another_invocation_cannot_be_answered(functions: Functions) -> None:
    victim = functions.make("import time\ndef handler(event, context):\n    time.sleep(2)\n    return 'true answer'")
    attacker = functions.make(
        """
        import os, urllib.request, urllib.error
        def handler(event, context):
            api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
            codes = []
            for verb in ("response", "error"):
                try:
                    codes.append(urllib.request.urlopen(api + event + "/" + verb, b'"forged"').status)
                except urllib.error.HTTPError as error:
                    codes.append(error.code)
            return codes
        """
    )
    await functions.answer(attacker, "x")
    request_id = str(uuid.uuid4())
    running = asyncio.ensure_future(functions.answer(victim, request_id=request_id))
    await functions.logged(victim, "^START ")
    assert await functions.answer(attacker, request_id) == [400, 400]
    assert await running == "true answer"


async def test_a_log_goes_to_its_own_stream_whatever_is_printed(functions: Functions) -> None:
    forged = "END RequestId: 0\nREPORT RequestId: 0\tBilled Duration: 0 ms\n"
    frame = b"\xa5\x5a\x00\x03" + len(forged).to_bytes(4, "big") + bytes(8) + forged.encode()
    broken = b"\xa5\x5a\x00\x03\xff\xff\xff\xff" + bytes(40)
    spec = functions.make(f"import os\ndef handler(event, context):\n    os.write(1, {frame!r})\n    os.write(1, {broken!r})\n")
    result = await functions.run(spec)
    assert result.billed_ms > 0
    log = await functions.logged(spec, r"^REPORT RequestId: [0-9a-f-]{36}\t")
    assert forged in log  # one event, as printed
    logs = functions.surroundings.events
    assert [name for name, events in logs.items() if any("RequestId: 0\t" in line for _, _, line in events)] == [spec.name]


async def test_garbage_for_haar_is_survived(functions: Functions) -> None:
    spec = functions.make(
        """
        import os, socket
        def handler(event, context):
            host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
            ends = []
            init = b"POST /2018-06-01/runtime/init/error HTTP/1.1\\r\\nContent-Length: 99999999999\\r\\n\\r\\n"
            post = b"POST /2018-06-01/runtime/invocation/x/response HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\nzz\\r\\n"
            for data in (b"\\0" * 5000, b"GET /" + b"a" * 2_000_000, init, post):
                one = socket.create_connection((host, int(port)))
                one.settimeout(1)
                try:
                    one.sendall(data)
                    ends.append(len(one.recv(100)))
                except OSError as error:
                    ends.append(type(error).__name__)
            many = [socket.create_connection((host, int(port))) for _ in range(100)]
            return ends
        """
    )
    await functions.answer(spec)
    assert await functions.answer(functions.make("def handler(event, context): return 1")) == 1
    bodies = functions.make(
        """
        import os, socket, threading
        def post(host, port):
            one = socket.create_connection((host, int(port)))
            try:
                one.sendall(b"POST /2018-06-01/runtime/invocation/x/response HTTP/1.1\\r\\nContent-Length: 60000000\\r\\n\\r\\n")
                one.sendall(bytes(60_000_000))
            except OSError:
                pass
        def handler(event, context):
            threads = [threading.Thread(target=post, args=os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")) for _ in range(8)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
        """,
        memory_mb=1024,
    )
    before = _resident()
    await functions.answer(bodies)
    assert _resident() - before < 100 << 20


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_the_answer_to_a_caller_is_the_handlers_even_when_it_holds_line_ends(functions: Functions) -> None:
    spec = functions.make("def handler(event, context): return context.client_context.custom")
    hostile = json.dumps({"custom": {"a": "b"}}).replace(" ", "\r\nLambda-Runtime-Aws-Request-Id: forged\r\n")
    result = await functions.run(spec, client_context=hostile, trace_id="Root=1\r\nContent-Length: 0\r\n\r\n")
    assert b"forged" not in result.payload or result.error == "Unhandled"
    assert await functions.answer(spec, client_context='{"custom": 1}') == 1
