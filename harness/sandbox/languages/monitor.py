"""Watches one step of a program in another language: enforces its limits, collects its output, tells how it ended.

Time and memory are those of everything the step started: as the kernel counts them, where the worker has a control
group, else as sums over its processes (process_tree.py).
"""

import contextlib
import os
import resource
import select
import signal
import socket
import time
from dataclasses import dataclass

from harness.sandbox.isolation import freezing, marks, process_tree, scratch, syscalls
from harness.sandbox.languages import confined_step
from harness.sandbox.python.cpu_clock import WALL_SLACK

_CHECK_S = 0.02
# A check that takes long makes the next ones rarer, by so many times what it took. What checks take beyond the usual
# counts, and may not be more than the program's own CPU time.
_CHECK_SHARE, _USUAL_CHECK_S = 4, 0.005
# CPU seconds of processes that nobody waits for, from which on time can't be told from the kernel's sums.
_UNACCOUNTED_S = 0.1
_UNACCOUNTED_FACTOR = 2
# A step's command can be looked into once it is executed, which takes its time on a busy machine.
_BEGIN_S = 1.0
# Beyond a step's memory and its files: where the kernel ends it, should it take more between two checks.
_SLACK_MB = 128
_UNSEEN = "its files take too long to look at"
_TOO_MANY_FILES = "more files than the scratch space holds"


class ConfinementError(Exception):
    """The step could not be confined: a fault of the sandbox, not of the program."""


class ControllerGone(Exception):
    """The controller is gone."""


@dataclass
class StepResult:
    """How a step ended. `status` is "" when it ended by itself; then `code` is its exit code."""

    code: int = 0
    status: str = ""
    detail: str = ""
    suspect: bool = False
    stdout: bytes = b""
    stderr: bytes = b""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    idle_s: float = 0.0
    peak_mb: float = 0.0


class StepMonitor:
    """Watches one step until it and everything it started is gone."""

    def __init__(self, sandbox: confined_step.StepSandbox, step: confined_step.Step, controller: int) -> None:
        self.sandbox = sandbox
        self.step = step
        self.controller = controller
        self.result = StepResult()
        self.output: dict[int, bytearray] = {}
        self.report = b""
        self.idle = 0.0
        self.last_check: tuple[float, float] = (0.0, 0.0)
        self.seen_cpu_s: dict[int, float] = {}
        self.files_mb = 0.0
        self.init = 0
        self.looked_at_end = self.exited = False
        self.hidden_before = frozenset[int]()
        self.long_checks_s = 0.0
        self.listener: marks.Listener | None = None

    def run(self) -> StepResult:
        """Raises ConfinementError when the step could not be confined, ControllerGone when the controller has ended."""
        started_at = time.monotonic()
        stdin = (
            syscalls.sealed_file(self.step.stdin) if self.step.stdin else os.open("/dev/null", os.O_RDONLY)
        )
        out, out_write = os.pipe()
        err, err_write = os.pipe()
        status, status_write = os.pipe()
        group = self.sandbox.group
        if group is not None:
            group.begin(self.step.memory_mb + confined_step.SCRATCH_MB + _SLACK_MB)
            self.files_mb = self._files_mb()
        init = self._start((stdin, out_write, err_write), status_write)
        self.output = {out: bytearray(), err: bytearray()}
        self.last_check = (started_at, 0.0)
        try:
            try:
                self._poll(started_at, status)
            finally:
                rusage = self._kill_all(init)
            for fd in (out, err):
                self._drain(fd)
        finally:
            for fd in (out, err, status):
                os.close(fd)
            if self.listener is not None:
                self.listener.close()
        result = self.result
        if group is not None:
            result.cpu_s = group.measure().cpu_s
            if group.ran_out:
                self._stop("memory", f"more than {self.step.memory_mb} MB of memory")
        result.cpu_s = max(result.cpu_s, rusage.ru_utime + rusage.ru_stime)
        result.wall_s, result.idle_s = time.monotonic() - started_at, self.idle
        result.peak_mb = max(result.peak_mb, rusage.ru_maxrss / 1024)
        result.stdout, result.stderr = bytes(self.output[out]), bytes(self.output[err])
        if self.report[:1] == b"!":
            raise ConfinementError(
                f"a step could not be confined: {self.report[1:].decode(errors='replace')}"
            )
        if self.report:
            result.code = os.waitstatus_to_exitcode(confined_step.STATUS.unpack(self.report[1:])[0])
            if self.exited:
                result.code = 0
            elif result.code == 0 and self.listener is not None:
                self._stop("output", _TOO_MANY_FILES)  # nobody could look at what it had
        elif not result.status:
            result.status, result.detail = "signal", "killed by SIGKILL"
        if result.code in (-signal.SIGXCPU, -signal.SIGKILL) and result.cpu_s >= self.step.cpu_s:
            result.status, result.detail = "timeout", f"more than {self.step.cpu_s:g} s of CPU time"
        return result

    def _start(self, streams: tuple[int, int, int], status: int) -> int:
        """The step's first process. The descriptors are its own."""
        ours, theirs = socket.socketpair()
        listens = self.step.is_program and self.sandbox.endings is not None
        with ours, theirs:
            self.init = confined_step.fork_confined(self.sandbox)
            if self.init == 0:
                listening = theirs.fileno() if listens else -1
                confined_step.run_init(self.sandbox, self.step, streams, status, listening)
            for fd in (*streams, status):
                os.close(fd)
            theirs.close()
            self.listener = marks.receive(ours.fileno()) if listens else None
        return self.init

    def _poll(self, started_at: float, status: int) -> None:
        poller = select.poll()
        for fd in (*self.output, status):
            poller.register(fd, select.POLLIN)
        poller.register(self.controller, 0)
        if self.listener is not None:
            poller.register(self.listener.fd, select.POLLIN)
        next_check = started_at + _CHECK_S / 4
        while not self.result.status:
            for fd, _ in poller.poll(max(0.0, next_check - time.monotonic()) * 1000):
                if fd == self.controller:
                    raise ControllerGone
                if fd == status:
                    self.report = os.read(status, 4096)
                    return
                if self.listener is not None and fd == self.listener.fd:
                    self._answer(self.listener, started_at)
                elif not self._read(fd):
                    poller.unregister(fd)
            if time.monotonic() >= next_check:
                taken = self._check(started_at)
                next_check = time.monotonic() + max(_CHECK_S, _CHECK_SHARE * taken)

    def _read(self, fd: int) -> bool:
        data = os.read(fd, 1 << 16)
        text = self.output[fd]
        text += data
        if len(text) > self.step.output_kb << 10:
            del text[self.step.output_kb << 10 :]
            self._stop("output", f"more than {self.step.output_kb} KB of output")
        return bool(data)

    def _stop(self, status: str, detail: str, suspect: bool = False) -> None:
        if not self.result.status:
            self.result.status, self.result.detail, self.result.suspect = status, detail, suspect

    def _answer(self, listener: marks.Listener, started_at: float) -> None:
        """A process makes its last call. That of the command with status 0 waits while everything is stopped and looked
        at once more, before the program's files are gone; then it is killed: let go on, it could still be interrupted
        and do more.
        """
        call = listener.receive()
        if call is None:
            return
        command = call.thread if process_tree.parent(self.sandbox.proc, call.thread) == self.init else 0
        if call.status or not command or self.result.status:
            listener.let_go_on(call)
            return
        self.looked_at_end = True
        if not freezing.freeze(self._others, call.thread):
            self._stop("output", _UNSEEN)
        self._check(started_at)
        if not self.result.status:
            self.exited = True
            _kill(call.thread)  # which ends its process

    def _others(self) -> list[int]:
        """The processes of the step, but for the sandbox's own."""
        usage = process_tree.measure(self.sandbox.proc, memory=False)
        return [pid for pid in usage.processes if pid != self.init]

    def _check(self, started_at: float) -> float:
        """Returns the CPU seconds that it took."""
        begun = time.process_time()
        self._compare(started_at)
        taken = time.process_time() - begun
        self.long_checks_s += max(0.0, taken - _USUAL_CHECK_S)
        if self.long_checks_s > self.step.cpu_s:
            self._stop("output", _UNSEEN)
        return taken

    def _compare(self, started_at: float) -> None:
        """What the step has used, with its limits."""
        unlimited = self.sandbox.plan.isolation != "namespaces"
        # Of what hides, the files can't be counted either.
        looks = self.sandbox.group is None or (unlimited and not self.sandbox.sees_all)
        usage = process_tree.measure(self.sandbox.proc, memory=looks)
        step, now = self.step, time.monotonic()
        last_time, cpu = self.last_check
        used, memory_mb, unaccounted = self._usage(usage, now - started_at)
        if used <= cpu and not process_tree.running(self.sandbox.proc, usage.processes):
            self.idle += now - last_time
        self.last_check = (now, max(cpu, used))
        self.result.cpu_s = max(self.result.cpu_s, used)
        self.result.peak_mb = max(self.result.peak_mb, memory_mb)
        if memory_mb > step.memory_mb:
            self._stop("memory", f"more than {step.memory_mb} MB of memory")
        elif used >= step.cpu_s or (unaccounted and now - started_at >= _UNACCOUNTED_FACTOR * step.cpu_s):
            self._stop("timeout", f"more than {step.cpu_s:g} s of CPU time")
        elif self.idle >= step.wall_s:
            self._stop("timeout", f"no end within {step.wall_s:g} s")
        elif now - started_at >= step.wall_s * WALL_SLACK:
            self._stop("timeout", f"no end within {step.wall_s:g} s", suspect=True)
        elif unlimited:
            self._check_files(usage)

    def _check_files(self, usage: process_tree.TreeUsage) -> None:
        limits = (confined_step.SCRATCH_MB, confined_step.SCRATCH_FILES)
        if self.step.is_program and self._hides(usage):
            self._stop("output", "a process hides its files")
            return
        try:
            if scratch.exceeds(self.sandbox.home, *limits, usage.processes, confined_step.FILE_MB):
                self._stop("output", _TOO_MANY_FILES)
        except scratch.LookTooLong:
            self._stop("output", _UNSEEN)

    def _hides(self, usage: process_tree.TreeUsage) -> bool:
        """Whether a process runs a file that it may execute and not read. The step's first process is the sandbox's
        own; so is the command, until it has executed its file. While it does that it can't be seen for a moment.
        """
        hidden = frozenset(
            pid
            for pid in usage.hidden - {self.init}
            if process_tree.has_executed(self.sandbox.proc, pid)
            or process_tree.parent(self.sandbox.proc, pid) not in (self.init, 0)
        )
        before, self.hidden_before = self.hidden_before, hidden
        return bool(hidden if self.looked_at_end else hidden & before)

    def _usage(self, usage: process_tree.TreeUsage, wall_s: float) -> tuple[float, float, bool]:
        """CPU time so far, memory now, and whether more time was used than that.

        Without a control group the kernel adds a process's time to its parent's when that waits for it. A program that
        has its children's end ignored keeps their time out of every sum; then only what was seen of them counts, which
        is too little.
        """
        if self.sandbox.group is not None:
            counted = self.sandbox.group.measure()
            # What is mapped and shared is counted as files are; the files have a limit of their own.
            shared_mb = max(0.0, counted.files_mb - (self._files_mb() - self.files_mb))
            return counted.cpu_s, counted.memory_mb + shared_mb, False
        for pid, cpu in usage.own_cpu_s.items():
            self.seen_cpu_s[pid] = max(cpu, self.seen_cpu_s.get(pid, 0.0))
        seen = sum(self.seen_cpu_s.values())
        # One is the step's first process, which is the sandbox's own.
        hidden = len(usage.hidden) - 1 if usage.hidden and wall_s >= _BEGIN_S else 0
        memory_mb = usage.memory_mb + hidden * process_tree.HIDDEN_MB
        return max(seen, usage.cpu_s), memory_mb, seen > usage.cpu_s + _UNACCOUNTED_S

    def _files_mb(self) -> float:
        """What the scratch files take, where they are in memory."""
        if self.sandbox.plan.isolation != "namespaces":
            return 0.0
        space = os.statvfs(self.sandbox.home)
        return (space.f_blocks - space.f_bfree) * space.f_frsize / (1 << 20)

    def _kill_all(self, init: int) -> resource.struct_rusage:
        """Kill what is left and wait for all of it."""
        if self.sandbox.pid_namespace < 0:
            with contextlib.suppress(ChildProcessError):
                while True:
                    self._kill_processes()
                    pid = -1
                    while pid:
                        pid, _, rusage = os.wait4(-1, os.WNOHANG)
                        if pid == init:
                            own = rusage
                    time.sleep(0.001)
            return own
        os.kill(init, signal.SIGKILL)
        return os.wait4(init, 0)[2]

    def _kill_processes(self) -> None:
        """Forbid new processes, then kill: a program that forks faster than it is killed can no longer fork."""
        for action in (lambda pid: resource.prlimit(pid, resource.RLIMIT_NPROC, (0, 0)), _kill):
            for pid in process_tree.measure(self.sandbox.proc, memory=False).processes:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    action(pid)

    def _drain(self, fd: int) -> None:
        """Read what is left in the pipe; its writers are gone, so this ends."""
        while len(self.output[fd]) <= self.step.output_kb << 10 and self._read(fd):
            pass


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
