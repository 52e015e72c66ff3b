"""The examples run: every notebook from top to bottom, every command of docs/examples.md as it stands there."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import harness, metrics
from tests.support.paths import ROOT

EXAMPLES = ROOT / "examples"
NOTEBOOKS = sorted(path.name for path in EXAMPLES.glob("*.ipynb"))
PAGE = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line) for line in re.findall(r"^\$ (.*)$", PAGE, re.MULTILINE)]
TRAINS = "examples/study.toml"
OTHERS = [command for command in COMMANDS if TRAINS not in command and "score" not in command]
# A busy machine gives a notebook's kernel a tenth of a core.
pytestmark = pytest.mark.timeout(1200)


def cells(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((EXAMPLES / name).read_text(encoding="utf-8"))["cells"]
    return found


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the examples name, in a folder that they may write to; `harness` is this one; no network."""
    for name in ("examples", "tasks"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "baselines").symlink_to(ROOT / "results" / "baselines")
    command = tmp_path / "bin" / "harness"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m harness "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("default")  # what the packages of notebooks warn of is not ours
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_top_to_bottom(name: str, checkout: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="notebooks: nbclient is not installed")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(checkout)}}
    ).execute()
    last = [cell for cell in notebook.cells if cell.cell_type == "code"][-1]
    assert last.outputs, "the last cell shows nothing"


def test_notebooks_are_kept_without_outputs() -> None:
    code = [cell for name in NOTEBOOKS for cell in cells(name) if cell["cell_type"] == "code"]
    assert len(code) > 20
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []


def run(command: list[str], folder: Path) -> None:
    if command[0] != "harness":
        subprocess.run([folder / command[0], *command[1:]], cwd=folder, check=True, capture_output=True)
        return
    ended = harness(*command[1:])
    assert ended.code == 0, ended.err


def test_the_page_has_the_commands_that_are_run_here() -> None:
    assert [command[1] for command in OTHERS] == [
        "run", "train", "doctor", "results/baselines/humaneval.jsonl"
    ]  # fmt: skip
    assert NOTEBOOKS


@pytest.mark.parametrize("command", OTHERS, ids=lambda c: c[1])
def test_a_command_runs_as_the_page_has_it(command: list[str], checkout: Path) -> None:
    run(command, checkout)


def test_the_study_trains_its_adapter_and_runs_four_methods(checkout: Path) -> None:
    (command,) = [c for c in COMMANDS if TRAINS in c]
    run(command, checkout)
    runs = list((checkout / command[-1]).rglob("summary.json"))
    assert len(runs) == 4


def test_the_scorer_of_ones_own_gives_its_metric(checkout: Path) -> None:
    (command,) = [c for c in COMMANDS if "score" in c]
    run(command, checkout)
    assert metrics(checkout / command[-1])["characters"]["value"] > 5


def test_the_gate_fails_worse_completions(checkout: Path) -> None:
    (command,) = [c for c in COMMANDS if c[0].endswith("gate.sh")]
    lines = Path(command[1]).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        row["completion"]["text"] = "    pass\n"
    worse = checkout / "worse.jsonl"
    worse.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    ended = subprocess.run(
        [checkout / command[0], worse, checkout / "gate"], cwd=checkout, capture_output=True
    )
    assert ended.returncode == 1, ended.stderr
    assert "regression" in (checkout / "gate" / "comment.md").read_text(encoding="utf-8")


def test_the_page_names_every_example_and_no_other() -> None:
    named = set(re.findall(r"`([\w]+\.\w+)`", PAGE))
    there = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    assert named == there - {"own_task.jsonl"}
