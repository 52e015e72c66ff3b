"""A zygote's forks: makes one, hands its descriptors to the tester, watches what the kernel does not, ends it."""

import contextlib
import os
import select
import signal
import socket
import time
from typing import NamedTuple

from harness.sandbox.isolation import confine, freezing, marks, scratch, syscalls
from harness.sandbox.python import child
from harness.sandbox.python.control import FILES, LIMITS, REPORT, START, THREADS, UNSEEN

# How often the scratch folder is looked at, and how much longer than a look takes the time until the next one is.
_WATCH_S, _WATCH_SHARE = 0.005, 20


class CandidateFork(NamedTuple):
    """`fds`: channel, stdout and stderr, which the tester gets together with the pidfd."""

    pid: int
    pidfd: int
    fds: tuple[int, int, int]


class Done(NamedTuple):
    """The tester needs this fork no longer. `limits`: its program's. `overrun`: what that exceeded (control.py).
    `listened`: whether there is a listener, to be told of its last call. `last`: the exit status of that call, which
    waited while its files were looked at; then it was killed.
    """

    limits: tuple[float, int]
    overrun: int
    listened: bool
    last: int | None


def make(state: confine.ConfinedState, keeping: child.Keeping | None = None) -> CandidateFork:
    ours, theirs = socket.socketpair()
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    pid = syscalls.fork()
    if pid == 0:
        # In its own session: signals to its process group must not reach the zygote.
        os.setsid()
        os.dup2(out_write, 1)
        os.dup2(err_write, 2)
        os.dup2(theirs.fileno(), child.CHANNEL)
        child.main(state, keeping)
    os.close(out_write)
    os.close(err_write)
    theirs.close()
    return CandidateFork(pid, os.pidfd_open(pid), (ours.detach(), out_read, err_read))


def hand_over(
    control: socket.socket, report: bytes, fork: CandidateFork, start: bytes = bytes(START.size)
) -> None:
    """Give it to the tester, together with the report on the last one."""
    socket.send_fds(control, [start + report], (*fork.fds, fork.pidfd))


def listener(state: confine.ConfinedState, fork: CandidateFork) -> marks.Listener | None:
    """Tells of the fork's last call. To be asked for before it is handed over."""
    return marks.receive(fork.fds[0]) if state.endings else None


def close(fork: CandidateFork) -> None:
    for fd in fork.fds:
        os.close(fd)


def wait_done(
    control: socket.socket, fork: CandidateFork, folder: str, listener: marks.Listener | None
) -> Done | None:
    """Wait until the tester is done; None if it is gone. `folder`: of programs' files, watched unless the listener has
    told that there can be none. What a program has open is looked at once more before it may end, and then it is
    killed: let go on, it could still be interrupted and do more.
    """
    overrun, next_look, last = 0, 0.0, None
    poller = select.poll()
    poller.register(control, select.POLLIN)
    if listener is not None:
        poller.register(listener.fd, select.POLLIN)
    while True:
        watched = bool(folder) and (listener is None or listener.marked)
        done, call = None, None
        for fd, what in poller.poll(_WATCH_S * 1000 if watched else None):
            if fd == control.fileno():
                if not (message := control.recv(LIMITS.size)):
                    return None
                done = LIMITS.unpack(message)
            elif what != select.POLLIN:
                poller.unregister(fd)  # the process has ended
            elif listener is not None and (call := listener.receive()):
                listener.marked = True
        ends = call is not None and call.is_last and _is_of(call.thread, fork.pid)
        begin = time.process_time()
        looks = watched and not overrun and last is None
        if looks and (done or ends or time.monotonic() >= next_look):
            held = call.thread if call and ends else 0
            if overrun := _overrun(fork.pid, folder, held, ending=bool(held or done)):
                os.kill(fork.pid, signal.SIGKILL)
            # Many files take long to look at: that must not cost more than a small part of a processor.
            next_look = time.monotonic() + _WATCH_SHARE * (time.process_time() - begin)
        if call and ends and last is None and not overrun:
            last = call.status
            os.kill(fork.pid, signal.SIGKILL)
        elif listener is not None and call and not ends:
            listener.let_go_on(call)
        if done:
            return Done(done, overrun, listener is not None, last)


def _is_of(thread: int, pid: int) -> bool:
    """A listener may serve others of the zygote's forks as well."""
    return thread == pid or os.path.exists(f"/proc/{pid}/task/{thread}")


def _overrun(pid: int, folder: str, held: int, ending: bool) -> int:
    """What the kernel limits where there are namespaces, and a user id for each worker. `held`: the thread whose last
    call waits, or 0. `ending`: it is the last look, during which nothing may change.
    """
    threads = scratch.threads(pid)
    moves = threads > 1 or (held and not marks.signals_wait())
    if ending and moves and not freezing.freeze(lambda: (pid,), held):
        return UNSEEN
    try:
        if scratch.exceeds(folder, confine.SCRATCH_MB, confine.SCRATCH_FILES, (pid,)):
            return FILES
    except scratch.LookTooLong:
        return UNSEEN
    return THREADS if threads > confine.THREADS + 1 else 0


def end(
    state: confine.ConfinedState, fork: CandidateFork, folder: str, done: Done, cpu_before: float = 0.0
) -> tuple[bytes, int]:
    """End the process, which had used `cpu_before` seconds before its program, and remove what that left. Returns the
    report on it, and a descriptor of its mounts or -1: the kernel takes its time to free them, which with that
    descriptor it does once the next program runs.
    """
    mounts = syscalls.mount_namespace(fork.pidfd) if state.isolation == "namespaces" else -1
    status, usage = reap(fork)
    overrun = done.overrun
    if done.last is not None:
        status = done.last << 8
    elif done.listened and os.WIFEXITED(status):
        overrun = overrun or FILES  # nobody could look at what it had
    if folder:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(fork.pid, signal.SIGKILL)  # only the level `process` lets programs start children
        scratch.empty(folder)
    return REPORT.pack(status, usage.ru_utime + usage.ru_stime - cpu_before, usage.ru_maxrss, overrun), mounts


def reap(fork: CandidateFork) -> "tuple[int, os.resource.struct_rusage]":  # type: ignore[name-defined]
    os.kill(fork.pid, signal.SIGKILL)
    status, usage = 0x7F, None
    while os.WIFSTOPPED(status):  # a process that is traced
        _, status, usage = os.wait4(fork.pid, 0)
    os.close(fork.pidfd)
    return status, usage
