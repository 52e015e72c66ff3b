"""How a worker earns a pass against falsified tests, and whose fault it is when it fails: without running a program."""

import itertools
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.sandbox.languages import confined_step, monitor, worker

JOB: dict[str, Any] = {
    "files": {"main.js": "true"},
    "source": "main.js",
    "falsified": ["false", "others", "every"],
    "sentinel": "WORD",
    "compile": [],
}
SANDBOX: confined_step.StepSandbox = None  # type: ignore[assignment]


@pytest.mark.parametrize("passes", [[True], [False, False]])
@pytest.mark.parametrize(
    ("true_s", "cpu_s", "idle_s", "doubt"),
    [
        (0.01, 0.01, 20.0, worker._EVASIVE),  # sleeps until its limit where it does not know the expectations
        (0.01, 6.0, 0.0, worker._EVASIVE),  # or computes
        (6.0, 6.5, 0.0, ""),  # it always takes as long
        (0.01, 0.03, 0.0, ""),  # the machine is busy with others
    ],
)
def test_few_falsified_runs_are_a_pass_only_where_the_true_ones_take_as_long(
    monkeypatch: pytest.MonkeyPatch,
    passes: list[bool],
    true_s: float,
    cpu_s: float,
    idle_s: float,
    doubt: str,
) -> None:
    """It passes, then comes under suspicion: falsified tests passed, or true ones not again."""
    clock, answers, runs = itertools.count(0, 20), iter(passes), []

    def evades(job: dict[str, Any], built: Any) -> tuple[bool, float, float]:
        runs.append(built.files["main.js"])
        return next(answers, False), cpu_s, idle_s

    monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    runner = worker.ProgramRunner(SANDBOX, -1)
    monkeypatch.setattr(runner, "_passes", evades)
    assert runner._doubt(JOB, runner._build(JOB, JOB["files"]), true_s) == doubt
    assert runs.count("every") == 4, runs


@pytest.mark.parametrize(("true_s", "rounds"), [(0.01, 5), (0.9, 1)])
def test_only_true_runs_that_take_long_make_rounds_fewer(
    monkeypatch: pytest.MonkeyPatch, true_s: float, rounds: int
) -> None:
    runner, runs = worker.ProgramRunner(SANDBOX, -1), []

    def right(job: dict[str, Any], built: Any) -> tuple[bool, float, float]:
        runs.append(built.files["main.js"])
        return runs[-1] == "true", true_s if runs[-1] == "true" else 5.0, 5.0

    monkeypatch.setattr(runner, "_passes", right)
    assert runner._doubt(JOB, runner._build(JOB, JOB["files"]), true_s) == ""
    assert runs == ["false", "true"] * rounds


@pytest.mark.parametrize(
    ("started", "error", "by_program"),
    [
        (False, OSError("no space"), False),
        (True, OSError("left behind"), True),
        (True, monitor.ConfinementError("unconfined"), False),
    ],
)
def test_what_fails_after_the_program_has_run_is_its_doing(
    monkeypatch: pytest.MonkeyPatch, started: bool, error: Exception, by_program: bool
) -> None:
    runner = worker.ProgramRunner(SANDBOX, -1)

    def fails(job: dict[str, Any]) -> dict[str, Any]:
        runner.started = started
        raise error

    monkeypatch.setattr(runner, "_run_program", fails)
    assert runner.run(JOB) == {"broken": str(error), "by_program": by_program}


def test_a_step_that_ended_counts_as_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "StepMonitor", lambda *_: SimpleNamespace(run=lambda: monitor.StepResult()))
    runner = worker.ProgramRunner(SimpleNamespace(home="/nowhere"), -1)  # type: ignore[arg-type]
    limits = {"cpu_s": 1.0, "wall_s": 1.0, "memory_mb": 1, "output_kb": 1}
    runner._step(["true"], {"environment": {}}, limits, {})
    assert runner.started


@pytest.fixture
def compiling(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> worker.ProgramRunner:
    """Its steps do nothing and succeed; what they built is what lies in the folder."""
    monkeypatch.setattr(confined_step, "scratch_folder", lambda _: nullcontext())
    runner = worker.ProgramRunner(SimpleNamespace(home=str(tmp_path)), -1)  # type: ignore[arg-type]
    monkeypatch.setattr(runner, "_step", lambda *_, **__: monitor.StepResult())
    return runner


def test_what_was_built_is_read_up_to_a_bound_for_all_files_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, compiling: worker.ProgramRunner
) -> None:
    monkeypatch.setattr(worker, "_PRODUCTS_MB", 1)
    for name in ("A.class", "B.class"):
        (tmp_path / name).write_bytes(bytes(1 << 19))
    job = JOB | {"compile": [["javac"]], "building": {}, "products": ["*.class"]}
    built = compiling._build(job, {})
    assert (built.failed, [len(data) for data in built.products.values()]) == (None, [1 << 19, 1 << 19])
    (tmp_path / "C.class").write_bytes(b"x")
    failed = compiling._build(job, {}).failed
    assert failed is not None
    found = compiling._not_compiled(failed)
    assert (found["status"], found["detail"]) == (
        "compile_error",
        "the compiler needs more than 1 MB of compiled code",
    )


def test_where_building_costs_nothing_each_round_has_falsified_tests_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runner, runs = worker.ProgramRunner(SANDBOX, -1), []

    def right(job: dict[str, Any], built: Any) -> tuple[bool, float, float]:
        runs.append(built.files["main.js"])
        return runs[-1] == "true", 0.01, 0.0

    monkeypatch.setattr(runner, "_passes", right)
    job = JOB | {"falsified": ["1", "2", "3", "4", "5", "others", "every"]}
    assert runner._doubt(job, runner._build(job, job["files"]), 0.01) == ""
    assert runs == ["1", "true", "2", "true", "3", "true", "4", "true", "5", "true"]


@pytest.mark.parametrize(
    ("again", "status", "suspect", "doubt"),
    [
        (True, "", False, ""),  # the compiler refuses the changed text
        (False, "", False, worker._FORGED),  # it refuses by chance, or by the clock
        (True, "timeout", False, worker._FORGED),
        (True, "timeout", True, ""),  # a busy machine
    ],
)
def test_where_no_falsified_tests_compile_the_true_ones_have_to_again(
    compiling: worker.ProgramRunner,
    monkeypatch: pytest.MonkeyPatch,
    again: bool,
    status: str,
    suspect: bool,
    doubt: str,
) -> None:
    def compiles(command: list[str], *_: Any, files: dict[str, str]) -> monitor.StepResult:
        if files["main.js"] == "true":
            return monitor.StepResult(code=0 if again else 1)
        return monitor.StepResult(code=1, status=status, suspect=suspect)

    monkeypatch.setattr(compiling, "_step", compiles)
    job = JOB | {"compile": [["g++"]], "building": {}, "products": []}
    assert compiling._doubt(job, worker._Build("word"), 0.01) == doubt
