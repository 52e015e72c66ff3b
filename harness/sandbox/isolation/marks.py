"""Learns of the first system call of a process that could change more of it than its memory and registers.

The process installs the filter of seccomp.stateless and gives the listener's descriptor away. Each such call then waits
until it is let go on, so the listener has to be served for as long as the process runs.
"""

import contextlib
import ctypes
import fcntl
import os

from harness.sandbox.isolation import syscalls

_SECCOMP, _SET_FILTER, _NEW_LISTENER = 317, 1, 8
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_NOTICE, _GO_ON = 80, 1

_libc = ctypes.CDLL(None, use_errno=True)


def install(program: syscalls.Filter) -> int:
    """Apply the filter to this process, for good; returns the listener. Needs no_new_privs."""
    fd: int = _libc.syscall(_SECCOMP, _SET_FILTER, _NEW_LISTENER, ctypes.c_void_p(program.address))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"seccomp listener: {os.strerror(code)}")
    return fd


def let_go_on(listener: int) -> None:
    """Let the call that waits be made, as if nobody had been told."""
    notice = bytearray(_NOTICE)
    with contextlib.suppress(FileNotFoundError):  # the process was ended meanwhile
        fcntl.ioctl(listener, _RECEIVE, notice)
        answer = notice[:8] + bytes(12) + _GO_ON.to_bytes(4, "little")
        fcntl.ioctl(listener, _SEND, answer)
