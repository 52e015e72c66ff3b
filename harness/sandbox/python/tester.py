"""Decides verdicts: holds the tests, runs them on its own side and asks the candidate for values.

One a worker, fed with jobs by the controller over a socket. It never shares memory with a candidate, so
what a test expects is nowhere a candidate can look, and a verdict is never something a candidate says. Test
code is a benchmark's, not a model's: it is kept in bounds (time, memory, no new rights) but not treated as
an enemy.
"""

import builtins
import contextlib
import gc
import os
import random
import re
import resource
import signal
import sys
from collections.abc import Sequence
from typing import Any

from harness.sandbox import framing
from harness.sandbox.isolation import confine, syscalls
from harness.sandbox.python import in_process, test_runner
from harness.sandbox.python.candidate import (
    Candidate,
    CandidateEnded,
    NeedsInProcess,
    ResourceUsage,
    SpeculationMissed,
    Termination,
)
from harness.sandbox.python.control import ZygoteControl, ZygoteError
from harness.sandbox.values import codec

JOB_LIMIT = 128 << 20
_MEMORY_MB = 4096
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{4,}\b")
_SCRATCH = re.compile(r"(/tmp|/var/tmp)/[\w./-]+")


def main(
    job_fd: int, control_fd: int, isolation: str, packages: Sequence[str], preload: Sequence[str] = ()
) -> None:
    """Serve jobs until the controller closes its end. `preload`: modules that tests will import."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_MB << 20, _MEMORY_MB << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, _too_slow)
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - what tests print is nobody's output
    control = ZygoteControl(control_fd)
    try:
        control.started()
    except ZygoteError as error:
        framing.write_all(job_fd, framing.frame(codec.encode({"broken": str(error)})))
        return
    framing.write_all(job_fd, framing.frame(codec.encode({"ready": True})))
    frames = framing.FrameBuffer(JOB_LIMIT)
    try:
        _, fds = control.next()
    except ZygoteError:
        return  # the controller reads the end of this socket
    for name in preload:
        __import__(name)  # before it may no longer write: some make a file while they are imported
    gc.freeze()
    if isolation != "process":
        confine.restrict_tester(packages)
    try:
        while True:
            job = codec.decode(framing.read_frame(job_fd, frames))
            worker = JobRunner(control, Candidate(fds, job_fd), job_fd)
            result = worker.judge(job)
            fds = worker.next_fds
            framing.write_all(job_fd, framing.frame(codec.encode(result, limit=JOB_LIMIT)))
            if "broken" in result:
                return
    except framing.ConnectionClosed:
        return


class _TestsTooSlow(BaseException):
    pass


def _too_slow(signum: int, stack: object) -> None:
    raise _TestsTooSlow


class JobRunner:
    """One job: runs it on the ready candidate, and on the next ones where it takes more than one."""

    def __init__(self, control: ZygoteControl, candidate: Candidate, controller: int) -> None:
        self.control = control
        self.candidate = candidate
        self.controller = controller
        self.next_fds: list[int] = []

    def judge(self, job: dict[str, Any]) -> dict[str, Any]:
        """The result as plain data: an ExecResult's fields and `suspect`, or `fault` or `broken` with a
        text.
        """
        tests = job.pop("tests")
        try:
            if tests is None:
                return self._run_main(job)
            return self._run_tests(job, *tests)
        except test_runner.BadTests as error:
            if self.candidate.begun:
                self._end(by_itself=False)
            else:
                self.next_fds = self.candidate.fds  # not touched: it serves the next job
            return {"fault": str(error)}
        except ZygoteError as error:
            return {"broken": str(error)}

    def _run_main(self, job: dict[str, Any]) -> dict[str, Any]:
        candidate = self.candidate
        job |= {"mode": "main", "entry": ""}
        self._start(job)
        with contextlib.suppress(CandidateEnded):
            candidate.await_end()
        use = self._end(by_itself=True)
        ending = candidate.ending or Termination("passed", "")
        return _result(candidate, ending, use, "exit")

    def _run_tests(self, job: dict[str, Any], setup: str, code: str, entry: str) -> dict[str, Any]:
        prepared = test_runner.prepare(setup, code, entry)
        job |= {"mode": "tests", "entry": entry}
        script = prepared.script or ()
        while not prepared.beside:
            self._start(dict(job), script)
            try:
                ending = self._outside(prepared, job["cpu_s"])
                return self._finished(ending, "outside")
            except NeedsInProcess:
                # A test hands the candidate something that is not plain data: for this task, then, beside it.
                prepared.beside = True
            except SpeculationMissed:
                script = ()
                if not self.candidate.flooded:
                    prepared.forget()
            self._end(by_itself=False)
            self._renew()
        return self._run_beside(job, setup, code, entry)

    def _outside(self, prepared: test_runner.Prepared, cpu_s: float) -> Termination:
        """The tests, here. The candidate's part is bounded by its own clock, the tests' own by this one."""
        allowance = max(20.0, 5 * cpu_s)
        saved = dict(vars(builtins))
        random.seed(0)
        signal.setitimer(signal.ITIMER_PROF, allowance)
        # A test stuck inside one built-in operation never gets to the handler; this one ends the process.
        signal.setitimer(signal.ITIMER_VIRTUAL, allowance + 2)
        try:
            return test_runner.run(prepared, self.candidate)
        except _TestsTooSlow:
            return Termination(
                "timeout", f"the tests took more than {allowance:g} s with the values they got"
            )
        except MemoryError:
            return Termination("memory", "the values returned take more memory than the tests have")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            vars(builtins).update(saved)
            sys.setrecursionlimit(1000)

    def _run_beside(self, job: dict[str, Any], setup: str, code: str, entry: str) -> dict[str, Any]:
        """Run the tests in the candidate's process; a pass counts if falsified tests do not pass as well."""
        ending = self._beside(job, setup, code)
        candidate = self.candidate
        result = self._finished(ending, "in_process")
        if ending.status != "passed":
            return result
        falsified = in_process.falsify(code)
        if falsified is None:
            return result
        self._renew()
        control = self._beside(job, setup, falsified)
        self._end(by_itself=False)
        if control.status == "passed":
            forged = Termination("failed", "the program passes even when an expectation is falsified")
            use = ResourceUsage(result["cpu_s"], result["wall_s"], result["peak_mb"])
            return _result(candidate, forged, use, "in_process")
        return result

    def _beside(self, job: dict[str, Any], setup: str, code: str) -> Termination:
        self._start(dict(job))
        try:
            return in_process.run(self.candidate, setup, code)
        except CandidateEnded:
            return Termination("gone", "")

    # ------------------------------------------------------------ one candidate after the other

    def _start(self, job: dict[str, Any], ahead: Sequence[bytes] = ()) -> None:
        limits = (job["cpu_s"], job["wall_s"], job["output_kb"] << 10)
        self.candidate.start(job, limits, ahead)

    def _end(self, by_itself: bool) -> ResourceUsage:
        self.control.done()
        report, self.next_fds = self.control.next()
        return self.candidate.finish(report, by_itself)

    def _renew(self) -> None:
        self.candidate = Candidate(self.next_fds, self.controller)

    def _finished(self, ending: Termination, judge: str) -> dict[str, Any]:
        candidate = self.candidate
        if candidate.gone:
            candidate.settle()
        use = self._end(by_itself=False)
        return _result(candidate, candidate.ending or ending, use, judge)


def _result(candidate: Candidate, ending: Termination, use: ResourceUsage, judge: str) -> dict[str, Any]:
    stdout, stderr = (bytes(candidate.texts[fd]) for fd in (candidate.out, candidate.err))
    return {
        "status": ending.status,
        "detail": _SCRATCH.sub("/tmp/...", _ADDRESS.sub("0x...", ending.detail))[:1000],
        "stdout": stdout.decode("utf-8", "backslashreplace"),
        "stderr": _ADDRESS.sub("0x...", stderr.decode("utf-8", "backslashreplace")),
        "cpu_s": use.cpu_s,
        "wall_s": use.wall_s,
        "peak_mb": use.peak_mb,
        "judge": judge,
        "suspect": ending.suspect,
    }


def start(arguments: list[str]) -> None:
    """Entry of the process: the descriptors of the controller and of the zygote, the isolation level, modules to
    preload (joined by commas), the package folders.
    """
    job_fd, control_fd, isolation, preload, *packages = arguments
    sys.path[:] = [*filter(os.path.isdir, sys.path), *packages]
    main(int(job_fd), int(control_fd), isolation, packages, [*filter(None, preload.split(","))])
