"""The controller's side of programs in other languages than Python: their workers and their jobs.

A WorkerSource of batch.py, as the pool itself is. Its workers are processes of languages/worker.py, each of which takes
programs in all languages, one at a time.
"""

import json
import os
import random
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import SandboxFault, UserError
from harness.sandbox import batch, framing, launch, stalls
from harness.sandbox.isolation import confine, control_group, left_behind, scratch
from harness.sandbox.languages import confined_step, falsify, table, toolchains
from harness.sandbox.python.cpu_clock import WALL_SLACK
from harness.sandbox.values import codec
from harness.schema import Limits, Program
from harness.schema.execution import JUDGE_STALL_S

# Limits of compilers; CPU time decides here too.
BUILDING = Limits(cpu_s=60.0, wall_s=60.0, memory_mb=3072, output_kb=256)
_ENVIRONMENT = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
_START_S = 30.0
_SEEDS = "harness-seeds-"
# Versions of the tests with one expectation falsified: one for each round, or, where each costs a build, one and
# another should the first not compile.
_FALSIFIED, _FALSIFIED_BUILDS = 5, 2


class LanguagePool:
    """Workers for programs that are compiled and run by command. `granted`: what one of such limits may use."""

    def __init__(
        self,
        isolation: confine.Isolation,
        size: int,
        granted: Callable[[Limits], Limits],
        stall_s: float = JUDGE_STALL_S,
    ) -> None:
        self.isolation = isolation
        self.size = size
        self.stall_s = stall_s
        self.granted = granted
        self._workers: list[launch.SandboxWorker] = []
        # Not in /tmp, which each program has for itself: compilers put folder names into what they cache.
        for left in left_behind.unheld("/var/tmp", _SEEDS):
            shutil.rmtree(left, ignore_errors=True)
        self._seed_root = tempfile.TemporaryDirectory(prefix=_SEEDS, dir="/var/tmp")
        self._held = left_behind.hold(self._seed_root.name)
        os.chmod(self._seed_root.name, 0o755)
        self._seeded: set[str] = set()

    def workers(self) -> list[launch.SandboxWorker]:
        return list(self._workers)

    def new_worker(self) -> launch.SandboxWorker:
        worker = start_worker(self.isolation, self._seed_root.name, self.stall_s)
        self._workers.append(worker)
        return worker

    def drop(self, worker: launch.SandboxWorker) -> None:
        self._workers.remove(worker)
        stop_worker(worker)

    def close(self) -> None:
        while self._workers:
            stop_worker(self._workers.pop())
        self._seed_root.cleanup()
        os.close(self._held)

    def _prepare_seed(self, language: str) -> None:
        """Fill the language's seed folder, when its first program comes. Runs unconfined: the sources are the
        project's own, and programs cannot write there. Raises SandboxFault.
        """
        row, folder = table.LANGUAGES[language], os.path.join(self._seed_root.name, language)
        if language in self._seeded or not row.seed:
            return
        os.makedirs(folder, exist_ok=True)
        for name, text in toolchains.shims(language).items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("{seed}", folder), encoding="utf-8")
        with tempfile.TemporaryDirectory(prefix="harness-") as home:
            os.mkdir(f"{home}/.tmp")
            environment = _environment(language, folder) | {"HOME": home, "TMPDIR": f"{home}/.tmp"}
            environment = {name: value.replace("{home}", home) for name, value in environment.items()}
            tools = toolchains.toolchain(language).tools
            for command in row.seed:
                words = [word.replace("{seed}", folder) for word in (tools[command[0]], *command[1:])]
                finished = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
                if finished.returncode:
                    raise SandboxFault(f"{language} cannot be prepared: {finished.stderr.strip()[:500]}")
        self._seeded.add(language)

    def job(self, program: Program) -> batch.ProgramJob:
        """A program as the bytes that a worker takes. Raises UserError when the machine lacks the language."""
        if program.language not in table.LANGUAGES:
            known = ", ".join(table.LANGUAGES)
            raise UserError(f"the sandbox cannot run language {program.language!r}. Known: {known}.")
        row, tools = table.LANGUAGES[program.language], toolchains.toolchain(program.language)
        if tools.missing:
            raise UserError(tools.hint)
        if missing := next(filter(None, map(toolchains.missing_header, program.needs)), ""):
            return batch.ProgramJob(b"", 0.0, result=SandboxFault(missing))
        self._prepare_seed(program.language)
        seed = os.path.join(self._seed_root.name, program.language)
        limits = self.granted(program.limits)
        has_tests = bool(program.sentinel)
        source = row.test_source if has_tests and row.test_source else row.source

        def command(words: table.Command) -> list[str]:
            flags = [flag.replace("{seed}", seed) for flag in program.flags]
            filled = _fill(words, {"{source}": source, "{memory}": str(limits.memory_mb)}, flags)
            return [tools.tools.get(filled[0], filled[0]), *filled[1:]]

        compile_steps = row.tests if has_tests and row.tests else row.compile
        run = row.test_run if has_tests and row.test_run else row.run
        row_files = {name: text.replace("{seed}", seed) for name, text in row.files.items()}
        files = {**row_files, **program.files, source: program.code}
        fields: dict[str, Any] = {
            "falsified": [],
            "files": files,
            "products": list(row.products),
            "compile": [command(words) for words in compile_steps],
            "run": [*command(run), *program.argv],
            "environment": _environment(program.language, seed),
            "building": BUILDING.model_dump(),
            "stdin": program.stdin.encode("utf-8", "surrogateescape"),
            "sentinel": program.sentinel,
            "cpu_s": limits.cpu_s,
            "wall_s": limits.wall_s,
            "memory_mb": limits.memory_mb + row.overhead_mb,
            "output_kb": limits.output_kb,
            "memory_words": row.memory,
            "failed_words": row.failed,
        }
        timeout_s = (limits.wall_s + BUILDING.wall_s) * 2 * WALL_SLACK + 30
        if has_tests:
            own, tests = program.code[: program.tests_start], program.code[program.tests_start :]
            count = _FALSIFIED_BUILDS if compile_steps else _FALSIFIED
            falsified = falsify.versions(program.language, tests, count, random.SystemRandom())
            fields |= {"source": source, "falsified": [own + each for each in falsified]}
        return batch.ProgramJob(framing.frame(codec.encode(fields, limit=1 << 30)), timeout_s)


def _fill(words: table.Command, values: Mapping[str, str], flags: Sequence[str]) -> list[str]:
    """A command with its placeholders replaced; {flags} stands for any number of words."""
    filled: list[str] = []
    for word in words:
        if word == "{flags}":
            filled += flags
            continue
        for placeholder, value in values.items():
            word = word.replace(placeholder, value)
        filled.append(word)
    return filled


def _environment(language: str, seed: str) -> dict[str, str]:
    found = _ENVIRONMENT | toolchains.environment(language)
    return {name: value.replace("{seed}", seed) for name, value in found.items()}


def start_worker(isolation: confine.Isolation, seed_root: str, stall_s: float) -> launch.SandboxWorker:
    """Start a worker and wait until it is ready. Raises launch.IsolationUnavailable with the kernel's reason."""
    uid = launch.throwaway_uid()
    folder = None
    if isolation != "namespaces":
        folder = tempfile.TemporaryDirectory(prefix="harness-", ignore_cleanup_errors=True)
        os.chown(folder.name, uid or -1, uid or -1)
    group = None if isolation == "process" else control_group.make()
    plan = confined_step.StepPlan(
        isolation,
        toolchains.folders(),
        seed_root,
        folder.name if folder else "",
        uid,
        group.paths if group else (),
    )
    ours, theirs = socket.socketpair()
    with theirs:
        process = launch.spawn(sys.executable, "languages.worker", (theirs,), [json.dumps(vars(plan))], {})
    watch = stalls.StallWatch(process.pid, stall_s, below=2 if isolation == "namespaces" else 0)
    worker = launch.SandboxWorker(ours, (process, process), folder, watch, group=group)
    try:
        if not select.select([ours], [], [], _START_S)[0]:
            raise SandboxFault(f"a sandbox worker did not start within {_START_S:g} s")
        greeting = codec.decode(framing.read_frame(ours.fileno(), worker.frames))
        if "broken" in greeting:
            raise launch.IsolationUnavailable(str(greeting["broken"]))
    except framing.ConnectionClosed:
        stop_worker(worker)
        raise SandboxFault("a sandbox worker ended while it was started") from None
    except SandboxFault:
        stop_worker(worker)
        raise
    ours.setblocking(False)
    return worker


def stop_worker(worker: launch.SandboxWorker) -> None:
    """End a worker: when its socket closes it kills everything it started and exits."""
    worker.socket.close()
    worker.watch.resume()
    process = worker.processes[0]
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if worker.group is not None:
        worker.group.remove()
    if worker.scratch is not None:
        scratch.empty_after_end(worker.scratch.name)
        worker.scratch.cleanup()
