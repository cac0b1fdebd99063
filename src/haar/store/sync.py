"""Makes a file's data durable without holding the loop: by the kernel's own workers where it lets us, else by a thread.

`fdatasync` in a thread of Python's costs more than the sync: at its end the thread asks the loop's thread for the interpreter,
and both hand it back and forth at every statement. Linux's asynchronous I/O (io_submit(2), IOCB_CMD_FDSYNC) does the same sync
in a worker of the kernel's and tells an eventfd, which the loop watches like a socket.
"""

import asyncio
import ctypes
import errno
import os
import platform
from collections.abc import Callable
from typing import Protocol

from haar.store.helper import Helper

Synced = Callable[[BaseException | None], None]
"""Called in the loop when the data is on disk, or with what kept it from that."""

CALLS = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
"""The numbers of io_setup, io_destroy, io_getevents, io_submit, by machine; both are little-endian."""
FDSYNC = 3
TO_EVENTFD = 1


class Syncer(Protocol):
    """One sync at a time; the next is submitted after the one before has ended."""

    def submit(self, opened: Callable[[], int], done: Synced) -> None:
        """Syncs the file that `opened()` gives a descriptor of, then calls `done`."""

    def close(self) -> None: ...


class _Control(ctypes.Structure):
    """struct iocb of linux/aio_abi.h."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("key", ctypes.c_uint32),
        ("flags_of_operation", ctypes.c_int32),
        ("operation", ctypes.c_uint16),
        ("priority", ctypes.c_int16),
        ("descriptor", ctypes.c_uint32),
        ("buffer", ctypes.c_uint64),
        ("length", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("reserved", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("eventfd", ctypes.c_uint32),
    )


class _Event(ctypes.Structure):
    """struct io_event of linux/aio_abi.h."""

    _fields_ = (("data", ctypes.c_uint64), ("control", ctypes.c_uint64), ("result", ctypes.c_int64), ("more", ctypes.c_int64))


class KernelSyncer:
    """Syncs by asynchronous I/O. OSError when the kernel, or a filter of system calls before it, does not let us."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        numbers = CALLS.get(platform.machine())
        if numbers is None or os.name != "posix" or platform.system() != "Linux":
            raise OSError(errno.ENOSYS, "no asynchronous I/O on this kind of machine")
        setup, self._destroy, self._getevents, self._submit = map(ctypes.c_long, numbers)
        self._loop = loop
        # PyDLL keeps the interpreter during a call: these return at once.
        self._call = ctypes.PyDLL(None, use_errno=True).syscall
        self._context = ctypes.c_ulong(0)
        self._checked(setup, ctypes.c_long(1), ctypes.byref(self._context))
        self._told = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._control = _Control(operation=FDSYNC, flags=TO_EVENTFD, eventfd=self._told)
        self._controls = (ctypes.c_void_p * 1)(ctypes.addressof(self._control))
        self._event = _Event()
        self._done: Synced | None = None
        loop.add_reader(self._told, self._ended)

    def submit(self, opened: Callable[[], int], done: Synced) -> None:
        assert self._done is None
        try:
            self._control.descriptor = opened()
            self._checked(self._submit, self._context, ctypes.c_long(1), self._controls)
        except OSError as error:
            self._loop.call_soon(done, error)
            return
        self._done = done

    def close(self) -> None:
        """Waits for a sync that is under way."""
        self._loop.remove_reader(self._told)
        self._checked(self._destroy, self._context)
        os.close(self._told)

    def _ended(self) -> None:
        os.eventfd_read(self._told)
        one = ctypes.c_long(1)
        self._checked(self._getevents, self._context, one, one, ctypes.byref(self._event), None)
        done, self._done = self._done, None
        assert done is not None
        result = self._event.result
        done(None if result == 0 else OSError(-result, os.strerror(-result)))

    def _checked(self, number: ctypes.c_long, *arguments: object) -> None:
        if self._call(number, *arguments) < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))


class ThreadSyncer:
    """Syncs in a helper thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._helper = Helper(loop, "haar-sync")

    def submit(self, opened: Callable[[], int], done: Synced) -> None:
        self._helper.submit(lambda: os.fdatasync(opened()), lambda _, error: done(error))

    def close(self) -> None:
        self._helper.stop()


def best_syncer(loop: asyncio.AbstractEventLoop) -> Syncer:
    try:
        return KernelSyncer(loop)
    except OSError:
        return ThreadSyncer(loop)
