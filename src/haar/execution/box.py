"""A place where a runtime waits for its function: the process tree, its sockets and its pipe, before any code is in it."""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from haar.clock import Ids
from haar.config import Config
from haar.execution import cgroups, egress, processes, runtimes
from haar.execution.contract import Listener, Surroundings, Unavailable
from haar.execution.doors import Doors
from haar.execution.images import Image
from haar.execution.imagetree import HOST
from haar.execution.names import NameServer
from haar.execution.package import Tree, link_tree
from haar.execution.python_packages import prepare_python
from haar.execution.runtimes import Runtime, java
from haar.execution.sandbox import Bubblewrap, Mounts, python_command
from haar.execution.spawner import Child, Exit, Spawner
from haar.tls import Authority

RUNTIME_DIRECTORIES = MappingProxyType({"node": runtimes.NODE, "ruby": runtimes.RUBY, "java": runtimes.JAVA})
HAND_OVER_SECONDS = 20.0
HANDED_OVER = 4
"""Sockets for the Runtime API, AWS's API, the same by TLS, and host names."""
SLOTS = 1000
FILES = 1024
FILE_BYTES = 16 << 30
RUNTIME_API_PORT = 9001
DEFAULT_PORT = 4566
OPTIONS, FILTER = 4, 5
"""The descriptors that bubblewrap reads its options and the system call filter from."""


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
    secure: socket.socket | None
    """Listens for those to AWS's own host names, by TLS."""
    names: socket.socket | None
    """Is asked where those hosts are (UDP)."""
    group: cgroups.Group | None
    directory: Path
    """The box's own, for code that is put in later."""
    variables: dict[str, str] = field(default_factory=dict)
    """What only the box knows: addresses and paths."""
    defaults: dict[str, str] = field(default_factory=dict)
    """Variables that the function may have otherwise."""
    network: Child | None = None
    """What connects it to the internet, if anything does."""
    _halted: list[int] = field(default_factory=list)
    _inside: int = 0
    """The first process in the box's network namespace, once it is known."""

    def assign(self, variables: Mapping[str, str], *, supervised: bool = False) -> None:
        """Tells the runtime its function; the runtime starts. When `supervised`, the socket stays open for what watches over it."""
        told = {**self.defaults, **variables, **self.variables}
        text = "\0".join(f"{name}={value}" for name, value in told.items()).encode("utf-8", "surrogateescape")
        self.hand.setblocking(True)  # a few kilobytes into an empty socket
        self.hand.sendall(len(text).to_bytes(4, "big") + text)
        if not supervised:
            self.hand.close()

    def restore(self, image: int, variables: Mapping[str, str]) -> None:
        """Has the process that waits become the one of an image, and then tells that one its variables."""
        first = b"_HAAR_SNAPSHOT=restore"
        self.hand.setblocking(True)
        self.hand.sendall(len(first).to_bytes(4, "big") + first)
        socket.send_fds(self.hand, [b"I"], [image])
        self.assign(variables)

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

    def sockets(self) -> int:
        """How many sockets it has; 0 where nothing is isolated: then nobody knows."""
        if self.secure is None:
            return 0
        if not self._inside:
            self._inside = next(iter(processes.tree(self.child.pid)[1:2]), 0)
        return processes.sockets(self._inside) if self._inside else 0

    def peak_bytes(self) -> int:
        counted = self.group.peak_bytes() if self.group is not None else None
        return processes.peak_bytes(self.child.pid) if counted is None else counted


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a box is to be for."""

    runtime: Runtime
    memory_mb: int
    ephemeral_mb: int
    code: Tree | None = None
    """None: it is put in later (`fill`), and so are layers."""
    layers: Tree | None = None
    image: Image | None = None
    """A container image, as the function overrides it: instead of code and layers."""
    sdk: bool = False
    """Whether boto3 is imported while the runtime waits."""
    own_bundle: bool = False
    """Whether the function says itself which certificates OpenSSL trusts, which Node.js does not mind on AWS."""

    @property
    def opt(self) -> Path | None:
        """What is to be /opt."""
        if self.image is not None:
            return self.image.root / "opt"
        return self.layers.path if self.layers is not None else None


@dataclass(slots=True)
class Inner:
    """A command line, and how what it starts is reached."""

    argv: list[str]
    env: dict[str, str]
    variables: dict[str, str]
    defaults: dict[str, str] = field(default_factory=dict)
    sockets: list[socket.socket] = field(default_factory=list)
    """Made by haar itself, where nothing is isolated; from inside otherwise."""
    files: list[bytes] = field(default_factory=list)
    """What the command reads from descriptors 4, 5, …"""


class Boxes:
    """Makes boxes and takes them away."""

    def __init__(self, config: Config, directory: Path, spawner: Spawner, hierarchy: cgroups.Hierarchy | None, ids: Ids) -> None:
        self._directory = directory
        self._data = config.data.resolve()
        self._cache = config.data.resolve() / "cache" / "runtimes"
        self._python = self._cache
        self._spawner = spawner
        self._hierarchy = hierarchy
        self._ids = ids
        self._egress = config.egress == "on"
        self._bubblewrap = Bubblewrap(directory, egress=self._egress) if config.sandbox == "bubblewrap" else None
        self._slots = set(range(SLOTS))
        self.isolated = self._bubblewrap is not None
        self.port = config.port if config.port >= 1024 and config.port != RUNTIME_API_PORT else DEFAULT_PORT
        """The platform's port as seen from inside."""

    async def prepare(self) -> None:
        self._python = await asyncio.to_thread(prepare_python, self._cache)
        if (bubblewrap := self._bubblewrap) is not None:
            await asyncio.to_thread(lambda: bubblewrap.prepare(Authority.ensure(self._data).path))
        else:
            link = self._cache.parent / "code" / "node_modules"  # where an `import` from a package ends its search
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(runtimes.NODE / "node_modules")

    async def open(self, wanted: Wanted) -> Box:
        """A box whose runtime waits in it. Raises Unavailable."""
        if not self._slots:
            raise Unavailable("all execution environments are in use")
        slot = self._slots.pop()
        id = self._ids.text(20)
        directory = self._directory / "boxes" / id
        group = self._hierarchy.group(id, wanted.memory_mb, wanted.ephemeral_mb) if self._hierarchy is not None else None
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe2(os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
        child: Child | None = None
        try:
            inner = self._inner(wanted, slot, directory)
            try:
                child = await self._spawn(id, inner, group, writing, theirs)
            finally:
                os.close(writing)
                theirs.close()
            sockets = inner.sockets or await _handed_over(ours, child, reading)
            network = await egress.attach(self._spawner, child) if self._egress and self.isolated else None
        except BaseException:
            ours.close()
            os.close(reading)
            if child is not None:
                self._spawner.kill(child)
                await child.ended
            self._slots.add(slot)
            shutil.rmtree(directory, ignore_errors=True)
            raise
        runtime_api, platform = sockets[:2]
        secure, names = sockets[2:] or (None, None)
        kind, variables, defaults = wanted.runtime.kind, inner.variables, inner.defaults
        return Box(
            id, kind, slot, child, reading, ours, runtime_api, platform, secure, names, group, directory, variables, defaults, network
        )  # fmt: skip

    async def _spawn(self, id: str, inner: Inner, group: cgroups.Group | None, output: int, hand: socket.socket) -> Child:
        files = []
        for content in inner.files:
            files.append(os.memfd_create("haar", os.MFD_CLOEXEC))
            os.write(files[-1], content)
            os.lseek(files[-1], 0, os.SEEK_SET)
        try:
            return await self._spawner.spawn(
                id,
                inner.argv,
                inner.env,
                [output, hand.fileno(), *files],
                cgroups=group.paths if group else (),
                settings=group.settings if group else (),
                rlimits=_rlimits(),
                own_group=not self.isolated,
            )
        finally:
            for file in files:
                os.close(file)

    def _inner(self, wanted: Wanted, slot: int, directory: Path) -> Inner:
        runtime = wanted.runtime
        kind: str = runtime.kind if runtime.kind == "python" or wanted.code is None else "command"
        if kind == "python" and wanted.sdk:
            kind = "python+sdk"
        mounts = self._mounts(wanted, directory)
        if self._bubblewrap is not None:
            if (image := wanted.image) is not None:
                entry = [image.working_directory, *image.entry_point, *image.command]
                program = python_command("image", self.port, entry, f"/{HOST}/rapid/start.py")
            else:
                trusting = [] if wanted.own_bundle else self._bubblewrap.trust.node_options()
                command = runtime_command(runtime, "/var/runtime", wanted.memory_mb, trusting)
                program = python_command(kind, self.port, command)
            argv = self._bubblewrap.command(program, slot, OPTIONS, image=image is not None)
            options = self._bubblewrap.options(mounts, ephemeral_mb=wanted.ephemeral_mb, slot=slot, filter_fd=FILTER)
            variables = {
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{RUNTIME_API_PORT}",
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
                "LAMBDA_TASK_ROOT": "/var/task",
                "LAMBDA_RUNTIME_DIR": "/var/runtime",
            }
            node = runtime.kind == "node" and not wanted.own_bundle
            trusted = self._bubblewrap.trust.variables(image.root if image is not None else None, node=node)
            return Inner(argv, {}, variables, trusted, files=[options, self._bubblewrap.filter])
        if wanted.image is not None:
            raise Unavailable("container images need the sandbox: start haar without --sandbox none")
        sockets = [_loopback(), _loopback()]
        command = runtime_command(runtime, str(mounts.runtime), wanted.memory_mb)
        outer = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "TZ": ":UTC"}
        variables = {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{sockets[0].getsockname()[1]}",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{sockets[1].getsockname()[1]}",
            "LAMBDA_TASK_ROOT": str(mounts.task),
            "LAMBDA_RUNTIME_DIR": str(mounts.runtime),
            "_HAAR_OPT": str(mounts.opt or "/opt"),
            "PATH": outer["PATH"],
            "LD_LIBRARY_PATH": "",
            "PYTHONPATH": str(mounts.runtime),
            "NODE_PATH": f"{mounts.opt or '/opt'}/nodejs/node_modules:{mounts.runtime}/node_modules",
        }
        return Inner(python_command(kind, 0, command, str(runtimes.START)), outer, variables, {}, sockets)

    def _mounts(self, wanted: Wanted, directory: Path) -> Mounts:
        runtime = RUNTIME_DIRECTORIES.get(wanted.runtime.kind, self._python)
        if wanted.image is not None:
            return Mounts(directory, runtime, image=wanted.image.root)
        if wanted.code is not None:
            return Mounts(wanted.code.path, runtime, wanted.layers.path if wanted.layers is not None else None)
        for name in ("task", "opt"):
            (directory / name).mkdir(parents=True)
        return Mounts(directory / "task", runtime, directory / "opt")

    @staticmethod
    def fill(box: Box, code: Tree, layers: Tree | None) -> None:
        """Puts a function's code into a box that was opened without."""
        link_tree(code.path, box.directory / "task")
        if layers is not None:
            link_tree(layers.path, box.directory / "opt")

    def doors(self, box: Box) -> Doors:
        """Ways to what listens in a box."""
        return Doors(self._spawner, box.child, isolated=self.isolated)

    def connect(self, box: Box, surroundings: Surroundings) -> list[Listener]:
        """Has the platform serve what the box's sockets are for, but for the Runtime API."""
        listeners = [surroundings.listen(box.platform, box.id)]
        if box.secure is not None and box.names is not None:
            listeners += [surroundings.listen_securely(box.secure), NameServer(box.names, surroundings.serves, egress=self._egress)]
        return listeners

    def kill(self, box: Box) -> None:
        """Ends what is in a box."""
        self._spawner.kill(box.child)

    async def end(self, box: Box) -> Exit:
        """Ends what is in a box, and takes the box away."""
        self.kill(box)
        if box.network is not None:
            self._spawner.kill(box.network)
        exit = await box.child.ended
        if box.group is not None:
            box.group.close()
        for kept in (box.hand, box.runtime_api, box.platform, box.secure, box.names):
            if kept is not None:
                kept.close()
        self._slots.add(box.slot)
        await asyncio.to_thread(shutil.rmtree, box.directory, ignore_errors=True)
        return exit


def runtime_command(runtime: Runtime, directory: str, memory_mb: int, node_options: Sequence[str] = ()) -> list[str]:
    if runtime.kind == "node":
        heap = [f"--max-old-space-size={memory_mb * 9 // 10}", f"--max-semi-space-size={max(1, memory_mb * 5 // 100)}"]
        return [str(runtimes.node()), *heap, *node_options, f"{directory}/bootstrap.cjs"]
    if runtime.kind == "ruby":
        return [str(runtimes.ruby()), "-EUTF-8", f"{directory}/bootstrap.rb"]
    if runtime.kind == "java":
        return java.command(java.homes()[int(runtime.version)], memory_mb)
    return []


async def _handed_over(hand: socket.socket, child: Child, output: int) -> list[socket.socket]:
    """The listening sockets from inside."""
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
        _, numbers, _, _ = socket.recv_fds(hand, 16, HANDED_OVER)
    if len(numbers) != HANDED_OVER:
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
