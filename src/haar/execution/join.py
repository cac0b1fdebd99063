"""Makes TCP sockets inside an environment's network and gives them to haar.

Run as a script: `join.py PID COUNT`, with a Unix socket as descriptor 3; imports nothing of haar. A socket belongs to the network in which
it was made, for ever: haar connects it from outside to what listens inside.
"""

import array
import ctypes
import fcntl
import os
import socket
import sys

HAND = 3
NS_GET_USERNS = 0xB701
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000


def enter(libc: ctypes.CDLL, descriptor: int, kind: int) -> None:
    if libc.setns(descriptor, kind) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main() -> None:
    pid, count = int(sys.argv[1]), int(sys.argv[2])
    libc = ctypes.CDLL(None, use_errno=True)
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if os.geteuid() != 0:
        enter(libc, fcntl.ioctl(network, NS_GET_USERNS), CLONE_NEWUSER)
    enter(libc, network, CLONE_NEWNET)
    made = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    rights = array.array("i", [one.fileno() for one in made])
    socket.socket(fileno=HAND).sendmsg([b"S"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


if __name__ == "__main__":
    main()
