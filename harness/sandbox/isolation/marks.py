"""Learns of chosen system calls of a process while they wait: those after which it can't be put back, and its last.

The process installs a filter of seccomp.py (`stateless`, `endings`) and gives the listener's descriptor away. Each such
call then waits until it is let go on, so the listener has to be served for as long as the process runs.
"""

import contextlib
import ctypes
import fcntl
import os
import socket
from typing import NamedTuple

from harness.sandbox.isolation import seccomp, syscalls

_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_FILTER, _NEW_LISTENER = 1, 8
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
        """The next call that waits; None if its thread was ended meanwhile."""
        notice = bytearray(_NOTICE)
        try:
            fcntl.ioctl(self.fd, _RECEIVE, notice)
        except FileNotFoundError:
            return None
        thread, number = (int.from_bytes(notice[at : at + 4], "little") for at in (8, 16))
        return Call(bytes(notice[:8]), thread, number == seccomp.EXIT_GROUP, notice[32])

    def let_go_on(self, call: Call) -> None:
        """Let it be made, as if nobody had been told."""
        with contextlib.suppress(FileNotFoundError):  # the process was ended meanwhile
            fcntl.ioctl(self.fd, _SEND, call.token + bytes(12) + _GO_ON.to_bytes(4, "little"))

    def close(self) -> None:
        os.close(self.fd)


def install(program: syscalls.Filter) -> int:
    """Apply the filter to this process, for good; returns the listener. Needs no_new_privs."""
    number = _SECCOMP[syscalls.MACHINE]
    fd: int = _libc.syscall(number, _SET_FILTER, _NEW_LISTENER, ctypes.c_void_p(program.address))
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
