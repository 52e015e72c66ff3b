"""Forks one confined process a program, from a warm interpreter that has never seen a test or a secret.

One spare fork is always ready, confined and waiting for its job. The tester says `K` when it is done with a
program; the zygote kills and reaps it, says how it ended, hands over the spare's descriptors and makes the
next one.
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

# Without it every thread would reserve as much address space as the deep main stack.
_THREAD_STACK = 8 << 20


@dataclass(frozen=True)
class CandidateFork:
    """A fork: its number and process descriptor here, and what the tester needs of it: channel, stdout, stderr
    and the process descriptor.
    """

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
            del sys.modules[name]  # programs find no such package; the functions here keep what they need
        prewarm.freeze()
        control.send(b"+")
        _serve(control, state, plan.scratch)
    except (BrokenPipeError, ConnectionResetError):
        return  # the tester is gone, and this process with it
    finally:
        if plan.scratch:
            # A controller that was killed can't do it; that is why this process outlives its parent so far.
            with contextlib.suppress(OSError):
                _empty(plan.scratch)
                os.rmdir(plan.scratch)


def _verify(state: confine.ConfinedState) -> str:
    """Let a fork try what programs must not do; what it could do, or why it could not be confined."""
    if state.isolation == "process":
        return ""
    read, write = os.pipe()
    if _fork_inside(state) == 0:
        try:
            confine.drop_privileges(state)
            could = confine.find_escape(state)
            word = f"a confined program can still {could}" if could else ""
        except OSError as error:
            word = str(error)
        os.write(write, word.encode())
        os._exit(0)
    os.close(write)
    os.wait()
    with open(read, "rb") as file:
        return file.read().decode()


def _fork_inside(state: confine.ConfinedState) -> int:
    """Fork, at the strongest level as process 1 of a new pid namespace: whatever it leaves dies with it."""
    if state.pid_namespace < 0:
        return syscalls.fork()
    syscalls.unshare(syscalls.CLONE_NEWPID)
    pid = syscalls.fork()
    if pid:
        syscalls.setns(state.pid_namespace, syscalls.CLONE_NEWPID)
    return pid


def _serve(control: socket.socket, state: confine.ConfinedState, scratch: str) -> None:
    fork = _fork(control, state)
    _hand_over(control, b"", fork)
    while True:
        spare = _fork(control, state)
        overrun = _await_end(control, fork, scratch)
        if overrun is None:
            _reap(fork)
            _reap(spare)
            return
        # The kernel frees mounts in its own time. With a hold on them the fork ends at once, and they go below,
        # while the next program runs already.
        mounts = syscalls.mount_namespace(fork.pidfd) if state.isolation == "namespaces" else -1
        status, usage = _reap(fork)
        if scratch:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(fork.pid, signal.SIGKILL)  # only the unprotected level lets programs have children
            _empty(scratch)
        report = REPORT.pack(status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, overrun)
        _hand_over(control, report, spare)
        if mounts >= 0:
            os.close(mounts)
        fork = spare


def _await_end(control: socket.socket, fork: CandidateFork, scratch: str) -> bool | None:
    """Wait for the tester's word. True if the program overran its files, None if the tester is gone."""
    overrun = False
    if scratch:
        control.settimeout(0.005)
    while True:
        try:
            word = control.recv(16)
        except TimeoutError:
            if not overrun and _too_large(scratch):
                overrun = True
                os.kill(fork.pid, signal.SIGKILL)
            continue
        return overrun if word else None


def _hand_over(control: socket.socket, report: bytes, fork: CandidateFork) -> None:
    socket.send_fds(control, [report or b"-"], (*fork.fds, fork.pidfd))
    for fd in fork.fds:
        os.close(fd)


def _fork(control: socket.socket, state: confine.ConfinedState) -> CandidateFork:
    near, far = socket.socketpair()
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    pid = _fork_inside(state)
    if pid == 0:
        # A session of its own: signals to "my process group" must not reach the zygote.
        os.setsid()
        os.dup2(out_write, 1)
        os.dup2(err_write, 2)
        os.dup2(far.fileno(), child.CHANNEL)
        child.main(state)
    os.close(out_write)
    os.close(err_write)
    far.close()
    return CandidateFork(pid, os.pidfd_open(pid), (near.detach(), out_read, err_read))


def _reap(fork: CandidateFork) -> "tuple[int, os.resource.struct_rusage]":  # type: ignore[name-defined]
    os.kill(fork.pid, signal.SIGKILL)
    _, status, usage = os.wait4(fork.pid, 0)
    os.close(fork.pidfd)
    return status, usage


# ---------------------------------------------------------------- scratch folders that are no mounts


def _too_large(scratch: str) -> bool:
    """Whether a program's files outgrew what the private file system of the strongest level would hold."""
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
            continue  # removed meanwhile, or made without rights, and then nothing can be in it
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
    """Entry of the process: a descriptor's number and the plan as JSON."""
    fields = json.loads(arguments[1])
    fields |= {name: tuple(fields[name]) for name in ("packages", "preload")}
    main(int(arguments[0]), confine.ConfinementPlan(**fields))


if __name__ == "__main__":
    start(sys.argv[1:])
