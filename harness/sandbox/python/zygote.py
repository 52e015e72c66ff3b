"""Forks one confined process for each program, from a prewarmed interpreter that has never seen a test or a secret.

One spare fork is always ready, confined and waiting for its job. When the tester is done with a program it says so;
the zygote kills and reaps that fork, reports how it ended together with the spare's descriptors, and makes the next
spare. With `restores` it may put the process back instead (restoring.py).
"""

import contextlib
import importlib
import json
import os
import signal
import socket
import sys
import threading
import traceback

from harness.sandbox.isolation import confine, huge_pages, marks, scratch, syscalls
from harness.sandbox.python import forks, prewarm, semaphores

# Else every thread would reserve as much address space as the deep main stack.
_THREAD_STACK = 8 << 20


def main(control_fd: int, plan: confine.ConfinementPlan) -> None:
    control = socket.socket(fileno=control_fd)
    restoring = importlib.import_module("harness.sandbox.python.restoring") if plan.restores else None
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
        if restoring and (problem := restoring.find_obstacle(state)):
            control.send(f"!programs cannot be put back here: {problem}".encode())
            return
        control.send(b"+")
        serve = restoring.serve if restoring else _serve
        serve(control, state, plan.scratch)
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
    listener = marks.listen(state.endings)
    state = state._replace(endings=None)
    fork = forks.make(state)
    forks.hand_over(control, b"", fork)
    forks.close(fork)
    while True:
        spare = forks.make(state)
        done = forks.wait_done(control, fork, folder, listener)
        if done is None:
            forks.reap(fork)
            forks.reap(spare)
            return
        report, mounts = forks.end(state, fork, folder, done)
        forks.hand_over(control, report, spare)
        forks.close(spare)
        if mounts >= 0:
            os.close(mounts)
        fork = spare


def start(arguments: list[str]) -> None:
    """Entry point of the process. `arguments`: the descriptor's number, the plan as JSON."""
    fields = json.loads(arguments[1])
    fields |= {name: tuple(fields[name]) for name in ("packages", "preload", "importable")}
    plan = confine.ConfinementPlan(**fields)
    try:
        main(int(arguments[0]), plan)
    except BaseException:  # noqa: BLE001 - said, and then it ends
        traceback.print_exc()
    if plan.isolation == "landlock":
        os.kill(os.getpid(), signal.SIGKILL)  # its own last call would wait for itself (marks.listen)


if __name__ == "__main__":
    start(sys.argv[1:])
