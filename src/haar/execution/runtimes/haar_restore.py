"""SnapStart inside an environment, second half: a fresh process becomes what an image shows (`haar_snapshot` says what an image is).

All of the process's memory goes and the image's takes its place, so the last steps are a list of system calls that a few machine
instructions go through, somewhere that neither the old memory nor the new one is.
"""

import ctypes
import fcntl
import json
import os
import select
import socket
import stat
import struct

from haar_snapshot import (  # type: ignore[import-not-found]  # beside it in the sandbox
    MAGIC,
    PAGE,
    SIGNALS,
    WORD,
    kernel,
    libc,
    mappings,
    rseq_address,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CODE = bytes.fromhex(
    "4889fb"  # rbx: the list; each entry seven words: the call's number and its arguments
    "488b034883f8ff7428"  # number -1 is the end
    "488b7b08488b7310488b53184c8b53204c8b43284c8b4b300f05"
    "483d01f0ffff73104883c338ebcf"  # an error ends the process
    "488b6308488b4310ffe0"  # stack pointer, and on to the image's own instructions
    "bf56000000b8e70000000f05"  # exit_group(86)
)
ROOM = 1 << 19
"""For those instructions, their list and what it points to."""
LOWEST = 1 << 28
STACK_BYTES = 8 << 20
TEMPORARY = 256
"""Descriptors from here on, and beyond the image's own, are used meanwhile."""
READ_BYTES = 1 << 30
PRIVATE, SHARED, FIXED, ANONYMOUS, NORESERVE, NOREPLACE = 2, 1, 0x10, 0x20, 0x4000, 0x100000
CALLS = {
    "close": 3, "mmap": 9, "mprotect": 10, "munmap": 11, "sigaction": 13, "sigprocmask": 14, "pread": 17, "mremap": 25, "sigaltstack": 131,
    "prctl": 157, "arch_prctl": 158, "set_tid_address": 218, "set_robust_list": 273, "rseq": 334,
}  # fmt: skip
RSEQ_LENGTHS = (32, 28, 24, 20, 33, 64)
RSEQ_SIGNATURE = 0x53053053


class Stale(Exception):
    """The image does not fit this machine any more."""


def describe(image: int) -> "dict[str, Any]":
    magic, at, length = struct.unpack("<8sQQ", os.pread(image, 24, 0))
    if magic != MAGIC:
        raise Stale("this is no image")
    described: dict[str, Any] = json.loads(os.pread(image, length, at))
    if described["kernel"] != kernel():
        raise Stale("the kernel or the interpreter has changed")
    return described


class Steps:
    """The system calls to come, in memory of their own at `place`."""

    def __init__(self, place: int) -> None:
        self.place = place
        self.entries: list[tuple[int, ...]] = []
        self.data = b""

    def call(self, name: str, *arguments: int) -> None:
        self.entries.append((CALLS[name], *arguments, *([0] * (6 - len(arguments)))))

    def keep(self, data: bytes) -> int:
        """The address of some bytes."""
        at = self.place + ROOM // 2 + len(self.data)
        self.data += data + bytes(-len(data) % 16)
        return at

    def go(self, stack: int, instruction: int) -> None:
        words = b"".join(struct.pack("<7Q", *(word & WORD for word in entry)) for entry in self.entries)
        words += struct.pack("<3Q", WORD, stack, instruction)
        if len(words) > ROOM // 2 - 256 or len(self.data) > ROOM // 2:
            raise Stale("the image has too many parts")
        ctypes.memmove(self.place, CODE, len(CODE))
        ctypes.memmove(self.place + 256, words, len(words))
        ctypes.memmove(self.place + ROOM // 2, self.data, len(self.data))
        ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(self.place)(self.place + 256)


def restore(image: int) -> None:
    """Becomes the process of the image; does not return. Raises Stale, OSError."""
    described = describe(image)
    files(described["tmp"], image)
    os.umask(described["umask"])
    os.chdir(described["cwd"])
    lowest = max([TEMPORARY, *(entry["fd"] + 1 for entry in described["files"])])
    image, received = fcntl.fcntl(image, fcntl.F_DUPFD_CLOEXEC, lowest), image
    os.close(received)
    descriptors(described["files"], lowest)
    steps = Steps(free(described))
    temporary = [image]
    sources = Sources(lowest, temporary)
    for part in described["maps"]:
        mapped(steps, part, image, sources)
    stack = next(part for part in described["maps"] if part.get("stack"))
    below = max([part["end"] for part in described["maps"] if part["end"] <= stack["start"]] + [stack["end"] - STACK_BYTES])
    if below < stack["start"]:
        steps.call("mmap", below, stack["start"] - below, 3, PRIVATE | FIXED | ANONYMOUS | NORESERVE, WORD, 0)
    made = os.memfd_create("haar")
    os.write(made, os.getpid().to_bytes(4, "little"))
    own = fcntl.fcntl(made, fcntl.F_DUPFD_CLOEXEC, lowest)
    os.close(made)
    temporary.append(own)
    steps.call("pread", own, described["tid"], 4, 0)
    for number in temporary:
        steps.call("close", number)
    thread(steps, described)
    leave(steps, described["special"])
    steps.go(described["sp"], described["ip"])


def free(described: "dict[str, Any]") -> int:
    """The address of memory that is in nobody's way: ROOM, and as much again for what the kernel has mapped."""
    taken = [(start, end) for start, end, *_ in mappings(os.getpid())]
    taken += [(part["start"] - (STACK_BYTES if part.get("stack") else 0), part["end"]) for part in described["maps"]]
    taken += [(start, end) for start, end, _ in described["special"]]
    place = LOWEST
    for start, end in sorted(taken):
        if place + 2 * ROOM <= start:
            break
        place = max(place, end + PAGE)
    libc.mmap.restype = ctypes.c_void_p
    flags = PRIVATE | ANONYMOUS | NOREPLACE
    found = libc.mmap(ctypes.c_void_p(place), ctypes.c_size_t(ROOM), 7, flags, -1, ctypes.c_long(0))
    if found != place:
        raise Stale("there is no room")
    return place


def leave(steps: Steps, wanted: "list[Any]") -> None:
    """The first steps: takes all memory away but the kernel's own, which goes to where the image has it."""
    later, steps.entries = steps.entries, []
    ours = [entry for entry in mappings(os.getpid()) if entry[0] != steps.place and entry[4] != "[vsyscall]"]
    special = [(start, end, name) for start, end, _, _, name in ours if name.startswith(("[vdso", "[vvar"))]
    if [(end - start, name) for start, end, name in special] != [(end - start, name) for start, end, name in wanted]:
        raise Stale("the kernel has changed")
    aside = steps.place + ROOM - special[0][0]
    for start, end, _ in special:
        steps.call("mremap", start, end - start, end - start, 3, aside + start)
    for start, end, _, _, name in ours:
        if not name.startswith(("[vdso", "[vvar")):
            steps.call("munmap", start, end - start)
    for (start, end, _), (to, _, _) in zip(special, wanted, strict=True):
        steps.call("mremap", aside + start, end - start, end - start, 3, to)
    steps.entries += later


class Sources:
    """The files that parts of memory come from, opened."""

    def __init__(self, lowest: int, temporary: "list[int]") -> None:
        self.lowest, self.temporary = lowest, temporary
        self.opened: dict[str, int] = {}

    def descriptor(self, part: "dict[str, Any]") -> int:
        path = part["file"]
        if path not in self.opened:
            first = os.open(path, os.O_RDONLY)
            known = os.fstat(first)
            if (known.st_size, known.st_mtime_ns) != (part["size"], part["modified"]):
                raise Stale(f"{path} has changed")
            self.opened[path] = fcntl.fcntl(first, fcntl.F_DUPFD_CLOEXEC, self.lowest)
            self.temporary.append(self.opened[path])
            os.close(first)
        return self.opened[path]


def mapped(steps: Steps, part: "dict[str, Any]", image: int, sources: Sources) -> None:
    start, end, protection = part["start"], part["end"], part["protection"]
    if "file" in part:
        kind = SHARED if part["shared"] else PRIVATE
        steps.call("mmap", start, end - start, protection, kind | FIXED, sources.descriptor(part), part["offset"])
        return
    length, at = part["length"], part["data"]
    kind = SHARED if part["shared"] else PRIVATE
    if kind == SHARED or (protection & 4 and length):  # the image may be where nothing is executed from
        steps.call("mmap", start, end - start, 3, kind | FIXED | ANONYMOUS, WORD, 0)
        for piece in range(0, length, READ_BYTES):
            steps.call("pread", image, start + piece, min(READ_BYTES, length - piece), at + piece)
        steps.call("mprotect", start, end - start, protection)
        return
    if length:
        steps.call("mmap", start, length, protection, PRIVATE | FIXED, image, at)
    if start + length < end:
        steps.call("mmap", start + length, end - start - length, protection, PRIVATE | FIXED | ANONYMOUS | NORESERVE, WORD, 0)


def thread(steps: Steps, described: "dict[str, Any]") -> None:
    """What the kernel keeps of a thread."""
    length = give_up_rseq()
    layout = bytes.fromhex(described["mm"])
    steps.call("prctl", 35, 14, steps.keep(layout), len(layout), 0)
    steps.call("arch_prctl", 0x1002, described["base"])
    steps.call("set_robust_list", *described["robust"])
    steps.call("set_tid_address", 0)
    if described["rseq"] and length:
        steps.call("rseq", described["rseq"], length, 0, RSEQ_SIGNATURE)
    steps.call("sigaltstack", steps.keep(bytes.fromhex(described["stack"])), 0)
    actions = bytes.fromhex(described["actions"])
    for number in range(1, SIGNALS + 1):
        if number not in (9, 19):
            steps.call("sigaction", number, steps.keep(actions[number * 32 - 32 : number * 32]), 0, 8)
    steps.call("sigprocmask", 2, steps.keep(bytes.fromhex(described["mask"])), 0, 8)


def give_up_rseq() -> int:
    """Ends this thread's registration, and answers its length; 0 when there is none."""
    word = ctypes.c_uint64()
    libc.syscall(CALLS["arch_prctl"], 0x1003, ctypes.byref(word))
    address = rseq_address(word.value)
    for length in RSEQ_LENGTHS if address else ():
        if libc.syscall(CALLS["rseq"], ctypes.c_void_p(address), length, 1, RSEQ_SIGNATURE) == 0:
            return length
    return 0


def files(entries: "list[Any]", image: int) -> None:
    """Writes files as they were; directories come before what is in them."""
    for entry in entries:
        path, mode = entry["path"], entry["mode"]
        if "link" in entry:
            os.symlink(entry["link"], path)
            continue
        if stat.S_ISDIR(mode):
            os.mkdir(path)
        else:
            with open(path, "wb", 0) as written:
                at, end = entry["data"], entry["data"] + entry["length"]
                while at < end:
                    at += os.sendfile(written.fileno(), image, at, end - at)
        os.chmod(path, stat.S_IMODE(mode))
        os.utime(path, ns=(entry["modified"], entry["modified"]))


def descriptors(entries: "list[Any]", lowest: int) -> None:
    """Opens what was open. A connection to elsewhere is there, and closed by its peer."""
    high = Descriptors(lowest)
    ends: dict[int, int] = {}
    for entry in entries:
        if "socket" in entry and entry["socket"] not in ends:
            ours, theirs = (high.up(end.detach()) for end in socket.socketpair())
            ends[entry["socket"]] = ours
            if "peer" in entry:
                ends[entry["peer"]] = theirs
            else:
                os.close(high.numbers.pop())
    pipes: dict[int, tuple[int, int]] = {}
    for entry in entries:
        number, flags = entry["fd"], entry["flags"]
        if "output" in entry:
            source = 1
        elif "socket" in entry:
            source = ends[entry["socket"]]
        elif "pipe" in entry:
            if entry["pipe"] not in pipes:
                reading, writing = os.pipe()
                pipes[entry["pipe"]] = high.up(reading), high.up(writing)
            source = pipes[entry["pipe"]][flags & os.O_ACCMODE != os.O_RDONLY]
        elif "polled" in entry:
            continue
        else:
            source = high.up(os.open(entry["path"], flags & ~(os.O_CREAT | os.O_EXCL | os.O_TRUNC)))
            if entry["position"]:
                os.lseek(source, entry["position"], os.SEEK_SET)
        put(source, number, flags)
    for entry in entries:
        if "polled" in entry:
            with select.epoll() as made:
                for number, events in entry["polled"]:
                    made.register(number, events)
                source = high.up(os.dup(made.fileno()))
            put(source, entry["fd"], entry["flags"])
    high.close()


def put(source: int, number: int, flags: int) -> None:
    os.dup2(source, number, inheritable=not flags & os.O_CLOEXEC)
    os.set_blocking(number, not flags & os.O_NONBLOCK)


class Descriptors:
    """Those that are used meanwhile: above all that the image has."""

    def __init__(self, lowest: int) -> None:
        self.lowest = lowest
        self.numbers: list[int] = []

    def up(self, number: int) -> int:
        self.numbers.append(fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, self.lowest))
        os.close(number)
        return self.numbers[-1]

    def close(self) -> None:
        for number in self.numbers:
            os.close(number)
