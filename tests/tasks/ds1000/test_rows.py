"""DS-1000: rows, answers and options, and a run that says which libraries judged it."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from harness.config.identity import digest
from harness.errors import ConfigError, DataError
from harness.files import packaged
from harness.schema import Completion, Snippet
from harness.tasks.loading import data_files, registry
from harness.text import extract
from tests.support.command import harness, write_rows
from tests.support.parts.ds1000_rows import DOUBLE, TASK, mini


def test_mini_rows_are_in_the_benchmarks_own_form_with_libraries_as_groups() -> None:
    problems = mini()
    assert Counter(problem.group for problem in problems) == {
        "Numpy": 14,
        "Pandas": 14,
        "Scipy": 2,
        "Matplotlib": 2,
    }
    assert all("[insert]" in problem.check.code for problem in problems if isinstance(problem.check, Snippet))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("result = 1\n</code>\nEND SOLUTION\nmore", "result = 1"),
        ("    return x\n# SOLUTION END\n", "    return x"),
        ("Here:\n```python\n    df = 1\n    return df\n```\nIt works.", "    df = 1\n    return df"),
        ("Sure!\n<code>\nresult = 2\n</code>", "result = 2"),
        ("\n    result = x\n\n    return result  ", "    result = x\n\n    return result"),
        ("", ""),
    ],
)
def test_an_answer_keeps_its_indentation_and_ends_where_the_benchmark_says(text: str, answer: str) -> None:
    assert TASK.extract(DOUBLE, Completion(text=text)) == answer


def test_a_recorded_continuation_is_cut_and_not_searched() -> None:
    text = "x = '''\n```\n'''\nresult = x\n</code>"
    assert TASK.extract(DOUBLE, Completion(text=text, form="continuation")) == "x = '''\n```\n'''\nresult = x"
    assert extract.first_fenced(text) is not None


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"layout": "upsteam"}, "layout 'upsteam': expected 'upstream' or 'codefuse'"),
        ({"layout": "codefuse", "format": "infill"}, "format 'infill': expected 'completion' or 'insertion'"),
        ({"format": "insertion"}, "format 'insertion' is of layout 'codefuse': set options.layout too"),
    ],
)
def test_a_wrong_option_is_one_line(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        registry.task("ds1000", options)


def test_a_row_without_its_tests_costs_itself_alone(tmp_path: Path) -> None:
    (tmp_path / "ds1000").mkdir()
    row = {
        "prompt": "",
        "reference_code": "",
        "code_context": "",
        "metadata": {"problem_id": 7, "library": "Numpy"},
    }
    write_rows(tmp_path / "ds1000" / "ds1000.jsonl", [row])
    good = json.loads(packaged("tasks/mini/ds1000/ds1000.jsonl").read_text(encoding="utf-8").splitlines()[0])
    write_rows(tmp_path / "ds1000" / "ds1000.jsonl", [row, good])
    source = data_files.open_source(str(tmp_path))
    assert [problem.id for problem in data_files.load(TASK, "test", source)] == ["ds1000/0"]
    assert source.skipped == {"ds1000/7": "its code_context has no test_execution"}


def test_a_folder_without_codefuses_files_is_one_line(tmp_path: Path) -> None:
    task = registry.task("ds1000", {"layout": "codefuse"})
    with pytest.raises(DataError, match=r"no file 'CodeCompletion/Numpy/Numpy\.jsonl' of 'ds1000_codefuse'"):
        data_files.load(task, "test", data_files.open_source(str(tmp_path)))


def test_a_scored_run_says_which_libraries_judged_and_has_a_value_a_library(tmp_path: Path) -> None:
    problems = [problem for problem in mini() if problem.id in {"ds1000/0", "ds1000/1", "ds1000/14"}]
    said = [{"task_id": problem.id, "completion": problem.solution} for problem in problems]
    said[1]["completion"] = "result = a"
    write_rows(tmp_path / "said.jsonl", said)
    done = harness(
        *("score", "ds1000", "--data", "mini", "--completions", tmp_path / "said.jsonl", "--partial"),
        *("--out", tmp_path / "run", "--workers", "1"),
    )
    assert done.code == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    values = {name: estimate["value"] for name, estimate in summary["metrics"].items()}
    assert values == {"pass@1": pytest.approx(2 / 3), "pass@1[Numpy]": 0.5, "pass@1[Pandas]": 1.0}
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["judge"]["installed"]["numpy"] == np.__version__
    assert {"pandas", "six"} <= set(record["judge"]["installed"])  # what pandas needs is there too
    assert f" packages {digest(record['judge']['installed'])[:8]}" in summary["signature"]
