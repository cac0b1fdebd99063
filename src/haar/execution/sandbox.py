"""What an environment can see and do: the command line of bubblewrap, and the root directory that it starts from.

Inside there is `/usr`, an `/etc` of our own making, the function's code, its layers, its runtime and a `/tmp` of the configured size,
which alone can be written. As root, bubblewrap makes the namespaces and the first program gives up root for a user id of its own
(no two environments share one); as an ordinary user, it all happens in a user namespace. Either way: no capabilities, no new
privileges, no network but the environment's own loopback, and a system call filter (`seccomp`).
"""

import os
import py_compile
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from haar.execution import runtimes, seccomp
from haar.execution.imagetree import DEVICES, HOST, devices, has
from haar.execution.trust import AUTHORITY, BUNDLE, JAVA, Trust

FIRST_UID, UIDS = 61184, 1000
"""systemd's range of ids for dynamic users: nobody else's, and within 16 bits (containers map few ids)."""
USER, GROUP = 993, 990
"""Who a function is in a user namespace of its own; AWS's sbx_user1051."""
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
LIBRARY_PATH = "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
HELD = "-all,+net_bind_service,+setpcap"
"""The first program listens on ports below 1024; then it gives these up."""
FIRST_VARIABLES = {"LD_LIBRARY_PATH": LIBRARY_PATH, "TZ": ":UTC", "LANG": "en_US.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin"}
"""Before the function's own are known. None is secret: command lines can be read by others on the host."""
PT_INTERP = 3
LOADER_SECONDS = 10.0
DNS = "169.254.1.1"
"""Where pasta answers for the host's resolver."""


@dataclass(frozen=True, slots=True)
class Mounts:
    task: Path
    """/var/task"""
    runtime: Path
    """/var/runtime"""
    opt: Path | None = None
    """/opt: the merged layers"""
    image: Path | None = None
    """The root of a container image; then there is nothing else."""


class Bubblewrap:
    """Builds sandboxes below `directory`, a directory of this process's own."""

    def __init__(self, directory: Path, *, egress: bool) -> None:
        self._root = directory / "root"
        self._as_root = os.geteuid() == 0
        self._extra = [prefix for prefix in _prefixes() if not prefix.is_relative_to("/usr")]
        found = shutil.which("bwrap")
        self._bwrap = found or "bwrap"
        self._shell = _shell()
        self._setpriv = shutil.which("setpriv") or "/usr/bin/setpriv"
        self._egress = egress
        self._host = HostPrograms()
        self.trust = Trust(directory / "trust")
        self.filter = seccomp.program()
        """The system call filter for bubblewrap, or empty on an architecture that it is not written for."""

    def prepare(self, authority: Path) -> None:
        """Writes the root directory that environments are built on; `authority` is the certificate that they trust besides."""
        root = self._root
        self.trust.prepare(authority)
        for name in ("usr", "proc", "tmp", "var/task", "var/runtime", "var/rapid", "opt", "etc"):
            (root / name).mkdir(parents=True, exist_ok=True)
        devices(root / "dev")
        for name in MERGED:
            host = Path("/") / name
            if host.is_symlink():
                (root / name).symlink_to(host.readlink())
            elif host.is_dir():
                (root / name).mkdir()
                self._extra.append(host)
        for prefix in self._extra:
            (root / prefix.relative_to("/")).mkdir(parents=True, exist_ok=True)
        (root / "node_modules").symlink_to("/var/runtime/node_modules")  # where an `import` from /var/task ends its search
        (root / "var/node_modules").symlink_to("/opt/nodejs/node_modules")
        for program in (runtimes.START, runtimes.SUPERVISE, runtimes.SNAPSHOT, runtimes.RESTORE):
            written = root / "var/rapid" / program.name
            shutil.copyfile(program, written)
            py_compile.compile(str(written), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)  # inside, nothing is written
        _write_etc(root / "etc", self._egress)
        self._host.prepare([self._setpriv, str(runtimes.python())])

    def command(self, program: Sequence[str], slot: int, options_fd: int, *, image: bool = False) -> list[str]:
        """The command line that runs `program` in a sandbox whose options are read from a descriptor.

        From inside, command lines can be read; the options tell where things are on the host.
        `slot` tells environments apart that are there at the same time. In an `image`, `program` is run as the host's own.
        """
        first = [self._bwrap, "--args", str(options_fd), "--"]
        within = self._host.command if image else list
        if self._as_root:
            user = str(FIRST_UID + slot % UIDS)
            setpriv = [self._setpriv, "--reuid", user, "--regid", user, "--clear-groups"]
            setpriv += [f"--{kind}={HELD}" for kind in ("bounding-set", "inh-caps", "ambient-caps")]
            first += within(setpriv)
        return [*first, *within(program)]

    def options(self, mounts: Mounts, *, ephemeral_mb: int, slot: int, filter_fd: int) -> bytes:
        """bubblewrap's options, each followed by a NUL."""
        chosen: list[tuple[str, ...]] = [(f"--unshare-{kind}",) for kind in ("pid", "net", "ipc", "uts", "cgroup-try")]
        chosen += [("--die-with-parent",), ("--new-session",), ("--hostname", f"169-254-{100 + slot // 250}-{slot % 250}")]
        chosen.append(("--cap-drop", "ALL"))
        if self._as_root:
            chosen += [("--cap-add", capability) for capability in ("CAP_SETUID", "CAP_SETGID")]
        else:
            chosen += [("--unshare-user",), ("--uid", str(USER)), ("--gid", str(GROUP))]
        chosen += [("--cap-add", "CAP_NET_BIND_SERVICE"), ("--cap-add", "CAP_SETPCAP")]
        chosen.append(("--clearenv",))
        if mounts.image is not None:
            chosen += [("--setenv", "TZ", ":UTC"), *self._image(mounts.image)]
        else:
            chosen += [("--setenv", name, value) for name, value in {**FIRST_VARIABLES, **self.trust.variables(node=True)}.items()]
            chosen += [("--ro-bind", str(self._root), "/"), ("--ro-bind", "/usr", "/usr")]
            chosen += [("--ro-bind", *map(str, self._shell))] if self._shell else []
            chosen += [("--ro-bind", str(prefix), str(prefix)) for prefix in self._extra]
            chosen += self.trust.mounts()
        chosen += [("--dev-bind", f"/dev/{device}", f"/dev/{device}") for device in DEVICES]
        chosen += [("--proc", "/proc"), ("--perms", "1777"), ("--size", str(ephemeral_mb << 20)), ("--tmpfs", "/tmp")]  # noqa: S108 - its own
        if mounts.image is None:
            chosen += [("--ro-bind", str(mounts.task), "/var/task"), ("--ro-bind", str(mounts.runtime), "/var/runtime")]
            if mounts.opt is not None:
                chosen.append(("--ro-bind", str(mounts.opt), "/opt"))
            chosen.append(("--chdir", "/var/task"))
        if self.filter:
            chosen.append(("--seccomp", str(filter_fd)))
        return b"".join(os.fsencode(part) + b"\0" for option in chosen for part in option)

    def _image(self, image: Path) -> list[tuple[str, ...]]:
        """An image's files as the root, and beside them what the first program is made of."""
        chosen = [("--ro-bind", str(image), "/"), ("--size", str(1 << 20)), ("--tmpfs", f"/{HOST}"), ("--ro-bind", "/usr", f"/{HOST}/usr")]
        chosen += [("--ro-bind", str(prefix), f"/{HOST}{prefix}") for prefix in self._extra]
        chosen += [
            ("--ro-bind", str(self._root / "var/rapid"), f"/{HOST}/rapid"),
            *self.trust.mounts(image),
            ("--remount-ro", f"/{HOST}"),
            ("--chdir", "/"),
        ]
        for name in ("hosts", "resolv.conf"):
            if has(image, f"etc/{name}"):
                chosen.append(("--ro-bind", str(self._root / "etc" / name), f"/etc/{name}"))
        return chosen


class HostPrograms:
    """Runs programs of the host inside an image: with the host's own dynamic loader and libraries, all below /.haar."""

    def __init__(self) -> None:
        self._loaders: dict[str, list[str]] = {}

    def prepare(self, programs: Sequence[str]) -> None:
        for program in programs:
            loader = _loader(Path(program))
            if loader is None:  # linked statically
                self._loaders[program] = [_within(Path(program))]
                continue
            told = subprocess.run([loader, "--list", program], capture_output=True, text=True, timeout=LOADER_SECONDS, check=False).stdout
            found = [Path(line.partition("=>")[2].split()[0]) for line in told.splitlines() if "=> /" in line]
            libraries = dict.fromkeys(_within(path.parent) for path in found)
            self._loaders[program] = [_within(loader), "--library-path", ":".join(libraries), _within(Path(program))]

    def command(self, command: Sequence[str]) -> list[str]:
        return [*self._loaders[command[0]], *command[1:]]


def _within(path: Path) -> str:
    """Where a file of the host's is in an image's sandbox."""
    return f"/{HOST}{path.resolve()}"


def _loader(program: Path) -> Path | None:
    """The dynamic loader that a program names (PT_INTERP of a 64-bit ELF file)."""
    with program.open("rb") as file:
        head = file.read(64)
        table, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
        file.seek(table)
        for _ in range(count):
            kind, _, at, _, _, length = struct.unpack_from("<IIQQQQ", file.read(size))
            if kind == PT_INTERP:
                file.seek(at)
                return Path(os.fsdecode(file.read(length).rstrip(b"\0")))
    return None


def _shell() -> tuple[Path, Path] | None:
    """Bash, and the program that it takes the place of: on Amazon Linux `sh` is Bash, and scripts (AWS's tutorial's, too) rely on it."""
    bash, sh = (Path(name).resolve() for name in ("/usr/bin/bash", "/bin/sh"))
    return (bash, sh) if bash.is_file() and sh.name == "dash" and sh.is_relative_to("/usr") else None


def _prefixes() -> list[Path]:
    """The directories that hold the interpreters."""
    found = [runtimes.python_prefix()]
    node = runtimes.node()
    if node is not None:
        found.append(node.parent.parent)
    if (ruby := runtimes.ruby()) is not None:
        found.append(ruby.parent.parent)
    found += runtimes.java.homes().values()
    return list(dict.fromkeys(found))


def _write_etc(etc: Path, egress: bool) -> None:
    users = "".join(f"sbx_user{number}:x:{FIRST_UID + number}:{FIRST_UID + number}::/tmp:/usr/sbin/nologin\n" for number in range(UIDS))
    own = f"root:x:0:0:root:/root:/usr/sbin/nologin\nsbx_user1051:x:{USER}:{GROUP}::/tmp:/usr/sbin/nologin\n"
    groups = "".join(f"sbx_user{number}:x:{FIRST_UID + number}:\n" for number in range(UIDS))
    files = {
        "passwd": own + users,
        "group": f"root:x:0:\nsbx_user1051:x:{GROUP}:\n" + groups,
        "hosts": "127.0.0.1 localhost sandbox.localdomain sandbox\n",
        "resolv.conf": "nameserver 127.0.0.1\n" + (f"nameserver {DNS}\n" if egress else ""),
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        "os-release": Path("/usr/lib/os-release").read_text() if Path("/usr/lib/os-release").is_file() else "",
    }
    for name, text in files.items():
        (etc / name).write_text(text)
    for mounted in (BUNDLE, AUTHORITY, JAVA):
        (etc.parent / mounted).parent.mkdir(parents=True, exist_ok=True)
        (etc.parent / mounted).touch()
    for settings in Path("/etc").glob("java-*"):  # Debian's virtual machines have links into it
        if settings.is_dir():
            shutil.copytree(settings, etc / settings.name, ignore=_private)
    for copied in ("ld.so.cache", "ssl/openssl.cnf", "services", "protocols"):
        source = Path("/etc") / copied
        if source.is_file():
            (etc / copied).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, etc / copied)
    alternatives = Path("/etc/alternatives")
    if alternatives.is_dir():  # names only: programs such as awk are links through it
        (etc / "alternatives").mkdir()
        for link in alternatives.iterdir():
            if link.is_symlink():
                (etc / "alternatives" / link.name).symlink_to(link.readlink())
    if (zone := Path("/usr/share/zoneinfo/UTC")).exists():
        (etc / "localtime").symlink_to(zone)


def _private(directory: str, names: list[str]) -> list[str]:
    """What not everyone on the host may read, and links."""
    paths = {name: Path(directory, name) for name in names}
    return [name for name, path in paths.items() if path.is_symlink() or not path.stat().st_mode & 0o004]


def python_command(kind: str, port: int, command: Sequence[str], start: str = "/var/rapid/start.py") -> list[str]:
    """The first program of an environment, by its name inside."""
    return [str(runtimes.python()), "-I", "-S", "-E", start, kind, str(port), *command]
