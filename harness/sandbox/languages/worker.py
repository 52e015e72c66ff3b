"""Compiles and runs one program of any language after the other, by command, each step in a confined process.

One a worker, fed by the controller over a socket. It is what tester and zygote are for Python programs, in
one process, for it has no tests to hide: they are in the program's own source. Every step is forked from
here, gives up its rights (confine.py) and only then becomes the compiler or the program. This process keeps
the clock, watches the memory of everything the step started (tree.py), and ends it all.

A step's first process is an init that reaps orphans. At the namespaces level it is process 1 of a pid namespace, so
all below it dies with it. At the landlock level this process is the subreaper and kills until nothing is left.
"""

import contextlib
import json
import os
import re
import resource
import secrets
import signal
import stat
from typing import Any

from harness.sandbox import framing
from harness.sandbox.isolation import syscalls
from harness.sandbox.languages import confined_step, monitor
from harness.sandbox.values import codec

JOB_LIMIT = 128 << 20
CONTROL = "HARNESS_CONTROL"
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{4,}\b")


def main(job_fd: int, plan: confined_step.StepPlan) -> None:
    """Serve jobs until the controller closes its end."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        sandbox = confined_step.enter(plan)
        if sandbox is None:
            os.close(job_fd)
            os.wait()
            return
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        if problem := confined_step.verify(sandbox):
            raise OSError(problem)
    except (OSError, monitor.ConfinementError) as error:
        framing.write_all(job_fd, framing.frame(codec.encode({"broken": str(error)})))
        return
    framing.write_all(job_fd, framing.frame(codec.encode({"ready": True})))
    frames = framing.FrameBuffer(JOB_LIMIT)
    try:
        while True:
            job = codec.decode(framing.read_frame(job_fd, frames))
            result = ProgramRunner(sandbox, job_fd).judge(job)
            framing.write_all(job_fd, framing.frame(codec.encode(result, limit=JOB_LIMIT)))
            if "broken" in result:
                return
    except (framing.ConnectionClosed, monitor.ControllerGone):
        return


class ProgramRunner:
    """One program's steps, and what their ends mean."""

    def __init__(self, sandbox: confined_step.StepSandbox, controller: int) -> None:
        self.sandbox = sandbox
        self.controller = controller

    def judge(self, job: dict[str, Any]) -> dict[str, Any]:
        """The result as plain data: an ExecResult's fields and `suspect`, or `broken` with a text."""
        try:
            with confined_step.scratch_folder(self.sandbox):
                return self._judge(job)
        except (monitor.ConfinementError, OSError) as error:
            return {"broken": str(error)}

    def _judge(self, job: dict[str, Any]) -> dict[str, Any]:
        word = secrets.token_hex(16)
        files = {name: text.replace(job["proof"], word) for name, text in job["files"].items()}
        if not job["proof"]:
            files = job["files"]
        spent = 0.0
        for command in job["compile"]:
            outcome = self._step(command, job, job["building"], lay=files)
            files = {}
            spent += outcome.cpu_s
            if outcome.status or outcome.code:
                return self._not_compiled(outcome, spent)
        if job["compile"]:
            self._make_executable()
        outcome = self._run(job, files)
        status, detail = _meaning(outcome, job)
        if job["proof"] and status == "passed":
            outcome.stdout, said = _without(outcome.stdout, word)
            if not said:
                status, detail = "error", "the program ended before its tests did"
            elif self._passes_falsified(job, word):
                status, detail = "failed", "the program passes even when an expectation is falsified"
        return _result(outcome, status, detail, "in_process" if job["proof"] else "exit")

    def _run(self, job: dict[str, Any], files: dict[str, str], control: bool = False) -> monitor.StepResult:
        environment = {CONTROL: "1"} if control else {}
        remove = tuple(job["remove"]) if job["compile"] else ()
        return self._step(job["run"], job, job, files, remove, job["stdin"], environment)

    def _passes_falsified(self, job: dict[str, Any], word: str) -> bool:
        """Once more, with the task's own false assertion switched on: whoever passes that passes anything."""
        files = {} if job["compile"] else {n: t.replace(job["proof"], word) for n, t in job["files"].items()}
        outcome = self._run(job, files, control=True)
        return not outcome.status and not outcome.code and _without(outcome.stdout, word)[1]

    def _step(
        self,
        command: list[str],
        job: dict[str, Any],
        limits: dict[str, Any],
        lay: dict[str, str],
        remove: tuple[str, ...] = (),
        stdin: bytes = b"",
        more: dict[str, str] | None = None,
    ) -> monitor.StepResult:
        home = self.sandbox.home
        environment = {name: value.replace("{home}", home) for name, value in job["environment"].items()}
        step = confined_step.Step(
            tuple(word.replace("{home}", home) for word in command),
            environment | {"HOME": home, "TMPDIR": f"{home}/.tmp"} | (more or {}),
            limits["cpu_s"],
            limits["wall_s"],
            limits["memory_mb"],
            limits["output_kb"],
            stdin,
            lay,
            remove,
        )
        return monitor.StepMonitor(self.sandbox, step, self.controller).run()

    def _make_executable(self) -> None:
        """Where programs share the machine's files the linker's own chmod does nothing."""
        if self.sandbox.plan.isolation == "namespaces":
            return
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(
                os.path.join(self.sandbox.home, "program"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            )
            if stat.S_ISREG(os.fstat(fd).st_mode):
                os.fchmod(fd, 0o755)
            os.close(fd)

    def _not_compiled(self, outcome: monitor.StepResult, spent: float) -> dict[str, Any]:
        text = (outcome.stderr or outcome.stdout).decode("utf-8", "backslashreplace")
        # Go begins with "# package" and calls nothing an error.
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("# ")]
        told = [line for line in lines if "error" in line] or lines
        detail = f"the compiler needs {outcome.detail}" if outcome.detail else (told or ["no output"])[0]
        outcome.cpu_s = spent
        return _result(outcome, "compile_error", detail, "exit")


def _without(stdout: bytes, word: str) -> tuple[bytes, bool]:
    """Standard output less the word, and whether it was there. A test framework may print more after it."""
    return stdout.replace(word.encode() + b"\n", b"", 1), word.encode() in stdout


def _meaning(outcome: monitor.StepResult, job: dict[str, Any]) -> tuple[str, str]:
    """A run's end in ExecResult's words."""
    if outcome.status:
        return outcome.status, outcome.detail
    if outcome.code == 0:
        return "passed", ""
    said = (outcome.stderr + b"\n" + outcome.stdout).decode("utf-8", "backslashreplace")
    for status, pattern in (("memory", job["memory_words"]), ("failed", job["failed_words"])):
        if pattern and (found := re.search(pattern, said)):
            return status, said[said.rfind("\n", 0, found.start()) + 1 :].split("\n")[0].strip()
    if outcome.code < 0:
        return "signal", f"killed by {signal.Signals(-outcome.code).name}"
    last = outcome.stderr.decode("utf-8", "backslashreplace").strip().split("\n")[0]
    return "error", f"exit status {outcome.code}: {last}" if last else f"exit status {outcome.code}"


def _result(outcome: monitor.StepResult, status: str, detail: str, judge: str) -> dict[str, Any]:
    return {
        "status": status,
        "detail": _ADDRESS.sub("0x...", detail)[:1000],
        "stdout": outcome.stdout.decode("utf-8", "backslashreplace"),
        "stderr": _ADDRESS.sub("0x...", outcome.stderr.decode("utf-8", "backslashreplace")),
        "cpu_s": outcome.cpu_s,
        "wall_s": outcome.wall_s,
        "peak_mb": outcome.peak_mb,
        "judge": judge,
        "suspect": outcome.suspect,
    }


def start(arguments: list[str]) -> None:
    """Entry of the process: a descriptor's number and the plan as JSON."""
    fields = json.loads(arguments[1])
    fields["folders"] = tuple(fields["folders"])
    main(int(arguments[0]), confined_step.StepPlan(**fields))
