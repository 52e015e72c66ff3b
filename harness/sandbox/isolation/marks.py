"""Learns of chosen system calls of a process while they wait: those after which it can't be put back, and its last.

The process installs a filter of seccomp.py (`stateless`, `endings`) and gives the listener's descriptor away. Each such
call then waits until it is let go on, so the listener has to be served for as long as the process runs.

Since Linux 5.19 a call that the listener has received is interrupted by nothing but the thread's end. Before (and
anywhere until it is received) a signal takes it back: the program's handler runs, and the call may or may not be made
again. So a last call counts only where the process was ended while it waited, by whoever looked at it; a process that
ends by itself has not been looked at.
"""

import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import socket
from typing import NamedTuple

from harness.sandbox.isolation import seccomp, syscalls

_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_FILTER, _NEW_LISTENER, _WAIT_KILLABLE = 1, 8, 32
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_NOTICE, _GO_ON = 80, 1

_libc = ctypes.CDLL(None, use_errno=True)


class Call(NamedTuple):
    """One that waits. `status`: with which it would end the process, where it is the last."""

    token: bytes
    thread: int
    is_last: bool
    status: int


class Listener:
    """`marked`: whether there may have been a call after which the process is not what it was."""

    def __init__(self, fd: int, marked: bool) -> None:
        self.fd = fd
        self.marked = marked

    def receive(self) -> Call | None:
        """The next call that waits; None if it is gone: its thread was ended, or a signal has interrupted it."""
        notice = bytearray(_NOTICE)
        try:
            fcntl.ioctl(self.fd, _RECEIVE, notice)
        except FileNotFoundError:
            return None
        thread, number = (int.from_bytes(notice[at : at + 4], "little") for at in (8, 16))
        return Call(bytes(notice[:8]), thread, number == seccomp.EXIT_GROUP, notice[32])

    def let_go_on(self, call: Call) -> None:
        """Let it be made, as if nobody had been told."""
        with contextlib.suppress(FileNotFoundError):  # it is gone
            fcntl.ioctl(self.fd, _SEND, call.token + bytes(12) + _GO_ON.to_bytes(4, "little"))

    def close(self) -> None:
        os.close(self.fd)


@functools.cache
def signals_wait() -> bool:
    """Whether signals wait until a received call has been let go on: asked of the kernel with no filter at all, which
    is another error where it knows the flag.
    """
    flags = _NEW_LISTENER | _WAIT_KILLABLE
    _libc.syscall(_SECCOMP[syscalls.MACHINE], _SET_FILTER, flags, ctypes.c_void_p())
    return ctypes.get_errno() == errno.EFAULT


def install(program: syscalls.Filter) -> int:
    """Apply the filter to this process, for good; returns the listener. Needs no_new_privs."""
    flags = _NEW_LISTENER | (_WAIT_KILLABLE if signals_wait() else 0)
    fd: int = _libc.syscall(_SECCOMP[syscalls.MACHINE], _SET_FILTER, flags, ctypes.c_void_p(program.address))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"seccomp listener: {os.strerror(code)}")
    return fd


def listen(program: syscalls.Filter | None) -> Listener | None:
    """Install it here and serve all forks to come, which costs them nothing. This process itself can end from now on by
    a signal only. None where there is no filter, the kernel has no listeners, or somebody listens already.
    """
    try:
        return Listener(install(program), marked=True) if program else None
    except OSError:
        return None


def send(channel: int, program: syscalls.Filter) -> None:
    """Install the filter and give the listener away over a socket, before this process may no longer. One byte alone
    where the kernel has none, or somebody listens already.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, os.dup(channel)) as to:
        try:
            fd = install(program)
        except OSError:
            to.send(b"-")
            return
        socket.send_fds(to, [b"+"], [fd])
        os.close(fd)


def receive(channel: int) -> Listener | None:
    """What `send` sent; None where there is no listener."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, os.dup(channel)) as source:
        _, fds, _, _ = socket.recv_fds(source, 1, 1)
    return Listener(fds[0], marked=True) if fds else None
