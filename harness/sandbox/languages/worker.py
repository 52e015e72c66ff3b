"""Compiles and runs programs in other languages, one after another, each step in a confined process.

The controller sends it jobs over a socket. It does alone what tester and zygote do for Python programs, because it has
no tests to hide: they are part of the program's source. Each step is a fork of this process that drops its privileges
(confined_step.py) and only then executes the compiler or the program. This process enforces the limits of everything
the step started (monitor.py) and ends it.
"""

import contextlib
import fnmatch
import json
import os
import re
import resource
import secrets
import signal
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.sandbox import framing
from harness.sandbox.isolation import scratch, syscalls
from harness.sandbox.languages import confined_step, monitor
from harness.sandbox.values import codec

# True and falsified tests run so often by turns, as long as the true ones take no more than half of this CPU time.
_ROUNDS, _ROUNDS_CPU_S = 5, 3.0
# And so often with all expectations negated, where that told something. Fewer are enough only where the time went into
# runs like those that passed: each takes at most so many times as long, and what a machine needs besides.
_SUSPECT_RUNS, _SUSPECT_CPU_S, _SUSPECT_WALL_S = 370, 20.0, 60.0
_LIKE_THE_TRUE, _BESIDES_S = 3.0, 0.05
_FORGED = "the program passes even when an expectation is falsified"
_EVASIVE = "the program passes its tests at times only, and takes long where they are falsified"
_PRODUCTS_MB = 128  # all that is kept of one build together, in this process's memory
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
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
        if not plan.scratch:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        if problem := confined_step.verify(sandbox):
            raise OSError(problem)
    except (OSError, monitor.ConfinementError) as error:
        framing.write_all(job_fd, framing.frame(codec.encode({"broken": str(error), "by_program": False})))
        return
    framing.write_all(job_fd, framing.frame(codec.encode({"ready": True})))
    frames = framing.FrameBuffer(framing.JOB_LIMIT)
    try:
        while True:
            job = codec.decode(framing.read_frame(job_fd, frames))
            result = ProgramRunner(sandbox, job_fd).run(job)
            framing.write_all(job_fd, framing.frame(codec.encode(result, limit=framing.JOB_LIMIT)))
            if "broken" in result:
                return
    except (framing.ConnectionClosed, monitor.ControllerGone):
        return
    finally:
        if plan.scratch:
            # A controller that was killed cannot do it: that is why this process outlives its parent.
            with contextlib.suppress(OSError):
                scratch.empty(plan.scratch)
                os.rmdir(plan.scratch)


@dataclass
class _Build:
    """A program ready to run: files to write (sources, where nothing is compiled), or what its compiler made. `nonce`:
    what it prints when its tests have passed. `failed`: the step that did not succeed.
    """

    nonce: str
    files: dict[str, str] = field(default_factory=dict)
    products: dict[str, bytes] = field(default_factory=dict)
    failed: monitor.StepResult | None = None


def _products(home: str, patterns: list[str]) -> dict[str, bytes] | None:
    """The regular files among what was built whose names fit, read without following links; None if too large."""
    found: dict[str, bytes] = {}
    left = _PRODUCTS_MB << 20
    for name in sorted(os.listdir(home)):
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            fd = os.open(os.path.join(home, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(fd, "rb") as file:
                if stat.S_ISREG(os.fstat(fd).st_mode):
                    found[name] = file.read(left + 1)
                    left -= len(found[name])
                    if left < 0:
                        return None
    return found


class ProgramRunner:
    """Runs one program's steps and turns how they ended into a result."""

    def __init__(self, sandbox: confined_step.StepSandbox, controller: int) -> None:
        self.sandbox = sandbox
        self.controller = controller
        self.started = False  # whether a step has run

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """The result as plain data: an ExecResult's fields and `suspect`, or `broken` with a text. What fails once a
        step has run may be that step's doing.
        """
        try:
            return self._run_program(job)
        except monitor.ConfinementError as error:
            return {"broken": str(error), "by_program": False}
        except OSError as error:
            return {"broken": str(error), "by_program": self.started}

    def _run_program(self, job: dict[str, Any]) -> dict[str, Any]:
        built = self._build(job, job["files"])
        if built.failed is not None:
            return self._not_compiled(built.failed)
        result = self._run(job, built)
        status, detail = _verdict(result, job)
        if job["sentinel"] and status == "passed":
            result.stdout, printed = _without_nonce(result.stdout, built.nonce)
            if not printed:
                status, detail = "error", "the program ended before its tests did"
            elif doubt := self._doubt(job, built, result.cpu_s):
                status, detail = "failed", doubt
        return _result(result, status, detail, "in_process" if job["sentinel"] else "exit")

    def _doubt(self, job: dict[str, Any], built: "_Build", spent: float) -> str:
        """Why a program that passed its tests has no pass, or "". True and falsified tests run by turns."""
        texts = [job["files"] | {job["source"]: text} for text in job["falsified"]]
        if not texts:
            return ""
        *single, others, every = texts
        builds = self._controls(job, (*single, every), built.nonce)
        if builds[0].failed is not None:
            return self._unbuilt(job, builds, built.nonce)
        first = spent
        for turn in range(_ROUNDS):
            # Of true runs: what falsified ones take is in the program's hand.
            if turn and 2 * spent > _ROUNDS_CPU_S:
                return ""
            passed, *_ = self._passes(job, builds[turn % len(builds)])
            again, more_s, _ = (True, 0.0, 0.0) if passed else self._passes(job, built)
            if passed or not again:
                return self._suspicion(job, (others, every), passed, built.nonce, first)
            spent += more_s
        return ""

    def _controls(
        self, job: dict[str, Any], falsified: tuple[dict[str, str], ...], nonce: str
    ) -> list["_Build"]:
        """The builds that the rounds take in turn: the first that compiles, or, where building costs nothing, each but
        the last, in which all is negated. Where none compiles, all of them. With the same word: a program that finds
        it only in some builds would else fail falsified tests by chance.
        """
        if not job["compile"]:
            return [self._build(job, files, nonce) for files in falsified[:-1]]
        builds: list[_Build] = []
        for files in falsified:
            builds.append(self._build(job, files, nonce))
            if builds[-1].failed is None:
                return builds[-1:]
        return builds

    def _unbuilt(self, job: dict[str, Any], builds: list["_Build"], nonce: str) -> str:
        """No falsified version compiles. Where that is for the changed text, the true one still does, and a compiler
        that had enough for it has enough for them. (A limit that only a busy machine explains says nothing.)
        """
        stopped = any(build.failed and build.failed.status and not build.failed.suspect for build in builds)
        again = self._build(job, job["files"], nonce).failed
        return _FORGED if stopped or (again and not again.suspect) else ""

    def _suspicion(
        self,
        job: dict[str, Any],
        all_false: tuple[dict[str, str], dict[str, str]],
        passed: bool,
        nonce: str,
        true_s: float,
    ) -> str:
        """It passed falsified tests, or did not pass the true ones again. Perhaps it does not reach that one
        expectation, or depends on chance; but an honest program never passes with all expectations falsified.
        `true_s`: CPU seconds in which it passed the true ones.
        """
        others, every = all_false
        if passed and self._passes(job, self._build(job, others, nonce))[0]:
            return _FORGED
        falsified, spent, idle = self._build(job, every, nonce), 0.0, 0.0
        if falsified.failed is not None:
            return _FORGED if passed else ""
        begun = time.monotonic()
        for run in range(1, _SUSPECT_RUNS + 1):
            passed, cpu_s, idle_s = self._passes(job, falsified)
            spent, idle = spent + cpu_s, idle + idle_s
            if passed:
                return _FORGED
            if spent > _SUSPECT_CPU_S or time.monotonic() - begun > _SUSPECT_WALL_S:
                return _EVASIVE if spent + idle > run * (_LIKE_THE_TRUE * true_s + _BESIDES_S) else ""
        return ""

    def _passes(self, job: dict[str, Any], built: "_Build") -> tuple[bool, float, float]:
        """Whether it passes, its CPU seconds, and those for which it slept (not those in which others computed)."""
        if built.failed is not None:
            return False, 0.0, 0.0
        result = self._run(job, built)
        printed = _without_nonce(result.stdout, built.nonce)[1]
        return not result.status and not result.code and printed, result.cpu_s, result.idle_s

    def _build(self, job: dict[str, Any], files: dict[str, str], nonce: str = "") -> "_Build":
        """Compile in a folder that is gone afterwards; what it takes to run is kept here. Each program has a nonce."""
        nonce = nonce or secrets.token_hex(16)
        if job["sentinel"]:
            files = {name: text.replace(job["sentinel"], nonce) for name, text in files.items()}
        if not job["compile"]:
            return _Build(nonce, files)
        with confined_step.scratch_folder(self.sandbox):
            spent = 0.0
            for command in job["compile"]:
                result = self._step(command, job, job["building"], files=files)
                files = {}
                spent += result.cpu_s
                if result.status or result.code:
                    result.cpu_s = spent
                    return _Build(nonce, failed=result)
            products = _products(self.sandbox.home, job["products"])
            if products is None:
                result.status, result.detail = "output", f"more than {_PRODUCTS_MB} MB of compiled code"
                return _Build(nonce, failed=result)
            return _Build(nonce, products=products)

    def _run(self, job: dict[str, Any], built: "_Build") -> monitor.StepResult:
        """In a folder of its own, so that no run knows of another."""
        with confined_step.scratch_folder(self.sandbox):
            for name, data in built.products.items():
                with open(os.open(os.path.join(self.sandbox.home, name), _NEW_FILE, 0o755), "wb") as file:
                    file.write(data)
            return self._step(job["run"], job, job, built.files, job["stdin"], is_program=True)

    def _step(
        self,
        command: list[str],
        job: dict[str, Any],
        limits: dict[str, Any],
        files: dict[str, str],
        stdin: bytes = b"",
        is_program: bool = False,
    ) -> monitor.StepResult:
        home = self.sandbox.home
        environment = {name: value.replace("{home}", home) for name, value in job["environment"].items()}
        step = confined_step.Step(
            tuple(word.replace("{home}", home) for word in command),
            environment | {"HOME": home, "TMPDIR": f"{home}/.tmp"},
            limits["cpu_s"],
            limits["wall_s"],
            limits["memory_mb"],
            limits["output_kb"],
            stdin,
            files,
            is_program,
        )
        result = monitor.StepMonitor(self.sandbox, step, self.controller).run()
        self.started = True
        return result

    def _not_compiled(self, result: monitor.StepResult) -> dict[str, Any]:
        text = (result.stderr or result.stdout).decode("utf-8", "backslashreplace")
        # Go begins with "# package" and calls nothing an error.
        lines = [line[:_LINE] for line in text.splitlines() if line.strip() and not line.startswith("# ")]
        errors = [line for line in lines if "error" in line] or lines
        detail = f"the compiler needs {result.detail}" if result.detail else (errors or ["no output"])[0]
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
    """The lines in which a runtime's messages are looked for: those of the beginning and of the end, shortened."""
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
