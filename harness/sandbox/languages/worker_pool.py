"""The controller's side of programs in other languages than Python: their workers, and their jobs.

A Source of batch.py like the pool itself. Its workers are steps.py processes; each takes programs of every
language, one at a time.
"""

import hashlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import SandboxFault, UserError
from harness.sandbox import batch, framing, launch
from harness.sandbox.isolation import confine
from harness.sandbox.languages import confined_step, monitor, toolchains
from harness.sandbox.values import codec
from harness.schema import Limits, Program

# A compiler's own limits; CPU time decides here too.
BUILDING = Limits(cpu_s=60.0, wall_s=60.0, memory_mb=3072, output_kb=256)
_ENVIRONMENT = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
_START_S = 30.0


class LanguagePool:
    """Workers for programs that are compiled and run by command. `limits` are the pool's: (CPU, wall, memory)
    of a program.
    """

    def __init__(
        self, isolation: confine.Isolation, size: int, limits: Callable[[Program], tuple[float, float, int]]
    ) -> None:
        self.isolation = isolation
        self.size = size
        self.limits = limits
        self._workers: list[launch.SandboxWorker] = []
        self._started = 0
        # Not in /tmp, which is each program's own: compilers put the names of folders into what they cache.
        self._seeds = tempfile.TemporaryDirectory(prefix="harness-", dir="/var/tmp")
        os.chmod(self._seeds.name, 0o755)
        self._seeded: set[str] = set()

    def workers(self) -> list[launch.SandboxWorker]:
        return list(self._workers)

    def new_worker(self) -> launch.SandboxWorker:
        self._started += 1
        worker = start(self.isolation, self._started, self._seeds.name)
        self._workers.append(worker)
        return worker

    def drop(self, worker: launch.SandboxWorker) -> None:
        self._workers.remove(worker)
        stop(worker)

    def close(self) -> None:
        while self._workers:
            stop(self._workers.pop())
        self._seeds.cleanup()

    def _prepare(self, language: str) -> None:
        """Fill the language's seed, with its first program. Trusted: the text is the project's own, and programs
        can't write there. Raises SandboxFault.
        """
        row, folder = toolchains.LANGUAGES[language], os.path.join(self._seeds.name, language)
        if language in self._seeded or not row.seed:
            return
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
                done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
                if done.returncode:
                    raise SandboxFault(f"{language} cannot be prepared: {done.stderr.strip()[:500]}")
        self._seeded.add(language)

    def job(self, program: Program) -> batch.ProgramJob:
        """A program as the bytes a worker takes. Raises UserError when the machine lacks the language."""
        if program.language not in toolchains.LANGUAGES:
            known = ", ".join(toolchains.LANGUAGES)
            raise UserError(f"the sandbox cannot run language {program.language!r}. Known: {known}.")
        row, tools = toolchains.LANGUAGES[program.language], toolchains.toolchain(program.language)
        if tools.missing:
            raise UserError(tools.hint)
        if missing := next(filter(None, map(toolchains.missing_header, program.needs)), ""):
            return batch.ProgramJob(b"", 0.0, result=SandboxFault(missing))
        self._prepare(program.language)
        seed = os.path.join(self._seeds.name, program.language)
        cpu, wall, memory = self.limits(program)
        tested = bool(program.proof)
        source = row.test_source if tested and row.test_source else row.source

        def command(words: toolchains.Command) -> list[str]:
            filled: list[str] = []
            for word in words:
                if word == "{flags}":
                    filled += [flag.replace("{seed}", seed) for flag in program.flags]
                else:
                    filled.append(word.replace("{source}", source).replace("{memory}", str(memory)))
            return [tools.tools.get(filled[0], filled[0]), *filled[1:]]

        compile_steps = row.tests if tested and row.tests else row.compile
        run = row.test_run if tested and row.test_run else row.run
        own = {name: text.replace("{seed}", seed) for name, text in row.files.items()}
        files = {**own, **program.files, source: program.code}
        fields: dict[str, Any] = {
            "files": files,
            "remove": list(files),
            "compile": [command(words) for words in compile_steps],
            "run": [*command(run), *program.argv],
            "environment": _environment(program.language, seed),
            "building": BUILDING.model_dump(),
            "stdin": program.stdin.encode("utf-8", "surrogateescape"),
            "proof": program.proof,
            "cpu_s": cpu,
            "wall_s": wall,
            "memory_mb": memory + row.overhead_mb,
            "output_kb": program.limits.output_kb,
            "memory_words": row.memory,
            "failed_words": row.failed,
        }
        patience = (wall + BUILDING.wall_s) * 2 * monitor.WALL_SLACK + 30
        payload = framing.frame(codec.encode(fields, limit=1 << 30))
        # Tests that decide by themselves give equal programs one verdict; what is only run may be watched.
        same = hashlib.sha256(payload).digest() if tested else b""
        return batch.ProgramJob(payload, patience, same=same)


def _environment(language: str, seed: str) -> dict[str, str]:
    found = _ENVIRONMENT | toolchains.environment(language)
    return {name: value.replace("{seed}", seed) for name, value in found.items()}


def start(isolation: confine.Isolation, number: int, seeds: str) -> launch.SandboxWorker:
    """Start worker `number` and wait until it stands. Raises launch.Unavailable with the kernel's reason."""
    uid = launch.throwaway_uid(number + 32)
    scratch = None
    if isolation != "namespaces":
        scratch = tempfile.TemporaryDirectory(prefix="harness-")
        os.chown(scratch.name, uid or -1, uid or -1)
    plan = confined_step.StepPlan(
        isolation, toolchains.folders(), seeds, scratch.name if scratch else "", uid
    )
    mine, theirs = socket.socketpair()
    with theirs:
        process = launch.spawn(sys.executable, "languages.worker", (theirs,), [json.dumps(vars(plan))], {})
    worker = launch.SandboxWorker(mine, (process, process), scratch)
    try:
        if not select.select([mine], [], [], _START_S)[0]:
            raise SandboxFault(f"a sandbox worker did not start within {_START_S:g} s")
        word = codec.decode(framing.read_frame(mine.fileno(), worker.frames))
        if "broken" in word:
            raise launch.IsolationUnavailable(str(word["broken"]))
    except framing.ConnectionClosed:
        stop(worker)
        raise SandboxFault("a sandbox worker ended while it was started") from None
    except SandboxFault:
        stop(worker)
        raise
    mine.setblocking(False)
    return worker


def stop(worker: launch.SandboxWorker) -> None:
    """End a worker and everything below it: it reads the end of its socket, kills what runs and ends."""
    worker.socket.close()
    process = worker.processes[0]
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if worker.scratch is not None:
        worker.scratch.cleanup()
