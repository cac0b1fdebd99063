"""SnapStart inside an environment, first half: an initialised Python process writes itself down.

It forks; the child halts at a known place, and its memory is read through /proc. `haar_restore` makes another process of it, in another
sandbox. Neither has a right that a function has not, so an image is trusted with nothing, and environments share no process, socket or
file: only pages of the image, copied on write.

The image is a sparse file: page 0 says where its description (JSON) is; pages of memory and the files of /tmp follow. It goes to haar
over the socket in pieces: 8 bytes of offset, 8 bytes of length, the data. Length 0 is the end, offset 2⁶⁴-1 the reason why there is none.
"""

import _socket
import ctypes
import gc
import json
import mmap
import os
import re
import signal
import stat
import struct
import sys

TYPE_CHECKING = False  # typing is not imported for a function
if TYPE_CHECKING:
    from typing import BinaryIO

PAGE = 4096
WORD = 0xFFFFFFFFFFFFFFFF
MAGIC = b"haar\x02\0\0\0"
PIECE = 1 << 20
SIGNALS = 64
LAYOUT = struct.Struct("<12Q2I")
CODE = bytes.fromhex(
    "535541544155415641574883ec08"  # push rbx, rbp, r12…r15; sub rsp, 8
    "0fae1c24d97c2404488927"  # stmxcsr, fnstcw; mov [rdi], rsp
    "b8270000000f0589c7be13000000b83e0000000f05"  # kill(getpid(), SIGSTOP)
    "31c0eb05"  # in the child itself: 0
    "b801000000"  # RESUME: 1
    "0fae1424d96c24044883c408415f415e415d415c5d5bc3"  # ldmxcsr, fldcw, and back
)
RESUME = 0x32
SLOT = 2048
"""Where, after the code, the stack pointer is kept."""
CALLS = {"arch_prctl": 158, "sigaction": 13, "sigprocmask": 14, "sigaltstack": 131, "get_robust_list": 274, "rseq": 334, "gettid": 186}
PRESENT, SWAPPED, OF_FILE = 1 << 63, 1 << 62, 1 << 61

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


class Unsupported(Exception):
    """What of the process cannot be written down."""


def call(name: str, *arguments: object) -> int:
    answer: int = libc.syscall(CALLS[name], *arguments)
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return answer


def possible() -> bool:
    return sys.platform == "linux" and os.uname().machine == "x86_64"


def take(hand: "_socket.socket") -> None:
    """Writes this process down. Returns only in the processes that are made of the image; this one ends."""
    try:
        if not write_down(hand):
            return
    except (Unsupported, OSError, ValueError) as error:
        send(hand, WORD, str(error).encode())
    hand.sendall(bytes(16))
    hand.recv(1)  # haar takes the environment away
    os._exit(0)


def write_down(hand: "_socket.socket") -> bool:
    """True when that is done, False in a process that is made of it."""
    if not possible():
        raise Unsupported("processes are written down on x86-64 only")
    described: dict[str, object] = kernel_state() | {"files": descriptors(hand.fileno()), "umask": umask()}
    described["cwd"] = os.getcwd()
    area = mmap.mmap(-1, PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    area[: len(CODE)] = CODE
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    halt = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(address)
    sys.stdout.flush()
    sys.stderr.flush()
    gc.collect()
    gc.freeze()  # what is there now is not looked through again: its pages stay shared
    child = os.fork()
    if child == 0:
        if halt(address + SLOT):
            return False
        os._exit(1)
    try:
        os.waitpid(child, os.WUNTRACED)
        if len(os.listdir("/proc/self/task")) > 1:
            raise Unsupported("the function has started threads")
        with open(f"/proc/{child}/mem", "rb", 0) as memory, open(f"/proc/{child}/pagemap", "rb", 0) as pages:
            memory.seek(address + SLOT)
            described |= {"sp": int.from_bytes(memory.read(8), "little"), "ip": address + RESUME}
            described["mm"] = layout(child, memory)
            at = PAGE
            described["maps"] = maps = []
            described["special"] = special = []
            for start, end, permissions, offset, name in mappings(child):
                if name.startswith(("[vdso", "[vvar")):
                    special.append((start, end, name))
                elif name != "[vsyscall]":
                    written, at = mapping(hand, memory, pages, (start, end, permissions, offset, name), at)
                    maps.append(written)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    described["tmp"], at = files(hand, "/tmp", at)  # noqa: S108 - the function's
    described["kernel"] = kernel()
    text = json.dumps(described).encode()
    send(hand, at, text)
    send(hand, 0, MAGIC + struct.pack("<QQ", at, len(text)))
    return True


def kernel() -> "list[str]":
    """What the image's pages take for granted."""
    system = os.uname()
    return [system.release, system.version, system.machine, sys.version]


def layout(child: int, memory: "BinaryIO") -> str:
    """`struct prctl_mm_map`: where the kernel believes code, heap, stack and arguments to be. Only with it does the heap grow rightly."""
    size = ctypes.c_uint32()
    if libc.prctl(35, 15, ctypes.byref(size), 0, 0) != 0 or size.value != LAYOUT.size:
        raise Unsupported("this kernel does not let processes be restored (CONFIG_CHECKPOINT_RESTORE)")
    memory.seek(ctypes.addressof(ctypes.c_void_p.in_dll(libc, "__curbrk")))
    end_of_heap = int.from_bytes(memory.read(8), "little")
    with open(f"/proc/{child}/stat") as opened:
        fields = [int(field) if field.isdigit() else 0 for field in opened.read().rpartition(")")[2].split()]
    code, data, arguments = fields[23:25], fields[42:44], fields[45:49]
    return LAYOUT.pack(*code, *data, fields[44], end_of_heap or fields[44], fields[25], *arguments, 0, 0, 0xFFFFFFFF).hex()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def kernel_state() -> "dict[str, object]":
    """What the kernel keeps of this thread."""
    word, length = ctypes.c_uint64(), ctypes.c_uint64()
    call("arch_prctl", 0x1003, ctypes.byref(word))
    base, tid = word.value, call("gettid")
    call("get_robust_list", 0, ctypes.byref(word), ctypes.byref(length))
    thread = ctypes.string_at(base, 0x400)
    places = [place for place in range(0x200, 0x400, 4) if int.from_bytes(thread[place : place + 4], "little") == tid]
    if len(places) != 1:
        raise Unsupported("this C library is not known")
    actions = ""
    for number in range(1, SIGNALS + 1):
        action = ctypes.create_string_buffer(32)
        call("sigaction", number, None, action, 8)
        actions += action.raw.hex()
    mask, stack = ctypes.create_string_buffer(8), ctypes.create_string_buffer(24)
    call("sigprocmask", 0, None, mask, 8)
    call("sigaltstack", None, stack)
    state: dict[str, object] = {"base": base, "tid": base + places[0], "robust": [word.value, length.value]}
    return state | {"actions": actions, "mask": mask.raw.hex(), "stack": stack.raw.hex(), "rseq": rseq_address(base)}


def rseq_address(base: int) -> int:
    """Where this thread's restartable sequences are registered; 0 for a C library that does not."""
    try:
        if ctypes.c_uint.in_dll(libc, "__rseq_size").value:
            return base + ctypes.c_ssize_t.in_dll(libc, "__rseq_offset").value
    except ValueError:
        pass
    return 0


def send(hand: "_socket.socket", offset: int, data: "bytes | memoryview") -> None:
    hand.sendall(struct.pack("<QQ", offset, len(data)))
    hand.sendall(data)


def mappings(pid: int) -> "list[tuple[int, int, str, int, str]]":
    found = []
    with open(f"/proc/{pid}/maps") as lines:
        for line in lines:
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ \d+\s*(.*)", line)
            assert match is not None
            found.append((int(match[1], 16), int(match[2], 16), match[3], int(match[4], 16), match[5]))
    return found


def mapping(
    hand: "_socket.socket", memory: "BinaryIO", pages: "BinaryIO", place: "tuple[int, int, str, int, str]", at: int
) -> "tuple[dict[str, object], int]":
    """Writes a mapping down; where the next one goes."""
    start, end, permissions, offset, name = place
    protection = sum(bit for bit, letter in ((1, "r"), (2, "w"), (4, "x")) if letter in permissions)
    written: dict[str, object] = {"start": start, "end": end, "protection": protection}
    named = name.startswith("/") and not name.endswith(" (deleted)")
    shared = permissions[3] == "s"
    if shared and name != "/dev/zero (deleted)" and (protection & 2 or not named):
        raise Unsupported(f"it shares memory ({name or 'without a name'})")
    touched = own_pages(pages, start, end)
    if named and not touched:
        known = os.stat(name)
        return written | {
            "file": name, "offset": offset, "shared": shared, "size": known.st_size, "modified": known.st_mtime_ns
        }, at  # fmt: skip
    if name == "[stack]":
        written["stack"] = True
    written["shared"] = shared
    runs = [(0, (end - start) // PAGE)] if named or shared else touched
    length = 0
    for first, count in runs:
        for piece in range(first * PAGE, (first + count) * PAGE, PIECE):
            memory.seek(start + piece)
            data = memory.read(min(PIECE, (first + count) * PAGE - piece))
            if data.count(0) != len(data):
                send(hand, at + piece, data)
                length = piece + len(data)
    return written | {"data": at, "length": length}, at + length


def own_pages(pages: "BinaryIO", start: int, end: int) -> "list[tuple[int, int]]":
    """The pages of a mapping that are not (or no longer) a file's: (first, number), counted from its start."""
    pages.seek(start // PAGE * 8)
    runs: list[tuple[int, int]] = []
    number = 0
    while number < (end - start) // PAGE:
        entries = memoryview(pages.read(min(PIECE, ((end - start) // PAGE - number) * 8))).cast("Q")
        if not entries:
            break
        for entry in entries:
            if entry & (PRESENT | SWAPPED) and not entry & OF_FILE:
                if runs and runs[-1][0] + runs[-1][1] == number:
                    runs[-1] = (runs[-1][0], runs[-1][1] + 1)
                else:
                    runs.append((number, 1))
            number += 1
    return runs


def files(hand: "_socket.socket", directory: str, at: int) -> "tuple[list[dict[str, object]], int]":
    """Writes down what is below a directory; where the next thing goes."""
    found: list[dict[str, object]] = []
    for parent, directories, names in os.walk(directory):
        for name in directories + names:
            path = f"{parent}/{name}"
            known = os.lstat(path)
            entry: dict[str, object] = {
                "path": path,
                "mode": known.st_mode,
                "modified": known.st_mtime_ns,
                "data": at,
                "length": known.st_size,
            }
            if stat.S_ISLNK(known.st_mode):
                entry["link"] = os.readlink(path)
            elif stat.S_ISREG(known.st_mode):
                with open(path, "rb", 0) as opened:
                    length = 0
                    while data := opened.read(PIECE):
                        send(hand, at + length, data)
                        length += len(data)
                entry["length"] = length
                at += -(-length // PAGE) * PAGE
            elif not stat.S_ISDIR(known.st_mode):
                continue
            found.append(entry)
    return found, at


def descriptors(hand: int) -> "list[dict[str, object]]":
    """What is open, but for standard input, output and error and the way to haar."""
    found: list[dict[str, object]] = []
    sockets: dict[int, int] = {}
    output = os.fstat(1)
    for number in sorted(int(name) for name in os.listdir("/proc/self/fd")):
        try:
            known = os.fstat(number)
        except OSError:  # what listed them
            continue
        if number <= 2 or number == hand:
            continue
        target = os.readlink(f"/proc/self/fd/{number}")
        with open(f"/proc/self/fdinfo/{number}") as opened:
            info = opened.read()
        fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
        entry: dict[str, object] = {"fd": number, "flags": int(fields["flags"], 8)}
        if (known.st_dev, known.st_ino) == (output.st_dev, output.st_ino):
            entry["output"] = True
        elif stat.S_ISSOCK(known.st_mode):
            entry["socket"] = known.st_ino
            sockets[known.st_ino] = number
        elif stat.S_ISFIFO(known.st_mode):
            entry["pipe"] = known.st_ino
        elif target == "anon_inode:[eventpoll]":
            entry["polled"] = [polled(line) for line in info.splitlines() if line.startswith("tfd:")]
        elif target.startswith("/") and not target.endswith(" (deleted)"):
            entry |= {"path": target, "position": int(fields["pos"])}
        else:
            raise Unsupported(f"it holds open {target}")
        found.append(entry)
    for one, other in other_ends(sockets).items():
        for entry in found:
            if entry.get("socket") == one:
                entry["peer"] = other
    return found


def other_ends(sockets: "dict[int, int]") -> "dict[int, int]":
    """Which of some sockets (descriptors by inode) are connected to each other: by a byte that is sent through each.

    Nobody reads it: what is in a socket is not in an image.
    """
    found: dict[int, int] = {}
    for inode, number in sockets.items():
        sending = _socket.socket(fileno=os.dup(number))
        try:
            if sending.family != _socket.AF_UNIX or inode in found:
                continue
            before = {other: unread(place) for other, place in sockets.items()}
            sending.send(b"\0", _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL)
            for other, place in sockets.items():
                if unread(place) > before[other]:
                    found |= {inode: other, other: inode}
        except OSError:  # it has no other end, or that one takes no more
            continue
        finally:
            sending.close()
    return found


def unread(number: int) -> int:
    """How many bytes wait in a socket (FIONREAD); 0 for one that only listens."""
    waiting = ctypes.c_int()
    return waiting.value if libc.ioctl(number, 0x541B, ctypes.byref(waiting)) == 0 else 0


def polled(line: str) -> "list[int]":
    """A descriptor and its events, as an epoll instance's line tells them."""
    words = line.split()
    return [int(words[1]), int(words[3], 16)]


def awake(variables: "dict[str, str]") -> None:
    """In a process made of an image: what must not be as it was, or as in another one, is new."""
    import random
    import threading
    import time

    os.environ.update(variables)
    time.tzset()
    random.seed()
    if "ssl" in sys.modules:
        sys.modules["ssl"].RAND_add(os.urandom(64), 64.0)
    if "tempfile" in sys.modules:
        sys.modules["tempfile"]._name_sequence = None  # type: ignore[attr-defined]  # its own, of the old process
    threading.main_thread()._set_native_id()  # type: ignore[attr-defined]  # as after a fork
