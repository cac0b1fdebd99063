"""A place where a runtime waits for its function: the process tree, its sockets and its pipe, before any code is in it."""

import asyncio
import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from haar.clock import Ids
from haar.config import Config
from haar.execution import cgroups, processes, runtimes
from haar.execution.contract import Unavailable
from haar.execution.package import Tree, link_tree
from haar.execution.runtimes import Runtime
from haar.execution.sandbox import Bubblewrap, Mounts, python_command
from haar.execution.spawner import Child, Exit, Spawner

HAND_OVER_SECONDS = 20.0
SLOTS = 1000
FILES = 1024
FILE_BYTES = 16 << 30
RUNTIME_API_PORT = 9001
DEFAULT_PORT = 4566


@dataclass(slots=True)
class Box:
    """One environment's outside. `kind` runs in it; nothing of a function's is in it until `assign`."""

    id: str
    kind: str
    slot: int
    child: Child
    output: int
    """The reading end of standard output and error."""
    hand: socket.socket
    runtime_api: socket.socket
    """Listens for the runtime, inside."""
    platform: socket.socket
    """Listens for calls of AWS's API, inside."""
    group: cgroups.Group | None
    directory: Path
    """The box's own, for code that is put in later."""
    variables: dict[str, str] = field(default_factory=dict)
    """What only the box knows: addresses and paths."""
    _halted: list[int] = field(default_factory=list)

    def assign(self, variables: Mapping[str, str]) -> None:
        """Tells the runtime its function; the runtime starts."""
        text = "\0".join(f"{name}={value}" for name, value in {**variables, **self.variables}.items()).encode("utf-8", "surrogateescape")
        self.hand.setblocking(True)  # a few kilobytes into an empty socket
        self.hand.sendall(len(text).to_bytes(4, "big") + text)
        self.hand.close()

    def freeze(self) -> None:
        if self.group is None or not self.group.freeze():
            self._halted = processes.stop(self.child.pid)

    def thaw(self) -> None:
        if self.group is not None and self.group.frozen:
            self.group.thaw()
        elif self._halted:
            processes.resume(reversed(self._halted))
            self._halted = []

    def anonymous_bytes(self) -> int:
        counted = self.group.anonymous_bytes() if self.group is not None else None
        return processes.anonymous_bytes(self.child.pid) if counted is None else counted

    def peak_bytes(self) -> int:
        counted = self.group.peak_bytes() if self.group is not None else None
        return processes.peak_bytes(self.child.pid) if counted is None else counted


class Boxes:
    """Makes boxes and takes them away."""

    def __init__(self, config: Config, directory: Path, spawner: Spawner, hierarchy: cgroups.Hierarchy | None, ids: Ids) -> None:
        self._config = config
        self._directory = directory
        self._spawner = spawner
        self._hierarchy = hierarchy
        self._ids = ids
        self._bubblewrap = Bubblewrap(directory, egress=config.egress == "on") if config.sandbox == "bubblewrap" else None
        self._filter = -1
        self._slots = set(range(SLOTS))
        self.isolated = self._bubblewrap is not None
        self.port = config.port if config.port >= 1024 and config.port != RUNTIME_API_PORT else DEFAULT_PORT
        """The platform's port as seen from inside."""

    async def prepare(self) -> None:
        await asyncio.to_thread(prepare_python, self._directory / "python")
        if self._bubblewrap is not None:
            await asyncio.to_thread(self._bubblewrap.prepare)
            if self._bubblewrap.filter:
                self._filter = os.memfd_create("haar-filter", os.MFD_CLOEXEC)
                os.write(self._filter, self._bubblewrap.filter)

    def close(self) -> None:
        if self._filter >= 0:
            os.close(self._filter)
            self._filter = -1

    async def open(self, runtime: Runtime, memory_mb: int, ephemeral_mb: int, code: Tree | None, layers: Tree | None) -> Box:
        """A box with `code` and `layers` in it; without code, one that `fill` puts them into. Raises Unavailable."""
        if not self._slots:
            raise Unavailable("all execution environments are in use")
        slot = self._slots.pop()
        id = self._ids.text(20)
        directory = self._directory / "boxes" / id
        try:
            return await self._open(id, slot, directory, runtime, memory_mb, ephemeral_mb, code, layers)
        except BaseException:
            self._slots.add(slot)
            shutil.rmtree(directory, ignore_errors=True)
            raise

    async def _open(
        self,
        id: str,
        slot: int,
        directory: Path,
        runtime: Runtime,
        memory_mb: int,
        ephemeral_mb: int,
        code: Tree | None,
        layers: Tree | None,
    ) -> Box:
        task, opt = directory / "task", directory / "opt"
        if code is None:
            task.mkdir(parents=True)
            opt.mkdir()
        else:
            task = code.path
            opt = layers.path if layers is not None else opt
        group = self._hierarchy.group(id, memory_mb, ephemeral_mb) if self._hierarchy is not None else None
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe2(os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
        try:
            mounts = Mounts(task, self._runtime_directory(runtime), opt if code is None or layers is not None else None)
            argv, env, fds, sockets, variables = self._command(runtime, mounts, memory_mb, ephemeral_mb, slot, theirs.fileno())
            child = await self._spawner.spawn(
                id, argv, env, [writing, *fds], cgroups=group.paths if group else (), settings=group.settings if group else (),
                rlimits=_rlimits(), own_group=self._bubblewrap is None,
            )  # fmt: skip
            os.close(writing)
            writing = -1
            theirs.close()
            if not sockets:
                sockets = await _handed_over(ours, child, reading)
        except BaseException:
            ours.close()
            theirs.close()
            os.close(reading)
            if writing >= 0:
                os.close(writing)
            raise
        return Box(id, runtime.kind, slot, child, reading, ours, sockets[0], sockets[1], group, directory, variables)

    def _command(
        self, runtime: Runtime, mounts: Mounts, memory_mb: int, ephemeral_mb: int, slot: int, hand: int
    ) -> tuple[list[str], dict[str, str], list[int], list[socket.socket], dict[str, str]]:
        kind = {"python": "python", "node": "node", "provided": "command"}[runtime.kind]
        if self._bubblewrap is not None:
            inner = python_command(kind, self.port, runtime_command(runtime, "/var/task", "/var/runtime", memory_mb))
            filtering = self._filter >= 0
            argv = self._bubblewrap.command(inner, mounts, ephemeral_mb=ephemeral_mb, slot=slot, filter_fd=4 if filtering else None)
            variables = {
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{RUNTIME_API_PORT}", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
                "LAMBDA_TASK_ROOT": "/var/task", "LAMBDA_RUNTIME_DIR": "/var/runtime",
            }  # fmt: skip
            if filtering:
                os.lseek(self._filter, 0, os.SEEK_SET)
                copy = os.memfd_create("haar-filter", os.MFD_CLOEXEC)
                os.write(copy, self._bubblewrap.filter)
                os.lseek(copy, 0, os.SEEK_SET)
                return argv, {}, [hand, copy], [], variables
            return argv, {}, [hand], [], variables
        sockets = [_loopback(), _loopback()]
        inner = python_command(kind, 0, runtime_command(runtime, str(mounts.task), str(mounts.runtime), memory_mb), str(runtimes.START))
        variables = {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{sockets[0].getsockname()[1]}",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{sockets[1].getsockname()[1]}",
            "LAMBDA_TASK_ROOT": str(mounts.task), "LAMBDA_RUNTIME_DIR": str(mounts.runtime), "_HAAR_OPT": str(mounts.opt or "/opt"),
        }  # fmt: skip
        return inner, {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "TZ": ":UTC"}, [hand], sockets, variables

    def _runtime_directory(self, runtime: Runtime) -> Path:
        return runtimes.NODE if runtime.kind == "node" else self._directory / "python"

    @staticmethod
    def fill(box: Box, code: Tree, layers: Tree | None) -> None:
        """Puts a function's code into a box that was opened without."""
        link_tree(code.path, box.directory / "task")
        if layers is not None:
            link_tree(layers.path, box.directory / "opt")

    def kill(self, box: Box) -> None:
        """Ends what is in a box."""
        self._spawner.kill(box.child)

    async def end(self, box: Box) -> Exit:
        """Ends what is in a box, and takes the box away."""
        self.kill(box)
        exit = await box.child.ended
        if box.group is not None:
            box.group.close()
        for kept in (box.hand, box.runtime_api, box.platform):
            kept.close()
        self._slots.add(box.slot)
        await asyncio.to_thread(shutil.rmtree, box.directory, ignore_errors=True)
        return exit


def runtime_command(runtime: Runtime, task: str, directory: str, memory_mb: int) -> list[str]:
    if runtime.kind == "node":
        heap = [f"--max-old-space-size={memory_mb * 9 // 10}", f"--max-semi-space-size={max(1, memory_mb * 5 // 100)}"]
        return [str(runtimes.node()), *heap, f"{directory}/bootstrap.mjs"]
    return [f"{task}/bootstrap"] if runtime.kind == "provided" else []


async def _handed_over(hand: socket.socket, child: Child, output: int) -> list[socket.socket]:
    """The two listening sockets from inside."""
    loop = asyncio.get_running_loop()
    hand.setblocking(False)
    ready = asyncio.Event()
    loop.add_reader(hand.fileno(), ready.set)
    child.ended.add_done_callback(lambda _: ready.set())
    try:
        async with asyncio.timeout(HAND_OVER_SECONDS):
            await ready.wait()
    except TimeoutError:
        raise Unavailable("an execution environment did not start in time") from None
    finally:
        loop.remove_reader(hand.fileno())
    numbers: list[int] = []
    with contextlib.suppress(BlockingIOError):  # nothing has come: the sandbox has ended
        _, numbers, _, _ = socket.recv_fds(hand, 16, 2)
    if len(numbers) != 2:
        os.set_blocking(output, False)
        try:
            said = os.read(output, 2000).decode("utf-8", "replace").strip()
        except BlockingIOError:
            said = ""
        raise Unavailable(f"the sandbox does not start: {said or 'it ended at once'}. Run `haar doctor` to see what is missing")
    return [socket.socket(fileno=number) for number in numbers]


def _loopback() -> socket.socket:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    return listening


def _rlimits() -> list[tuple[int, int, int]]:
    import resource

    limits = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, FILES), (resource.RLIMIT_FSIZE, FILE_BYTES)]
    found = []
    for number, wanted in limits:
        _, hard = resource.getrlimit(number)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        found.append((number, value, value))
    return found


PACKAGES = (
    "awslambdaric", "runtime_client", "snapshot_restore_py", "simplejson",
    "boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3",
)  # fmt: skip


def prepare_python(target: Path) -> None:
    """Gathers, under second names, the packages that a Python function finds: those and no others of haar's own."""
    import sysconfig

    target.mkdir(parents=True, exist_ok=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": sys.prefix, "platbase": sys.prefix}))
    for path in sorted(site.iterdir()):
        if path.name.split(".")[0] in PACKAGES and not path.name.endswith(".dist-info"):
            _link_or_copy(path, target / path.name)


def _link_or_copy(source: Path, target: Path) -> None:
    copy = os.link if source.stat().st_dev == target.parent.stat().st_dev else shutil.copy2
    if source.is_dir():
        shutil.copytree(source, target, copy_function=copy, dirs_exist_ok=True)
    elif not target.exists():
        copy(source, target)
