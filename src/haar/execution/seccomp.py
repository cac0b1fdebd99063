"""The system call filter of environments: what no function needs and what the kernel's worst holes are reached through.

Refused with EPERM: namespaces (by `unshare`, `setns`, and the flags of `clone`), mounts, keyrings, kernel modules, tracing, BPF,
performance counters, and calls that name kernel objects by number. `clone3` and `io_uring` answer ENOSYS, so that libraries take
their older way.
"""

import platform
import struct
from collections.abc import Mapping

ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97
LOAD, EQUAL, ABOVE, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
NAMESPACE_FLAGS = 0x7E020080
"""CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET | NEWTIME"""

X86_64: Mapping[str, int] = {
    "ptrace": 101, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "swapon": 167, "swapoff": 168, "reboot": 169,
    "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173, "create_module": 174, "init_module": 175, "delete_module": 176,
    "get_kernel_syms": 177, "query_module": 178, "quotactl": 179, "nfsservctl": 180, "acct": 163, "settimeofday": 164, "adjtimex": 159,
    "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272, "lookup_dcookie": 212, "vmsplice": 278,
    "perf_event_open": 298, "fanotify_init": 300, "name_to_handle_at": 303, "open_by_handle_at": 304, "clock_adjtime": 305, "setns": 308,
    "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "finit_module": 313, "kexec_file_load": 320, "bpf": 321,
    "userfaultfd": 323, "move_pages": 279, "mbind": 237, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431,
    "fsmount": 432, "fspick": 433, "mount_setattr": 442, "quotactl_fd": 443, "personality": 135, "syslog": 103, "modify_ldt": 154,
}  # fmt: skip
X86_64_ABSENT: Mapping[str, int] = {"clone3": 435, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}
AARCH64: Mapping[str, int] = {
    "ptrace": 117, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51, "swapon": 224, "swapoff": 225, "reboot": 142,
    "sethostname": 161, "setdomainname": 162, "init_module": 105, "delete_module": 106, "quotactl": 60, "nfsservctl": 42, "acct": 89,
    "settimeofday": 170, "adjtimex": 171, "kexec_load": 104, "add_key": 217, "request_key": 218, "keyctl": 219, "unshare": 97,
    "lookup_dcookie": 18, "vmsplice": 75, "perf_event_open": 241, "fanotify_init": 262, "name_to_handle_at": 264, "open_by_handle_at": 265,
    "clock_adjtime": 266, "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "finit_module": 273,
    "kexec_file_load": 294, "bpf": 280, "userfaultfd": 282, "move_pages": 239, "mbind": 235, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442, "quotactl_fd": 443, "personality": 92,
    "syslog": 116,
}  # fmt: skip
AARCH64_ABSENT: Mapping[str, int] = {"clone3": 435, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}
CLONE = {"x86_64": 56, "aarch64": 220}
SOCKET = {"x86_64": 41, "aarch64": 198}
FAMILIES = (1, 2, 10, 16)
"""AF_UNIX, AF_INET, AF_INET6, AF_NETLINK. Others (VSOCK, ALG, …) are not bounded by a network namespace, or only add attack surface."""
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000


def program(machine: str | None = None) -> bytes:
    """The filter as an array of `struct sock_filter`; empty where it is not written for the machine."""
    machine = machine or platform.machine()
    if machine not in AUDIT:
        return b""
    refused, absent = (X86_64, X86_64_ABSENT) if machine == "x86_64" else (AARCH64, AARCH64_ABSENT)
    lines = [
        _line(LOAD, 0, 0, ARCHITECTURE),
        _line(EQUAL, 1, 0, AUDIT[machine]),
        _line(RETURN, 0, 0, KILL),  # a 32-bit call: its numbers mean other things
        _line(LOAD, 0, 0, NUMBER),
        _line(ABOVE, 0, 1, X32_BIT),
        _line(RETURN, 0, 0, ERRNO | ENOSYS),
        _line(EQUAL, 0, 3, CLONE[machine]),
        _line(LOAD, 0, 0, FIRST_ARGUMENT),
        _line(ANY_BIT, 0, 1, NAMESPACE_FLAGS),
        _line(RETURN, 0, 0, ERRNO | EPERM),
        _line(LOAD, 0, 0, NUMBER),
        _line(EQUAL, 0, len(FAMILIES) + 3, SOCKET[machine]),
        _line(LOAD, 0, 0, FIRST_ARGUMENT),
        *(_line(EQUAL, len(FAMILIES) - place, 0, family) for place, family in enumerate(FAMILIES)),
        _line(RETURN, 0, 0, ERRNO | EAFNOSUPPORT),
        _line(LOAD, 0, 0, NUMBER),
    ]
    for numbers, answer in ((absent, ENOSYS), (refused, EPERM)):
        for number in sorted(numbers.values()):
            lines += [_line(EQUAL, 0, 1, number), _line(RETURN, 0, 0, ERRNO | answer)]
    return b"".join([*lines, _line(RETURN, 0, 0, ALLOW)])


def _line(code: int, when_true: int, when_false: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, when_true, when_false, value)
