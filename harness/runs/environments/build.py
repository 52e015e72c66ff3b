"""Makes a benchmark's environment, proves the references in it, writes its lock: what `harness env` does.

Every reference is run `rounds` times as an answer would be. One that fails each time is excluded with its cause (a
library that is not installed, the network, a child process, data that is nowhere), one that passes now and then as
unreliable. With somebody else's lock the same versions are installed, and its exclusions are kept.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.config.run import JudgeConfig
from harness.errors import Fault, UserError
from harness.runs import judge as judging
from harness.runs.environments import requirements
from harness.runs.environments.lock import NAME, EnvironmentLock
from harness.runs.plan import Progress
from harness.runs.store.atomic import to_json, write_atomic
from harness.schema import Completion, Problem, Task, UnitTests
from harness.tasks.loading import data_files, registry


@dataclass(frozen=True)
class Built:
    """`differing`: rows that the given lock trusts and that do not pass here, with the cause."""

    lock: EnvironmentLock
    path: Path
    differing: dict[str, str]


def build(
    name: str, folder: Path, data: str | None, given: EnvironmentLock | None, rounds: int, progress: Progress
) -> Built:
    """The environment `name` in `folder`, which may be there already. Raises UserError, Fault."""
    required = requirements.find(name)
    task = registry.task(name)
    source = data_files.open_source(data)
    problems = data_files.load(task, "test", source)  # a missing file is said before anything is built
    if given is not None and given.environment != name:
        raise UserError(f"the lock is of the environment {given.environment!r}, not of {name!r}")
    pins = required.pins if given is None else tuple(f"{n}=={v}" for n, v in given.packages.items())
    python = folder / "bin" / "python"
    if not python.exists():
        _run([_python(required.python), "-m", "venv", str(folder)], "the virtual environment cannot be made")
    refused = install(python, pins, progress)
    excluded, used, version = prove(task, problems, str(python), rounds, progress)
    made = EnvironmentLock(
        environment=name,
        version=task.version,
        python=version,
        packages=used,
        refused=refused,
        data=dict(source.digests),
        references=len(problems),
        rounds=rounds,
        excluded=excluded,
    )
    differing = {} if given is None else {k: why for k, why in excluded.items() if k not in given.excluded}
    kept = given or made
    write_atomic(folder / NAME, to_json(kept.model_dump(mode="json")))
    return Built(kept, folder / NAME, differing)


def _python(version: str) -> str:
    """An interpreter of that version: this one, or one on the search path."""
    if version == ".".join(map(str, sys.version_info[:2])):
        return sys.executable
    if found := shutil.which(f"python{version}"):
        return found
    raise UserError(f"the environment needs Python {version}, and no python{version} is on the search path")


def _run(command: Sequence[str], what: str) -> None:
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        raise Fault(f"{what}: {_last_error(process.stderr)}")


def _last_error(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "")[
        :300
    ]


def install(python: Path, pins: Sequence[str], progress: Progress) -> dict[str, str]:
    """Install all at once, or where that fails one by one; those that cannot be, with pip's last error."""
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    progress("install", 0, len(pins))
    if subprocess.run([*pip, *pins], capture_output=True).returncode == 0:
        progress("install", len(pins), len(pins))
        return {}
    refused = {}
    for number, pin in enumerate(pins, 1):
        process = subprocess.run([*pip, "--no-deps", pin], capture_output=True, text=True)
        if process.returncode:
            refused[pin] = _last_error(process.stderr)
        progress("install", number, len(pins))
    return refused


def prove(
    task: Task, problems: Sequence[Problem], python: str, rounds: int, progress: Progress
) -> tuple[dict[str, str], dict[str, str], str]:
    """The problems whose references do not pass each time, with the cause; what programs could import, and Python."""
    failed: dict[str, list[str]] = {}
    with judging.open_sandbox(JudgeConfig(python=python), task) as sandbox:
        for scorer in (scorer for scorer in task.scorers if scorer.executes):
            for number in range(rounds):
                answers = [(problem, _reference(task, problem)) for problem in problems]
                for done, verdict in enumerate(scorer.score(iter(answers), sandbox), 1):
                    if verdict.status not in ("passed", "scored"):
                        why = verdict.error if verdict.score is None else f"{verdict.status}: {verdict.error}"
                        failed.setdefault(problems[done - 1].id, []).append(why)
                    progress("prove", number * len(problems) + done, rounds * len(problems))
        used, version = dict(sandbox.packages), sandbox.python.version
    return {name: _cause(whys, rounds) for name, whys in failed.items()}, used, version


def _cause(whys: Sequence[str], rounds: int) -> str:
    unreliable = "" if len(whys) == rounds else f"unreliable, fails {len(whys)} of {rounds} times: "
    return unreliable + whys[0].partition("\n")[0]


def _reference(task: Task, problem: Problem) -> str:
    if isinstance(problem.check, UnitTests) and problem.check.reference:
        return problem.check.reference
    given = Completion(text=problem.solution, form="continuation")
    return judging.answer_of(task, task.scorers[0], problem, given)
