"""Serves programs with one process that is put back after each, in place of a fork for each.

A process is put back only if its program made no system call that could change more of it than memory and registers
(seccomp.stateless); else it is ended, as every fork is, and a new one is made. A new one costs several times a fork:
where programs keep needing one, plain forks serve the next ones, for longer each time.
"""

import contextlib
import os
import signal
import socket
from dataclasses import dataclass

from harness.sandbox import framing
from harness.sandbox.isolation import confine, marks, restore, seccomp, syscalls
from harness.sandbox.python import child, forks
from harness.sandbox.python.control import REPORT, START

# A process must serve so many programs to pay; else so many plain forks come next, at most.
_PAYS, _MOST_PLAIN = 16, 64
# Limits of CPU time count from a process's start: one that has used this much is replaced.
_CPU_S = 20.0
_TRIAL = (10.0, 1024)


class Restorable:
    """What a fork does so that it can be put back. `limits`: of CPU seconds and memory, of the programs to come."""

    def __init__(self, program: syscalls.Filter, limits: tuple[float, int]) -> None:
        self.program = program
        self.limits = (limits[0] + _CPU_S, limits[1])

    def prepare(self, fd: int) -> None:
        os.dup2(restore.userfault(), fd)
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)  # else the zygote could not look into it

    def finish(self, fd: int) -> object:
        reserved = restore.reserve()
        if marks.install(self.program) != fd + 1:
            raise OSError("a descriptor is open that should not be")
        return reserved


@dataclass
class Kept:
    """A process and what it takes to put it back. `times`: the seconds it had run and waited before its program."""

    fork: forks.CandidateFork
    limits: tuple[float, int]
    checkpoint: restore.Checkpoint
    listener: marks.Listener
    schedule: int
    memory: int
    times: tuple[float, float] = (0.0, 0.0)
    programs: int = 0

    def read_times(self) -> tuple[float, float]:
        ran, waited, _ = os.pread(self.schedule, 100, 0).split()
        return int(ran) / 1e9, int(waited) / 1e9

    def put_back(self) -> bytes:
        """The report on its program; empty if it has to be ended."""
        if not self.checkpoint.reset():
            return b""
        self._drain()
        before, self.times = self.times, self.read_times()
        pages = int(os.pread(self.memory, 100, 0).split()[1])
        self.checkpoint.resume()
        self.programs += 1
        return REPORT.pack(signal.SIGKILL, self.times[0] - before[0], pages * 4, 0)

    def _drain(self) -> None:
        """Nothing of a program may wait in its pipes for the next, nothing that was meant for it either."""
        for fd in self.fork.fds:
            while count := framing.pending(fd):
                os.read(fd, count)
        if framing.unread(self.fork.fds[0]):
            with socket.socket(fileno=restore.take_descriptor(self.fork.pidfd, child.CHANNEL)) as theirs:
                with contextlib.suppress(BlockingIOError):
                    while theirs.recv(1 << 16, socket.MSG_DONTWAIT):
                        pass

    def close(self) -> None:
        self.checkpoint.close()
        for fd in (self.schedule, self.memory):
            os.close(fd)


def find_obstacle(state: confine.ConfinedState) -> str:
    """Make one such process. Why it cannot be had, or ""."""
    if state.filter is None:
        return "it takes an isolation level with seccomp"
    if problem := restore.unavailable():
        return problem
    try:
        kept = _make(state, _new_filter(), _TRIAL)
    except OSError as error:
        return str(error)
    works = bool(kept.put_back())
    forks.reap(kept.fork)
    forks.close(kept.fork)
    kept.close()
    kept.listener.close()
    return "" if works else "a process that waits could not be put back"


def serve(control: socket.socket, state: confine.ConfinedState, folder: str) -> None:
    """`folder`: for programs' files, emptied after each that may have made some."""
    program, plain, penalty = _new_filter(), 0, 1
    fork, kept = forks.make(state), None
    listener = forks.listener(state, fork)
    forks.hand_over(control, b"", fork)
    while True:
        done = forks.wait_done(control, fork, folder, listener)
        if done is None:
            forks.reap(fork)
            return
        report, mounts = b"", -1
        if kept and not kept.listener.marked and kept.times[0] < _CPU_S and kept.limits == done.limits:
            report = kept.put_back()
        if not report:
            before = kept.times[0] if kept else 0.0
            report, mounts = forks.end(state, fork, folder, done, before)
            forks.close(fork)
            if listener is not None:
                listener.close()
            if kept is not None:
                penalty = min(2 * penalty, _MOST_PLAIN) if kept.programs < _PAYS else 1
                plain = penalty if kept.programs < _PAYS else 0
                kept.close()
            kept = _make(state, program, done.limits) if plain <= 0 else None
            fork = kept.fork if kept else forks.make(state)
            listener = kept.listener if kept else forks.listener(state, fork)
            plain -= kept is None
        start = START.pack(*kept.times, *kept.limits) if kept else bytes(START.size)
        forks.hand_over(control, report, fork, start)
        if mounts >= 0:
            os.close(mounts)


def _new_filter() -> syscalls.Filter:
    return syscalls.Filter(seccomp.stateless(child.CHANNEL + 1))


def _make(state: confine.ConfinedState, program: syscalls.Filter, limits: tuple[float, int]) -> Kept:
    fork = forks.make(state, Restorable(program, limits))
    channel, frames = fork.fds[0], framing.FrameBuffer(1 << 16)
    try:
        for wanted in (b"G", b"H"):
            if (answer := framing.read_frame(channel, frames)) != wanted:
                raise OSError(answer[1:].decode(errors="replace"))
            if wanted == b"G":
                userfault = restore.take_descriptor(fork.pidfd, child.CHANNEL + 1)
                listener = restore.take_descriptor(fork.pidfd, child.CHANNEL + 2)
                os.write(channel, b"g")
    except framing.ConnectionClosed:
        raise OSError("a fork ended while it was set up") from None
    checkpoint = restore.Checkpoint(fork.pid, userfault)
    schedule, memory = (
        os.open(f"/proc/{fork.pid}/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in ("schedstat", "statm")
    )
    kept = Kept(fork, limits, checkpoint, marks.Listener(listener, marked=False), schedule, memory)
    kept.times = kept.read_times()
    return kept
