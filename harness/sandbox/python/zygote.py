"""Forks one confined process for each program, from a prewarmed interpreter that has never seen a test or a secret.

One spare fork is always ready, confined and waiting for its job. When the tester is done with a program it sends `K`;
the zygote kills and reaps that fork, reports how it ended together with the spare's descriptors, and makes the next
spare.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import threading
from dataclasses import dataclass

from harness.sandbox.isolation import confine, syscalls
from harness.sandbox.python import child, prewarm
from harness.sandbox.python.control import REPORT

# Else every thread would reserve as much address space as the deep main stack.
_THREAD_STACK = 8 << 20


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
        for name in [name for name in sys.modules if name.split(".")[0] == "harness"]:
            del sys.modules[name]  # programs find no such package; the functions here keep their references
        prewarm.freeze()
        control.send(b"+")
        _serve(control, state, plan.scratch)
    except (BrokenPipeError, ConnectionResetError):
        return  # the tester is gone, and this process with it
    finally:
        if plan.scratch:
            # A controller that was killed cannot do it: that is why this process outlives its parent.
            with contextlib.suppress(OSError):
                _empty(plan.scratch)
                os.rmdir(plan.scratch)


def _verify(state: confine.ConfinedState) -> str:
    """Let a fork try what programs must not do. Returns what it could do, or why it could not be confined, or ""."""
    if state.isolation == "process":
        return ""
    read, write = os.pipe()
    if _fork_inside(state) == 0:
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


def _fork_inside(state: confine.ConfinedState) -> int:
    """Fork; at the `namespaces` level as process 1 of a new pid namespace, so that all it starts dies with it."""
    if state.pid_namespace < 0:
        return syscalls.fork()
    syscalls.unshare(syscalls.CLONE_NEWPID)
    pid = syscalls.fork()
    if pid:
        syscalls.setns(state.pid_namespace, syscalls.CLONE_NEWPID)
    return pid


def _serve(control: socket.socket, state: confine.ConfinedState, scratch: str) -> None:
    fork = _fork(control, state)
    _send_fork(control, b"", fork)
    while True:
        spare = _fork(control, state)
        overrun = _wait_done(control, fork, scratch)
        if overrun is None:
            _reap(fork)
            _reap(spare)
            return
        # The kernel takes its time to free mounts. With a descriptor held on them the fork ends at once, and they are
        # freed below, while the next program already runs.
        mounts = syscalls.mount_namespace(fork.pidfd) if state.isolation == "namespaces" else -1
        status, usage = _reap(fork)
        if scratch:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(fork.pid, signal.SIGKILL)  # only the level `process` lets programs start children
            _empty(scratch)
        report = REPORT.pack(status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, overrun)
        _send_fork(control, report, spare)
        if mounts >= 0:
            os.close(mounts)
        fork = spare


def _wait_done(control: socket.socket, fork: CandidateFork, scratch: str) -> bool | None:
    """Wait until the tester is done. True if the program exceeded its scratch quota, None if the tester is gone."""
    overrun = False
    if scratch:
        control.settimeout(0.005)
    while True:
        try:
            message = control.recv(16)
        except TimeoutError:
            if not overrun and _scratch_overrun(scratch):
                overrun = True
                os.kill(fork.pid, signal.SIGKILL)
            continue
        return overrun if message else None


def _send_fork(control: socket.socket, report: bytes, fork: CandidateFork) -> None:
    socket.send_fds(control, [report or b"-"], (*fork.fds, fork.pidfd))
    for fd in fork.fds:
        os.close(fd)


def _fork(control: socket.socket, state: confine.ConfinedState) -> CandidateFork:
    ours, theirs = socket.socketpair()
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    pid = _fork_inside(state)
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


# ---------------------------------------------------------------- scratch folders that are not mounts


def _scratch_overrun(scratch: str) -> bool:
    """Whether a program's files exceed the quota that a private file system would enforce."""
    size = count = 0
    folders = [scratch]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    count += 1
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        size += entry.stat(follow_symlinks=False).st_blocks << 9
                    if count > confine.SCRATCH_FILES or size > confine.SCRATCH_MB << 20:
                        return True
        except (FileNotFoundError, PermissionError):
            continue  # removed meanwhile, or created without rights, and then nothing can be in it
    return False


def _empty(scratch: str) -> None:
    for name in os.listdir(scratch):
        path = os.path.join(scratch, name)
        if os.path.isdir(path) and not os.path.islink(path):
            os.chmod(path, 0o700)
            for folder, folders, _ in os.walk(path):
                for inner in folders:
                    if not os.path.islink(os.path.join(folder, inner)):
                        os.chmod(os.path.join(folder, inner), 0o700)  # a program may have locked them
            shutil.rmtree(path)
        else:
            os.unlink(path)


def start(arguments: list[str]) -> None:
    """Entry point of the process. `arguments`: the descriptor's number, the plan as JSON."""
    fields = json.loads(arguments[1])
    fields |= {name: tuple(fields[name]) for name in ("packages", "preload")}
    main(int(arguments[0]), confine.ConfinementPlan(**fields))


if __name__ == "__main__":
    start(sys.argv[1:])
