"""The first program of an environment that has external extensions: starts them, then the runtime, and tells haar what becomes of each.

Over the socket go, each after four bytes of length, JSON objects: {"launched": NAME} with the reading end of the extension's output,
{"failed": NAME, "error": TEXT, "kind": KIND}, {"exited": NAME, "status": STATUS} (the runtime's name is empty); and come
{"op": "runtime"} and {"op": "signal", "name": NAME, "number": N}. When haar closes its end, everything ends.
"""

import _socket
import errno
import json
import os
import posix
import select
import signal
import sys

MESSAGE_BYTES = 1 << 16
RUNTIME = ""
HIDDEN = (
    "AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_XRAY_CONTEXT_MISSING", "AWS_XRAY_DAEMON_ADDRESS",
    "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT",
)  # fmt: skip
"""What is the runtime's alone, besides all that begins with an underscore."""


def run(hand: "_socket.socket", variables: "dict[str, str]") -> None:
    """Returns in the process that is to become the runtime."""
    Supervisor(hand, variables).run()


class Supervisor:
    def __init__(self, hand: "_socket.socket", variables: "dict[str, str]") -> None:
        self.hand = hand
        self.directory = variables.get("_HAAR_OPT", "/opt") + "/extensions"
        self.variables = {name: value for name, value in variables.items() if name not in HIDDEN and not name.startswith("_")}
        self.names: dict[int, str] = {}
        self.received = b""
        self.wake = posix.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        signal.set_wakeup_fd(self.wake[1])
        signal.signal(signal.SIGCHLD, lambda *_: None)
        entries = [entry.name for entry in os.scandir(self.directory) if not entry.is_dir()]
        for name in sorted(entries):
            if not self.launch(name):
                break
        while True:
            ready, _, _ = select.select([self.hand.fileno(), self.wake[0]], [], [])
            self.reap()
            if self.hand.fileno() in ready and self.receive():
                return

    def launch(self, name: str) -> bool:
        reading, writing = posix.pipe2(os.O_CLOEXEC)
        failing, fails = posix.pipe2(os.O_CLOEXEC)
        pid = posix.fork()
        if pid == 0:
            self.become(name, writing, fails)
        os.close(writing)
        os.close(fails)
        number = os.read(failing, 8)
        os.close(failing)
        self.names[pid] = name
        if number:
            del self.names[pid]
            posix.waitpid(pid, 0)
            code = int(number)
            kind = "PermissionDenied" if code in (errno.EACCES, errno.EPERM) else "UnknownError"
            self.tell({"failed": name, "error": f"fork/exec /opt/extensions/{name}: {os.strerror(code).lower()}", "kind": kind})
        else:
            self.tell({"launched": name}, reading)
        os.close(reading)
        return not number

    def become(self, name: str, output: int, fails: int) -> None:
        """In the child: becomes the extension."""
        try:
            self.forget()
            posix.setpgid(0, 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.chdir("/")
            path = self.directory + "/" + name
            posix.execve(path, [path], self.variables)
        except OSError as error:
            os.write(fails, str(error.errno).encode())
        finally:
            posix._exit(127)

    def forget(self) -> None:
        """What is the supervisor's is not its children's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.hand.close()
        for descriptor in self.wake:
            os.close(descriptor)

    def reap(self) -> None:
        try:
            os.read(self.wake[0], 4096)
        except BlockingIOError:
            pass
        while True:
            try:
                pid, status = posix.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = self.names.pop(pid, None)
            if name is not None:
                self.tell({"exited": name, "status": status})

    def receive(self) -> bool:
        """Does what haar asks; True in a new process that is to become the runtime."""
        data = self.hand.recv(MESSAGE_BYTES)
        if not data:
            posix._exit(0)
        self.received += data
        while len(self.received) >= 4:
            end = 4 + int.from_bytes(self.received[:4], "big")
            if len(self.received) < end:
                break
            asked, self.received = json.loads(self.received[4:end]), self.received[end:]
            if asked["op"] == "signal":
                self.signal(asked["name"], asked["number"])
            elif (pid := posix.fork()) == 0:
                self.forget()
                return True
            else:
                self.names[pid] = RUNTIME
        return False

    def signal(self, name: str, number: int) -> None:
        for pid, known in self.names.items():
            if known == name:
                try:
                    if name and number == signal.SIGKILL:
                        posix.killpg(pid, number)
                    elif number == signal.SIGTERM:
                        import ctypes

                        ctypes.CDLL(None).tgkill(pid, pid, number)  # to the main thread: Python's handlers wake no other
                    else:
                        posix.kill(pid, number)
                except ProcessLookupError:
                    pass

    def tell(self, what: "dict[str, object]", *descriptors: int) -> None:
        data = json.dumps(what).encode()
        data = len(data).to_bytes(4, "big") + data
        rights = b"".join(descriptor.to_bytes(4, sys.byteorder) for descriptor in descriptors)
        try:
            self.hand.sendmsg([data], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if rights else [])
        except OSError:
            posix._exit(0)  # haar is gone
