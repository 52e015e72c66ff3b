"""Forks one confined process for each program, from a prewarmed interpreter that has never seen a test or a secret.

One spare fork is always ready, confined and waiting for its job. When the tester is done with a program it sends `K`;
the zygote kills and reaps that fork, reports how it ended together with the spare's descriptors, and makes the next
spare.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass

from harness.sandbox.isolation import confine, huge_pages, scratch, syscalls
from harness.sandbox.python import child, prewarm, semaphores
from harness.sandbox.python.control import FILES, REPORT, THREADS

# Else every thread would reserve as much address space as the deep main stack.
_THREAD_STACK = 8 << 20
# How often the scratch folder is looked at, and how much longer than a look takes the time until the next one is.
_WATCH_S, _WATCH_SHARE = 0.005, 20


@dataclass(frozen=True)
class CandidateFork:
    """A fork of the zygote. `fds`: channel, stdout and stderr, which the tester gets together with the pidfd."""

    pid: int
    pidfd: int
    fds: tuple[int, int, int]


def main(control_fd: int, plan: confine.ConfinementPlan) -> None:
    control = socket.socket(fileno=control_fd)
    prewarm.warm_up()
    threading.stack_size(_THREAD_STACK)
    try:
        state = confine.enter(plan)
    except (OSError, ImportError) as error:
        control.send(b"!" + str(error).encode())
        return
    if state is None:
        control.close()
        os.wait()
        return
    if not plan.scratch:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        if problem := _verify(state):
            control.send(b"!" + problem.encode())
            return
        os.environ.pop("PYTHONHASHSEED", None)
        semaphores.install()
        for name in [name for name in sys.modules if name.split(".")[0] == "harness"]:
            del sys.modules[name]  # programs find no such package; the functions here keep their references
        prewarm.freeze()
        if plan.preload:
            huge_pages.collapse()
        control.send(b"+")
        _serve(control, state, plan.scratch)
    except (BrokenPipeError, ConnectionResetError):
        return  # the tester is gone, and this process with it
    finally:
        if plan.scratch:
            # A controller that was killed cannot do it: that is why this process outlives its parent.
            with contextlib.suppress(OSError):
                scratch.empty(plan.scratch)
                os.rmdir(plan.scratch)


def _verify(state: confine.ConfinedState) -> str:
    """Let a fork try what programs must not do. Returns what it could do, or why it could not be confined, or ""."""
    if state.isolation == "process":
        return ""
    read, write = os.pipe()
    if syscalls.fork() == 0:
        try:
            confine.drop_privileges(state)
            escape = confine.find_escape(state.isolation)
            problem = f"a confined program can still {escape}" if escape else ""
        except OSError as error:
            problem = str(error)
        os.write(write, problem.encode())
        os._exit(0)
    os.close(write)
    os.wait()
    with open(read, "rb") as file:
        return file.read().decode()


def _serve(control: socket.socket, state: confine.ConfinedState, folder: str) -> None:
    """`folder`: for programs' files, emptied after each; "" where they have a mount of their own."""
    fork = _fork(control, state)
    _send_fork(control, b"", fork)
    while True:
        spare = _fork(control, state)
        overrun = _wait_done(control, fork, folder)
        if overrun is None:
            _reap(fork)
            _reap(spare)
            return
        # The kernel takes its time to free mounts. With a descriptor held on them the fork ends at once, and they are
        # freed below, while the next program already runs.
        mounts = syscalls.mount_namespace(fork.pidfd) if state.isolation == "namespaces" else -1
        status, usage = _reap(fork)
        if folder:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(fork.pid, signal.SIGKILL)  # only the level `process` lets programs start children
            scratch.empty(folder)
        report = REPORT.pack(status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, overrun)
        _send_fork(control, report, spare)
        if mounts >= 0:
            os.close(mounts)
        fork = spare


def _wait_done(control: socket.socket, fork: CandidateFork, folder: str) -> int | None:
    """Wait until the tester is done. What the program exceeded meanwhile (control.py), None if the tester is gone."""
    overrun = 0
    if folder:
        control.settimeout(_WATCH_S)
    while True:
        try:
            message = control.recv(16)
        except TimeoutError:
            begin = time.process_time()
            if not overrun and (overrun := _overrun(fork.pid, folder)):
                os.kill(fork.pid, signal.SIGKILL)
            # Many files take long to look at: that must not cost more than a small part of a processor.
            control.settimeout(max(_WATCH_S, _WATCH_SHARE * (time.process_time() - begin)))
            continue
        return overrun if message else None


def _overrun(pid: int, folder: str) -> int:
    """What the kernel limits where there are namespaces, and a user id for each worker."""
    if scratch.exceeds(folder, confine.SCRATCH_MB, confine.SCRATCH_FILES, pid):
        return FILES
    return THREADS if scratch.threads(pid) > confine.THREADS + 1 else 0


def _send_fork(control: socket.socket, report: bytes, fork: CandidateFork) -> None:
    socket.send_fds(control, [report or b"-"], (*fork.fds, fork.pidfd))
    for fd in fork.fds:
        os.close(fd)


def _fork(control: socket.socket, state: confine.ConfinedState) -> CandidateFork:
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
        child.main(state)
    os.close(out_write)
    os.close(err_write)
    theirs.close()
    return CandidateFork(pid, os.pidfd_open(pid), (ours.detach(), out_read, err_read))


def _reap(fork: CandidateFork) -> "tuple[int, os.resource.struct_rusage]":  # type: ignore[name-defined]
    os.kill(fork.pid, signal.SIGKILL)
    _, status, usage = os.wait4(fork.pid, 0)
    os.close(fork.pidfd)
    return status, usage


def start(arguments: list[str]) -> None:
    """Entry point of the process. `arguments`: the descriptor's number, the plan as JSON."""
    fields = json.loads(arguments[1])
    fields |= {name: tuple(fields[name]) for name in ("packages", "preload", "importable")}
    main(int(arguments[0]), confine.ConfinementPlan(**fields))


if __name__ == "__main__":
    start(sys.argv[1:])
