"""Control groups, version 1 or 2, where the host lets us write them: memory, CPU time, number of processes, freezing.

haar's groups are below its own group, in one that is named `haar-PID-…`: the sum of all functions is bounded there, and each
environment has a group in it. A function's /tmp is memory to the kernel and not to Lambda, so the hard limit is MemorySize and the size
of /tmp together; what its processes have written to is watched against MemorySize alone (`environment`).
"""

import contextlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

CONTROLLERS = ("memory", "cpu", "pids", "freezer")
PROCESSES = 1024
TCP_BYTES = "memory.kmem.tcp.limit_in_bytes"
PERIOD_US = 20_000
MB_PER_CORE = 1769
STAT_BYTES = 8192
OVERHEAD_MB = 16
"""The kernel's own accounts and the sandbox's first processes."""


@dataclass(slots=True)
class Group:
    """One environment's groups: where they are, and what the nursery writes before anything runs in them."""

    version: int
    directories: dict[str, str]
    """By controller; the same one for all in version 2."""
    settings: list[tuple[str, str]]
    _freezer: int = -1
    _peak: int = -1
    _stat: int = -1
    frozen: bool = False

    @property
    def paths(self) -> list[str]:
        return list(dict.fromkeys(self.directories.values()))

    def freeze(self) -> bool:
        """Halts the environment; False where no freezer is."""
        return self._freeze(b"FROZEN" if self.version == 1 else b"1", True)

    def thaw(self) -> None:
        if self.frozen:
            self._freeze(b"THAWED" if self.version == 1 else b"0", False)

    def _freeze(self, value: bytes, frozen: bool) -> bool:
        if "freezer" not in self.directories:
            return False
        if self._freezer < 0:
            name = "freezer.state" if self.version == 1 else "cgroup.freeze"
            self._freezer = os.open(f"{self.directories['freezer']}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        os.write(self._freezer, value)
        self.frozen = frozen
        return True

    def set_memory(self, memory_mb: int, ephemeral_mb: int) -> None:
        for file, value in self.memory_settings(memory_mb, ephemeral_mb):
            _write(file, value)

    def memory_settings(self, memory_mb: int, ephemeral_mb: int) -> list[tuple[str, str]]:
        if "memory" not in self.directories:
            return []
        limit = str((memory_mb + ephemeral_mb + OVERHEAD_MB) << 20)
        directory = self.directories["memory"]
        if self.version == 2:
            return [(f"{directory}/memory.max", limit)]
        settings = [(f"{directory}/memory.limit_in_bytes", limit)]
        if Path(f"{Path(directory).parent}/{TCP_BYTES}").exists():  # what is on its way in connections is counted apart
            settings.append((f"{directory}/{TCP_BYTES}", limit))
        return settings

    def throttle(self, memory_mb: int) -> bool:
        """Gives the environment its share of a core and no more."""
        quota = max(1000, PERIOD_US * memory_mb // MB_PER_CORE)
        return self._cpu(str(quota))

    def unthrottle(self) -> None:
        self._cpu("-1" if self.version == 1 else "max")

    def weigh(self, *, waiting: bool) -> None:
        """What waits for a function imports only what the processor has no other use for."""
        if "cpu" in self.directories:
            name, values = ("cpu.shares", ("2", "1024")) if self.version == 1 else ("cpu.weight", ("1", "100"))
            _write(f"{self.directories['cpu']}/{name}", values[0 if waiting else 1])

    def _cpu(self, quota: str) -> bool:
        if "cpu" not in self.directories:
            return False
        directory = self.directories["cpu"]
        if self.version == 1:
            return _write(f"{directory}/cpu.cfs_quota_us", quota)
        return _write(f"{directory}/cpu.max", f"{quota} {PERIOD_US}")

    def anonymous_bytes(self) -> int | None:
        """Memory that the environment has written to, without its /tmp; None where it is not counted."""
        if "memory" not in self.directories:
            return None
        name = b"\nrss " if self.version == 1 else b"\nanon "
        try:
            if self._stat < 0:
                self._stat = os.open(f"{self.directories['memory']}/memory.stat", os.O_RDONLY | os.O_CLOEXEC)
            text = b"\n" + os.pread(self._stat, STAT_BYTES, 0)
        except OSError:  # the group is gone
            return None
        start = text.find(name)
        return None if start < 0 else int(text[start + len(name) : text.index(b"\n", start + 1)])

    def peak_bytes(self) -> int | None:
        """The most memory that was in use, /tmp and cached files included; None where it is not counted."""
        if self._peak < 0:
            if "memory" not in self.directories:
                return None
            for name in ("memory.max_usage_in_bytes",) if self.version == 1 else ("memory.peak", "memory.current"):
                with contextlib.suppress(OSError):
                    self._peak = os.open(f"{self.directories['memory']}/{name}", os.O_RDONLY | os.O_CLOEXEC)
                    break
            else:
                return None
        try:
            return int(os.pread(self._peak, 32, 0))
        except OSError:  # the group is gone
            return None

    def close(self) -> None:
        for fd in (self._freezer, self._peak, self._stat):
            if fd >= 0:
                os.close(fd)
        self._freezer = self._peak = self._stat = -1


@dataclass(slots=True)
class Hierarchy:
    """Where haar may make groups."""

    version: int
    bases: dict[str, str]
    """haar's own group by controller."""
    name: str
    missing: list[str] = field(default_factory=list)

    def prepare(self, budget_mb: int) -> None:
        """Makes haar's group and bounds the sum of all environments."""
        for path in self.paths():
            Path(path).mkdir(exist_ok=True)
        weight, value = ("cpu.shares", "512") if self.version == 1 else ("cpu.weight", "50")  # half of what haar itself has
        if "cpu" in self.bases:
            _write(f"{self.bases['cpu']}/{self.name}/{weight}", value)
        if self.version == 1:
            if "memory" in self.bases:
                _write(f"{self.bases['memory']}/{self.name}/memory.use_hierarchy", "1")
                _write(f"{self.bases['memory']}/{self.name}/memory.limit_in_bytes", str(budget_mb << 20))
        else:
            _enable(Path(self.paths()[0]))
            _write(f"{self.paths()[0]}/memory.max", str(budget_mb << 20))

    def paths(self) -> list[str]:
        return list(dict.fromkeys(f"{base}/{self.name}" for base in self.bases.values()))

    def group(self, id: str, memory_mb: int, ephemeral_mb: int) -> Group:
        """A new environment's groups (they are made by the nursery)."""
        group = Group(self.version, {controller: f"{base}/{self.name}/{id}" for controller, base in self.bases.items()}, [])
        group.settings = group.memory_settings(memory_mb, ephemeral_mb)
        group.settings += self._extras(group)
        if "pids" in self.bases:
            group.settings.append((f"{group.directories['pids']}/pids.max", str(PROCESSES)))
        if "cpu" in self.bases and self.version == 1:
            group.settings.append((f"{group.directories['cpu']}/cpu.cfs_period_us", str(PERIOD_US)))
        return group

    def _extras(self, group: Group) -> list[tuple[str, str]]:
        """What not every kernel has: no swap instead of memory, and all of an environment ends when memory does."""
        if "memory" not in self.bases:
            return []
        wanted = [("memory.swappiness", "0")] if self.version == 1 else [("memory.swap.max", "0"), ("memory.oom.group", "1")]
        above = f"{self.bases['memory']}/{self.name}"
        return [(f"{group.directories['memory']}/{file}", value) for file, value in wanted if Path(f"{above}/{file}").exists()]

    def remove(self) -> None:
        for path in self.paths():
            remove(Path(path))


def detect(token: str) -> Hierarchy | None:
    """Where groups may be made, or None."""
    paths = own_groups()
    mounts = _mounts()
    bases: dict[str, str] = {}
    for controller in CONTROLLERS:
        if controller in mounts and controller in paths:
            point, root = mounts[controller]
            path = paths[controller]
            base = f"{point}/{os.path.relpath(path, root)}" if path.startswith(root.rstrip("/") + "/") or path == root else point
            base = os.path.normpath(base)
            if os.access(base, os.W_OK) and os.access(f"{base}/cgroup.procs", os.W_OK):
                bases[controller] = base
    name = f"haar-{os.getpid()}-{token}"
    if bases:
        return Hierarchy(1, bases, name, [controller for controller in CONTROLLERS if controller not in bases])
    if "" in mounts and "" in paths:
        base = os.path.normpath(f"{mounts[''][0]}/{paths[''].lstrip('/')}")
        available = _read(f"{base}/cgroup.controllers").split()
        wanted = [controller for controller in ("memory", "cpu", "pids") if controller in available]
        if wanted and os.access(base, os.W_OK) and _delegated(Path(base)):
            bases = dict.fromkeys([*wanted, "freezer"], base)
            return Hierarchy(2, bases, name, [controller for controller in CONTROLLERS if controller not in bases])
    return None


def own_groups() -> dict[str, str]:
    """This process's group by controller; by "" in version 2."""
    found = {}
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def _mounts() -> dict[str, tuple[str, str]]:
    """Where each controller is mounted, and what of its tree."""
    found: dict[str, tuple[str, str]] = {}
    for line in _read("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        root, point = before.split(" ")[3:5]
        if kind == "cgroup2":
            found.setdefault("", (point, root))
        elif kind == "cgroup":
            for controller in CONTROLLERS:
                if controller in options.split(" ")[-1].split(","):
                    found.setdefault(controller, (point, root))
    return found


def _delegated(base: Path) -> bool:
    """Makes controllers usable below haar's own group: version 2 wants groups either to hold processes or to be divided.

    haar, when alone in its group, moves into a leaf of it. In a group that others are in, or that is not ours to divide, nothing changes.
    """
    if _enable(base):
        return True
    others = [pid for pid in _read(str(base / "cgroup.procs")).split() if pid != str(os.getpid())]
    if others:
        return False
    leaf = base / "haar-itself"
    try:
        leaf.mkdir(exist_ok=True)
    except OSError:
        return False
    if _write(str(leaf / "cgroup.procs"), str(os.getpid())) and _enable(base):
        return True
    _write(str(base / "cgroup.procs"), str(os.getpid()))
    return False


def _enable(directory: Path) -> bool:
    available = _read(str(directory / "cgroup.controllers")).split()
    wanted = {controller for controller in ("memory", "cpu", "pids") if controller in available}
    control = str(directory / "cgroup.subtree_control")
    return wanted <= set(_read(control).split()) or _write(control, " ".join(f"+{controller}" for controller in sorted(wanted)))


def clean(hierarchy: Hierarchy) -> None:
    """Removes the groups of a haar that was killed together with its nursery."""
    for base in dict.fromkeys(hierarchy.bases.values()):
        for path in Path(base).glob("haar-*-*"):
            match = re.fullmatch(r"haar-(\d+)-[a-z0-9]+", path.name)
            if match and not Path(f"/proc/{match[1]}").exists():
                remove(path)


def remove(directory: Path) -> None:
    """Ends what is in a group, and removes it."""
    for child in [path for path in directory.glob("*") if path.is_dir()]:
        remove(child)
    for pid in _read(str(directory / "cgroup.procs")).split():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(int(pid), 9)
    with contextlib.suppress(OSError):  # something is still ending: the next start removes it
        directory.rmdir()


def _write(file: str, value: str) -> bool:
    try:
        Path(file).write_text(value)
    except OSError:
        return False
    return True


def _read(file: str) -> str:
    try:
        return Path(file).read_text()
    except OSError:
        return ""


def budget_mb(configured: int) -> int:
    """Memory for all functions together: as configured, or three quarters of what the host, or the container that haar is in, has."""
    if configured:
        return configured
    found = [1 << 30]
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            found = [int(line.split()[1]) << 10]
    paths, mounts = own_groups(), _mounts()
    for controller, file in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
        if controller in paths and controller in mounts:
            point, root = mounts[controller]
            path = paths[controller]
            for directory in {point, f"{point}/{path}", f"{point}/{path.removeprefix(root)}"}:
                text = _read(f"{directory}/{file}").strip()
                found += [int(text)] if text.isdigit() else []
    return max(1, min(found) * 3 // 4 >> 20)
