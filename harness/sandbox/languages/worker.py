"""Compiles and runs programs in other languages, one after another, each step in a confined process.

The controller sends it jobs over a socket. It does alone what tester and zygote do for Python programs, because it has
no tests to hide: they are part of the program's source. Each step is a fork of this process that drops its privileges
(confined_step.py) and only then executes the compiler or the program. This process enforces the limits of everything
the step started (monitor.py) and ends it.
"""

import contextlib
import json
import os
import re
import resource
import secrets
import signal
import stat
from collections.abc import Iterator
from typing import Any

from harness.sandbox import framing
from harness.sandbox.isolation import syscalls
from harness.sandbox.languages import confined_step, monitor
from harness.sandbox.values import codec

JOB_LIMIT = 128 << 20
CONTROL = "HARNESS_CONTROL"
# Bytes of an output, and of a line, in which messages of runtimes are looked for.
_SEARCHED, _LINE = 1 << 16, 2000
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
        framing.write_all(job_fd, framing.frame(codec.encode({"broken": str(error), "by_program": False})))
        return
    framing.write_all(job_fd, framing.frame(codec.encode({"ready": True})))
    frames = framing.FrameBuffer(JOB_LIMIT)
    try:
        while True:
            job = codec.decode(framing.read_frame(job_fd, frames))
            result = ProgramRunner(sandbox, job_fd).run(job)
            framing.write_all(job_fd, framing.frame(codec.encode(result, limit=JOB_LIMIT)))
            if "broken" in result:
                return
    except (framing.ConnectionClosed, monitor.ControllerGone):
        return


class ProgramRunner:
    """Runs one program's steps and turns how they ended into a result."""

    def __init__(self, sandbox: confined_step.StepSandbox, controller: int) -> None:
        self.sandbox = sandbox
        self.controller = controller

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """The result as plain data: an ExecResult's fields and `suspect`, or `broken` with a text."""
        try:
            with confined_step.scratch_folder(self.sandbox):
                return self._run_program(job)
        except (monitor.ConfinementError, OSError) as error:
            return {"broken": str(error), "by_program": False}

    def _run_program(self, job: dict[str, Any]) -> dict[str, Any]:
        nonce = secrets.token_hex(16)
        files = {name: text.replace(job["sentinel"], nonce) for name, text in job["files"].items()}
        if not job["sentinel"]:
            files = job["files"]
        cpu_s = 0.0
        for command in job["compile"]:
            result = self._step(command, job, job["building"], files=files)
            files = {}
            cpu_s += result.cpu_s
            if result.status or result.code:
                return self._not_compiled(result, cpu_s)
        if job["compile"]:
            self._make_executable()
        result = self._run(job, files)
        status, detail = _verdict(result, job)
        if job["sentinel"] and status == "passed":
            result.stdout, printed = _without_nonce(result.stdout, nonce)
            if not printed:
                status, detail = "error", "the program ended before its tests did"
            elif self._passes_falsified(job, nonce):
                status, detail = "failed", "the program passes even when an expectation is falsified"
        return _result(result, status, detail, "in_process" if job["sentinel"] else "exit")

    def _run(self, job: dict[str, Any], files: dict[str, str], control: bool = False) -> monitor.StepResult:
        environment = {CONTROL: "1"} if control else {}
        keep = tuple(job["products"]) if job["compile"] else ()
        return self._step(job["run"], job, job, files, keep, job["stdin"], environment)

    def _passes_falsified(self, job: dict[str, Any], nonce: str) -> bool:
        """Run once more with the task's own false assertion switched on: a program that passes it passes anything."""
        files = (
            {} if job["compile"] else {n: t.replace(job["sentinel"], nonce) for n, t in job["files"].items()}
        )
        result = self._run(job, files, control=True)
        return not result.status and not result.code and _without_nonce(result.stdout, nonce)[1]

    def _step(
        self,
        command: list[str],
        job: dict[str, Any],
        limits: dict[str, Any],
        files: dict[str, str],
        keep: tuple[str, ...] = (),
        stdin: bytes = b"",
        extra: dict[str, str] | None = None,
    ) -> monitor.StepResult:
        home = self.sandbox.home
        environment = {name: value.replace("{home}", home) for name, value in job["environment"].items()}
        step = confined_step.Step(
            tuple(word.replace("{home}", home) for word in command),
            environment | {"HOME": home, "TMPDIR": f"{home}/.tmp"} | (extra or {}),
            limits["cpu_s"],
            limits["wall_s"],
            limits["memory_mb"],
            limits["output_kb"],
            stdin,
            files,
            keep,
        )
        return monitor.StepMonitor(self.sandbox, step, self.controller).run()

    def _make_executable(self) -> None:
        """Where programs share the machine's files, the linker's chmod has no effect."""
        if self.sandbox.plan.isolation == "namespaces":
            return
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(
                os.path.join(self.sandbox.home, "program"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            )
            if stat.S_ISREG(os.fstat(fd).st_mode):
                os.fchmod(fd, 0o755)
            os.close(fd)

    def _not_compiled(self, result: monitor.StepResult, cpu_s: float) -> dict[str, Any]:
        text = (result.stderr or result.stdout).decode("utf-8", "backslashreplace")
        # Go begins with "# package" and calls nothing an error.
        lines = [line[:_LINE] for line in text.splitlines() if line.strip() and not line.startswith("# ")]
        errors = [line for line in lines if "error" in line] or lines
        detail = f"the compiler needs {result.detail}" if result.detail else (errors or ["no output"])[0]
        result.cpu_s = cpu_s
        return _result(result, "compile_error", detail, "exit")


def _without_nonce(stdout: bytes, nonce: str) -> tuple[bytes, bool]:
    """Standard output without the nonce, and whether it was there. A test framework may print more after it."""
    return stdout.replace(nonce.encode() + b"\n", b"", 1), nonce.encode() in stdout


def _verdict(result: monitor.StepResult, job: dict[str, Any]) -> tuple[str, str]:
    """Status and detail for ExecResult."""
    if result.status:
        return result.status, result.detail
    if result.code == 0:
        return "passed", ""
    lines = [line for stream in (result.stderr, result.stdout) for line in _searched(stream)]
    for status, pattern in (("memory", job["memory_words"]), ("failed", job["failed_words"])):
        for line in lines:
            if pattern and re.search(pattern, line):
                return status, line.strip()
    if result.code < 0:
        return "signal", f"killed by {signal.Signals(-result.code).name}"
    last = result.stderr[:_LINE].decode("utf-8", "backslashreplace").strip().split("\n")[0]
    return "error", f"exit status {result.code}: {last}" if last else f"exit status {result.code}"


def _searched(stream: bytes) -> Iterator[str]:
    """The lines in which a runtime's messages are looked for: of the beginning and the end, and not all of a long one."""
    if len(stream) > 2 * _SEARCHED:
        stream = stream[:_SEARCHED] + b"\n" + stream[-_SEARCHED:]
    for line in stream.split(b"\n"):
        yield line[:_LINE].decode("utf-8", "backslashreplace")


def _result(result: monitor.StepResult, status: str, detail: str, judge: str) -> dict[str, Any]:
    return {
        "status": status,
        "detail": _ADDRESS.sub("0x...", detail[:_LINE])[:1000],
        "stdout": result.stdout.decode("utf-8", "backslashreplace"),
        "stderr": _ADDRESS.sub("0x...", result.stderr.decode("utf-8", "backslashreplace")),
        "cpu_s": result.cpu_s,
        "wall_s": result.wall_s,
        "peak_mb": result.peak_mb,
        "judge": judge,
        "suspect": result.suspect,
    }


def start(arguments: list[str]) -> None:
    """Entry point of the process. `arguments`: the descriptor's number, the plan as JSON."""
    fields = json.loads(arguments[1])
    fields["folders"] = tuple(fields["folders"])
    main(int(arguments[0]), confined_step.StepPlan(**fields))
