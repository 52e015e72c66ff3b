"""What commands print: help that loads nothing heavy, tasks and their cards, reports that parse back."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import harness, mini_humaneval, snippets
from tests.support.paths import ROOT

ONE = mini_humaneval()[0]


COMMANDS = (
    *(
        "quickstart",
        "tasks",
        "run",
        "score",
        "train",
        "train-classifier",
        "report",
        "prefer",
        "data",
        "doctor",
    ),
    *(
        "audit",
        "cache",
        "compare",
        "env",
        "export",
        "gate",
        "import",
        "leaderboard",
        "merge",
        "serve",
        "track",
        "view",
    ),
)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_command_has_help(command: str, option: str) -> None:
    ended = harness(command, option)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Usage: harness {command} ")
    assert "Options:" in ended.out


def test_the_help_lists_every_command_and_the_version_is_the_packages() -> None:
    from harness import __version__

    text = harness("--help").out
    assert [line.split()[0] for line in text.split("Commands:\n")[1].splitlines()] == sorted(COMMANDS)
    assert harness("--version").out.strip().endswith(__version__)


def test_no_command_at_all_is_the_help_and_2() -> None:
    ended = harness()
    assert (ended.code, ended.err) == (2, "")
    assert ended.out.startswith("Usage: harness ")


@pytest.mark.parametrize(
    ("arguments", "imported", "heavy"),
    [
        (["--help"], "", "torch transformers numpy pydantic rich pyarrow tree_sitter"),
        (["tasks"], "", "torch transformers numpy rich pyarrow tree_sitter"),
        # All that is loaded before the first verdict; numpy comes with the first metric.
        (
            ["--help"],
            "import harness.runs.run, harness.runs.judge\n"
            "from harness.results.report import terminal\nterminal.render([])",
            "torch transformers numpy rich pyarrow tree_sitter",
        ),
    ],
)
def test_what_needs_nothing_heavy_imports_nothing_heavy(
    arguments: list[str], imported: str, heavy: str
) -> None:
    code = (
        f"import sys\n{imported}\nfrom harness import cli\nsys.argv = ['harness', *{arguments}]\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', sorted(set({heavy.split()}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("LOADED []\n")


def test_the_list_of_tasks_has_a_line_each() -> None:
    listed = [line.split()[0] for line in harness("tasks").out.splitlines() if line[0] != " "]
    names = [name for name in listed if not name.startswith("suite:")]
    suites = listed[len(names) :]
    assert (names, suites) == (sorted(set(names)), sorted(set(suites)))
    assert {"conala", "humaneval"} <= set(names)
    assert "suite:code-2026" in suites


def test_a_tasks_card_names_its_metrics_prompts_and_files() -> None:
    text = harness("tasks", "humaneval").out
    for part in ("humaneval, version 2", "pass@1", "plain of models without", "humaneval/HumanEval.jsonl"):
        assert part in text


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("humaneval", "none"),
        ("mbpp", "with_challenge = false or true; wording = lines or paper or codefuse"),
        (
            "humaneval_x",
            "language = python or java or cpp or javascript or js or go or rust or python_cn; silent = true or false",
        ),
        (
            "unit_test_gen",
            "corpus = mbpp or humaneval; language = python or java or javascript; mutants = 10",
        ),
    ],
)
def test_a_card_says_which_options_there_are_and_what_they_may_be(task: str, options: str) -> None:
    shown = harness("tasks", task).out.splitlines()
    assert f"  options          {options}" in shown


def test_the_exact_prompt_is_shown() -> None:
    ended = harness("tasks", "humaneval", "--prompt", "--data", "mini")
    head, _, prompt = ended.out.partition("\n")
    assert head.startswith("# Mini/0, prompt 'plain' (plain), stop [")
    assert prompt == ONE["prompt"]
    chat = harness("tasks", "humaneval", "--prompt", "--data", "mini", "--set", "prompt=chat").out
    assert "\n[user]\nComplete this Python function." in chat


def test_a_score_prints_the_table_and_the_runs_folder(finished: Path, tmp_path: Path) -> None:
    ended = harness("score", *snippets(tmp_path / "c.jsonl"), "--out", finished)
    assert "em@1" in ended.out
    assert ended.out.endswith(f"run: {finished}\n")


def test_without_out_the_run_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    ended = harness("score", *snippets(tmp_path / "c.jsonl"))
    (folder,) = (tmp_path / "results" / "runs").iterdir()
    assert ended.out.endswith(f"run: results/runs/{folder.name}\n")
    assert folder.name == json.loads((folder / "run.json").read_text())["run_id"]


def test_the_json_report_is_the_summaries(finished: Path) -> None:
    found = json.loads(harness("report", finished, finished, "--format", "json").out)
    assert found == [json.loads((finished / "summary.json").read_text())]  # named twice, shown once


def test_the_csv_report_has_a_row_a_metric_with_unrounded_values(finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    found = list(csv.DictReader(io.StringIO(harness("report", finished, "--format", "csv").out)))
    assert [row["metric"] for row in found] == list(summary["metrics"])
    for row in found:
        estimate = summary["metrics"][row["metric"]]
        assert float(row["value"]) == estimate["value"]
        assert (float(row["low"]), float(row["high"]), int(row["n"])) == (
            estimate["low"],
            estimate["high"],
            3,
        )
        assert (row["run_id"], row["signature"]) == (summary["run_id"], summary["signature"])


def test_the_markdown_report_is_a_table_of_equal_columns(finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    lines = harness("report", finished, "--format", "md").out.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in table} == {7}
    cells = [line.split("|")[2].strip() for line in table[2:]]
    assert cells == list(summary["metrics"])
    assert f"**{summary['run_id']}**" in lines


def test_a_report_goes_to_a_file_when_told(finished: Path, tmp_path: Path) -> None:
    ended = harness("report", finished, "--format", "json", "--out", tmp_path / "r.json")
    assert ended.out == f"wrote {tmp_path}/r.json\n"
    assert json.loads((tmp_path / "r.json").read_text())[0]["problems"] == 3


def test_control_codes_of_a_models_name_do_not_reach_the_terminal(finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    (finished / "summary.json").write_text(json.dumps({**summary, "run_id": "evil\x1b[2J[red]name"}))
    text = harness("report", finished).out
    assert "\x1b[2J" not in text
    assert "[red]name" in text
