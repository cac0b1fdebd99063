"""In a debugged function's sandbox, where nothing from outside comes in: brings a debugger's connections to the port that listens for them.

    tunnel.py PORT PLATFORM TOKEN

Connects to the platform, which hands on what a debugger says. One connection waits at a time, and each that is used has a thread.
"""

import socket
import sys
import threading
import time

HERE = "127.0.0.1"
PIECE = 65536
RETRY_SECONDS = 0.5
MAX_HEAD = 4096


def pipe(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(PIECE):
            target.sendall(data)
    except OSError:
        pass  # one side has gone: so does the other
    for each in (source, target):
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has gone already


def waiting(platform: int, token: str) -> "socket.socket | None":
    """A connection that the platform has taken."""
    outside = socket.create_connection((HERE, platform))
    asked = f"GET /_haar/debug HTTP/1.1\r\nHost: haar\r\nConnection: Upgrade\r\nUpgrade: haar-debug\r\nX-Haar-Debug: {token}\r\n\r\n"
    outside.sendall(asked.encode())
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < MAX_HEAD:
        byte = outside.recv(1)
        if not byte:
            return None
        head += byte
    return outside if b" 101 " in head[:16] else None


def main() -> None:
    port, platform, token = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    while True:
        try:
            outside = waiting(platform, token)
            first = outside.recv(PIECE) if outside is not None else b""
            if outside is None or not first:
                time.sleep(RETRY_SECONDS)
                continue
            inside = socket.create_connection((HERE, port))
            inside.sendall(first)
        except OSError:
            time.sleep(RETRY_SECONDS)
            continue
        for ends in ((outside, inside), (inside, outside)):
            threading.Thread(target=pipe, args=ends, daemon=True).start()


if __name__ == "__main__":
    main()
