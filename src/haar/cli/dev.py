"""`haar dev`: a function whose code is a directory; what is saved is what the next invocation runs."""

import importlib.util
import io
import json
import os
import re
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NamedTuple

import typer

from haar.cli.clients import answering, client
from haar.cli.env import describe
from haar.cli.logs import Follower
from haar.cli.options import Data
from haar.cli.say import complain, hint, say
from haar.config import load

ROLE = "haar-dev"
POLICY = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
TIMEOUT = 30
MEMORY = 512
TAKE_UP_SECONDS = 10.0
POLL_SECONDS = 0.3
MAX_PACKAGE = 50_000_000
"""Bytes of a directory that is also deployed, so that the function stays when `haar dev` ends."""
NAMES = ("app", "lambda_function", "index", "handler", "main", "lambda")
PYTHON = re.compile(r"^(?:async\s+)?def\s+(lambda_handler|handler|main)\s*\(", re.MULTILINE)
NODE = re.compile(r"(?:exports\.|export\s+(?:const|let|var|async\s+function|function)\s+)(lambda_?[hH]andler|handler)\b")
KINDS = {"py": "python", "mjs": "nodejs", "js": "nodejs", "cjs": "nodejs"}
NODE_RUNTIME = "nodejs22.x"
"""Where no Node.js is installed to say which."""


PYTHON_PORT, NODE_PORT = 5678, 9229


class Guess(NamedTuple):
    runtime: str
    handler: str


def add_to(app: typer.Typer) -> None:
    app.command("dev")(dev)


def dev(
    directory: Annotated[Path, typer.Argument(help="The directory with the code, laid out as a package.", exists=True, file_okay=False)],
    name: Annotated[str, typer.Option(help="The function's name. (default: the directory's)", show_default=False)] = "",
    handler: Annotated[str, typer.Option(help="FILE.FUNCTION. (default: guessed)", show_default=False)] = "",
    runtime: Annotated[str, typer.Option(help="python3.12, nodejs22.x, provided.al2023 … (default: guessed)", show_default=False)] = "",
    role: Annotated[str, typer.Option(help=f"The execution role's ARN. (default: {ROLE}, made when missing)", show_default=False)] = "",
    timeout: Annotated[int | None, typer.Option(help=f"Seconds. (default: {TIMEOUT} for a new function)", show_default=False)] = None,
    memory: Annotated[int | None, typer.Option(help=f"MB. (default: {MEMORY} for a new function)", show_default=False)] = None,
    env: Annotated[list[str] | None, typer.Option(help="A variable of its environment: NAME=VALUE. May be repeated.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Invocations wait for a debugger, and do not time out.")] = False,
    debug_port: Annotated[int, typer.Option(help="Where it attaches. (default: 5678 Python, 9229 Node.js)", show_default=False)] = 0,
    data: Data = None,
) -> None:
    """Runs a function from DIRECTORY: save a file, and the next invocation runs it. Shows its logs until Ctrl-C.

    Makes the function when it is not there. What the directory holds at the end stays its code.

    With --debug, attach to the port as to any process: in VS Code, "request": "attach" with the directory for the remote root /var/task.

    \b
    haar dev hello
    haar invoke hello '{"name": "you"}'      # in another terminal, or through its API
    """
    described = describe(data)
    source = directory.resolve()
    name = name or re.sub(r"[^a-zA-Z0-9-_]", "-", source.name)
    settings: dict[str, Any] = {"Timeout": timeout, "MemorySize": memory, "Role": role or None, "Environment": _variables(env)}
    with answering(described):
        functions = client(described, "lambda")
        guess = Guess(runtime, handler) if runtime and handler else guessed(source, runtime, handler)
        settings |= {"Runtime": guess.runtime, "Handler": guess.handler}
        arn = _deploy(described, functions, name, source, {key: value for key, value in settings.items() if value is not None})
        mount = {"arn": arn, "directory": str(source), "pid": os.getpid()} | (_debugger(guess.runtime, debug_port) if debug else {})
        with _interruptible(), _mounted(load({"data": data}).data.resolve(), mount):
            say(f"{name} runs {source} ({guess.runtime}, {guess.handler})")
            say(f"Next, in another terminal: haar invoke {name} '{{}}'; Ctrl-C ends this\n")
            if debug:
                say(f"Debuggers attach to 127.0.0.1:{mount['debug']}; the code is in /var/task there; invocations wait for one\n")
            group = functions.get_function_configuration(FunctionName=arn)["LoggingConfig"]["LogGroup"]
            follower = Follower(client(described, "logs"), group, int(time.time() * 1000))
            try:
                while True:
                    follower.show()
                    time.sleep(POLL_SECONDS)
            except KeyboardInterrupt:
                follower.show()
            package = _package(source)
            if package is not None:
                functions.update_function_code(FunctionName=arn, ZipFile=package)
        say(f"\n{name} keeps the code as it is now" if package else f"\n{source} is too large to stay {name}'s code")


def _variables(given: list[str] | None) -> dict[str, Any] | None:
    if not given:
        return None
    pairs = [each.partition("=") for each in given]
    if wrong := [name for name, equals, _ in pairs if not equals or not name]:
        raise complain(f"--env {wrong[0]}: NAME=VALUE")
    return {"Variables": {name: value for name, _, value in pairs}}


def guessed(directory: Path, runtime: str, handler: str) -> Guess:
    """The runtime and the handler by the files that are there; complains when they do not tell."""
    if (directory / "bootstrap").is_file() and not runtime.startswith(("python", "nodejs")):
        return Guess(runtime or "provided.al2023", handler or "bootstrap")
    if handler and not runtime:
        file = handler.rpartition(".")[0]
        found = [suffix for suffix in KINDS if (directory / f"{file}.{suffix}").is_file()]
        if found:
            return Guess(installed(KINDS[found[0]]), handler)
    suffixes = [suffix for suffix in KINDS if not runtime or runtime.startswith(KINDS[suffix])]
    files = [directory / f"{name}.{suffix}" for name in NAMES for suffix in suffixes]
    files += [path for suffix in suffixes for path in sorted(directory.glob(f"*.{suffix}")) if path not in files]
    for path in files:
        if path.is_file() and (function := _handler(path)):
            return Guess(runtime or installed(KINDS[path.suffix[1:]]), handler or f"{path.stem}.{function}")
    raise complain(
        f"{directory} does not tell what its handler is: no file there has a function named handler or lambda_handler. "
        "Name it: --handler FILE.FUNCTION --runtime RUNTIME (haar runtimes lists them)"
    )


def installed(kind: str) -> str:
    """The identifier of the version that is here: nothing need stand in for it."""
    from haar.execution.runtimes import UnknownRuntime, node_version

    if kind == "python":
        return f"python{sys.version_info.major}.{sys.version_info.minor}"
    try:
        return f"nodejs{node_version().partition('.')[0]}.x"
    except UnknownRuntime:
        return NODE_RUNTIME


def _handler(path: Path) -> str:
    text = path.read_text(errors="replace")
    found = (PYTHON if path.suffix == ".py" else NODE).search(text)
    return found[1] if found else ""


def _deploy(described: dict[str, Any], functions: Any, name: str, source: Path, settings: dict[str, Any]) -> str:
    """Makes the function, or gives it the settings that were asked for; its ARN."""
    try:
        functions.get_function_configuration(FunctionName=name)
    except functions.exceptions.ResourceNotFoundException:
        settings = {"Timeout": TIMEOUT, "MemorySize": MEMORY, "Role": _role(described)} | settings
        made = functions.create_function(FunctionName=name, Code={"ZipFile": _package(source) or _package(None)}, **settings)
        functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        return str(made["FunctionArn"])
    changed = functions.update_function_configuration(FunctionName=name, **settings)
    functions.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    return str(changed["FunctionArn"])


def _role(described: dict[str, Any]) -> str:
    """The role for functions that name none: it may write logs."""
    iam = client(described, "iam")
    try:
        return str(iam.get_role(RoleName=ROLE)["Role"]["Arn"])
    except iam.exceptions.NoSuchEntityException:
        arn = str(iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"])
        iam.attach_role_policy(RoleName=ROLE, PolicyArn=POLICY)
        say(f"made the role {arn}: it may write logs; give it what the function needs, or name another: --role ARN")
        return arn


def _package(source: Path | None) -> bytes | None:
    """The directory as a zip archive; None when it is too large for one."""
    from haar.services.lambda_.development import files

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        if source is None:
            archive.writestr("README", "The code is a directory: haar dev")
            return buffer.getvalue()
        for path, _ in files(source):
            if (source / path).is_file():
                archive.write(source / path, path)
            if buffer.tell() > MAX_PACKAGE:
                return None
    return buffer.getvalue()


def _debugger(runtime: str, port: int) -> dict[str, Any]:
    """What a mount says of debugging; complains where it cannot be."""
    if runtime.startswith("nodejs"):
        return {"debug": port or NODE_PORT}
    if not runtime.startswith("python"):
        raise complain(f"--debug is for Python and Node.js, not for {runtime}")
    found = importlib.util.find_spec("debugpy")
    if found is None or not found.submodule_search_locations:
        raise complain(f"debugpy is not installed beside haar: {sys.executable} -m pip install debugpy")
    return {"debug": port or PYTHON_PORT, "debugpy": found.submodule_search_locations[0]}


@contextmanager
def _mounted(data: Path, mount: dict[str, Any]) -> Iterator[None]:
    """Has the platform run the function from the directory, for as long as this lasts."""
    place = data / "dev"
    place.mkdir(mode=0o700, exist_ok=True)
    file = place / (re.sub(r"[^a-zA-Z0-9-_]", "_", mount["arn"]) + ".json")
    live = file.with_suffix(".live")
    live.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
        json.dump(mount, written)
    try:
        end = time.monotonic() + TAKE_UP_SECONDS
        while not live.exists():
            if time.monotonic() > end:
                raise complain(f"the platform does not take up {file}: does it run on this machine, on this data directory?")
            time.sleep(POLL_SECONDS / 3)
        yield
    finally:
        file.unlink(missing_ok=True)
        live.unlink(missing_ok=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C and SIGTERM interrupt it, once: the second finds it putting the code away, and only the third breaks that off."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupted(number: int, frame: FrameType | None) -> None:
        handle(patient)
        raise KeyboardInterrupt

    def patient(number: int, frame: FrameType | None) -> None:
        handle(signal.default_int_handler)
        hint("the code is being put away; once more breaks that off")

    def handle(handler: Callable[[int, FrameType | None], None]) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, handler)

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    handle(interrupted)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
