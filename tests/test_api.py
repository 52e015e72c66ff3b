"""The Python interface: what a notebook and a script see of runs, and how a mistake is told."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import harness
from harness.files import packaged
from tests.support.command import harness as command
from tests.support.command import mini_humaneval, write_rows

MODEL = packaged("tasks/demo/model")


def solutions(wrong: int = 0) -> list[dict[str, str]]:
    """A sample of each mini row, the first `wrong` of them wrong."""
    return [
        {
            "task_id": row["task_id"],
            "completion": "    return 'no'\n" if i < wrong else row["canonical_solution"],
        }
        for i, row in enumerate(mini_humaneval())
    ]


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> harness.Run:
    return harness.score("humaneval", solutions(), data="mini", out=tmp_path_factory.mktemp("right") / "run")


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> harness.Run:
    return harness.score("humaneval", solutions(33), data="mini", out=tmp_path_factory.mktemp("half") / "run")


def test_importing_the_package_loads_nothing_of_it() -> None:
    code = "import sys, harness; print([m for m in sys.modules if m.startswith(('harness.', 'numpy', 'pydantic'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(hasattr(harness, name) for name in harness.__all__)
    assert set(harness.__all__) <= set(dir(harness))
    with pytest.raises(AttributeError, match="has no attribute 'evaluate'"):
        harness.evaluate  # type: ignore[attr-defined]  # noqa: B018


def test_the_names_stay_what_they_are_when_every_module_is_loaded() -> None:
    """A sub-package of the same name would take the place of a function."""
    code = (
        "import harness, importlib, pkgutil\n"
        "for m in ('api', 'cli', 'training.config', 'runs.run', 'runs.study', 'results.compare', 'prompts.few_shot'):\n"
        "    importlib.import_module('harness.' + m)\n"
        "print([n for n in ('run', 'score', 'train', 'compare', 'load_run') if not callable(getattr(harness, n))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_metrics_are_a_frame_with_intervals(half: harness.Run) -> None:
    assert list(half.metrics.columns) == [
        "value",
        "low",
        "high",
        "n",
        "k",
        "unit",
        "lower_is_better",
        "with_faults",
    ]
    assert set(half.metrics["unit"]) == {"share"}
    row = half.metrics.loc["pass@1"]
    assert (row["value"], row["n"], row["k"]) == (0.5, 66, 33)
    assert row["low"] < 0.5 < row["high"]


def test_samples_are_a_row_each_with_what_the_scorer_said(half: harness.Run) -> None:
    frame = half.samples
    assert list(frame["problem_id"]) == [row["task_id"] for row in mini_humaneval()]
    assert list(frame["unit_tests.value"]) == [0.0] * 33 + [1.0] * 33
    assert set(frame["unit_tests.status"]) >= {"passed", "failed"}
    assert frame["completion"][0] == "    return 'no'\n"


def test_problems_signature_config_cost_and_notes_are_those_of_the_folder(half: harness.Run) -> None:
    summary = json.loads((half.path / "summary.json").read_text(encoding="utf-8"))
    assert half.signature == summary["signature"]
    assert half.id == summary["run_id"]
    assert half.cost == summary["cost"]
    assert list(half.notes) == summary["notes"]
    assert half.errors == 0
    assert half.config["task"] == "humaneval"
    assert len(half.problems) == 66
    assert {"problem_id", "question", "references"} <= set(half.problems.columns)


def test_comparing_gives_the_differences_that_the_command_gives(
    half: harness.Run, right: harness.Run
) -> None:
    frame = half.compare(right)
    assert list(frame["difference"].dropna()) == [0.5]
    told = json.loads(command("compare", half.path, right.path, "--json").out)
    (cell,) = [row["metrics"]["pass@1"] for row in told["rows"] if row["metrics"]["pass@1"]["difference"]]
    other = frame[frame["difference"].notna()].iloc[0]
    assert other["difference_low"] == cell["difference"]["low"]
    assert other["p"] == cell["p_holm"]


def test_a_frame_is_judged_as_its_rows_are_and_a_missing_value_is_no_field(
    right: harness.Run, tmp_path: Path
) -> None:
    frame = pd.DataFrame([*({**row, "note": None} for row in solutions()[:-1]), solutions()[-1]])
    frame["other"] = float("nan")
    frame["notes"] = [["a", "b"]] * len(frame)
    run = harness.score("humaneval", frame, data="mini", out=tmp_path / "frame")
    assert run.metrics.equals(right.metrics)


def test_a_notebook_shows_the_line_of_an_error_and_no_traceback() -> None:
    with pytest.raises(harness.HarnessError) as raised:
        harness.run("humanevil", model="m")
    shown = raised.value._render_traceback_()
    assert shown == [f"ConfigError: {raised.value}"]
    assert "humaneval" in shown[0]


def test_rows_and_a_file_of_them_are_judged_alike(right: harness.Run, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl", solutions())
    from_file = harness.score("humaneval", file, data="mini", out=tmp_path / "run")
    for name in ("generations.jsonl", "judgements.jsonl"):
        assert (from_file.path / name).read_bytes() == (right.path / name).read_bytes()


def test_a_run_of_a_model_is_the_commands_run(tmp_path: Path) -> None:
    settings = {"data": "mini", "limit": 3, "max_tokens": 16, "cache": False}
    run = harness.run("conala", model=MODEL, out=tmp_path / "here", **settings)
    there = tmp_path / "there"
    done = command(
        *("run", "--task", "conala", "--model", MODEL, "--data", "mini", "--limit", 3, "--no-cache"),
        *("--set", "sampling.max_tokens=16", "--out", there),
    )
    assert done.code == 0
    for name in ("generations.jsonl", "judgements.jsonl"):
        assert (run.path / name).read_bytes() == (there / name).read_bytes()
    assert run.config["sampling"]["max_tokens"] == 16


def test_a_study_gives_its_runs_and_a_folder_of_runs_is_read(tmp_path: Path) -> None:
    study = {
        "task": "conala",
        "data": "mini",
        "limit": 2,
        "backend": {"model": str(MODEL)},
        "matrix": {"shots": ["none", "icl:1"]},
    }
    runs = harness.run_study(study, out=tmp_path, max_tokens=8)
    assert [run.config["shots"] for run in runs] == ["none", "icl:1"]
    assert set(runs.metrics["method"]) == {"zero-shot", "icl:1"}
    assert {run.id for run in harness.load_runs(tmp_path)} == {run.id for run in runs}
    assert len(runs[:1]) == 1


def test_a_config_file_with_a_matrix_is_sent_to_run_study(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text('task = "conala"\n[matrix]\nseed = [1, 2]\n', encoding="utf-8")
    with pytest.raises(harness.HarnessError, match=r"use harness\.run_study"):
        harness.run(file)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: harness.run("humanevl"), "no task 'humanevl'. Did you mean 'humaneval'?"),
        (lambda: harness.run("humaneval", sampels=3), "no setting 'sampels'. Did you mean 'samples'?"),
        (
            lambda: harness.run("humaneval", samples="a"),
            "sampling.samples = 'a': input should be a valid integer",
        ),
        (lambda: harness.run("humaneval", data="mini"), "no model"),
        (lambda: harness.load_run("nowhere"), "nowhere is not a finished run"),
        (lambda: harness.load_runs("nowhere"), "nowhere"),
        (lambda: harness.score("humaneval", [{"a": 1}], data="mini"), "completions:1: expected 'task_id'"),
        (lambda: harness.score("humaneval", [{"task_id": {1}}], data="mini"), "cannot be written as JSON"),
        (lambda: harness.train("conala"), "no model"),
        (lambda: harness.run("none.toml"), "no config file 'none.toml'"),
    ],
)
def test_a_mistake_is_one_line(
    call: object, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(harness.HarnessError) as raised:
        call()  # type: ignore[operator]
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_package_is_a_mistake_that_names_the_extra(
    right: harness.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(
        harness.HarnessError, match=r"pandas, which is not installed.*codelm-harness\[frames\]"
    ):
        right.metrics  # noqa: B018


def test_a_notebook_shows_the_table_escaped(half: harness.Run) -> None:
    html = half._repr_html_()
    assert "<th>95 % interval</th>" in html
    assert "50.00" in html
    assert half.signature.replace("&", "&amp;") in html


class ZMQInteractiveShell:
    """The class by which a notebook's kernel is known."""


def test_progress_in_a_notebook_is_a_bar_that_is_updated(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import ModuleType, SimpleNamespace

    from harness.runs import notebook

    drawn: list[str] = []
    ipython, display = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = ZMQInteractiveShell  # type: ignore[attr-defined]
    display.HTML = str  # type: ignore[attr-defined]
    display.display = lambda html, display_id: SimpleNamespace(update=drawn.append)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    assert notebook.running()
    with notebook.show() as step:
        for done in range(4):
            step("judge", done, 3)
    assert "<progress value='3' max='3'>" in drawn[-1]
    assert "judge" in drawn[-1]
