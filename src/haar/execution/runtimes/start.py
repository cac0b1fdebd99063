"""The first program in an environment: makes the way in, waits to be told its function, and becomes its runtime.

    start.py KIND PORT COMMAND…

Descriptor 3 is a Unix socket to haar. Listening sockets for the Runtime API (9001) and the platform (PORT) go out over it; then the
environment variables come in, four bytes of length and NAME=VALUE between NULs. KIND says what follows: `python` (or `python+sdk`,
which imports boto3 while it waits) goes on in this very process, since starting a second interpreter would cost more than the sandbox;
`node` becomes COMMAND, which reads the variables itself when there are some; and `command` becomes COMMAND with the variables, or the
package's own `bootstrap`; `image` becomes COMMAND of a container image, in the directory that is its
first word. With PORT 0 haar made the sockets. Runs with -I -S -E: the import of `site` is half of a start.
"""

import _socket
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HAAR = 3
RUNTIME_API = 9001
HTTPS, NAMES = 443, 53
"""AWS's own host names lead here."""
BACKLOG = 128
PROCESSES = 1024
START = sys.argv[0]
RUNTIME = "/var/runtime"
BASIC = ("json", "logging", "traceback", "decimal", "importlib")
"""What the runtime client itself imports: loaded before a function's code on AWS, too."""
STANDARD = (
    "datetime", "random", "http", "inspect", "email.parser", "socket", "ssl", "http.client", "typing", "urllib.request", "zipfile",
    "importlib.metadata", "uuid", "hashlib", "hmac", "concurrent.futures", "tempfile", "xml.etree.ElementTree",
    "select", "ctypes", "fcntl", "mmap",
)  # fmt: skip
SDK = ("boto3", "botocore", "s3transfer", "urllib3", "jmespath", "dateutil", "six")
SDK_STEPS = (
    "dateutil.tz", "dateutil.parser", "urllib3.util", "urllib3.connection", "urllib3", "botocore.vendored", "botocore.exceptions",
    "jmespath", "botocore.compat", "botocore.utils", "botocore.auth", "botocore.model", "botocore.httpchecksum", "botocore.httpsession",
    "botocore.endpoint", "botocore.client", "botocore.session", "s3transfer", "s3transfer.manager", "boto3.session", "boto3",
)  # fmt: skip
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, PR_CAPBSET_DROP, CAPABILITY_VERSION_3 = 47, 4, 24, 0x20080522
HELD = (10, 8)
"""CAP_NET_BIND_SERVICE, CAP_SETPCAP"""
BEFORE_START = ("LD_", "PYTHON", "MALLOC_", "GLIBC_")
"""Variables that a process reads before it can be told of them: such a function gets an interpreter of its own."""


def hand_over(hand: "_socket.socket", port: int) -> None:
    made = []
    for number in (RUNTIME_API, port, HTTPS):
        listening = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        listening.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", number))
        listening.listen(BACKLOG)
        made.append(listening)
    names = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    names.bind(("127.0.0.1", NAMES))
    made.append(names)
    give_up_capabilities()
    numbers = b"".join(listening.fileno().to_bytes(4, sys.byteorder) for listening in made)
    hand.sendmsg([b"L"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, numbers)])
    for listening in made:
        listening.close()


def give_up_capabilities() -> None:
    """Ports below 1024 took one, and giving it up for good another: none is left, nor can be had again. No `ctypes`: it costs 5 ms."""
    import _ctypes

    library = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # None is this process

    def call(name: str, *arguments: object) -> None:
        if _ctypes.call_function(_ctypes.dlsym(library, name), arguments) != 0:
            posix.write(2, b"haar: capabilities cannot be given up\n")
            posix._exit(1)

    call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for capability in HELD:
        call("prctl", PR_CAPBSET_DROP, capability, 0, 0, 0)
    call("capset", CAPABILITY_VERSION_3.to_bytes(4, sys.byteorder) + bytes(4), bytes(24))


def receive(hand: "_socket.socket") -> "dict[str, str]":
    def exactly(length: int) -> bytes:
        data = b""
        while len(data) < length:
            more = hand.recv(length - len(data))
            if not more:
                posix._exit(0)  # haar does not want this environment any more
            data += more
        return data

    data = exactly(int.from_bytes(exactly(4), "big"))
    return dict(entry.split("=", 1) for entry in data.decode("utf-8", "surrogateescape").split("\0") if entry)


def preload(hand: "_socket.socket", modules: "tuple[str, ...]") -> None:
    """Imports what functions need, while nobody waits; stops as soon as somebody does. Nothing here reads the environment."""
    for name in modules:
        try:
            hand.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
            return
        except BlockingIOError:
            __import__(name)


def give_way(directories: "list[str]", early: "set[str]") -> None:
    """Forgets what was imported early and is in the function's own code, too: that comes first, as if nothing had been imported."""
    import os

    own: set[str] = set()
    for directory in directories:
        try:
            own.update(name.partition(".")[0] for name in os.listdir(directory))
        except OSError:
            continue
    doomed = own & early
    if doomed & set(SDK):
        doomed |= set(SDK)
    if doomed:
        for name in [name for name in sys.modules if name.partition(".")[0] in doomed]:
            del sys.modules[name]


def limit() -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    wanted = PROCESSES if hard == resource.RLIM_INFINITY else min(PROCESSES, hard)
    resource.setrlimit(resource.RLIMIT_NPROC, (wanted, wanted))


def needs_own_interpreter(variables: "dict[str, str]") -> bool:
    given = posix.environ.get(b"LD_LIBRARY_PATH", b"").decode()
    if variables.get("LD_LIBRARY_PATH", given) != given:
        return True
    return any(name.startswith(BEFORE_START) for name in variables if name not in ("LD_LIBRARY_PATH", "PYTHONPATH"))


def become_python(variables: "dict[str, str]", early: "set[str]", snapped: "_socket.socket | None" = None) -> None:
    import _sitebuiltins
    import builtins
    import os
    import time

    os.environ.clear()
    os.environ.update(variables)
    os.environ["_LAMBDA_TELEMETRY_LOG_FD"] = str(os.dup(1))
    time.tzset()
    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    task, runtime = variables["LAMBDA_TASK_ROOT"], variables["LAMBDA_RUNTIME_DIR"]
    extra = [entry for entry in variables.get("PYTHONPATH", "").split(":") if entry and entry != runtime]
    asked = variables["AWS_EXECUTION_ENV"].removeprefix("AWS_Lambda_")  # what layers are made for
    versions = (asked, f"python{sys.version_info.major}.{sys.version_info.minor}")
    layers = [*(f"/opt/python/lib/{version}/site-packages" for version in versions), "/opt/python"]
    layers = [variables.get("_HAAR_OPT", "/opt") + entry[4:] for entry in layers]
    os.environ.pop("_HAAR_OPT", None)
    first = list(dict.fromkeys([task, *layers, *extra]))
    give_way(first, early)
    sys.path[:] = first + [entry for entry in sys.path if entry and entry != runtime] + [runtime]
    sys.argv = ["/var/runtime/bootstrap.py", variables["_HANDLER"]]
    os.chdir(task)
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]  # nobody has replaced it yet
    sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]  # nobody has replaced it yet

    from awslambdaric import bootstrap

    client = runtime_client(variables["AWS_LAMBDA_RUNTIME_API"])
    if snapped is not None:
        client.restore_next = lambda: snap(snapped)  # once the function is initialised and its hooks have run
    bootstrap.run(variables["_HANDLER"], client)


def runtime_client(address: str) -> "Any":
    """The runtime's own. Where the function hears of SIGTERM, a thread waits for events: the main one is free to hear."""
    import _signal  # type: ignore[import-not-found]  # no stubs

    from awslambdaric.lambda_runtime_client import LambdaRuntimeClient

    class Client(LambdaRuntimeClient):  # type: ignore[misc]  # it has no types
        def wait_next_invocation(self) -> "Any":
            if callable(_signal.getsignal(_signal.SIGTERM)) and not self.use_thread_for_polling_next:  # type: ignore[has-type]  # as above
                from concurrent.futures import ThreadPoolExecutor

                self.ThreadPoolExecutor = ThreadPoolExecutor
                self.use_thread_for_polling_next = True
            return super().wait_next_invocation()

    return Client(address)


def beside() -> None:
    """Makes the programs beside this one importable, before everything else."""
    sys.path.insert(0, START.rpartition("/")[0])


def snap(hand: "_socket.socket") -> None:
    """Writes this process down; returns in those that are made of it, when they know who they are."""
    beside()
    import haar_snapshot  # type: ignore[import-not-found]  # beside it in the sandbox

    sys.path.pop(0)
    haar_snapshot.take(hand)
    haar_snapshot.awake(receive(hand))
    hand.close()


def become_restored(hand: "_socket.socket") -> None:
    """This process becomes the one that an image shows. The image's descriptor comes with one byte of its own."""
    _, ancillary, _, _ = hand.recvmsg(1, _socket.CMSG_SPACE(4))
    beside()
    try:
        import haar_restore  # type: ignore[import-not-found]  # as above

        haar_restore.restore(int.from_bytes(ancillary[0][2][:4], sys.byteorder))
    except BaseException as error:  # noqa: BLE001 - whatever it is, this is no environment
        posix.write(2, ("haar: the snapshot cannot be restored: " + str(error) + "\n").encode())
    posix._exit(87)


def main() -> None:
    if len(sys.argv) == 1:  # a second interpreter, started below with the variables as its environment
        become_python({name.decode(): value.decode("utf-8", "surrogateescape") for name, value in posix.environ.items()}, set())
        return
    kind, port, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    if port:
        limit()
    hand = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, HAAR)
    if port:
        hand_over(hand, port)
    if kind == "node":
        posix.set_inheritable(HAAR, True)
        posix.execv(command[0], command)
    early: set[str] = set()
    if kind.startswith("python"):
        sys.path.append(RUNTIME)
        preload(hand, BASIC)
        before = set(sys.modules)
        preload(hand, STANDARD)
        beside()
        preload(hand, ("haar_restore",))
        sys.path.pop(0)
        preload(hand, SDK_STEPS if kind == "python+sdk" else ())
        early = {name.partition(".")[0] for name in set(sys.modules) - before}
        kind = "python"
    variables = receive(hand)
    if variables.pop("_HAAR_EXTENSIONS", ""):
        supervise(hand, variables)
    snapshot = variables.pop("_HAAR_SNAPSHOT", "")
    if snapshot == "restore":
        become_restored(hand)
    if snapshot != "take":
        hand.close()
    if kind == "image":
        become_image(variables, command[0], command[1:])
    wrapper = variables.get("AWS_LAMBDA_EXEC_WRAPPER")
    if kind == "python" and not wrapper and not needs_own_interpreter(variables):
        become_python(variables, early, hand if snapshot == "take" else None)
        return
    if kind == "python":
        # AWS's tutorial on wrappers adds options before the last word, which has to be the program.
        command = [sys.executable, "-S", "-P", sys.argv[0]] if sys.version_info >= (3, 11) else command
    posix.chdir(variables["LAMBDA_TASK_ROOT"])
    if command and wrapper:  # a package's own `bootstrap` has none
        check_wrapper(wrapper)
        command = [wrapper, *command]
    if not command:
        places = [variables["LAMBDA_TASK_ROOT"] + "/bootstrap", variables.get("_HAAR_OPT", "/opt") + "/bootstrap"]
        command = [place for place in places if exists(place)][:1]
        if not command:
            give_up(variables, "Couldn't find valid bootstrap(s): [" + " ".join(places) + "]")
    command = [variables["_HANDLER"] if part == "$_HANDLER" else part for part in command]
    try:
        posix.execve(command[0], command, variables)
    except OSError as error:
        give_up(variables, "fork/exec " + command[0] + ": " + str(error.strerror).lower())


def check_wrapper(wrapper: str) -> None:
    """Ends as the shell script does that starts AWS's runtimes."""
    for fine, status, wrong in (
        (exists(wrapper), 127, ": does not exist\n"),
        (posix.access(wrapper, posix.X_OK), 126, ": is not an executable\n"),
    ):
        if not fine:
            posix.write(1, wrapper.encode("utf-8", "surrogateescape") + wrong.encode())
            posix._exit(status)


def become_image(variables: "dict[str, str]", directory: str, command: "list[str]") -> None:
    """The image's entry point, found on the image's PATH."""
    try:
        posix.chdir(directory)
    except OSError as error:
        give_up(variables, "chdir " + directory + ": " + str(error.strerror).lower(), "Runtime.InvalidWorkingDir")
    if not command:
        give_up(variables, "the image has neither an entry point nor a command")
    program = command[0]
    if "/" not in program:
        places = [place + "/" + program for place in variables.get("PATH", "").split(":") if place]
        program = next((place for place in places if exists(place)), "")
        if not program:
            give_up(variables, 'exec: "' + command[0] + '": executable file not found in $PATH')
    try:
        posix.execve(program, command, variables)
    except OSError as error:
        give_up(variables, "fork/exec " + program + ": " + str(error.strerror).lower())


def supervise(hand: "_socket.socket", variables: "dict[str, str]") -> None:
    """This process watches over the function's external extensions; what goes on is a child of it."""
    sys.path.append(sys.argv[0].rpartition("/")[0])
    from supervise import run  # type: ignore[import-not-found]  # as above

    sys.path.pop()
    run(hand, variables)


def exists(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def give_up(variables: "dict[str, str]", message: str, kind: str = "Runtime.InvalidEntrypoint") -> None:
    """Tells the Runtime API that there is nothing to start."""
    host, port = variables["AWS_LAMBDA_RUNTIME_API"].split(":")
    body = message.encode()
    head = "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nLambda-Runtime-Function-Error-Type: " + kind + "\r\n"
    told = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    told.connect((host, int(port)))
    told.send(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    told.recv(1000)
    posix._exit(1)


if __name__ == "__main__":
    main()
