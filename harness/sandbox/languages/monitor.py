"""One step of a program in another language, seen from outside: its clock, its memory, its output, its end.

What is summed up is everything the step started (tree.py), not only its first process.
"""

import contextlib
import fcntl
import os
import resource
import select
import signal
import time
from dataclasses import dataclass

from harness.sandbox.isolation import process_tree
from harness.sandbox.languages import confined_step

WALL_SLACK = 10
_LOOK_S = 0.02


class ConfinementError(Exception):
    """The sandbox failed, not the program."""


class ControllerGone(Exception):
    """The controller is gone."""


@dataclass
class StepResult:
    """How a step ended: `status` is "" when it ended by itself, and then `code` says how."""

    code: int = 0
    status: str = ""
    detail: str = ""
    suspect: bool = False
    stdout: bytes = b""
    stderr: bytes = b""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mb: float = 0.0


class StepMonitor:
    """One step being watched until it and all it started is gone."""

    def __init__(self, sandbox: confined_step.StepSandbox, step: confined_step.Step, controller: int) -> None:
        self.sandbox = sandbox
        self.step = step
        self.controller = controller
        self.outcome = StepResult()
        self.texts: dict[int, bytearray] = {}
        self.word = b""
        self.idle = 0.0
        self.last: tuple[float, float] = (0.0, 0.0)

    def run(self) -> StepResult:
        """Raises Broken when the step could not be confined, Abandoned when nobody is left to tell."""
        begun = time.monotonic()
        stdin = _sealed(self.step.stdin)
        out, out_far = os.pipe()
        err, err_far = os.pipe()
        status, status_far = os.pipe()
        init = confined_step.fork_confined(self.sandbox)
        if init == 0:
            confined_step.run_init(self.sandbox, self.step, (stdin, out_far, err_far), status_far)
        for fd in (stdin, out_far, err_far, status_far):
            os.close(fd)
        self.texts = {out: bytearray(), err: bytearray()}
        self.last = (begun, 0.0)
        try:
            try:
                self._watch(begun, status)
            finally:
                usage = self._end(init)
            for fd in (out, err):
                self._drain(fd)
        finally:
            for fd in (out, err, status):
                os.close(fd)
        outcome = self.outcome
        outcome.cpu_s = max(outcome.cpu_s, usage.ru_utime + usage.ru_stime)
        outcome.wall_s = time.monotonic() - begun
        outcome.peak_mb = max(outcome.peak_mb, usage.ru_maxrss / 1024)
        outcome.stdout, outcome.stderr = bytes(self.texts[out]), bytes(self.texts[err])
        if self.word[:1] == b"!":
            raise ConfinementError(f"a step could not be confined: {self.word[1:].decode(errors='replace')}")
        if self.word:
            outcome.code = os.waitstatus_to_exitcode(confined_step.STATUS.unpack(self.word[1:])[0])
        elif not outcome.status:
            outcome.status, outcome.detail = "signal", "killed by SIGKILL"
        if outcome.code in (-signal.SIGXCPU, -signal.SIGKILL) and outcome.cpu_s >= self.step.cpu_s:
            outcome.status, outcome.detail = "timeout", f"more than {self.step.cpu_s:g} s of CPU time"
        return outcome

    def _watch(self, begun: float, status: int) -> None:
        poller = select.poll()
        for fd in (*self.texts, status):
            poller.register(fd, select.POLLIN)
        poller.register(self.controller, 0)
        due = begun + _LOOK_S / 4
        while not self.outcome.status:
            for fd, _ in poller.poll(max(0.0, due - time.monotonic()) * 1000):
                if fd == self.controller:
                    raise ControllerGone
                if fd == status:
                    self.word = os.read(status, 4096)
                    return
                if not self._take(fd):
                    poller.unregister(fd)
            if time.monotonic() >= due:
                self._look(begun)
                due = time.monotonic() + _LOOK_S

    def _take(self, fd: int) -> bool:
        data = os.read(fd, 1 << 16)
        text = self.texts[fd]
        text += data
        if len(text) > self.step.output_kb << 10:
            del text[self.step.output_kb << 10 :]
            self._over("output", f"more than {self.step.output_kb} KB of output")
        return bool(data)

    def _over(self, status: str, detail: str, suspect: bool = False) -> None:
        if not self.outcome.status:
            self.outcome.status, self.outcome.detail, self.outcome.suspect = status, detail, suspect

    def _look(self, begun: float) -> None:
        step, seen, now = self.step, process_tree.measure(self.sandbox.proc), time.monotonic()
        before, cpu = self.last
        if seen.cpu_s <= cpu and not process_tree.running(self.sandbox.proc, seen.processes):
            self.idle += now - before
        self.last = (now, max(cpu, seen.cpu_s))
        self.outcome.cpu_s = max(self.outcome.cpu_s, seen.cpu_s)
        self.outcome.peak_mb = max(self.outcome.peak_mb, seen.memory_mb)
        if seen.memory_mb > step.memory_mb:
            self._over("memory", f"more than {step.memory_mb} MB of memory")
        elif seen.cpu_s >= step.cpu_s:
            self._over("timeout", f"more than {step.cpu_s:g} s of CPU time")
        elif self.idle >= step.wall_s:
            self._over("timeout", f"no end within {step.wall_s:g} s")
        elif now - begun >= step.wall_s * WALL_SLACK:
            self._over("timeout", f"no end within {step.wall_s:g} s", suspect=True)
        elif self.sandbox.plan.isolation != "namespaces" and confined_step.scratch_overrun(self.sandbox.home):
            self._over("output", "more files than the scratch space holds")

    def _end(self, init: int) -> resource.struct_rusage:
        """Kill whatever is left and wait for all of it."""
        if self.sandbox.pid_namespace < 0:
            with contextlib.suppress(ChildProcessError):
                while True:
                    self._kill_seen()
                    pid = -1
                    while pid:
                        pid, _, usage = os.wait4(-1, os.WNOHANG)
                        if pid == init:
                            own = usage
                    time.sleep(0.001)
            return own
        os.kill(init, signal.SIGKILL)
        return os.wait4(init, 0)[2]

    def _kill_seen(self) -> None:
        """No new processes, then none: what forks faster than it is killed runs out of forks."""
        for act in (lambda pid: resource.prlimit(pid, resource.RLIMIT_NPROC, (0, 0)), _kill):
            for pid in process_tree.measure(self.sandbox.proc).processes:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    act(pid)

    def _drain(self, fd: int) -> None:
        """What is left in the pipe; its writers are gone, so this ends."""
        while len(self.texts[fd]) <= self.step.output_kb << 10 and self._take(fd):
            pass


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _sealed(data: bytes) -> int:
    """Standard input as a file nobody can change."""
    if not data:
        return os.open("/dev/null", os.O_RDONLY)
    fd = os.memfd_create("stdin", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 0x0F)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
