"""The trusted process that decides verdicts: it holds the tests, runs them here and calls the candidate for values.

Each worker has one; the controller sends it jobs over a socket. It shares no memory with a candidate, so a candidate
cannot see what a test expects, and no verdict is ever something a candidate says. Tests come with a benchmark, not from
a model: they are limited (time, memory, no new rights) but not treated as hostile.
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
from harness.sandbox.isolation import confine, named_packages, syscalls
from harness.sandbox.python import budget, in_process, many_calls, test_runner
from harness.sandbox.python.candidate import Candidate
from harness.sandbox.python.control import ZygoteControl, ZygoteError
from harness.sandbox.python.termination import (
    CandidateEnded,
    NeedsInProcess,
    ResourceUsage,
    SpeculationMissed,
    Termination,
)
from harness.sandbox.values import codec

_MEMORY_MB = 4096
_DIGITS = 100_000  # of an integer that tests read or write; a tenth of a second
# True and falsified tests beside a program run so often, as long as that takes no more CPU time.
_ROUNDS, _ROUNDS_CPU_S, _ROUNDS_WALL_S = 5, 1.0, 20.0
_FORGED = "the program passes even when an expectation is falsified"
_DETAIL = 4000  # characters of a message that are looked at
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{4,}\b")
_SCRATCH = re.compile(r"(/tmp|/var/tmp)/[\w./-]+")


def main(
    job_fd: int, control_fd: int, isolation: str, packages: Sequence[str], preload: Sequence[str] = ()
) -> None:
    """Serve jobs until the controller closes its end. `preload`: modules that tests will import.

    Before a job may come what an earlier run was told of its tests' reference, empty if nothing: then the result says.
    """
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_MB << 20, _MEMORY_MB << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.set_int_max_str_digits(_DIGITS)
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - what tests print is discarded
    control = ZygoteControl(control_fd)
    try:
        control.wait_ready()
    except ZygoteError as error:
        framing.write_all(job_fd, framing.frame(codec.encode({"broken": str(error), "by_program": False})))
        return
    framing.write_all(job_fd, framing.frame(codec.encode({"ready": True})))
    frames = framing.FrameBuffer(framing.JOB_LIMIT)
    try:
        _, fork = control.next_fork()
    except ZygoteError:
        return  # the controller reads the end of this socket
    for name in preload:
        __import__(name)  # while it may still write: some modules create a file when they are imported
    gc.freeze()
    budget.prepare()
    if isolation != "process":
        confine.restrict_tester(packages)
    asked = b""
    try:
        while True:
            job = codec.decode(framing.read_frame(job_fd, frames))
            if "references" in job:
                asked = job["tests"]
                many_calls.take(asked, job["references"])
                asked = b"" if many_calls.knows(asked) else asked
                continue
            runner = JobRunner(control, Candidate(fork, job_fd), job_fd)
            result = runner.judge(job)
            fork = runner.next_fork
            if asked:
                result["references"], asked = many_calls.told(asked), b""
            framing.write_all(job_fd, framing.frame(codec.encode(result, limit=framing.JOB_LIMIT)))
            if "broken" in result:
                return
    except framing.ConnectionClosed:
        return


class JobRunner:
    """Runs one job on the ready candidate, and on further ones where it takes more than one."""

    def __init__(self, control: ZygoteControl, candidate: Candidate, controller: int) -> None:
        self.control = control
        self.candidate = candidate
        self.controller = controller
        self.next_fork = candidate.fork
        self.limits = (0.0, 0)

    def judge(self, job: dict[str, Any]) -> dict[str, Any]:
        """The result as plain data: an ExecResult's fields and `suspect`; or `fault` with a text; or `broken` with one,
        and `by_program`, which says whether the program had been started.
        """
        tests = job.pop("tests")
        try:
            if tests is None:
                with budget.limited(job["cpu_s"]):
                    return self._run_main(job)
            with budget.uncounted():
                setup, code, entry = tests
                compiled = test_runner.compile_tests(setup, code, entry, job["in_module"])
            with budget.limited(job["cpu_s"], job.pop("tests_mb")):
                return self._run_tests(job, compiled, setup, code, entry)
        except test_runner.BadTests as error:
            if self.candidate.started_at:
                self._end(by_itself=False)
            else:
                self.next_fork = self.candidate.fork  # untouched: it serves the next job
            return {"fault": str(error)}
        except ZygoteError as error:
            return {"broken": str(error), "by_program": self.candidate.has_job}

    def _run_main(self, job: dict[str, Any]) -> dict[str, Any]:
        candidate = self.candidate
        job |= {"mode": "main", "entry": ""}
        self._start(job)
        with contextlib.suppress(CandidateEnded):
            candidate.await_exit()
        usage = self._end(by_itself=True)
        termination = candidate.termination or Termination("passed", "")
        return _result(candidate, termination, usage, "exit")

    def _run_tests(
        self, job: dict[str, Any], compiled: test_runner.CompiledTests, setup: str, code: str, entry: str
    ) -> dict[str, Any]:
        job |= {"mode": "tests", "entry": entry}
        speculated = compiled.recorded_requests or ()
        while not compiled.in_process:
            self._start(dict(job), speculated)
            try:
                termination = self._run_outside(compiled)
                return self._finish(termination, "outside")
            except NeedsInProcess:
                # A test passes the candidate something that is not plain data: these tests run in its process.
                compiled.in_process = True
            except SpeculationMissed:
                speculated = ()
                if self.candidate.takes_many and not self.candidate.output_exceeded:
                    compiled.stop_speculating()
            takes_many = self.candidate.takes_many
            self._end(by_itself=False)
            self._next_candidate()
            self.candidate.takes_many = takes_many
        return self._run_in_process(job, setup, code)

    def _run_outside(self, compiled: test_runner.CompiledTests) -> Termination:
        """Run the tests in this process."""
        saved = dict(vars(builtins))
        random.seed(0)
        try:
            with budget.interruptible():
                return test_runner.run(compiled, self.candidate)
        except budget.OverBudget:
            return self.candidate.termination or Termination("error", budget.TOO_LONG)
        finally:
            vars(builtins).update(saved)
            sys.setrecursionlimit(1000)

    def _run_in_process(self, job: dict[str, Any], setup: str, code: str) -> dict[str, Any]:
        """Run the tests in the candidate's process. A pass counts only if the true tests pass and falsified ones fail,
        by turns while it takes little time: one that passes by chance is then below one in a thousand.
        """
        termination = self._run_tests_inside(job, setup, code)
        first = self.candidate
        result = self._finish(termination, "in_process")
        if termination.status != "passed":
            return result
        spent, waited = result["cpu_s"], result["wall_s"]
        for number, (text, true) in enumerate(in_process.controls(code, _ROUNDS)):
            if number and (spent > _ROUNDS_CPU_S or waited > _ROUNDS_WALL_S):
                break
            self._next_candidate()
            passed = self._run_tests_inside(job, setup, text).status == "passed"
            usage = self._end(by_itself=False)
            spent, waited = spent + usage.cpu_s, waited + usage.wall_s
            if passed == true:
                continue
            if passed or self._passes_negated(job, setup, code):
                usage = ResourceUsage(result["cpu_s"], result["wall_s"], result["peak_mb"])
                return _result(first, Termination("failed", _FORGED), usage, "in_process")
        return result

    def _passes_negated(self, job: dict[str, Any], setup: str, code: str) -> bool:
        """For one that did not pass again: perhaps it depends on chance. Whether it ever passes with all expectations
        falsified, which no honest program does.
        """
        spent, waited, falsified = 0.0, 0.0, in_process.falsify(code)
        while falsified is not None and spent < _ROUNDS_CPU_S and waited < _ROUNDS_WALL_S:
            self._next_candidate()
            passed = self._run_tests_inside(job, setup, falsified).status == "passed"
            usage = self._end(by_itself=False)
            spent, waited = spent + usage.cpu_s + 0.002, waited + usage.wall_s
            if passed:
                return True
        return False

    def _run_tests_inside(self, job: dict[str, Any], setup: str, code: str) -> Termination:
        self._start(dict(job))
        try:
            return in_process.run(self.candidate, setup, code, job["in_module"])
        except CandidateEnded:
            return Termination("gone", "")

    # ------------------------------------------------------------ candidates, one after another

    def _start(self, job: dict[str, Any], speculated: Sequence[bytes] = ()) -> None:
        limits = (job["cpu_s"], job["wall_s"], job["output_kb"] << 10)
        self.limits = (job["cpu_s"], job["memory_mb"])
        if self.candidate.fork.limits not in (None, self.limits):
            takes_many = self.candidate.takes_many
            self._end(by_itself=False)
            self._next_candidate()
            self.candidate.takes_many = takes_many
        self.candidate.start(job, limits, speculated)

    def _end(self, by_itself: bool) -> ResourceUsage:
        if self.candidate.fork.limits and (by_itself or self.candidate.termination):
            self.candidate.collect(
                to_the_end=False
            )  # now: a process that is put back keeps its pipes, emptied
        self.control.done(self.limits)
        report, self.next_fork = self.control.next_fork()
        return self.candidate.finish(report, by_itself)

    def _next_candidate(self) -> None:
        self.candidate = Candidate(self.next_fork, self.controller)

    def _finish(self, termination: Termination, judge: str) -> dict[str, Any]:
        candidate = self.candidate
        if candidate.exited:
            candidate.await_exit_status()
        usage = self._end(by_itself=False)
        return _result(candidate, candidate.termination or termination, usage, judge)


def _result(
    candidate: Candidate, termination: Termination, usage: ResourceUsage, judge: str
) -> dict[str, Any]:
    stdout, stderr = (bytes(candidate.output[fd]) for fd in (candidate.out, candidate.err))
    return {
        "status": termination.status,
        "detail": _SCRATCH.sub("/tmp/...", _ADDRESS.sub("0x...", termination.detail[:_DETAIL]))[:1000],
        "stdout": stdout.decode("utf-8", "backslashreplace"),
        "stderr": _ADDRESS.sub("0x...", stderr.decode("utf-8", "backslashreplace")),
        "cpu_s": usage.cpu_s,
        "wall_s": usage.wall_s,
        "peak_mb": usage.peak_mb,
        "judge": judge,
        "suspect": termination.suspect,
    }


def start(arguments: list[str]) -> None:
    """Entry point of the process. `arguments`: the descriptors of the controller and of the zygote, the isolation
    level, modules to preload and those that may be imported (joined by commas), the package folders.
    """
    job_fd, control_fd, isolation, preload, importable, *packages = arguments
    sys.path[:] = [*filter(os.path.isdir, sys.path), *packages]
    if importable:
        named_packages.limit(packages, importable.split(","))
    main(int(job_fd), int(control_fd), isolation, packages, [*filter(None, preload.split(","))])
